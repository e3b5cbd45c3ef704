"""The image pool: a discriminator sees new and older fakes, so that it does not forget old mistakes."""

from __future__ import annotations

__all__ = ["ImagePool"]

from typing import Any, NamedTuple

import numpy as np

from minigan import kernels
from minigan.engine import Array, device
from minigan.engine.distributed import joint
from minigan.errors import CheckpointError, OptionError
from minigan.random import Stream


class PoolPlan(NamedTuple):
    """What a pool does with N new images: it returns the images `given` (N,) and keeps the images `kept` (capacity,).

    Numbers below the capacity are images in the pool; capacity + i is new image i.
    """

    given: Array
    kept: Array


class ImagePool:
    """Up to `capacity` generated images; when full, a new image replaces a random one with probability 1/2.

    Args:
        capacity: images kept, 50 in CycleGAN; 0 for none: fakes are returned unchanged.
        stream: random numbers that decide whether an image is replaced, and which one.

    It holds arrays, never tensors: no graph outlives its step. The first `capacity` images fill it and are returned.
    Of ranks that train together, each holds the same pool: the new images of all ranks are gathered for it.
    Source: Shrivastava et al., Learning from simulated and unsupervised images, 2017, section 2.3.

    Raises:
        OptionError: a negative capacity.
    """

    def __init__(self, capacity: int, stream: Stream) -> None:
        if capacity < 0:
            raise OptionError(f"ImagePool: capacity={capacity} must be at least 0")
        self.capacity, self.stream, self.count = capacity, stream, 0
        self._store: Array | None = None  # (capacity, H, W, C); the first `count` are in use

    @property
    def images(self) -> Array:
        """The images in the pool (count, C, H, W)."""
        store = np.zeros((0, 0, 0, 0), np.float32) if self._store is None else self._store[: self.count]
        return store.transpose(0, 3, 1, 2)  # (count, C, H, W)

    def plan(self, n: int) -> PoolPlan:
        """What happens to the next n images, or to n of each rank.

        It depends on the stream and the count only, so that on a GPU it can be an input of a captured step.
        """
        n = joint().total(n)
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

        Images of another size than before start a new pool, except if `plan` was made earlier.
        """
        if not self.capacity:
            return images
        if kernels.is_bfloat16(images):
            images = kernels.cast(images, np.float32)  # as checkpoints have them
        (n, c, h, w), ranks = images.shape, joint()
        if self._store is None or self._store.shape[1:] != (h, w, c):
            self._store = np.zeros_like(images, shape=(self.capacity, h, w, c), order="C")
            self.count = 0 if plan is None else self.count
        given, kept = self.plan(n) if plan is None else plan
        new = ranks.gather(images.transpose(0, 2, 3, 1))  # (N, H, W, C), of ranks that train together all their images
        pixels = np.concatenate([self._store, new])  # (capacity + N, H, W, C)
        self._store[...] = pixels[device.index(kept, pixels)]
        own = ranks.rows(given)
        return pixels[device.index(own, pixels)].transpose(0, 3, 1, 2)  # (N, C, H, W), channels-last in memory

    def state_dict(self) -> dict[str, Any]:
        """Copies of the images in the pool, on the host, and the address of the next random number."""
        return {"images": np.array(device.asnumpy(self.images), order="C"), "generator": self.stream.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state that `state_dict` returned.

        Raises:
            CheckpointError: the state is not of a pool, or of a larger one.
        """
        images = np.asarray(state.get("images"))
        if set(state) != {"images", "generator"} or images.ndim != 4 or len(images) > self.capacity:
            raise CheckpointError(f"ImagePool: this state is not of a pool of up to {self.capacity} images; use "
                                  "the capacity it was saved with")
        self.stream.load_state_dict(state["generator"])
        self.count = len(images)
        if not self.count:
            return
        pixels = device.put(np.ascontiguousarray(images.transpose(0, 2, 3, 1)), device.default())  # (count, H, W, C)
        if self._store is None or self._store.shape[1:] != pixels.shape[1:]:
            self._store = np.zeros_like(pixels, shape=(self.capacity, *pixels.shape[1:]))
        self._store[: self.count] = pixels  # in place: a captured graph reads this memory
