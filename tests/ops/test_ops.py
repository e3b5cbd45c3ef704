"""Operations at known points: limits, kinks, ties, and formulas small enough to write out."""

import math

import numpy as np
import pytest

import minigan as mg
from minigan import ops
from minigan.errors import ShapeError
from minigan.random import Stream

FLOAT_TYPES = [np.float32, np.float64]


def leaf(values, dtype=np.float64):
    return mg.tensor(np.array(values, dtype), requires_grad=True)


def slope(f, values, dtype=np.float64):
    """d sum f / dx, as a list."""
    x = leaf(values, dtype)
    return mg.grad(ops.sum(f(x)), x)[0].data.tolist()


def curvature(f, values):
    """d^2 sum f / dx^2 along ones, as a list."""
    x = leaf(values)
    (g,) = mg.grad(ops.sum(f(x)), x, create_graph=True)
    return mg.grad(ops.sum(g), x)[0].data.tolist()


# ---- extreme values: nothing overflows ----
FAR = [-1000.0, -50.0, 0.0, 50.0, 1000.0]


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
@pytest.mark.parametrize("f, values, slopes", [
    (ops.sigmoid, [0, math.exp(-50), 0.5, 1, 1], [0, math.exp(-50), 0.25, math.exp(-50), 0]),
    (ops.softplus, [0, math.exp(-50), math.log(2), 50, 1000], [0, math.exp(-50), 0.5, 1, 1]),
    (ops.log_sigmoid, [-1000, -50, -math.log(2), -math.exp(-50), 0], [1, 1, 0.5, math.exp(-50), 0]),
    (ops.tanh, [-1, -1, 0, 1, 1], [0, 0, 1, 0, 0]),
    (ops.elu, [-1, math.expm1(-50), 0, 50, 1000], [0, math.exp(-50), 1, 1, 1]),
], ids=["sigmoid", "softplus", "log_sigmoid", "tanh", "elu"])
def test_far_out(f, values, slopes, dtype):
    x = leaf(FAR, dtype)
    y = f(x)
    np.testing.assert_allclose(y.data, values, rtol=1e-6 if dtype == np.float32 else 1e-14, atol=1e-300)
    (gx,) = mg.grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(gx.data, slopes, rtol=1e-6, atol=1e-7 if dtype == np.float32 else 1e-16)
    assert np.isfinite(mg.grad(gx.sum(), x)[0].data).all()


def test_infinities():
    x = [-np.inf, np.inf]
    assert ops.sigmoid(leaf(x)).data.tolist() == [0, 1]
    assert ops.softplus(leaf(x)).data.tolist() == [0, np.inf]
    assert ops.log_sigmoid(leaf(x)).data.tolist() == [-np.inf, 0]
    assert ops.relu(leaf(x)).data.tolist() == [0, np.inf]
    assert ops.leaky_relu(leaf(x)).data.tolist() == x
    assert slope(ops.relu, x) == [0, 1]
    assert mg.grad(ops.maximum(x := leaf(x), -np.inf), x, [1.0, 1.0])[0].data.tolist() == [0.5, 1]


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_logsumexp_and_softmax_far_out(dtype):
    x = leaf([[1000.0, 1000.0], [-1000.0, -1000.0], [0.0, 1000.0], [-np.inf, 3.0]], dtype)
    expected = [1000 + math.log(2), -1000 + math.log(2), 1000, 3]
    np.testing.assert_allclose(ops.logsumexp(x, 1).data, expected, rtol=1e-6)
    shares = [[0.5, 0.5], [0.5, 0.5], [0, 1], [0, 1]]
    np.testing.assert_allclose(ops.softmax(x, 1).data, shares)
    rounding = 1e-4 if dtype == np.float32 else 1e-12  # e^(x - y), and y is near 1000, rounded
    np.testing.assert_allclose(mg.grad(ops.logsumexp(x, 1).sum(), x)[0].data, shares, rtol=rounding)
    np.testing.assert_allclose(ops.log_softmax(x, 1).data[2:], [[-1000, 0], [-np.inf, 0]])


def test_logsumexp_of_nothing_but_minus_infinity():
    assert ops.logsumexp(leaf([-np.inf, -np.inf])).item() == -np.inf
    assert slope(ops.logsumexp, [-np.inf, -np.inf]) == [0, 0]


def test_bce_from_logits_is_exact_where_sigmoid_rounds_to_one():
    x = leaf([40.0, -40.0])
    np.testing.assert_allclose(ops.softplus(-x).data, [math.exp(-40), 40.0], rtol=1e-15)


# ---- kinks, as the docstrings promise ----
@pytest.mark.parametrize("f, at, expected", [
    (ops.relu, [0.0, -0.0], [0, 0]), (ops.abs, [0.0, -0.0], [0, 0]), (ops.sign, [0.0, 3.0], [0, 0]),
    (lambda x: ops.leaky_relu(x, 0.2), [0.0, -0.0], [0.2, 0.2]), (ops.leaky_relu, [0.0, 1.0], [0.2, 1]),
    (lambda x: ops.elu(x, 0.7), [0.0], [0.7]),
    (lambda x: ops.clip(x, -1, 2), [-1.0, 2.0, 0.0, 3.0, -2.0], [0, 0, 1, 0, 0]),
    (lambda x: ops.clip(x, low=0), [-1.0, 0.0, 9.0], [0, 0, 1]), (lambda x: ops.clip(x, high=0), [-1.0, 0.0], [1, 0]),
    (ops.max, [1.0, 3.0, 3.0], [0, 0.5, 0.5]), (ops.min, [1.0, 1.0, 1.0, 3.0], [1 / 3, 1 / 3, 1 / 3, 0]),
    (lambda x: ops.maximum(x, 1.0), [0.0, 1.0, 2.0], [0, 0.5, 1]),
    (lambda x: ops.minimum(1.0, x), [0.0, 1.0, 2.0], [1, 0.5, 0]), (lambda x: ops.maximum(x, x), [1.0], [1]),
    (lambda x: x**0, [0.0], [0]), (lambda x: x**1, [0.0], [1]), (lambda x: x**2, [0.0], [0]),
    (ops.norm, [0, 0], [0, 0]),
])
def test_derivative_at_the_kink(f, at, expected):
    assert slope(f, at) == expected
    assert slope(f, at, np.float32) == np.float32(expected).tolist()


def test_the_first_of_several_largest_pixels_wins():
    x = leaf(np.ones((1, 1, 2, 2)))
    assert mg.grad(ops.max_pool2d(x, 2).sum(), x)[0].data.ravel().tolist() == [1, 0, 0, 0]


def test_norm_at_zero_is_finite_at_any_order():
    rows = [[3.0, 4.0], [0.0, 0.0]]
    assert ops.norm(leaf(rows), 1).data.tolist() == [5, 0]
    np.testing.assert_allclose(slope(lambda x: ops.norm(x, 1), rows), [[0.6, 0.8], [0, 0]], rtol=1e-15)
    second = curvature(lambda x: ops.norm(x, 1), rows)
    np.testing.assert_allclose(second, [[(1 - 0.36 - 0.48) / 5, (1 - 0.64 - 0.48) / 5], [0, 0]], atol=1e-15)
    x = leaf(rows)
    (g,) = mg.grad(((ops.norm(x, 1) - 1.0) ** 2).sum(), x, create_graph=True)  # a gradient penalty's shape
    assert np.isfinite(mg.grad((g * g).sum(), x)[0].data).all()


def test_powers():
    assert slope(lambda x: x**3, [0.0, 2.0]) == [0, 12]
    assert curvature(lambda x: x**3, [0.0, 2.0]) == [0, 12]
    assert curvature(lambda x: x**2, [0.0]) == [2]
    np.testing.assert_allclose(slope(lambda x: 2.0**x, [3.0]), [8 * math.log(2)])
    x, e = leaf([2.0, 3.0]), leaf([3.0, 0.5])
    gx, ge = mg.grad((x**e).sum(), [x, e])
    np.testing.assert_allclose(gx.data, [12, 0.5 / math.sqrt(3)])
    np.testing.assert_allclose(ge.data, [8 * math.log(2), math.sqrt(3) * math.log(3)])
    with pytest.raises(ShapeError, match="must be a Tensor"):
        ops.power(x, np.array([1.0, 2.0]))


# ---- reductions, joining, padding: as NumPy ----
AXES = [None, 0, 1, -1, (0, 2), (-1, 0), (0, 1, 2), ()]
A = np.random.default_rng(5).normal(size=(2, 3, 4))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_reductions_are_numpys(axis, keepdims):
    x = leaf(A)
    for name, numpys in (("sum", np.sum), ("mean", np.mean), ("max", np.max), ("min", np.min)):
        np.testing.assert_allclose(getattr(ops, name)(x, axis, keepdims).data, numpys(A, axis=axis, keepdims=keepdims))
    if axis != ():
        np.testing.assert_allclose(ops.var(x, axis, keepdims).data, np.var(A, axis=axis, keepdims=keepdims, ddof=1))
    np.testing.assert_allclose(ops.var(x, axis, keepdims, 0).data, np.var(A, axis=axis, keepdims=keepdims), atol=1e-16)
    np.testing.assert_allclose(ops.norm(x, axis, keepdims).data, np.sqrt(np.sum(A * A, axis=axis, keepdims=keepdims)))
    np.testing.assert_allclose(ops.logsumexp(x, axis=axis, keepdims=keepdims).data,
                               np.log(np.sum(np.exp(A), axis=axis, keepdims=keepdims)))


@pytest.mark.parametrize("axis", [3, -4, (0, 0)])
def test_axes_that_do_not_exist(axis):
    for f in (ops.sum, ops.mean, ops.max, ops.logsumexp, ops.var, ops.norm):
        with pytest.raises(ShapeError):
            f(leaf(A), axis)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_concat_stack_split(axis):
    x, y = leaf(A), leaf(2 * A)
    np.testing.assert_array_equal(ops.concat([x, y], axis).data, np.concatenate([A, 2 * A], axis))
    np.testing.assert_array_equal(ops.stack([x, y], axis).data, np.stack([A, 2 * A], axis))
    pieces = ops.split(x, [1, A.shape[axis] - 1], axis)
    for piece, part in zip(pieces, np.split(A, [1], axis), strict=True):
        np.testing.assert_array_equal(piece.data, part)
    np.testing.assert_array_equal(ops.concat(ops.split(x, 2, axis), axis).data, A)
    gx, gy = mg.grad((ops.stack([x, y], axis) * ops.stack([y, x], axis)).sum(), [x, y])
    np.testing.assert_allclose(gx.data, 4 * A)
    np.testing.assert_allclose(gy.data, 2 * A)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
@pytest.mark.parametrize("widths", [0, 1, ((0, 0), (2, 1), (0, 3)), ((1, 0), (0, 0), (3, 3))], ids=str)
def test_pad_is_numpys(widths, mode):
    np.testing.assert_array_equal(ops.pad(leaf(A), widths, mode=mode).data, np.pad(A, widths, mode=mode))
    assert ops.pad(leaf(A), 1, value=3.0).data[0, 0, 0] == 3.0


def test_matmul_is_numpys():
    for a, b in (((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((3,), (5, 3, 2)),
                 ((5, 2, 3), (3,)), ((1, 2, 3), (5, 3, 4)), ((2, 0), (0, 3))):
        x, y = np.random.default_rng(0).normal(size=a), np.random.default_rng(1).normal(size=b)
        p, q = leaf(x), leaf(y)
        np.testing.assert_allclose((p @ q).data, x @ y)
        assert [g.shape for g in mg.grad((p @ q).sum(), [p, q])] == [a, b]


def test_pixel_shuffle_literally():
    x = np.arange(2 * 8 * 2 * 3.0).reshape(2, 8, 2, 3)
    y = ops.pixel_shuffle(leaf(x), 2).data
    assert y.shape == (2, 2, 4, 6)
    for n, c, i, j, a, b in np.ndindex(2, 2, 2, 3, 2, 2):
        assert y[n, c, 2 * i + a, 2 * j + b] == x[n, 4 * c + 2 * a + b, i, j]


# ---- dropout ----
def test_dropout_rate_and_scale():
    y = ops.dropout(mg.tensor(np.ones((200, 500))), 0.3, stream=Stream(1)).data
    assert set(np.unique(y)) == {0.0, 1 / 0.7}
    assert abs((y == 0).mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / y.size)


def test_dropout_is_reproducible_and_off_in_evaluation():
    x = mg.tensor(np.ones((8, 8), np.float32), requires_grad=True)
    mg.seed(3)
    first = ops.dropout(x)
    again = ops.dropout(x)
    mg.seed(3)
    np.testing.assert_array_equal(ops.dropout(x).data, first.data)
    assert (again.data != first.data).any()
    assert first.dtype == np.float32
    np.testing.assert_array_equal(mg.grad(first.sum(), x)[0].data, first.data)  # the same mask and scale
    assert ops.dropout(x, 0.5, training=False) is x
    assert ops.dropout(x, 0.0) is x
    for p in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="dropout: p="):
            ops.dropout(x, p)
