"""The image pool: a discriminator sees fakes of now and of a while ago, so that it does not forget old mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan import device
from minigan.device import asnumpy, of, put
from minigan.errors import CheckpointError, OptionError
from minigan.random import Generator
from minigan.tensor import Array


class ImagePool:
    """The last so many generated images, of which each new one replaces a random one with probability 1/2.

    Args:
        capacity: images kept, 50 in the paper; 0 for none: fakes go through as they are.
        generator: of the coins and the places.

    It holds arrays, never tensors: no graph outlives its step. The first `capacity` images fill it and are returned.
    Source: Shrivastava et al., Learning from simulated and unsupervised images, 2017, section 2.3.

    Raises:
        OptionError: a negative capacity.
    """

    def __init__(self, capacity: int, generator: Generator) -> None:
        if capacity < 0:
            raise OptionError(f"ImagePool: capacity={capacity} must be at least 0")
        self.capacity, self.generator, self.count = capacity, generator, 0
        self.images: Array | None = None  # (capacity, C, H, W), the first `count` in use

    def draw(self, n: int) -> np.ndarray:
        """What happens to each of n images: the place it changes with, or -1 for none; int64 (n,).

        Addressed by the generator alone, it does not look at the images: on a GPU it is an input of a captured step.
        """
        coins, places = self.generator.uniform((2, n), np.float64)
        return np.where(coins < 0.5, (places * max(self.capacity, 1)).astype(np.int64), -1)

    def exchange(self, images: Array) -> Array:
        """Images (N, C, H, W) for the discriminator: each is new, or an older one that the new one replaces."""
        if not self.capacity:
            return images
        if self.images is None or self.images.shape[1:] != images.shape[1:]:
            self.images, self.count = _empty(images, self.capacity), 0
        out = images
        for i, place in enumerate(self.draw(len(images)).tolist()):
            if self.count < self.capacity:
                self.images[self.count] = images[i]
                self.count += 1
            elif place >= 0:
                if out is images:
                    out = images.copy(order="K")
                out[i] = self.images[place]
                self.images[place] = images[i]
        return out

    def state_dict(self) -> dict[str, Any]:
        """Copies of the images in use, on the host, and the address of the next coin."""
        images = np.zeros((0, 0, 0, 0), np.float32) if self.images is None else asnumpy(self.images[: self.count])
        return {"images": np.array(images, order="C"), "generator": self.generator.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises:
            CheckpointError: the state is not of a pool, or of a larger one.
        """
        images = np.asarray(state.get("images"))
        if set(state) != {"images", "generator"} or images.ndim != 4 or len(images) > self.capacity:
            raise CheckpointError(f"ImagePool: this state is not of a pool of up to {self.capacity} images")
        self.generator.load_state_dict(state["generator"])
        self.images, self.count = None, len(images)
        if self.count:
            self.images = _empty(put(images, device.default()), self.capacity)
            self.images[: self.count] = put(images, of(self.images))


def _empty(like: Array, capacity: int) -> Array:
    """Zeros for `capacity` images, channels-last in memory as the networks have them."""
    _, c, h, w = like.shape
    return np.zeros_like(like, shape=(capacity, h, w, c), order="C").transpose(0, 3, 1, 2)  # (capacity, C, H, W)
