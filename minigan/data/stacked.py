"""Stacked MNIST: three random digits as the channels of one picture, 1,000 modes to count."""

from __future__ import annotations

__all__ = ["stacked"]

import numpy as np

from minigan.data.images import ImageData
from minigan.errors import OptionError
from minigan.random import Stream


def stacked(digits: ImageData, count: int = 128_000, seed: int = 0) -> ImageData:
    """`count` pictures (count, 3, H, W) of three digits each, drawn independently; labels 0 to 999, hundreds first.

    How much a generator covers of them is metrics.stacked_modes.
    Source: Metz et al., Unrolled generative adversarial networks, 2017, section 3.3.1.

    Raises:
        OptionError: count is below 1, or the digits have more than one channel.
    """
    if count < 1 or digits.images.shape[1] != 1:
        raise OptionError(f"stacked: count={count} must be at least 1, and images {digits.images.shape} (N, 1, H, W)")
    chosen = Stream(seed, "stacked").integers(0, len(digits), (count, 3))
    channels_last = digits.images[chosen, 0].transpose(0, 2, 3, 1)  # (count, H, W, 3)
    images = np.ascontiguousarray(channels_last).transpose(0, 3, 1, 2)  # (count, 3, H, W), stored channels-last
    labels = digits.labels[chosen].astype(np.uint16) @ np.array([100, 10, 1], np.uint16)  # (count,)
    return ImageData(images, labels, "stacked mnist", f"{count:,} pictures of three digits each; {digits.source}")
