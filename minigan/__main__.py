"""`python -m minigan COMMAND ...`: the commands are the modules of minigan/commands, found by their names."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from minigan import commands, run


def summaries() -> dict[str, str]:
    """What each command is for, by its name: the first line of its module, which is read, not imported."""
    return {path.stem: (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
            for folder in commands.__path__ for path in sorted(Path(folder).glob("[!_]*.py"))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Hand the arguments to the command that the first one names; returns the exit status."""
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if name in ("-h", "--help"):
        print("usage: python -m minigan COMMAND ...\n\ncommands (python -m minigan COMMAND --help lists the options):",
              *(f"  {command:<10} {purpose}" for command, purpose in summaries().items()), sep="\n")
        return 0
    if name not in summaries():
        print(f"error: no command is called {name!r}; there are: {', '.join(summaries())}", file=sys.stderr)
        return 2
    return importlib.import_module(f"{commands.__name__}.{name}").main(rest) or 0


def program(arguments: Sequence[str] | None = None) -> None:
    """`main` as a program: it ends with the exit status; an error that was raised on purpose is one sentence."""
    run.main(lambda: sys.exit(main(arguments)))


if __name__ == "__main__":
    program()
