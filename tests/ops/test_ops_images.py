"""Normalisation, resizing and pooling of images against formulas, evaluated pixel by pixel."""

import math

import numpy as np
import pytest

import minigan as mg
from minigan import Tensor, ops
from minigan.errors import DTypeError, ShapeError

X = np.random.default_rng(11).normal(2.0, 3.0, size=(3, 4, 5, 2))
GAMMA, BETA = np.array([1.0, -0.5, 2.0, 0.1]), np.array([0.0, 1.0, -2.0, 0.3])


# ---- normalisation ----
def batch_norm_of(n, c, h, w, eps=1e-5):
    group = [float(v) for v in X[:, c].ravel()]
    mean = math.fsum(group) / len(group)
    var = math.fsum((v - mean) ** 2 for v in group) / len(group)
    return GAMMA[c] * (X[n, c, h, w] - mean) / math.sqrt(var + eps) + BETA[c]


def test_batch_norm_of_each_number():
    y = ops.batch_norm(X, GAMMA, BETA)
    for index in np.ndindex(X.shape):
        assert y.data[index] == pytest.approx(batch_norm_of(*index), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("norm, axes, per_element", [
    (lambda x, g, b: ops.batch_norm(x, g, b), (0, 2, 3), False), (ops.instance_norm, (2, 3), False),
    (ops.layer_norm, (1, 2, 3), True)], ids=["batch", "instance", "layer"])
@pytest.mark.parametrize("affine", [False, True])
def test_statistics_of_the_output(norm, axes, per_element, affine):
    """Mean 0 and variance var/(var+eps) over the right axes; gamma and beta afterwards."""
    xhat = norm(X, None, None).data
    var = X.var(axes)
    np.testing.assert_allclose(xhat.mean(axes), 0, atol=1e-14)
    np.testing.assert_allclose(xhat.var(axes), var / (var + 1e-5), rtol=1e-12)
    if affine:
        rng = np.random.default_rng(0)
        g, b = rng.normal(size=(2, *X.shape[1:])) if per_element else (GAMMA, BETA)
        wide = [v if per_element else v[:, None, None] for v in (g, b)]
        np.testing.assert_allclose(norm(X, g, b).data, wide[0] * xhat + wide[1], rtol=1e-12, atol=1e-13)


def test_pixel_norm_has_unit_mean_square():
    y = ops.pixel_norm(X).data
    np.testing.assert_allclose((y * y).mean(1), (X * X).mean(1) / ((X * X).mean(1) + 1e-8), rtol=1e-12)
    np.testing.assert_allclose(y * np.sqrt((X * X).mean(1, keepdims=True) + 1e-8), X, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.1, 0.3, 1.0])
def test_running_statistics(momentum):
    """PyTorch's convention: new = (1 - momentum) old + momentum batch; the running variance is the unbiased one."""
    mean, var = np.full(4, 5.0), np.full(4, 7.0)
    expected_mean = (1 - momentum) * 5.0 + momentum * X.mean((0, 2, 3))
    expected_var = (1 - momentum) * 7.0 + momentum * X.var((0, 2, 3), ddof=1)
    kept = mean
    ops.batch_norm(X, GAMMA, BETA, mean, var, True, momentum)
    assert kept is mean
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-12)
    np.testing.assert_allclose(var, expected_var, rtol=1e-12)


def test_evaluation_uses_the_running_statistics_and_leaves_them():
    mean, var = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 4.0, 9.0, 0.5])
    x = mg.tensor(X, requires_grad=True)
    y = ops.batch_norm(x, GAMMA, BETA, mean, var, training=False)
    per_channel = GAMMA / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(y.data, (X - mean[:, None, None]) * per_channel[:, None, None] + BETA[:, None, None])
    (gx,) = mg.grad(y.sum(), x)
    np.testing.assert_allclose(gx.data, np.broadcast_to(per_channel[:, None, None], X.shape))
    assert mean.tolist() == [1.0, 2.0, 3.0, 4.0]
    plain = ops.batch_norm(X, None, None, mean, var, training=False)
    np.testing.assert_allclose(plain.data, (X - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None], rtol=1e-12)
    with pytest.raises(ValueError, match="evaluation needs running_mean and running_var"):
        ops.batch_norm(X, GAMMA, BETA, training=False)


def test_statistics_do_not_cancel_in_float32():
    """Mean 1000, deviation 1: E x^2 - (E x)^2 would give one correct digit of the variance."""
    x = np.random.default_rng(0).normal(1000.0, 1.0, (8, 2, 16, 16))
    y = ops.instance_norm(x.astype(np.float32))
    exact = (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True)
    assert np.max(np.abs(y.data - exact)) < 5e-4  # x itself is rounded to 6e-5


@pytest.mark.parametrize("slope", [None, 0.2])
@pytest.mark.parametrize("options", [{}, {"batches": 3}, {"training": False, "running_mean": np.arange(4.0),
                                                          "running_var": np.arange(1.0, 5)}], ids=str)
@pytest.mark.parametrize("norm", [ops.batch_norm, ops.instance_norm])
def test_an_addend_is_added_before_the_rectifier(norm, options, slope):
    if norm is ops.instance_norm and "batches" in options:
        return
    for count in (3, 0):
        inputs = [mg.tensor(v, requires_grad=True) for v in (X[:count], GAMMA, BETA, X[:count, ::-1, ::-1])]
        x, gamma, beta, addend = inputs
        y = norm(x, gamma, beta, slope=slope, addend=addend, **options)
        wanted = addend + norm(x, gamma, beta, **options)
        wanted = wanted if slope is None else ops.leaky_relu(wanted, slope)
        np.testing.assert_array_equal(y.data, wanted.data)
        v = np.cos(np.arange(y.size)).reshape(y.shape)
        for a, b in zip(mg.grad(y, inputs, v), mg.grad(wanted, inputs, v), strict=True):
            np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", [ops.batch_norm, ops.instance_norm])
def test_an_addend_must_fit(norm):
    for training in (True, False):
        with pytest.raises(ShapeError, match=r"_norm: the addend \(4, 5, 2\) must have the shape of x \(3, 4, 5, 2\)"):
            norm(X, running_mean=GAMMA, running_var=GAMMA, training=training, addend=X[0])
    with pytest.raises(ShapeError, match="normalize: the addend"):
        ops.normalize(X, addend=X[:1], over="batch", eps=1e-5)
    with pytest.raises(DTypeError, match="normalize: a float64 tensor .* meets a float32 tensor"):
        norm(mg.tensor(X), addend=mg.tensor(X.astype(np.float32)))


def test_what_cannot_be_normalised():
    with pytest.raises(ShapeError, match=r"batch_norm: x \(1, 3, 1, 1\) has 1 value per channel"):
        ops.batch_norm(np.ones((1, 3, 1, 1)))
    with pytest.raises(ShapeError, match="instance_norm: .* nothing to normalise over"):
        ops.instance_norm(np.ones((4, 3, 1, 1)))
    for norm in (ops.batch_norm, ops.instance_norm):
        with pytest.raises(ShapeError, match=r"gamma \(3,\) must have one element per channel .* \(4,\)"):
            norm(X, np.ones(3), BETA)
    with pytest.raises(ShapeError, match="layer_norm: gamma"):
        ops.layer_norm(X, GAMMA, BETA)


# ---- resizing ----
def bilinear_pixel(image, i, j, size):
    """Output pixel (i, j): its centre, as a point of the input, and the four pixels around it."""
    H, W = image.shape
    y = min(max((i + 0.5) * H / size[0] - 0.5, 0.0), H - 1.0)
    x = min(max((j + 0.5) * W / size[1] - 0.5, 0.0), W - 1.0)
    top, left = math.floor(y), math.floor(x)
    below, right = min(top + 1, H - 1), min(left + 1, W - 1)
    a, b = y - top, x - left
    return ((1 - a) * (1 - b) * image[top, left] + (1 - a) * b * image[top, right]
            + a * (1 - b) * image[below, left] + a * b * image[below, right])


@pytest.mark.parametrize("size", [(10, 4), (5, 2), (7, 3), (3, 1), (1, 5), (11, 9), (2, 2)])
def test_bilinear_pixel_by_pixel(size):
    y = ops.interpolate(X, size, "bilinear").data
    assert y.shape == (3, 4, *size)
    for n, c, i, j in np.ndindex(y.shape):
        assert y[n, c, i, j] == pytest.approx(bilinear_pixel(X[n, c], i, j, size), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("size", [(10, 4), (5, 2), (7, 3), (3, 1), (1, 5), (11, 9)])
def test_nearest_pixel_by_pixel(size):
    y = ops.interpolate(X, size, "nearest").data
    for n, c, i, j in np.ndindex(y.shape):
        assert y[n, c, i, j] == X[n, c, i * 5 // size[0], j * 2 // size[1]]


@pytest.mark.parametrize("scale", [1, 2, 3, (1, 2), (3, 1)])
def test_upsample2d_is_interpolate_by_whole_factors(scale):
    SH, SW = (scale, scale) if isinstance(scale, int) else scale
    np.testing.assert_array_equal(ops.upsample2d(X, scale).data, X.repeat(SH, 2).repeat(SW, 3))
    np.testing.assert_allclose(ops.upsample2d(X, scale, "bilinear").data,
                               ops.interpolate(X, (5 * SH, 2 * SW), "bilinear").data)


def test_resizing_one_pixel():
    x = np.array([[[[3.0]]]])
    assert (ops.interpolate(x, (2, 3), "bilinear").data == 3.0).all()
    assert (ops.upsample2d(x, 2, "bilinear").data == 3.0).all()


# ---- pooling ----
POOLS = [(2, None, 0), ((3, 2), (2, 1), (1, 0)), ((2, 2), (1, 1), (1, 1)), (1, 2, 0), ((5, 2), None, 0), (3, 3, 1)]


@pytest.mark.parametrize("kernel, stride, padding", POOLS, ids=str)
def test_pools_window_by_window(kernel, stride, padding):
    (KH, KW), (PH, PW) = ((v, v) if isinstance(v, int) else v for v in (kernel, padding))
    SH, SW = (KH, KW) if stride is None else (stride, stride) if isinstance(stride, int) else stride
    largest, average = (f(X, kernel, stride, padding).data for f in (ops.max_pool2d, ops.avg_pool2d))
    assert largest.shape[2:] == ((5 + 2 * PH - KH) // SH + 1, (2 + 2 * PW - KW) // SW + 1)
    for n, c, i, j in np.ndindex(largest.shape):
        seen = [X[n, c, i * SH - PH + k, j * SW - PW + l] for k in range(KH) for l in range(KW)
                if 0 <= i * SH - PH + k < 5 and 0 <= j * SW - PW + l < 2]
        assert largest[n, c, i, j] == max(seen)
        assert average[n, c, i, j] == pytest.approx(math.fsum(seen) / (KH * KW), rel=1e-12)  # padding counts as 0


def test_global_average():
    np.testing.assert_allclose(ops.global_avg_pool2d(X).data, X.mean((2, 3)))


def test_a_nan_is_not_swept_under_the_pool():
    x = X.copy()
    x[0, 0, 0, 0] = np.nan
    assert np.isnan(ops.max_pool2d(Tensor(x), 2).data[0, 0, 0, 0])
