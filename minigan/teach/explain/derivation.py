"""A derivation as data: values, steps with their numbers and cotangents, and the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigan.engine import Primitive
from minigan.engine.tensor import Origin


@dataclass
class Value:
    """A tensor of the graph. `array` is None where its numbers are gone, `gradient` where none is wanted or arrives."""

    name: str
    kind: str  # "leaf", "constant" or "computed"
    shape: tuple[int, ...]
    array: np.ndarray | None = None
    gradient: np.ndarray | None = None
    parameter: bool = False  # of a layer
    shares: int = 0  # how many cotangents `gradient` is the sum of


@dataclass
class Step:
    """One operation: result = primitive(arguments), and what its rules make of the result's cotangent."""

    number: int
    primitive: Primitive[...]
    arguments: dict[str, Value]  # by the names the docstring uses
    params: dict[str, Any]
    result: Value
    origin: Origin | None
    differentiates: int | None = None  # number of the step whose rule this one carries out
    terms: dict[str, np.ndarray] = field(default_factory=dict)  # cotangents it sends on, by the argument's name
    remarks: list[str] = field(default_factory=list)


@dataclass
class Derivation:
    """A whole graph: its steps in order of creation, the leaves and the outputs."""

    steps: list[Step]
    leaves: list[Value]
    outputs: list[Value]
    kinds: Mapping[str, str]  # the class of each layer, by its path
    remarks: list[str]  # about the whole of it
