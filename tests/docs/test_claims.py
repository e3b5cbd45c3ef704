"""Sentences of the lessons that were once false, or that quote a number: each is computed here without the lesson.

Where a sentence stands beside a printed number, a test reads both.
"""

import re
from itertools import pairwise

import numpy as np
import pytest
from lessons import CELL, FOLDER, run

import minigan as mg
from minigan import nn


def text(number):
    return next(FOLDER.glob(f"{number:02}_*.md")).read_text("utf-8")


def printed(number, cells, capsys):
    """What the first cells of a lesson print, and their names."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs matplotlib: the lesson draws")
    names = {"__name__": "__main__"}
    for cell in CELL.findall(text(number))[:cells]:
        exec(compile(cell, f"lesson {number}", "exec"), names)
    pyplot.close("all")
    return capsys.readouterr().out, names


def quoted(pattern, number):
    """The number that a sentence of a lesson quotes."""
    return float(re.search(pattern, " ".join(text(number).split()))[1])


# ---- lesson 1 ----
def test_the_ratio_of_the_modes_ends_at_the_number_that_is_quoted():
    limit = quoted(r"its limit is \$[\d\\,/]+ = (\d+)\$", 1)

    def ratio(n):  # columns through three matrices, against a row through three
        return n * (100 * 100 + 100 * 100 + 100) / (100 * 100 + 100 * 100 + 100 * n)

    assert ratio(1e9) == pytest.approx(limit, rel=1e-5) and ratio(1e4) < limit
    assert "20\\,100\\, n$ multiplications" in text(1)


def test_the_tape_visits_as_many_variables_as_the_lesson_says(capsys):
    out = printed(1, 5, capsys)[0]
    assert "visits $k + 1$ variables" in text(1) and "for _ in range(16)" in text(1)
    assert int(re.search(r"variables on the tape: (\d+)", out)[1]) == 16 + 1


def test_signs_are_explained_before_they_are_used():
    assert 0 < text(1).index("Iverson") < text(1).index("[i = k]")
    assert text(7).index(r"\operatorname{lse} = \ln") - text(7).index(r"\operatorname{lse}") < 60


# ---- lesson 3 ----
@pytest.mark.parametrize("stride", [1, 2])
def test_rows_of_the_matrix_move_by_the_stride_and_jump_at_the_end_of_a_line(stride):
    assert "holds them $S$ places further to the right" in text(3)
    (H, W), K = (6, 7), 3
    places = [[(i * stride + k) * W + j * stride + l for k in range(K) for l in range(K)]
              for i in range((H - K) // stride + 1) for j in range((W - K) // stride + 1)]
    moves = [set(np.subtract(b, a)) for a, b in pairwise(places)]
    line = (W - K) // stride + 1
    for row, move in enumerate(moves, 1):
        assert (move == {stride}) == (row % line != 0)


# ---- lesson 4 ----
@pytest.mark.parametrize("K", [3, 4])
def test_one_fresh_layer_has_four_different_phases_whatever_the_size(K):
    """Of 200 layers; the same for 3x3 and 4x4, so a size that the stride divides removes no pattern."""
    mg.seed(0)
    flat, spreads = mg.tensor(np.ones((1, 16, 5, 5)), dtype=np.float32), []
    for _ in range(200):
        y = nn.ConvTranspose2d(16, 1, K, stride=2, padding=1, bias=False)(flat).numpy()[0, 0, 2:6, 2:6]
        phases = np.array([y[:2, :2].ravel()])
        np.testing.assert_allclose(y[2:, 2:].ravel(), phases[0], atol=1e-5)  # the pattern repeats
        spreads.append(phases.std() / np.sqrt(np.mean(phases**2)))
    assert np.mean(spreads) == pytest.approx(0.85, abs=0.05)
    assert "equalises the *expected* strength" in text(4)


# ---- lesson 8 ----
def factors(gradients, beta1=0.9, beta2=0.999):
    """Length of every step of Adam, in units of the learning rate."""
    m, v, lengths = 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        lengths.append(abs(m) / (1 - beta1**t) / np.sqrt(v / (1 - beta2**t)) if v else 0.0)
    return lengths


def test_no_step_of_adam_is_longer_than_the_bound_and_the_worst_gradients_reach_it():
    bound = quoted(r"\(1 - \\beta_1\^2/\\beta_2\)\}\} = ([\d.]+)", 8)
    grows = (0.999 / 0.9) ** np.arange(120)
    assert bound - 0.01 < max(factors(np.concatenate([np.zeros(12_000), grows]))) <= bound + 0.001
    rng = np.random.default_rng(0)
    for gradients in (rng.normal(size=400), 10 ** rng.uniform(-9, 9, 400), grows, [1.0] * 50,
                      np.cumsum(rng.normal(size=400)), rng.standard_cauchy(400)):
        for zeros in (0, 30, 3000):
            assert max(factors(np.concatenate([np.zeros(zeros), gradients]))) <= bound


def test_two_equal_gradients_after_zeros_already_break_the_bound_of_one(capsys):
    counts = [1, 2, 5, 10, 20]
    measured = [factors([0] * 4900 + [1e6] * n)[-1] for n in counts]
    assert measured[0] < 3.17 < measured[1]
    cells = [cell for cell in CELL.findall(text(8)) if "def adam(" in cell or "def last_step" in cell]
    names = {}
    for cell in cells:
        exec(cell, names)
    out = capsys.readouterr().out
    shown = re.search(r"20 equal gradients: \[(.*)\]", out)[1]
    np.testing.assert_allclose([float(n) for n in shown.split(", ")], measured, atol=0.006)


def test_the_first_step_is_as_long_as_the_lesson_says_for_every_weight_it_prints(capsys):
    out = printed(8, 1, capsys)[0]
    first, uncorrected = (np.array(eval(line.partition(": ")[2])) for line in out.splitlines())
    np.testing.assert_allclose(abs(first), [1e-3, 1e-3, 1e-3, 0], rtol=1e-3)
    np.testing.assert_allclose(abs(uncorrected), np.array([1, 1, 1, 0]) * 1e-3 * quoted(r": ([\d.]+) times too far", 8),
                               rtol=0.02)
    assert factors([1e-8])[0] == pytest.approx(1) and "a weight with $|g| = \\varepsilon$ moves by $\\eta/2$" in text(8)


def test_in_the_valley_rmsprop_jumps_and_adam_rests_at_the_number_of_steps_shown():
    steps, curvature = int(quoted(r"def descend\(rule, steps=(\d+)\)", 8)), np.array([1.0, 100.0])
    heights, places = {}, {}
    for name, beta1, beta2, lr in (("RMSProp", 0.0, 0.9, 0.1), ("Adam", 0.9, 0.99, 0.3)):
        w, m, s, heights[name] = np.array([-4.0, 0.8]), 0.0, 0.0, []
        for t in range(1, steps + 1):
            heights[name].append(np.sum(curvature * w * w) / 2)
            places.setdefault(name, []).append(w)
            g = curvature * w
            m, s = beta1 * m + (1 - beta1) * g, beta2 * s + (1 - beta2) * g * g
            correct = ((1 - beta1**t), (1 - beta2**t)) if name == "Adam" else (1, 1)
            w = w - lr * (m / correct[0]) / (np.sqrt(s / correct[1]) + 1e-8)
    late = np.array(places["RMSProp"])[-50:]
    assert 0.1 < min(heights["RMSProp"][-50:]) < max(heights["RMSProp"][-50:]) < 0.2
    assert (np.sign(late[1:]) == -np.sign(late[:-1])).all()  # from one side of the minimum to the other
    np.testing.assert_allclose(abs(late[1:] - late[:-1])[:, 1], 0.1, rtol=0.1)  # across the valley
    assert heights["Adam"][59] > heights["RMSProp"][59]
    assert 1e-8 < heights["Adam"][-1] / heights["RMSProp"][-1] < 1e-7 and "ten million times smaller" in text(8)


# ---- lesson 12 ----
def test_a_square_prefers_the_mean_of_the_answers_and_an_absolute_value_their_median():
    """So neither chooses among several sharp images: what lesson 12 says about blur."""
    answers, grid = np.array([0.0, 0.0, 0.0, 1.0, 1.0]), np.linspace(-1, 2, 301)
    squared = [np.mean((c - answers) ** 2) for c in grid]
    absolute = [np.mean(abs(c - answers)) for c in grid]
    assert grid[np.argmin(squared)] == pytest.approx(np.mean(answers))
    assert grid[np.argmin(absolute)] == pytest.approx(np.median(answers), abs=1e-9)
    assert "It does not make images sharp by itself" in text(12)


@pytest.mark.long
def test_the_picture_of_lesson_12_has_as_many_corners_as_its_sentence_says(capsys):
    names = run(next(FOLDER.glob("12_*")))
    image, KG, KF, direction = (names[name] for name in ("image", "KG", "KF", "direction"))

    def error(s):
        y = image
        for kernel in (KG, KF + s * direction):
            y = sum(kernel[a, b] * np.pad(y, 1)[a:a + 5, b:b + 4] for a in range(3) for b in range(3))
        return y - image

    corners = np.count_nonzero(np.sign(error(-2)) != np.sign(error(2)))  # linear in s: one change each
    assert corners == quoted(r"in this picture for (\d+) of them", 12)
    assert f"corners from t = -2 to 2: {corners}\n" in capsys.readouterr().out


# ---- lesson 13 ----
def test_the_roofline_of_a_naive_kernel_is_below_what_was_measured():
    """Thread x of a warp computes row x: each of 32 lanes reads a row of A of its own, and all read one number of B."""
    N = 4096
    sectors = {("A", 4 * lane * N // 32) for lane in range(32)} | {("B", 0)}
    assert len(sectors) == quoted(r"a warp reads (\d+) sectors", 13)
    allowed = 2 * 32 / (32 * len(sectors)) * quoted(r"A6000 with (\d+) GB/s", 13)
    assert round(allowed) == quoted(r"so the roofline would allow (\d+)", 13)
    assert quoted(r"measured (\d+) GFLOP/s", 13) > 5 * allowed


# ---- lesson 14 ----
def test_as_many_orders_of_magnitude_as_are_printed(capsys):
    out = printed(14, 2, capsys)[0]
    right, wrong = (float(line.rpartition(":")[2]) for line in out.splitlines())
    assert 7 < np.log10(wrong / right) < 8 and "More than seven orders of magnitude" in text(14)
