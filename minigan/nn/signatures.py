"""Arguments and methods that PyTorch has and minigan lacks: an error that says what to do instead.

An argument with the value that changes nothing, such as groups=1, is accepted, so that code written for PyTorch runs as
it is. What an argument would change is never ignored silently.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minigan.errors import ShapeError

_Init = TypeVar("_Init", bound=Callable[..., None])

# ---- methods of modules ----
_HOOK = "define a Module whose forward calls this one, or mg.detect_anomaly and mg.explain to look into a graph"
_TYPE = "only float32 and float64 exist: use float(), double() or astype(dtype)"
ABSENT_METHODS = {  # of PyTorch's modules, and the remedies
    **dict.fromkeys(("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
                     "register_full_backward_pre_hook", "register_backward_hook", "register_state_dict_post_hook",
                     "register_state_dict_pre_hook", "register_load_state_dict_pre_hook",
                     "register_load_state_dict_post_hook"), _HOOK),
    **dict.fromkeys(("half", "bfloat16", "type"), _TYPE), **dict.fromkeys(("xpu", "ipu", "mtia"), "use to('cuda')"),
    "compile": "leave it out; on a GPU, a trainer captures its step as a CUDA graph",
    "share_memory": "pickle the network to send it to another process", "to_empty": "use to(device)",
    "set_submodule": "use setattr(net.get_submodule(path), name, module)",
    "get_extra_state": "keep it in a buffer", "set_extra_state": "keep it in a buffer",
}


# ---- arguments ----
def check_sizes(owner: str, **sizes: Any) -> None:
    """Raise unless all are whole numbers from 0; a layer without inputs or outputs is possible, as in PyTorch.

    Raises:
        TypeError: one is no whole number. ShapeError: one is below 0.
    """
    for name, size in sizes.items():
        if not hasattr(size, "__index__"):
            raise TypeError(f"{owner}: {name}={size!r:.60} must be a whole number")
        if size < 0:
            raise ShapeError(f"{owner}: {name}={size} must not be negative")


class Absent(NamedTuple):
    """An argument of PyTorch's that minigan lacks: the value that changes nothing, as None does, and the remedy.

    Without a remedy, no value changes anything.
    """

    neutral: Any
    remedy: str


def resolve(owner: str, options: Mapping[str, Any], other_names: Mapping[str, str],
            absent: Mapping[str, Absent]) -> dict[str, Any]:
    """The keyword arguments under minigan's names, without those that are absent and neutral.

    Raises:
        TypeError: an absent argument has another value, or one argument is given under two names.
    """
    options = dict(options)
    for other, name in other_names.items():
        if other in options:
            if name in options:
                raise TypeError(f"{owner}: {other} and {name} are one argument; give one of them")
            options[name] = options.pop(other)
    for name, (neutral, remedy) in absent.items():
        value = options.pop(name, None)
        if remedy and value is not None and not _same(value, neutral):
            raise TypeError(f"{owner}: {name}={value!r:.60} is an argument of PyTorch's that minigan lacks; {remedy}")
    return options


def _same(value: Any, neutral: Any) -> bool:
    """Whether a value is the neutral one; False and 0 are not None, arrays are nothing."""
    return value is neutral or (isinstance(value, bool | int | float | str | np.generic) and bool(value == neutral))


def as_pytorch(other_names: Mapping[str, str] | None = None, /, **absent: Absent) -> Callable[[_Init], _Init]:
    """Decorator of a layer's `__init__`: other names of its arguments, and the arguments of PyTorch's that it lacks.

    The layer then also takes PyTorch's `device` and `dtype`: it is moved and converted when it is made.
    """

    def decorate(init: _Init) -> _Init:
        @functools.wraps(init)
        def decorated(self: Any, *arguments: Any, device: str | None = None, dtype: Any = None, **options: Any) -> None:
            init(self, *arguments, **resolve(type(self).__name__, options, other_names or {}, absent))
            if device is not None:
                self.to(device)
            if dtype is not None:
                self.astype(np.dtype(dtype))

        return decorated  # type: ignore[return-value]

    return decorate
