"""A map of the latent space: noise vectors as points in the plane, near to each other if their images look alike.

Noise itself has no structure to map, as all directions are equally likely. Its images have structure, so by default
images are compared, pixel by pixel.
Source   van der Maaten & Hinton, Visualizing data using t-SNE, 2008.
"""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from minigan.errors import OptionError, require

COMPONENTS = 50  # numbers to which each image is first reduced, as in the paper
FEWEST = 10  # points of a map


def layout(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """Places (N, 2) in [0, 1] for N vectors of any shape, near to each other for similar vectors.

    Raises:
        OptionError: fewer than FEWEST vectors. ModuleNotFoundError: scikit-learn is missing.
    """
    if len(vectors) < FEWEST:
        raise OptionError(f"a map of {len(vectors)} points says nothing; give at least {FEWEST}, better 500")
    decomposition, manifold = (require(f"sklearn.{part}", "the map") for part in ("decomposition", "manifold"))
    flat = np.asarray(vectors, np.float64).reshape(len(vectors), -1)  # (N, numbers)
    if flat.shape[1] > COMPONENTS < len(flat):
        flat = decomposition.PCA(COMPONENTS, svd_solver="full").fit_transform(flat)
    perplexity = min(30.0, (len(flat) - 1) / 3)
    with threadpool_limits(1):  # more threads are slower here, and change the last digits
        places = manifold.TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(flat)
    low, high = places.min(0), places.max(0)
    result: np.ndarray = (places - low) / np.maximum(high - low, 1e-12)
    return result


def scatter(images: np.ndarray, places: np.ndarray, side: int = 1000) -> np.ndarray:
    """Images (N, C, H, W) in [-1, 1] put at places (N, 2) in [0, 1] on a black square, uint8 (side, side[, 3]).

    Where images overlap, the brighter pixel is shown, which suits bright strokes on a dark ground.
    """
    _, C, H, W = images.shape
    pixels = np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)  # (N, H, W, C)
    sheet = np.zeros((side, side, C), np.uint8)
    tops = np.rint(places[:, 1] * (side - H)).astype(int)
    lefts = np.rint(places[:, 0] * (side - W)).astype(int)
    for image, top, left in zip(pixels, tops, lefts, strict=True):
        spot = sheet[top : top + H, left : left + W]
        np.maximum(spot, image, out=spot)
    return sheet[:, :, 0] if C == 1 else sheet
