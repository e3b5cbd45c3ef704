"""Rectifiers and gates that a product applies as it writes its result; see wings.opening_follows, rectifier.cuh."""

from __future__ import annotations

from typing import Any

from ..values import DeviceArray, Opening, handed
from .backend import backend_of


def asked_for(y: DeviceArray) -> Opening | None:
    """What the product that will write y (N, H, W, C) shall apply; None: nothing, or a gate of another kind."""
    opening, handed.opening, handed.rectified = handed.opening, None, None
    if opening is None or opening.on is None:
        return opening
    on = opening.on
    if not backend_of(y).owns(on) or on.ndim != 4 or on.dtype != y.dtype:
        return None
    pixels = on.transpose(0, 2, 3, 1)  # (N, H, W, C)
    return opening if pixels.shape == y.shape and pixels.flags.c_contiguous else None


def macro(opening: Opening | None) -> dict[str, int]:
    """What the kernel that writes y is compiled with; see rectifier.cuh."""
    return {} if opening is None else {"OPENED": 1 if opening.on is None else 2}


def arguments(opening: Opening | None) -> tuple[DeviceArray | None, float]:
    """(on, slope) as these kernels take them."""
    if opening is None or opening.on is None:
        return None, 1.0 if opening is None else opening.slope
    return opening.on.transpose(0, 2, 3, 1), opening.slope  # (N, H, W, C)


def applied(opening: Opening | None, y: DeviceArray) -> None:
    """Note that y has just been written with what was asked for."""
    if opening is None:
        return
    opening.done = True
    if opening.on is None:
        handed.rectified = y, opening.slope, handed.launches


def is_rectified(x: DeviceArray, slope: Any) -> bool:
    """Whether x is the result of the last launch, a product that has rectified it by this slope."""
    left, handed.rectified = handed.rectified, None
    if left is None:
        return False
    y, by, launches = left  # y is kept, so that no other array has its address
    same = backend_of(y).owns(x) and backend_of(x).address(x) == backend_of(y).address(y) and x.size == y.size
    return bool(same and by == slope and launches == handed.launches)
