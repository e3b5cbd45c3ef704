"""What may be assigned to a module, and under which name: nothing that holds weights is left out silently.

A Parameter or a Module assigned as an attribute is registered. Whatever looks as if it were registered but would be
neither trained, saved nor moved is refused, with the remedy: a list of modules, a tensor in place of a Parameter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from minigan.engine import Array, Tensor
from minigan.engine import tensor as as_tensor
from minigan.errors import ModuleError, OptionError

CONTAINERS = (list, tuple, set, frozenset, dict, deque)
OWN = ("training", "_buffers", "_parameter_names")  # attributes that every Module has


class Part:
    """Base of Module: what may be a part of another one."""


class Parameter(Tensor):
    """A leaf that is trained: it requires a gradient, and a Module finds it by its type."""

    __slots__ = ()

    def __init__(self, array: Array) -> None:
        super().__init__(as_tensor(array).data, requires_grad=True)


def contents(value: Any) -> Iterator[Any]:
    """All elements of a list, tuple, set or dict (its values), those of nested ones included."""
    todo, seen = [value], set()
    while todo:
        part = todo.pop()
        if isinstance(part, CONTAINERS):
            if id(part) not in seen:  # a list may contain itself
                seen.add(id(part))
                todo.extend(part.values() if isinstance(part, dict) else part)
        else:
            yield part


def check_name(owner: Any, name: Any) -> None:
    """Raise unless `name` can be a part of dotted names and hides no method of `owner`.

    Raises:
        ModuleError: it is no text.
        OptionError: it is empty, contains a dot, or is the name of a method or of an attribute of every module.
    """
    kind = type(owner).__name__
    if not isinstance(name, str):
        raise ModuleError(f"{kind}: the name of a part must be text, not {type(name).__name__}")
    if not name or "." in name:
        raise OptionError(f"{kind}: {name!r} cannot name a part: names are joined by dots, so they are neither empty "
                          "nor contain one; use '_'")
    own = getattr(type(owner), name, None)
    if name in OWN or callable(own) or isinstance(own, property):
        raise OptionError(f"{kind}: {name!r} is already the name of a method or attribute of {kind}; use another one")


def check_container(owner: Any, name: str, value: Any) -> None:
    """Raise if a plain list, tuple, set or dict holds modules or parameters that `owner` does not have otherwise.

    Raises:
        ModuleError: they would be neither trained nor saved.
    """
    parts = [part for part in contents(value) if isinstance(part, Part | Parameter)]
    if not parts:
        return
    known = {id(part) for part in owner.registered()}
    stray = next((part for part in parts if id(part) not in known), None)
    if stray is not None:
        what = "modules" if isinstance(stray, Part) else "parameters"
        kind = "Module" if isinstance(stray, Part) else "Parameter"
        remedy = (f"nn.{kind}Dict" if isinstance(value, dict) and kind == "Module" else f"nn.{kind}List")
        raise ModuleError(f"{type(owner).__name__}: {name!r} is a plain {type(value).__name__} of {what}, which would "
                          f"be neither trained, saved nor moved; use self.{name} = {remedy}(...)")


def check(owner: Any, name: str, value: Any) -> None:
    """Raise if the assignment `owner.name = value` would leave weights out; see the module's docstring.

    Raises:
        ModuleError: `super().__init__()` was not called, `value` is a container of modules or parameters, or it
            replaces a Parameter, a Module or a buffer but is of another type and not None.
        OptionError: the name of a Module or Parameter is not possible.
    """
    kind, parts = type(owner).__name__, vars(owner)
    if "_parameter_names" not in parts:
        raise ModuleError(f"{kind}: call super().__init__() before assigning {name!r}")
    if isinstance(value, Part | Parameter):
        check_name(owner, name)
        return
    if isinstance(value, CONTAINERS):
        check_container(owner, name, value)
    if value is None:
        return
    if name in owner._parameter_names:
        raise ModuleError(f"{kind}: {name!r} is a Parameter, and a {type(value).__name__} in its place would not be "
                          f"trained; assign nn.Parameter(...), or give it new numbers by .{name}.data = array")
    if isinstance(parts.get(name), Part):
        raise ModuleError(f"{kind}: {name!r} is a module, and a {type(value).__name__} cannot take its place; assign a "
                          "Module or None")
    if name in owner._buffers and (isinstance(value, Tensor) or not hasattr(value, "shape")):
        raise ModuleError(f"{kind}: {name!r} is a buffer, an array, and a {type(value).__name__} cannot take its "
                          "place; assign an array (of a tensor: its .data)")
