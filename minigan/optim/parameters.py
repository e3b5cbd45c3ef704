"""What an optimiser holds: parameters in groups of equal options, step counts, arrays per parameter; their state.

The state of an optimiser is arrays, numbered by the position of their parameter; `state_dict` holds all of it. A rule
that needs the number of steps, such as Adam, counts them per parameter, as the papers do. Parameters that have always
stepped together share one clock, so that a kernel takes them all in one call, and a captured step has one counter.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minigan.engine import Array, Tensor
from minigan.engine.device import asnumpy, of, put
from minigan.errors import CheckpointError, GraphError, OptionError
from minigan.nn.signatures import resolve
from minigan.optim.clocks import Clocks
from minigan.optim.options import ABSENT, Shared, SharedRate, check_options, check_shared
from minigan.optim.schedules import Schedule, constant

Group = dict[str, Any]


class Parameters:
    """Parameters in groups of equal options, with the arrays and step counts that a rule keeps for each of them."""

    slots: tuple[str, ...] = ()  # names of the per-parameter arrays
    options: tuple[str, ...] = ()  # names of the rule's own options
    counts = False  # whether the rule needs the number of steps of each parameter
    lr: Any = SharedRate()
    weight_decay: Any = Shared()

    def __init__(self, parameters: Iterable[Any], lr: float, weight_decay: float = 0.0,
                 max_norm: float | None = None, schedule: Schedule = constant, **own: Any) -> None:
        name = type(self).__name__
        own = resolve(name, own, {}, ABSENT)
        if unknown := sorted(set(own) - set(self.options)):
            raise TypeError(f"{name}: there is no option {unknown[0]!r}")
        check_shared(name, max_norm, schedule)
        self.max_norm, self.schedule = None if max_norm == np.inf else max_norm, schedule
        self.defaults = {"lr": lr, "weight_decay": weight_decay, **own}
        check_options(name, self.defaults)
        if isinstance(parameters, Tensor | Mapping):
            raise OptionError(f"{name}: the parameters are a {type(parameters).__name__}; pass a list of tensors or a "
                              "list of groups")
        self.parameters: list[Tensor] = []
        self.param_groups: list[Group] = []
        self.state: dict[str, list[Array]] = {}
        self.steps, self.clocks = 0, Clocks()
        members = list(parameters)
        if not members:
            raise OptionError(f"{name}: no parameters to update; pass `network.parameters()`")
        grouped = all(isinstance(member, Mapping) for member in members)
        for group in members if grouped else [{"params": members}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Update further parameters too: a dict with `params` and those options that differ from the optimiser's own.

        Raises:
            OptionError: as for the class; the optimiser is then as before.
        """
        name = type(self).__name__
        own = resolve(name, group, {}, ABSENT)
        if "params" not in own or (unknown := sorted(set(own) - {"params", *self.defaults})):
            problem = f"has the unknown option {unknown[0]!r}" if "params" in own else "has no 'params'"
            raise OptionError(f"{name}: a group {problem}; it takes params, {', '.join(self.defaults)}")
        given = own.pop("params")
        parameters = [given] if isinstance(given, Tensor) else list(given)
        options = {**self.defaults, **own}
        check_options(name, options)
        self._check_parameters(parameters)
        self.parameters += parameters
        self.param_groups.append({"params": parameters, **options})
        self.clocks.add(len(parameters))
        self._allocate()

    def _check_parameters(self, parameters: Sequence[Any]) -> None:
        name = type(self).__name__
        if not parameters:
            raise OptionError(f"{name}: no parameters to update in group {len(self.param_groups)}; pass "
                              "`network.parameters()`")
        known = {id(p) for p in self.parameters}
        for i, p in enumerate(parameters):
            if not isinstance(p, Tensor):
                raise OptionError(f"{name}: parameter {i} is a {type(p).__name__}, not a tensor; pass "
                                  "`network.parameters()`")
            if p.node is not None:
                raise GraphError(f"{name}: only leaves can be updated, but a parameter is the result of an operation; "
                                 "pass `network.parameters()`")
            if id(p) in known:
                raise OptionError(f"{name}: parameter {i} of group {len(self.param_groups)}, of shape {p.shape}, comes "
                                  "twice, and would be updated twice per step; pass each tensor once")
            known.add(id(p))

    def _check_groups(self) -> None:
        """Raise OptionError if a list of parameters was changed: its new parameters would not be updated."""
        grouped = list(itertools.chain(*[group["params"] for group in self.param_groups]))
        if len(grouped) != len(self.parameters) or not all(map(operator.is_, grouped, self.parameters)):
            raise OptionError(f"{type(self).__name__}: the parameters in param_groups are not those that it was given; "
                              "add parameters by add_param_group, or make a new optimiser")

    def slots_of(self, groups: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Names of the per-parameter arrays that groups with these options need."""
        return self.slots

    def _allocate(self) -> None:
        """Zeros for all arrays that the options need and that are not there yet."""
        for slot in self.slots_of(self.param_groups):
            row = self.state.setdefault(slot, [])
            row += [np.zeros_like(p.data) for p in self.parameters[len(row) :]]

    def reset(self) -> None:
        """Forget all gradients so far: arrays become 0, and so do the parameters' step counts; `steps` goes on."""
        for row in self.state.values():
            for array in row:
                array[...] = 0
        self.clocks.write([0] * len(self.parameters))

    def state_dict(self) -> dict[str, Any]:
        """The step counts, the groups' options, and copies of all arrays on the host, named slot.position."""
        arrays = {f"{slot}.{i}": np.array(asnumpy(a), order="C")
                  for slot, row in self.state.items() for i, a in enumerate(row)}
        groups = {str(number): {name: list(value) if name == "betas" else value for name, value in group.items()
                                if name != "params"} | {"count": len(group["params"])}
                  for number, group in enumerate(self.param_groups)}
        counts = {"counts": self.clocks.read()} if self.counts else {}
        return {"steps": self.steps, "groups": groups, **counts, **arrays}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned, with the learning rates and other options saved in it.

        States of earlier versions have neither options nor a count per parameter: the options stay as they are, and
        every parameter has taken all steps.

        Raises:
            CheckpointError: the state belongs to other parameters or to another optimiser.
        """
        name = type(self).__name__
        steps, groups = state.get("steps"), self._saved_groups(state.get("groups"))
        counts = state.get("counts", [steps] * len(self.parameters))
        numbers = [steps, *(counts if isinstance(counts, list) else [None])]
        if len(numbers) != 1 + len(self.parameters) or not all(type(n) is int and n >= 0 for n in numbers):
            raise CheckpointError(f"{name}: this state belongs to another optimiser or model: it has no step count, or "
                                  f"not one for each of {len(self.parameters)} parameters")
        shapes = {f"{slot}.{i}": p.shape for slot in self.slots_of(groups) for i, p in enumerate(self.parameters)}
        if set(state) - {"steps", "groups", "counts"} != set(shapes) or any(
                np.shape(state[key]) != size for key, size in shapes.items()):
            raise CheckpointError(f"{name}: this state belongs to another optimiser or model: its arrays have other "
                                  "names or shapes")
        for group, options in zip(self.param_groups, groups, strict=True):
            group.update(options)
        self._allocate()
        self.state = {slot: self.state[slot] for slot in self.slots_of(groups)}
        self.steps = numbers[0]
        self.clocks.write(numbers[1:])
        for slot, row in self.state.items():
            for i, array in enumerate(row):
                array[...] = put(np.asarray(state[f"{slot}.{i}"], array.dtype), of(array))

    def _saved_groups(self, saved: Any) -> list[dict[str, Any]]:
        """The options of every group in a state, checked; this optimiser's own if the state has none."""
        own = [{name: value for name, value in group.items() if name != "params"} for group in self.param_groups]
        if saved is None:
            return own
        name, sizes = type(self).__name__, [len(group["params"]) for group in self.param_groups]
        rows = list(saved.values()) if isinstance(saved, Mapping) else []
        fitting = all(isinstance(row, Mapping) and set(row) == {"count", *self.defaults} for row in rows)
        if not fitting or [row["count"] for row in rows] != sizes:
            raise CheckpointError(f"{name}: this state belongs to another optimiser or model: it has other groups of "
                                  f"parameters; this one's have {sizes} with {', '.join(self.defaults)}")
        groups = [{key: tuple(value) if isinstance(value, list) else value for key, value in group.items()
                   if key != "count"} for group in rows]
        try:
            for group in groups:
                check_options(name, group)
        except OptionError as error:
            raise CheckpointError(f"{name}: this state is damaged: {error}") from None
        return groups
