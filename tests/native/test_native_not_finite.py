"""How far a NaN or an infinity reaches in a convolution with fewer products: whole tiles, no further."""

import numpy as np
import pytest

from minigan.kernels.native import direct, winograd

ONE, SIZE = (1, 1), 16


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which, tile", [(winograd.F23, 2), (winograd.F43, 4)])
@pytest.mark.parametrize("row, column", [(0, 0), (4, 7), (8, 3), (15, 12)])
def test_one_value_spoils_the_tiles_whose_windows_hold_it(row, column, which, tile, value, rng):
    """At least what the direct sum spoils, in all channels; at most these tiles of this image (docs/performance.md)."""
    x, w = rng.standard_normal((2, SIZE, SIZE, 8), np.float32), rng.standard_normal((3, 3, 8, 20), np.float32)
    y, plain = np.zeros((2, 2, SIZE, SIZE, 20), np.float32)
    x[0, row, column, 3] = value
    winograd.forward(which, x, w, None, y, ONE)
    direct.forward(x, w, None, plain, ONE, ONE, ONE)
    spoilt, least = (~np.isfinite(a) for a in (y, plain))
    assert least[0].any() and spoilt[least].all()
    first = np.arange(SIZE) // tile * tile  # of each output's tile
    reached = [(first - 1 <= at) & (at <= first + tile) for at in (row, column)]
    outside = ~np.logical_and.outer(*reached)
    assert not spoilt[0, outside].any()
    assert not spoilt[1].any()
    reach = 1 if tile == 2 else 3
    for at, rows in zip((row, column), reached, strict=True):
        assert abs(np.flatnonzero(rows) - at).max() <= 1 + reach  # the direct sum reaches one pixel
