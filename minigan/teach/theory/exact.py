"""Distributions whose distances are known: mixtures of Gaussians on the line, and two parallel lines in the plane.

    KL(p, q) = E_p ln(p / q)
    JS(p, q) = KL(p, m) / 2 + KL(q, m) / 2,   m = (p + q) / 2           0 if p = q, ln 2 if they do not overlap
    W(p, q)  = the least mean distance that turns p into q; on the line, the area between the distribution functions

All logarithms are natural. Integrals are sums over an even grid from tail to tail; for smooth densities that vanish at
both ends, they converge faster than any power of the step (Trefethen & Weideman, 2014).
"""

from __future__ import annotations

__all__ = ["Gaussians", "Lines", "js", "kl", "optimal_discriminator", "value", "wasserstein"]

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minigan.engine import Tensor, tensor
from minigan.errors import OptionError
from minigan.random import Stream

LOG2, LOG4 = math.log(2), math.log(4)
TAIL = 12.0  # standard deviations; 1e-32 of a Gaussian lies beyond
POINTS = 20_001

Draw = Callable[[], Tensor]


@dataclass(frozen=True)
class Gaussians:
    """A mixture of Gaussians on the line: sum_k weights[k] N(means[k], stds[k]^2).

    Raises:
        OptionError: the three differ in length, a std or weight is not positive, or the weights do not add up to 1.
    """

    means: tuple[float, ...]
    stds: tuple[float, ...]
    weights: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not len(self.means) == len(self.stds) == len(self.weights):
            raise OptionError(f"Gaussians: {len(self.means)} means, {len(self.stds)} stds and {len(self.weights)} "
                              "weights; each component needs one of each")
        if min(self.stds, default=0) <= 0 or min(self.weights) <= 0 or not math.isclose(sum(self.weights), 1):
            raise OptionError(f"Gaussians: stds={self.stds} and weights={self.weights} must be above 0, and the "
                              "weights add up to 1")

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """The log density ln p(x), float64 (N,); finite for any x."""
        terms = [math.log(w / (s * math.sqrt(2 * math.pi))) - ((x - m) / s) ** 2 / 2
                 for m, s, w in zip(self.means, self.stds, self.weights, strict=True)]
        return np.asarray(np.logaddexp.reduce(terms))

    def density(self, x: np.ndarray) -> np.ndarray:
        """p(x), (N,)."""
        return np.exp(self.log_density(x))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """P(X <= x), (N,)."""
        erf = np.frompyfunc(math.erf, 1, 1)
        terms = [w / 2 * (1 + np.asarray(erf((x - m) / (s * math.sqrt(2))), float))
                 for m, s, w in zip(self.means, self.stds, self.weights, strict=True)]
        return np.asarray(np.sum(terms, axis=0))

    def batches(self, n: int, noise: Stream) -> Draw:
        """A function that returns new samples (n, 1), float32, on the current device, each time it is called.

        Every component gives its share of each batch, rounded to whole samples. So there is no noise in which component
        a sample comes from, and expectations are unchanged.
        """
        ends = np.round(np.cumsum(self.weights) * n).astype(int)
        counts = np.diff(ends, prepend=0)
        centres, widths = (tensor(np.repeat(v, counts)[:, None].astype(np.float32))  # (n, 1)
                           for v in (self.means, self.stds))
        return lambda: centres + widths * Tensor(noise.normal((n, 1), np.float32, centres.device))


@dataclass(frozen=True)
class Lines:
    """(theta, y) with y uniform in [0, 1), beside theta = 0: example 1 of Arjovsky, Chintala & Bottou, 2017."""

    theta: float = 0.0

    def batches(self, n: int, noise: Stream) -> Draw:
        """A function that returns new samples (n, 2), float32, on the current device, each time it is called."""
        corner, along = tensor([[self.theta, 0.0]], dtype=np.float32), tensor([[0.0, 1.0]], dtype=np.float32)
        return lambda: corner + Tensor(noise.uniform((n, 1), np.float32, corner.device)) * along

    def kl(self) -> float:
        """KL to the line at 0: infinite unless theta is 0, since each has density where the other has none."""
        return math.inf if self.theta else 0.0

    def js(self) -> float:
        """JS to the line at 0: ln 2 unless theta is 0. Its derivative by theta, where there is one, is 0."""
        return LOG2 if self.theta else 0.0

    def wasserstein(self) -> float:
        """W to the line at 0: |theta|, as every point moves straight across."""
        return abs(self.theta)


def grid(*distributions: Gaussians) -> np.ndarray:
    """Points from tail to tail of all the distributions, (POINTS,)."""
    ends = [m + side * TAIL * s for d in distributions for m, s in zip(d.means, d.stds, strict=True)
            for side in (-1, 1)]
    return np.linspace(min(ends), max(ends), POINTS)


def expectation(p: Gaussians, values: np.ndarray, x: np.ndarray) -> float:
    """E_p of a function, from its values on the grid x."""
    return float(np.trapezoid(p.density(x) * values, x))


def optimal_discriminator(p: Gaussians, q: Gaussians, x: np.ndarray) -> np.ndarray:
    """D*(x) = p(x) / (p(x) + q(x)): proposition 1 of Goodfellow et al., 2014."""
    log_p = p.log_density(x)
    return np.exp(log_p - np.logaddexp(log_p, q.log_density(x)))


def kl(p: Gaussians, q: Gaussians) -> float:
    """KL(p, q), the mean of ln(p / q) under p."""
    x = grid(p, q)
    return expectation(p, p.log_density(x) - q.log_density(x), x)


def js(p: Gaussians, q: Gaussians) -> float:
    """JS(p, q), between 0 and ln 2."""
    x = grid(p, q)
    log_m = np.logaddexp(p.log_density(x), q.log_density(x)) - LOG2
    return (expectation(p, p.log_density(x) - log_m, x) + expectation(q, q.log_density(x) - log_m, x)) / 2


def value(p: Gaussians, q: Gaussians) -> float:
    """max_D V(D, G) = -ln 4 + 2 JS(p, q): theorem 1 of Goodfellow et al., 2014."""
    return -LOG4 + 2 * js(p, q)


def wasserstein(p: Gaussians, q: Gaussians) -> float:
    """W(p, q), the area between the two distribution functions."""
    x = grid(p, q)
    return float(np.trapezoid(np.abs(p.cdf(x) - q.cdf(x)), x))
