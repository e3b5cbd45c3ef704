"""Points between points of the latent space.

Noise of many dimensions lies near a sphere: N(0, 1) in 100 dimensions has length 10 +- 0.7. The straight line between
two such points passes through the inside of the sphere, where the generator was never trained; the great circle does
not.
Source   White, Sampling generative networks, 2016, section 2.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from minigan.errors import OptionError, ShapeError

Draw = Callable[[np.ndarray], np.ndarray]  # noise (N, latent) to images (N, C, H, W) in [-1, 1]
Path = Callable[[np.ndarray, np.ndarray, Any], np.ndarray]
REACH = 3.0  # of a walk to each side; nearly all noise lies within it


def linear(start: np.ndarray, end: np.ndarray, t: Any) -> np.ndarray:
    """(1 - t) start + t end, for vectors of any shape.

    >>> linear(np.zeros(2), np.array([2.0, 4.0]), 0.25)
    array([0.5, 1. ])
    """
    return (1 - t) * start + t * end


def spherical(start: np.ndarray, end: np.ndarray, t: Any) -> np.ndarray:
    """sin((1 - t) w) / sin w start + sin(t w) / sin w end, where w is the angle between the two (latent,).

    Between points of equal length, all points have that length, and the angle grows evenly. Between points of the same
    or of opposite directions, which determine no great circle, it is the straight line.

    >>> np.round(spherical(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.5), 4)
    array([0.7071, 0.7071])
    """
    lengths = np.linalg.norm(start) * np.linalg.norm(end)
    cosine = float(np.clip(np.dot(start, end) / lengths, -1, 1)) if lengths else 1.0
    if abs(cosine) > 1 - 1e-9:
        return linear(start, end, t)
    w = np.arccos(cosine)
    result: np.ndarray = (np.sin((1 - t) * w) * start + np.sin(t * w) * end) / np.sin(w)
    return result


def between(points: np.ndarray, steps: int, path: Path = spherical) -> np.ndarray:
    """From each of the points (P, latent) to the next in `steps` points, both ends included: (P - 1, steps, latent).

    Raises:
        OptionError: fewer than two points or two steps.
    """
    if len(points) < 2 or steps < 2:
        raise OptionError(f"between: needs at least two points and two steps, not {len(points)} and {steps}")
    legs = itertools.pairwise(points)
    return np.array([[path(a, b, t) for t in np.linspace(0, 1, steps)] for a, b in legs], points.dtype)


def walk(points: np.ndarray, coordinate: int, steps: int = 9, reach: float = REACH) -> np.ndarray:
    """Each point (P, latent) with one coordinate changed from -reach to reach in steps: (P, steps, latent).

    Raises:
        ShapeError: there is no such coordinate.
    """
    if not 0 <= coordinate < points.shape[1]:
        raise ShapeError(f"walk: coordinate {coordinate} is not one of 0 to {points.shape[1] - 1}")
    paths = np.repeat(points[:, None], steps, 1)  # (P, steps, latent)
    paths[:, :, coordinate] = np.linspace(-reach, reach, steps)
    return paths


def coordinate_effects(draw: Draw, points: np.ndarray, reach: float = REACH) -> np.ndarray:
    """The mean |change of a pixel| when each coordinate goes from -reach to reach, (latent,)."""
    effects = []
    for coordinate in range(points.shape[1]):
        ends = walk(points, coordinate, 2, reach)  # (P, 2, latent)
        effects.append(np.abs(draw(ends[:, 1]) - draw(ends[:, 0])).mean())
    return np.array(effects)
