"""`python -m minigan NAME ...`: one line per command; what it needs is imported when it is called, not before."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {  # name: (module:function, which takes a list of arguments; what it is for)
    "compare": ("minigan.run.listing:compare", "the curves of several runs in one picture"),
    "explain": ("minigan.teach.explain.command:main", "the derivation of a graph, as text, Markdown or a page"),
    "gradcheck": ("minigan.gradcheck:main", "first and second derivatives against finite differences"),
    "latent": ("minigan.run.latent.command:main", "interpolate, map, add and take apart what a run has learnt"),
    "metrics": ("minigan.metrics.__main__:main", "measure the images of a finished run"),
    "report": ("minigan.run.latent.command:page", "make a run's report.html anew"),
    "runs": ("minigan.run.listing:runs", "the runs there are: how far, which score"),
    "sample": ("minigan.run.latent.command:sample", "draw images from a run's generator"),
}
USAGE = "usage: python -m minigan COMMAND ...    (COMMAND --help tells its options)\n\n" + "\n".join(
    f"  {name:<10} {meaning}" for name, (_, meaning) in COMMANDS.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Hand the arguments to the command that the first one names; returns the exit status."""
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if name in ("-h", "--help"):
        print(USAGE)
        return 0
    if name not in COMMANDS:
        print(f"error: no command is called {name!r}; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module, _, function = COMMANDS[name][0].partition(":")
    return getattr(importlib.import_module(module), function)(rest) or 0


if __name__ == "__main__":
    from minigan import run

    run.main(lambda: sys.exit(main()))
