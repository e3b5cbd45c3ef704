"""Numbers by which the blocks of a launch find out which of them is the last; see tickets.cuh.

They are zeros in the device's memory, made once: every launch leaves them so. Launches that run side by side must not
share them: those of a graph that go beside get none, all others are in one stream.
"""

from __future__ import annotations

import numpy as np

from ..values import DeviceArray, branch
from .backend import backend_of

COUNT = 4096


def tickets(like: DeviceArray, count: int) -> DeviceArray | None:
    """At least `count` zeros, int32, on the device of `like`; None if there are not that many, not yet any, or beside.

    While a graph is captured nothing can be set to zero at once: they are made by the plain steps before.
    """
    backend = backend_of(like)
    place = backend.name, like.device.id
    if count > COUNT or branch.on or (place not in _made and backend.capturing()):
        return None
    if place not in _made:
        _made[place] = backend.full((COUNT,), 0, np.int32)
    return _made[place]


_made: dict[tuple[str, int], DeviceArray] = {}
