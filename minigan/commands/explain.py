"""Derive the gradients of a graph step by step: as text, as Markdown, or as a page to click through."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from minigan.data.paths import printable, user_path
from minigan.engine import PRIMITIVES
from minigan.teach.explain import subjects

FORMATS = {".txt": "text", ".md": "markdown", ".html": "html"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the derivation, or write it to a file."""
    options = _parser().parse_args(arguments)
    explanation = subjects.find(options.subject)
    form = options.format or FORMATS.get(options.out.suffix if options.out else "", "text")
    write = {"text": explanation.text, "markdown": explanation.markdown, "html": explanation.html}
    contents = write[form](options.out)
    if options.out is None:
        print(contents)
    else:
        print(printable(f"written to {options.out}"))


def _parser() -> argparse.ArgumentParser:
    purposes = {name: (make.__doc__ or "").partition("\n")[0] for name, make in subjects.SUBJECTS.items()}
    graphs = "\n".join(f"  {name:<11} {purpose}" for name, purpose in purposes.items())
    parser = argparse.ArgumentParser(
        prog="python -m minigan explain", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"Derive the gradients of a graph, step by step.\n\ngraphs:\n{graphs}\n\noperations, each on the "
                    f"first of its own samples:\n  {subjects.listed(PRIMITIVES)}")
    parser.add_argument("subject", metavar="SUBJECT", help="one of the graphs or operations above")
    parser.add_argument("--format", choices=tuple(FORMATS.values()), help="default: by the ending of --out, else text")
    parser.add_argument("--out", type=user_path, metavar="FILE", help="where to write (default: the terminal)")
    return parser
