"""A lesson's Markdown as a notebook, to download and to run anywhere: `notebook(text)`.

Lessons store no output, so neither does the notebook: its reader computes every number.
"""

from __future__ import annotations

import re
from typing import Any

INSTALL = '''\
# Run this first where minigan is not installed, such as in Colab. SOURCE is an archive of the project that you have
# uploaded (dist/minigan-*.tar.gz, made by `python -m build`), or git+ and the address of your copy of the repository.
import importlib.util, subprocess, sys
from pathlib import Path
SOURCE = "minigan.tar.gz"
if importlib.util.find_spec("minigan") is None:
    wanted = f"{SOURCE}[examples]" if Path(SOURCE).exists() else f"minigan[examples] @ {SOURCE}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
'''
_FRONT = re.compile(r"\A---\n.*?^---\n", re.M | re.S)
_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n|\n)*)(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+://)[^)\s]+\)")  # to a file beside the lesson
_DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{([\w-]+)\} ?([^\n]*)\n(.*?)^\1$", re.M | re.S)


def notebook(text: str) -> dict[str, Any]:
    """The notebook of a lesson: after its title a cell that installs what is missing, then prose and code in turn."""
    prose, *rest = re.split(r"(?m)^(?=## )", _FRONT.sub("", text), maxsplit=1)
    cells = [_prose(part) if kind == "markdown" else _code(part) for kind, part in _parts(prose)]
    cells.insert(1, install_cell())
    for kind, part in _parts("".join(rest)):
        cells.append(_prose(part) if kind == "markdown" else _code(part))
    for number, cell in enumerate(cells):
        cell.setdefault("id", f"cell-{number}")
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def install_cell() -> dict[str, Any]:
    """A cell that installs minigan where it is missing."""
    return {**_code(INSTALL), "id": "install"}


def _parts(text: str) -> list[tuple[str, str]]:
    """("markdown" or "code", source) in order."""
    parts, end = [], 0
    for cell in _CELL.finditer(text):
        parts += [("markdown", text[end:cell.start()]), ("code", cell[2])]
        end = cell.end()
    parts.append(("markdown", text[end:]))
    return [(kind, part.strip("\n")) for kind, part in parts if part.strip()]


def _prose(text: str) -> dict[str, Any]:
    """A cell of text. Links to files that a notebook does not bring become plain words, directives quotations."""
    plain = _LINK.sub(r"\1", _DIRECTIVE.sub(_quoted, text))
    return {"cell_type": "markdown", "metadata": {}, "source": plain.strip("\n")}


def _quoted(directive: re.Match[str]) -> str:
    """A MyST directive, which Jupyter does not know, as a quotation with its title."""
    title = f"**{directive[3].strip()}**\n\n" if directive[3].strip() else ""
    return re.sub(r"^", "> ", f"{title}{directive[4]}".strip("\n"), flags=re.M)


def _code(text: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": text.strip("\n")}
