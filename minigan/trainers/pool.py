"""The image pool: a discriminator sees fakes of now and of a while ago, so that it does not forget old mistakes."""

from __future__ import annotations

__all__ = ["ImagePool"]

from typing import Any, NamedTuple

import numpy as np

from minigan.engine import device
from minigan.engine.tensor import Array
from minigan.errors import CheckpointError, OptionError
from minigan.random import Stream


class PoolPlan(NamedTuple):
    """What a pool does with N new images: which images are given out (N,), which are kept (capacity,).

    Numbers below the capacity are images in the pool, those from there on the new images, in order.
    """

    given: Array
    kept: Array


class ImagePool:
    """The last `capacity` generated images, of which each new one replaces a random one with probability 1/2.

    Args:
        capacity: images kept, 50 in the paper; 0 for none: fakes go through as they are.
        stream: of the coins and the places.

    It holds arrays, never tensors: no graph outlives its step. The first `capacity` images fill it and are returned.
    Source: Shrivastava et al., Learning from simulated and unsupervised images, 2017, section 2.3.

    Raises:
        OptionError: a negative capacity.
    """

    def __init__(self, capacity: int, stream: Stream) -> None:
        if capacity < 0:
            raise OptionError(f"ImagePool: capacity={capacity} must be at least 0")
        self.capacity, self.stream, self.count = capacity, stream, 0
        self._store: Array | None = None  # (capacity, H, W, C), the first `count` in use

    @property
    def images(self) -> Array:
        """The images in use (count, C, H, W)."""
        store = np.zeros((0, 0, 0, 0), np.float32) if self._store is None else self._store[: self.count]
        return store.transpose(0, 3, 1, 2)

    def plan(self, n: int) -> PoolPlan:
        """What happens to the next n images.

        The plan follows from the stream and the count alone, so on a GPU it is an input of a captured step.
        """
        given, kept = self.capacity + np.arange(n), np.arange(self.capacity)
        if not self.capacity:
            return PoolPlan(given, kept)
        coins, places = self.stream.uniform((2, n), np.float64)
        for i, place in enumerate((places * self.capacity).astype(np.int64).tolist()):
            if self.count < self.capacity:
                kept[self.count] = given[i]
                self.count += 1
            elif coins[i] < 0.5:
                kept[place], given[i] = given[i], kept[place]
        return PoolPlan(given, kept)

    def exchange(self, images: Array, plan: PoolPlan | None = None) -> Array:
        """Images (N, C, H, W) for the discriminator: each is new, or an older one that the new one replaces.

        Images of another size than those before start a new pool, but not with a plan that was made earlier.
        """
        if not self.capacity:
            return images
        n, c, h, w = images.shape
        if self._store is None or self._store.shape[1:] != (h, w, c):
            self._store = np.zeros_like(images, shape=(self.capacity, h, w, c), order="C")
            self.count = 0 if plan is None else self.count
        given, kept = self.plan(n) if plan is None else plan
        everything = np.concatenate([self._store, images.transpose(0, 2, 3, 1)])  # (capacity + N, H, W, C)
        self._store[...] = everything[device.index(kept, everything)]
        return everything[device.index(given, everything)].transpose(0, 3, 1, 2)  # (N, C, H, W), channels-last

    def state_dict(self) -> dict[str, Any]:
        """Copies of the images in use, on the host, and the address of the next coin."""
        return {"images": np.array(device.asnumpy(self.images), order="C"), "generator": self.stream.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            CheckpointError: the state is not of a pool, or of a larger one.
        """
        images = np.asarray(state.get("images"))
        if set(state) != {"images", "generator"} or images.ndim != 4 or len(images) > self.capacity:
            raise CheckpointError(f"ImagePool: this state is not of a pool of up to {self.capacity} images")
        self.stream.load_state_dict(state["generator"])
        self.count = len(images)
        if not self.count:
            return
        pixels = device.put(np.ascontiguousarray(images.transpose(0, 2, 3, 1)), device.default())  # (count, H, W, C)
        if self._store is None or self._store.shape[1:] != pixels.shape[1:]:
            self._store = np.zeros_like(pixels, shape=(self.capacity, *pixels.shape[1:]))
        self._store[: self.count] = pixels  # in place: a captured graph reads this memory
