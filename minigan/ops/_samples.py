"""Sample inputs for gradient checks: values that keep away from kinks and ties, shapes whose sizes all differ."""

from __future__ import annotations

import math

import numpy as np


def spread(rng: np.random.Generator, *shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Distinct values on a shuffled grid from low to high: no ties, and never within a quarter step of 0."""
    n = math.prod(shape)
    grid = np.linspace(low, high, 2 * n + 1)[1::2]  # odd points: symmetric around 0, which is an even point
    grid = grid + 0.2 * (high - low) / max(n, 1) * rng.uniform(-0.5, 0.5, n)
    return rng.permutation(grid).reshape(shape)


def off_kinks(rng: np.random.Generator, *shape: int, kinks: tuple[float, ...] = (0.0,)) -> np.ndarray:
    """Values from -2 to 2, at least 0.1 away from every kink."""
    x = rng.uniform(-2, 2, shape)
    for kink in kinks:
        near = abs(x - kink) < 0.1
        x = np.where(near, kink + np.where(x < kink, -1, 1) * rng.uniform(0.1, 0.3, shape), x)
    return x


def positive(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Values from 0.5 to 2."""
    return rng.uniform(0.5, 2, shape)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal values."""
    return rng.normal(size=shape)
