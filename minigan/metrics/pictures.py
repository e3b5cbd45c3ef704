"""Measures of pictures: a translation there and back beside the original, a colouring, a mask beside the true mask.

All take images (N, C, H, W), uint8 or floats in [-1, 1], and return the mean of the images' values, one number.

    l1, psnr, ssim      a picture and the true one                  0, infinity and 1 are best
    iou                 the overlap of two masks                    1 is best
    edges_kept          a picture's edges and those it should have  1 is best
    colourfulness       how strong colours are                      0 is grey, 60 and more is vivid
    luma_error          grey and the colours it was made from       0 is best
"""

from __future__ import annotations

__all__ = ["colourfulness", "edges_kept", "iou", "l1", "level_coloured", "luma_error", "luma_weights", "mean_coloured",
           "nearest_partners", "picture_scores", "psnr", "ssim"]

from collections.abc import Callable

import numpy as np

from minigan.data.canny import edge_map
from minigan.data.patches import LUMA
from minigan.errors import ShapeError, require
from minigan.metrics.distances import frechet
from minigan.metrics.images import prepared

SIGMA, RADIUS = 1.5, 5  # of SSIM's window, 11 x 11
K1, K2 = 0.01, 0.03  # SSIM's constants


def l1(images: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute difference of pixels in [-1, 1], as in cycle losses."""
    a, b = _both("l1", images, truth)
    return float(np.abs(a - b).mean())


def psnr(images: np.ndarray, truth: np.ndarray, pooled: bool = False) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(range^2 / mean squared error), the mean over the images.

    It is infinite if an image equals the true one.

    pooled  the ratio of the mean squared error over all images instead, finite unless all are equal
    """
    a, b = _both("psnr", images, truth)
    error = np.square(a - b).mean((0, 1, 2, 3) if pooled else (1, 2, 3))  # (), or (N,)
    with np.errstate(divide="ignore"):
        return float((10 * np.log10(4 / error)).mean())


def ssim(images: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity, at most 1: local means, variances and covariance through a Gaussian window.

        (2 m_a m_b + c1) (2 v_ab + c2) / ((m_a^2 + m_b^2 + c1) (v_a + v_b + c2))

    It is the mean over channels and over all places where the window of 11 x 11 lies inside the image.
    Source: Wang, Bovik, Sheikh & Simoncelli, Image quality assessment, 2004, section III.B.

    Raises:
        ShapeError: images smaller than the window. ModuleNotFoundError: without SciPy.
    """
    a, b = _both("ssim", images, truth)
    if min(a.shape[2:]) < 2 * RADIUS + 1:
        raise ShapeError(f"ssim: images {a.shape} must be at least {2 * RADIUS + 1} x {2 * RADIUS + 1} pixels")
    smooth = require("scipy.ndimage", "this measure").gaussian_filter
    inside = (slice(None), slice(None), *(slice(RADIUS, n - RADIUS) for n in a.shape[2:]))

    def local(x: np.ndarray) -> np.ndarray:
        means: np.ndarray = smooth(x, SIGMA, axes=(2, 3), radius=RADIUS)[inside]
        return means

    c1, c2 = (K1 * 2) ** 2, (K2 * 2) ** 2  # 2 is the range from -1 to 1; black is 0, as in the paper:
    a, b = a + 1, b + 1
    mean_a, mean_b = local(a), local(b)
    var_a, var_b, both = local(a * a) - mean_a**2, local(b * b) - mean_b**2, local(a * b) - mean_a * mean_b
    similarity = ((2 * mean_a * mean_b + c1) * (2 * both + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(similarity.mean())


def iou(masks: np.ndarray, truth: np.ndarray, threshold: float = 0.0) -> float:
    """Intersection over union of the pixels above the threshold, from -1 to 1; 1 for two empty masks.

    Source: Jaccard, The distribution of the flora in the alpine zone, 1912.
    """
    a, b = (x > threshold for x in _both("iou", masks, truth))
    shared, either = (a & b).sum((1, 2, 3)), (a | b).sum((1, 2, 3))  # (N,)
    return float(np.where(either, shared / np.maximum(either, 1), 1.0).mean())


def edges_kept(images: np.ndarray, edges: np.ndarray, tolerance: int = 1) -> float:
    """How well painted images, RGB or grey, have the edges (N, 1, H, W) from which they were painted, 0 to 1.

    The F-measure 2 P R / (P + R). P is the share of a picture's edge pixels (`data.canny.edge_map`) that lie within
    `tolerance` pixels, also diagonally, of a given edge pixel; R is the share of given edge pixels that lie as near to
    the picture's. A picture without edges that should have none scores 1.
    Source: Martin, Fowlkes & Malik, Learning to detect natural image boundaries, 2004, section 4, where edges are
    matched one to one; here they are not.

    Raises:
        ShapeError: edges of another number or size than the images, or with more than one channel.
        ModuleNotFoundError: without SciPy.
    """
    images, edges = prepared(images), prepared(edges, "edges")
    colours = images if images.shape[1] == 3 else images.repeat(3, 1)
    given = _grey("edges_kept", edges, (len(images), *images.shape[2:])) > 127
    luma = np.tensordot(np.array(LUMA), _rgb("edges_kept", colours), 1)  # (N, H, W)
    painted = np.stack([edge_map(picture) > 0 for picture in luma])  # (N, H, W), as given
    window = (1, 2 * tolerance + 1, 2 * tolerance + 1)
    ndimage = require("scipy.ndimage", "this measure")
    near_given, near_painted = (ndimage.maximum_filter(edge, window) for edge in (given, painted))
    right, all_painted = (painted & near_given).sum((1, 2)), painted.sum((1, 2))  # (N,)
    recalled, all_given = (given & near_painted).sum((1, 2)), given.sum((1, 2))
    precision, recall = right / np.maximum(all_painted, 1), recalled / np.maximum(all_given, 1)
    f_measure = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(np.where(all_painted + all_given, f_measure, 1.0).mean())


def colourfulness(images: np.ndarray) -> float:
    """How colourful RGB images look: sqrt(var rg + var yb) + 0.3 sqrt(mean rg^2 + mean yb^2), pixels from 0 to 255.

    rg = R - G and yb = (R + G) / 2 - B. Grey scores 0; people call images slightly colourful at about 15, quite
    colourful at 45, highly colourful at 82.
    Source: Hasler & Suesstrunk, Measuring colourfulness in natural images, 2003, section 5.

    Raises:
        ShapeError: not three channels.
    """
    red, green, blue = _rgb("colourfulness", images)
    axes = (1, 2)
    rg, yb = red - green, (red + green) / 2 - blue
    spread = np.sqrt(rg.var(axes) + yb.var(axes))
    return float((spread + 0.3 * np.hypot(rg.mean(axes), yb.mean(axes))).mean())


def luma_error(colours: np.ndarray, grey: np.ndarray) -> float:
    """Mean absolute difference between grey and the luma of the colours it was made from, as a share of the range.

    Raises:
        ShapeError: not three channels and one, or unequal N, H or W.
    """
    luma = np.tensordot(np.array(LUMA), _rgb("luma_error", colours), 1)  # (N, H, W)
    return float(np.abs(luma - _grey("luma_error", grey, luma.shape)).mean() / 255)


def luma_weights(colours: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """The shares (3,) of red, green and blue that explain grey best, by least squares; LUMA for perfect grey.

    Raises:
        ShapeError: as luma_error.
    """
    rgb = _rgb("luma_weights", colours)
    right = _grey("luma_weights", grey, rgb.shape[1:]).ravel()
    design = np.column_stack([rgb.reshape(3, -1).T, np.ones(right.size)])  # (N*H*W, 4): three channels, a constant
    weights: np.ndarray = np.linalg.lstsq(design, right, rcond=None)[0][:3]
    return weights


def mean_coloured(grey: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Grey images tinted with the mean colour of `colours`; float32 (N, 3, H, W) in [-1, 1].

    A colouring must be better than these: their luma is right, and their hue is the best constant one.

    Raises:
        ShapeError: grey does not have one channel, or colours not three.
    """
    grey = prepared(grey)
    mean = _rgb("mean_coloured", colours).mean((1, 2, 3)) / 127.5  # (3,)
    tint = mean - np.array(LUMA) @ mean
    if grey.shape[1] != 1:
        raise ShapeError(f"mean_coloured: grey images {grey.shape} must have one channel")
    return np.clip(grey + tint[:, None, None], -1, 1).astype(np.float32)


def level_coloured(grey: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Grey images in which each of 256 grey levels has the mean colour of that luma in `colours`; as mean_coloured.

    A colouring pixel by pixel that minimises the mean squared error, if both show the same things; it knows that grey
    is luma. What is better has used a pixel's surroundings. Levels that `colours` lack take the nearest one's colour.

    Raises:
        ShapeError: as mean_coloured.
    """
    grey, rgb = prepared(grey), _rgb("level_coloured", colours)
    if grey.shape[1] != 1:
        raise ShapeError(f"level_coloured: grey images {grey.shape} must have one channel")
    levels = np.rint(np.tensordot(np.array(LUMA), rgb, 1)).astype(int).ravel()
    count = np.bincount(levels, minlength=256)
    known = np.flatnonzero(count)
    table = np.stack([np.bincount(levels, part.ravel(), 256)[known] / count[known] for part in rgb], 1)  # (levels, 3)
    asked = np.rint((grey[:, 0] + 1) * 127.5).astype(int)  # (N, H, W)
    nearest = np.abs(known[:, None] - np.arange(256)).argmin(0)  # of each of 256 levels
    return (table[nearest[asked]].transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32)


def nearest_partners(images: np.ndarray, known: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """For each of `images`, the partner of the most similar of the `known` ones: a translator without learning.

    images (N, C, H, W) and known (M, C, H, W) are compared by the mean squared difference of their pixels; `partners`
    (M, ...) belong to `known`, row for row.

    Raises:
        ShapeError: images of different shapes, or not one partner for each known one.
    """
    a, b = prepared(images), prepared(known)
    if a.shape[1:] != b.shape[1:] or len(known) != len(partners):
        raise ShapeError(f"nearest_partners: images {images.shape}, known ones {known.shape} and their partners "
                         f"{partners.shape} do not fit together")
    a, b = (part.reshape(len(part), -1) for part in (a, b))  # (N, C*H*W), (M, C*H*W)
    squares = np.square(b).sum(1)
    nearest = [int((squares - 2 * (b @ row)).argmin()) for row in a]
    return partners[nearest]


def picture_scores(images: np.ndarray, truth: np.ndarray,
                   features: Callable[[np.ndarray], np.ndarray] | None = None) -> dict[str, float]:
    """Translations (N, C, H, W) beside the true pictures: psnr (pooled), ssim, of colours colourfulness, and frechet.

    features  of `picture_features`, for the Frechet distance of all translations to all true pictures; None: without

    Raises:
        ShapeError: unequal shapes. ModuleNotFoundError: without SciPy.
    """
    scores = {"psnr": psnr(images, truth, pooled=True), "ssim": ssim(images, truth)}
    if truth.shape[1] == 3:
        scores["colourfulness"] = colourfulness(images)
    if features is not None:
        scores["frechet"] = float(frechet(features(images), features(truth)))
    return scores


def _both(name: str, images: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = (prepared(x, name_of).astype(np.float64) for x, name_of in ((images, "images"), (truth, "truth")))
    if a.shape != b.shape:
        raise ShapeError(f"{name}: images {a.shape} and the true ones {b.shape} must have equal shapes")
    return a, b


def _rgb(name: str, images: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 255 by channel, (3, N, H, W)."""
    images = prepared(images)
    if images.shape[1] != 3:
        raise ShapeError(f"{name}: colours {images.shape} must have three channels, (N, 3, H, W)")
    return (images.astype(np.float64).transpose(1, 0, 2, 3) + 1) * 127.5


def _grey(name: str, images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    images = prepared(images)
    if images.shape[1] != 1 or (len(images), *images.shape[2:]) != shape:
        raise ShapeError(f"{name}: grey {images.shape} must be (N, 1, H, W) with N, H, W = {shape}, like the colours")
    return (images[:, 0].astype(np.float64) + 1) * 127.5
