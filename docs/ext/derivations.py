"""The page of all derivations, generated from the tables of operations; reference/derivations.rst holds only its head.

`page()` is plain Python and returns reStructuredText; the build appends it to the page.
"""

import ast
import inspect
import re
import sys
import textwrap

import numpy as np
from docstrings import PARTS, escaped, parts, restructured

from minigan import ops
from minigan.engine import OPERATIONS, PRIMITIVES
from minigan.teach.references import LESSONS

PAGE = "reference/derivations"

def page():
    """The whole page except for its head."""
    text = []
    for module, members, others in modules():
        code = code_of(module)
        text += [titled(module.__name__, "="), restructured(module.__doc__)]
        text += [entry(op, code[op.name]) for op in members]
        for f in others:
            text += [titled(f.__name__, "-"), python(call(f.__name__, f)), restructured(f.__doc__)]
    return "\n\n".join(text) + "\n"


def modules():
    """[(module, [operation, ...], [other public function, ...])] in the order of their declaration."""
    homes = {}
    for op in OPERATIONS.values():
        if op.function.__module__.startswith(ops.__name__):
            homes.setdefault(op.function.__module__, []).append(op)
    declared = {op.function for op in OPERATIONS.values()}
    others = [f for name, f in vars(ops).items()
              if inspect.isfunction(f) and f not in declared and name not in OPERATIONS]
    return [(sys.modules[home], members, [f for f in others if f.__module__ == home])
            for home, members in homes.items()]


def entry(op, code):
    """One operation: its signature, Forward, VJP and Why, and its code."""
    missing = [name for name in PARTS[:3] if name not in parts(op.__doc__)]
    if missing:
        raise ValueError(f"{op.name}: its docstring has no line that begins with {missing[0]} and two spaces")
    count = len(op.samples(np.random.default_rng(0)))
    facts = [f"{count} sample{'s' * (count != 1)} in the gradient check"]
    if op.linear_in:
        facts.append(f"linear in {' and '.join(op.linear_in)}: checked to 1e-12, and as an adjoint")
    facts.append("a primitive, with its own rule" if op.name in PRIMITIVES else "made of primitives")
    lessons = [f"derived in :doc:`/lessons/{lesson}`" for lesson, names in LESSONS.items() if op.name in names]
    return "\n\n".join([
        titled(op.name, "-"),
        python(call(op.name, getattr(ops, op.name, op))),
        restructured(op.__doc__),
        "; ".join([*lessons, escaped("; ".join(facts))]).capitalize() + ".",
        ".. raw:: html\n\n    <details><summary>Code</summary>",
        python(code),
        ".. raw:: html\n\n    </details>",
    ])


def code_of(module):
    """{name: source of its declaration and of its rules} for every operation of a module, without docstrings."""
    text = inspect.getsource(module)
    lines, codes = text.splitlines(), {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list and ast.get_docstring(node):
            doc = node.body[0]
            kept = [*lines[node.decorator_list[0].lineno - 1:doc.lineno - 1], *lines[doc.end_lineno:node.end_lineno]]
            codes.setdefault(node.name.strip("_"), []).append("\n".join(kept))
        elif isinstance(node, ast.Expr) and ast.unparse(node).partition("(")[0].endswith(".defvjp"):
            name = ast.unparse(node).partition(".")[0].strip("_")
            codes[name].append("\n".join(lines[node.lineno - 1:node.end_lineno]))
    return {name: "\n\n".join(pieces) for name, pieces in codes.items()}


def call(name, function):
    """`name(x: Operand, stride: Pair = 1) -> Tensor`: the signature, types without the quotes that Python shows."""
    return name + re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))


def titled(title, line):
    """A heading."""
    return f".. _{re.sub('[^a-z0-9]+', '-', title.lower())}:\n\n{title}\n{line * len(title)}"


def python(code):
    """A block of Python."""
    return f".. code-block:: python\n\n{textwrap.indent(code, '    ')}"


def _append(app, docname, source):
    if docname == PAGE:
        source[0] += "\n" + page()


def setup(app):
    """Append the generated text when Sphinx reads the page."""
    app.connect("source-read", _append)
    return {"parallel_read_safe": True}


