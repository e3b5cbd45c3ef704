"""Runs the code cells of a lesson, in order, in one namespace: `python tests/lessons.py docs/lessons/03_*.md`.

As if a reader typed every cell, without Jupyter. Figures are drawn and closed.
"""

import re
import sys
import time
import traceback
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs" / "lessons"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.M | re.S)


def lessons():
    """The Markdown files with code cells, in order."""
    return sorted(path for path in FOLDER.glob("*.md") if CELL.search(path.read_text()))


def run(path):
    """Execute a lesson and return its namespace. Errors show the file name and line of the lesson."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    text, names = Path(path).read_text(), {"__name__": "__main__"}
    for cell in CELL.finditer(text):
        options, code = re.match(r"((?::[^\n]*\n|\s*\n)*)(.*)", cell[1], re.S).groups()
        line = text.count("\n", 0, cell.start()) + 1 + options.count("\n")
        exec(compile("\n" * line + code, str(path), "exec"), names)
        pyplot.close("all")
    return names


if __name__ == "__main__":
    for name in sys.argv[1:] or lessons():
        start = time.perf_counter()
        try:
            run(name)
        except Exception:
            traceback.print_exc()
            sys.exit(1)
        print(f"==> {name}: {time.perf_counter() - start:.1f} s", flush=True)
