"""Folders of programs that train several networks: what they hold, what --overwrite removes, what `runs` lists."""

import json
import os

import numpy as np
import pytest

from minigan import data, report, run
from minigan.__main__ import main
from minigan.errors import DataError

IMAGES = data.ImageData(np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.uint8), "noise", "two images")


def played(out, *arguments):
    """The folder of a program of two runs and a figure."""
    options = run.options("", ["--out", str(out), *arguments], name="x", resumable=False, width=3)
    folder = run.begin(options, IMAGES)
    for loss in ("one", "two"):
        run.new_part(folder / loss, {**options.recorded(), "loss": loss}, 2, {"lr": 0.1}, [IMAGES])
        with (folder / loss / "metrics.jsonl").open("w") as file:
            file.writelines(f'{{"step": {step}, "d_loss": 0.5}}\n' for step in (1, 2))
        run.write(folder / loss, "notes.md", b"of the program")
    run.write(folder, "samples/step_000002.png", b"a frame")
    run.write_scores(folder, {"one": {"scores": {"frechet": 2.0}}, "two": {"seconds": 3.0}})
    return folder


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_overwrite_removes_all_that_the_program_wrote_and_nothing_else(tmp_path, capsys):
    assert played(tmp_path / "x") == tmp_path / "x"
    written = files(tmp_path / "x")
    assert played(tmp_path / "x") == tmp_path / "x-2"  # by default it is kept
    assert "which is kept (--overwrite replaces it)" in capsys.readouterr().out
    mine = ("mine.txt", "one/mine.txt", "other/config.json", "other/metrics.jsonl")
    (tmp_path / "x" / "other").mkdir()
    for name in mine:
        (tmp_path / "x" / name).write_text("mine")
    run.write(tmp_path / "x", "older.md", b"of a program that had more")
    assert played(tmp_path / "x", "--overwrite") == tmp_path / "x"
    assert files(tmp_path / "x") == {*written, *mine}
    run.new_folder(tmp_path / "x", overwrite=True)
    assert files(tmp_path / "x") == {*mine} and not (tmp_path / "x" / "two").exists()


def test_a_run_that_the_list_does_not_know_by_its_contents_stays(tmp_path):
    """A list from a stranger may name my run, but does not know its config.json; and nothing is reached by a link."""
    folder, other = played(tmp_path / "x"), played(tmp_path / "mine")
    config = json.loads((folder / "one" / "config.json").read_text())
    (folder / "one" / "config.json").write_text(json.dumps({**config, "caption": "trained by me"}))
    before, outside = files(folder / "one"), files(other)
    line = next(line for line in (other / "checkpoints" / "files.txt").read_text().splitlines() if "one/" in line)
    os.symlink(other / "one", folder / "link")
    with (folder / "checkpoints" / "files.txt").open("a") as file:
        file.write("".join(f"{line.replace('one/', name)}\n" for name in ("link/", "../mine/one/", ".one/", "../")))
    run.new_folder(folder, overwrite=True)
    assert files(folder / "one") == before and files(other) == outside
    assert {path.name for path in folder.iterdir()} == {"one", "link", "samples"}


def test_what_the_commands_say_of_it(tmp_path, capsys):
    played(tmp_path / "x")
    main(["runs", str(tmp_path)])
    _, whole, one, two = capsys.readouterr().out.splitlines()
    assert whole.split() == ["x", "none", "none"] and "2 of 2" in one and two.startswith("x/two")
    page = report.report_page(tmp_path / "x").read_text("utf-8")
    assert "no steps of its own" in page and "one frechet" in page
    main(["compare", str(tmp_path / "x" / "one"), str(tmp_path / "x" / "two"), "--out", str(tmp_path / "c.html")])
    assert "--loss" in capsys.readouterr().out


def test_a_part_needs_a_place_of_its_own(tmp_path):
    folder = played(tmp_path / "x")
    with pytest.raises(DataError, match=r"one: holds a run already"):
        run.new_part(folder / "one", {"seed": 0}, 2, {})
    os.symlink(tmp_path, folder / "link")
    with pytest.raises(DataError, match=r"link: is a link"):
        run.new_part(folder / "link", {"seed": 0}, 2, {})
