"""The page of derivations has every operation with Forward, VJP and Why, taken from its docstring."""

import html
import re
import sys
from pathlib import Path

import pytest

from minigan import OPERATIONS, PRIMITIVES
from minigan.ops.conv import conv2d

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "ext"))
import derivations
import docstrings


@pytest.fixture(scope="module")
def entries():
    """{operation: its part of the page}"""
    pieces = re.split(r"^(\w+)\n-+$", derivations.page(), flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def test_every_operation_has_an_entry(entries):
    assert {name for name, op in OPERATIONS.items() if op.function.__module__.startswith("minigan.ops")} <= set(entries)
    assert set(PRIMITIVES) <= set(entries)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_a_primitive_shows_forward_vjp_why_and_its_rule(name, entries):
    entry, parts = entries[name], docstrings.parts(PRIMITIVES[name].__doc__)
    for part in ("Forward", "VJP", "Why"):
        assert re.search(rf"^{part}$", entry, re.M)
        assert len(parts[part]) > 2
    for line in f"{parts['Forward']}\n{parts['VJP']}".splitlines():
        assert line.strip() in html.unescape(entry)  # formulas are as in the docstring
    assert entry.count("<math>") >= 2 and ".defvjp(" in entry


def test_nothing_but_the_docstring_is_shown(entries):
    """A change of the docstring changes the page."""
    changed = docstrings.restructured(conv2d.__doc__.replace("vjp is the adjoint", "vjp is the inverse"))
    assert "the inverse of that linear map" in changed
    assert "the adjoint of that linear map" in entries["conv2d"]
    assert docstrings.restructured(conv2d.__doc__) in entries["conv2d"]


def test_an_operation_without_a_part_stops_the_build():
    class Bare:
        name, linear_in = "bare", ()
        __doc__ = "Forward   y = x\nVJP       gx = gy\n"

    with pytest.raises(ValueError, match="bare: its docstring has no line that begins with Why"):
        derivations.entry(Bare, "")


def test_lessons_are_named_that_exist(entries):
    folder = Path(derivations.__file__).parent.parent / "lessons"
    assert all((folder / f"{lesson}.md").exists() for lesson in derivations.LESSONS)
    assert {name for names in derivations.LESSONS.values() for name in names} <= set(OPERATIONS)
    assert ":doc:`/lessons/03_convolution_matrix`" in entries["conv2d"]


def test_prose_means_itself_and_code_stays_code():
    text = docstrings.restructured(
        "See `x_1` and |x| * y_ here.\n\n    a  b\n\nRaises:\n    ShapeError: when *x*\n        is empty.\n")
    assert r"See ``x_1`` and \|x\| \* y\_ here." in text
    assert ".. code-block:: text\n\n    a  b" in text
    assert "**Raises**\n\n``ShapeError``\n    when \\*x\\* is empty." in text


def test_modules_are_named_in_the_order_of_declaration():
    named = [module.__name__ for module, _, _ in derivations.modules()]
    assert named == list(dict.fromkeys(op.function.__module__ for op in OPERATIONS.values()))
    assert "minigan.ops.conv" in named
