"""Points in the plane with modes that can be counted: how much a GAN has learnt is a number, not a matter of taste.

    gaussians8    8 Gaussians on a circle of radius 2, std 0.02       Metz et al., Unrolled GANs, 2017, section 3.1
    gaussians25   25 Gaussians on a 5 x 5 grid, 2 apart, std 0.05     Dumoulin et al., ALI, 2017; Srivastava et al.,
                                                                      VEEGAN, 2017, section 5.1
    ring          a circle of radius 2, std 0.05, cut into 36 arcs for counting
"""

from __future__ import annotations

__all__ = ["TOYS", "Toy2D", "toy2d"]

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minigan.errors import DataError, OptionError, ShapeError
from minigan.random import Stream

WITHIN = 3.0  # standard deviations from its mode within which a sample is good (VEEGAN, section 5.1)


class Coverage(NamedTuple):
    """How much of a distribution samples cover: modes covered, modes in total, share of good samples."""

    covered: int
    modes: int
    good: float


@dataclass(frozen=True, eq=False)
class Toy2D:
    """Equally likely modes, each with the same Gaussian noise.

    name     as in the table of this module
    modes    (M, 2), the centres
    std      of the noise in each direction
    is_ring  points lie anywhere on the circle through the modes, and each mode stands for an arc
    """

    name: str
    modes: np.ndarray
    std: float
    is_ring: bool = False

    @property
    def scale(self) -> float:
        """Root mean square of the modes' coordinates; points divided by it suit a network's initial weights."""
        return float(np.sqrt(np.mean(self.modes**2)))

    def sample(self, n: int, stream: Stream) -> np.ndarray:
        """Draw n points, float32 (n, 2)."""
        where = stream.uniform((n,), np.float64)
        noise = self.std * stream.normal((n, 2), np.float64)
        if self.is_ring:
            radius, angle = np.hypot(*self.modes[0]), 2 * np.pi * where
            centres = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (n, 2)
        else:
            centres = self.modes[(where * len(self.modes)).astype(int)]  # (n, 2)
        points: np.ndarray = (centres + noise).astype(np.float32)
        return points

    def batches(self, batch_size: int, seed: int = 0) -> Iterator[np.ndarray]:
        """New points (batch_size, 2) each time, without end."""
        stream = Stream(seed, "toy2d")
        while True:
            yield self.sample(batch_size, stream)

    def coverage(self, points: np.ndarray) -> Coverage:
        """How many modes the points (N, 2) cover, and which share of the points is good.

        A point is good if it lies within WITHIN std of its nearest mode (for the ring, of the circle). A mode is
        covered if at least N / 10 M good points are nearest to it: a tenth of the points it should get.

        Raises:
            ShapeError: the points are not (N, 2), or there are none.
            DataError: a point is NaN or infinite.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise ShapeError(f"{self.name}: points {points.shape} must be (N, 2), with N at least 1")
        if not np.isfinite(points).all():
            raise DataError(f"{self.name}: {int((~np.isfinite(points)).any(1).sum())} of {len(points)} points are NaN "
                            "or infinite: the generator has diverged")
        M = len(self.modes)
        apart = np.linalg.norm(points[:, None] - self.modes, axis=2)  # (N, M)
        nearest = apart.argmin(1)
        off = np.abs(np.hypot(*points.T) - np.hypot(*self.modes[0])) if self.is_ring else apart.min(1)  # (N,)
        good = off <= WITHIN * self.std
        count = np.bincount(nearest[good], minlength=M)
        return Coverage(int((count >= max(1.0, len(points) / (10 * M))).sum()), M, float(good.mean()))


def _circle(n: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (n, 2)


def _grid() -> np.ndarray:
    side = np.arange(-4.0, 5.0, 2.0)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)  # (25, 2)


TOYS: dict[str, Callable[[], Toy2D]] = {
    "gaussians25": lambda: Toy2D("gaussians25", _grid(), 0.05),
    "gaussians8": lambda: Toy2D("gaussians8", _circle(8), 0.02),
    "ring": lambda: Toy2D("ring", _circle(36), 0.05, is_ring=True),
}


def toy2d(name: str) -> Toy2D:
    """A distribution by its name.

    Raises:
        OptionError: no distribution has that name; the message lists the names.
    """
    if name not in TOYS:
        raise OptionError(f"no distribution in the plane is called {name!r}; there are: {', '.join(TOYS)}")
    return TOYS[name]()
