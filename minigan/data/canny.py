"""Edges of a picture, one pixel thin: where the gradient is steepest; faint edges count only if they touch strong ones.

Source   Canny, A computational approach to edge detection, IEEE PAMI 8 (1986), sections 7 and 8.
"""

from __future__ import annotations

import numpy as np

from minigan.errors import require


def edge_map(grey: np.ndarray, sigma: float = 1.0, low: float = 6.0, high: float = 14.0) -> np.ndarray:
    """Edges of grey pixels (H, W), 0 .. 255, as uint8 (H, W): 255 on an edge, else 0.

    sigma  of the Gaussian that smooths first, in pixels
    high   slope, in grey values per pixel, at which an edge begins
    low    slope down to which it continues

    Raises:
        ModuleNotFoundError: SciPy is not installed.
    """
    ndimage = require("scipy.ndimage", "a map of edges")
    pixels = grey.astype(np.float64)
    gy, gx = (ndimage.gaussian_filter(pixels, sigma, order, mode="nearest") for order in ((1, 0), (0, 1)))
    slope = np.hypot(gy, gx)
    unit = np.stack([gy, gx]) / np.maximum(slope, 1e-12)  # (2, H, W)
    here = np.indices(pixels.shape)
    ahead, behind = (ndimage.map_coordinates(slope, here + sign * unit, order=1, mode="nearest") for sign in (1, -1))
    thin = (slope >= ahead) & (slope > behind) & (slope >= low)  # steepest along its own gradient; a tie counts once
    pieces, count = ndimage.label(thin, np.ones((3, 3)))
    begins = np.zeros(count + 1, bool)
    begins[pieces[thin & (slope >= high)]] = True
    begins[0] = False  # label 0 is everything outside the pieces
    return np.where(begins[pieces], np.uint8(255), np.uint8(0))
