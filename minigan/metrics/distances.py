"""Distances between two sets of samples: of a classifier's features, or of patches of the images themselves.

    frechet             between Gaussians fitted to both; biased: fewer samples, larger distance
    kid                 maximum mean discrepancy; unbiased, so it may be below 0
    sliced_wasserstein  between patches at each scale of a Laplacian pyramid, along random directions; needs no network
"""

from __future__ import annotations

__all__ = ["frechet", "kid", "sliced_wasserstein"]

import numpy as np

from minigan.errors import ShapeError, require
from minigan.metrics.images import prepared
from minigan.random import Stream

_ROWS = 1000  # of a kernel matrix at a time: 1,000 x 10,000 float64 are 80 MB
PATCH, PATCHES, DIRECTIONS = 7, 16, 512  # side of a patch, patches per image, random directions


def _pair(measure: str, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64. Raises ShapeError if they cannot be compared."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ShapeError(f"{measure}: a {a.shape} and b {b.shape} must be (N, D) and (M, D), N and M at least 2")
    return a, b


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two Gaussians with the means m and covariances S of features a (N, D) and b (M, D).

        |ma - mb|^2 + Tr(Sa + Sb - 2 (Sa Sb)^(1/2))

    (Sa Sb)^(1/2) has the same trace as (Sa^(1/2) Sb Sa^(1/2))^(1/2), which is the root of a symmetric matrix: its
    eigenvalues are real, even if features are constant and Sa is singular. The distance is at least 0, in units of the
    features squared.
    Source: Dowson & Landau, 1982; Heusel et al., GANs trained by a two time-scale update rule, 2017, equation 6.

    Raises:
        ShapeError: the numbers of features differ, or there are fewer than two samples.
    """
    a, b = _pair("frechet", a, b)
    cov_a, cov_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    apart = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross
    return float(max(apart, 0.0))  # rounding may leave -1e-12 for equal sets


def kid(a: np.ndarray, b: np.ndarray) -> float:
    """Kernel inception distance of features a (N, D) and b (M, D): unbiased MMD^2 with k(x, y) = (x.y / D + 1)^3.

        mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean_{i, j} k(a_i, b_j)

    All pairs are used, not random subsets of 1,000 as in much code: the same expectation, less variance, no seed.
    Source: Binkowski et al., Demystifying MMD GANs, 2018, section 4.

    Raises:
        ShapeError: the numbers of features differ, or there are fewer than two samples.
    """
    a, b = _pair("kid", a, b)
    N, M = len(a), len(b)
    return float((_kernel_sum(a, a) - _kernel(np.square(a).sum(1), a.shape[1]).sum()) / (N * (N - 1))
                 + (_kernel_sum(b, b) - _kernel(np.square(b).sum(1), b.shape[1]).sum()) / (M * (M - 1))
                 - 2 * _kernel_sum(a, b) / (N * M))


def _kernel(products: np.ndarray, D: int) -> np.ndarray:
    return (products / D + 1) ** 3


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    """The sum of k(a_i, b_j) over all pairs, _ROWS rows at a time."""
    return float(sum(_kernel(a[i : i + _ROWS] @ b.T, a.shape[1]).sum() for i in range(0, len(a), _ROWS)))


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, seed: int = 0) -> dict[int, float]:
    """Distance of patches of images a (N, C, H, W) and b (M, C, H, W) at each scale, times 1,000: {side: distance}.

    At each level of the pyramid, PATCHES patches of 7 x 7 are taken from each of the first min(N, M) images, and each
    channel is scaled to mean 0 and variance 1. Along each of DIRECTIONS random directions, both sets are sorted and
    compared point by point, which is the Wasserstein distance in one dimension. The side is halved down to 14, where a
    patch still shows half of the image. Equal sets have distance 0: places and directions depend on the seed alone.
    Source: Karras et al., Progressive growing of GANs, 2018, section 5 (there 128 patches of larger images).

    Raises:
        ShapeError: the images differ in C, H or W, or are below 14 pixels. And as `prepared`. ModuleNotFoundError.
    """
    a, b = prepared(a, "a"), prepared(b, "b")
    if a.shape[1:] != b.shape[1:] or min(a.shape[2:]) < 2 * PATCH:
        raise ShapeError(f"sliced_wasserstein: a {a.shape} and b {b.shape} must agree in C, H, W, at least {2 * PATCH}")
    count = min(len(a), len(b))
    distances = {}
    for level, (one, other) in enumerate(zip(pyramid(a[:count]), pyramid(b[:count]), strict=True)):
        places = Stream(seed, "patches", level)
        distances[one.shape[3]] = 1e3 * sliced(_patches(one, places), _patches(other, Stream(seed, "patches", level)),
                                               Stream(seed, "directions", level))
    return distances


def sliced(a: np.ndarray, b: np.ndarray, noise: Stream, directions: int = DIRECTIONS) -> float:
    """Mean Wasserstein-1 distance of a (N, D) and b (N, D) along random directions, unit vectors in D dimensions."""
    lines = noise.normal((a.shape[1], directions), np.float64)
    lines = (lines / np.linalg.norm(lines, axis=0)).astype(a.dtype)  # (D, directions)
    return float(np.mean([np.abs(np.sort(a @ line) - np.sort(b @ line)).mean(dtype=np.float64) for line in lines.T]))


def pyramid(images: np.ndarray) -> list[np.ndarray]:
    """Laplacian pyramid of images (N, C, H, W): what each halving loses, and last the image that remains.

    Source: Burt & Adelson, The Laplacian pyramid as a compact image code, 1983, with the weights 1 4 6 4 1.
    """
    levels = []
    while min(images.shape[2:]) >= 4 * PATCH and images.shape[2] % 2 == images.shape[3] % 2 == 0:
        small = _blurred(images, 1.0)[:, :, ::2, ::2]
        levels.append(images - enlarged(small))
        images = small
    return [*levels, images]


def enlarged(images: np.ndarray) -> np.ndarray:
    """Images with twice the side: a 0 after every pixel, then the same blur."""
    N, C, H, W = images.shape
    apart = np.zeros((N, C, 2 * H, 2 * W), images.dtype)
    apart[:, :, ::2, ::2] = images
    return _blurred(apart, 2.0)  # twice the weight along each axis: every second pixel is 0


def _blurred(images: np.ndarray, gain: float) -> np.ndarray:
    """Each axis with the weights gain (1 4 6 4 1) / 16, mirrored at the border pixel, as in the paper's code."""
    ndimage, weights = require("scipy.ndimage", "this measure"), gain * np.array([1, 4, 6, 4, 1]) / 16
    for axis in (2, 3):
        images = ndimage.correlate1d(images, weights, axis, mode="mirror")
    return images


def _patches(images: np.ndarray, places: Stream) -> np.ndarray:
    """PATCHES random patches of each image, (N * PATCHES, C * 7 * 7), each channel of mean 0 and variance 1."""
    N, _, H, W = images.shape
    corners = places.uniform((N, PATCHES, 2), np.float64) * (H - PATCH + 1, W - PATCH + 1)
    top, left = np.floor(corners).astype(int).transpose(2, 0, 1)  # (N, PATCHES) each
    windows = np.lib.stride_tricks.sliding_window_view(images, (PATCH, PATCH), (2, 3))  # (N, C, H-6, W-6, 7, 7)
    patches = windows[np.arange(N)[:, None], :, top, left]  # (N, PATCHES, C, 7, 7)
    mean, std = patches.mean((0, 1, 3, 4), keepdims=True), patches.std((0, 1, 3, 4), keepdims=True)
    return ((patches - mean) / np.maximum(std, 1e-8)).reshape(N * PATCHES, -1)  # (N * PATCHES, C * 49)
