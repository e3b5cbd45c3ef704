"""Folders that a user names in options: a leading ~ is the home folder, also where the shell leaves it alone."""

from pathlib import Path

import pytest

import minigan as mg
from minigan import run
from minigan.errors import DataError


@pytest.mark.parametrize("words", [["--out=~/a", "--data=~/b"], ["--out", "~/a", "--data", "~/b"]])
def test_a_leading_tilde(words, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    options = run.options("A program.", [*words, "--device", "cpu"], name="x")
    assert (options.out, options.data) == (tmp_path / "a", tmp_path / "b")
    assert run.options("A program.", ["--out", "./~", "--device", "cpu"], name="x").out == Path("./~")


def test_a_leading_tilde_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match="config.json is missing"):
        mg.load_generator("~/mine")


def test_an_option_without_dashes_has_a_place():
    own = {"picture": run.option(None, "a picture", kind=Path, flag="PICTURE"),
           "other": run.option("x", "another", flag="OTHER")}
    for words, values in (([], (None, "x")), (["a.png"], (Path("a.png"), "x")),
                          (["--steps", "3", "a.png", "y"], (Path("a.png"), "y"))):
        options = run.options("A program.", [*words, "--device", "cpu"], name="x", **own)
        assert (options.picture, options.other) == values
        assert options.recorded()["picture"] == (None if values[0] is None else "a.png")
