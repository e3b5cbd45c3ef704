"""The problem set: hand formulas, engine, imaginary steps and SymPy agree; subgradients satisfy their inequality."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import losses, ops
from minigan.teach.theory import by_hand
from minigan.teach.theory.variants import variant

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


def test_the_answers_in_one_line(given):
    """The update lines of docs/lessons/problem_set.md, index by index, without the loops of by_hand.py."""
    def inside(*places):
        return all(0 <= place < 3 for place in places)

    x, z, K_D, W, b, K_G, K_F = given.values()
    y = np.zeros((3, 3))
    for i, j, k, l in np.ndindex(2, 2, 3, 3):
        if inside(2 * i - 1 + k, 2 * j - 1 + l):
            y[2 * i - 1 + k, 2 * j - 1 + l] += z[i, j] * K_G[k, l]
    D = [1 / (1 + np.exp(-b - np.einsum("m,mkl,kl", W, K_D, image))) for image in (x, y)]
    e = D[0] - 1, D[1]
    result = by_hand.discriminator_gradients(**pick(given, "x z K_D W_D b_D K_G"))
    np.testing.assert_allclose(result["K_D"], W[:, None, None] * (e[0] * x + e[1] * y), atol=1e-14)
    np.testing.assert_allclose(result["W_D"], e[0] * np.einsum("mkl,kl", K_D, x) + e[1] * np.einsum("mkl,kl", K_D, y))
    np.testing.assert_allclose(result["b_D"], e[0] + e[1])
    t = np.sign(by_hand.back_again(y, K_F) - z)
    once, twice = np.zeros((3, 3)), np.zeros((3, 3))
    for k, l, i, j in np.ndindex(3, 3, 2, 2):
        a, c = 2 * i - 1 + k, 2 * j - 1 + l
        if inside(a, c):
            once[k, l] -= D[1] * z[i, j] * sum(W[m] * K_D[m, a, c] for m in range(5))
            twice[k, l] += z[i, j] * sum(t[p, r] * K_F[2 * i + k - p, 2 * j + l - r] for p, r in np.ndindex(2, 2))
    np.testing.assert_allclose(by_hand.generator_gradients(**pick(given, "z K_D W_D b_D K_G"))["K_G"], once, atol=1e-14)
    np.testing.assert_allclose(by_hand.cycle_subgradients(**pick(given, "z K_G K_F"))["K_G"], twice, atol=1e-14)


# ---- variants ----
@pytest.mark.parametrize("seed", range(8))
def test_a_variant_is_solved_as_the_engine_solves_it(seed):
    own = variant(seed)
    t = {name: mg.tensor(array, requires_grad=True) for name, array in own.numbers.items()}
    fake = ops.conv_transpose2d(t["z"].reshape(1, 1, 2, 2), t["K_G"].reshape(1, 1, own.K, own.K), stride=own.at.S,
                                padding=own.at.P)
    H = own.image
    assert fake.shape == (1, 1, H, H)

    def logit(image):
        A = ops.conv2d(image.reshape(1, 1, H, H), t["K_D"].reshape(-1, 1, H, H)).reshape(own.filters)
        return ops.sum(t["W_D"] * A) + t["b_D"]

    back = ops.conv2d(fake, t["K_F"].reshape(1, 1, own.K_F, own.K_F), padding=own.at.P_F)
    assert back.shape == (1, 1, 2, 2)
    for problem, names, loss in (
            ("1(a)", "K_D W_D b_D", lambda: losses.minimax.discriminator_loss(logit(t["x"]), logit(fake))),
            ("1(b)", "K_G", lambda: losses.minimax.generator_loss(logit(fake))),
            ("2(a)", "K_F", lambda: ops.sum(ops.abs(back - t["z"].reshape(1, 1, 2, 2)))),
            ("2(b)", "K_G", lambda: ops.sum(ops.abs(back - t["z"].reshape(1, 1, 2, 2))))):
        gradients = mg.grad(loss(), [t[name] for name in names.split()], retain_graph=True)
        for name, gradient in zip(names.split(), gradients, strict=True):
            np.testing.assert_allclose(own.answers[f"{problem} {name}"], gradient.data, rtol=0, atol=1e-12)


def test_variants_differ_repeat_and_keep_the_original_sizes_for_seed_0():
    first = variant(0)
    assert {name: array.shape for name, array in first.numbers.items()} == SHAPES
    sizes = [variant(seed) for seed in range(1, 25)]
    assert len({(v.K, v.at, v.filters) for v in sizes}) > 15
    assert len({v.K for v in sizes}) >= 3 and len({v.at.S for v in sizes}) == 3 and len({v.at.P for v in sizes}) == 3
    several = sizes[:8]
    assert len({v.sheet() for v in several}) == 8
    assert variant(7).sheet() == variant(7).sheet() and variant(7).solutions() == variant(7).solutions()
    for own in several:
        assert not set(own.answers) & set(own.sheet().split()) and "solutions" in own.solutions()
        assert all(name in own.solutions() for name in own.answers)
        e = by_hand.sigmoid(by_hand.logit(own.numbers["x"], **own.given("K_D W_D b_D"))) - 1
        assert -0.96 < e < -0.04  # neither nearly right nor nearly certain


def test_the_numbers_of_a_sheet_are_those_of_its_solution():
    own = variant(3)
    given = {line.partition("=")[0].strip(): np.array(eval(line.partition("=")[2]))
             for line in own.sheet().splitlines() if line.startswith("    ")}
    for name, array in own.numbers.items():
        np.testing.assert_array_equal(given[name], array)
    for line in own.solutions().splitlines():
        name, _, numbers = line.partition("=")
        if name.strip() in own.answers:
            np.testing.assert_allclose(eval(numbers), own.answers[name.strip()], rtol=0.006)


def test_which_noise_values_reach_the_corner_of_the_kernel():
    for seed in range(8):
        own = variant(seed)
        words = own.solutions().split("[0,0] is reached by ")[1].partition(".")[0]
        for i, j in np.ndindex(2, 2):
            z, y = np.zeros((2, 2)), np.zeros((own.K, own.K))
            z[i, j], y[0, 0] = 1, 1
            assert (f"z[{i},{j}]" in words) == bool(by_hand.generate(z, y, own.at).any())


def test_the_script_prints_and_writes_variants(tmp_path, monkeypatch, capsys):
    script = str(ROOT / "docs/teaching/variants.py")
    monkeypatch.setattr(sys, "argv", [script, "--seed", "7", "--solutions"])
    runpy.run_path(script, run_name="__main__")
    assert capsys.readouterr().out == variant(7).solutions()
    monkeypatch.setattr(sys, "argv", [script, "--first", "3", "--count", "2", "--out", str(tmp_path)])
    runpy.run_path(script, run_name="__main__")
    assert {p.name for p in tmp_path.iterdir()} == {f"{kind}-{seed}.md" for kind in ("variant", "solution")
                                                    for seed in (3, 4)}
    assert (tmp_path / "variant-4.md").read_text() == variant(4).sheet()


@pytest.mark.parametrize("seed", range(4))
def test_the_example_agrees_and_says_so(seed, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["problem_set.py", "--seed", str(seed)])
    runpy.run_path(str(ROOT / "examples/problem_set.py"), run_name="__main__")
    output = capsys.readouterr().out
    assert len(output.splitlines()) == 8 and "all agree" in output


def test_the_examples_check_can_fail(monkeypatch):
    right = by_hand.through_generator
    monkeypatch.setattr(by_hand, "through_generator", lambda gy, z, at: right(gy, z.T, at))
    monkeypatch.setattr(sys, "argv", ["problem_set.py"])
    with pytest.raises(SystemExit, match=r"differ by .*, more than 1e-10"):
        runpy.run_path(str(ROOT / "examples/problem_set.py"), run_name="__main__")
