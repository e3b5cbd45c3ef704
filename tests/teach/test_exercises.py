"""Exercises: solutions pass, blanks are "not done", plausible mistakes are "wrong", guesses do not find the bugs."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from minigan.errors import OptionError
from minigan.teach.exercise import BLANK, compare, notebook, without_solutions

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


@pytest.mark.parametrize("name", NAMES)
def test_solutions_pass_and_blanks_do_not(name, capsys):
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


def test_the_usual_mistake_in_each_is_called_wrong(capsys):
    text = (FOLDER / "solutions/vjps.py").read_text()
    for old, new in MISTAKES.values():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    names, _ = executed(text, capsys)
    assert names["verdicts"] == dict.fromkeys(MISTAKES, "wrong")


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
@pytest.mark.parametrize("name, count", [("vjps.py", 13), ("bug_hunt.py", 1)])
def test_notebooks_have_a_graded_check_after_every_solution(name, count):
    made = notebook((FOLDER / "solutions" / name).read_text())
    assert json.loads(json.dumps(made)) == made
    graded = [cell["metadata"].get("nbgrader") for cell in made["cells"]]
    solutions = [i for i, meta in enumerate(graded) if meta and meta["solution"]]
    assert len(solutions) == count
    for i in solutions:
        assert "### BEGIN SOLUTION" in made["cells"][i]["source"] and not graded[i]["grade"]
        assert graded[i + 1]["grade"] and graded[i + 1]["locked"] and graded[i + 1]["points"] == 1
        assert re.search(r"check\(|assert verdict\(suspects", made["cells"][i + 1]["source"])
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
    assert made["cells"][0]["cell_type"] == "markdown" and made["cells"][0]["source"].startswith("# ")


def test_the_readme_lists_every_exercise_and_its_code_runs(capsys):
    text = (FOLDER / "README.md").read_text()
    for number in range(1, 14):
        assert re.search(rf"^\| {number} \|", text, re.M)
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        _, output = executed(block, capsys)
        assert output.split() == ["slope", "of", "a", "square", "exact"]
