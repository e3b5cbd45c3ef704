"""What a device has of that by which launches are cut: multiprocessors, and shared memory."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Of one device; shared memory in bytes."""

    multiprocessors: int
    shared: int  # of a multiprocessor, for all its blocks
    shared_by_block: int  # at most


H100 = Limits(132, 233472, 232448)
A100 = Limits(108, 167936, 166912)
RTX = Limits(84, 102400, 101376)  # sm_86, 89, 120; the number of multiprocessors is an RTX A6000's
RESERVED = 1024  # bytes of shared memory that each block takes beside its own
