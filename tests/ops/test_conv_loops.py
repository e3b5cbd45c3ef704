"""The convolution family against loops of plain Python, with random geometry (Hypothesis)."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigan as mg
from minigan import Tensor, ops

FEW = settings(max_examples=60, derandomize=True, deadline=None, database=None)


def trilinear(x, w, g, stride, padding, dilation):
    """The trilinear form T of the three, as lists of floats: its derivatives with respect to x, w and g.

    T = sum over n, o, i, j, c, k, l of g[n][o][i][j] x[n][c][p][q] w[o][c][k][l], p = i SH - PH + k DH, q likewise.
    """
    gx, gw, gg = (np.zeros(a.shape).tolist() for a in (x, w, g))
    (N, C, H, W), (O, _, KH, KW), (_, _, OH, OW) = x.shape, w.shape, g.shape
    x, w, g = x.tolist(), w.tolist(), g.tolist()
    for i, j, k, l in itertools.product(range(OH), range(OW), range(KH), range(KW)):
        p, q = i * stride[0] - padding[0] + k * dilation[0], j * stride[1] - padding[1] + l * dilation[1]
        if not (0 <= p < H and 0 <= q < W):
            continue
        for n, o, c in itertools.product(range(N), range(O), range(C)):
            a, b, e = x[n][c][p][q], w[o][c][k][l], g[n][o][i][j]
            gx[n][c][p][q] += b * e
            gw[o][c][k][l] += a * e
            gg[n][o][i][j] += a * b
    return np.array(gx), np.array(gw), np.array(gg)


def grid(rng, shape):
    """Values from a shuffled grid: all different, none close to 0, none large."""
    n = int(np.prod(shape))
    return rng.permutation(np.linspace(-1, 1, 2 * n)[::2] + 0.25 / n).reshape(shape)


def laid_out(rng, a):
    """The same values in another memory order, some reversed, some with gaps."""
    order = rng.permutation(a.ndim)
    turn = tuple(slice(None, None, int(step)) for step in rng.choice([-1, 1], a.ndim))
    gaps = rng.choice([1, 2], a.ndim)
    shape = np.array(a.shape)[order] * gaps[order]
    room = np.full(shape, np.nan).transpose(np.argsort(order))[tuple(slice(None, None, int(s)) for s in gaps)]
    room[turn] = a
    return room[turn]


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def geometries(draw):
    """Sizes and a geometry that fit together, with an output of at least one pixel."""
    kernel, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    size = []
    for k, s, d, p in zip(kernel, stride, dilation, padding, strict=True):
        least = max(1, d * (k - 1) + 1 - 2 * p)
        size.append(draw(st.integers(least, least + 2 * s + 1)))
    N, C, O = (draw(st.integers(1, 3)) for _ in range(3))
    C = draw(st.sampled_from([C, 8]))  # many input and few output channels use another algorithm
    out = [(n + 2 * p - d * (k - 1) - 1) // s + 1
           for n, k, s, d, p in zip(size, kernel, stride, dilation, padding, strict=True)]
    geometry = {"stride": stride, "padding": padding, "dilation": dilation}
    return (N, C, *size), (O, C, *kernel), (N, O, *out), geometry, draw(st.integers(0, 2**16))


@FEW
@given(geometries())
def test_the_three_of_the_family(case):
    """conv2d, its two gradients, and both adjoints called directly, against one set of loops."""
    *shapes, geometry, seed = case
    rng = np.random.default_rng(seed)
    x, w, g = (grid(rng, shape) for shape in shapes)
    gx, gw, y = trilinear(x, w, g, **geometry)
    tx, tw, tg = (Tensor(laid_out(rng, a), requires_grad=True) for a in (x, w, g))

    near(ops.conv2d(tx, tw, **geometry), y)
    near(ops.conv_transpose2d(tg, tw, output_size=x.shape[2:], **geometry), gx)
    near(ops.conv2d_weight_grad(tx, tg, w.shape[2:], **geometry), gw)
    for got, expected in zip(mg.grad(ops.conv2d(tx, tw, **geometry), [tx, tw], tg), (gx, gw), strict=True):
        near(got, expected)
    back = ops.conv_transpose2d(tg, tw, output_size=x.shape[2:], **geometry)
    for got, expected in zip(mg.grad(back, [tg, tw], tx), (y, gw), strict=True):
        near(got, expected)
    weights = ops.conv2d_weight_grad(tx, tg, w.shape[2:], **geometry)
    for got, expected in zip(mg.grad(weights, [tx, tg], tw), (gx, y), strict=True):
        near(got, expected)


@FEW
@given(geometries(), st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_output_padding(case, extra):
    """Without output_size: (H-1) S - 2 P + D (K-1) + 1 + output_padding, PyTorch's formula."""
    _, shape, small, geometry, seed = case
    rng = np.random.default_rng(seed)
    extra = tuple(min(e, s - 1) for e, s in zip(extra, geometry["stride"], strict=True))
    size = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, d, e in zip(
        small[2:], shape[2:], geometry["stride"], geometry["padding"], geometry["dilation"], extra, strict=True))
    if min(size) < 1:
        return
    x, w, b = grid(rng, small), grid(rng, shape), grid(rng, (shape[1],))
    expected, _, _ = trilinear(np.zeros((small[0], shape[1], *size)), w, x, **geometry)
    y = ops.conv_transpose2d(Tensor(laid_out(rng, x)), Tensor(w), Tensor(b), output_padding=extra, **geometry)
    near(y, expected + b[:, None, None])


@FEW
@given(st.tuples(st.integers(1, 3), st.integers(1, 3)), st.tuples(st.integers(1, 4), st.integers(1, 4)),
       st.integers(0, 2**16))
def test_upconv_is_upsampling_then_convolution(scale, kernel, seed):
    rng = np.random.default_rng(seed)
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    size = [max(int(rng.integers(1, 5)), -(-(k - 2 * p) // s))
            for k, p, s in zip(kernel, padding, scale, strict=True)]
    N, C, O = rng.integers(1, 4, 3)
    x, w, b = (Tensor(laid_out(rng, grid(rng, shape)), requires_grad=True)
               for shape in ((N, C, *size), (O, C, *kernel), (O,)))
    one = ops.upconv2d(x, w, b, scale, padding)
    two = ops.conv2d(ops.upsample2d(x, scale), w, b, padding=padding)
    near(one, two.data)
    v = Tensor(grid(rng, one.shape))
    for got, expected in zip(mg.grad(one, [x, w, b], v), mg.grad(two, [x, w, b], v), strict=True):
        near(got, expected.data)


def near(got, expected):
    assert got.shape == expected.shape
    np.testing.assert_allclose(got.data, expected, rtol=0, atol=1e-12 * max(1.0, np.max(np.abs(expected), initial=0)))


# ---- corner cases with literal values ----
def test_a_bias_reaches_what_no_window_does():
    """Stride 3 and a kernel of 1: two of three output pixels have no input."""
    y = ops.conv_transpose2d(np.ones((1, 1, 1, 2)), np.full((1, 1, 1, 1), 2.0), np.array([0.5]), stride=3)
    assert y.data.ravel().tolist() == [2.5, 0.5, 0.5, 2.5]


def test_a_row_that_the_stride_drops_gets_no_gradient():
    x = mg.tensor(np.ones((1, 1, 4, 1)), requires_grad=True)
    (gx,) = mg.grad(ops.conv2d(x, np.ones((1, 1, 1, 1)), stride=(2, 1)).sum(), x)
    assert gx.data.ravel().tolist() == [1, 0, 1, 0]


def test_it_is_a_correlation_not_a_convolution():
    x, w = np.arange(3.0).reshape(1, 1, 1, 3), np.array([[[[1.0, 10.0]]]])
    assert ops.conv2d(x, w).data.ravel().tolist() == [10.0, 21.0]


@pytest.mark.parametrize("numbers", [2, (2, 2), [2, 2], np.int64(2), np.array([2, 2])], ids=lambda n: type(n).__name__)
def test_geometry_is_an_int_or_a_pair(numbers):
    assert ops.conv2d(np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), stride=numbers).shape == (1, 1, 2, 2)
    assert ops.conv2d(np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), None, numbers).shape == (1, 1, 2, 2)
