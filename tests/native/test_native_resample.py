"""Up- and down-sampling in C against the twins and float64: odd sizes, any layout, poisoned memory."""

import numpy as np
import pytest
from poison import rooms

from minigan.kernels import cpu, native
from minigan.kernels.native.library import LIBRARY

SHAPES = [(1, 1, 4, 6), (2, 3, 6, 4), (1, 5, 2, 2), (3, 17, 8, 12), (2, 64, 6, 6), (1, 200, 4, 2), (1, 3, 100, 130)]
SCALES = [(1, 1), (2, 2), (1, 2), (2, 1)]


@pytest.fixture(autouse=True)
def _no_rule(monkeypatch):
    """One channel, too, is computed in C."""
    monkeypatch.setattr(rooms(native)["resample"], "NARROW", 0)


def layouts(x):
    """Channels last, first, backwards and with gaps."""
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return last, np.ascontiguousarray(x), x[::-1].copy()[::-1], np.repeat(last, 2, 3)[..., ::2]


def bilinear(out, n):
    """The weights (out, n) of linear interpolation, pixels as areas (align_corners=False)."""
    at = np.clip((np.arange(out) + 0.5) * n / out - 0.5, 0, n - 1)
    low = np.minimum(at.astype(int), n - 1)
    matrix = np.zeros((out, n))
    np.add.at(matrix, (np.arange(out), low), 1 - (at - low))
    np.add.at(matrix, (np.arange(out), np.minimum(low + 1, n - 1)), at - low)
    return matrix


@pytest.mark.usefixtures("_poison")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_whole_factors_have_the_twins_bits(shape, rng, with_threads):
    for scale in [*SCALES, (3, 5)]:
        for x in layouts(rng.standard_normal(shape, np.float32)):
            wanted = cpu.upsample_nearest(x, scale)
            for threads in (1, 2, 3):
                y = with_threads(threads, native.upsample_nearest, x, scale)
                assert y.tobytes() == wanted.tobytes()
                assert y.strides == wanted.strides
    for scale in SCALES:
        for x in layouts(rng.standard_normal(shape, np.float32)):
            for threads in (1, 2, 3):
                y = with_threads(threads, native.block_sum, x, scale)
                assert y.tobytes() == cpu.block_sum(x, scale).tobytes()


@pytest.mark.usefixtures("_poison")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_linear_maps(shape, rng, with_threads):
    H, W = shape[2:]
    maps = [(bilinear(2 * H, H), bilinear(3 * W, W)), (bilinear(H - 1, H), None), (None, bilinear(W + 5, W)),
            (bilinear(3, H), bilinear(1, W)), (np.zeros((2, H)), np.eye(W)), (np.eye(H)[::-1], np.zeros((3, W)))]
    for rows, columns in maps:
        for x in layouts(rng.standard_normal(shape, np.float32)):
            truth = cpu.resample(x.astype(np.float64), rows, columns)
            results = [with_threads(n, native.resample, x, rows, columns) for n in (1, 2, 3)]
            assert len({y.tobytes() for y in results}) == 1
            assert results[0].strides == cpu.resample(x, rows, columns).strides or 1 in truth.shape
            np.testing.assert_allclose(results[0], truth, rtol=1e-6, atol=2e-6)


def test_bilinear_is_pytorchs(rng):
    """torch.nn.functional.interpolate(x, (6, 2), mode="bilinear") of the numbers 0 ... 11 as 3 x 4 pixels."""
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    y = native.resample(x, bilinear(6, 3), bilinear(2, 4))
    left = np.array([0.5, 1.5, 3.5, 5.5, 7.5, 8.5])
    np.testing.assert_allclose(y[0, 0], np.stack([left, left + 2], axis=1))


def test_dense_maps_and_other_types_are_the_twins(rng):
    x, rows = rng.standard_normal((2, 3, 20, 5), np.float32), rng.standard_normal((7, 20))
    assert native.resample(x, rows, None).tobytes() == cpu.resample(x, rows, None).tobytes()
    assert native.resample(x, None, None).tobytes() == cpu.resample(x, None, None).tobytes()
    assert native.resample(x.astype(np.float64), bilinear(9, 20), None).dtype == np.float64
    assert native.upsample_nearest(x[:0], (2, 2)).shape == (0, 3, 40, 10)
    with pytest.raises(ValueError):
        native.resample(x, bilinear(9, 19), None)
    with pytest.raises(ValueError):
        native.block_sum(x, (3, 2))


def test_nan_spreads_only_where_it_has_a_weight(rng):
    x = rng.standard_normal((1, 2, 8, 8), np.float32)
    x[0, 1, 3, 4] = np.nan
    y = native.resample(x, bilinear(16, 8), bilinear(16, 8))
    assert np.argwhere(np.isnan(y)).tolist() == [[0, 1, i, j] for i in range(5, 9) for j in range(7, 11)]


def test_wrong_sizes_are_refused():
    x, y, m = np.zeros(24, np.float32), np.zeros(96, np.float32), np.zeros(16, np.float32)
    LIBRARY.upsample_nearest(1, x, y, 4, 3, 2, 2, 2)
    LIBRARY.resample(1, x, m[:12], None, y[:18], 1, 4, 3, 2, 3, 3)
    for sizes in ((5, 3, 2, 2, 2), (4, 3, 2, 2, 0), (4, 3, -2, 2, 2), (4, 3, 2**62, 2, 2), (2**40, 2**40, 1, 1, 1)):
        with pytest.raises(ValueError, match="upsample_nearest: an array is missing, or smaller than its sizes say"):
            LIBRARY.upsample_nearest(1, x, y, *sizes)
        with pytest.raises(ValueError, match="block_sum: an array is missing, or smaller than its sizes say"):
            LIBRARY.block_sum(1, y, x, *sizes)
    for sizes in ((1, 4, 3, 2, 5, 3), (1, 4, 3, 2, 3, 4), (2, 4, 3, 2, 3, 3), (1, 0, 3, 2, 3, 3),
                  (2**62, 4, 3, 2, 3, 3)):  # fmt: skip
        with pytest.raises(ValueError, match="resample: an array is missing, or smaller than its sizes say"):
            LIBRARY.resample(1, x, m[:12], None, y[:18], *sizes)
