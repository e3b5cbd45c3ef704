"""A whole training step as one CUDA graph: `step = mg.capture(step)`.

A small GAN's step is about a hundred kernels of a few microseconds each, and Python takes longer to launch one than
the GPU to run it. A graph holds all the launches and is itself launched as one. Python runs the step twice as usual,
which compiles the kernels, then once more while the launches are recorded; from then on only the graph runs.

A graph fixes the launches, the addresses they read and write, and the numbers that Python passed. What changes from
step to step is read from device memory instead:

    counter(optimizer, "steps")    a number that goes up: a small kernel at the graph's end increases it
    scalar(f, optimizer, "steps")  a number computed from a counter, such as a learning rate: sent when it changes

The owners of the counters keep their attributes up to date, so a captured step may be mixed with plain ones, saved, and
resumed; captured and plain steps give the same bytes.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minigan import kernels
from minigan.engine import device as devices
from minigan.engine.tensor import Array, Tensor
from minigan.errors import DeviceError

WARM_UP = 2  # plain steps before the capture: the first compiles and allocates, the second shows that all is compiled
SLOTS = 64  # how many counters, and how many scalars, a step may have

_recording: _Recording | None = None


def counter(owner: Any, name: str) -> Any:
    """The integer attribute `name` of `owner`, which the step will increase: a number or, in a capture, its slot."""
    value = getattr(owner, name)
    return value if _recording is None else _recording.counter(owner, name, value)


def scalar(function: Callable[[int], float], owner: Any, name: str) -> Any:
    """function(owner.name): a number or, in a capture, its slot, where a new one is sent whenever it has changed."""
    value = getattr(owner, name)
    return function(value) if _recording is None else _recording.scalar(function, owner, name, value)


class _Recording:
    """The counters and scalars of one graph, with their slots on the device."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.counters, self.increments = (backend.asarray(np.zeros(SLOTS, np.int64)) for _ in range(2))
        self.scalars = backend.asarray(np.zeros(SLOTS, np.float64))
        self.slots: dict[tuple[int, str], tuple[int, Any, int]] = {}  # (slot, owner, value when capture began)
        self.functions: list[tuple[Callable[[int], float], Any, str, int]] = []
        self.sent: dict[str, list[float]] = {}

    def counter(self, owner: Any, name: str, value: int) -> Any:
        slot, _, start = self.slots.setdefault((id(owner), name), (len(self.slots), owner, value))
        _check_room(slot)
        return kernels.Counter(self.counters[slot : slot + 1], value - start)

    def scalar(self, function: Callable[[int], float], owner: Any, name: str, value: int) -> Any:
        start = self.counter(owner, name, value).offset
        self.functions.append((function, owner, name, start))
        _check_room(slot := len(self.functions) - 1)
        return kernels.Rate(self.scalars[slot : slot + 1])

    def advance(self) -> None:
        """The last launch of a graph."""
        kernels.advance(self.counters, self.increments)

    def rewind(self) -> None:
        """Note how far each counter was moved, and move it back: nothing has run yet."""
        steps = np.zeros(SLOTS, np.int64)
        for (_, name), (slot, owner, start) in self.slots.items():
            steps[slot] = getattr(owner, name) - start
            setattr(owner, name, start)
        self.steps: list[int] = steps.tolist()
        self.backend.upload(self.increments, steps)

    def before_launch(self) -> None:
        """Bring the device up to date with the owners, if they are not where the last launch left them."""
        self._send("counters", self.counters, [getattr(owner, name) for (_, name), (_, owner, _) in self.slots.items()])
        self._send("scalars", self.scalars, [f(getattr(owner, name) + k) for f, owner, name, k in self.functions])

    def _send(self, what: str, array: Array, values: list[Any]) -> None:
        if self.sent.get(what) != values:
            self.backend.upload(array, np.array(values + [0] * (SLOTS - len(values)), array.dtype))
            self.sent[what] = values

    def after_launch(self) -> None:
        """Move the owners on, as the graph moves the counters."""
        for (_, name), (slot, owner, _) in self.slots.items():
            setattr(owner, name, getattr(owner, name) + self.steps[slot])
        self.sent["counters"] = [v + self.steps[i] for i, v in enumerate(self.sent["counters"])]


def _check_room(slot: int) -> None:
    if slot >= SLOTS:
        raise DeviceError(f"capture: a step may have {SLOTS} counters and as many scalars; this one has more")


class Capture:
    """A step that becomes a graph. Call it like the step itself; on a CPU it is the step itself.

    The step takes arrays, tensors, tuples of them (named ones, too) or nothing, and returns a Tensor or a dict, list or
    tuple of them. What a launch returns is in the graph's own memory: the next launch overwrites it. Inputs are
    copied to where the graph reads them; a step whose inputs have another shape, such as a last, smaller batch, runs
    as a plain step. Weights are read from where they were at the capture: `load_state_dict` and optimisers write
    there; `t.data = array` gives a tensor other memory, and needs a new Capture.

    Gradients of filters are computed on a branch of the graph, beside those of images, for which a little more memory
    is kept; with branches=False all launches are in one row. The bytes are the same.
    """

    def __init__(self, step: Callable[..., Any], branches: bool = True) -> None:
        self.step, self.branches, self.calls, self.refused = step, branches, 0, ""
        self.graph: Any = None

    def __call__(self, *inputs: Any) -> Any:
        """One step."""
        where = devices.default()
        if where == "cpu" or self.refused or _recording is not None:
            return self.step(*inputs)
        self.calls += 1
        if self.calls <= WARM_UP:
            return self.step(*inputs)
        if self.graph is None and not self._record(where, inputs):
            return self.step(*inputs)
        if [_kind(a) for a in inputs] != self.kinds:
            return self.step(*inputs)
        for place, given in zip(self.places, inputs, strict=True):
            _fill(self.backend, place, given)
        self.values.before_launch()
        self.graph.launch()
        self.values.after_launch()
        return self.outputs

    def _record(self, where: str, inputs: tuple[Any, ...]) -> bool:
        """Capture the step; if that is impossible, warn once and go on with plain steps."""
        global _recording
        self.backend = backend = devices.backend(where)
        self.kinds = [_kind(a) for a in inputs]
        self.places = [_place(where, a) for a in inputs]
        self.values, graph = _Recording(backend), backend.Graph(self.branches)
        gc_was_on = gc.isenabled()
        gc.collect()
        gc.disable()  # a finaliser that frees device memory must not run in the middle
        try:
            with graph.capture(), kernels.constant_weights():
                _recording = self.values
                self.outputs = _detached(self.step(*self.places))
                self.values.advance()
        except Exception as error:
            self.refused = f"{type(error).__name__}: {error}"
            warnings.warn(f"capture: this step cannot become a CUDA graph, so it runs kernel by kernel. {self.refused}",
                          RuntimeWarning, stacklevel=4)
        finally:
            _recording = None
            if gc_was_on:
                gc.enable()
            self.values.rewind()
        if not self.refused:
            self.graph = graph
            self.kept = devices.kept_constants()  # the graph reads them as long as it lives
        return not self.refused


def capture(step: Callable[..., Any], branches: bool = True) -> Capture:
    """Turn a training step into one that is launched as a single CUDA graph; see the module and `Capture`.

    >>> step = capture(lambda x: x * 2)
    >>> from minigan import tensor
    >>> step(tensor([1.0, 2.0]))  # on a CPU nothing changes
    Tensor([2., 4.], dtype=float32)
    """
    return Capture(step, branches)


def capturing() -> bool:
    """Whether the step now running is being recorded."""
    return _recording is not None


def _kind(value: Any) -> tuple[Any, ...]:
    if isinstance(value, tuple):
        return tuple(map(_kind, value))
    return (type(value) is Tensor, tuple(np.shape(value)), str(getattr(value, "dtype", None)))


def _place(where: str, value: Any) -> Any:
    """Memory for an input, with the value in it."""
    if isinstance(value, tuple):
        parts = [_place(where, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    array = value.data if isinstance(value, Tensor) else value
    if not hasattr(array, "dtype"):
        return value
    place = devices.put(array, where).copy()
    return Tensor(place) if isinstance(value, Tensor) else place


def _fill(backend: Any, place: Any, value: Any) -> None:
    if isinstance(value, tuple):
        for part, given in zip(place, value, strict=True):
            _fill(backend, part, given)
        return
    array, given = (v.data if isinstance(v, Tensor) else v for v in (place, value))
    if isinstance(given, np.ndarray):
        backend.upload(array, given)
    elif hasattr(given, "dtype"):
        array[...] = given


def _detached(outputs: Any) -> Any:
    if isinstance(outputs, Tensor):
        return outputs.detach()
    if isinstance(outputs, dict):
        return {key: _detached(value) for key, value in outputs.items()}
    if isinstance(outputs, tuple) and hasattr(outputs, "_fields"):  # a named tuple
        return type(outputs)(*map(_detached, outputs))
    return type(outputs)(map(_detached, outputs)) if isinstance(outputs, list | tuple) else outputs
