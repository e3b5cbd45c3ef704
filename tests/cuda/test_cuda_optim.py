"""The update rules against their CPU twins, bit for bit on the emulated device; counters and rates on the device."""

import numpy as np
import pytest

from minigan.errors import DTypeError
from minigan.kernels import Counter, Rate, cpu
from minigan.kernels.cuda import emulated, optim
from minigan.kernels.cuda.counters import advance

SHAPES = [(), (1,), (3,), (20,), (5, 7), (1023,), (1025,), (6, 20, 3, 3), (8, 3, 4, 4), (0, 3), (4099,)]
RULES = {  # name: (states, arguments after the arrays)
    "sgd": (0, (0.05, 0.0, False, 0.0)),
    "sgd decayed": (0, (0.05, 0.0, False, 0.01)),
    "sgd momentum": (1, (0.05, 0.9, False, 0.01)),
    "sgd nesterov": (1, (0.05, 0.9, True, 0.0)),
    "rmsprop": (1, (5e-5, 0.99, 1e-8, 0.0)),
    "rmsprop decayed": (1, (1e-2, 0.9, 1e-3, 0.1)),
    "rmsprop centered": (2, (1e-2, 0.9, 1e-3, 0.1)),
    "rmsprop momentum": (2, (1e-2, 0.9, 1e-3, 0.0)),
    "rmsprop centered momentum": (3, (1e-2, 0.9, 1e-3, 0.1)),
    "adam": (2, (1, 2e-4, 0.5, 0.999, 1e-8, 0.0)),
    "adam decayed": (2, (1000, 1e-2, 0.9, 0.99, 1e-3, 0.1)),
    "adam decoupled": (2, (3, 1e-2, 0.9, 0.99, 1e-3, 0.1, True)),
    "ema": (0, (0.999,)),
}


def columns_of(rule, dtype, shapes=SHAPES, seed=0):
    """NumPy arrays: parameters, gradients and the states of the rule, which are never negative."""
    rng = np.random.default_rng(seed)
    states, _ = RULES[rule]
    rows = [[np.array(rng.normal(size=shape), dtype) for shape in shapes] for _ in range(2)]
    rows += [[np.array(0.1 * np.abs(rng.normal(size=shape)), dtype) for shape in shapes] for _ in range(states)]
    return rows


def arguments(rule, columns):
    """The columns as arguments of the rule's function: for SGD without momentum, the states are None."""
    return [*columns, None] if rule in ("sgd", "sgd decayed") else columns


def call(wing, rule, columns, tail):
    name, *kinds = rule.split()
    if name == "rmsprop" and {"centered", "momentum"} & {*kinds}:  # the further states come last
        rows = iter(columns[3:])
        means, momenta = (next(rows) if kind in kinds else None for kind in ("centered", "momentum"))
        wing.rmsprop(*columns[:3], *tail, means, momenta, 0.9 if momenta else 0.0)
    else:
        getattr(wing, name)(*arguments(rule, columns), *tail)


def channels_last(array):
    """The same numbers, stored (N, H, W, C) if there are four axes."""
    if array.ndim != 4:
        return array
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def on_device(device, columns):
    return [[device.put(array) for array in column] for column in columns]


def assert_same(device, a, b):
    """Equal bytes on the emulated device; on a GPU, pow() may round otherwise, which changes the last bit."""
    b = device.get(b)
    assert b.dtype == a.dtype
    if device.backend is emulated:
        np.testing.assert_array_equal(b, a)
    else:
        eps = np.finfo(a.dtype).eps
        np.testing.assert_allclose(b, a, rtol=4 * eps, atol=0.1 * eps)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_three_steps_are_the_cpus(device, rule, dtype):
    tail = RULES[rule][1]
    expected = columns_of(rule, dtype)
    gradients = [columns_of(rule, dtype, seed=seed)[1] for seed in (1, 2, 3)]
    starts = [[array.copy() for array in column] for column in expected]
    for g in gradients:
        call(cpu, rule, [expected[0], g, *expected[2:]], tail)
    for _ in device.orders():
        got = on_device(device, starts)
        for g in gradients:
            call(optim, rule, [got[0], [device.put(a) for a in g], *got[2:]], tail)
        for k in (0, *range(2, len(got))):
            for a, b in zip(expected[k], got[k], strict=True):
                assert_same(device, a, b)
        for a, b in zip(starts[1], got[1], strict=True):
            assert device.get(b).tobytes() == a.tobytes()


def test_gradients_and_parameters_in_other_orders_and_with_gaps(device):
    """Parameters stored channels-last with gradients and states in other orders; views with gaps, reversed, offset."""
    tail, (p, g, m, s) = RULES["adam"][1], columns_of("adam", np.float32, [(6, 20, 3, 3)] * 5)
    expected = [[array.copy() for array in column] for column in (p, g, m, s)]
    call(cpu, "adam", expected, tail)

    def as_view(array, kind):
        if kind == 0:
            return device.put(channels_last(array))
        if kind == 1:
            return device.put(array)
        if kind == 2:  # gaps
            room = device.put(np.zeros((6, 20, 3, 7), np.float32))
            view = room[..., ::2][..., :3]
        elif kind == 3:  # backwards
            view = device.put(np.zeros((6, 20, 3, 3), np.float32))[::-1]
        else:  # dense, but not aligned to 16 bytes
            view = device.put(np.zeros(1 + array.size, np.float32))[1:].reshape(array.shape)
        view[...] = device.put(array)
        return view

    for kinds in ((0, 1, 0, 0), (1, 0, 1, 1), (2, 1, 0, 2), (3, 3, 3, 1), (4, 1, 1, 4)):
        got = [[as_view(array, kind) for array in column]
               for column, kind in zip((p, g, m, s), kinds, strict=True)]
        call(optim, "adam", got, tail)
        for k in (0, 2, 3):
            for a, b in zip(expected[k], got[k], strict=True):
                assert_same(device, a, b)


@pytest.mark.parametrize("rule", RULES)
def test_neighbours_in_memory_are_left_alone(device, rule):
    """Parameters of 1 to 5 numbers, 8 apart in one array: the numbers between them must not change."""
    columns = [np.abs(np.random.default_rng(k).normal(size=64)).astype(np.float32) for k in range(2 + RULES[rule][0])]
    pieces = [slice(8 * i + i // 5, 8 * i + i // 5 + 1 + i % 5) for i in range(7)]
    there = [device.put(column) for column in columns]
    call(cpu, rule, [[column[piece] for piece in pieces] for column in columns], RULES[rule][1])
    call(optim, rule, [[array[piece] for piece in pieces] for array in there], RULES[rule][1])
    for column, array in zip(columns, there, strict=True):
        assert_same(device, column, array)


@pytest.mark.parametrize("rule, capacity", [("adam", 80), ("ema", 120)])
def test_more_arrays_than_one_table_holds(device, monkeypatch, rule, capacity):
    """One launch for all arrays that fit into a table by value, a second for the rest; one per dtype."""
    launches = []
    plain = optim.kernel
    monkeypatch.setattr(optim, "kernel", lambda *args: launches.append(args) or plain(*args))
    tail = RULES[rule][1]
    for count, expected_launches in ((capacity, 1), (capacity + 1, 2)):
        launches.clear()
        shapes = [(1 + i % 7, 1 + i % 5) for i in range(count)]
        expected = columns_of(rule, np.float32, shapes)
        got = on_device(device, expected)
        call(cpu, rule, expected, tail)
        call(optim, rule, got, tail)
        assert len(launches) == expected_launches
        for a, b in zip(expected[0], got[0], strict=True):
            assert_same(device, a, b)
    launches.clear()
    mixed = [[*columns_of(rule, np.float32)[k], *columns_of(rule, np.float64)[k]] for k in range(2 + RULES[rule][0])]
    got = on_device(device, mixed)
    call(cpu, rule, mixed, tail)
    call(optim, rule, got, tail)
    assert len(launches) == 2
    for a, b in zip(mixed[0], got[0], strict=True):
        assert_same(device, a, b)


def test_blocks_of_several_chunks(device, monkeypatch):
    """Large models get longer chunks, here from 4 K elements on; the chunk length changes no bit."""
    monkeypatch.setattr(optim, "BLOCKS", 2)
    tail, columns = RULES["adam"][1], columns_of("adam", np.float32, [(20_000,), (1,), (9_001,), (8_192,)])
    got = on_device(device, columns)
    call(cpu, "adam", columns, tail)
    call(optim, "adam", got, tail)
    for a, b in zip(columns[0], got[0], strict=True):
        assert_same(device, a, b)


@pytest.mark.parametrize("rule", ["sgd momentum", "rmsprop", "rmsprop centered momentum", "adam", "adam decoupled",
                                  "ema"])
def test_a_graph_takes_its_numbers_from_the_device(device, rule):
    """Captured once with a Counter and a Rate and launched five times: the bytes of five plain steps."""
    backend, columns = device.backend, columns_of(rule, np.float32, [(5, 7), (2000,)])
    plain, captured = on_device(device, columns), on_device(device, columns)
    counters, increments = device.put(np.array([7, 2**40], np.int64)), device.put(np.array([1, 2], np.int64))
    rates = device.put(np.zeros(3))
    _, tail = RULES[rule]
    if rule.startswith("adam"):
        tail = tail[1:]

    def step(columns, number, rate):
        call(optim, rule, columns, (number, rate, *tail[1:]) if rule.startswith("adam") else (rate, *tail[1:]))

    step([[device.put(np.zeros(1, np.float32))] for _ in columns], 1, 0.0)  # compiles
    advance(device.put(np.zeros(1, np.int64)), device.put(np.zeros(1, np.int64)))
    graph = backend.Graph()
    with graph.capture():
        step(captured, Counter(counters[:1], 1), Rate(rates[1:2]))
        advance(counters, increments)
    for k in range(5):
        rate = 0.5 / (k + 2)
        rates[...] = device.put(np.array([0, rate, 0]))
        graph.launch()
        step(plain, 8 + k, rate)
    assert device.get(counters).tolist() == [12, 2**40 + 10]
    for one, other in zip(plain, captured, strict=True):
        for a, b in zip(one, other, strict=True):
            assert device.get(a).tobytes() == device.get(b).tobytes()


def test_what_is_refused(device):
    def arrays(*shapes, dtype=np.float32):
        return [device.put(np.ones(shape, dtype)) for shape in shapes]

    with pytest.raises(ValueError, match=r"ema: a parameter of shape \(3,\) with arrays of shape \[\(4,\)\]"):
        optim.ema(arrays(3), arrays(4), 0.9)
    with pytest.raises(ValueError, match="zip"):
        optim.ema(arrays(3, 4), arrays(3), 0.9)
    with pytest.raises(DTypeError, match="float64, but the kernel reads float32"):
        optim.ema(arrays(3), arrays(3, dtype=np.float64), 0.9)
    optim.ema([], [], 0.9)
    optim.ema(arrays(0), arrays(0), 0.9)
