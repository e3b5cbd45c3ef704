"""A derivation as one HTML page: the graph drawn, a slider that walks it forward and back, a panel for every box.

Formulas are MathML, the drawing is SVG, nothing is loaded from anywhere.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from minigan.teach.explain.derivation import Derivation, Step, Value
from minigan.teach.explain.formula import clauses, fields, mathml
from minigan.teach.explain.layout import Drawing, curve, layout
from minigan.teach.explain.remarks import rms, short
from minigan.teach.explain.skin import CSS, JS
from minigan.teach.explain.text import Group, backward_of, call, given, groups, headline, meaning, numbers, together
from minigan.teach.references import lesson_of, reference

BOX, CHARACTER, WIDEST = 58.0, 7.3, 30  # a box's height and a character's width in pixels; characters in a box
_safe = html.escape


@dataclass
class Box:
    """A group of steps, or a value that the graph starts from."""

    id: str
    lines: list[str]
    group: Group | None = None
    value: Value | None = None


def render(derivation: Derivation, fold: bool | None = None, lessons: str | None = None) -> str:
    """The page; `lessons` is the address of the lessons' folder on a site, to which steps then lead."""
    parts = groups(derivation, fold)
    boxes = [*_sources(derivation, parts), *(_box(i, group) for i, group in enumerate(parts))]
    order = [{"id": box.id, "title": box.lines[0]} for box in boxes if box.group is not None]
    title = headline(derivation)
    return "\n".join([
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f'<link rel="icon" href="data:,"><title>{_safe(title)}</title><style>{CSS}</style></head><body>',
        f"<header><h1>{_safe(title)}</h1><div class=bar>",
        '<button data-go="-1" title="one step back">◀</button><button data-go="1" title="one step on">▶</button>',
        '<input id=slider type=range min=0 value=0 aria-label="step"><output id=label></output>',
        '<button data-turn title="to the start of the backward pass, or back">⇅ turn</button>',
        '<button id=theme title="light or dark">◐</button></div></header>',
        f"<div id=graph>{_drawing(derivation, boxes)}</div>",
        f"<main id=panel>{''.join(_panels(derivation, boxes, lessons))}</main>",
        f'<script id=order type="application/json">{json.dumps(order).replace("<", chr(92) + "u003c")}</script>',
        f"<script>{JS}</script></body></html>", ""])


# ---- the graph ----
def _sources(derivation: Derivation, parts: list[Group]) -> Iterator[Box]:
    """Leaves and constants with a box of their own: all except parameters of folded layers, shown with the layer."""
    inside = {id(v) for group in parts if group.folded for step in group.steps for v in step.arguments.values()}
    outside = {id(v) for group in parts if not group.folded for step in group.steps for v in step.arguments.values()}
    for i, v in enumerate(given(derivation)):
        if id(v) in outside or not (id(v) in inside and v.parameter):
            yield Box(f"v{i}", [v.name, str(v.shape)], value=v)


def _box(i: int, group: Group) -> Box:
    step = group.steps[-1]
    if group.folded:
        return Box(f"g{i}", [group.title, str(step.result.shape)], group)
    return Box(f"g{i}", [f"{step.result.name} = {step.primitive.name}", str(step.result.shape)], group)


def _arrows(boxes: list[Box]) -> list[tuple[str, str]]:
    """From the box that makes a value to each that uses it."""
    makers = {id(box.value): box.id for box in boxes if box.value is not None}
    makers |= {id(step.result): box.id for box in boxes if box.group for step in box.group.steps}
    return list(dict.fromkeys((makers[id(v)], box.id) for box in boxes if box.group for step in box.group.steps
                              for v in step.arguments.values() if id(v) in makers and makers[id(v)] != box.id))


def _short(text: str) -> str:
    """A box's line: what does not fit loses its middle."""
    return text if len(text) <= WIDEST else f"{text[: WIDEST // 2 - 1]}…{text[-WIDEST // 2 :]}"


def _drawing(derivation: Derivation, boxes: list[Box]) -> str:
    widths: dict[Hashable, float] = {
        box.id: max(112.0, 26 + CHARACTER * max(len(_short(line)) for line in box.lines)) for box in boxes}
    arrows = _arrows(boxes)
    drawing = layout(widths, arrows)
    first = {box.id: min((i for i, b in enumerate(_steps(boxes)) if (box.id, b.id) in arrows), default=0)
             for box in boxes if box.value is not None}
    parts = [f'<svg width="{drawing.width + 4:.0f}" height="{drawing.height:.0f}" role="img" '
             f'aria-label="graph of {len(boxes)} boxes">', *_edges(drawing)]
    for box in boxes:
        parts.append(_drawn(box, widths[box.id], *drawing.centre[box.id], first.get(box.id)))
    return "".join([*parts, "</svg>"])


def _steps(boxes: list[Box]) -> list[Box]:
    return [box for box in boxes if box.group is not None]


def _edges(drawing: Drawing) -> Iterator[str]:
    """The lines between boxes."""
    for start, end, points in drawing.edges:
        yield f'<path class="edge" data-from="{start}" data-to="{end}" d="{curve(points, BOX)}"/>'


def _drawn(box: Box, width: float, x: float, y: float, first: int | None) -> str:
    value = box.group.steps[-1].result if box.group is not None else box.value
    gradient = None if value is None else value.gradient
    slope = "no gradient" if gradient is None else f"|g| ~ {short(rms(gradient))}"
    marked = box.group is not None and any(step.remarks for step in box.group.steps)
    kind = f"box source\" data-first=\"{first}" if box.value is not None else "box"
    corner = 20 if box.value is not None else 9
    return (f'<g class="{kind}" id="b-{box.id}" tabindex="0" role="button"><title>{_safe(box.lines[0])}</title>'
            f'<rect x="{x - width / 2 + 2:.1f}" y="{y - BOX / 2:.1f}" width="{width:.1f}" height="{BOX}" '
            f'rx="{corner}"/>'
            f'<text class="name" x="{x + 2:.1f}" y="{y - 11:.1f}">{_safe(_short(box.lines[0]))}</text>'
            f'<text class="shape" x="{x + 2:.1f}" y="{y + 5:.1f}">{_safe(_short(box.lines[1]))}</text>'
            f'<text class="slope" x="{x + 2:.1f}" y="{y + 21:.1f}">{slope}</text>'
            + (_badge(x + width / 2, y - BOX / 2) if marked else "") + "</g>")


def _badge(x: float, y: float) -> str:
    """The mark of a box whose steps have remarks, on its corner."""
    return (f'<g class="mark"><circle cx="{x:.1f}" cy="{y + 3:.1f}" r="9"/>'
            f'<text x="{x:.1f}" y="{y + 7.5:.1f}">!</text></g>')


# ---- the panel ----
def _panels(derivation: Derivation, boxes: list[Box], lessons: str | None) -> Iterator[str]:
    yield f"<section id=s-start><h2>The derivation</h2>{''.join(_overview(derivation))}</section>"
    for box in boxes:
        if box.value is not None:
            yield f"<section id=s-{box.id}>{''.join(_source(box.value))}</section>"
        elif box.group is not None:
            yield f"<section id=s-{box.id}>{''.join(_group(derivation, box.group, lessons))}</section>"


def _overview(derivation: Derivation) -> Iterator[str]:
    yield "<p class=where>Move the slider: forward step by step, then backward. Click a box for its formula.</p>"
    yield f"<p>{_safe(meaning(derivation))}. The |g| in a box is the root mean square of its elements.</p>"
    yield from (f"<div class=remark>{_safe(remark)}</div>" for remark in derivation.remarks)
    noted = [(step, remark) for step in derivation.steps for remark in step.remarks]
    for step, remark in noted[:12]:
        yield f"<div class=remark>step {step.number}, {_safe(step.primitive.name)}: {_safe(remark)}</div>"
    yield f'<p></p><div class="half"><h3>Gradients</h3>{_table(derivation.leaves, gradients=True)}</div>'
    yield f"<div class=half><h3>Given</h3>{_table(given(derivation), gradients=False)}</div>"


def _source(v: Value) -> Iterator[str]:
    yield f"<h2>{_safe(v.name)}</h2><p class=where>a {v.kind} of shape {v.shape}</p>"
    yield f'<div class="half ahead"><h3>Forward</h3>{_table([v], gradients=False)}</div>'
    if v.kind == "leaf":
        yield f'<div class="half back"><h3>Backward</h3>{_table([v], gradients=True)}</div>'


def _group(derivation: Derivation, group: Group, lessons: str | None) -> Iterator[str]:
    if len(group.steps) == 1:
        step = group.steps[0]
        title = f"{step.result.name} = {call(step)}"
        yield f"<h2>{_safe(group.title if group.folded else title)}</h2>"
        yield f"<code>{_safe(title)}</code>" if group.folded else ""
        yield f"{_where(derivation, step)}{_step(step, lessons)}"
        return
    yield f"<h2>{_safe(group.title)}</h2><p class=where>{len(group.steps)} steps, folded</p>"
    for step in group.steps:
        yield (f"<details{' open' if len(group.steps) <= 2 else ''}><summary>{step.number}&ensp;<code>"
               f"{_safe(step.result.name)} = {_safe(call(step))}</code></summary><div>{_where(derivation, step)}"
               f"{_step(step, lessons)}</div></details>")


def _where(derivation: Derivation, step: Step) -> str:
    facts = [f"step {step.number}", f"shape {step.result.shape}"]
    facts += [made for made in (backward_of(derivation, step),) if made]
    if step.origin is not None and not step.origin.place.startswith("<"):
        facts.append(os.path.basename(step.origin.place.split(" in ")[0]))
    return f"<p class=where>{_safe(' · '.join(facts))}</p>"


def _step(step: Step, lessons: str | None) -> str:
    """Both halves: the formula with its numbers, the vjp with its cotangents."""
    rule = fields(step.primitive)
    letters = ", ".join(f"<span>{mathml(letter)} = <code>{_safe(v.name)}</code></span>"
                        for letter, v in (*step.arguments.items(), ("y", step.result)))
    ahead = [_formulas(rule["Forward"]), f"<p class=letters>with {letters}</p>",
             _table([*step.arguments.values(), step.result], gradients=False)]
    if step.result.gradient is None:
        back = ["<p>No gradient arrives here.</p>"]
    else:
        rows = [(f"g[{step.result.name}]", step.result.shape, numbers(step.result.gradient))]
        rows += [(f"→ g[{step.arguments[letter].name}]", gx.shape, numbers(gx)) for letter, gx in step.terms.items()]
        back = [_formulas(rule["VJP"]), f"<p class=why>{_prose(rule['Why'])}</p>",
                _lesson(step, lessons), _rows(rows)]
        back += [f"<p class=letters>{_safe(step.result.name)}{_safe(together(step.result)).rstrip(',')}</p>"
                 ] if step.result.shares > 1 else []
    back += [f"<div class=remark>{_safe(remark)}</div>" for remark in step.remarks]
    return (f'<div class="half ahead"><h3>Forward</h3>{"".join(ahead)}</div>'
            f'<div class="half back"><h3>Backward</h3>{"".join(back)}</div>')


def _lesson(step: Step, lessons: str | None) -> str:
    """Where the rule is derived at length: a link if there is a site, else the file."""
    name, words = lesson_of(step.primitive.name), reference(step.primitive.name)
    if name and lessons is not None:
        words = f'<a href="{_safe(lessons)}/{name}.html">{words.partition(",")[0]}</a>'
    return f"<p class=why>{words}</p>" if words else ""


def _prose(text: str) -> str:
    """A field in words, on one line, names between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", _safe(" ".join(text.split())))


def _formulas(field: str) -> str:
    return "".join(f"<div class=formula>{mathml(clause)}</div>" for clause in clauses(field))


def _table(values: Iterable[Value], gradients: bool) -> str:
    unique = {id(v): v for v in values}.values()
    if gradients:
        return _rows([(f"g[{v.name}]", v.shape, "none arrives" if v.gradient is None else numbers(v.gradient))
                      for v in unique])
    return _rows([(v.name, v.shape, numbers(v.array)) for v in unique])


def _rows(rows: Iterable[tuple[str, tuple[int, ...], str]]) -> str:
    cells = (f"<td><code>{_safe(name)}</code></td><td>{shape}</td><td class=numbers>{_safe(words)}</td>"
             for name, shape, words in rows)
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"
