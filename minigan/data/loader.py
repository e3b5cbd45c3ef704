"""Batches as a function of (seed, epoch, position): nothing else decides the next batch, so a run resumes exactly.

The order of epoch e is the Philox permutation addressed by (seed, stream "loader", step e). Images stay in memory as
uint8; each batch is converted when it is drawn, by a table of 256 float32 values.
"""

from __future__ import annotations

__all__ = ["Loader"]

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigan import kernels, random
from minigan.data.images import ImageData
from minigan.engine import capturing, counter
from minigan.engine import device as devices
from minigan.engine.distributed import joint
from minigan.errors import CheckpointError, DataError, DeviceError, OptionError

Batch = np.ndarray | tuple[np.ndarray, ...]


class Loader(Iterator[Batch]):
    """An endless iterator over batches, in a new order each epoch.

    data       an array whose first axis counts samples, a tuple of such arrays of equal length, or ImageData
    shuffle    False keeps the order of the data in every epoch
    drop_last  leave out the samples at the end of an epoch that do not fill a batch; they are other samples each
               epoch. False makes a smaller batch of them
    scale      (low, high): the values of pixels 0 and 255; None leaves uint8

    A tuple gives tuples of batches, ImageData batches of its images, without labels. Only images, uint8 (N, C, H, W),
    are scaled, to float32; labels and other arrays keep their type. Batches of images are channels-last in memory.
    `epoch` is the number of completed epochs, `position` the number of samples served in the current one.

    While several ranks train together, all draw the same batches, and each gets its rows of them; epoch, position and
    batch_size are those of the joint batches, so a state does not depend on the number of ranks.

    Raises:
        DataError: no data, arrays of unequal length, NaN or infinity.
        OptionError: a batch size below 1 or above the number of samples; a batch that ranks cannot share equally.

    >>> loader = Loader(np.arange(10), batch_size=5, shuffle=False)
    >>> next(loader), next(loader), loader.epoch
    (array([0, 1, 2, 3, 4]), array([5, 6, 7, 8, 9]), 1)
    """

    def __init__(
        self,
        data: ImageData | np.ndarray | tuple[np.ndarray, ...],
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = True,
        scale: tuple[float, float] | None = (-1.0, 1.0),
    ) -> None:
        data = data.images if isinstance(data, ImageData) else data
        self._is_tuple = isinstance(data, (tuple, list))
        arrays = [np.asarray(array) for array in (data if self._is_tuple else [data])]
        self.samples = _common_length(arrays)
        self._arrays = [_stored(array) for array in arrays]
        self.batch_size = operator.index(batch_size)
        if not 1 <= self.batch_size <= self.samples:
            raise OptionError(
                f"Loader: batch_size={batch_size}, but it must lie in 1 .. {self.samples}, the data's length: "
                "use smaller batches, or more data."
            )
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        self._table = None if scale is None else _table(*scale)
        self.seed, self.epoch, self.position, self.device = random.Stream(seed).seed, 0, 0, "cpu"
        self._order = self._order_of_epoch()

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(self.samples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def to(self, device: str) -> Loader:
        """Keep the images on a device, as uint8, and assemble batches there; returns the loader.

        Raises:
            OptionError: the data are not one array of uint8 images, or there is no scale.
        """
        if device == "cpu":
            self.device = "cpu"
            return self
        if self._is_tuple or self._table is None or self._arrays[0].ndim != 4 or self._arrays[0].dtype != np.uint8:
            raise OptionError("Loader.to: only one array of images, uint8 (N, C, H, W), with a scale can be kept on a "
                              "device; draw batches on the CPU and move each to the device.")
        images = np.ascontiguousarray(self._arrays[0].transpose(0, 2, 3, 1))  # (N, H, W, C)
        self._on_device = [devices.put(array, device) for array in (images, self._order, self._table)]
        self.device = device
        return self

    def ends_within(self, batches: int) -> bool:
        """Whether the epoch ends while this many batches are drawn, or with the last of them."""
        left = self.samples - self.position - batches * self.batch_size
        return left < (self.batch_size if self.drop_last else 1)

    def __next__(self) -> Batch:
        size, ranks = min(self.batch_size, self.samples - self.position), joint()
        own = ranks.part(ranks.share(size))
        if self.device == "cpu":
            batch = tuple(self._take(array, own) for array in self._arrays)
        else:
            images, order, table = self._on_device
            start = counter(self, "position")
            start = start._replace(offset=start.offset + own.start) if capturing() else start + own.start
            pixels = kernels.gather_images(images, order, start, own.stop - own.start, table)  # (n, H, W, C)
            batch = (pixels.transpose(0, 3, 1, 2),)
        self.position += size
        left = self.samples - self.position
        if left < (self.batch_size if self.drop_last else 1):
            if capturing():
                raise DeviceError("Loader: an epoch ends inside a captured step; a graph cannot hold its new order")
            self.epoch, self.position = self.epoch + 1, 0
            self._new_order()
        return batch if self._is_tuple else batch[0]

    def _new_order(self) -> None:
        self._order = self._order_of_epoch()
        if self.device != "cpu":
            devices.backend(self.device).upload(self._on_device[1], self._order)

    def _order_of_epoch(self) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.samples)
        return random.permutation(self.samples, seed=self.seed, stream="loader", step=self.epoch)

    def _take(self, array: np.ndarray, own: slice) -> np.ndarray:
        """Of one array, the samples from own.start to own.stop after the present position."""
        start, size = self.position + own.start, own.stop - own.start
        rows = self._order[start : start + size]
        if array.ndim != 4:
            return array.take(rows, axis=0)
        pixels = array.transpose(0, 2, 3, 1)  # (N, H, W, C), contiguous
        if array.dtype == np.uint8 and self._table is not None:
            pixels = kernels.gather_images(pixels, self._order, start, size, self._table)  # (n, H, W, C)
        else:
            pixels = pixels.take(rows, axis=0)
        return pixels.transpose(0, 3, 1, 2)  # (n, C, H, W), channels-last in memory

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next batches: plain integers and booleans."""
        names = ("seed", "epoch", "position", "samples", "batch_size", "shuffle", "drop_last")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with exactly the batches that would have come next.

        Raises:
            CheckpointError: the state is of other data, or of another batch size, shuffle or drop_last.
        """
        mine = self.state_dict()
        if set(state) != set(mine):
            raise CheckpointError(f"Loader: the state has {sorted(state)}, but {sorted(mine)} are needed.")
        for name in ("samples", "batch_size", "shuffle", "drop_last"):
            if state[name] != mine[name]:
                raise CheckpointError(
                    f"Loader: the state was saved with {name}={state[name]}, this loader has {mine[name]}."
                )
        seed, epoch, position = (state[name] for name in ("seed", "epoch", "position"))
        if not 0 <= position < self.samples or epoch < 0:
            raise CheckpointError(
                f"Loader: no batch starts at position {position} of epoch {epoch}, {self.samples} samples."
            )
        self.seed, self.epoch, self.position = random.Stream(seed).seed, epoch, position
        self._new_order()


def _stored(array: np.ndarray) -> np.ndarray:
    """The array as it is kept: images channels-last in memory, floats finite."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        raise DataError(f"Loader: {len(bad):,} of {len(array):,} samples hold NaN or infinity, the first is {bad[0]}.")
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return array


def _common_length(arrays: list[np.ndarray]) -> int:
    """The number of samples, which must be the same for all arrays."""
    lengths = [len(array) if array.ndim else 0 for array in arrays]
    if not lengths or 0 in lengths:
        raise DataError(f"Loader: there are no samples; the shapes are {[array.shape for array in arrays]}.")
    if len(set(lengths)) > 1:
        raise DataError(f"Loader: arrays of one data set must have equal lengths, but these have {lengths}.")
    return lengths[0]


def _table(low: float, high: float) -> np.ndarray:
    """The float32 value of each pixel value: low + (high - low) v / 255, exact at both ends."""
    if not (np.isfinite(low) and np.isfinite(high)):
        raise OptionError(f"Loader: scale must be two finite numbers, not {(low, high)}.")
    return np.linspace(low, high, 256).astype(np.float32)
