"""What may be in the JSON of a run, each bound from both sides; see `minigan.report.records` and docs/runs.md."""

import json

import pytest

from minigan.errors import DataError
from minigan.report import records

INFINITY = float("inf")


def config(folder, **parts):
    """What is read of a config.json with these parts."""
    (folder / "config.json").write_text(json.dumps({"options": {}, **parts}))
    return records.read_config(folder)


@pytest.mark.parametrize(("part", "values"), [
    ("steps", [0, 999_999_999_999]),  # the names of checkpoints have twelve digits
    ("options", [{"seed": 2**64 - 1}, {"x": 1 - 2**64}, {"x": [1, 0.5, "a", None, True]}, {"x": None}]),
    ("data", [[], [{"crc32": None}], [{"crc32": 2**32 - 1, "images": 0}]]),
    ("versions", [{"git": None}, {"minigan": "1"}]),
    ("caption", ["", "x" * 10_000]),
    ("sessions", [[{"steps": 0, "seconds": 0, "images_per_second": 1e12}]]),
    ("in_force", [{}, {"latent": 100, "betas": [0.5, 0.999], "optimizers": {"g": {"kind": "Adam", "lr": 2e-4}},
                       "parameters": {"generator": 0}}]),
])
def test_what_config_may_hold(tmp_path, part, values):
    for value in values:
        assert config(tmp_path, **{part: value})[part] == value


@pytest.mark.parametrize(("part", "value", "words"), [
    ("steps", 10**12, r"steps is 1000000000000; expected"), ("steps", -1, r"steps is -1; expected"),
    ("options", {"x": 10**20}, "a whole number of 21 digits"), ("options", {"x": [1, [2]]}, r"options\.x is "),
    ("options", {"x": [{}]}, r"options\.x is "), ("data", [{"crc32": True}], r"data\[0\]\.crc32 is true"),
    ("data", [{}, {"images": -1}], r"data\[1\]\.images is -1"), ("caption", "x" * 10_001, r"caption is .*10,000"),
    ("sessions", [{"seconds": 1e12 + 1}], r"sessions\[0\]\.seconds"), ("sessions", [3], "sessions is"),
    ("in_force", {"latent": {}}, r"in_force\.latent is \{\}"),
    ("in_force", {"optimizers": {"g": {"lr": {}}}}, r"in_force\.optimizers\.g\.lr is \{\}"),
    ("in_force", {"optimizers": {"g": 3}}, r"in_force\.optimizers is "),
    ("in_force", {"parameters": {"generator": 0.5}}, r"in_force\.parameters is "),
])
def test_what_config_may_not_hold(tmp_path, part, value, words):
    with pytest.raises(DataError, match=words) as error:
        config(tmp_path, **{part: value})
    assert len(str(error.value)) < 300 + len(str(tmp_path))  # long values are shortened


def rows(folder, name, text):
    (folder / name).write_text(text)
    return records.read_rows(folder / name)


def test_what_rows_may_hold(tmp_path):
    """Blank lines are none; numbers as large as a sum of them stays finite; events have keys of their own."""
    text = '{"step": 1}\n\n  \n{"step": 2, "epoch": 0, "x": 1e100, "y": Infinity}\n'
    assert rows(tmp_path, "metrics.jsonl", text) == [{"step": 1}, {"step": 2, "epoch": 0, "x": 1e100, "y": INFINITY}]
    assert rows(tmp_path, "events.jsonl", '{"step": 1, "event": "x", "changed": {"a": [1, {}]}}\n')[0]["event"] == "x"
    assert records.rows_of(tmp_path, "scores.jsonl") == [] and records.read_scores(tmp_path) == {}


@pytest.mark.parametrize(("name", "row", "words"), [
    ("metrics.jsonl", '{"epoch": 0.5}', "line 3: epoch is 0.5; expected a whole number"),
    ("metrics.jsonl", '{"step": NaN}', "line 3: step is NaN"), ("metrics.jsonl", '{"x": true}', "line 3: x is true"),
    ("metrics.jsonl", '{"x": 1.1e100}', "magnitude up to 1e"),
    ("events.jsonl", '{"step": -1}', "line 3: step is -1"), ("events.jsonl", '{"event": 3}', "line 3: event is 3"),
    ("events.jsonl", json.dumps({"reason": "x" * 10_001}), "line 3: reason is"),
])
def test_what_rows_may_not_hold(tmp_path, name, row, words):
    with pytest.raises(DataError, match=words):
        rows(tmp_path, name, f"{{}}\n\n{row}\n")


def test_the_best_row_has_the_smallest_finite_distance():
    scores = [{"frechet": INFINITY}, {"step": 1}, {"frechet": float("nan")}, {"frechet": 2.0}, {"frechet": 3.0}]
    assert records.best_row(scores) == {"frechet": 2.0}
    assert records.best_row(scores[:3]) is None and records.best_row([{"frechet": -INFINITY}]) is None
