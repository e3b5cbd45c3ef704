"""Means over ranks that train together, as an operation that can be differentiated any number of times."""

from __future__ import annotations

from minigan.engine import Array, S, primitive
from minigan.engine.distributed import joint
from minigan.ops._samples import normal


@primitive(samples=lambda rng: [S(normal(rng, 3, 2))], keeps=(), linear_in=("x",))
def over_ranks(x: Array) -> Array:
    """The mean of x, of any shape, over the ranks that train together; with one process, x.

    Forward   y = sum_r x[r] / R,   x[r] on rank r of R; the same on all ranks
    VJP       gx = sum_r gy[r] / R = over_ranks(gy)
    Why       the loss is a sum over ranks, and x[r] is in the y of every rank: its cotangent is the sum of all ranks'
              gy over R. As a matrix, the operation is symmetric.
    """
    y, = joint().mean([x])
    return y if joint().size > 1 else x.copy()


over_ranks.defvjp(x=lambda gy, y, x: over_ranks(gy))

__all__ = ["over_ranks"]
