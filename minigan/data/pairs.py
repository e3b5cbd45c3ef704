"""Batches of several domains: unpaired for CycleGAN, each domain in its own order; paired for pix2pix, in one order."""

from __future__ import annotations

__all__ = ["Unpaired", "paired"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigan.data.batches import Labelled
from minigan.data.images import ImageData
from minigan.data.loader import Loader
from minigan.engine import Array
from minigan.errors import CheckpointError, DataError, OptionError

Images = ImageData | np.ndarray
Pair = tuple[np.ndarray, np.ndarray]  # images and their labels


class Unpaired(Iterator[tuple[Array, ...]]):
    """An endless iterator over tuples of batches, one per domain, of data that do not belong together.

    Each domain has its own Loader, so its own order each epoch. `epoch` and `position` are those of the domain with
    the most samples: an epoch shows each of these once, and the samples of smaller domains more than once.

    Args:
        domains: two or more data sets, ImageData or arrays whose first axis counts samples. A tuple of arrays, images
            and their labels, gives batches that are `Labelled`.
        batch_size: samples per domain and batch.
        seed: of the orders.
        options: further options of Loader.

    Raises:
        OptionError: fewer than two domains, or a batch larger than one of them.
        DataError: a domain is empty.

    >>> batches = Unpaired(np.arange(4), np.arange(10, 12), batch_size=2)
    >>> [b.shape for b in next(batches)], batches.batches_per_epoch
    ([(2,), (2,)], 2)
    """

    def __init__(self, *domains: Images | Pair, batch_size: int, seed: int = 0, **options: Any) -> None:
        if len(domains) < 2:
            raise OptionError(f"Unpaired: {len(domains)} domain given, but a translation needs two or more")
        self.loaders = []
        for number, domain in enumerate(domains):
            kept = domain.images if isinstance(domain, ImageData) else domain
            images = np.asarray(kept[0] if isinstance(kept, tuple) else kept)
            if not images.ndim or not len(images):
                raise DataError(f"Unpaired: domain {number} has no samples")
            if batch_size > len(images):
                raise OptionError(f"Unpaired: batch_size={batch_size}, but domain {number} has only {len(images)} "
                                  "samples; use a smaller batch")
            # two domains of one length need different orders, or the same pairs would meet again each epoch
            self.loaders.append(Loader(kept if isinstance(kept, tuple) else images, batch_size,
                                       seed=seed + (number << 32), **options))
        self.longest = max(self.loaders, key=lambda loader: loader.samples)
        self.batch_size, self.samples = batch_size, self.longest.samples

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches that show every sample of the largest domain."""
        return self.longest.batches_per_epoch

    @property
    def epoch(self) -> int:
        """Completed epochs of the largest domain."""
        return self.longest.epoch

    @property
    def position(self) -> int:
        """Samples of the largest domain served in this epoch."""
        return self.longest.position

    @property
    def device(self) -> str:
        """Where batches are assembled."""
        return self.longest.device

    def to(self, device: str) -> Unpaired:
        """Keep all images on a device, see Loader.to; returns itself."""
        for loader in self.loaders:
            loader.to(device)
        return self

    def ends_within(self, batches: int) -> bool:
        """Whether an epoch of any domain ends while this many batches are drawn."""
        return any(loader.ends_within(batches) for loader in self.loaders)

    def __next__(self) -> tuple[Array, ...]:
        drawn = [next(loader) for loader in self.loaders]
        return tuple(Labelled(*batch) if isinstance(batch, tuple) else batch for batch in drawn)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next batches, for each domain."""
        return {f"domain{i}": loader.state_dict() for i, loader in enumerate(self.loaders)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with exactly the batches that would have come next.

        Raises:
            CheckpointError: the state is of other data or of another number of domains.
        """
        names = [f"domain{i}" for i in range(len(self.loaders))]
        if set(state) != set(names):
            raise CheckpointError(f"Unpaired: the state has {sorted(state)}, but {names} are needed")
        for name, loader in zip(names, self.loaders, strict=True):
            loader.load_state_dict(state[name])


def paired(a: Images, b: Images, batch_size: int, seed: int = 0, **options: Any) -> Loader:
    """A Loader of tuples (batch of a, batch of b), where sample i of a always comes with sample i of b.

    Raises:
        DataError: the two differ in number or in height and width.
        OptionError: a batch larger than the data.
    """
    both = [x.images if isinstance(x, ImageData) else np.asarray(x) for x in (a, b)]
    counts, sizes = [len(x) for x in both], [x.shape[2:] for x in both]
    if counts[0] != counts[1]:
        raise DataError(f"paired: {counts[0]:,} images of one domain and {counts[1]:,} of the other are no pairs; give "
                        "one image of each")
    if sizes[0] != sizes[1]:
        one, other = ("x".join(map(str, size)) for size in sizes)
        raise DataError(f"paired: images of {one} and of {other} are no pairs for pix2pix; resize them to one size")
    return Loader((both[0], both[1]), batch_size, seed=seed, **options)
