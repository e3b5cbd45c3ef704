"""Quantisation for learnt compression: the soft assignment of a number to levels, and the hard one with its gradient.

    c_j = j - (L-1)/2,  j = 0 .. L-1        p_j(x) = softmax_j(-sharpness (x - c_j)^2)

Rounding has no useful derivative. Training uses the nearest level in the forward pass and, in its place, the slope of
the mean level sum_j c_j p_j(x) in the backward pass.
Source   Agustsson, Mentzer, Tschannen, Cavigelli, Timofte, Benini & Van Gool, Soft-to-hard vector quantization for
end-to-end learning compressible representations, 2017; Mentzer et al., Conditional probability models for deep image
compression, 2018, on quantisation.
"""

from __future__ import annotations

import numpy as np

from minigan.engine import Array, S, Tensor, primitive
from minigan.errors import OptionError
from minigan.ops._samples import spread


@primitive(samples=lambda rng: [S(spread(rng, 3, 4, low=-3, high=3), levels=5),
                                S(spread(rng, 2, 3), levels=4, moment=2, sharpness=0.7)], keeps=("x", "y"))
def soft_levels(x: Array, levels: int, moment: int = 1, sharpness: float = 1.0) -> Array:
    """The mean of powers of the levels under the soft assignment of x; for moment 1, a smooth staircase.

    With L = levels, m = moment and s = sharpness:

    Forward   y = M_m(x) = sum_j c_j^m p_j,   c_j = j - (L-1)/2,   p = softmax_j(-s (x - c_j)^2)
    VJP       gx = gy 2 s (M_{m+1}(x) - y M_1(x))
    Why       dp_j/dx = 2 s p_j (c_j - M_1), the term -2 s x being common to all logits. So the derivative of a mean is
              a covariance with c; for m = 1 it is 2 s Var(c): largest half-way between levels, 0 far outside of them.
    Source    Mentzer et al., Conditional probability models for deep image compression, 2018.
    """
    half = (levels - 1) / 2
    reach = half + 20 / sharpness  # from there on the outer level has all the weight, to rounding
    x = np.clip(x, -reach, reach)
    nearest = np.maximum(np.abs(x) - half, 0) ** 2  # at most the least exponent, which it replaces by about 0
    weight, total = np.zeros_like(x), np.zeros_like(x)
    for c in (level - half for level in range(levels)):
        p = np.exp(sharpness * (nearest - (x - c) ** 2))
        total = total + p
        weight = weight + p * c**moment
    return weight / total


soft_levels.defvjp(x=lambda gy, y, x, *, levels, moment=1, sharpness=1.0: gy * (2.0 * sharpness * (
    soft_levels(x, levels, moment + 1, sharpness) - y * (y if moment == 1 else soft_levels(x, levels, 1, sharpness)))))


def nearest_level(x: Array, levels: int) -> Array:
    """The number j of the level c_j = j - (levels-1)/2 that is nearest to each element of x, as whole floats of x."""
    return np.clip(np.rint(x + (levels - 1) / 2), 0, levels - 1)


def quantize(x: Tensor, levels: int, sharpness: float = 1.0) -> Tensor:
    """The level nearest to each element of x, with the slope of the soft assignment (`soft_levels`) as its gradient.

    Far outside the levels, where a step of x changes nothing, the gradient is 0: nothing drives x away. A plain
    straight-through gradient of 1 does so. What is returned without a graph is a level exactly; with one, to rounding.

    Raises:
        OptionError: fewer than 2 levels, or a sharpness that is not above 0.
    """
    if levels < 2 or not sharpness > 0:
        raise OptionError(f"quantize: levels={levels} must be at least 2 and sharpness={sharpness} above 0")
    hard = nearest_level(x.data, levels) - (levels - 1) / 2
    if not x.requires_grad:
        return Tensor(hard)
    soft = soft_levels(x, levels, 1, sharpness)
    return soft + Tensor(hard - soft.data)


__all__ = ["quantize", "soft_levels"]
