"""Sums in C against float64: every set of axes and layout, poisoned memory, any number of threads."""

import itertools

import numpy as np
import pytest

from minigan.kernels import cpu, native
from minigan.kernels.native import reduce

SHAPES = [(2, 3, 4, 5), (3, 17, 20, 21), (1, 1, 64, 65), (4, 64, 8, 8), (5, 200, 3, 7), (300, 16), (9000,),
          (1, 5000, 1, 1)]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_rule(monkeypatch):
    """Small arrays, too, are added in C."""
    monkeypatch.setattr(reduce, "FEW", 1)
    monkeypatch.setattr(reduce, "THIN", 1)


def sets(ndim):
    return [None, *(axes for n in range(1, ndim + 1) for axes in itertools.combinations(range(ndim), n))]


@pytest.mark.usefixtures("_poison")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equal_float64(shape, rng):
    x = rng.standard_normal(shape, np.float32) + np.float32(0.3)
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if x.ndim > 1 else x
    for axes, keepdims, a in itertools.product(sets(x.ndim), (False, True), (x, last)):
        before = a.tobytes()
        y, truth = native.reduce_sum(a, axes, keepdims), a.astype(np.float64).sum(axes, keepdims=keepdims)
        assert y.shape == truth.shape
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, truth, rtol=1e-6, atol=1e-6 * np.sqrt(x.size))
        np.testing.assert_allclose(y, cpu.reduce_sum(a, axes, keepdims), rtol=1e-4, atol=1e-5 * np.sqrt(x.size))
        assert a.tobytes() == before


def test_axes_in_any_spelling(rng):
    x = rng.standard_normal((4, 5, 6), np.float32)
    for axes in (-1, 1, (-1, 0), (1, -1), (2, 0, 1), ()):
        np.testing.assert_allclose(native.reduce_sum(x, axes), x.sum(axes), rtol=1e-5, atol=1e-5)
    assert isinstance(native.reduce_sum(x), np.float32)
    with pytest.raises(np.exceptions.AxisError):
        native.reduce_sum(x, 3)
    with pytest.raises(ValueError, match="duplicate"):
        native.reduce_sum(x, (0, 0))


def test_layouts_and_types(rng):
    x = rng.standard_normal((4, 5, 6, 8), np.float32)
    memory = np.zeros(x.size + 1, np.float32)[1:].reshape(x.shape)
    memory[...] = x
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    turned = x.transpose(3, 0, 2, 1).copy().transpose(1, 3, 2, 0)
    for a in (memory, odd, np.repeat(x, 2, 3)[..., ::2], x[::-1].copy()[::-1], turned):
        np.testing.assert_allclose(native.reduce_sum(a, (0, 2, 3)), x.sum((0, 2, 3)), rtol=1e-5, atol=1e-5)
    for a in (x.astype(np.float64), (x > 0), (9 * x).astype(np.int32), x[:0], x.astype(np.complex64)):
        y, wanted = native.reduce_sum(a, 0), a.sum(0)
        assert y.dtype == wanted.dtype
        assert y.tobytes() == wanted.tobytes()


def test_same_bytes_at_any_number_of_threads(rng, with_threads):
    for shape, axes in (((3, 33, 97, 101), (0, 2, 3)), ((3, 33, 97, 101), None), ((40, 3, 50, 50), (1, 2, 3))):
        x = rng.standard_normal(shape, np.float32).transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
        assert len({with_threads(n, native.reduce_sum, x, axes).tobytes() for n in (1, 2, 3, 8)}) == 1


def test_long_sums_keep_their_digits():
    """One float32 sum of 2**25 ones would stop at 2**24."""
    assert native.reduce_sum(np.ones(2**25 + 6, np.float32)) == 2**25 + 8  # the nearest that float32 has
    x = np.full((1, 3, 2000, 2000), 0.1, np.float32)
    np.testing.assert_allclose(native.reduce_sum(x, (0, 2, 3)), 4e6 * np.float64(np.float32(0.1)), rtol=5e-6)


def test_nan_and_infinity_stay_in_their_channel(rng):
    x = rng.standard_normal((2, 20, 20, 5), np.float32).transpose(0, 3, 1, 2)
    x[1, 2, 3, 4], x[0, 4, 0, 0], x[0, 4, 1, 1] = np.nan, np.inf, -np.inf
    assert np.flatnonzero(np.isnan(native.reduce_sum(x, (0, 2, 3)))).tolist() == [2, 4]


def test_wrong_sizes_are_refused():
    x, y = np.zeros(24, np.float32), np.zeros(3, np.float32)
    for sizes in ((1, 8, 4), (2, 2, 5), (4, 2, 3), (0, 8, 3), (2**62, 8, 3), (-1, -8, 3)):
        with pytest.raises(ValueError, match="reduce_sum: an array is missing, or smaller than its sizes say"):
            native.library.LIBRARY.reduce_sum(1, x, y, *sizes)
