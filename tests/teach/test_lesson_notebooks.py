"""Notebooks of the lessons: the cells that the lesson has, no output, a first cell that installs what is missing."""

import importlib.util
import json
import re
import subprocess

import pytest
from lessons import CELL, lessons

from minigan.teach.lesson import INSTALL, notebook


def sources(made, kind):
    return [cell["source"] for cell in made["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)
def test_a_notebook_has_every_cell_of_its_lesson_and_no_output(path):
    text = path.read_text("utf-8")
    made = notebook(text)
    assert json.loads(json.dumps(made)) == made
    code = sources(made, "code")
    assert code[0] == INSTALL.strip("\n")
    assert code[1:] == [cell.strip("\n") for cell in CELL.findall(text)]
    assert all(cell["outputs"] == [] for cell in made["cells"] if cell["cell_type"] == "code")
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
    prose = "\n".join(sources(made, "markdown"))
    assert made["cells"][0]["source"].startswith("# ") and made["cells"][1]["source"] == code[0]
    assert prose.count("$$") == CELL.sub("", text).count("$$")  # every formula
    assert not re.search(r"\]\((?!https?:)|^```\{|^---$", prose, re.M)


@pytest.mark.parametrize("path", lessons()[:2], ids=lambda path: path.stem)
def test_a_notebook_is_valid(path):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (it comes with the extra docs)")
    nbformat.validate(nbformat.from_dict(notebook(path.read_text("utf-8"))))


def test_what_jupyter_does_not_know_becomes_plain_words():
    made = notebook("---\na: b\n---\n# T\n\nSee [code](../../minigan/ops/conv.py) and [a page](https://example.org/x).\n"
                    "\n:::{note} Mind this\nTwo\nlines\n:::\n\n"
                    "## Part\n\n```{code-cell} python\n:tags: [x]\n\n1 + 1\n```\n")
    assert sources(made, "markdown") == [
        "# T\n\nSee code and [a page](https://example.org/x).\n\n> **Mind this**\n> \n> Two\n> lines", "## Part"]
    assert sources(made, "code") == [INSTALL.strip("\n"), "1 + 1"]


def test_the_first_cell_installs_only_what_is_missing(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command[-1]))
    exec(INSTALL, {})
    assert calls == []  # minigan is here
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    exec(INSTALL.replace('"minigan.tar.gz"', '"git+https://example.org/minigan"'), {})
    (tmp_path / "minigan.tar.gz").touch()
    exec(INSTALL, {})
    assert calls == ["minigan[examples] @ git+https://example.org/minigan", "minigan.tar.gz[examples]"]
