"""The gradient check itself: planted wrong rules must be caught, at the order at which they show."""

import importlib
import re

import numpy as np
import pytest

import minigan as mg
from minigan import OPERATIONS, PRIMITIVES, Tensor, gradcheck, ops
from minigan.engine import S, primitive
from minigan.errors import GradientError, ShapeError
from minigan.gradcheck import check_linear, check_operation, gradgradcheck
from minigan.ops.norm import _axes, _channels, _xhat

NORM = {"over": "batch", "eps": 1e-5}


def normal(*shape):
    return np.random.default_rng(3).normal(size=shape)


def images(*, stride=1, padding=0, dilation=1):
    """conv2d on square images whose sizes hide a swap of stride and dilation: (6-3)//2+1 = 6-5+1 = 2."""
    geometry = {"stride": stride, "padding": padding, "dilation": dilation}
    return S(normal(1, 1, 6, 6), normal(2, 1, 3, 3), normal(2), **geometry)


def norm_without(term):
    """normalize's gx with one of its three terms missing, or with rstd as a raw array."""

    def gx(gy, y, x, gamma, beta, addend, *, over, eps, moments=None):
        xhat, rstd = _xhat(x, over, eps)
        g, axes = gy * _channels(gamma, x.ndim), _axes(over, x.ndim)
        if term == "history of rstd":
            rstd = Tensor(rstd.data)
        mean = 0.0 if term == "mean" else ops.mean(g, axes, True)
        return rstd * (g - mean - (0.0 if term == "xhat" else xhat * ops.mean(g * xhat, axes, True)))

    return gx


def one_of_sixty(gy, y, x):
    wrong = np.ones((3, 4, 5))
    wrong[1, 2, 3] = 1.001
    return gy * y * wrong


def swap(geometry):
    return {**geometry, "stride": geometry["dilation"], "dilation": geometry["stride"]}


NORMAL = S(normal(3, 2, 2, 3), normal(2), normal(2), **NORM)
PLANTED = {
    "0.1 % too large": ("first", "tanh", S(normal(3, 4)), {"x": lambda gy, y, x: 1.001 * gy * (1 - y * y)}),
    "wrong sign": ("first", "sub", S(normal(3, 4), normal(4)), {"b": lambda gy, y, a, b: gy}),
    "divided, not multiplied": ("first", "mul", S(normal(3), normal(3)), {"a": lambda gy, y, a, b: gy / b}),
    "passes everything": ("first", "relu", S(np.array([-1.0, 1.0])), {"x": lambda gy, y, x: gy}),
    "zero": ("first", "max_pool2d", S(normal(1, 1, 2, 4), kernel_size=2), {"x": None}),
    "one entry of sixty": ("first", "exp", S(normal(3, 4, 5)), {"x": one_of_sixty}),
    "no xhat term": ("first", "normalize", NORMAL, {"x": norm_without("xhat")}),
    "no mean term": ("first", "normalize", NORMAL, {"x": norm_without("mean")}),
    "rstd a raw array": ("second", "normalize", NORMAL, {"x": norm_without("history of rstd")}),
    "stride and dilation swapped": ("first", "conv2d", images(stride=2), {
        "w": lambda gy, y, x, w, b, **geo: ops.conv2d_weight_grad(x, gy, kernel_size=w.shape[2:], **swap(geo))}),
    "kernel flipped": ("first", "conv2d", images(padding=1), {
        "x": lambda gy, y, x, w, b, **geo: ops.conv_transpose2d(gy, ops.flip(w, (2, 3)), **geo)}),
    "kernel transposed": ("first", "conv2d", images(padding=1), {
        "x": lambda gy, y, x, w, b, **geo: ops.conv_transpose2d(gy, ops.transpose(w, (0, 1, 3, 2)), **geo)}),
    "weight detached": ("second", "conv2d", images(), {
        "x": lambda gy, y, x, w, b, **geo: ops.conv_transpose2d(gy, Tensor(w.data), **geo)}),
    "no bias term": ("first", "conv2d", images(), {"b": None}),
    "half a bias term": ("first", "conv2d", images(), {"b": lambda gy, y, x, w, b, **geo: ops.sum(gy, (2, 3))[0] * .5}),
    "factor detached": ("second", "mul", S(normal(3), normal(3)), {"a": lambda gy, y, a, b: gy * Tensor(b.data)}),
    "sigmoid detached": ("second", "softplus", S(normal(4)), {
        "x": lambda gy, y, x: gy * Tensor(ops.sigmoid(x).data)}),
    "cotangent detached": ("second", "neg", S(normal(3)), {"x": lambda gy, y, x: Tensor(-gy.data)}),
    "adjoint not transposed": ("first", "resample", S(normal(1, 1, 2, 3), rows=normal(2, 2)), {
        "x": lambda gy, y, x, *, rows=None, columns=None: ops.resample(gy, rows=rows)}),
}


def plant(monkeypatch, name, rules):
    monkeypatch.setattr(PRIMITIVES[name], "rules", {**PRIMITIVES[name].rules, **rules})


@pytest.mark.parametrize("bug", PLANTED)
def test_planted_rules_are_caught(bug, monkeypatch):
    order, name, sample, rules = PLANTED[bug]
    f = gradcheck.apply(OPERATIONS[name], sample)
    gradcheck.gradcheck(f, sample.args)
    gradgradcheck(f, sample.args)
    plant(monkeypatch, name, rules)
    if order == "second":
        gradcheck.gradcheck(f, sample.args)  # right at first order: only the second order shows the fault
    with pytest.raises(GradientError) as caught:
        (gradcheck.gradcheck if order == "first" else gradgradcheck)(f, sample.args)
    claimed, measured = numbers(caught.value)
    assert claimed != measured
    assert "the derivative is wrong" in str(caught.value)


def numbers(error):
    """Both numbers of the message."""
    return [float(n) for n in re.search(r"the vjp gives (\S+), finite differences (\S+);", str(error)).groups()]


def test_the_numbers_are_the_two_derivatives(monkeypatch):
    plant(monkeypatch, "power", {"x": lambda gy, y, x, *, exponent: gy * 2.0})
    with pytest.raises(GradientError) as caught:
        gradcheck.gradcheck(lambda x: ops.power(x, 3), [np.array([1.0, 2.0])], cotangent=np.array([1.0, 1.0]))
    assert numbers(caught.value) == [2.0, pytest.approx(12.0)]
    assert "element (1,)" in str(caught.value)


def test_swapped_strides_do_not_fit(monkeypatch):
    """A swapped stride pair gives sizes that do not fit, so that no numbers are compared."""
    plant(monkeypatch, "conv2d", {"x": lambda gy, y, x, w, b, *, stride: ops.conv_transpose2d(
        gy, w, stride=stride[::-1], output_size=x.shape[2:])})
    with pytest.raises(ShapeError, match="does not give back"):
        gradcheck.gradcheck(lambda x, w: ops.conv2d(x, w, stride=(2, 1)), [normal(1, 1, 6, 6), normal(1, 1, 3, 3)])


@pytest.mark.parametrize("wrong", ["fused", "composite"])
def test_fused_and_composite_rules_are_both_checked(wrong, monkeypatch):
    """Only one of the two rules is wrong, consistently, so each must be compared with the differences."""
    if wrong == "fused":
        right = PRIMITIVES["normalize"].fused
        monkeypatch.setattr(PRIMITIVES["normalize"], "fused",
                            lambda *a, **k: [1.001 * right(*a, **k)[0], *right(*a, **k)[1:]])
    else:
        plant(monkeypatch, "normalize", {"gamma": lambda gy, y, x, gamma, beta, addend, *, over, eps, moments=None:
              ops.sum(gy * _xhat(x, over, eps)[0], (0, 2, 3)) * 1.001})
    assert "the derivative is wrong" in check_operation(OPERATIONS["normalize"]).failure


def test_a_zero_rule_passes_only_with_ones(monkeypatch):
    """Why the cotangent is random: the sum of batch norm's output is constant, so a cotangent of ones shows nothing."""
    plant(monkeypatch, "normalize", {"x": None})
    monkeypatch.setattr(PRIMITIVES["normalize"], "fused", None)
    x = normal(3, 2, 2, 3)

    def f(x):
        return ops.normalize(x, **NORM)

    assert gradcheck.gradcheck(f, [x], cotangent=np.ones(x.shape)) < 1e-6
    with pytest.raises(GradientError, match="the vjp gives 0,"):
        gradcheck.gradcheck(f, [x])


def test_the_linear_check_is_a_million_times_finer(monkeypatch):
    rule = PRIMITIVES["conv2d"].rules["x"]
    plant(monkeypatch, "conv2d", {"x": lambda *a, **k: rule(*a, **k) * (1 + 1e-10)})
    f = gradcheck.apply(ops.conv2d, images())
    gradcheck.gradcheck(f, images().args)
    with pytest.raises(GradientError, match=r"conv2d is declared linear, but its exact differences are off by 1.*e-10"):
        check_linear(ops.conv2d, images())


def test_what_is_not_linear_must_not_be_declared_so(monkeypatch):
    monkeypatch.setattr(ops.tanh, "linear_in", ("x",))
    with pytest.raises(GradientError, match="tanh is declared linear"):
        check_linear(ops.tanh, S(normal(3)))


# ---- other messages of the check ----
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_does_not_pass(bad, monkeypatch):
    plant(monkeypatch, "exp", {"x": lambda gy, y, x: gy * y * np.array([1.0, bad, 1.0])})
    with pytest.raises(GradientError, match=f"element \\(1,\\): the vjp gives -?{bad}, .* is not finite"):
        gradcheck.gradcheck(ops.exp, [normal(3)])


def test_a_kink_is_called_a_kink():
    with pytest.raises(GradientError, match="element \\(1,\\).*a kink lies within 1e-05 of this element"):
        gradcheck.gradcheck(ops.abs, [np.array([1.0, 3e-6])])
    with pytest.raises(GradientError, match="a kink lies within"):
        gradcheck.gradcheck(ops.relu, [np.array([0.0])])
    with pytest.raises(GradientError, match="a kink lies within"):
        gradgradcheck(ops.leaky_relu, [np.array([1.0, 2e-6])])


def test_too_coarse_a_step_is_told_by_its_order():
    with pytest.raises(GradientError, match=r"the difference shrinks as h\^2\.0"):
        gradcheck.gradcheck(lambda x: ops.exp(2000.0 * x), [np.array([0.001])])
    assert gradcheck.gradcheck(lambda x: ops.exp(2000.0 * x), [np.array([0.001])], step=1e-7) < 1e-6


def test_a_function_that_ignores_an_input_has_zero_derivative():
    assert gradcheck.gradcheck(lambda x, unused: ops.tanh(x), [normal(3), normal(2)]) < 1e-6
    assert gradcheck.gradcheck(lambda x: ops.tanh(x.detach()) + 0.0 * x, [normal(1)], wrt=[]) == 0.0
    with pytest.raises(GradientError, match="the vjp gives 0,"):
        gradcheck.gradcheck(lambda x: ops.tanh(x.detach()), [normal(3)])


@pytest.fixture
def tables(monkeypatch):
    """Undo the declarations of a test."""
    module = importlib.import_module("minigan.engine.primitive")
    monkeypatch.setattr(module, "OPERATIONS", dict(OPERATIONS))
    monkeypatch.setattr(module, "PRIMITIVES", dict(PRIMITIVES))


def test_a_forward_that_writes_on_its_input_raises(tables):
    @primitive(samples=lambda rng: [S(np.ones(3))])
    def twice(x):
        """Forward VJP Why."""
        x *= 2
        return x

    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ShapeError, match="twice: .*read-only"):
        twice(x)
    assert x.data.tolist() == [1.0, 2.0]


def test_a_rule_of_the_wrong_shape_is_named(monkeypatch):
    plant(monkeypatch, "exp", {"x": lambda gy, y, x: ops.sum(gy)})
    with pytest.raises(mg.errors.GraphError, match=r"exp: its vjp for argument 0 has shape \(\), the argument \(2,\)"):
        ops.exp(mg.tensor([1.0, 2.0], requires_grad=True)).sum().backward()
