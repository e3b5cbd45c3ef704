"""The problem set: hand formulas, engine, imaginary steps and SymPy agree; subgradients satisfy their inequality."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import losses, ops
from minigan.teach.theory import by_hand

ROOT = Path(__file__).parents[2]
SHAPES = {"x": (3, 3), "z": (2, 2), "K_D": (5, 3, 3), "W_D": (5,), "b_D": (), "K_G": (3, 3), "K_F": (4, 4)}


@pytest.fixture(params=range(3))
def given(request):
    rng = np.random.default_rng([request.param, 7])
    return {name: np.asarray(rng.normal(size=shape)) for name, shape in SHAPES.items()}


def pick(given, names):
    return {name: given[name] for name in names.split()}


def imaginary(f, given, name):
    array = given[name]
    rows = [row.reshape(array.shape) for row in np.eye(array.size)]
    return np.reshape([f(**{**given, name: array + 1e-30j * row}).imag / 1e-30 for row in rows], array.shape)


CASES = [("x z K_D W_D b_D K_G", by_hand.discriminator_loss, by_hand.discriminator_gradients),
         ("z K_D W_D b_D K_G", by_hand.generator_loss, by_hand.generator_gradients),
         ("z K_G K_F", by_hand.cycle_loss, by_hand.cycle_subgradients)]


@pytest.mark.parametrize("names, loss, gradients", CASES, ids=["1a", "1b", "2"])
def test_hand_formulas_agree_with_imaginary_steps(given, names, loss, gradients):
    arguments = pick(given, names)
    result = gradients(**arguments)
    assert result
    for name, gradient in result.items():
        np.testing.assert_allclose(gradient, imaginary(loss, arguments, name), rtol=0, atol=1e-10)


def test_the_log_d_trick_too(given):
    arguments = {**pick(given, "z K_D W_D b_D K_G"), "saturating": False}
    mine = by_hand.generator_gradients(**arguments)["K_G"]
    np.testing.assert_allclose(mine, imaginary(by_hand.generator_loss, arguments, "K_G"), rtol=0, atol=1e-10)
    t = {name: mg.tensor(a, requires_grad=True) for name, a in given.items()}
    y = ops.conv_transpose2d(t["z"].reshape(1, 1, 2, 2), t["K_G"].reshape(1, 1, 3, 3), stride=2, padding=1)
    A = ops.conv2d(y, t["K_D"].reshape(5, 1, 3, 3)).reshape(5)
    loss = losses.non_saturating.generator_loss(ops.sum(t["W_D"] * A) + t["b_D"])
    np.testing.assert_allclose(mine, mg.grad(loss, [t["K_G"]])[0].data, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["K_F", "K_G"])
@pytest.mark.parametrize("at_a_kink", [False, True])
def test_subgradients_keep_the_promise_of_convexity(given, name, at_a_kink):
    arguments, rng = pick(given, "z K_G K_F"), np.random.default_rng(1)
    if at_a_kink:  # u = 0 meets z = 0 at two pixels
        arguments["z"], arguments[name] = np.array([[0.0, 1.0], [-2.0, 0.0]]), np.zeros(SHAPES[name])
    g, here = by_hand.cycle_subgradients(**arguments)[name], by_hand.cycle_loss(**arguments).real
    for size in (1e-3, 1.0, 30.0):
        for _ in range(40):
            step = size * rng.normal(size=SHAPES[name])
            there = by_hand.cycle_loss(**{**arguments, name: arguments[name] + step}).real
            assert there >= here + np.sum(g * step) - 1e-9 * max(1, size)


@pytest.mark.parametrize("problem, name, entry", [("1a", "K_D", (2, 1, 0)), ("1a", "W_D", (3,)), ("1a", "b_D", ()),
                                                  ("1b", "K_G", (0, 2)), ("2", "K_F", (1, 2)), ("2", "K_G", (1, 1))])
def test_one_entry_of_each_in_sympy(problem, name, entry):
    sp = pytest.importorskip("sympy", reason="SymPy is not installed (pip install sympy): no symbolic check")
    rng, t = np.random.default_rng(11), sp.Symbol("t", real=True)
    given = {name: np.asarray(rng.normal(size=shape)) for name, shape in SHAPES.items()}
    s = {key: np.array([sp.Float(float(v), 30) for v in a.ravel()], dtype=object).reshape(a.shape)
         for key, a in given.items()}
    s[name][entry] = t  # the one unknown

    def inside(a, c):
        return 0 <= a < 3 and 0 <= c < 3

    y = np.array([[sum(s["z"][i, j] * s["K_G"][a + 1 - 2 * i, c + 1 - 2 * j] for i in range(2) for j in range(2)
                       if inside(a + 1 - 2 * i, c + 1 - 2 * j)) for c in range(3)] for a in range(3)])
    u = [[sum(y[a, c] * s["K_F"][a + 1 - i, c + 1 - j] for a in range(3) for c in range(3)) for j in range(2)]
         for i in range(2)]

    def D(image):
        logit = s["b_D"][()] + sum(s["W_D"][m] * (image * s["K_D"][m]).sum() for m in range(5))
        return 1 / (1 + sp.exp(-logit))

    d_loss = -sp.log(D(s["x"])) - sp.log(1 - D(y))
    g_loss = sp.log(1 - D(y))
    cycle = sum(sp.Abs(u[i][j] - s["z"][i, j]) for i in range(2) for j in range(2))
    number = ("1a", "1b", "2").index(problem)
    names, _, gradients = CASES[number]
    exact = sp.diff((d_loss, g_loss, cycle)[number], t).subs(t, sp.Float(float(given[name][entry]), 30)).evalf(30)
    assert abs(float(exact) - gradients(**pick(given, names))[name][entry]) < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_the_example_agrees_and_says_so(seed, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["problem_set.py", "--seed", str(seed)])
    runpy.run_path(str(ROOT / "examples/problem_set.py"), run_name="__main__")
    output = capsys.readouterr().out
    assert len(output.splitlines()) == 8 and "all agree" in output


def test_the_examples_check_can_fail(monkeypatch):
    right = by_hand.through_generator
    monkeypatch.setattr(by_hand, "through_generator", lambda gy, z: right(gy, z.T))
    monkeypatch.setattr(sys, "argv", ["problem_set.py"])
    with pytest.raises(SystemExit, match=r"differ by .*, more than 1e-10"):
        runpy.run_path(str(ROOT / "examples/problem_set.py"), run_name="__main__")
