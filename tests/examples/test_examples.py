"""Every script in examples/, discovered: its help, and the arguments with which `.ci/run` starts it."""

import argparse
import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

from minigan import run

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
CI = re.compile(r"^# ci:(.*)$", re.M)


class ParsedError(Exception):
    """Raised once the options are parsed, to end the program."""


def main(path, arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    runpy.run_path(str(path), run_name="__main__")


def tried(path):
    """The arguments of each `# ci:` line, split as by the shell; --smoke if there is no such line."""
    return [line.split() for line in CI.findall(path.read_text("utf-8"))] or [["--smoke"]]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_says_what_it_is_and_how_it_is_started(path, monkeypatch, capsys):
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert f"python examples/{path.name}" in doc
    with pytest.raises(SystemExit) as ended:
        main(path, ["--help"], monkeypatch)
    assert ended.value.code == 0 and doc.splitlines()[0] in capsys.readouterr().out


@pytest.mark.parametrize("path, arguments", [(path, arguments) for path in EXAMPLES for arguments in tried(path)],
                         ids=lambda part: part.stem if isinstance(part, Path) else " ".join(part))
def test_it_takes_the_arguments_of_the_ci(path, arguments, monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def parsed(*args, **kwargs):
        parse(*args, **kwargs)  # ends the program if an argument is unknown or not among the choices
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    with pytest.raises(ParsedError):
        main(path, arguments, monkeypatch)


WRITING = {"write_atomically", "write_text", "write_bytes", "open", "save", "savez", "savefig", "tofile", "dump"}


def writers():
    """Names of functions that write a file whose path they are given, of the library and of the examples' figures."""
    names = {"points_film", *WRITING}
    for path in [*ROOT.glob("minigan/report/*.py"), *ROOT.glob("minigan/teach/theory/*.py"),
                 *ROOT.glob("examples/figures/*.py"), ROOT / "minigan/checkpoint/weights.py"]:
        for function in ast.parse(path.read_text("utf-8")).body:
            if isinstance(function, ast.FunctionDef) and {*map(called, ast.walk(function))} & WRITING:
                names.add(function.name)
    return names - {"report_page"}  # a run's own file, of which the list knows


def called(node):
    """The last name of the function in a call, "" of anything else."""
    function = getattr(node, "func", None)
    return getattr(function, "attr", getattr(function, "id", ""))


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.stem != "translate"], ids=lambda path: path.stem)
def test_all_that_it_writes_into_its_run_goes_through_one_door(path):
    """`run.write` lists a file as the run's, so that --overwrite removes it; translate.py writes into no run."""
    tree = ast.parse(path.read_text("utf-8"))
    at_the_door = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.Call)
                   and ast.unparse(node.func) == "run.write" for inner in ast.walk(node)}
    names = writers()
    assert {"save_png", "loss_curves", "comparison_figure", "theory_page", "save_numbers"} <= names
    past_it = [f"line {node.lineno}: {called(node)}" for node in ast.walk(tree)
               if called(node) in names and id(node) not in at_the_door]
    assert past_it == []


@pytest.mark.parametrize("path", [path for path in EXAMPLES if "resumable=False" in path.read_text("utf-8")],
                         ids=lambda path: path.stem)
def test_one_that_trains_by_itself_begins_by_the_rules_of_every_run(path):
    """`run.begin` keeps an earlier folder, or clears it with --overwrite; a folder made in another way would not."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    assert [ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "run.begin"] == ["options"]
    assert not {"new_folder", "mkdir", "makedirs"} & {*map(called, calls)}


def test_after_overwrite_nothing_of_the_older_run_is_left_and_all_that_is_mine(tmp_path, monkeypatch):
    path, out = ROOT / "examples" / "cyclegan_shapes.py", tmp_path / "run"
    arguments = ["--smoke", "--width", "4", "--depth", "2", "--count", "8", "--device", "cpu", "--no-blas-tuning"]
    main(path, [*arguments, "--out", str(out)], monkeypatch)
    run.write(out, "labels_only.png", b"of the older run")
    older = {name for name in out.rglob("*") if name.is_file()}
    mine = {out / name: f"mine: {name}" for name in ("notes.txt", "labels.png", ".notes.tmp", "samples/me.png")}
    for name, text in mine.items():
        name.write_text(text)
    run.new_folder(out, overwrite=True)
    assert {name: name.read_text() for name in out.rglob("*") if name.is_file()} == mine
    assert {out / "scores.json", out / "g_ab.safetensors", out / "labels_only.png"} <= older


def test_the_ci_reads_the_same_lines():
    """`.ci/run` runs every script in the folder, with the same lines; it names only the README's example."""
    script = (Path(__file__).parents[2] / ".ci" / "run").read_text("utf-8")
    assert 'for example in "$root"/examples/*.py; do' in script and "s/^# ci://p" in script
    assert {*re.findall(r"examples/(\w+)\.py", script)} == {"dcgan_mnist"}
