"""What may be assigned to a module, and under which name: nothing that holds weights is left out silently.

A Parameter or a Module assigned as an attribute is registered. Whatever looks as if it were registered but would be
neither trained, saved nor moved is refused, with the remedy: a list of modules, a tensor in place of a Parameter.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from types import MappingProxyType, MethodType, SimpleNamespace
from typing import Any

import numpy as np

from minigan.engine import Array, Tensor
from minigan.engine import tensor as as_tensor
from minigan.errors import ModuleError, OptionError

# Named one by one: a user's own sequence may read a file for each element.
LISTS = (list, tuple, set, frozenset, deque, UserList, KeysView, ValuesView, ItemsView)
DICTS = (dict, MappingProxyType, UserDict, ChainMap)
FRAMEWORKS = ("torch", "paddle", "keras", "tensorflow", "tf_keras", "flax", "haiku", "equinox", "mlx", "chainer")
OWN = ("training", "_buffers", "_parameter_names")  # attributes that every Module has


class Part:
    """Base of Module: what may be a part of another one."""


class Parameter(Tensor):
    """A leaf that is trained: it requires a gradient, and a Module finds it by its type."""

    __slots__ = ()

    def __init__(self, array: Array) -> None:
        super().__init__(as_tensor(array).data, requires_grad=True)


NO_CONTAINERS = (Part, Tensor, str, int, float, type(None))  # nearly all attributes


def elements(value: Any) -> Iterable[Any] | None:
    """What a container holds: a list, a set, a dict (keys, too), a dataclass, a partial, a method, an array of objects.

    None for anything else, which cannot be looked into, or holds numbers alone.
    """
    if isinstance(value, np.ndarray):
        return value.ravel().tolist() if value.dtype.hasobject else None
    if isinstance(value, DICTS):
        return [*value.keys(), *value.values()]
    if isinstance(value, LISTS):
        return value
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, MethodType):
        return [value.__self__]
    if isinstance(value, SimpleNamespace) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        names = [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else [*vars(value)]
        return [getattr(value, name, None) for name in names]
    return None


def contents(value: Any) -> Iterator[Any]:
    """All elements of a container (see `elements`), those of nested ones included; a value that is none itself."""
    todo, seen = [value], {}
    while todo:
        part = todo.pop()
        inner = None if isinstance(part, NO_CONTAINERS) else elements(part)
        if inner is None:
            yield part
        elif id(part) not in seen:  # a list may contain itself
            seen[id(part)] = part  # kept, so that nothing else gets its identity
            todo.extend(inner)


def framework_of(value: Any) -> str | None:
    """Where a network or a parameter of another framework is from, such as "torch"; None for anything else.

    A network is what the class, not the object, makes callable and gives `parameters` and `state_dict`: PyTorch's and
    Paddle's modules; an optimiser, a trainer and a mock are none. Others are known by name.
    """
    kind = type(value)
    if isinstance(value, Part | Tensor | type):
        return None
    for base in kind.__mro__:
        root = (getattr(base, "__module__", None) or "").partition(".")[0]
        if root in FRAMEWORKS and base.__name__ in ("Module", "Layer", "Parameter", "Variable"):
            return root
    methods = {name for base in kind.__mro__ for name in vars(base)}
    network = {"parameters", "state_dict", "__call__"} <= methods
    return kind.__module__.partition(".")[0] if network else None


def check_frameworks(owner: str, name: str, parts: Iterable[Any]) -> None:
    """Raise ModuleError if an attribute's `contents` have a network or parameter of another framework."""
    for part in parts:
        framework = None if isinstance(part, NO_CONTAINERS) else framework_of(part)
        if framework is not None:
            raise ModuleError(f"{owner}: {name!r} has a {type(part).__name__} of {framework}, which is no nn.Module or "
                              "nn.Parameter of minigan, so it would be neither trained, saved nor moved; build it from "
                              "minigan.nn and load its weights (load_state_dict), or keep it outside the module")


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
    """Raise if a container (see `elements`) holds modules or parameters that `owner` does not have otherwise.

    Raises:
        ModuleError: they would be neither trained nor saved; or it is, or holds, a module of another framework.
    """
    everything = list(contents(value))
    check_frameworks(type(owner).__name__, name, everything)
    parts = [part for part in everything if isinstance(part, Part | Parameter)]
    if not parts:
        return
    known = {id(part) for part in owner.registered()}
    stray = next((part for part in parts if id(part) not in known), None)
    if stray is not None:
        what = "modules" if isinstance(stray, Part) else "parameters"
        kind = "Module" if isinstance(stray, Part) else "Parameter"
        container = "Dict" if kind == "Module" and isinstance(value, DICTS) else "List"
        remedy = f"use self.{name} = nn.{kind}{container}(...)"
        if not isinstance(value, LISTS + DICTS):
            remedy = f"assign each to an attribute of its own, or {remedy}"
        raise ModuleError(f"{type(owner).__name__}: {name!r} is a plain {type(value).__name__} of {what}, which would "
                          f"be neither trained, saved nor moved; {remedy}")


def check_class(kind: type) -> None:
    """Raise if the body of a class holds modules or parameters: all its instances would share them, untrained.

    Raises:
        ModuleError: they would be neither trained, saved nor moved.
    """
    for name, value in list(vars(kind).items()):
        everything = list(contents(value))
        check_frameworks(kind.__name__, name, everything)
        if any(isinstance(part, Part | Parameter) for part in everything):
            raise ModuleError(f"{kind.__name__}: {name!r} is assigned in the body of the class, so it would be neither "
                              f"trained, saved nor moved; assign self.{name} in __init__")


def check_weights(owner: str, weights: Any) -> None:
    """Raise ModuleError unless `weights` is a dict by name, as `state_dict()` returns it."""
    if isinstance(weights, Mapping) and all(isinstance(name, str) for name in weights):
        return
    what = f"{weights!r:.60}" if isinstance(weights, str | os.PathLike | type(None)) else f"a {type(weights).__name__}"
    what = "a dict whose keys are no names" if isinstance(weights, Mapping) else what
    remedy = ""
    if isinstance(weights, str | bytes | os.PathLike):
        remedy = "; to read a file: load_state_dict(minigan.checkpoint.load_weights(path))"
    elif callable(getattr(weights, "state_dict", None)):
        remedy = "; call its state_dict()"
    raise ModuleError(f"{owner}: load_state_dict takes what state_dict() returns, a dict of arrays by name, not "
                      f"{what}{remedy}")


def check(owner: Any, name: str, value: Any) -> None:
    """Raise if the assignment `owner.name = value` would leave weights out; see the module's docstring.

    Raises:
        ModuleError: `super().__init__()` was not called, `value` is a container of modules or parameters, is of
            another framework (see `framework_of`), or replaces a Parameter, a Module or a buffer but is of another
            type and not None.
        OptionError: the name of a Module or Parameter is not possible.
    """
    kind, parts = type(owner).__name__, vars(owner)
    if "_parameter_names" not in parts:
        raise ModuleError(f"{kind}: call super().__init__() before assigning {name!r}")
    if isinstance(value, Part | Parameter):
        check_name(owner, name)
        return
    if value is None:
        return
    check_container(owner, name, value)
    if name in owner._parameter_names:
        raise ModuleError(f"{kind}: {name!r} is a Parameter, and a {type(value).__name__} in its place would not be "
                          f"trained; assign nn.Parameter(...), or give it new numbers by .{name}.data = array")
    if isinstance(parts.get(name), Part):
        raise ModuleError(f"{kind}: {name!r} is a module, and a {type(value).__name__} cannot take its place; assign a "
                          "Module or None")
    if name in owner._buffers and (isinstance(value, Tensor) or not hasattr(value, "shape")):
        raise ModuleError(f"{kind}: {name!r} is a buffer, an array, and a {type(value).__name__} cannot take its "
                          "place; assign an array (of a tensor: its .data)")
