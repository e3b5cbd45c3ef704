"""Who allocates, compiles and launches for an array: CuPy on a GPU (gpu.py), or the emulated device (emulated.py).

Both modules have the same names, those of `Backend`; launch code does not know which of the two it works for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..values import Array, DeviceArray, DTypeLike, Shape
from . import emulated, gpu
from .limits import Limits
from .source import Defines


class CapturedGraph(Protocol):
    """Launches recorded once and repeated as one; those of filters' gradients on a branch, if `branches`."""

    def capture(self) -> AbstractContextManager[Any]:
        """Record what the body does; nothing is run."""

    def launch(self) -> None:
        """Do the recorded work, in order, after all earlier work and before all later."""


class Backend(Protocol):
    """What launch code, minigan.engine.device and minigan.engine.capture need of a device."""

    name: str
    @property
    def Graph(self) -> Callable[..., CapturedGraph]:  # noqa: N802  a class
        """What captures a graph: `graph = backend.Graph(branches=True)`."""

    def __hash__(self) -> int: ...

    def empty(self, shape: Shape, dtype: DTypeLike = ...) -> DeviceArray:
        """Memory for an output."""

    def full(self, shape: Shape, value: float, dtype: DTypeLike) -> DeviceArray:
        """An array of one value, set on the device itself: allowed while a graph is captured."""

    def asarray(self, array: Array) -> DeviceArray:
        """A NumPy array, copied to the device in its memory order."""

    def upload(self, array: DeviceArray, host: Array) -> None:
        """Copy a host array into one that is on the device already, in stream order."""

    def fetch(self, array: DeviceArray) -> Callable[[], Array]:
        """Start copying an array to the host, in stream order; returns a function that waits and gives it."""

    def address(self, array: DeviceArray) -> int:
        """Where an array's first element is."""

    def owns(self, array: Any) -> bool:
        """Whether an array is on a device of this backend."""

    def compile(self, text: str, file: str, defines: Defines) -> Any:
        """Compile a source; the result's `function(name, parameters)` launches one kernel of it."""

    def on(self, index: int) -> AbstractContextManager[Any]:
        """A context in which device `index` is the current one."""

    def use(self, index: int) -> None:
        """Make device `index` the current one."""

    def missing(self, index: int = 0) -> str | None:
        """What keeps device `index` from being used, with the remedy; None if nothing does."""

    def describe(self, index: int = 0) -> str:
        """The device, its memory and the versions of what drives it, in one line."""

    def capability(self) -> tuple[int, int]:
        """(major, minor) of the current device: (8, 0) for sm_80."""

    def limits(self) -> Limits:
        """Multiprocessors and shared memory of the current device."""

    def capturing(self) -> bool:
        """Whether a graph is being captured."""

    def synchronize(self) -> None:
        """Wait for all work on the current stream."""


def named(device: str) -> Backend:
    """The backend of a device: "emulated", "cuda:0", ..."""
    return emulated if device == "emulated" else gpu


def owner(array: Any) -> Backend | None:
    """The backend an array belongs to; None for any other object."""
    return emulated if emulated.owns(array) else gpu if gpu.owns(array) else None


def backend_of(array: DeviceArray) -> Backend:
    """The backend of an array that is known to be on a device."""
    return emulated if emulated.owns(array) else gpu
