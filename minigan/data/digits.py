"""The 1,797 digits of 8 x 8 pixels that scikit-learn contains: available without any download.

They are the test part of UCI's "optical recognition of handwritten digits", by 13 writers. The first four fifths are
for training; the last fifth, by other writers, is for testing.
Source   Alpaydin & Kaynak, Optical recognition of handwritten digits, UCI machine learning repository, 1998.
"""

from __future__ import annotations

__all__ = ["digits"]

import numpy as np

from minigan.data.images import ImageData, boxed, channels_last, repeated
from minigan.errors import OptionError, require


def digits(size: int = 8, split: str = "train", channels: int = 1, box: int | None = None) -> ImageData:
    """Handwritten digits: 1,437 to train on or 360 to test on, enlarged bilinearly to `size`.

    box  side of the digits in the image, as in `usps`

    Raises:
        OptionError: size below 8, another split, channels other than 1 and 3, or a box that does not fit.
        ModuleNotFoundError: scikit-learn, which contains them, is not installed.
    """
    if size < 8 or split not in ("train", "test") or channels not in (1, 3):
        raise OptionError(f"digits: size is 8 or more, split 'train' or 'test' and channels 1 or 3, not {size!r}, "
                          f"{split!r} and {channels!r}")
    table = require("sklearn.datasets", "this set of digits").load_digits()
    pixels = np.rint(table.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), from 0 .. 16
    part = slice(0, 1437) if split == "train" else slice(1437, None)
    images = repeated(boxed(channels_last(pixels[part]), size, box), channels)
    labels = table.target[part].astype(np.uint8)
    return ImageData(images, labels, "digits", f"scikit-learn's digits of 8 x 8 pixels, {len(labels):,} to {split} on")
