"""Where a training loop takes its batches from: the protocol, and an adapter for plain iterators."""

from __future__ import annotations

__all__ = ["Batches", "Labelled"]

from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias, runtime_checkable

from minigan.errors import CheckpointError

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray
Batch: TypeAlias = Any  # an array (N, ...), or a tuple of them: one per domain, or images and their partners


class Labelled(NamedTuple):
    """A batch of images (N, C, H, W) and the labels (N,) that belong to them."""

    images: Array
    labels: Array


@runtime_checkable
class Batches(Protocol):
    """An endless iterator over batches that knows where it stands, and can be put back there.

    batch_size         samples per batch
    samples            samples per epoch
    batches_per_epoch  batches per epoch
    epoch              epochs completed
    position           samples served in this epoch: 0 right after an epoch has ended
    device             where the batches are assembled: "cpu" or another device
    """

    @property
    def batch_size(self) -> int: ...  # noqa: D102
    @property
    def samples(self) -> int: ...  # noqa: D102
    @property
    def batches_per_epoch(self) -> int: ...  # noqa: D102
    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def position(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> str: ...  # noqa: D102

    def __next__(self) -> Batch: ...

    def ends_within(self, batches: int) -> bool:
        """Whether an epoch ends while this many batches are drawn, or with the last of them."""

    def state_dict(self) -> dict[str, Any]:
        """What decides the batches to come."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the batches that would have come next."""


class Endless:
    """A plain iterator as `Batches`: one epoch that never ends, on the CPU. Its state cannot be saved."""

    samples = batches_per_epoch = epoch = 0
    device = "cpu"

    def __init__(self, iterator: Iterator[Batch]) -> None:
        self.iterator, self.batch_size, self.position = iterator, 0, 0

    def __next__(self) -> Batch:
        batch = next(self.iterator)
        self.batch_size = len(batch[0] if isinstance(batch, tuple) else batch)
        self.position += self.batch_size
        return batch

    def ends_within(self, batches: int) -> bool:
        """Never."""
        return False

    def state_dict(self) -> NoReturn:
        """Raises CheckpointError: only the iterator knows what comes next."""
        raise CheckpointError("batches: a plain iterator has no state to save; use data.Loader, which resumes")

    def load_state_dict(self, state: dict[str, Any]) -> NoReturn:
        """Raises CheckpointError, as state_dict does."""
        self.state_dict()


def as_batches(source: Batches | Iterator[Batch]) -> Batches:
    """`source` itself if it is `Batches`, else a plain iterator wrapped as such.

    >>> as_batches(iter([])).device
    'cpu'
    """
    return source if isinstance(source, Batches) else Endless(source)
