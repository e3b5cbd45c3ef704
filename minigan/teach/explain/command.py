"""`python -m minigan explain SUBJECT`: a derivation on the terminal, as Markdown, or as a page to click through."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

FORMATS = {".txt": "text", ".md": "markdown", ".html": "html"}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    from minigan.engine import PRIMITIVES
    from minigan.teach.explain import subjects

    told = {name: (make.__doc__ or "").splitlines()[0] for name, make in subjects.SUBJECTS.items()}
    graphs = "\n".join(f"  {name:<11} {what}" for name, what in told.items())
    parser = argparse.ArgumentParser(
        prog="python -m minigan explain", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Derive the gradients of a graph, step by step.\n\ngraphs:\n{graphs}\n\noperations, each on the "
                    f"first of its own samples:\n  {subjects.listed(PRIMITIVES)}")
    parser.add_argument("subject", metavar="SUBJECT", help="one of the graphs or operations below")
    parser.add_argument("--format", choices=tuple(FORMATS.values()), help="default: by the ending of --out, else text")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write (default: the terminal)")
    options = parser.parse_args(arguments)
    explanation = subjects.find(options.subject)
    chosen = options.format or FORMATS.get(options.out.suffix if options.out else "", "text")
    write = {"text": explanation.text, "markdown": explanation.markdown, "html": explanation.html}
    contents = write[chosen](options.out)
    if options.out is None:
        print(contents)
    else:
        print(f"written to {options.out}")
