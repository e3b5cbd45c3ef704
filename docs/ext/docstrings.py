"""The project's docstrings as reStructuredText, so that one text serves the code, `help()` and the site.

    Forward, VJP, Why, Source     a definition list; formulas typeset as in explanations, their text as tooltip
    Args:, Returns:, Raises:      the same, one entry per line
    indented lines                unchanged
    >>> lines                     unchanged
    anything else                 prose: `name` is code, every other mark is literal
"""

import html
import inspect
import re
import textwrap

from minigan.teach.explain.formula import clauses, mathml

PARTS = ("Forward", "VJP", "Why", "Source")
SECTION = re.compile(r"(Args|Returns|Raises|Yields):$")
_PART = re.compile(rf"({'|'.join(PARTS)}) {{2,}}(.*)")


def restructured(docstring):
    """A docstring as reStructuredText."""
    lines, text = inspect.cleandoc(docstring or "").splitlines(), []
    while lines:
        taken = _length(lines)
        text.append(_piece(lines[:taken]))
        del lines[:taken]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip()


def parts(docstring):
    """{"Forward": lines, "VJP": ..., ...} of a docstring, without margins."""
    lines, texts = inspect.cleandoc(docstring or "").splitlines(), {}
    while lines:
        taken, head = _length(lines), _PART.match(lines[0])
        if head:
            texts[head[1]] = _joined(head[2], lines[1:taken])
        del lines[:taken]
    return texts


def _length(lines):
    """How many lines belong to the first: it and the lines indented below it, a doctest, or one line of prose."""
    if lines[0].startswith(">>>"):
        return next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
    if not (lines[0].startswith("    ") or SECTION.match(lines[0]) or _PART.match(lines[0])):
        return 1
    end = next((i for i, line in enumerate(lines[1:], 1) if line.strip() and not line.startswith("    ")), len(lines))
    while not lines[end - 1].strip():
        end -= 1
    return end


def _piece(lines):
    first, rest = lines[0], lines[1:]
    head, section = _PART.match(first), SECTION.match(first)
    if head:
        body = _joined(head[2], rest)
        body = escaped(body) if head[1] in ("Why", "Source") else typeset(body)
        style = "\n.. rst-class:: derivation\n" if head[1] == PARTS[0] else ""  # a list starts; see static/site.css
        return f"{style}\n{head[1]}\n{textwrap.indent(body, '    ')}\n"
    if section:
        return f"\n**{section[1]}**\n\n{_entries(textwrap.dedent(chr(10).join(rest)))}\n"
    if first.startswith(">>>"):
        return "\n" + "\n".join(lines) + "\n"
    return f"\n{literal(textwrap.dedent(chr(10).join(lines)))}\n" if first.startswith("    ") else escaped(first)


def _joined(first, rest):
    return "\n".join([first, *textwrap.dedent("\n".join(rest)).splitlines()])


def _entries(text):
    """Lines of `name: what it is` as a definition list; anything else as prose."""
    entries = re.split(r"\n(?=\S)", text)
    if not all(re.match(r"[\w, *.]+: ", entry) for entry in entries):
        return escaped(text)
    named = (entry.partition(": ") for entry in entries)
    return "\n".join(f"``{name}``\n    {escaped(' '.join(what.split()))}" for name, _, what in named)


def typeset(text):
    """Formulas in the notation of docstrings as MathML; the text itself is the tooltip."""
    formulas = "\n".join(f'<div class="formula">{mathml(clause)}</div>' for clause in clauses(text))
    block = f'<div title="{html.escape(text)}">\n{formulas}\n</div>'
    return f".. raw:: html\n\n{textwrap.indent(block, '    ')}\n"


def literal(text):
    """An unchanged block of text."""
    return f".. code-block:: text\n\n{textwrap.indent(text, '    ')}\n"


def escaped(text):
    """Prose: text between backticks is code, every other mark is escaped."""
    pieces = re.split(r"`+([^`]+)`+", text)
    pieces[::2] = [re.sub(r"([\\*_|`])", r"\\\1", piece) for piece in pieces[::2]]
    pieces[1::2] = [f"\\ ``{piece}``\\ " for piece in pieces[1::2]]
    return re.sub(r"(?<=\s)\\ |^\\ |\\ (?=[\s.,;:)]|$)", "", "".join(pieces))


def _process(app, what, name, thing, options, lines):
    lines[:] = restructured("\n".join(lines)).splitlines()


def setup(app):
    """Between autodoc, which finds the docstrings, and docutils, which reads them."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
