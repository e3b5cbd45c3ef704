"""Winograd convolution: its identity, the six loops, the stated rounding error, the rule for its use."""

import itertools

import numpy as np
import pytest
import reference

from minigan.kernels.cpu import conv, winograd
from minigan.kernels.cpu.winograd import F23, Algorithm

ALGORITHMS = [Algorithm(2, 2, [0, 1]), F23, Algorithm(4, 3, [0, 1, -1, 2, -2])]
GEOMETRIES = [  # images, height, width, channels, filters, padding: odd sizes, wide and no padding, one tile
    (2, 7, 6, 3, 4, (1, 1)), (1, 5, 5, 2, 1, (0, 0)), (3, 4, 9, 1, 5, (2, 1)), (1, 3, 3, 2, 2, (0, 0)),
    (1, 40, 34, 5, 3, (1, 0)),
]


@pytest.mark.parametrize("alg", ALGORITHMS, ids=repr)
def test_matrices_make_a_correlation(alg):
    """sum_f A[f,i] B[n,f] G[f,k] is 1 where n = i + k, else 0."""
    made = np.einsum("if,fn,fk->ink", alg.at, alg.bt, alg.g)
    wanted = np.zeros_like(made)
    for i, k in itertools.product(range(alg.m), range(alg.r)):
        wanted[i, i + k, k] = 1
    np.testing.assert_allclose(made, wanted, atol=1e-12)


def test_the_matrices_of_lavin_and_gray():
    """F(2, 3) as in their equation (7), except for the signs of rows, which A, B and G share."""
    np.testing.assert_array_equal(np.abs(F23.g), [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 1]])
    np.testing.assert_array_equal(np.abs(F23.bt), [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]])
    np.testing.assert_array_equal(np.abs(F23.at), [[1, 1, 1, 0], [0, 1, 1, 1]])


def draw(geometry, r, dtype=np.float64, seed=0):
    N, H, W, C, O, padding = geometry
    rng = np.random.default_rng(seed)
    size = [n + 2 * p - r + 1 for n, p in zip((H, W), padding, strict=True)]
    shapes = (N, H, W, C), (r, r, C, O), (N, *size, O)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def fast(alg, x, filters, g, b, padding):
    y, gx = np.empty_like(g), np.empty_like(x)
    winograd.conv2d(x, filters, y, b, padding, alg)
    winograd.conv_transpose2d(g, filters, gx, None, padding, alg)
    return y, gx, winograd.conv2d_weight_grad(x, g, padding, alg)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("alg", ALGORITHMS, ids=repr)
def test_equal_six_loops(alg, geometry):
    """All three products, in float64, so that only a wrong formula or border can make a difference."""
    if min(geometry[1:3]) + 2 * min(geometry[5]) < alg.r:
        geometry = (*geometry[:1], alg.r, alg.r, *geometry[3:])
    x, filters, g = draw(geometry, alg.r)
    b, padding = np.arange(1.0, 1 + geometry[4]), geometry[5]
    y, gx, gw = fast(alg, x, filters, g, b, padding)
    X, W, G = x.transpose(0, 3, 1, 2), filters.transpose(3, 2, 0, 1), g.transpose(0, 3, 1, 2)
    geo = (1, 1), padding, (1, 1)
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), reference.conv2d(X, W, b, *geo), atol=1e-10)
    np.testing.assert_allclose(gx.transpose(0, 3, 1, 2), reference.conv_transpose2d(G, W, None, *geo, X.shape[2:]),
                               atol=1e-10)
    np.testing.assert_allclose(gw.transpose(3, 2, 0, 1), reference.conv2d_weight_grad(X, G, W.shape[2:], *geo),
                               atol=1e-10)


@pytest.mark.parametrize("alg", ALGORITHMS, ids=repr)
def test_blocks_and_groups_join_without_a_seam(alg, monkeypatch):
    """One tile row per block and one image per group: the same numbers."""
    x, filters, g = draw((3, 21, 12, 4, 6, (1, 1)), alg.r)
    whole = fast(alg, x, filters, g, None, (1, 1))
    monkeypatch.setattr(winograd, "TILES", 1)
    monkeypatch.setattr(winograd, "HELD", 1)
    for a, b in zip(whole, fast(alg, x, filters, g, None, (1, 1)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_same_bytes_at_any_number_of_workers(with_workers):
    """A block does not depend on the worker that computes it."""
    x, filters, g = draw((2, 33, 33, 32, 48, (1, 1)), 3, np.float32)
    results = []
    for workers in (1, 2, 5):
        arrays = with_workers(workers, fast, F23, x, filters, g, None, (1, 1))
        results.append([a.tobytes() for a in arrays])
    assert results[0] == results[1] == results[2]


def test_rounding_is_as_stated():
    """CycleGAN's residual layer in float32: within 8e-6 deviations of float64, about twice the direct error."""
    x, filters, g = draw((1, 34, 34, 256, 256, (0, 0)), 3, np.float32)
    X, W, G = x.transpose(0, 3, 1, 2), filters.transpose(3, 2, 0, 1), g.transpose(0, 3, 1, 2)
    assert winograd.pays(1, (32, 32), 256, 256, (3, 3), (1, 1), (1, 1), np.float32)
    geo = (1, 1), (0, 0), (1, 1)
    for kernel, arrays, rest in ((conv.conv2d, (X, W), (None, *geo)),
                                 (conv.conv_transpose2d, (G, W), (None, *geo, (34, 34))),
                                 (conv.conv2d_weight_grad, (X, G), ((3, 3), *geo))):
        exact = kernel(*(a.astype(np.float64) for a in arrays), *rest)  # float64 uses the direct algorithm
        assert np.abs(kernel(*arrays, *rest) - exact).max() < 8e-6 * exact.std()


def test_rule():
    """Winograd is used for many channels, 3x3 filters, stride 1 and float32 only."""
    layer = {"images": 1, "out_size": (32, 32), "channels": 128, "filters": 128, "kernel": (3, 3), "stride": (1, 1),
             "dilation": (1, 1), "dtype": np.dtype(np.float32)}
    assert winograd.pays(**layer)
    for change in ({"kernel": (4, 4)}, {"kernel": (1, 3)}, {"stride": (2, 2)}, {"dilation": (2, 2)}, {"channels": 3},
                   {"filters": 1}, {"dtype": np.dtype(np.float64)}, {"out_size": (2, 2)}):
        assert not winograd.pays(**{**layer, **change}), change


def test_output_padding_is_no_plain_adjoint():
    """A transposed convolution with output padding uses the direct algorithm, and is correct."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(1, 128, 16, 16)).astype("f"), rng.normal(size=(128, 128, 3, 3)).astype("f")
    y = conv.conv_transpose2d(x, w, None, (1, 1), (1, 1), (1, 1), (18, 18))
    exact = conv.conv_transpose2d(x.astype("d"), w.astype("d"), None, (1, 1), (1, 1), (1, 1), (18, 18))
    np.testing.assert_allclose(y, exact, atol=2e-4)  # sums of 1152 products


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("row, column", [(4, 5), (7, 0), (3, 3), (11, 11)])
def test_how_far_a_value_that_is_not_finite_reaches(row, column, value, rng, monkeypatch):
    """At least the outputs whose window holds it; at most the 2x2 tiles whose 4x4 window does (docs/performance.md)."""
    from minigan import ops, tensor

    monkeypatch.setattr(winograd, "pays", lambda *sizes: True)
    x, w = rng.normal(size=(2, 8, 12, 12)).astype(np.float32), rng.normal(size=(8, 8, 3, 3)).astype(np.float32)
    clean = ops.conv2d(tensor(x), tensor(w), padding=1).data
    x[0, 3, row, column] = value
    with np.errstate(invalid="ignore"):
        y = ops.conv2d(tensor(x), tensor(w), padding=1).data
    window = [range(max(0, p - 1), min(12, p + 2)) for p in (row, column)]
    tiles = [[i for i in range(12) if i // 2 * 2 - 1 <= p <= i // 2 * 2 + 2] for p in (row, column)]
    spoilt = ~np.isfinite(y)
    assert spoilt[0][:, window[0]][:, :, window[1]].all()
    outside = np.ones((12, 12), bool)
    outside[np.ix_(*tiles)] = False
    assert not spoilt[0][:, outside].any() and not spoilt[1].any()
    np.testing.assert_allclose(y[1], clean[1], rtol=1e-5, atol=1e-5)
    assert all(abs(i - p) <= 2 for p, rows in zip((row, column), tiles, strict=True) for i in rows)
