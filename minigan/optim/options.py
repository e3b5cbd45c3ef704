"""Options of optimisers: the values that they may have, and each as an attribute of the optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigan.errors import OptionError
from minigan.nn.signatures import Absent

FLAGS = ("nesterov", "centered")
ABSENT = {  # options of PyTorch's that no rule has
    "amsgrad": Absent(False, "leave it out: there is no AMSGrad"),
    "maximize": Absent(False, "minimise the negative loss"),
    "dampening": Absent(0, "leave it out: the momentum is not damped"),
    "differentiable": Absent(False, "compute the step from mg.grad(..., create_graph=True)"),
    "decoupled_weight_decay": Absent(False, "use optim.AdamW"),
    **dict.fromkeys(("capturable", "foreach", "fused"), Absent(None, "")),  # one kernel always updates all
}


def check_options(owner: str, options: Mapping[str, Any]) -> None:
    """Raise OptionError, with the name and the value, for an option outside its range.

    lr, weight_decay, momentum and eps are finite and >= 0, alpha is in [0, 1], both betas in [0, 1).
    """
    for name, value in options.items():
        if name == "betas":
            if not (isinstance(value, tuple | list) and len(value) == 2 and all(_number(b) and b < 1 for b in value)):
                raise OptionError(f"{owner}: betas={value!r:.60} must both be at least 0 and below 1")
        elif name == "alpha":
            if not (_number(value) and value <= 1):
                raise OptionError(f"{owner}: alpha={value!r:.60} must be a number from 0 to 1")
        elif name in FLAGS:
            if not (isinstance(value, int | float | np.generic) and value in (True, False)):
                raise OptionError(f"{owner}: {name}={value!r:.60} must be True or False")
        elif not _number(value):
            raise OptionError(f"{owner}: {name}={value!r:.60} must be a finite number >= 0")
    if options.get("nesterov") and not options["momentum"]:
        raise OptionError(f"{owner}: nesterov={options['nesterov']} with momentum={options['momentum']} changes "
                          "nothing; give a momentum, such as 0.9")


def check_shared(owner: str, max_norm: Any, schedule: Any) -> None:
    """Raise OptionError unless max_norm is a number above 0 or None, and schedule a function."""
    if max_norm is not None and not (max_norm == math.inf or (_number(max_norm) and max_norm > 0)):
        raise OptionError(f"{owner}: max_norm={max_norm!r:.60} must be a number above 0, or None")
    if not callable(schedule):
        raise OptionError(f"{owner}: schedule={schedule!r} must be a function of the step count, such as "
                          "optim.schedule(\"linear\", steps)")


def _number(value: Any) -> bool:
    if isinstance(value, str | bytes):  # float would read them
        return False
    try:
        return 0 <= float(value) < math.inf
    except (TypeError, ValueError, OverflowError):
        return False


class Shared:
    """An option as an attribute of an optimiser: reading gives the first group's, setting sets it in every group."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        return self if optimizer is None else optimizer.param_groups[0][self.name]

    def __set__(self, optimizer: Any, value: Any) -> None:
        groups = [{**group, self.name: value} for group in optimizer.param_groups]
        for group in groups:
            check_options(type(optimizer).__name__, {key: item for key, item in group.items() if key != "params"})
        for group in optimizer.param_groups:
            group[self.name] = value


class SharedRate(Shared):
    """As Shared, but setting it multiplies the rates of all groups by one factor, so that their ratios stay."""

    def __set__(self, optimizer: Any, value: Any) -> None:
        check_options(type(optimizer).__name__, {self.name: value})
        first, *others = optimizer.param_groups
        if others and not first["lr"] and value:
            raise OptionError(f"{type(optimizer).__name__}: lr={value} for {len(others) + 1} groups, of which the "
                              "first has lr=0, so that there is no common factor; set param_groups[i]['lr']")
        for group in others:
            group["lr"] = group["lr"] * (value / first["lr"]) if first["lr"] else group["lr"]
        first["lr"] = value
