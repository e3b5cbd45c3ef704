"""Norms in C against float64 NumPy and their twins: odd shapes, layouts, poisoned memory, any number of threads."""

import numpy as np
import pytest
from kernel_cases import CASES
from poison import poison_new_memory

from minigan.kernels import cpu, native

SHAPES = [(5, C, 3, 4) for C in (1, 3, 5, 16, 17, 33, 64, 200)] + [
    (2, 3, 1, 1), (1, 1, 1, 1), (3, 7), (1, 1, 37, 31), (2, 1, 130, 130), (3, 3, 97, 101), (1, 17, 60, 61),
    (4, 128, 8, 8), (2, 257, 5, 7), (3, 1001), (64, 2, 1, 2), (700, 4, 3), (2, 300, 9, 8), (2, 3, 4, 5, 6),
]  # fmt: skip
OVER = ("batch", "instance", "layer")
SLOPES = (None, 0.0, 0.2, 1.5)


def last(x):
    """Stored channels-last."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def axes(over, ndim):
    space = tuple(range(2, ndim))
    return {"batch": (0, *space), "instance": space, "layer": (1, *space)}[over]


def wide(v, ndim):
    return 1 if v is None else v.astype(np.float64).reshape(1, -1, *(1,) * (ndim - 2))


def reference(x, gy, gamma, beta, over, slope):
    """mean, var, y, gx, ggamma, gbeta in float64, the gate from y."""
    x, gy, all_axes, eps = x.astype(np.float64), gy.astype(np.float64), axes(over, x.ndim), 1e-3
    mean, var = x.mean(all_axes, keepdims=True), x.var(all_axes, keepdims=True)
    rstd = 1 / np.sqrt(var + eps)
    xhat = (x - mean) * rstd
    y = wide(gamma, x.ndim) * xhat + (0 if beta is None else wide(beta, x.ndim))
    if slope is not None:
        gy = np.where(y > 0, gy, slope * gy)
        y = np.where(y > 0, y, slope * y)
    g = wide(gamma, x.ndim) * gy
    gx = rstd * (g - g.mean(all_axes, keepdims=True) - xhat * (g * xhat).mean(all_axes, keepdims=True))
    return mean, var, y, gx, (gy * xhat).sum(axes("batch", x.ndim)), gy.sum(axes("batch", x.ndim))


def computed(room, x, gy, gamma, beta, over, slope):
    """The same from a room; the gate is that of the reference's y, for rounding must not open or close it."""
    mean, var, rstd = room.norm_stats(x, over, 1e-3)
    on = None if slope is None else reference(x, gy, gamma, beta, over, slope)[2].astype(np.float32)
    y = room.norm_apply(x, mean, rstd, gamma, beta, slope)
    return mean, var, y, *room.norm_grad(gy, x, mean, rstd, gamma, over, on, slope)


def draw(shape, rng, affine=True):
    x, gy = (last(rng.standard_normal(shape, np.float32)) for _ in range(2))
    gamma, beta = rng.standard_normal((2, shape[1]), np.float32) if affine else (None, None)
    return x + np.float32(0.5), gy, gamma, beta


def assert_close(result, wanted, tolerance=2e-5):
    for a, b in zip(result, wanted, strict=True):
        assert a.shape == b.shape
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.usefixtures("_poison")
def test_equal_float64(over, shape, rng):
    for slope, affine in zip(SLOPES, (True, False, True, False), strict=True):
        arguments = draw(shape, rng, affine)
        copies = [None if a is None else a.copy(order="K") for a in arguments]
        result = computed(native, *arguments, over, slope)
        tolerance = 2e-5 if np.prod([shape[i] for i in axes(over, len(shape))]) > 2 else 1e-3  # xhat of few numbers
        assert_close(result, reference(*arguments, over, slope), tolerance)
        for ours, twin in zip(result, computed(cpu, *arguments, over, slope), strict=True):
            assert ours.shape == twin.shape
            assert ours.strides == twin.strides or min(ours.shape, default=0) <= 1
        for a, before in zip(arguments, copies, strict=True):
            assert a is None or a.tobytes() == before.tobytes()


@pytest.mark.parametrize("shape", [(3, 3, 97, 101), (1, 64, 70, 70), (40, 33, 5, 5), (2, 257, 25, 7)], ids=str)
def test_same_bytes_at_any_number_of_threads(shape, rng, with_threads):
    for over in OVER:
        arguments = draw(shape, rng)
        results = [with_threads(n, computed, native, *arguments, over, 0.2) for n in (1, 2, 3, 8)]
        for other in results[1:]:
            assert all(a.tobytes() == b.tobytes() for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("over", OVER)
def test_a_large_mean_keeps_variance_and_outputs(over, rng):
    """The twin's bound is a few of x's last digits; here x - mean is exact, so outputs keep nearly all of theirs."""
    x, gy, gamma, beta = draw((8, 16, 33, 32), rng)
    x += np.float32(1000)
    result, wanted = computed(native, x, gy, gamma, beta, over, None), reference(x, gy, gamma, beta, over, None)
    np.testing.assert_allclose(result[0], wanted[0], rtol=6e-8)  # half a unit in float32's last place
    np.testing.assert_allclose(result[1], wanted[1], rtol=2e-6)
    assert_close(result[2:], wanted[2:], 2e-4)  # the mean that was rounded to float32 is up to 3e-5 away


def test_a_start_unlike_the_rest_keeps_the_variance(rng):
    """The first pixels decide on the pivot: a constant border, or one first number far from all others, is no harm."""
    for first in (1, 100, 2047, 5000):
        x = rng.standard_normal((1, 1, 1, 40_000), np.float32)
        x[..., :first] = 1e4
        mean, var, _ = native.norm_stats(x, "batch", 0)
        np.testing.assert_allclose(mean.item(), x.astype(np.float64).mean(), rtol=1e-6)
        np.testing.assert_allclose(var.item(), x.astype(np.float64).var(), rtol=1e-5)
    constant = np.full((2, 3, 40, 40), 0.1, np.float32)
    mean, var, rstd = native.norm_stats(constant, "instance", 1e-5)
    assert (mean == np.float32(0.1)).all()
    assert (var < 1e-14).all()
    np.testing.assert_allclose(rstd, 1e-5**-0.5, rtol=1e-6)


def test_layouts(rng):
    x, gy, gamma, beta = draw((3, 5, 6, 7), rng)
    unaligned = last(np.zeros((3, 5, 6, 7), np.float32))
    memory = np.zeros(x.size + 1, np.float32)[1:]  # 4 bytes behind a multiple of 16
    unaligned = memory.reshape(3, 6, 7, 5).transpose(0, 3, 1, 2)
    unaligned[...] = x
    doubled = np.repeat(x, 2, 3)[..., ::2]
    wanted = computed(native, x, gy, gamma, beta, "batch", 0.2)
    for other in (np.ascontiguousarray(x), unaligned, doubled, x[::-1, :, ::-1].copy()[::-1, :, ::-1]):
        result = computed(native, other, np.ascontiguousarray(gy), gamma, np.repeat(beta, 2)[::2], "batch", 0.2)
        assert_close(result, wanted, 1e-6)
    with_twin = native.norm_apply(x.astype(np.float64), *native.norm_stats(x, "batch", 0)[::2], gamma, beta)
    assert with_twin.dtype == np.float64


def test_statistics_of_one_image_serve_a_batch(rng):
    """In evaluation, those that batch norm applies are not the batch's; (1, C, 1, 1) or (1, 1, 1, 1)."""
    x, _, gamma, beta = draw((3, 5, 6, 7), rng)
    for mean, rstd in (rng.random((2, 1, 5, 1, 1), np.float32), rng.random((2, 1, 1, 1, 1), np.float32)):
        y = native.norm_apply(x, mean, rstd, gamma, beta)
        np.testing.assert_allclose(y, (x - mean) * rstd * wide(gamma, 4) + wide(beta, 4), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("_poison")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_addend_gives_the_bits_of_a_sum(shape, rng, with_threads):
    for slope, over in (None, "batch"), (0.2, "instance"), (0.0, "layer"):
        x, addend, gamma, beta = draw(shape, rng)
        mean, _, rstd = native.norm_stats(x, over, 1e-3)
        wanted = addend + native.norm_apply(x, mean, rstd, gamma, beta)
        wanted = wanted if slope is None else native.leaky_relu(wanted, slope)
        results = [with_threads(n, native.norm_apply, x, mean, rstd, gamma, beta, slope, addend) for n in (1, 3)]
        results.append(native.norm_apply(x, mean, rstd, gamma, beta, slope, np.ascontiguousarray(addend)))
        for y in results:
            np.testing.assert_array_equal(y, wanted)


def test_nan_and_infinity_stay_in_their_channel(rng):
    for special in (np.nan, np.inf, -np.inf):
        x, gy, gamma, beta = draw((2, 5, 20, 20), rng)
        x[1, 2, 3, 4] = special
        mean, var, rstd = native.norm_stats(x, "instance", 1e-5)
        assert np.argwhere(np.isnan(var)).tolist() == np.argwhere(np.isnan(rstd)).tolist() == [[1, 2, 0, 0]]
        assert not np.isfinite(mean[1, 2])
        y = native.norm_apply(x, mean, rstd, gamma, beta, 0.0)
        gx, ggamma, _ = native.norm_grad(gy, x, mean, rstd, gamma, "instance", y, 0.0)
        for result in (y, gx):
            assert np.isnan(result[1, 2]).all()
            assert np.isfinite(np.delete(result.reshape(10, -1), 7, 0)).all()  # (N*C, pixels)
        assert np.flatnonzero(np.isnan(ggamma)).tolist() == [2]
    x, gy, gamma, _ = draw((2, 3, 4, 4), rng)
    gy[...] = np.nan
    closed = np.full_like(x, -1)
    gx, *_ = native.norm_grad(gy, x, *native.norm_stats(x, "batch", 1e-5)[::2], gamma, "batch", closed, 0.0)
    assert (gx == 0).all()  # not even NaN passes a closed gate of slope 0


@pytest.mark.usefixtures("_poison")
@pytest.mark.parametrize("name", ["norm_stats", "norm_apply", "norm_grad"])
def test_the_common_cases(name, monkeypatch):
    for arguments in CASES[name]:
        arguments = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in arguments]
        wanted = getattr(cpu, name)(*arguments)
        with monkeypatch.context() as patched:
            poison_new_memory(patched)
            result = getattr(native, name)(*arguments)
        wanted, result = ([v] if isinstance(v, np.ndarray) else v for v in (wanted, result))
        for a, b in zip(result, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_wrong_sizes_are_refused(rng):
    x, small = rng.random((2, 3, 4, 5), np.float32), np.zeros(2, np.float32)
    ones = np.ones((1, 3, 1, 1), np.float32)
    with pytest.raises(ValueError, match="norm_stats: an array is missing, or smaller"):
        native.library.LIBRARY.norm_stats(1, x, ones, ones, ones, 2**62, 2**62, 4, 1e-5)
    with pytest.raises(ValueError, match="norm_apply: an array is missing, or smaller"):
        native.norm_apply(x, ones, ones, small, None)
    with pytest.raises(ValueError, match="norm_apply: an array is missing, or smaller"):
        native.norm_apply(x, ones, ones, None, None, None, x[1:])
    with pytest.raises(ValueError, match="norm_grad: an array is missing, or smaller"):
        native.norm_grad(small.reshape(1, 2), x, ones, ones, None, "batch")
    with pytest.raises(ValueError, match="norm_grad: an array is missing, or smaller"):
        native.norm_grad(x, x, ones, ones, None, "batch", share=lambda sums: sums[:1])
    with pytest.raises(ValueError, match="norm_grad: an array is missing, or smaller"):  # sums are of one group
        native.norm_grad(x, x, *np.ones((2, 2, 3, 1, 1), np.float32), None, "instance", share=lambda sums: sums)
