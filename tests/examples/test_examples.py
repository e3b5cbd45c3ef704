"""Every script in examples/, discovered: its help, and the arguments with which `.ci/run` starts it."""

import argparse
import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
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


def test_the_ci_reads_the_same_lines():
    """`.ci/run` runs every script in the folder, with the same lines; it names only the README's example."""
    script = (Path(__file__).parents[2] / ".ci" / "run").read_text("utf-8")
    assert 'for example in "$root"/examples/*.py; do' in script and "s/^# ci://p" in script
    assert {*re.findall(r"examples/(\w+)\.py", script)} == {"dcgan_mnist"}
