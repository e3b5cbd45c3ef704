"""`python -m minigan NAME`: every name of the table leads somewhere, and a wrong one says which there are."""

import pytest

from minigan.__main__ import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_to_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "usage: python -m minigan" in capsys.readouterr().out


def test_without_a_name_the_commands_are_listed(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed and meaning in listed for name, (_, meaning) in COMMANDS.items())


def test_a_name_that_does_not_exist_is_answered_with_those_that_do(capsys):
    assert main(["expalin"]) == 2
    said = capsys.readouterr().err
    assert "'expalin'" in said and all(name in said for name in COMMANDS)


def test_arguments_and_exit_status_pass_through(capsys):
    assert main(["gradcheck", "tanh"]) == 0
    assert "tanh" in capsys.readouterr().out
