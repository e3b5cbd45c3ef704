"""`python -m minigan NAME`: every module of commands is discovered, and the error for a wrong name lists them."""

import subprocess
import sys

import pytest

from minigan import commands, run
from minigan.__main__ import main, summaries

COMMANDS = summaries()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_to_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "usage: python -m minigan" in capsys.readouterr().out


def test_without_a_name_the_commands_are_listed(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert {*COMMANDS} == {"codec", "compare", "explain", "export", "gradcheck", "latent", "metrics", "play", "report",
                           "runs", "sample"}
    assert all(COMMANDS.values()) and all(f"  {name:<10} {purpose}\n" in listed for name, purpose in COMMANDS.items())


def test_a_name_that_does_not_exist_is_answered_with_those_that_do(capsys):
    assert main(["expalin"]) == 2
    output = capsys.readouterr().err
    assert "'expalin'" in output and all(name in output for name in COMMANDS)


@pytest.mark.parametrize("module", ["minigan.gradcheck", "minigan.metrics"])
def test_two_commands_are_also_programs_of_their_own(module, capsys):
    done = subprocess.run([sys.executable, "-W", "error", "-m", module, "--help"], capture_output=True, text=True,
                          timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(SystemExit):
        main([module.partition(".")[2], "--help"])
    assert done.stdout.split() == capsys.readouterr().out.split()


def test_a_new_file_is_a_new_command(tmp_path, monkeypatch, capsys):
    """One new file is enough; docstrings are read from the source, so python -OO lists it too."""
    (tmp_path / "greet.py").write_text('"""Greet."""\ndef main(arguments):\n    print("hello", *arguments)\n')
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    assert main(["greet", "you"]) == 0 and main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("hello you\n") and "  greet      Greet.\n" in printed


def test_arguments_and_exit_status_pass_through(capsys):
    assert main(["gradcheck", "tanh"]) == 0
    assert "tanh" in capsys.readouterr().out


@pytest.mark.parametrize("name, shown", [
    ("\x1b[31mred", r"\x1b[31mred"), ("a\x9b2Jb", r"a\x9b2Jb"), ("\u202egnp.exe", r"\u202egnp.exe"),
    ("\udcff", r"\udcff"), ("猫 é\u200d", "猫 é\u200d")])
@pytest.mark.parametrize("command", ["report", "runs", "sample"])
def test_no_name_steers_the_terminal(command, name, shown, tmp_path, capsys):
    """ECMA-48's control sequences and Unicode's marks of direction in a name are shown, not obeyed."""
    with pytest.raises(SystemExit, match="2"):
        run.main(lambda: main([command, str(tmp_path / name)]))
    output = capsys.readouterr()
    assert output.out == "" and shown in output.err and not {*output.err} & {*"\x1b\x9b\u202e\udcff"}


def test_a_sheet_is_named_as_what_it_is(tmp_path, capsys):
    """A picture that is named as of another kind is refused; it used to become a folder of this name."""
    from minigan.commands import sample
    from minigan.errors import OptionError

    with pytest.raises(OptionError, match=r"--out .*x\.jpg: the sheet is a PNG, so name it \*\.png"):
        sample.main([str(tmp_path), "--out", str(tmp_path / "x.jpg")])
    assert not list(tmp_path.iterdir())
