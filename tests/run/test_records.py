"""The JSON of a run is read through one door: what passes has the right types; what does not is named."""

import json
import os
import random
import sys
from pathlib import Path

import pytest

from minigan import report
from minigan.__main__ import main
from minigan.errors import DataError
from minigan.report import records

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import fuzz_runs

CONFIG = {"options": {"seed": 0, "size": 28}, "steps": 10, "data": [{"name": "mnist", "source": "s", "images": 3,
          "crc32": 7}], "device": "cpu", "versions": {"minigan": "1", "git": None}}


@pytest.mark.long
def test_mutations_of_each_file_end_in_words(tmp_path):
    """Through runs, report, sample and metrics; a few through --resume, --overwrite and compare, which take longer."""
    counts = fuzz_runs.fuzz(tmp_path, 40, seed=7, slow_every=40)
    for file in fuzz_runs.FILES:
        assert counts[file, "runs", "done"] == 40
        assert 0 < counts[file, "report", "done"] < 40  # mutations are neither all harmless nor all refused
    assert counts["config.json", "sample", "refused"] > 20


def test_mutations_differ():
    chance, text = random.Random(0), json.dumps(CONFIG, indent=2)
    assert len({fuzz_runs.damaged(text, chance) for _ in range(200)}) > 100


@pytest.mark.parametrize(("key", "value", "words"), [
    ("steps", 10**18, r"steps is 1000000000000000000; expected a whole number from 0 to 999,999,999,999"),
    ("steps", 10**400, "a whole number of 401 digits"),
    ("steps", None, "steps is null; expected a whole number"),
    ("steps", "10", 'steps is "10"; expected a whole number'),
    ("steps", True, "steps is true; expected"),
    ("steps", 1.5, r"steps is 1\.5; expected"),
    ("options", [], r"options is \[\]; expected an object"),
    ("data", {}, r"data is \{\}; expected a list of objects"),
    ("data", [{"name": 3}], r"data\[0\]\.name is 3; expected text"),
    ("versions", {"minigan": 1}, r"versions\.minigan is 1; expected text"),
    ("sessions", [{"steps": 1, "seconds": float("nan")}], r"sessions\[0\]\.seconds is NaN; expected a number from 0"),
    ("sessions", [{"seconds": 1.0}, {"seconds": float("inf")}], r"sessions\[1\]\.seconds is Infinity; expected"),
    ("sessions", [{"seconds": -1}], r"sessions\[0\]\.seconds is -1; expected a number from 0 to 1,000,000,000,000"),
    ("sessions", [{"images_per_second": 1e100}], r"images_per_second is 1e\+100; expected"),
    ("options", {"a": {"b": 1}}, r"options\.a is \{\"b\": 1\}; expected"),
])
def test_a_wrong_value_in_config_is_named(tmp_path, key, value, words):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, key: value}))
    with pytest.raises(DataError, match=rf"config\.json: damaged: .*{words}|config\.json: damaged.*{words}"):
        records.read_config(tmp_path)


@pytest.mark.parametrize(("raw", "words"), [
    (b"\xff\xfe", "UTF-8"), (b"\xef\xbb\xbf{}", "BOM"), (b"[" * 100_000, "nested too deeply"), (b"", "not JSON"),
    (b'{"options": {}, "options": {}}', "the key 'options' is there twice"), (b"[]", "list instead of an object"),
    (b"{}", "the key options is missing"), (b'{"options": {}', "not JSON"), (b" " * (5 << 20), "5,242,880 bytes"),
])
def test_a_damaged_config_is_named(tmp_path, raw, words):
    (tmp_path / "config.json").write_bytes(raw)
    with pytest.raises(DataError, match=rf"config\.json.*{words}"):
        records.read_config(tmp_path)


@pytest.mark.parametrize(("value", "words"), [
    ("null", "d_loss is null; expected a number"), ('"0.5"', "expected a number"), ("[1]", "expected a number"),
    ("1e308", r"d_loss is 1e\+308; expected a number of magnitude up to 1e\+100"), ("true", "expected a number"),
    ("1" * 401, "401 digits"), ("{}", "expected a number"), ('0, "d_loss": 1', "'d_loss' is there twice"),
])
def test_a_wrong_value_in_a_row_is_named_with_its_line(tmp_path, value, words):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1, "d_loss": 0.5}}\n{{"step": 2, "d_loss": {value}}}\n')
    with pytest.raises(DataError, match=rf"metrics\.jsonl, line 2.*{words}"):
        report.read_rows(path)


def test_what_a_run_may_record(tmp_path):
    """Whole numbers, NaN and infinity, which a diverging run has; a line without its end is left out."""
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "a": 2, "b": NaN, "c": -Infinity}\n{"step": 2, "a')
    row, = report.read_rows(tmp_path / "metrics.jsonl")
    assert row["a"] == 2 and row["b"] != row["b"] and row["c"] == -float("inf")


def test_one_odd_record_does_not_stop_the_list(tmp_path, capsys):
    for name, score in (("a", '{"step": 1, "frechet": 2.0}\n{"step": 2}\n'), ("b", '{"step": 1}\n'),
                        ("c", '{"step": 1, "frechet": "x"}\n'), ("d", '{"frechet": 3.0}\n')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(CONFIG))
        (tmp_path / name / "metrics.jsonl").write_text('{"step": 4, "d_loss": 0.5}\n')
        (tmp_path / name / "scores.jsonl").write_text(score)
    (tmp_path / "e" / "config.json").mkdir(parents=True)
    main(["runs", str(tmp_path)])
    _, a, b, c, d, e = capsys.readouterr().out.splitlines()
    assert all(row.split()[1:4] == ["4", "of", "10"] and "d_loss 0.500" in row for row in (a, b, c, d))
    assert "2.00 at step 1" in a and "scores.jsonl has rows without frechet" in a and "rows without frechet" in b
    assert 'scores.jsonl, line 1: frechet is "x"; expected a number' in c and "3.00" in d
    assert "damaged" in e and "is a folder, not a file" in e


@pytest.mark.parametrize(("name", "most"), [("config.json", 4 << 20), ("metrics.jsonl", 1 << 30),
                                            ("events.jsonl", 1 << 30), ("scores.jsonl", 1 << 30)])
def test_the_largest_files(tmp_path, name, most):
    """Files with holes, which need no room on the disk; they are refused by their size, before they are read."""
    (tmp_path / name).write_bytes(b"")
    os.truncate(tmp_path / name, most + 1)
    with pytest.raises(DataError, match=rf"{name}: cannot be read: it has {most + 1:,} bytes, and at most {most:,} "):
        records.read_config(tmp_path) if name == "config.json" else report.read_rows(tmp_path / name)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such names")
def test_a_name_with_an_end_of_line_keeps_its_row(tmp_path, capsys):
    names = ["one\ntwo", "tab\tin it", "\x1b[31mred", "plain"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(CONFIG))
        (tmp_path / name / "metrics.jsonl").write_text('{"step": 1, "d_loss": 1.0, "g_loss": 1.0}\n')
        (tmp_path / name / "scores.jsonl").write_text("no row\n")  # the remark names the file
    main(["runs", str(tmp_path)])
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 1 + len(names)
    assert any(row.startswith(r"one\ntwo ") for row in rows) and not any("\t" in row or "\x1b" in row for row in rows)
    main(["compare", str(tmp_path / names[0]), str(tmp_path / names[3]), "--out", str(tmp_path / "c.png")])
    assert capsys.readouterr().out.startswith("their settings are the same\n")
