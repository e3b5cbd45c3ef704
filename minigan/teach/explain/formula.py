r"""The formulas of docstrings, from plain text to LaTeX and MathML. There is one copy of each formula: the docstring's.

    y = gamma xhat + beta,   xhat = (x - mean) rstd      ->      y = \gamma\,\hat{x} + \beta

A formula is read as a row of symbols, each with an index below (`x_i`, `sum_{k,l}`) and an exponent (`e^-x`), so words
between the symbols stay words, and nothing is dropped or moved. Cotangents `gx` become g with the index x.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

from minigan.engine import OPERATIONS, Operation

FIELDS = ("Forward", "VJP", "Why", "Source")
_TOKEN = re.compile(r"\s+|\d+(?:\.\d+)?|[a-z]{2,}-[a-z]{2,}|[A-Za-z][^\W_]*(?:_[^\W_]+)*|'s\b|\.\.\.|//|\+=|<=|>=|.")
_GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "eps": "ε", "lambda": "λ"}
_LATEX_GREEK = {"eps": "varepsilon"}
_BIG = {"sum": ("∑", r"\sum")}  # with an index; without one, a word
_SIGNS = {"-": ("−", "-"), "*": ("·", r"\cdot "),
          "<=": ("≤", r"\leq "), ">=": ("≥", r"\geq "), "...": ("…", r"\ldots "),
          "{": ("{", r"\{"), "}": ("}", r"\}"), "<": ("<", "<"), ">": (">", ">")}
_OPENS, _CLOSES = "([{", ")]}"
_WORDS = frozenset(("if", "is", "in", "of", "or", "to"))  # else a word of two letters would look like a symbol


class Symbol(NamedTuple):
    """A name, number, sign or space, with what stands below and above it: rows of symbols again."""

    text: str
    kind: str  # name, word, number, sign, space
    below: tuple[Symbol, ...] = ()
    above: tuple[Symbol, ...] = ()


_SPACE = Symbol(" ", "space")


def fields(operation: Operation[...]) -> dict[str, str]:
    """Forward, VJP, Why and Source of an operation's docstring, each without its indentation."""
    parts: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in (operation.__doc__ or "").splitlines():
        word, indent = line.strip().split(" ", 1)[0], len(line) - len(line.lstrip())
        if word in FIELDS and indent <= 4:
            current = parts.setdefault(word, [])
            line = line.strip()[len(word):]
        elif indent <= 4:
            current = None
        if current is not None:
            current.append(line.strip())
    return {name: "\n".join(lines).strip() for name, lines in parts.items()}


def clauses(text: str) -> list[str]:
    """The formulas of a field: apart by three spaces, or by a line's end where no bracket is open."""
    parts: list[str] = []
    for line in text.splitlines():
        if parts and sum(parts[-1].count(c) for c in _OPENS) > sum(parts[-1].count(c) for c in _CLOSES):
            parts[-1] += " " + line.strip()
        else:
            parts += [part.strip(" ,;") for part in re.split(r" {3,}", line) if part.strip()]
    return parts


def parse(text: str) -> tuple[Symbol, ...]:
    """A formula as a row of symbols."""
    tokens = [" " if token.isspace() else token for token in _TOKEN.findall(text)]
    return tuple(_row(tokens))


def _row(tokens: list[str]) -> Iterator[Symbol]:
    while tokens:
        yield _scripted(tokens)


def _scripted(tokens: list[str]) -> Symbol:
    """The next symbol, with its index and its exponent."""
    symbol = _symbol(tokens.pop(0))
    if tokens and tokens[0] == "_":
        tokens.pop(0)
        symbol = symbol._replace(below=_script(tokens))
    if tokens and tokens[0] == "^":
        tokens.pop(0)
        symbol = symbol._replace(above=_script(tokens))
    return symbol


def _script(tokens: list[str]) -> tuple[Symbol, ...]:
    """What `_` or `^` is followed by: a bracket's contents, or one symbol, perhaps with a sign or between bars."""
    opening = tokens[0]
    if opening in "({":
        return tuple(_row(_bracket(tokens, opening, ")" if opening == "(" else "}")))
    if opening == "-":
        return (_symbol(tokens.pop(0)), *_script(tokens))
    if opening == "|":
        return tuple(_row(["|", *_bracket(tokens, "|", "|"), "|"]))
    return (_scripted(tokens),)


def _bracket(tokens: list[str], opening: str, closing: str) -> list[str]:
    """Take a bracket off the tokens; its contents."""
    tokens.pop(0)
    depth, inside = 1, []
    while tokens:
        token = tokens.pop(0)
        depth += (token == opening != closing) - (token == closing)
        if not depth:
            break
        inside.append(token)
    return inside


def _symbol(token: str) -> Symbol:
    if token == " ":
        return _SPACE
    if token[0].isdigit():
        return Symbol(token, "number")
    if not token[0].isalpha():
        return Symbol(token, "word" if token == "'s" else "sign")
    if token in OPERATIONS or token in _WORDS or "-" in token:
        return Symbol(token, "word")
    base, _, index = token.partition("_")
    below = tuple(_row([index])) if index else ()
    if re.fullmatch(r"g(\w|beta|gamma|on)", base):  # the cotangent of ...
        return Symbol("g", "name", (_symbol(base[1:])._replace(below=below),))
    known = len(base) == 1 or base in _GREEK or base == "xhat"
    return Symbol(base, "name" if known else "word", below)


# ---- written out ----
def latex(text: str) -> str:
    """A formula as LaTeX, without dollar signs."""
    return _latex(parse(text)).strip()


def _latex(row: tuple[Symbol, ...]) -> str:
    return "".join(_latex_symbol(symbol, row, i) for i, symbol in enumerate(row))


def _latex_symbol(symbol: Symbol, row: tuple[Symbol, ...], i: int) -> str:
    text, kind, below, above = symbol
    if kind == "space":
        return {"": " ", "thin": r"\,", "wide": r"\ "}[_gap(row, i)]
    if text == "xhat":
        body = r"\hat{x}"
    elif text in _GREEK:
        body = "\\" + _LATEX_GREEK.get(text, text) + " "
    elif text in _BIG and below:
        body = _BIG[text][1]
    elif kind == "word":
        body = r"\mathrm{" + text.replace("_", r"\_") + "}"
    else:
        body = _SIGNS.get(text, ("", text))[1]
    return body + (f"_{{{_latex(below)}}}" if below else "") + (f"^{{{_latex(above)}}}" if above else "")


def mathml(text: str) -> str:
    """A formula as MathML: one element for each part between spaces outside brackets, so that lines can break there."""
    parts: list[list[Symbol]] = [[]]
    depth = 0
    for symbol in parse(text):
        depth += (symbol.text in _OPENS) - (symbol.text in _CLOSES)
        if symbol.kind == "space" and depth == 0 and not _infix(parts[-1]):
            parts.append([])
        else:
            parts[-1].append(symbol)
    return "".join(f"{'<wbr>' if _infix(part[:1]) else ' '}<math>{_mathml(tuple(part))}</math>"
                   for part in parts if part)


def _infix(row: list[Symbol]) -> bool:
    """Only a sign so far: it goes with what it precedes."""
    return len(row) == 1 and row[0].kind == "sign" and row[0].text not in ("|", *_OPENS, *_CLOSES)


def _mathml(row: tuple[Symbol, ...]) -> str:
    return "<mrow>" + "".join(_mathml_symbol(symbol, row, i) for i, symbol in enumerate(row)) + "</mrow>"


def _mathml_symbol(symbol: Symbol, row: tuple[Symbol, ...], i: int) -> str:
    text, kind, below, above = symbol
    if kind == "space":
        width = {"": "", "thin": "0.17em", "wide": "0.3em"}[_gap(row, i)]
        return f'<mspace width="{width}"/>' if width else ""
    if text == "xhat":
        body = '<mover accent="true"><mi>x</mi><mo>^</mo></mover>'
    elif text in _BIG and below:
        body = f"<mo>{_BIG[text][0]}</mo>"
    elif kind == "number":
        body = f"<mn>{text}</mn>"
    elif kind == "sign":
        free = not i or row[i - 1] == _SPACE or row[i - 1].text in _OPENS
        unary = text == "-" and free and row[i + 1 : i + 2] != (_SPACE,)
        looks = ' stretchy="false"' if text in "()[]{}|" else f' form="{"prefix" if unary else "infix"}"'
        body = f"<mo{looks}>{html.escape(_SIGNS.get(text, (text, ''))[0])}</mo>"
    else:
        upright = ' mathvariant="normal"' if kind == "word" else ""
        body = f"<mi{upright}>{_GREEK.get(text, text)}</mi>"
    scripts = [_mathml(part) for part in (below, above) if part]
    tag = "msubsup" if len(scripts) == 2 else "msub" if below else "msup"
    return f"<{tag}>{body}{''.join(scripts)}</{tag}>" if scripts else body


def _gap(row: tuple[Symbol, ...], i: int) -> str:
    """How wide a space of the source is: signs bring their own, words need more than symbols."""
    if not 0 < i < len(row) - 1:
        return ""
    before, after = row[i - 1], row[i + 1]
    if before.text in (",", ";", ":"):
        return "wide"
    if any(s.kind == "sign" and s.text not in ("|", *_OPENS, *_CLOSES) for s in (before, after)):
        return "wide" if "word" in (before.kind, after.kind) and "." in (before.text, after.text) else ""
    return "wide" if "word" in (before.kind, after.kind) else "thin"
