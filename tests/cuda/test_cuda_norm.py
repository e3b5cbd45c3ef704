"""norm.cu against its CPU twin: every path, tight bounds in float64, stated bounds in float32, a large mean."""

import numpy as np
import pytest
from same_bytes import channels_last, in_every_order, is_channels_last

from minigan import kernels
from minigan.kernels import cpu
from minigan.kernels.cuda import norm
from minigan.kernels.cuda.loader import Kernel
from minigan.kernels.cuda.pad import fold, pad

SHAPES = [
    (3, 5), (5, 64), (4, 3, 7), (1, 2, 8, 6), (6, 1, 5, 3), (2, 3, 5, 2, 4),
    (5, 20, 5, 7),      # packs, an odd number of pixels
    (2, 200, 3, 3),     # several tiles, the last one partly filled
    (3, 3, 48, 44),     # pixels side by side, several parts
    (2, 1, 100, 92),
    (4, 24, 19, 31),    # several parts, the last one shorter
]
CASES = [(over, shape) for over in ("batch", "instance", "layer") for shape in SHAPES
         if over != "instance" or len(shape) > 2]
EPS = 1e-5


def draw(shape, dtype=np.float64, mean=0.5, deviation=1.0):
    rng = np.random.default_rng(7)
    x, gy = mean + deviation * rng.standard_normal(shape), rng.standard_normal(shape)
    gamma, beta = rng.standard_normal(shape[1]), rng.standard_normal(shape[1])
    return tuple(v.astype(dtype) for v in (channels_last(x), channels_last(gy), gamma, beta))


def compute(module, x, gy, gamma, beta, over, slope=None):
    mean, var, rstd = module.norm_stats(x, over, EPS)
    y = module.norm_apply(x, mean, rstd, gamma, beta, slope)
    return mean, var, y, *module.norm_grad(gy, x, mean, rstd, gamma, over, y, slope)


@pytest.mark.parametrize("affine, slope", [(True, None), (False, 0.2)])
def test_sums_that_are_shared_are_used_as_by_the_twin(device, affine, slope):
    x, gy, gamma, beta = draw((4, 5, 3, 6))
    mean, _, rstd = cpu.norm_stats(x, "batch", EPS)
    arguments = (gy, x, mean, rstd, gamma if affine else None, "batch", x, slope)
    wanted = cpu.norm_grad(*arguments, lambda sums: 0.5 * sums + 0.25)
    result = norm.norm_grad(*(device.put(a) if isinstance(a, np.ndarray) else a for a in arguments),
                            lambda sums: 0.5 * sums + 0.25)
    for a, b in zip(result, wanted, strict=True):
        np.testing.assert_allclose(device.get(a), b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("over, shape", CASES)
@pytest.mark.parametrize("affine, slope", [(True, None), (False, 0.2)])
def test_equals_the_twin(device, over, shape, affine, slope):
    x, gy, gamma, beta = draw(shape)
    arguments = (x, gy, gamma, beta) if affine else (x, gy, None, None)
    there = [device.put(a) for a in arguments]
    result = in_every_order(device, lambda: compute(norm, *there, over, slope))
    for a, b in zip(result, compute(cpu, *arguments, over, slope), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("over, shape", CASES)
def test_an_addend_gives_the_bits_of_a_sum(device, over, shape):
    """On the emulated device; a GPU's compiler may join product and sum otherwise."""
    x, addend, gamma, beta = map(device.put, draw(shape, np.float32 if len(shape) == 4 else np.float64))
    mean, _, rstd = norm.norm_stats(x, over, EPS)
    for slope in (None, 0.2):
        y = in_every_order(device, lambda slope=slope: norm.norm_apply(x, mean, rstd, gamma, beta, slope, addend))
        wanted = device.get(addend) + device.get(norm.norm_apply(x, mean, rstd, gamma, beta))
        wanted = wanted if slope is None else cpu.leaky_relu(wanted, slope)
        rounding = 0 if device.name == "emulated" else 1e-6
        np.testing.assert_allclose(y, wanted, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("over, shape", CASES)
def test_float32_to_1e_5(device, over, shape):
    arguments = draw(shape, np.float32)
    there = [device.put(a) for a in arguments]
    result = in_every_order(device, lambda: compute(norm, *there, over, 0.0))
    wanted = compute(cpu, *(a.astype(np.float64) for a in arguments), over, 0.0)
    for a, b in zip(result, wanted, strict=True):
        assert a.dtype == np.float32
        if over == "batch" and shape == (3, 5):  # three numbers: rstd^3 enlarges every rounding
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("over", ["batch", "instance", "layer"])
@pytest.mark.parametrize("shape", [(3, 3, 48, 44), (4, 24, 19, 31)])
def test_a_mean_of_1000_leaves_a_deviation_of_a_hundredth(device, over, shape):
    x, gy, gamma, beta = draw(shape, np.float32, mean=1000, deviation=1e-2)
    mean, var, _ = in_every_order(device, lambda: norm.norm_stats(device.put(x), over, EPS))
    wanted_mean, wanted_var, _ = cpu.norm_stats(x.astype(np.float64), over, EPS)
    np.testing.assert_allclose(mean, wanted_mean, rtol=6e-8)  # half a unit in float32's last place
    np.testing.assert_allclose(var, wanted_var, rtol=2e-6)


def test_an_outlier_in_the_first_pixel_does_no_harm(device):
    x = draw((4, 24, 19, 31), np.float32)[0]
    x[:, :, 0, 0] = 1e4
    for over in ("batch", "instance", "layer"):
        mean, var, _ = in_every_order(device, lambda over=over: norm.norm_stats(device.put(x), over, EPS))
        wanted_mean, wanted_var, _ = cpu.norm_stats(x.astype(np.float64), over, EPS)
        assert (np.abs(mean - wanted_mean) < 4e-6 * np.sqrt(wanted_var)).all()  # mean - 1e4 has steps of 1e-3
        np.testing.assert_allclose(var, wanted_var, rtol=2e-6)


@pytest.mark.parametrize("over", ["batch", "instance", "layer"])
def test_any_layout_gives_the_same_and_is_stored_channels_last(device, over):
    x, gy, gamma, beta = draw((3, 4, 5, 6))
    wanted = [device.get(a).tobytes() for a in compute(norm, *map(device.put, (x, gy, gamma, beta)), over)]
    rows = (np.ascontiguousarray(v) for v in (x, gy))
    result = compute(norm, *map(device.put, (*rows, gamma, beta)), over)
    assert is_channels_last(result[2]) and is_channels_last(result[3])
    assert [device.get(a).tobytes() for a in result] == wanted


def test_an_array_that_begins_between_packs(device):
    shape = (5, 3, 16, 24)
    x, gy, gamma, beta = draw(shape, np.float32)
    wanted = compute(cpu, x[1:], gy[1:], gamma, beta, "batch")
    room = np.zeros(x.size + 1, np.float32)
    shifted = []
    for v in (x, gy):
        room[1:] = v.transpose(0, 2, 3, 1).reshape(-1)
        shifted.append(device.put(room)[1:].reshape(5, 16, 24, 3).transpose(0, 3, 1, 2)[1:])
    for a, b in zip(compute(norm, *shifted, device.put(gamma), device.put(beta), "batch"), wanted, strict=True):
        np.testing.assert_allclose(device.get(a), b, rtol=1e-4, atol=1e-4)


def test_an_addend_that_begins_between_packs_is_read_number_by_number(device, monkeypatch):
    call, seen = Kernel.__call__, []
    monkeypatch.setattr(Kernel, "__call__", lambda k, *a, **o: seen.append(k.defines["VEC"]) or call(k, *a, **o))
    x, addend, *_ = map(device.put, draw((2, 8, 5, 4), np.float32))
    room = device.put(np.zeros(x.size + 1, np.float32))
    between = room[1:].reshape(2, 5, 4, 8).transpose(0, 3, 1, 2)
    between[...] = addend
    mean, _, rstd = norm.norm_stats(x, "batch", EPS)
    widths = ((0, 0), (0, 0), (1, 1), (0, 1))
    g = pad(x, widths)
    for function in (lambda a: norm.norm_apply(x, mean, rstd, None, None, None, a),
                     lambda a: fold(g, widths, "reflect", a)):
        seen.clear()
        np.testing.assert_array_equal(device.get(function(between)), device.get(function(addend)))
        assert seen == [1, 4]


@pytest.mark.parametrize("over, shape", [("batch", SHAPES[-1]), ("instance", SHAPES[6]), ("layer", SHAPES[7])])
def test_rstd_comes_along(device, over, shape):
    x = device.put(draw(shape)[0])
    mean, var, rstd = in_every_order(device, lambda: norm.norm_stats(x, over, EPS))
    np.testing.assert_array_equal(mean, device.get(norm.norm_stats(x, over, 2 * EPS)[0]))
    np.testing.assert_array_equal(var, device.get(norm.norm_stats(x, over, 2 * EPS)[1]))
    np.testing.assert_allclose(rstd, 1 / np.sqrt(var + EPS), rtol=1e-15)
    assert rstd.shape == var.shape


def test_nothing_passes_a_closed_gate(device):
    x, gy, gamma, beta = draw((3, 4, 5, 6))
    gy[np.asarray(compute(cpu, x, gy, gamma, beta, "batch", 0.0)[2]) == 0] = np.nan
    result = compute(norm, *map(device.put, (x, gy, gamma, beta)), "batch", 0.0)
    assert all(np.isfinite(device.get(a)).all() for a in result)


@pytest.mark.parametrize("over, shape", [
    ("batch", (5, 20, 5, 7)), ("batch", (4, 24, 19, 31)), ("batch", (3, 3, 48, 44)), ("instance", (3, 40, 5, 7)),
    ("instance", (2, 24, 40, 62)), ("instance", (3, 3, 68, 64)), ("instance", (4, 5, 3, 3))])
def test_statistics_move_the_running_ones_once_for_each_group_in_order(device, rng, over, shape):
    """In one launch or, where running statistics have another type, in several."""
    x = channels_last(rng.normal(1, 2, shape))
    groups = [x] if over == "batch" else [x[n : n + 1] for n in range(len(x))]
    start, momentum = rng.normal(size=(2, shape[1])), 0.3
    mean, var = start.copy()
    for group in groups:
        mean = mean + momentum * (group.mean((0, 2, 3)) - mean)
        var = var + momentum * (group.var((0, 2, 3), ddof=1) - var)
    for dtype, bound in ((np.float64, 1e-13), (np.float32, 1e-5)):
        def compute(dtype=dtype):
            running = [device.put(values.astype(dtype)) for values in start]
            moments = norm.norm_stats(device.put(x), over, EPS, kernels.Running(*running, momentum))
            return *running, moments.mean

        own_mean, own_var, batch_mean = in_every_order(device, compute)
        np.testing.assert_allclose(own_mean, mean, rtol=bound, atol=bound)
        np.testing.assert_allclose(own_var, var, rtol=bound, atol=bound)
        np.testing.assert_array_equal(batch_mean, device.get(norm.norm_stats(device.put(x), over, EPS).mean))
        on_host = start.astype(dtype)
        cpu.norm_stats(x, over, EPS, kernels.Running(*on_host, momentum))
        np.testing.assert_allclose(on_host, [mean, var], rtol=bound, atol=bound)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_running_statistics_move_towards_the_batchs(device, rng, dtype):
    running = [rng.normal(size=300).astype(np.float32) for _ in range(2)]
    mean, var = (rng.normal(size=(1, 300, 1, 1)).astype(dtype) for _ in range(2))
    there = [device.put(r) for r in running]
    kernels.update_running(*there, device.put(mean), device.put(var), 0.1, 64)
    kernels.update_running(*running, mean.astype(np.float32), var.astype(np.float32), 0.1, 64)
    for a, b in zip(there, running, strict=True):
        np.testing.assert_allclose(device.get(a), b, rtol=1e-6, atol=1e-7)
