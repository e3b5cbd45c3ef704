"""Lists and dicts whose elements are parts of a module, so that they are trained, saved and moved with it."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, SupportsIndex

import numpy as np

from minigan.engine import Tensor
from minigan.errors import ModuleError
from minigan.nn.module import Module, Parameter


class Numbered(Module):
    """Base of Sequential, ModuleList and ParameterList: parts in order, with the methods of a list."""

    separable = True
    kind: type = Module

    def part(self, value: Any) -> Any:
        """`value`, if it can be a part. ModuleError otherwise."""
        if isinstance(value, Module):
            return value
        name, remedy = type(self).__name__, "pass modules, such as nn.ReLU()"
        if isinstance(value, list | tuple):
            remedy = f"write {name}(*layers)" if name == "Sequential" else f"give the elements to a {name} of their own"
        elif isinstance(value, type) and issubclass(value, Module):
            remedy = f"write {value.__name__}(), an instance of the class"
        elif callable(value):
            remedy = "write a Module that calls it in forward; for ops.relu there is nn.ReLU()"
        raise ModuleError(f"{name}: {value!r:.80} is a {type(value).__name__}, not a Module; {remedy}")

    def items_by_name(self) -> dict[str, Any]:
        """The parts and their names, in order."""
        return self.parts_by_name(self.kind)

    def taken(self, items: dict[str, Any]) -> Any:
        """The result of a slice: the same parts in a new container, numbered from 0."""
        return type(self)(list(items.values()))  # type: ignore[call-arg]

    def _renumber(self, parts: list[Any]) -> None:
        checked = [self.part(part) for part in parts]
        for name in self.items_by_name():
            delattr(self, name)
        for i, part in enumerate(checked):
            setattr(self, str(i), part)

    def __len__(self) -> int:
        return len(self.items_by_name())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items_by_name().values())

    def __contains__(self, part: Any) -> bool:
        return any(part is mine for mine in self)

    def __getitem__(self, i: Any) -> Any:
        items = list(self.items_by_name().items())
        return self.taken(dict(items[i])) if isinstance(i, slice) else items[operator.index(i)][1]

    def __setitem__(self, i: Any, part: Any) -> None:
        names = list(self.items_by_name())
        if isinstance(i, slice):
            parts = list(part)
            if len(parts) != len(names[i]):
                raise ModuleError(f"{type(self).__name__}: {len(parts)} parts for a slice of {len(names[i])}")
            for name, value in zip(names[i], [self.part(value) for value in parts], strict=True):
                setattr(self, name, value)
        else:
            setattr(self, names[operator.index(i)], self.part(part))

    def __delitem__(self, i: Any) -> None:
        parts = list(self)
        del parts[i]
        self._renumber(parts)

    def append(self, part: Any) -> Self:
        """Add a part at the end."""
        number = len(self)
        while str(number) in vars(self):  # a Sequential made of a dict may have this name
            number += 1
        setattr(self, str(number), self.part(part))
        return self

    def extend(self, parts: Iterable[Any]) -> Self:
        """Add parts at the end."""
        for part in [self.part(part) for part in parts]:
            self.append(part)
        return self

    def insert(self, i: SupportsIndex, part: Any) -> Self:
        """Add a part before the i-th; all are numbered anew."""
        parts = list(self)
        parts.insert(i, part)
        self._renumber(parts)
        return self

    def pop(self, i: SupportsIndex = -1) -> Any:
        """Remove a part and return it; the others are numbered anew."""
        part = self[i]
        del self[i]
        return part

    def __iadd__(self, parts: Iterable[Any]) -> Self:
        return self.extend(parts)

    def __add__(self, parts: Iterable[Any]) -> Any:
        return self.taken({str(i): part for i, part in enumerate([*self, *parts])})


class ModuleList(Numbered):
    """A list of modules, named "0", "1", ...; it has no forward of its own.

    Raises:
        ModuleError: an element is no Module.
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(() if modules is None else modules)


class ParameterList(Numbered):
    """A list of parameters, named "0", "1", ...; tensors and arrays become parameters.

    Raises:
        ModuleError: an element is neither.
    """

    kind = Parameter

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(() if values is None else values)

    def part(self, value: Any) -> Parameter:
        """`value` as a Parameter."""
        if isinstance(value, Parameter):
            return value
        if isinstance(value, Tensor | np.ndarray):
            return Parameter(value.data if isinstance(value, Tensor) else value)
        raise ModuleError(f"ParameterList: {value!r:.80} is a {type(value).__name__}; pass nn.Parameter(array)")

    def describe(self) -> str:
        """Shapes."""
        return ", ".join(str(part.shape) for part in self)


class ModuleDict(Module):
    """Modules by key, in order of insertion; a key is a part of the weights' names, such as "key.weight".

    Raises:
        ModuleError: a value is no Module.
        OptionError: a key is empty, contains a dot or is the name of a method.
    """

    separable = True

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update({} if modules is None else modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules: a dict, or pairs (key, module)."""
        for key, module in dict(modules).items():
            self[key] = module

    def __getitem__(self, key: str) -> Module:
        return self.parts_by_name(Module)[key]

    def __setitem__(self, key: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise ModuleError(f"ModuleDict: the value of {key!r} is a {type(module).__name__}, not a Module")
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self.parts_by_name(Module))

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts_by_name(Module))

    def __contains__(self, key: object) -> bool:
        return key in self.parts_by_name(Module)

    def keys(self) -> KeysView[str]:
        """The keys, in order."""
        return self.parts_by_name(Module).keys()

    def values(self) -> ValuesView[Module]:
        """The modules, in order."""
        return self.parts_by_name(Module).values()

    def items(self) -> ItemsView[str, Module]:
        """Pairs (key, module), in order."""
        return self.parts_by_name(Module).items()

    def pop(self, key: str) -> Module:
        """Remove a module and return it. KeyError if there is none."""
        module = self[key]
        delattr(self, key)
        return module

    def clear(self) -> None:
        """Remove all modules."""
        for key in self.parts_by_name(Module):
            delattr(self, key)
