"""What the measures share: how images come in; and the score of checkerboards."""

from __future__ import annotations

__all__ = ["checkerboard"]

import numpy as np

from minigan.data.images import scaled
from minigan.errors import DataError, ShapeError


def prepared(images: np.ndarray, name: str = "images") -> np.ndarray:
    """Images (N, C, H, W), uint8 or floats in [-1, 1], as float32 in [-1, 1] on the host.

    Raises:
        ShapeError: they have not four axes, or there are none.
        DataError: a pixel is NaN or infinite, or lies outside [-1, 1].
    """
    images = np.asarray(images)
    if images.ndim != 4 or 0 in images.shape:
        raise ShapeError(f"{name} {images.shape} must be (N, C, H, W), not empty")
    if images.dtype == np.uint8:
        return scaled(images)
    images = images.astype(np.float32)
    if not np.isfinite(images).all():
        bad = int((~np.isfinite(images)).any(axis=(1, 2, 3)).sum())
        raise DataError(f"{bad:,} of {len(images):,} {name} hold NaN or infinity: the generator has diverged")
    if np.abs(images).max() > 1 + 1e-3:
        raise DataError(f"{name} run from {images.min():.3g} to {images.max():.3g}, not in [-1, 1], nor are they uint8")
    return images


def digits28(images: np.ndarray, name: str = "images") -> np.ndarray:
    """`prepared` digits (N, 1, 28, 28); of 32 x 32 ones the frame of two pixels, black in MNIST, is cut off.

    Raises:
        ShapeError: another size, or more than one channel. And as `prepared`.
    """
    images = prepared(images, name)
    if images.shape[1:] not in ((1, 28, 28), (1, 32, 32)):
        raise ShapeError(f"{name} {images.shape} must be digits, (N, 1, 28, 28) or (N, 1, 32, 32)")
    frame = (images.shape[2] - 28) // 2
    return np.ascontiguousarray(images[:, :, frame : frame + 28, frame : frame + 28])


def checkerboard(images: np.ndarray) -> float:
    """Share of the images' spectral energy, without that of their mean, at the Nyquist frequencies; from 0 to 1.

    Those are the frequencies of period two pixels in x, in y, or in both: a pattern as from the strides of a transposed
    convolution (Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, 2016). Of white noise n x n they hold
    (2n - 1) / (n^2 - 1), of a checkerboard all. Images without contrast score 0.

    Raises:
        ShapeError: H or W is odd, so that no frequency has a period of two pixels. And as `prepared`.
    """
    images = prepared(images)
    _, _, H, W = images.shape
    if H % 2 or W % 2:
        raise ShapeError(f"checkerboard: images {images.shape} must have even H and W")
    energy = np.zeros((H, W))
    for rows in range(0, len(images), 256):  # the transform is complex128: four times the bytes
        energy += (np.abs(np.fft.fft2(images[rows : rows + 256].astype(np.float64))) ** 2).sum((0, 1))
    mean, total = energy[0, 0], energy.sum()
    lines = energy[H // 2].sum() + energy[:, W // 2].sum() - energy[H // 2, W // 2]
    # rounding of the transform leaves about 1e-32 of the mean's energy elsewhere, which is no contrast
    return float(lines / (total - mean)) if total - mean > 1e-20 * total else 0.0
