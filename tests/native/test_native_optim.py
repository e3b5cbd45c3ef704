"""Update rules in C against their twins, which they must equal to the bit, and against float64 formulas."""

import numpy as np
import pytest
from kernel_cases import CASES, parameters

from minigan.kernels import Counter, Rate, cpu, native
from minigan.kernels.native.library import LIBRARY

SIZES = (1, 3, 7, 8, 17, 100, 16383, 16384, 16385, 50_003)
RULES = {
    "sgd": [(3, (0.1, 0.0, False, 0.0)), (3, (0.1, 0.9, False, 0.01)), (3, (0.05, 0.9, True, 0.0))],
    "rmsprop": [(3, (0.01, 0.9, 1e-3, 0.0)), (3, (0.01, 0.99, 1e-8, 0.1))],
    "adam": [(4, (1, 2e-4, 0.5, 0.999, 1e-8, 0.0)), (4, (7, 1e-3, 0.9, 0.99, 1e-8, 0.1)),
             (4, (3, 1e-3, 0.0, 0.9, 1e-8, 0.1, True))],
    "ema": [(2, (0.999,))],
}


def draw(rng, lists, sizes=SIZES):
    """Lists of parameters, of gradients, and of states, which are at least 0."""
    rows = [[rng.standard_normal(n, np.float32) for n in sizes] for _ in range(lists)]
    return rows[:2] + [[np.abs(a) for a in row] for row in rows[2:]]


def copied(arguments):
    return [[a.copy(order="K") for a in v] if isinstance(v, list) else v for v in arguments]


def bytes_of(arguments):
    return [[a.tobytes() for a in v] for v in arguments if isinstance(v, list)]


def after(room, name, arguments):
    arguments = copied(arguments)
    assert getattr(room, name)(*arguments) is None
    return bytes_of(arguments)


@pytest.mark.parametrize("name, lists, numbers", [(name, *how) for name in RULES for how in RULES[name]])
def test_equal_their_twins(name, lists, numbers, rng, with_threads):
    arguments = [*draw(rng, lists), *numbers]
    wanted = after(cpu, name, arguments)
    assert wanted != bytes_of(arguments)
    for threads in (1, 2, 3, 8):
        assert with_threads(threads, after, native, name, arguments) == wanted


def test_rmsprop_with_averages_and_momenta(rng):
    p, g, s, a, b = draw(rng, 5)
    for states in ((a, None), (None, b), (a, b)):
        arguments = [p, g, s, 0.01, 0.9, 1e-3, 0.1, *states, 0.9]
        assert after(native, "rmsprop", arguments) == after(cpu, "rmsprop", arguments)


def test_the_common_cases():
    """With parameters of any memory order, and gradients of another."""
    for name in ("sgd", "rmsprop", "adam", "ema"):
        for arguments in CASES[name]:
            assert after(native, name, arguments) == after(cpu, name, arguments)


def test_adam_of_the_paper(rng):
    """Algorithm 1 of Kingma & Ba in float64, for three steps."""
    p, g, m, s = (row[0] for row in draw(rng, 4, (1001,)))
    m[...] = s[...] = 0
    q, n, t = (a.astype(np.float64) for a in (p, m, s))
    for step in (1, 2, 3):
        native.adam([p], [g], [m], [s], step, 0.01, 0.9, 0.999, 1e-8, 0.0)
        n, t = 0.9 * n + 0.1 * g, 0.999 * t + 0.001 * g.astype(np.float64) ** 2
        q -= 0.01 * (n / (1 - 0.9**step)) / (np.sqrt(t / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6)


def test_layouts_and_types(rng):
    """What C does not know goes to the twin, in one call with what it knows; gradients are not written to."""
    filters = parameters((2, 3, 1, 0))[0]
    strided, backwards = np.zeros((6, 10), np.float32)[:, ::2], np.zeros(9, np.float32)[::-1]
    unaligned = np.frombuffer(bytearray(4 * 50 + 1), np.float32, 50, offset=1)
    doubles, scalar = np.zeros(5), np.zeros((), np.float32)
    params = [filters, strided, backwards, unaligned, doubles, scalar, np.zeros((0, 3), np.float32)]
    for a in params:
        a[...] = rng.standard_normal(a.shape)
    grads = [np.ascontiguousarray(rng.standard_normal(a.shape).astype(a.dtype)) for a in params]
    states = [[np.abs(a).copy(order="K") for a in params] for _ in "ms"]
    wanted, result = (copied([params, grads, *states]) for _ in "ab")
    for row in (wanted[0], result[0]):
        row[1], row[2] = np.repeat(params[1], 2, 1)[:, ::2], params[2][::-1].copy()[::-1]
    for room, (p, g, m, s) in ((cpu, wanted), (native, result)):
        room.adam(p, g, m, s, 3, 1e-3, 0.9, 0.999, 1e-8, 0.01)
    assert bytes_of(result) == bytes_of(wanted)
    assert bytes_of([result[1]]) == bytes_of([grads])


def test_axes_of_length_1_may_have_any_stride(rng, monkeypatch):
    """As filters of one channel have: parameter, gradient and state are views of differently shaped memory."""
    def oddly(shape, order):
        base = np.abs(rng.standard_normal([shape[axis] for axis in order], np.float32))
        return base.transpose(np.argsort(order))

    rows = []
    for shape in ((1, 8, 3, 3), (8, 1, 4, 4), (1, 1, 2, 3), (5, 1, 1, 1)):
        orders = (2, 3, 1, 0), (2, 3, 0, 1), (2, 3, 1, 0), (2, 3, 0, 1)  # the same memory, but for axes of length 1
        rows.append([oddly(shape, order) for order in orders])
    strides = [{a.strides for a in row} for row in rows]
    assert sum(len(each) > 1 for each in strides) >= 3
    arguments = [*map(list, zip(*rows, strict=True)), *RULES["adam"][1][1]]
    wanted = after(cpu, "adam", arguments)
    monkeypatch.setattr(cpu, "adam", None)  # C does all of it
    assert after(native, "adam", arguments) == wanted


def test_counters_and_rates(rng):
    rows = draw(rng, 4)
    wanted = after(native, "adam", [*rows, 5, 1e-3, 0.9, 0.999, 1e-8, 0.0])
    rate, step = Rate(np.array([1e-3])), Counter(np.array([3]), 2)
    assert after(native, "adam", [*rows, step, rate, 0.9, 0.999, 1e-8, 0.0]) == wanted


def test_nan_stays_where_it_is(rng):
    p, g, m, s = draw(rng, 4, (100, 50))
    g[0][7], g[1][3] = np.nan, np.inf
    native.adam(p, g, m, s, 1, 1e-3, 0.9, 0.999, 1e-8, 0.0)
    assert [np.flatnonzero(~np.isfinite(a)).tolist() for a in p] == [[7], [3]]
    native.rmsprop(p, g, s, 0.1, 0.9, 1e-3, 0.0, m)
    assert [np.flatnonzero(~np.isfinite(a)).tolist() for a in p] == [[7], [3]]


def test_no_parameters():
    native.adam([], [], [], [], 1, 1e-3, 0.9, 0.999, 1e-8, 0.0)
    native.sgd([], [], None, 0.1, 0.0, False, 0.0)


def test_lists_that_do_not_fit_are_refused(rng):
    p, g, m, s = draw(rng, 4, (5, 6))
    before = bytes_of([p])
    for lists in ((p, g, m, s[:1]), (p, g[:1], m, s), (p, g, [], s), (p, g, m, [s[0], s[1][:5]]),
                  (p, g, [m[0], None], s)):  # fmt: skip
        with pytest.raises(ValueError, match="adam: an array is missing, or smaller than its sizes say"):
            LIBRARY.adam(1, *lists, *[0.5] * 8)
    with pytest.raises(ValueError, match="sgd: an array is missing"):
        LIBRARY.sgd(1, p, g, m[:1], 0.1, 0.9, 0.0, 0)
    assert bytes_of([p]) == before
