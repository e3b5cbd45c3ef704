"""Statistics over a minibatch: a discriminator that sees them notices if a generator draws too much alike.

    minibatch_stddev           one more channel: how far the images of a group differ
    minibatch_discrimination   learnt similarities of every sample to all others

Of ranks that train together, the minibatch is the joint one, unless their World has joint_norm = False.
"""

from __future__ import annotations

from minigan.engine import Operand, S, Tensor, operation
from minigan.engine.distributed import ALONE, World, joint
from minigan.errors import OptionError, ShapeError
from minigan.ops._samples import normal
from minigan.ops.elementwise import abs, exp, sqrt
from minigan.ops.linear import linear
from minigan.ops.ranks import over_ranks
from minigan.ops.reduce import mean, sum
from minigan.ops.shape import broadcast_to, concat, reshape, scatter


def _sharing() -> World:
    """The ranks whose samples are one minibatch."""
    return joint() if joint().joint_norm else ALONE


def _of_all(x: Operand, ranks: World) -> Operand:
    """The rows x (n, ...) of all ranks, one rank's after the other, (ranks n, ...).

    R times the mean over R ranks of each one's rows among zeros: so all its derivatives are those of over_ranks.
    """
    if ranks.size == 1:
        return x
    return over_ranks(scatter(x * ranks.size, index=(ranks.part(len(x)),), shape=(ranks.total(len(x)), *x.shape[1:])))


def group_size(count: int, group: int) -> int:
    """Size of the groups of `count` images: the largest divisor of count that is at most `group`.

    If that is 1, as for 7 images and groups of up to 4, all images are one group: one image alone has no deviation.

    >>> [group_size(count, 4) for count in (16, 6, 3, 7, 1)]
    [4, 3, 3, 7, 1]
    """
    best = max((size for size in range(1, min(group, count) + 1) if count % size == 0), default=1)
    return count if best == 1 and group > 1 else best


@operation(samples=lambda rng: [S(normal(rng, 4, 2, 2, 3), group=2), S(normal(rng, 5, 2, 1, 2)),
                                S(normal(rng, 6, 3), group=4), S(normal(rng, 1, 2, 2, 2))])
def minibatch_stddev(x: Operand, group: int = 4, eps: float = 1e-8) -> Tensor:
    """Append to x (N, C, ...) a channel with the mean standard deviation over a group of images: (N, C + 1, ...).

    Image n belongs to group n mod M, with M groups of G images; G is `group`, or less if that does not divide N, see
    group_size. The new channel has one number per group, everywhere.

    Forward   s[m] = mean_{c,h,w} (var_{n in group m} x[n,c,h,w] + eps)^(1/2),   var biased;   y = (x, s)
    VJP       gx[n] = gy[n, :C] + (x[n] - mean) (var + eps)^(-1/2) gs[m] / (G C H W),   gs[m] the sum of the last
              channel of gy over the group and its pixels
    Why       s is one number made of all images of the group, so each gets a part of the cotangents of all; a constant
              added to the group changes nothing, so these parts have no mean.
    Source    Karras et al., Progressive growing of GANs, 2018, section 3; groups of 4 are those of the paper's code.

    Raises:
        ShapeError: x is no (N, C, ...), or has no elements. OptionError: group below 1.
    """
    if x.ndim < 2 or 0 in x.shape:
        raise ShapeError(f"minibatch_stddev: x {x.shape} must be (N, C, ...), and not empty")
    if group < 1:
        raise OptionError(f"minibatch_stddev: group={group} must be at least 1")
    ranks = _sharing()
    N, (C, *space) = ranks.total(len(x)), x.shape[1:]
    G = group_size(N, group)
    M = N // G
    groups = reshape(_of_all(x, ranks), (G, M, C, *space))  # (G, M, C, H, W): image n = g M + m
    centred = groups - mean(groups, 0, True)
    spread = sqrt(mean(centred * centred, 0) + eps)  # (M, C, H, W)
    s = mean(spread, tuple(range(1, spread.ndim)), True)  # (M, 1, 1, 1)
    channel = reshape(broadcast_to(s, (G, M, 1, *space)), (N, 1, *space))  # (N, 1, H, W)
    return concat([x, channel if ranks.size == 1 else channel[ranks.part(len(x))]], 1)


@operation(samples=lambda rng: [S(normal(rng, 3, 4), normal(rng, 6, 4), dims=3),
                                S(normal(rng, 1, 3), normal(rng, 2, 3), dims=2)])
def minibatch_discrimination(x: Operand, w: Operand, dims: int) -> Tensor:
    """Append to features x (N, A) how similar each sample is to those of the batch: (N, A + B); w is (B dims, A).

    Forward   m = x w^T as (N, B, dims);   o[i,b] = sum_j exp(-sum_d |m[i,b,d] - m[j,b,d]|);   y = (x, o)
    VJP       with c[i,j,b] = exp(...):   gm[i,b,d] = -sum_j (go[i,b] + go[j,b]) c[i,j,b] sign(m[i,b,d] - m[j,b,d]),
              then as in linear;   sign(0) = 0
    Why       c is symmetric, so each difference carries the cotangents of both samples.
    Source    Salimans et al., Improved techniques for training GANs, 2016, section 3.2. o counts the sample itself, as
              there: a constant 1.

    Raises:
        ShapeError: x is no (N, A), or w no (B dims, A).
    """
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[1] or dims < 1 or w.shape[0] % dims:
        raise ShapeError(f"minibatch_discrimination: x {x.shape} must be (N, A) and w {w.shape} (B dims, A) with "
                         f"dims={dims}")
    ranks, B = _sharing(), w.shape[0] // dims
    n, N, m = len(x), ranks.total(len(x)), linear(x, w)  # n of the N samples are this rank's
    apart = reshape(m, (n, 1, B, dims)) - reshape(_of_all(m, ranks), (1, N, B, dims))  # (n, N, B, dims)
    similar = exp(-sum(abs(apart), 3))  # (n, N, B)
    return concat([x, sum(similar, 1)], 1)


__all__ = ["minibatch_discrimination", "minibatch_stddev"]
