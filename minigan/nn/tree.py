"""The tree that a module and the modules below it form: who is in it, under which names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from minigan.engine import Array
from minigan.errors import ModuleError
from minigan.nn import registration
from minigan.nn.registration import Parameter

Module: TypeAlias = Any  # the class in module.py, which is built on this one


class Tree(registration.Part):
    """Base of Module: its parts, the modules below it and their parameters and buffers, by name."""

    _buffers: list[str]

    def children_by_name(self) -> dict[str, Module]:
        """Modules assigned to this one, in order of assignment; one under two names twice.

        Raises:
            ModuleError: a list or another container holds modules or parameters: it was filled after its assignment.
        """
        if "_parameter_names" not in vars(self):
            raise ModuleError(f"{type(self).__name__}: call super().__init__() first in its __init__")
        for name, value in vars(self).items():
            if not isinstance(value, registration.NO_CONTAINERS) and name not in registration.OWN:
                registration.check_container(self, name, value)
        return self.parts_by_name(registration.Part)

    def parts_by_name(self, kind: type) -> dict[str, Any]:
        """Attributes of a kind, Module or Parameter, in order of assignment, without checks."""
        return {name: value for name, value in vars(self).items() if isinstance(value, kind)}

    def registered(self) -> Iterator[Module | Parameter]:
        """This module, the modules below it, and their parameters, without checks; some repeatedly."""
        yield self
        for value in vars(self).values():
            if isinstance(value, Tree):
                yield from value.registered()
            elif isinstance(value, Parameter):
                yield value

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Modules assigned to this one, in order of assignment, each once."""
        seen: set[Module] = set()
        for name, value in self.children_by_name().items():
            if value not in seen:
                seen.add(value)
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules of `named_children`."""
        yield from (child for _, child in self.named_children())

    def named_modules(self, memo: set[Module] | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with dotted names; this module's name is the prefix.

        A module that is shared is listed once, or under each of its names if not `remove_duplicate`; those in `memo`
        have been listed already.
        """
        memo = set() if memo is None else memo
        if self in memo and remove_duplicate:
            return
        memo.add(self)
        yield prefix, self
        for name, child in self.children_by_name().items():
            yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        yield from (module for _, module in self.named_modules())

    def path_of(self, module: Module) -> str:
        """The path of `module` below this one, such as "Discriminator.layers.3", for messages."""
        name = next((name for name, m in self.named_modules() if m is module), type(module).__name__)
        return f"{type(self).__name__}.{name}" if name else type(self).__name__

    def _named(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        """Parameters or buffers with dotted names, of this module, and of all below it if `recurse`."""
        seen: set[int] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in vars(module).items():
                mine = isinstance(value, Parameter) if kind == "parameter" else name in module._buffers
                if mine and value is not None and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Parameters with dotted names that begin with `prefix`, as in PyTorch; only this module's if not `recurse`.

        A parameter that two modules share is listed once, or under each of its names if not `remove_duplicate`.
        """
        yield from self._named("parameter", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> list[Parameter]:
        """All parameters, each once, in the order of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters(recurse=recurse)]

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Array]]:
        """Buffers with dotted names, as `named_parameters` lists parameters."""
        yield from self._named("buffer", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Array]:
        """The arrays of `named_buffers`."""
        yield from (array for _, array in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name, such as "layers.0"; this one for "". ModuleError if there is none."""
        module: Any = self
        for name in target.split(".") if target else ():
            module = vars(module).get(name)
            if not isinstance(module, registration.Part):
                raise ModuleError(f"{type(self).__name__}: there is no module {target!r}; named_modules() lists all")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name, such as "layers.0.weight". ModuleError if there is none."""
        path, _, name = target.rpartition(".")
        value = vars(self.get_submodule(path)).get(name)
        if not isinstance(value, Parameter):
            raise ModuleError(f"{type(self).__name__}: there is no parameter {target!r}; named_parameters() lists all")
        return value

    def get_buffer(self, target: str) -> Array:
        """The buffer of a dotted name, such as "layers.1.running_mean". ModuleError if there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if name not in module._buffers or vars(module)[name] is None:
            raise ModuleError(f"{type(self).__name__}: there is no buffer {target!r}; named_buffers() lists all")
        return vars(module)[name]
