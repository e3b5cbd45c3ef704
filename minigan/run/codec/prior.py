"""The statistics of codes: counts of each value given the values to its left, above it, and in the channel before.

    P(s | left, up, before)  =  (n(s, left, up, before) + w P(s | left, up)) / (n(left, up, before) + w)

and so on with P(s | left, up) and P(s), down to P = 1/L: where a context was rarely seen, a shorter one decides.
Source   Bell, Cleary & Witten, Text compression, 1990, chapter 3, on blending contexts.
"""

from __future__ import annotations

import numpy as np

from minigan.errors import CheckpointError, ShapeError

WEIGHT = 2.0  # w: a shorter context counts as much as this many observations
MOST_COUNTS = 1 << 24  # numbers of a table


class Prior:
    """Probabilities of a code's numbers in their context.

    counts  uint32 (K, L+1, L+1, L+1, L): by channel, value to the left, above, in channel k-1, and own value; the value
            L stands for a neighbour outside the code

    Raises:
        CheckpointError: counts of another shape or type.
    """

    def __init__(self, counts: np.ndarray) -> None:
        shape = counts.shape
        if counts.ndim != 5 or shape[4] < 2 or shape[1:4] != (shape[4] + 1,) * 3 or counts.dtype != np.uint32 or not (
                0 < counts.size <= MOST_COUNTS):
            raise CheckpointError(f"a prior's counts are uint32 (K, L+1, L+1, L+1, L), not {counts.dtype} {shape}; use "
                                  "the prior.safetensors that the run wrote")
        self.counts, self.code, self.levels = counts, shape[0], shape[4]
        n = counts.astype(np.float64)  # whole numbers below 2^53: sums are exact, in any order
        p = np.full((self.code, 1, 1, 1, self.levels), 1 / self.levels)
        for longer in (n.sum((1, 2, 3), keepdims=True), n.sum(3, keepdims=True), n):
            p = (longer + WEIGHT * p) / (longer.sum(4, keepdims=True) + WEIGHT)
        self.probabilities: np.ndarray = p.astype(np.float32)  # (K, L+1, L+1, L+1, L)

    @classmethod
    def of(cls, symbols: np.ndarray, levels: int) -> Prior:
        """Counted in codes, whole numbers (N, K, h, w) from 0 to levels-1.

        Raises:
            ShapeError: not four axes, or a number out of range.
        """
        if symbols.ndim != 4 or not symbols.size or symbols.min() < 0 or symbols.max() >= levels:
            raise ShapeError(f"codes {symbols.shape} must be (N, K, h, w), not empty, of 0 to {levels - 1}")
        code = symbols.shape[1]
        counts = np.zeros((code, *[levels + 1] * 3, levels), np.uint32)
        channel = np.arange(code)[:, None, None]
        np.add.at(counts, (channel, *context(symbols, levels), symbols), 1)
        return cls(counts)

    def rows(self, symbols: np.ndarray) -> np.ndarray:
        """The probabilities (K, h, w, L) of the values at each place of one code (K, h, w), all of which is known."""
        left, up, before = (part[0] for part in context(symbols[None], self.levels))
        rows: np.ndarray = self.probabilities[np.arange(self.code)[:, None, None], left, up, before]
        return rows

    def bits(self, symbols: np.ndarray) -> float:
        """The ideal length of one code (K, h, w): minus the sum of log2 P."""
        return float(-np.log2(np.take_along_axis(self.rows(symbols), symbols[..., None], 3).astype(np.float64)).sum())


def context(symbols: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values to the left, above and in the channel before of codes (N, K, h, w); `levels` outside."""
    N, K, h, w = symbols.shape
    around = np.full((N, K + 1, h + 1, w + 1), levels)
    around[:, 1:, 1:, 1:] = symbols
    return around[:, 1:, 1:, :-1], around[:, 1:, :-1, 1:], around[:, :-1, 1:, 1:]
