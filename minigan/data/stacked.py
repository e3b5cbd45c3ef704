"""Stacked MNIST: three random digits are the channels of one picture, which makes 1,000 modes to count."""

from __future__ import annotations

__all__ = ["stacked"]

import numpy as np

from minigan.data.images import ImageData
from minigan.errors import OptionError
from minigan.random import Stream


def stacked(digits: ImageData, count: int = 128_000, seed: int = 0) -> ImageData:
    """Pictures (count, 3, H, W) of three digits each, drawn independently; labels 0 to 999, hundreds first.

    metrics.stacked_modes counts how many of them a generator draws.
    Source: Metz et al., Unrolled generative adversarial networks, 2017, section 3.3.1.

    Raises:
        OptionError: count is below 1, or the digits have more than one channel.
    """
    if count < 1 or digits.images.shape[1] != 1:
        raise OptionError(f"stacked: count={count} must be at least 1, and images {digits.images.shape} (N, 1, H, W)")
    numbers = Stream(seed, "stacked").integers(0, len(digits), (count, 3))
    channels_last = digits.images[numbers, 0].transpose(0, 2, 3, 1)  # (count, H, W, 3)
    images = np.ascontiguousarray(channels_last).transpose(0, 3, 1, 2)  # (count, 3, H, W), stored channels-last
    labels = digits.labels[numbers].astype(np.uint16) @ np.array([100, 10, 1], np.uint16)  # (count,)
    return ImageData(images, labels, "stacked mnist", f"{count:,} pictures of three digits each; {digits.source}",
                     credit=digits.credit)
