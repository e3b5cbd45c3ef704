"""conv2d, conv_transpose2d, conv2d_weight_grad: against six loops, as each other's adjoints, in every layout."""

import numpy as np
import pytest
import reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minigan import kernels

#        name                       N  C  O  H   W   kernel  stride  padding dilation
GEOMETRY = {
    "all different":                (2, 3, 5, 11, 14, (3, 4), (2, 3), (1, 2), (1, 1)),
    "stride drops a row":           (2, 2, 3, 8, 9, (3, 3), (2, 2), (0, 0), (1, 1)),
    "dilation and stride coprime":  (1, 2, 3, 12, 13, (3, 2), (3, 2), (2, 1), (2, 3)),
    "dilation shares the stride":   (2, 3, 2, 13, 12, (3, 3), (4, 2), (1, 3), (2, 2)),
    "stride beyond the kernel":     (2, 3, 4, 9, 10, (2, 1), (3, 4), (0, 1), (1, 1)),
    "1x1 kernel":                   (2, 6, 3, 4, 5, (1, 1), (1, 1), (0, 0), (1, 1)),
    "1x1 kernel, stride, padding":  (2, 3, 4, 4, 5, (1, 1), (2, 3), (1, 2), (1, 1)),
    "one window":                   (3, 5, 2, 4, 3, (4, 3), (1, 1), (0, 0), (1, 1)),
    "one window, one filter":       (3, 5, 1, 4, 4, (4, 4), (1, 1), (0, 0), (1, 1)),
    "one row of windows":           (1, 2, 3, 2, 9, (4, 3), (2, 1), (1, 0), (1, 1)),
    "one channel in":               (3, 1, 8, 8, 6, (4, 4), (2, 2), (1, 1), (1, 1)),
    "one channel, one filter":      (2, 1, 1, 7, 5, (3, 2), (1, 2), (1, 1), (1, 1)),
    "few filters, many channels":   (2, 24, 2, 6, 7, (3, 4), (1, 1), (1, 2), (1, 1)),
    "six filters, many channels":   (2, 24, 6, 6, 7, (3, 4), (1, 1), (1, 2), (1, 2)),
    "many filters, few channels":   (2, 2, 24, 9, 8, (3, 4), (2, 3), (2, 1), (2, 1)),
    "padding beyond the kernel":    (1, 2, 3, 3, 4, (2, 2), (2, 1), (3, 4), (1, 1)),
}  # fmt: skip


def draw(geometry, dtype=np.float64, seed=0):
    """x, w, gy, two biases and the keyword arguments of one geometry."""
    N, C, O, H, W, kernel, stride, padding, dilation = geometry
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((N, C, H, W)), rng.standard_normal((O, C, *kernel))
    gy = rng.standard_normal((N, O, *reference.conv_size(x, w, stride, padding, dilation)))
    arrays = (x, w, gy, rng.standard_normal(O), rng.standard_normal(C))
    return *(array.astype(dtype) for array in arrays), (stride, padding, dilation)


def compute(module, x, w, gy, b, c, how):
    """All three products by one module: the kernels or the reference."""
    return (
        module.conv2d(x, w, b, *how),
        module.conv_transpose2d(gy, w, c, *how, x.shape[2:]),
        module.conv2d_weight_grad(x, gy, w.shape[2:], *how),
    )


@pytest.mark.parametrize("geometry", GEOMETRY.values(), ids=GEOMETRY)
def test_equal_six_loops(geometry):
    *arrays, how = draw(geometry)
    for result, wanted in zip(compute(kernels, *arrays, how), compute(reference, *arrays, how), strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRY.values(), ids=GEOMETRY)
def test_float32_stays_float32_and_close(geometry):
    *arrays, how = draw(geometry, np.float32)
    for result, wanted in zip(compute(kernels, *arrays, how), compute(reference, *arrays, how), strict=True):
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("geometry", GEOMETRY.values(), ids=GEOMETRY)
def test_memory_order(geometry):
    y, x, w = compute(kernels, *draw(geometry)[:-1], draw(geometry)[-1])
    assert reference.is_channels_last(y) and reference.is_channels_last(x)
    assert w.transpose(2, 3, 1, 0).flags.c_contiguous


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_adjoints(data):
    """<conv(x, w), g> = <x, conv_transpose(g, w)> = <w, weight_grad(x, g)>, for any geometry, up to rounding."""
    number = lambda low, high: data.draw(st.integers(low, high))
    pair = lambda low, high: (number(low, high), number(low, high))
    kernel, stride, padding, dilation = pair(1, 4), pair(1, 3), pair(0, 3), pair(1, 3)
    C, O = data.draw(st.sampled_from([(1, 3), (3, 1), (2, 16), (16, 2), (24, 5), (3, 4)]))
    H, W = pair(1, 12)
    assume(all(s + 2 * p > d * (k - 1) for s, p, d, k in zip((H, W), padding, dilation, kernel, strict=True)))
    x, w, gy, _, _, how = draw((number(1, 3), C, O, H, W, kernel, stride, padding, dilation), seed=number(0, 99))
    y, gx, gw = compute(kernels, x, w, gy, None, None, how)
    scale = np.abs(y).sum() * np.abs(gy).max() + 1
    assert abs((y * gy).sum() - (x * gx).sum()) <= 1e-12 * scale
    assert abs((y * gy).sum() - (w * gw).sum()) <= 1e-12 * scale


@pytest.mark.parametrize("name", ["all different", "one window", "few filters, many channels", "one channel in"])
def test_any_layout_gives_the_same_and_nothing_is_written(name):
    x, w, gy, b, c, how = draw(GEOMETRY[name])
    wanted = compute(kernels, x, w, gy, b, c, how)
    for xs, ws, gs in zip(*map(reference.layouts, (x, w, gy)), strict=True):  # all read-only
        for result, value in zip(compute(kernels, xs, ws, gs, b, c, how), wanted, strict=True):
            np.testing.assert_allclose(result, value, rtol=1e-13, atol=1e-13)


def test_broadcast_input():
    x, w, _, _, _, how = draw(GEOMETRY["all different"])
    one = np.broadcast_to(x[:1, :1, :1, :1], x.shape)
    np.testing.assert_array_equal(kernels.conv2d(one, w, None, *how), kernels.conv2d(one.copy(), w, None, *how))


def test_no_copy_at_the_door():
    x, w, gy, b, c, how = draw(GEOMETRY["all different"])
    before = kernels.layout_copies()
    compute(kernels, *map(reference.stored_channels_last, (x,)), w, reference.stored_channels_last(gy), b, c, how)
    assert kernels.layout_copies() == before
    kernels.conv2d(x, w, b, *how)
    assert kernels.layout_copies() == before + 1


LARGE = {  # several blocks, groups, and rows of one image
    "batch": (24, 16, 32, 16, 16, (4, 4), (2, 2), (1, 1), (1, 1)),
    "one wide image": (1, 96, 112, 33, 31, (3, 3), (1, 1), (1, 1), (1, 1)),  # fewer products in C
    "one image": (1, 32, 24, 60, 50, (3, 3), (1, 1), (1, 1), (1, 1)),
    "few filters": (1, 64, 3, 90, 80, (5, 5), (1, 1), (2, 2), (1, 1)),
    "one channel": (32, 1, 32, 32, 32, (4, 4), (2, 2), (1, 1), (1, 1)),
    "one window": (16, 128, 9, 4, 4, (4, 4), (1, 1), (0, 0), (1, 1)),
}


@pytest.mark.parametrize("geometry", LARGE.values(), ids=LARGE)
def test_same_bytes_at_any_number_of_workers(geometry, with_workers):
    *arrays, how = draw(geometry, np.float32)
    results = [with_workers(n, compute, kernels, *arrays, how) for n in (1, 2, 3)]
    for other in results[1:]:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("geometry", LARGE.values(), ids=LARGE)
def test_blocks_join_without_a_seam(geometry, monkeypatch):
    """With many more blocks, the result is the same: no pixel is lost or counted twice between blocks."""
    *arrays, how = draw(geometry)
    wanted = compute(kernels, *arrays, how)
    for room in ("blocks", "gather", "spread"):
        monkeypatch.setattr(getattr(kernels.cpu, room), "SCRATCH_BYTES", 1 << 15)
    for result, value in zip(compute(kernels, *arrays, how), wanted, strict=True):
        np.testing.assert_allclose(result, value, rtol=1e-11, atol=1e-11)


def test_rounding_is_as_stated():
    """CycleGAN's residual layer in float32: within 8e-6 deviations of float64, with fewer products in C or with all."""
    *arrays, how = draw((1, 256, 256, 34, 34, (3, 3), (1, 1), (0, 0), (1, 1)), np.float32)
    before = kernels.get_precision()
    kernels.set_precision("fp32")
    try:
        results = compute(kernels, *arrays, how)
    finally:
        kernels.set_precision(before)
    for result, exact in zip(results, compute(kernels, *(a.astype(np.float64) for a in arrays), how), strict=True):
        assert np.abs(result - exact).max() < 8e-6 * exact.std()


def test_output_padding_is_no_plain_adjoint():
    """Rows that only output padding adds are right, too, in a layer wide enough for fewer products."""
    *arrays, how = draw((1, 128, 128, 18, 18, (3, 3), (1, 1), (1, 1), (1, 1)), np.float32)
    x, w = arrays[0][:, :, :16, :16], arrays[1]
    y = kernels.conv_transpose2d(x, w, None, *how, (18, 18))
    exact = kernels.conv_transpose2d(x.astype(np.float64), w.astype(np.float64), None, *how, (18, 18))
    np.testing.assert_allclose(y, exact, atol=1e-3)  # sums of 1152 products


def test_rows_of_x_that_the_stride_drops_get_zero():
    x = kernels.conv_transpose2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), None, (3, 3), (0, 0), (1, 1), (6, 7))
    assert x[0, 0].sum(0).tolist() == [4, 4, 0, 4, 4, 0, 0]
