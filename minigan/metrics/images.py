"""How the measures take images, and the measure of checkerboards."""

from __future__ import annotations

__all__ = ["checkerboard"]

import numpy as np

from minigan.data.images import scaled
from minigan.errors import DataError, ShapeError


def prepared(images: np.ndarray, name: str = "images") -> np.ndarray:
    """Images (N, C, H, W), uint8 or floats in [-1, 1], as float32 in [-1, 1] on the host.

    Raises:
        ShapeError: they do not have four axes, or there are no images.
        DataError: a pixel is NaN, infinite, or outside [-1, 1].
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
        raise DataError(f"{name} run from {images.min():.3g} to {images.max():.3g}: they must be uint8, or in [-1, 1]")
    return images


def digits28(images: np.ndarray, name: str = "images") -> np.ndarray:
    """`prepared` digits (N, 1, 28, 28); from 32 x 32 images the frame of two pixels, black in MNIST, is cut off.

    Raises:
        ShapeError: another size, or more than one channel. And as `prepared`.
    """
    images = prepared(images, name)
    if images.shape[1:] not in ((1, 28, 28), (1, 32, 32)):
        raise ShapeError(f"{name} {images.shape} must be digits, (N, 1, 28, 28) or (N, 1, 32, 32)")
    frame = (images.shape[2] - 28) // 2
    return np.ascontiguousarray(images[:, :, frame : frame + 28, frame : frame + 28])


def checkerboard(images: np.ndarray) -> float:
    """Share of the images' spectral energy, except that of their mean, at the Nyquist frequencies; from 0 to 1.

    These have a period of two pixels in x, in y, or in both, as patterns have that come from the strides of a
    transposed convolution (Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, 2016). White noise of
    n x n pixels scores (2n - 1) / (n^2 - 1), a checkerboard 1, images without contrast 0.

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
    # rounding moves about 1e-32 of the mean's energy to other frequencies: that is no contrast
    return float(lines / (total - mean)) if total - mean > 1e-20 * total else 0.0
