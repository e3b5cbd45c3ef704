"""A World: the ranks that train together. That of one process does nothing and costs nothing.

Two questions, two functions. `world()` is all ranks of the program, for decisions and files. `joint()` is the ranks
that share what is computed now: those of `world()` inside `together()`, which a trainer's loop puts around each step,
and this process alone everywhere else, so that rank 0 may draw samples or train a classifier while the others wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from minigan.engine.tensor import Array
from minigan.errors import MiniganError, OptionError

T = TypeVar("T")


class World:
    """The ranks of a program; this class is a world of one.

    rank, size   the number of this process, from 0, and of how many
    joint_norm   whether batch norm and minibatch statistics are those of the joint batch
    capturable   whether its sums may be part of a CUDA graph

    Except in a world of one, all ranks must call the same methods in the same order, or they wait for ever.
    """

    rank, size = 0, 1
    joint_norm = True
    capturable = True

    def mean(self, arrays: Sequence[Array], reuse: bool = False) -> list[Array]:
        """The mean over ranks of each array, added in the order of ranks: the same bytes on all ranks.

        reuse: the results may be overwritten by the next call.
        """
        return list(arrays)

    def gather(self, array: Array) -> Array:
        """The arrays (n, ...) of all ranks, one after the other: (size*n, ...)."""
        return array

    def broadcast(self, value: T) -> T:
        """Rank 0's value: anything that can be pickled."""
        return value

    def collect(self, value: T) -> list[T]:
        """The values of all ranks, in their order: anything that can be pickled."""
        return [value]

    def barrier(self) -> None:
        """Wait until all ranks are here."""

    def abort(self, status: int) -> None:
        """End all ranks now; in a world of one, nothing."""

    def all_failed(self, sentence: str) -> list[str] | None:
        """Called by a rank whose program ends with an error, with the error in words.

        Returns:
            the sentences of all ranks, if all end so at about the same time, as they do when an option is wrong; None
            if the others go on, or wait for this one: `abort` then ends them.
        """
        return [sentence]

    def wait_for_end(self) -> None:
        """Wait until all ranks have called this, without using a core; the first call of a process counts."""

    def on_first(self, function: Callable[[], T]) -> T:
        """Call a function on rank 0 alone; its result, or its error, is that of all ranks.

        Raises:
            what it raised: the same on all ranks, see `agreed`.
        """
        if self.size == 1:
            return function()
        result, error = None, None
        if self.rank == 0:
            try:
                result = function()
            except (MiniganError, ModuleNotFoundError, OSError) as raised:
                error = raised
        result, error = self.broadcast((result, error))
        if error is not None:
            raise agreed(error)
        return result  # type: ignore[return-value]

    def total(self, count: int) -> int:
        """The samples of all ranks, if each has `count`."""
        return count * self.size

    def rows(self, array: Array, axis: int = 0) -> Array:
        """This rank's part of an array of all ranks' samples."""
        if self.size == 1:
            return array
        return array[(slice(None),) * axis + (self.part(array.shape[axis] // self.size),)]

    def part(self, count: int) -> slice:
        """Where this rank's `count` samples are among those of all ranks."""
        return slice(self.rank * count, (self.rank + 1) * count)

    def share(self, samples: int, what: str = "a batch") -> int:
        """The samples of each rank.

        Raises:
            OptionError: they cannot be shared equally, or there are fewer than ranks.
        """
        each, rest = divmod(samples, self.size)
        if not each:
            raise OptionError(f"{what} of {samples} for {self.size} ranks: some would have none; use a --batch-size of "
                              f"at least {self.size}, or fewer ranks")
        if rest:
            raise OptionError(f"{what} of {samples} cannot be shared equally by {self.size} ranks; use a --batch-size "
                              f"such as {each * self.size} or {(each + 1) * self.size}")
        return each


ALONE = World()


class _Now:
    world: World = ALONE  # of this program
    joint: World = ALONE  # of the step that runs now


def world() -> World:
    """All ranks of this program.

    >>> world().rank, world().size
    (0, 1)
    """
    return _Now.world


def set_world(ranks: World) -> None:
    """Set the ranks of this program; `start` does that, and tests."""
    _Now.world = ranks


def joint() -> World:
    """The ranks that share what is computed now; outside `together`, this process alone."""
    return _Now.joint


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Context of what all ranks compute together, such as a training step.

    In it, optimisers average gradients over ranks, loaders give each rank its rows of a batch, random numbers of a
    batch are rows of the joint batch's, and batch norm uses the joint batch's statistics.
    """
    before, _Now.joint = _Now.joint, _Now.world
    try:
        yield
    finally:
        _Now.joint = before


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Context, inside of `together`, of what every rank computes of the joint batch by itself."""
    before, _Now.joint = _Now.joint, ALONE
    try:
        yield
    finally:
        _Now.joint = before


def agreed(error: BaseException) -> BaseException:
    """The error, marked as one that all ranks raise at this point: rank 0 reports it, and none need be stopped."""
    error.is_agreed = True  # type: ignore[attr-defined]
    return error


def is_agreed(error: BaseException) -> bool:
    """Whether all ranks raise this error."""
    return getattr(error, "is_agreed", False)


@contextlib.contextmanager
def agreement() -> Iterator[None]:
    """Context of checks that come out the same on all ranks: errors that leave it are `agreed`."""
    try:
        yield
    except BaseException as error:
        agreed(error)
        raise


def memory_order(array: Array) -> tuple[int, ...]:
    """The axes, from the largest stride to the smallest: transposed so, most arrays are in C order."""
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def flattened(arrays: Sequence[Array], out: Array | None = None) -> Array:
    """All arrays one after the other, each in the order of its memory, (n,)."""
    return np.concatenate([a.transpose(memory_order(a)).reshape(-1) for a in arrays], out=out)


def apart(flat: Array, like: Sequence[Array]) -> list[Array]:
    """The inverse of `flattened`: views of `flat` with the shapes of `like`, and their order in memory."""
    parts, start = [], 0
    for a in like:
        order = memory_order(a)
        part = flat[start : start + a.size].reshape(tuple(a.shape[axis] for axis in order))  # axes in memory order
        parts.append(part.transpose(tuple(np.argsort(order).tolist())))
        start += a.size
    return parts


def in_order(rows: Array) -> Array:
    """The sum of rows (R, n), from the first to the last, (n,)."""
    total = rows[0].copy()
    for row in rows[1:]:
        total += row
    return total


