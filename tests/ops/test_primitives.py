"""Every operation, on each of its samples: derivatives, memory layouts, unchanged inputs, float32.

These tests are generated from OPERATIONS, so a new operation is tested without a new test.
"""

import functools

import numpy as np
import pytest
from poison import poison_new_memory

import minigan as mg
from minigan import OPERATIONS, PRIMITIVES, Tensor, gradcheck, ops
from minigan.engine import Operation, S, operation, primitive
from minigan.engine.autodiff import walk
from minigan.errors import GradientError

NAMES = list(OPERATIONS)
SAMPLES = {name: gradcheck.samples_of(op) for name, op in OPERATIONS.items()}
CASES = [pytest.param(op, sample, id=f"{name}-{i}")
         for name, op in OPERATIONS.items() for i, sample in enumerate(SAMPLES[name])]
PUBLIC = """
add sub mul div neg power exp log sqrt abs maximum minimum clip where sign
relu leaky_relu elu sigmoid tanh softplus log_sigmoid softmax log_softmax
sum mean var max min logsumexp norm
reshape transpose broadcast_to sum_to concat stack split getitem flip pad matmul linear
conv2d conv_transpose2d conv2d_weight_grad upconv2d
batch_norm instance_norm layer_norm pixel_norm
upsample2d interpolate avg_pool2d max_pool2d global_avg_pool2d pixel_shuffle dropout
""".split()


# ---- derivatives ----
@pytest.mark.parametrize("op, sample", CASES)
def test_first_order(op, sample):
    assert gradcheck.gradcheck(gradcheck.apply(op, sample), sample.args) <= 1e-6


@pytest.mark.parametrize("op, sample", CASES)
def test_second_order(op, sample):
    assert gradcheck.gradgradcheck(gradcheck.apply(op, sample), sample.args) <= 1e-6


@pytest.mark.parametrize("op, sample", [case for case in CASES if case.values[0].linear_in])
def test_linear_and_adjoint(op, sample):
    assert gradcheck.linear_positions(op, sample) or op.name == "linear"
    assert gradcheck.check_linear(op, sample) <= 1e-12


@pytest.mark.parametrize("op, sample", CASES)
def test_fused_equals_composite(op, sample):
    """create_graph=False may take a fused rule; create_graph=True takes the composite one. They must agree."""
    y, fast = evaluate(op, sample, sample.args)
    _, slow = evaluate(op, sample, sample.args, create_graph=True)
    for a, b in zip(fast, slow, strict=True):
        agree(a, b, 1e-12)


@pytest.mark.parametrize("op, sample", [case for case in CASES if getattr(case.values[0], "sums", None)])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_cotangent_that_takes_along_what_has_arrived(op, sample, create_graph, monkeypatch):
    """Arguments are used twice, later on by another operation, whose cotangent is there first and must stay."""
    def both():
        args = [mg.tensor(a, requires_grad=True) for a in sample.args]
        others = [ops.tanh(a) for a in args]  # no leaves
        y = op(*others, **sample.params)
        v, others_v = np.cos(np.arange(y.size)).reshape(y.shape), [mg.tensor(np.sin(a)) for a in sample.args]
        outputs = [(ops.mul(a, 1.0), g) for a, g in zip(others, others_v, strict=True)]
        before = [g.data.tobytes() for g in others_v]
        gradients = walk([(y, v), *outputs], others, create_graph)
        assert before == [g.data.tobytes() for g in others_v]
        first = [gradients[a.place] for a in others]
        if not create_graph:
            return [g.data for g in first]
        return [g.data for g in mg.grad(sum((ops.sum(g**2) for g in first), mg.tensor(np.zeros(()))), args)]

    called = []
    with monkeypatch.context() as watched:
        for i, rule in op.sums.items():
            watched.setitem(op.sums, i, lambda *a, rule=rule, **k: called.append(1) or rule(*a, **k))
        together = both()
        assert len(called) == len(op.sums)
        with mg.detect_anomaly():  # which wants to see each cotangent by itself
            both()
    assert len(called) == len(op.sums)
    monkeypatch.setattr(op, "sums", {})
    for a, b in zip(together, both(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


# ---- memory: any layout, inputs unchanged, nothing uninitialised ----
def transposed(a):
    return np.array(a.T, order="C").T


def strided(a):
    buffer = np.full([2 * n for n in a.shape], np.nan)
    view = buffer[(..., *(slice(1, None, 2) for _ in a.shape))]  # the dots: an array even without axes
    view[...] = a
    return view


def backwards(a):
    turn = tuple(slice(None, None, -1) for _ in a.shape)
    return a[(..., *turn)].copy()[(..., *turn)]


def channels_last(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim == 4 else a.copy()


def outer_axes_swapped(a):
    return np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1) if a.ndim > 1 else a.copy()


LAYOUTS = [transposed, strided, backwards, channels_last, outer_axes_swapped]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_any_layout_of_inputs(name, layout):
    for sample, expected in expected_of(name):
        same(evaluate(OPERATIONS[name], sample, [layout(a) for a in sample.args]), expected)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_any_layout_of_the_cotangent(name, layout):
    for sample, expected in expected_of(name):
        same(evaluate(OPERATIONS[name], sample, sample.args, layout=layout), expected)


@pytest.mark.parametrize("name", NAMES)
def test_broadcast_inputs_and_cotangents(name):
    """Arrays made by broadcasting (strides of 0) give the same as their contiguous copies."""
    for sample in SAMPLES[name]:
        wide = [np.broadcast_to(a[:1], a.shape) if a.ndim else a for a in sample.args]
        y, _ = evaluate(OPERATIONS[name], sample, wide)
        v = np.broadcast_to(np.float64(0.7), y.shape)
        expected = evaluate(OPERATIONS[name], sample, [a.copy() for a in wide], cotangent=v.copy())
        same(evaluate(OPERATIONS[name], sample, wide, cotangent=v), expected)


@pytest.mark.parametrize("op, sample", CASES)
def test_inputs_are_untouched(op, sample):
    arrays = [*(a.copy() for a in sample.args), *(v for v in sample.params.values() if isinstance(v, np.ndarray))]
    before = [a.tobytes() for a in arrays]
    xs = [Tensor(a, requires_grad=True) for a in arrays[: len(sample.args)]]
    y = op(*xs, **sample.params)
    gs = mg.grad(y, xs, np.ones(y.shape), create_graph=True)
    for g in gs:
        if g.requires_grad:
            mg.grad(g, xs, np.ones(g.shape), retain_graph=True)
    mg.grad(y, xs, np.ones(y.shape))
    assert [a.tobytes() for a in arrays] == before


@pytest.mark.parametrize("op, sample", CASES)
def test_nothing_uninitialised_is_read(op, sample, monkeypatch):
    """Memory from np.empty and the kernels' scratch holds NaN at first: it must make no difference."""
    expected = evaluate(op, sample, sample.args)
    poison_new_memory(monkeypatch)
    same(evaluate(op, sample, sample.args), expected)


@pytest.mark.parametrize("op, sample", CASES)
def test_a_result_outlives_the_next_call(op, sample):
    """No result is in memory that a later call of the same operation writes to."""
    first = evaluate(op, sample, sample.args)
    kept = [a.copy() for a in (first[0], *first[1])]
    evaluate(op, sample, [a[::-1] if a.ndim else a + 1 for a in sample.args])  # other numbers from the same domain
    for a, b in zip((first[0], *first[1]), kept, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- float32 ----
@pytest.mark.parametrize("op, sample", CASES)
def test_float32_is_float64_rounded(op, sample):
    small = S(*(a.astype(np.float32) for a in sample.args), **sample.params)
    y, gs = evaluate(op, sample, sample.args)
    y32, gs32 = evaluate(op, small, small.args)
    assert {a.dtype for a in (y32, *gs32)} == {np.dtype(np.float32)}
    for a, b in zip((y32, *gs32), (y, *gs), strict=True):
        agree(a, b, 1e-4)


@pytest.mark.parametrize("op, sample", CASES)
def test_float32_keeps_its_type_in_second_derivatives(op, sample):
    xs = [Tensor(a.astype(np.float32), requires_grad=True) for a in sample.args]
    y = op(*xs, **sample.params)
    for g in mg.grad(y, xs, np.ones(y.shape), create_graph=True):
        if g.requires_grad:
            assert {gg.dtype for gg in mg.grad(g, xs, np.ones(g.shape), retain_graph=True)} == {np.dtype(np.float32)}


# ---- the tables ----
def test_every_operation_of_the_interface_exists():
    assert not [name for name in PUBLIC if not callable(getattr(mg.ops, name, None))]
    assert len(PUBLIC) == 58


def test_every_public_operation_is_checked():
    """Operations that are not in the table are composed of operations in it, and are tested in test_ops."""
    assert set(PUBLIC) - set(OPERATIONS) == {"stack", "split", "dropout"}


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_has_samples(name):
    assert len(gradcheck.samples_of(OPERATIONS[name])) >= 1
    assert all(a.dtype == np.float64 for sample in gradcheck.samples_of(OPERATIONS[name]) for a in sample.args)


@pytest.mark.parametrize("name", list(PRIMITIVES))
def test_every_primitive_has_a_rule_per_argument(name):
    assert set(PRIMITIVES[name].rules) == set(PRIMITIVES[name].argnames)


def test_samples_are_the_same_at_every_call():
    for op in OPERATIONS.values():
        for a, b in zip(gradcheck.samples_of(op), gradcheck.samples_of(op), strict=True):
            assert all(np.array_equal(x, y) for x, y in zip(a.args, b.args, strict=True))


GOOD_DOC = "Twice x.\n\n    Forward   y = 2 x\n    VJP       gx = 2 gy\n    Why       linear.\n    "


@pytest.mark.parametrize("part", ["Forward", "VJP", "Why"])
@pytest.mark.parametrize("declare", [primitive, operation])
def test_a_docstring_without_a_part_is_refused(declare, part):
    def twice(x):
        return x + x

    twice.__doc__ = GOOD_DOC.replace(part, "")
    with pytest.raises(TypeError, match="twice: an operation needs a docstring with Forward, VJP and Why"):
        declare(samples=lambda rng: [S(np.ones(2))])(twice)
    assert "twice" not in OPERATIONS


def test_declarations_that_are_refused(monkeypatch):
    def twice(x):
        return x + x

    twice.__doc__ = GOOD_DOC
    with pytest.raises(TypeError, match="twice: an operation needs sample inputs"):
        primitive(samples=None)(twice)
    with pytest.raises(TypeError, match="linear_in names {'z'}"):
        primitive(samples=lambda rng: [], linear_in=("z",))(twice)
    assert "twice" not in OPERATIONS
    assert "twice" not in PRIMITIVES
    monkeypatch.setitem(OPERATIONS, "twice", None)
    monkeypatch.setitem(PRIMITIVES, "twice", None)
    with pytest.raises(TypeError, match="twice is declared twice"):
        primitive(samples=lambda rng: [])(twice)
    del OPERATIONS["twice"]
    op = primitive(samples=lambda rng: [S(np.ones(2))])(twice)
    with pytest.raises(TypeError, match=r"rules for \['y'\], but the arguments are \['x'\]"):
        op.defvjp(y=lambda gy, y, x: gy)
    with pytest.raises(mg.errors.GraphError, match="twice: no vjp with respect to x is declared"):
        op(mg.tensor(1.0, requires_grad=True)).backward()


def test_an_empty_table_of_samples_fails_the_check(monkeypatch):
    with pytest.raises(GradientError, match="tanh: its table of samples is empty"):
        monkeypatch.setattr(ops.tanh, "samples", lambda rng: [])
        gradcheck.samples_of(ops.tanh)
    assert "empty" in gradcheck.check_operation(ops.tanh).failure


# ---- helpers ----
@functools.cache
def expected_of(name):
    """[(sample, (y, gradients) of its arrays as they are)], the same for all layouts."""
    return [(sample, evaluate(OPERATIONS[name], sample, sample.args)) for sample in SAMPLES[name]]


def evaluate(op: Operation, sample, arrays, layout=None, cotangent=None, create_graph=False):
    """(y, gradients) as arrays, for a random cotangent in the given layout."""
    xs = [Tensor(a.view(), requires_grad=True) for a in arrays]
    y = op(*xs, **sample.params)
    v = np.random.default_rng(1).normal(size=y.shape) if cotangent is None else cotangent
    v = v.astype(y.dtype) if v.dtype != y.dtype else v
    gs = mg.grad(y, xs, Tensor(v if layout is None else layout(v)), create_graph)
    return y.data, [g.data for g in gs]


def agree(a, b, rtol):
    assert a.shape == b.shape
    assert np.max(np.abs(a - b), initial=0.0) <= rtol * max(np.max(np.abs(b), initial=0.0), 1e-3)


def same(got, expected):
    for a, b in zip((got[0], *got[1]), (expected[0], *expected[1]), strict=True):
        agree(a, b, 1e-12)
