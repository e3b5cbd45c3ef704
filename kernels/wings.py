"""Which wing computes: a kernel at the door looks at the type of its first array and calls that wing's twin.

A wing is a package whose rooms name their kernels in __all__, and which imports them all: `from .conv import *`. That
is the only list of names. The CPU wing has every kernel, so its names and signatures are those of the door; the CUDA
wing has a twin with the same parameters for each.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from minigan.errors import DeviceError

from . import cpu, native
from .rounding import emulated
from .values import Opening, branch, handed, made

if TYPE_CHECKING:
    from .cuda.backend import Backend

HOST = (native, cpu)  # the wings for NumPy's arrays; where several have a kernel, the first of them is called


def kernels_of(wing: ModuleType) -> dict[str, Callable[..., Any]]:
    """The kernels of a wing by name."""
    return {name: value for name, value in vars(wing).items() if isinstance(value, FunctionType)}


def dispatched(name: str, rounds: bool = False) -> Callable[..., Any]:
    """The kernel `name` of whichever wing the first argument, an array or a list of arrays, belongs to.

    With `rounds`, NumPy's arrays find the kernel that emulates bf16, if there is one.
    """
    wing = {name: kernel for wing in reversed(HOST) for name, kernel in kernels_of(wing).items()}
    on_host = (wing | emulated(wing) if rounds else wing)[name]

    @functools.wraps(kernels_of(cpu)[name])
    def kernel(first: Any, *others: Any, **options: Any) -> Any:
        if type(first) is np.ndarray:  # on the CPU, this line is all that dispatch costs
            return on_host(first, *others, **options)
        if isinstance(first, list | tuple) and not first:
            return None  # no parameters: nothing to update, on any device
        array = first[0] if isinstance(first, list | tuple) else first
        twin = on_host if isinstance(array, np.ndarray | np.generic) else getattr(_cuda_wing(array), name)
        return twin(first, *others, **options)

    return kernel


def _cuda_wing(array: Any) -> ModuleType:
    from . import cuda
    from .cuda.backend import owner

    if owner(array) is None:
        raise DeviceError(f"kernels: {type(array).__module__}.{type(array).__name__} is not an array of NumPy or CuPy.")
    return cuda


@contextlib.contextmanager
def constant_weights() -> Iterator[None]:
    """A context in which, in this thread, weights stay as they are until `weights_change` is called.

    What a kernel makes of weights, such as Hopper's arrangement of them, it makes once until then.
    """
    before, made.of = made.of, {} if made.of is None else made.of
    try:
        yield
    finally:
        made.of = before


@contextlib.contextmanager
def moments_wanted() -> Iterator[None]:
    """A context for a convolution whose result norm_stats will read next, in this thread.

    On a device the convolution then leaves moments of its result, if it can, and norm_stats merges them instead of
    reading it again. Between the two, the result must not be changed in place by other kernels than ours.
    """
    handed.wanted = True
    try:
        yield
    finally:
        handed.wanted = False


@contextlib.contextmanager
def sums_wanted(yes: bool) -> Iterator[None]:
    """With `yes`, a context for conv2d_weight_grad(x, gy) if reduce_sum(gy, (0, 2, 3)) comes next, in this thread.

    On a device the former then leaves these sums, if it can: it reads all of gy in any case. See moments_wanted.
    """
    handed.sums_wanted = yes
    try:
        yield
    finally:
        handed.sums_wanted = False


@contextlib.contextmanager
def opening_follows(slope: float, on: Any = None) -> Iterator[Opening]:
    """A context for one convolution, or its adjoint, whose result leaky_relu reads next, and nobody else does.

    Until then the result is no convolution's: nothing may be launched, and nobody may look, in between.

    With `on`, an array of the result's shape, it is gate(result, on, slope) that follows, and who called must leave
    that out if the Opening's `done` is true. Without, leaky_relu leaves itself out. On a device the product then
    writes what would follow, if it can: so nobody has to read its result and write it again.
    """
    handed.opening = opening = Opening(slope, on)
    try:
        yield opening
    finally:
        handed.opening = None


@contextlib.contextmanager
def branches(yes: bool) -> Iterator[None]:
    """A context, a backward pass, at whose end all that ran beside is done; with `yes`, `beside` is allowed there."""
    before, branch.joins = branch.joins, yes
    try:
        yield
    finally:
        branch.joins = before
        if branch.graph is not None:
            branch.graph.join()


def reached() -> None:
    """The pass is at its next node: what has been computed so far may be read beside, and sums left are nobody's."""
    handed.sums = None
    if branch.graph is not None:
        branch.graph.reach()


def beside(yes: bool, *arrays: Any) -> contextlib.AbstractContextManager[Any]:
    """With `yes`, a context for kernels whose results nobody reads before the backward pass ends, not even to add them.

    They read `arrays`, computed before `reached` was last called, and nothing else of the pass. While a graph is
    captured, they may run beside what follows. See cuda/branches.py.
    """
    return branch.graph.beside(arrays) if yes and branch.joins and branch.graph is not None else _here


_here = contextlib.nullcontext()


def weights_change(w: Any) -> None:
    """Forget what was made of weights in the memory of w, a device's array that is about to be changed in place."""
    if not made.of:
        return
    from .cuda.backend import backend_of

    first = backend_of(w).address(w)
    for key in [key for key in made.of if first <= key[0] < first + w.nbytes]:
        del made.of[key]


def backend(device: str) -> Backend:
    """Who allocates arrays, copies them and captures graphs on a device that is not the CPU: "cuda:0", "emulated"."""
    from .cuda.backend import named

    return named(device)
