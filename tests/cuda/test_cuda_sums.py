"""The sums of gy that a gradient of filters leaves for a bias's gradient: gy's own in float64, and never another's."""

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order

import minigan as mg
from minigan import kernels, ops
from minigan.kernels.cuda import conv, hopper, loader, reduce

FORMS = [hopper.Form(hopper.TILES[2], 1, 1), hopper.Form(hopper.TILES[0], 2, 4), hopper.Form(hopper.TILES[3], 8, 8)]
SUM = (0, 2, 3)


@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels launched so far; products go to hopper.cu however small they are."""
    names, call = [], loader.Kernel.__call__
    monkeypatch.setattr(loader.Kernel, "__call__", lambda k, *a, **o: names.append(k.name) or call(k, *a, **o))
    monkeypatch.setattr(hopper, "WORTH", 0)
    return names


def operands(device, N=2, H=14, W=13, O=72, C=128):
    """x, gy of a 1x1 convolution, and gy on the host; gy is no multiple of anything, and its sums cancel."""
    rng = np.random.default_rng(0)
    x, gy = (channels_last(rng.normal(size=(N, c, H, W)).astype(np.float32)) for c in (C, O))
    return device.put(x), device.put(gy), gy


def gradients(x, gy, wanted=True, keepdims=False):
    """Of filters and bias."""
    with kernels.sums_wanted(wanted):
        gw = conv.conv2d_weight_grad(x, gy, (1, 1), (1, 1), (0, 0), (1, 1))
    return gw, reduce.reduce_sum(gy, SUM, keepdims)


@pytest.mark.parametrize("form", [FORMS[0], *(pytest.param(form, marks=pytest.mark.long) for form in FORMS[1:])],
                         ids=lambda form: "-".join(map(str, (*form.tile[:2], *form[1:]))))
def test_of_gy(device, monkeypatch, launched, form):
    monkeypatch.setattr(hopper, "plan", lambda *_: form)
    x, gy, host = operands(device)
    gw, gb = in_every_order(device, lambda: gradients(x, gy))
    assert "arrange" in launched and "reduce_columns" not in launched
    np.testing.assert_allclose(gb, host.sum(SUM, np.float64), rtol=0, atol=2e-7 * np.abs(host).sum(SUM).max())
    np.testing.assert_array_equal(gw, device.get(gradients(x, gy, wanted=False)[0]))
    assert launched.count("reduce_columns") == 1


@pytest.mark.long
def test_of_many_rows(device, monkeypatch, launched):
    """More than 128 steps of 32 rows: a block of arrange.cu adds up three of them, the last one fewer."""
    monkeypatch.setattr(hopper, "plan", lambda *_: FORMS[0])
    x, gy, host = operands(device, 2, 61, 69, 36)
    assert -(-2 * 61 * 69 // hopper.BK) == 264
    _, gb = gradients(x, gy)
    assert "reduce_columns" not in launched
    np.testing.assert_allclose(device.get(gb), host.sum(SUM, np.float64), rtol=0,
                               atol=2e-7 * np.abs(host).sum(SUM).max())


@pytest.mark.parametrize("change", ["in place", "another array", "other axes", "twice", "another order", "keepdims"])
def test_they_are_not_used_for_other_numbers(device, monkeypatch, launched, change):
    monkeypatch.setattr(hopper, "plan", lambda *_: FORMS[0])
    x, gy, host = operands(device)
    axes = (0, 2) if change == "other axes" else SUM
    with kernels.sums_wanted(True):
        conv.conv2d_weight_grad(x, gy, (1, 1), (1, 1), (0, 0), (1, 1))
    if change == "in place":
        flat = gy.transpose(0, 2, 3, 1).reshape(-1)
        loader.kernel("norm.cu", "update_running", gy)(
            -(-gy.size // 256), 256, (flat, flat.copy(), flat.copy() * 3, flat.copy(), 0.5, 1.0, gy.size))
    if change == "another array":
        gy = gy.copy()
    if change == "twice":
        reduce.reduce_sum(gy, axes)
        launched.clear()
    if change == "another order":  # the same memory, read as an image of other axes
        gy = gy.transpose(0, 1, 3, 2)
    result = reduce.reduce_sum(gy, axes, change == "keepdims")
    assert ("reduce_columns" in launched) == (change != "keepdims")
    np.testing.assert_allclose(device.get(result), device.get(gy).sum(axes, np.float64, keepdims=change == "keepdims"),
                               rtol=0, atol=1e-3)


def test_the_rules_of_conv2d_ask_for_them(device, monkeypatch, launched):
    """A bias's gradient needs no pass over gy; without a bias nothing is added up."""
    monkeypatch.setattr(hopper, "plan", lambda *_: FORMS[0])
    mg.set_device(device.name)
    try:
        rng = np.random.default_rng(0)
        x, w, b = (mg.tensor(rng.normal(size=s).astype(np.float32), requires_grad=True)
                   for s in ((2, 128, 14, 13), (72, 128, 1, 1), (72,)))
        y = ops.conv2d(x, w, b)
        launched.clear()
        _, gb = mg.grad(y, [w, b], mg.tensor(channels_last(np.ones(y.shape, np.float32))))
        assert "reduce_columns" not in launched
        np.testing.assert_allclose(gb.numpy(), 2 * 14 * 13, rtol=1e-6)
        y = ops.conv2d(x, w)
        mg.grad(y, [w], mg.tensor(channels_last(np.ones(y.shape, np.float32))))
        assert kernels.values.handed.sums is None
    finally:
        mg.set_device("cpu")
