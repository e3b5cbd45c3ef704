"""hopper.cu against the CPU in float64: every tile, cluster and product, sizes that fill no tile; and its rule."""

import csv
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from same_bytes import channels_last

import minigan as mg
from minigan import kernels
from minigan.kernels import cpu, precision
from minigan.kernels.cuda import conv, hopper
from minigan.kernels.cuda.matmul import matmul
from minigan.kernels.geometry import out_size

TIMES = Path(__file__).parents[2] / "benchmarks" / "results" / "gpu_hopper.csv"
#    N   C   O   H   W   kernel  stride  padding dilation
GEOMETRY = {
    "DCGAN": (2, 32, 160, 16, 15, (4, 4), (2, 2), (1, 1), (1, 1)),
    "borders": (3, 64, 96, 9, 12, (3, 3), (1, 1), (1, 1), (1, 1)),
    "all different": (1, 32, 64, 31, 38, (4, 3), (3, 2), (1, 2), (1, 2)),
    "1x1": (4, 96, 64, 6, 9, (1, 1), (1, 1), (0, 0), (1, 1)),
}
FORMS = [hopper.Form(tile, *cut) for tile in hopper.TILES for cut in ((1, 1), (2, 4), (8, 8))]
CASES = [(name, form) for name in GEOMETRY for form in FORMS if name == "DCGAN" or form in FORMS[1::5]]


@pytest.fixture
def launches(monkeypatch):
    """The sizes of hopper.cu's products, which are launched however small they are."""
    products, launch = [], hopper.launch

    def counted(*arguments):
        products.append(arguments[-1])
        launch(*arguments)

    monkeypatch.setattr(hopper, "launch", counted)
    monkeypatch.setattr(hopper, "WORTH", 0)
    return products


@pytest.mark.long
@pytest.mark.parametrize("name, form", CASES, ids=lambda part: part if isinstance(part, str) else "-".join(
    map(str, (*part.tile[:2], *part[1:]))))
def test_convolutions(device, monkeypatch, launches, name, form):
    """The three products: right, the same bytes again, and launched where a tile's rows can be filled."""
    monkeypatch.setattr(hopper, "plan", lambda *_: form)
    N, C, O, H, W, kernel, *how = GEOMETRY[name]
    rng = np.random.default_rng(0)
    size = tuple(out_size(*axis) for axis in zip((H, W), kernel, *how, strict=True))
    x, w, gy, b, c = (rng.normal(size=shape) for shape in ((N, C, H, W), (O, C, *kernel), (N, O, *size), (O,), (C,)))
    wanted = (cpu.conv2d(x, w, b, *how), cpu.conv_transpose2d(gy, w, c, *how, (H, W)),
              cpu.conv2d_weight_grad(x, gy, kernel, *how))
    x, w, gy, b, c = (device.put(a.astype(np.float32)) for a in (channels_last(x), w, channels_last(gy), b, c))

    def all_three():
        return [device.get(y) for y in (conv.conv2d(x, w, b, *how), conv.conv_transpose2d(gy, w, c, *how, (H, W)),
                                        conv.conv2d_weight_grad(x, gy, kernel, *how))]

    first = all_three()
    rows = (N * math.prod(size), N * math.prod(-(-n // s) for n, s in zip((H, W), how[0], strict=True)),
            C * math.prod(kernel))
    assert [each.rows for each in launches] == [count for count in rows if count >= hopper.BM]
    for y, value in zip(first, wanted, strict=True):
        assert np.linalg.norm(y - value) <= 4e-4 * np.linalg.norm(value)
    for again, y in zip(all_three(), first, strict=True):
        np.testing.assert_array_equal(again, y)


@pytest.mark.parametrize("transposed", [(False, False), (False, True), (True, False)])
def test_matrices(device, launches, transposed):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(140, 96)), rng.normal(size=(96, 132))
    left, right = (np.ascontiguousarray(m.T) if swap else m for m, swap in zip((a, b), transposed, strict=True))
    left, right = (device.put(m.astype(np.float32)) for m in (left, right))
    left, right = (m.T if swap else m for m, swap in zip((left, right), transposed, strict=True))
    y = device.get(matmul(left, right))
    assert len(launches) == 1
    assert np.linalg.norm(y - a @ b) <= 4e-4 * np.linalg.norm(a @ b)


def test_nan_stays(device, launches):
    """A NaN with all bits set, in one row: a product with an infinity or a carry in rounding would lose it."""
    a = np.ones((128, 64), np.float32)
    a[3, 5] = np.frombuffer(np.uint32(0x7FFFFFFF).tobytes(), np.float32)[0]
    y = device.get(matmul(device.put(a), device.put(np.ones((64, 64), np.float32))))
    assert len(launches) == 1 and np.isnan(y[3]).all() and np.isnan(y).sum() == 64


def test_float32_and_small_products_stay_with_the_oracle(device, monkeypatch, launches):
    """Precision fp32 and float64 never use tensor cores; below WORTH conv.cu is faster."""
    ones = {real: device.put(np.ones((128, 128), real)) for real in (np.float32, np.float64)}
    matmul(ones[np.float64], ones[np.float64])
    monkeypatch.setattr(precision, "_precision", "fp32")
    matmul(ones[np.float32], ones[np.float32])
    monkeypatch.setattr(precision, "_precision", "fast")
    monkeypatch.setattr(hopper, "WORTH", 128**3 + 1)
    matmul(ones[np.float32], ones[np.float32])
    assert not launches
    monkeypatch.setattr(hopper, "WORTH", 128**3)
    matmul(ones[np.float32], ones[np.float32])
    assert len(launches) == 1


def test_the_rule_chooses_a_form_near_the_fastest():
    """Of every product timed on an H200, within 5 % of the fastest form; the model's times are within 20 %."""
    times = defaultdict(dict)
    with TIMES.open() as file:
        for row in csv.DictReader(file):
            sizes = tuple(int(row[c]) for c in ("mode", "rows", "columns", "depth", "phases"))
            times[sizes][tuple(int(row[c]) for c in ("BN", "STAGES", "cluster", "splits"))] = float(row["us"])
    assert len(times) == 27
    for sizes, measured in times.items():
        form = hopper.plan(*sizes)
        chosen = measured[form.tile.BN, form.tile.STAGES, form.cluster, form.splits]
        assert chosen <= 1.05 * min(measured.values()), (sizes, form)
        assert hopper.microseconds(form, *sizes) == pytest.approx(chosen, rel=0.2)


def test_a_backward_pass_arranges_weights_once(device, monkeypatch, launches):
    """Weights that two products share; other weights, and the same ones changed, are arranged again."""
    arranged, plain = [], hopper.kernel
    monkeypatch.setattr(hopper, "kernel", lambda *names, **macros: arranged.append(names[1]) or plain(*names, **macros))
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=(128, 64)).astype(np.float32) for _ in range(3))
    x, y, w, v = (device.put(m) for m in (a, b, c.T @ c, c.T @ a))

    def products():
        return [device.get(matmul(left, right)) for left, right in ((x, w), (y, w), (x, v))]

    outside = products()
    assert arranged.count("arrange") == 3
    with kernels.constant_weights():
        inside = products()
    assert arranged.count("arrange") == 5
    w *= 2
    with kernels.constant_weights():
        twice = products()
    assert arranged.count("arrange") == 7
    for one, other in zip(outside, inside, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(twice[1], 2 * inside[1])


def test_a_captured_step_arranges_weights_once_between_updates(device, monkeypatch, launches):
    """Two updates a step, each after two products: the bytes of plain steps, which arrange before every product."""
    arranged, plain = [], hopper.kernel
    monkeypatch.setattr(hopper, "kernel", lambda *names, **macros: arranged.append(names[1]) or plain(*names, **macros))
    mg.set_device(device.name)
    a, b, c = (np.random.default_rng(0).normal(size=(n, 64)).astype(np.float32) for n in (128, 128, 64))

    def trained(capture):
        x, y, w = mg.tensor(a), mg.tensor(b), mg.tensor(c, requires_grad=True)
        optimizer = mg.optim.SGD([w], lr=0.1)

        def step():
            for _ in range(2):
                loss = ((x @ w) ** 2).mean() + ((y @ w) ** 2).mean()
                optimizer.minimize(loss)
            return loss.detach()

        run = mg.capture(step) if capture else step
        return [run().numpy().tobytes() for _ in range(5)], w.numpy().tobytes()

    wanted = trained(False)
    assert arranged.count("arrange") == 5 * 4
    arranged.clear()
    assert trained(True) == wanted
    assert arranged.count("arrange") == 2 * 4 + 2  # two plain steps, and one that is recorded
