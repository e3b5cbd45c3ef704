"""The derivation of the graph in front of you: every step with its formula, its vjp, its numbers, and what goes wrong.

    print(mg.explain(loss))                      as text; in a notebook `mg.explain(loss)` displays itself
    mg.explain(loss).html("loss.html")           one page: the graph drawn, a slider, formulas, no network needed
    mg.explain(lambda: critic(x).mean())         of a function, whose layers and source lines are known, too

Formulas are those of the operations' docstrings; there is no second copy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from minigan.engine import Operand, Tensor
from minigan.engine.state import watching
from minigan.errors import DTypeError, GraphError, OptionError

if TYPE_CHECKING:
    from minigan.teach.explain.derivation import Derivation

Subject = Tensor | Mapping[str, Tensor] | Callable[[], Any]


class Explanation:
    """A derivation that can be read: `str()`, `markdown()`, `html()`. A notebook shows the page.

    `derivation` has it as data: steps with arguments, results, cotangents and remarks, leaves, outputs.
    """

    def __init__(self, derivation: Derivation, fold: bool | None = None) -> None:
        self.derivation, self.fold = derivation, fold

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def text(self, path: str | os.PathLike[str] | None = None) -> str:
        """Plain text, what `str()` gives; also written to `path` if one is given."""
        from minigan.teach.explain import text

        return _written(text.plain(self.derivation, self.fold), path)

    def markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """Markdown with LaTeX formulas; also written to `path` if one is given."""
        from minigan.teach.explain import text

        return _written(text.markdown(self.derivation, self.fold), path)

    def html(self, path: str | os.PathLike[str] | None = None, lessons: str | None = None) -> str:
        """One page that needs no network and no server; also written to `path` if one is given.

        `lessons` is the address of the folder of lessons on a built site, such as "../site/lessons": steps then have a
        link to the lesson that derives them; otherwise the page names the file.
        """
        from minigan.teach.explain import page

        return _written(page.render(self.derivation, self.fold, lessons), path)

    def _repr_html_(self) -> str:
        import html

        return (f'<iframe srcdoc="{html.escape(self.html())}" title="derivation" '
                'style="width:100%;height:720px;border:0"></iframe>')

    def _repr_markdown_(self) -> str:
        return self.markdown()


def explain(subject: Subject, *, cotangent: Operand = None, names: Mapping[str, Any] | None = None,
            fold: bool | None = None) -> Explanation:
    """The derivation of a tensor's graph, of first or of higher order (a gradient taken with create_graph=True).

    Nothing is changed: the graph can be differentiated afterwards. Numbers that the graph no longer holds are computed
    again where that is possible; elsewhere only the shape is shown.

    Args:
        subject: a tensor that was computed; a dict of several, whose gradients are those of their sum; or a function
            without arguments that returns either, which is called: then layers and source lines are known.
        cotangent: where the backward pass of a tensor starts; 1 by default, and then it must be one number.
        names: tensors and modules by the names they should have, looked up after the function has run; by default the
            caller's variables.
        fold: show the steps of a layer as one; by default when there are more than 16. Needs layers: a function.

    Raises:
        GraphError: the tensor is a leaf, has no graph, its graph was freed, or a leaf was changed in place since.
        DTypeError: the subject, or what the function returned, is no tensor and no dict of tensors.
        OptionError: Python runs with -OO, which drops the docstrings that the formulas come from.

    >>> from minigan import tensor
    >>> x = tensor([3.0, 4.0], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> [step.primitive.name for step in explain(loss).derivation.steps]
    ['mul', 'sum']
    """
    from minigan.nn import Module
    from minigan.teach.explain import walk

    if sys.flags.optimize > 1:
        raise OptionError("explain: its formulas are the operations' docstrings, and `python -OO` drops those; run "
                          "without -OO")
    if isinstance(subject, Module):
        raise DTypeError(f"explain: {type(subject).__name__} is a network, and derivatives are of what one computes; "
                         "try mg.explain(lambda: net(x).mean())")
    function = subject if callable(subject) else None
    around = names if names is not None else walk.names_around(sys._getframe(1), function)
    recorder = walk.Recorder(around)
    with watching(recorder):
        result: Any = function() if function is not None else subject
    several = isinstance(result, Mapping)
    outputs: dict[str, Tensor] = dict(result) if several else {_name_of(result, around): result}
    if wrong := [value for value in outputs.values() if not isinstance(value, Tensor)]:
        got = f"{'the function returned' if function else 'got'} {type(wrong[0]).__name__}"
        raise DTypeError(f"explain: {got}; explain a tensor, a dict of name: tensor, or a function without arguments "
                         "that returns one of them")
    if not outputs:
        raise GraphError("explain: an empty dict has nothing to derive; give it at least one name: tensor")
    if cotangent is not None and several:
        raise GraphError("explain: one cotangent cannot start several tensors; explain them one by one")
    cotangents = {} if cotangent is None else dict.fromkeys(outputs, cotangent)
    return Explanation(walk.derive(outputs, cotangents, around, recorder), fold)


def _name_of(thing: Any, around: Mapping[str, Any]) -> str:
    """What the caller calls a tensor, else "y"."""
    node = getattr(thing, "node", None)
    return next((name for name, value in around.items() if value is thing
                 or (node is not None and isinstance(value, Tensor) and value.node is node)), "y")


def _written(contents: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        from minigan.checkpoint import write_atomically
        from minigan.data.paths import user_path

        write_atomically(user_path(path), contents.encode())
    return contents
