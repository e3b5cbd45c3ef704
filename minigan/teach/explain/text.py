"""A derivation as plain text and as Markdown with LaTeX. Long ones are folded by layer, with each rule written once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from minigan.teach.explain.derivation import Derivation, Step, Value
from minigan.teach.explain.formula import clauses, fields, latex
from minigan.teach.references import reference

FEW = 12  # up to this many numbers are written out; of more, the norm and the range
LONG = 16  # with more steps than this, layers are folded


@dataclass
class Group:
    """Steps that are shown as one: those of a layer, forward, or of the rules of a layer; or a single step."""

    title: str
    steps: list[Step]
    folded: bool


def groups(derivation: Derivation, fold: bool | None = None) -> list[Group]:
    """Neighbouring steps of one layer together, if there are more than LONG or `fold` is True; else each by itself."""
    fold = len(derivation.steps) > LONG if fold is None else fold
    parts: list[Group] = []
    last: tuple[str, bool] | None = None
    for step in derivation.steps:
        layer = step.origin.layer if step.origin else None
        key = None if layer is None or not fold else (layer, _made_backward(step))
        if key is None:
            parts.append(Group(step.primitive.name, [step], False))
        elif key == last:
            parts[-1].steps.append(step)
        else:
            kind = derivation.kinds.get(layer or "", "")
            parts.append(Group(f"{layer} {kind}{', backward' if key[1] else ''}", [step], True))
        last = key
    return parts


def _made_backward(step: Step) -> bool:
    return step.origin is not None and step.origin.differentiates is not None


def numbers(array: np.ndarray | None) -> str:
    """The numbers themselves if they are few, else their norm and range; or the words that they are gone."""
    if array is None:
        return "numbers not kept by the graph"
    if array.size <= FEW:
        written = np.array2string(array, separator=", ", formatter={"float_kind": lambda number: f"{number:.4g}"})
        return " ".join(written.split())
    finite = array[np.isfinite(array)]
    span = f", from {finite.min():.3g} to {finite.max():.3g}" if finite.size else ", none finite"
    return f"norm {float(np.linalg.norm(finite.astype(np.float64))):.4g}{span}"


def call(step: Step) -> str:
    """`matmul(x, w)`, with the parameters that are short enough to read."""
    params = [f"{name}={value}" for name, value in step.params.items()
              if len(repr(value)) <= 24 and value is not None and value is not False]
    return f"{step.primitive.name}({', '.join([*(v.name for v in step.arguments.values()), *params])})"


def bindings(step: Step) -> str:
    """`a = x, b = w, y = v1`: what the letters of the formula stand for here."""
    pairs = [(letter, v.name) for letter, v in (*step.arguments.items(), ("y", step.result)) if letter != v.name]
    return ", ".join(f"{letter} = {name}" for letter, name in pairs)


def backward_of(derivation: Derivation, step: Step) -> str:
    """What a step made by a backward pass differentiates, in words; nothing for any other."""
    if not _made_backward(step):
        return ""
    if step.differentiates is None:
        return "the rule of a step that this graph has no more need of"
    return f"the rule of step {step.differentiates}, {derivation.steps[step.differentiates - 1].primitive.name}"


def headline(derivation: Derivation) -> str:
    """What is derived, in how many steps, from what."""
    outputs = ", ".join(f"{v.name} {v.shape}" for v in derivation.outputs)
    wanted = [f"{v.name} {v.shape}" for v in derivation.leaves]
    leaves = ", ".join(wanted if len(wanted) <= 4 else [*wanted[:3], f"{len(wanted) - 3} more"])
    count = len(derivation.steps)
    return f"{outputs}: {count} step{'s' * (count != 1)} from {leaves}"


def meaning(derivation: Derivation) -> str:
    """How g[...] reads."""
    names = [v.name for v in derivation.outputs]
    seeds = "" if all(v.gradient is not None and v.gradient.ndim == 0 for v in derivation.outputs) else (
        ", weighted by the cotangent it starts from")
    return f"g[v] is the derivative of {' + '.join(names)} with respect to v{seeds}, and has v's shape"


def plain(derivation: Derivation, fold: bool | None = None) -> str:
    """The derivation as text of at most about 120 columns."""
    parts = groups(derivation, fold)
    folded = any(group.folded for group in parts)
    lines = [headline(derivation), "", *_given(derivation), "FORWARD"]
    for group in parts:
        if group.folded:
            lines.append(f"  {group.title}")
        for step in group.steps:
            lines += _forward(derivation, step, folded)
    lines += ["", f"BACKWARD   {meaning(derivation)}"]
    lines += [f"       g[{v.name}] = {numbers(v.gradient)}" for v in derivation.outputs]
    for group in reversed(parts):
        if group.folded:
            lines.append(f"  {group.title}")
        for step in reversed(group.steps):
            lines += _backward(step, folded)
    lines += ["", "GRADIENTS", *(f"  {line}" for line in _table(derivation.leaves))]
    lines += [f"     ! {remark}" for remark in derivation.remarks]
    if folded:
        lines += ["", "RULES"]
        for rule in _rules(derivation.steps):
            lines += [f"  {line}" for line in rule]
    return "\n".join(line.rstrip() for line in lines)


def given(derivation: Derivation) -> list[Value]:
    """What the graph starts from: leaves and constants, except plain numbers, which are called by their value."""
    values = {id(v): v for step in derivation.steps for v in step.arguments.values() if v.kind != "computed"}
    return [v for v in values.values() if v.kind == "leaf" or v.array is None or v.array.size > 1]


def _given(derivation: Derivation) -> Iterator[str]:
    yield "GIVEN"
    for v in given(derivation):
        yield f"       {v.name} {v.shape}{' (constant)' if v.kind == 'constant' else ''} = {numbers(v.array)}"
    yield ""


def together(v: Value) -> str:
    """The sum of what a value got from several steps."""
    return f" = {numbers(v.gradient)}, the sum of the {v.shares} it got," if v.shares > 1 else ""


def _forward(derivation: Derivation, step: Step, brief: bool) -> Iterator[str]:
    title = f"{step.number:4}   {step.result.name} = {call(step)}"
    yield f"{title}  {'.' * max(2, 70 - len(title))}  {step.result.shape}"
    if made := backward_of(derivation, step):
        yield f"       (part of {made})"
    if not brief:
        letters = bindings(step)
        for i, clause in enumerate(clauses(fields(step.primitive)["Forward"])):
            yield f"       {clause}" + (f"        with {letters}" if letters and not i else "")
    yield f"       {step.result.name} = {numbers(step.result.array)}"


def _backward(step: Step, brief: bool) -> Iterator[str]:
    if step.result.gradient is None:
        yield f"{step.number:4}   {step.primitive.name}: no gradient arrives here"
        return
    yield f"{step.number:4}   from g[{step.result.name}]{together(step.result)} through {step.primitive.name}"
    if not brief:
        for clause in clauses(fields(step.primitive)["VJP"]):
            yield f"       {clause}"
        for i, line in enumerate(fields(step.primitive)["Why"].splitlines()):
            yield f"       {'because ' if not i else '        '}{line}"
        if lesson := reference(step.primitive.name):
            yield f"       {lesson}"
    for letter, gx in step.terms.items():
        v = step.arguments[letter]
        yield f"       g[{v.name}] {'gets' if v.shares > 1 else '='} {numbers(gx)}"
    if not step.terms:
        yield "       its derivative is zero: nothing goes on"
    for remark in step.remarks:
        yield f"     ! {remark}"


def _table(leaves: Sequence[Value]) -> Iterator[str]:
    width = max((len(v.name) for v in leaves), default=0)
    for v in leaves:
        words = "no gradient arrives" if v.gradient is None else numbers(v.gradient)
        yield f"g[{v.name}]{' ' * (width - len(v.name))}  {v.shape}  {words}"


def _rules(steps: Sequence[Step]) -> Iterator[list[str]]:
    """Each operation once: its formula, its vjp, why."""
    for primitive in {step.primitive.name: step.primitive for step in steps}.values():
        lines = [primitive.name]
        for name in ("Forward", "VJP", "Why"):
            for i, line in enumerate(fields(primitive)[name].splitlines()):
                lines.append(f"    {name if not i else '':9} {line}")
        if lesson := reference(primitive.name):
            lines.append(f"    {'Lesson':9} {lesson}")
        yield lines


# ---- Markdown ----
def markdown(derivation: Derivation, fold: bool | None = None) -> str:
    """The derivation as Markdown whose formulas are LaTeX between dollar signs."""
    parts = groups(derivation, fold)
    folded = any(group.folded for group in parts)
    lines = [f"**{_safe(headline(derivation))}**", "", "## Given", "", "| | shape | numbers |", "|---|---|---|"]
    lines += [f"| `{v.name}`{' (constant)' if v.kind == 'constant' else ''} | {v.shape} | {_safe(numbers(v.array))} |"
              for v in given(derivation)]
    lines += ["", "## Forward", ""]
    for group in parts:
        if group.folded:
            lines += [f"### {_safe(group.title)}", ""]
        for step in group.steps:
            lines += [f"{step.number}. `{step.result.name} = {call(step)}` {step.result.shape}", ""]
            if made := backward_of(derivation, step):
                lines += [f"   part of {made}", ""]
            if not folded:
                lines += [*_display(fields(step.primitive)["Forward"]), f"   with {_letters(step)}", ""]
            lines += [f"   `{step.result.name}` = {_safe(numbers(step.result.array))}", ""]
    lines += ["## Backward", "", f"{_safe(meaning(derivation))}.", ""]
    for group in reversed(parts):
        if group.folded:
            lines += [f"### {_safe(group.title)}", ""]
        for step in reversed(group.steps):
            lines += _markdown_backward(step, folded)
    lines += ["## Gradients", "", "| leaf | shape | gradient |", "|---|---|---|"]
    lines += [f"| `{v.name}` | {v.shape} | {'none arrives' if v.gradient is None else _safe(numbers(v.gradient))} |"
              for v in derivation.leaves]
    lines += [f"\n**{_safe(remark)}**" for remark in derivation.remarks]
    if folded:
        lines += ["", "## Rules", ""]
        for primitive in {step.primitive.name: step.primitive for step in derivation.steps}.values():
            rule = fields(primitive)
            lines += [f"**{_safe(primitive.name)}**", "", *_display(rule["Forward"]), *_display(rule["VJP"]),
                      f"   {_safe(' '.join(rule['Why'].split()))}", ""]
    return "\n".join(lines) + "\n"


def _markdown_backward(step: Step, brief: bool) -> Iterator[str]:
    whole = _safe(together(step.result))
    yield from (f"- step {step.number}, through `{step.primitive.name}`, from `g[{step.result.name}]`{whole}", "")
    if not brief:
        rule = fields(step.primitive)
        yield from (*_display(rule["VJP"]), f"   because {_safe(' '.join(rule['Why'].split()))}", "")
        if lesson := reference(step.primitive.name):
            yield from (f"   {_safe(lesson)}", "")
    for letter, gx in step.terms.items():
        yield from (f"   `g[{step.arguments[letter].name}]` ← {_safe(numbers(gx))}", "")
    for remark in step.remarks:
        yield from (f"   **{_safe(remark)}**", "")


def _display(field: str) -> Iterator[str]:
    for clause in clauses(field):
        yield from (f"   $${latex(clause)}$$", "")


def _letters(step: Step) -> str:
    return ", ".join(f"${latex(letter)}$ = `{v.name}`" for letter, v in (*step.arguments.items(), ("y", step.result)))


def _safe(text: str) -> str:
    """Characters that Markdown would take for its own."""
    for sign in "\\`*_$|<[]":
        text = text.replace(sign, "\\" + sign if sign != "<" else "&lt;")
    return text
