"""Exercises: solutions pass, blanks are "not done", plausible mistakes are "wrong", guesses do not find the bugs."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan.engine.device import why_no_emulation
from minigan.errors import OptionError
from minigan.teach.exercise import BLANK, Sheet, compare, notebook, without_solutions
from minigan.teach.lesson import INSTALL
from minigan.teach.mistakes import kind_of

FOLDER = Path(__file__).parents[2] / "docs/exercises"
NAMES = [path.name for path in sorted((FOLDER / "solutions").glob("*.py"))]


def run(path, capsys):
    """Exit status and output of a script."""
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    return int(ended.value.code), capsys.readouterr().out


def executed(text, capsys):
    """Run a file in this process; returns its namespace and its output."""
    names = {"__name__": "exercises"}
    exec(compile(text, "exercises.py", "exec"), names)
    return names, capsys.readouterr().out


# ---- compare ----
def test_compare_tells_exact_close_wrong_and_not_done(capsys):
    reference = np.array([[1.0, -2.0], [0.5, 4.0]])

    def blank():
        raise NotImplementedError

    assert compare("a", reference.copy(), reference) == "exact"
    assert compare("b", lambda: reference + 1e-9, reference) == "close"
    assert compare("c", reference + [[0, 0.25], [0, 0]], reference) == "wrong"
    assert "largest difference 0.25 at (0, 1): yours -1.75, reference -2" in capsys.readouterr().out
    assert compare("d", blank, reference) == compare("d", lambda: None, reference) == "not done"
    assert compare("e", reference.T[:1], reference) == "wrong"
    assert compare("f", np.full((2, 2), np.nan), reference) == "wrong"
    assert compare("g", lambda: 1 / 0, reference) == "wrong"
    output = capsys.readouterr().out
    assert "your shape is (1, 2), the reference's (2, 2)" in output and "it raises ZeroDivisionError" in output


# ---- the files for students ----
@pytest.mark.parametrize("name", NAMES)
def test_students_get_the_solutions_file_without_the_solutions(name):
    assert (FOLDER / name).read_text() == without_solutions((FOLDER / "solutions" / name).read_text())


def test_a_marker_without_its_partner_is_an_error():
    for text in ("x = 1\n", "def f():\n    ### BEGIN SOLUTION\n    return 1\n",
                 "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n    ### END SOLUTION\n"):
        with pytest.raises(OptionError, match="BEGIN SOLUTION and ### END SOLUTION"):
            without_solutions(text)


@pytest.mark.parametrize("name", ["bug_hunt.py", "vjps.py", pytest.param("beyond.py", marks=pytest.mark.long)])
def test_solutions_pass_and_blanks_do_not(name, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)  # to have imported it is not to run in a notebook
    status, output = run(FOLDER / "solutions" / name, capsys)
    assert status == 0 and "wrong" not in output and "not done" not in output
    status, output = run(FOLDER / name, capsys)
    assert status == 1 and "wrong" not in output
    assert output.count("not done") == (FOLDER / name).read_text().count(BLANK) >= 1


MISTAKES = {
    "1 chain rule": ("gy * (1 - y * y) * x", "gy * (1 - y) * x"),
    "2 broadcasting": ("return gx.sum(axis=stretched, keepdims=True)", "return gx[:, :1]"),
    "3 convolution": ("gx[i + k] += gy[i] * w[k]", "gx[i + k] += gy[i] * w[-1 - k]"),
    "4 transposed convolution": ("gy[i * stride + k] * w[k]", "gy[i + k] * w[k]"),
    "5 up-convolution": ("flipped = w[::-1]", "flipped = w"),
    "6 batch norm": (" - xhat * (g * xhat).mean(0)", ""),
    "7 losses from logits": ("/ len(logits)", ""),
    "8 Adam": ("m / (1 - beta1**t)", "m"),
    "9 the best discriminator": ("np.log(p_data) - np.log(p_g)", "p_data / (p_data + p_g)"),
    "10 gradient penalty": ("return d * (W", "return (W"),
    "11 spectral norm": (" - np.sum(gy * W) / sigma**2 * np.outer(left, right)", ""),
    "12 cycle": ("np.sign(B @ A @ x - x)", "np.where(B @ A @ x >= x, 1, -1)"),
    "13 a gradient check": ("/ (2 * h)", "/ h"),
}
BEYOND = {
    "14 forward mode": ("+ w @ tx", ""),
    "15 dilation": ("- padding + k * dilation\n            if", "+ k * dilation\n            if"),
    "16 a norm, second order": (" - by_r * r * r * xhat / len(x)", ""),
    "17 spectral norm of filters": ("Vt[0]).reshape", "Vt[1]).reshape"),
    "18 a loss of your own": ("np.log(p) - np.log(q)", "2 * (np.log(p) - np.log(q))"),
    "19 a CUDA kernel": ('source.replace("part[t] = sum;\\n", "part[t] = sum;\\n  __syncthreads();\\n")', "source"),
    "20 a kernel in C": ('source.replace("x[i + j] >= 0", "x[i + j] > 0")', "source"),
}


def with_mistakes(file, mistakes):
    text = (FOLDER / "solutions" / file).read_text()
    for old, new in mistakes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_the_usual_mistake_in_each_is_called_wrong(capsys):
    names, _ = executed(with_mistakes("vjps.py", MISTAKES.values()), capsys)
    assert names["verdicts"] == dict.fromkeys(MISTAKES, "wrong")


@pytest.mark.long
def test_the_usual_mistake_in_each_that_goes_further_is_called_wrong(capsys):
    names, _ = executed(with_mistakes("beyond.py", BEYOND.values()), capsys)
    assert names["verdicts"] == {name: "wrong" for name in BEYOND if name in names["verdicts"]}
    assert len(names["verdicts"]) >= 5  # the last two need a compiler


@pytest.mark.long
@pytest.mark.parametrize("left", range(3))
def test_each_mistake_of_the_cuda_kernel_is_seen_by_itself(left, capsys):
    """In one of the two orders of threads, with one mistake left in and the others mended."""
    if (missing := why_no_emulation()) is not None:
        pytest.skip(f"device emulated: {missing}")
    text = (FOLDER / "solutions/beyond.py").read_text()
    repair = [line for line in text.splitlines() if re.search(r"source.replace\(.*(columns|part\[t)", line)]
    assert len(repair) == 3
    without = repair[left].partition("source.replace")[0] + "source"
    names, output = executed(text.replace(repair[left], without), capsys)
    assert [name for name, verdict in names["verdicts"].items() if verdict == "wrong"] == ["19 a CUDA kernel"]
    assert re.search(r"^19 a CUDA kernel +wrong +x \(\d, \d+\), threads in order \d: y is ", output, re.M)


SOLUTION = re.compile(r"^    ### BEGIN SOLUTION\n.*?^    ### END SOLUTION\n", re.M | re.S)
FIFTEEN = [  # number, the function, a wrong or hard-coded answer, what the verdict must say of it
    (1, "neuron_vjp", "return gradients(lambda w: ops.tanh(ops.sum(w * x) + b), w, cotangent=gy)[0]",
     "your answer calls minigan"),
    (2, "unbroadcast", "return gy.sum((0, 1, 3))[:, None]", "right with gy (5, 2, 3, 4), shape = (3, 1), but not with"),
    (2, "unbroadcast", "return gy.sum(tuple(range(gy.ndim - len(shape)))).sum(-1, keepdims=True)",
     "right with gy (5, 2, 3, 4), shape = (3, 1), but not with gy (5, 2, 3, 4), shape = (2, 1, 4)"),
    (3, "conv1d_vjps", """gx, gw = np.zeros(len(gy) + 2), np.zeros(3)
    for k in range(3):
        gx[k:k + len(gy)] += gy * w[k]
        gw[k] = gy @ x[k:k + len(gy)]
    return np.append(gx, gw)""", "right with gy (5,), x (7,), w (3,), but not with gy (6,), x (9,), w (4,)"),
    (3, "conv1d_vjps", "return np.append(np.convolve(gy, w), np.convolve(gy, x, 'valid'))", "largest difference"),
    (4, "transposed_conv1d_vjp", "return gy.reshape(n, stride) @ w", "right with gy (12,), w (3,), stride = 3, n = 4,"),
    (5, "blurred", "return np.array([w[2], w[2] + w[1], w[1] + w[0], w[0]])", "right with w (3,), but not with w (4,)"),
    (5, "blurred", "return np.append(w, 0) + np.append(0, w)", "flipped along axis 0"),
    (6, "batch_norm_vjp", """rstd = 1 / np.sqrt(x.var(0) + eps)
    xhat = (x - x.mean(0)) * rstd
    return rstd * (gy - gy.mean(0) - xhat * (gy * xhat).mean(0))""",
     "each slice along axis 1 has a factor of its own: a factor that belongs to axis 1"),
    (7, "cross_entropy_vjp", "return (1 / (1 + np.exp(-logits)) - targets) / len(logits)", "overflow"),
    (7, "cross_entropy_vjp", """small = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, small) / (1 + small) - targets""",
     "5 times the reference: is a division by 5 missing?"),
    (8, "adam_two_steps", "ROOT", "eps = 1e-08, but not with"),  # filled in below
    (8, "adam_two_steps", "NONE", "eps = 1e-08, but not with"),
    (9, "best_logits", "return np.log(p_g / p_data)", "the sign is wrong"),
    (12, "cycle_subgradient", "return np.outer(x, B.T @ np.sign(B @ A @ x - x))", "transposed"),
]
STEPS = """m = v = 0
    for t, g in enumerate((g1, g2), 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        w = w - lr * (m / (1 - beta1**t)) / {}
    return w"""
ADAM = {"ROOT": STEPS.format("np.sqrt(v / (1 - beta2**t) + eps)"), "NONE": STEPS.format("np.sqrt(v / (1 - beta2**t))")}


@pytest.fixture(scope="module")
def cells():
    """{function: code up to and including its check} of the solutions."""
    parts = re.split(r"^# %%.*\n", (FOLDER / "solutions/vjps.py").read_text(), flags=re.M)
    head = "\n".join(parts[2:3])
    return {re.match(r"def (\w+)", part)[1]: (head, part, parts[i + 1])
            for i, part in enumerate(parts) if part.startswith("def ") and "BEGIN SOLUTION" in part}


@pytest.mark.parametrize("number, function, answer, kind", FIFTEEN,
                         ids=[f"{i}-{row[1]}" for i, row in enumerate(FIFTEEN, 1)])
def test_fifteen_wrong_answers_are_refused_and_their_kind_is_named(number, function, answer, kind, cells, capsys):
    head, part, check = cells[function]
    wrong = SOLUTION.sub(lambda _: f"    {ADAM.get(answer, answer)}\n", part)
    assert wrong != part
    names, output = executed(head + wrong + check, capsys)
    (name, verdict), = names["verdicts"].items()
    assert name.startswith(f"{number} ") and verdict == "wrong"
    assert kind in output.splitlines()[-1], output


def test_an_answer_may_not_use_an_engine_even_if_it_hides_the_error():
    def caught(x):
        try:
            return mg.tensor(x).data
        except OptionError:
            return x

    sheet = Sheet()
    sheet.check("hidden", caught, lambda x: x, np.ones(2))
    sheet.check("plain", lambda x: x.copy(), lambda x: mg.tensor(x), np.ones(2))
    assert sheet.verdicts == {"hidden": "wrong", "plain": "exact"}
    assert sys.getprofile() is None
    mg.tensor([1.0])  # and outside it works again


def test_an_answer_that_writes_to_its_arguments_does_not_change_the_reference():
    def doubled(x):
        x *= 2
        return x

    sheet = Sheet()
    sheet.check("in place", doubled, lambda x: x, np.ones(3))
    assert sheet.verdicts == {"in place": "wrong"}


@pytest.mark.parametrize("change, kind", [
    (lambda a: -a, "the sign is wrong"),
    (lambda a: 12 * a, "12 times the reference: is a division by 12 missing?"),
    (lambda a: -a / 3, "1/3 of the reference: divided by 3 once too often and the sign is wrong?"),
    (lambda a: 0.7071 * a, "0.7071 times the reference: a constant factor"),
    (lambda a: a[:, ::-1], "flipped along axis 1"),
    (lambda a: a[::-1, ::-1] * -1, "flipped along axes 0, 1, and the sign is wrong"),
    (lambda a: a.T, "transposed"),
    (lambda a: a.sum(0), "summed over axis 0 once too often"),
    (lambda a: a.sum(1, keepdims=True), "summed over axis 1 once too often"),
    (lambda a: np.stack([a / 2, a / 2]), "the sum over axis 0 is missing"),
    (lambda a: a.reshape(2, 6), "the right numbers in another shape"),
    (lambda a: a + 0.25, "differs by the constant 0.25: is a term missing, such as a mean?"),
    (lambda a: a + np.arange(3)[:, None], "differs by a number per slice of axis 0"),
    (lambda a: a * [1, 2, 3, 4], "a factor that belongs to axis 1"),
    (lambda a: np.roll(a, 1, 1), "shifted by one place along axis 1"),
    (lambda a: a * np.where(a > 1, -1, 1), "right except for the sign of"),
    (lambda a: a / np.where(a > 1, 0, 1), "not finite:"),
    (lambda a: a + np.random.default_rng(1).normal(size=a.shape), ""),
])
def test_kinds_of_mistakes(change, kind):
    reference = np.random.default_rng(0).normal(size=(3, 4))
    with np.errstate(divide="ignore"):
        assert kind_of(change(reference), reference).startswith(kind) or kind in kind_of(change(reference), reference)
        assert kind or not kind_of(change(reference), reference)


def test_a_square_transpose_and_a_symmetric_one():
    a = np.random.default_rng(0).normal(size=(3, 3))
    assert kind_of(a.T, a) == "transposed" and kind_of(2 * (a + a.T), a + a.T).startswith("2 times")
    assert kind_of(np.array([-1.0]), np.array([1.0])) == "the sign is wrong"


# ---- the hunt ----
def hunted(names, cotangent, square):
    """The rules that a gradient check rejects with this cotangent, for square or other matrices."""
    rng, result = np.random.default_rng(3), set()
    for name, (forward, rule, shape) in names["RULES"].items():
        x = rng.normal(size=shape if square or name != "row_means" else (2, 5))
        gy = cotangent(rng, np.shape(forward(x)))
        numeric = np.array([np.sum(gy * (forward(x + h.reshape(x.shape)) - forward(x - h.reshape(x.shape)))) / 2e-6
                            for h in 1e-6 * np.eye(x.size)]).reshape(x.shape)
        if not np.allclose(rule(gy, x), numeric, rtol=1e-5, atol=1e-7):
            result.add(name)
    return result


def test_the_bugs_are_found_by_good_checks_and_missed_by_careless_ones(capsys):
    names, _ = executed((FOLDER / "bug_hunt.py").read_text(), capsys)

    def random(rng, shape):
        return rng.normal(size=shape)

    def ones(rng, shape):
        return np.ones(shape)

    assert names["verdict"](hunted(names, random, square=False)) == "exact"
    careless = hunted(names, ones, square=True)
    assert careless < hunted(names, random, square=False) and names["verdict"](careless) == "wrong"
    assert names["verdict"](names["RULES"]) == names["verdict"]([]) == "wrong"


# ---- notebooks ----
@pytest.mark.parametrize("name, count", [("vjps.py", 13), ("beyond.py", 7), ("bug_hunt.py", 1)])
def test_notebooks_have_a_graded_check_after_every_solution(name, count):
    made = notebook((FOLDER / "solutions" / name).read_text())
    assert json.loads(json.dumps(made)) == made
    graded = [cell["metadata"].get("nbgrader") for cell in made["cells"]]
    solutions = [i for i, meta in enumerate(graded) if meta and meta["solution"]]
    assert len(solutions) == count
    for i in solutions:
        assert "### BEGIN SOLUTION" in made["cells"][i]["source"] and not graded[i]["grade"]
        assert graded[i + 1]["grade"] and graded[i + 1]["locked"] and graded[i + 1]["points"] == 1
        assert re.search(r"check\(|judge\(|assert verdict\(suspects", made["cells"][i + 1]["source"])
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
    assert made["cells"][0]["cell_type"] == "markdown" and made["cells"][0]["source"].startswith("# ")
    assert made["cells"][1]["source"] == INSTALL.strip("\n") and graded[1] is None


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # of the packages that run notebooks
@pytest.mark.parametrize("name", NAMES)
def test_in_a_notebook_the_checks_of_blanks_fail_and_those_of_solutions_do_not(name):
    nbformat = pytest.importorskip("nbformat", reason="nbclient and ipykernel (extra `test`) run notebooks")
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel (extra `test`) run notebooks")
    pytest.importorskip("ipykernel", reason="nbclient and ipykernel (extra `test`) run notebooks")

    def failed(path):
        book = nbformat.from_dict(notebook(path.read_text()))
        nbclient.NotebookClient(book, timeout=300, kernel_name="python3", allow_errors=True).execute()
        return book.cells, [i for i, cell in enumerate(book.cells) for output in cell.get("outputs", [])
                            if output["output_type"] == "error"]

    cells, at = failed(FOLDER / "solutions" / name)
    assert at == []
    assert failed(FOLDER / name)[1] == [i for i, c in enumerate(cells) if c["metadata"].get("nbgrader", {}).get("grade")]


def test_the_readme_lists_every_exercise_and_its_code_runs(capsys):
    text = (FOLDER / "README.md").read_text()
    for number in range(1, 21):
        assert re.search(rf"^\| {number} \|", text, re.M)
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        _, output = executed(block, capsys)
        assert output.split() == ["slope", "of", "a", "square", "exact"]
