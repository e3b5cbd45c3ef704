"""The device "emulated": the CUDA sources themselves, compiled by g++, run on host memory, one CUDA thread at a time.

For learners without a GPU and for every check: `--device emulated` goes through the same launch code as `--device cuda`
and runs the same .cu files. Its arrays behave as CuPy's do (emulated_arrays.py), and kernels are checked harder than on
a GPU: unwritten results are NaN, a write outside an array is an error, and `threads_in_order(1)` runs the threads of a
block in another order, so that a result which depends on the order changes.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import DeviceError

from ..values import Array, DTypeLike, Shape
from .emulated_arrays import guarded, guards_hold, ndarray, room
from .emulated_graph import Graph as Graph
from .emulated_graph import recorder, unowned
from .limits import H100, Limits
from .source import TYPES, Defines, Parameter, Table, signatures, slots, source

name = "emulated"
_thread_order = 0
_one_at_a_time = threading.Lock()  # all kernels run on the same fibers


# ---- memory ----
def empty(shape: Shape, dtype: DTypeLike = np.float32) -> ndarray:
    """Memory for an output: NaN until it is written."""
    return ndarray(room((shape,) if isinstance(shape, int) else tuple(shape), dtype))


def full(shape: Shape, value: float, dtype: DTypeLike) -> ndarray:
    """An array of one value, set on the device itself: allowed while a graph is captured."""
    array = empty(shape, dtype)
    array.fill(value)
    return array


def asarray(array: Any) -> ndarray:
    """A NumPy array, copied to the device in its memory order."""
    recorder.refuse("asarray")
    return array if isinstance(array, ndarray) else ndarray(guarded(np.asarray(array)))


def upload(array: ndarray, host: Array) -> None:
    """Copy a host array into one that is on the device already."""
    recorder.refuse("upload")
    array.host[...] = host


def fetch(array: ndarray) -> Callable[[], Array]:
    """A function that gives the array on the host: here the copy is done at once."""
    host = array.get()
    return lambda: host


def address(array: ndarray) -> int:
    """Where an array's first element is."""
    return array.host.ctypes.data


def owns(array: Any) -> bool:
    """Whether an array is on this device."""
    return isinstance(array, ndarray)


# ---- the device ----
@contextlib.contextmanager
def on(index: int) -> Iterator[None]:
    """A context in which device `index` is the current one: there is only one."""
    yield


def use(index: int) -> None:
    """Make device `index` the current one: there is only one."""


def capability() -> tuple[int, int]:
    """What the emulated device claims to be: (9, 0), Hopper, with the asynchronous products of hopper.cu."""
    return 9, 0


def limits() -> Limits:
    """What the emulated device claims to have: an H100's."""
    return H100


def compiler() -> str | None:
    """The C++ compiler's path, or None."""
    return next((path for path in map(shutil.which, (os.environ.get("CXX") or "g++", "g++", "clang++")) if path), None)


def missing(index: int = 0) -> str | None:
    """What keeps the CUDA kernels from being run on this CPU, with the remedy; None if nothing does."""
    if sys.platform in ("darwin", "win32", "cygwin"):
        return "it needs Linux, whose linker (ELF) collects the kernels' shared memory; use `--device cpu`."
    return None if compiler() else "it needs a C++ compiler; install g++ (Debian, Ubuntu: `apt-get install g++`)."


def describe(index: int = 0) -> str:
    """The compiler that stands in for a GPU."""
    return f"CUDA sources compiled for the CPU by {compiler()}"


def synchronize() -> None:
    """Wait for all work: here it is always done."""


# ---- compiling and launching ----
class Module:
    """One compiled source file."""

    def __init__(self, library: ctypes.CDLL, file: str) -> None:
        self.library, self.file = library, file

    def function(self, kernel_name: str, parameters: Sequence[Parameter]) -> Callable[..., None]:
        """A callable (grid, block, values, shared) for one kernel."""
        launch = getattr(self.library, f"launch_{kernel_name}")
        launch.restype = ctypes.c_char_p
        what = f"{self.file}: {kernel_name}"

        def call(grid: Sequence[int], block: Sequence[int], values: Sequence[Any], shared: int) -> None:
            do(what, parameters, values, lambda lent: _launch(launch, what, grid, block, lent, shared))

        return call


def do(what: str, parameters: Sequence[Parameter], values: Sequence[Any], run: Callable[[Sequence[Any]], None]) -> None:
    """run(values), a kernel: now, or when the graph being captured is launched."""
    if recorder.graph is None:
        return run(values)
    touched = [(a.host, p.const) for p, v in zip(parameters, values, strict=True) for a in _arrays(v)]
    lent = [_unowned(v) for v in values]
    return recorder.do(what, lambda: run(lent), [host for host, _ in touched],
                       [host for host, const in touched if not const])


def _arrays(value: Any) -> Sequence[ndarray]:
    """The arrays of a kernel's argument."""
    return [value] if owns(value) else value.arrays if isinstance(value, Table) else []


def _unowned(value: Any) -> Any:
    """A kernel's argument as a recorded launch knows it; see emulated_graph.unowned."""
    if isinstance(value, Table):
        return value._replace(arrays=[ndarray(unowned(a.host)) for a in value.arrays])
    return ndarray(unowned(value.host)) if owns(value) else value


def _launch(
    launch: Any, what: str, grid: Sequence[int], block: Sequence[int], values: Sequence[Any], shared: int
) -> None:
    cells = [np.atleast_1d(slot) for slot in slots(values, address)]
    pointers = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
    with _one_at_a_time:
        error = launch((ctypes.c_uint * 6)(*grid, *block), ctypes.c_size_t(shared), _thread_order, pointers)
    if error:
        raise DeviceError(f"{what}: {error.decode()}")
    for value in itertools.chain.from_iterable(map(_arrays, values)):
        if not guards_hold(value.host):
            raise DeviceError(f"{what}: wrote outside an array of shape {value.shape}")


def compile(text: str, file: str, defines: Defines) -> Module:
    """Compile a source by g++ into the cache, unless it is there.

    Raises:
        DeviceError: no compiler, or errors in the source, with file and line.
    """
    cluster = defines.get("CLUSTER", 1)
    launchers = "".join(
        f'extern "C" __attribute__((visibility("default"))) const char* launch_{kernel}'
        "(const unsigned* dims, size_t shared, int order, void** a) {\n"
        f"  return cuda::launch(dims, {cluster}, shared, order, [](void** a) {{ {kernel}({_casts(parameters)}); }},\n"
        "                      a, __start_cuda_shared, __stop_cuda_shared);\n}\n"
        for kernel, parameters in signatures(text, defines).items())
    kernels = _library(f"{source('cuda_on_cpu.h')}\n{text}\n{launchers}", file, defines)
    threads = _library(source("cuda_on_cpu.cpp"), "cuda_on_cpu.cpp", {})
    ctypes.CDLL(str(threads), ctypes.RTLD_GLOBAL)  # defines what all kernels call
    return Module(ctypes.CDLL(str(kernels)), file)


def _library(text: str, file: str, defines: Defines) -> Path:
    """A source as a shared library in the cache."""
    command = compiler()
    if command is None:
        raise DeviceError(f"device emulated: {missing()}")
    flags = ["-std=c++17", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Wno-unknown-pragmas", "-w",
             "-ffp-contract=off", *os.environ.get("CXXFLAGS", "").split(),
             *(f"-D{key}={value}" for key, value in sorted(defines.items()))]
    digest = hashlib.sha256("\0".join([text, command, *flags]).encode()).hexdigest()[:24]
    library = _cache() / f"{Path(file).stem}-{digest}.so"
    if not library.exists():
        _build(command, flags, text, file, library)
    return library


def _casts(parameters: Sequence[Parameter]) -> str:
    """`*(T*)a[i]` for every parameter; each value, or address, is in a NumPy array of its own."""
    words = {np.dtype(kind): word for word, kind in TYPES.items()}
    return ", ".join(f"*({words[p.dtype]}{'*' * p.pointer}*)a[{i}]" for i, p in enumerate(parameters))


def _build(command: str, flags: list[str], text: str, file: str, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, out = Path(folder) / f"{Path(file).stem}.cpp", Path(folder) / "out.so"
        code.write_text(text)
        done = subprocess.run([command, *flags, "-o", str(out), str(code)], capture_output=True, text=True)
        if done.returncode:
            raise DeviceError(f"{file} does not compile for device emulated:\n{done.stderr.strip()}")
        out.replace(library)


@functools.cache
def _cache() -> Path:
    base = os.environ.get("MINIGAN_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache"),
        "minigan")
    folder = Path(base, "emulated")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(f"device emulated: the cache {folder} cannot be written ({error}); "
                          "set MINIGAN_CACHE") from None
    return folder


@contextlib.contextmanager
def threads_in_order(order: int) -> Iterator[None]:
    """Run the threads of every block ascending (0), descending (1) or shuffled (2)."""
    global _thread_order
    before, _thread_order = _thread_order, order
    try:
        yield
    finally:
        _thread_order = before


# ---- graphs ----
def capturing() -> bool:
    """Whether work is being recorded instead of done."""
    return recorder.graph is not None
