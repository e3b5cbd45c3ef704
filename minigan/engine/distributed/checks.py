"""What must be equal on all ranks, or their steps would drift apart: options and data at the start, then weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from minigan.engine import device
from minigan.engine.distributed.world import World, agreed
from minigan.engine.tensor import Array
from minigan.errors import DistributedError


class Saved(Protocol):
    """A network, as far as its weights are compared."""

    def state_dict(self) -> dict[str, Array]: ...  # noqa: D102


def check_same(world: World, facts: Mapping[str, Any]) -> None:
    """Compare facts, such as options and versions, between all ranks.

    Raises:
        DistributedError: on all ranks: one differs; the message names it, both values, and the rank.
    """
    every = world.collect(dict(facts))
    for rank, theirs in enumerate(every):
        for name in sorted({*every[0], *theirs}):
            if every[0].get(name) != theirs.get(name):
                raise agreed(DistributedError(f"{name} is {every[0].get(name)} on rank 0, but {theirs.get(name)} on "
                                       f"rank {rank} of {world.size}: all ranks need the same; start them all "
                                       "with one command, from one installation, on the same data"))


def digest(network: Saved) -> str:
    """A checksum of all weights and buffers, 16 hexadecimal digits."""
    total = hashlib.sha256()
    for name, array in network.state_dict().items():
        total.update(name.encode())
        total.update(np.ascontiguousarray(device.asnumpy(array)).data)
    return total.hexdigest()[:16]


def compare_weights(world: World, networks: Mapping[str, Saved], step: int) -> None:
    """Compare the weights of all ranks.

    Raises:
        DistributedError: on all ranks: they differ; the message names the first network and rank.
    """
    every = world.collect({name: digest(network) for name, network in networks.items()})
    for name, mine in every[0].items():
        for rank, theirs in enumerate(every):
            if theirs[name] != mine:
                raise agreed(DistributedError(f"step {step}: the weights of {name} differ between ranks: {mine} on "
                                       f"rank 0, {theirs[name]} on rank {rank} of {world.size}. Use one kind of "
                                       "processor for all ranks; --resume continues from the last checkpoint"))
