"""The backend of real GPUs: memory, compilation and launches by CuPy, the only place that asks CuPy for them.

It has the names of `backend.Backend`, as emulated.py has.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import DeviceError, not_installed

from ..values import Array, DeviceArray, DTypeLike, Shape
from .branches import Branched
from .limits import Limits
from .source import Defines, Parameter, slots

name = "cuda"
LIMITS = 16, 81, 97  # cudaDevAttr: MultiProcessorCount, MaxSharedMemoryPerMultiprocessor, MaxSharedMemoryPerBlockOptin
OLDEST = (7, 5)  # compute capability: Turing; what current CUDA toolkits still compile for


def _cupy() -> Any:
    import cupy

    return cupy


def owns(array: Any) -> bool:
    """Whether an array is one of CuPy."""
    return type(array).__module__.partition(".")[0] == "cupy"


def address(array: DeviceArray) -> int:
    """Where an array's first element is."""
    return array.data.ptr


def empty(shape: Shape, dtype: DTypeLike = np.float32) -> DeviceArray:
    """Memory for an output."""
    return _cupy().empty(shape, dtype)


def full(shape: Shape, value: float, dtype: DTypeLike) -> DeviceArray:
    """An array of one value, set on the device itself: allowed while a graph is captured."""
    return _cupy().full(shape, value, dtype)


def asarray(array: Array) -> DeviceArray:
    """A NumPy array, copied to the device in its memory order (CuPy's order="K" knows only the orders C and F)."""
    if array.ndim < 2:
        return _cupy().asarray(array)
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    return _cupy().asarray(array.transpose(axes), order="C").transpose(np.argsort(axes).tolist())


def upload(array: DeviceArray, host: Array) -> None:
    """Copy a host array into one that is on the device already, in stream order."""
    host = np.asarray(host, array.dtype)
    if array.flags.c_contiguous:
        array.set(np.ascontiguousarray(host))
    else:
        array[...] = asarray(host)


def fetch(array: DeviceArray) -> Callable[[], Array]:
    """Start copying an array to pinned host memory, in stream order; returns a function that waits and gives it."""
    import cupyx

    host = cupyx.empty_pinned(array.shape, array.dtype)
    array.get(out=host, blocking=False)
    arrived = _cupy().cuda.Event(disable_timing=True)
    arrived.record()

    def wait() -> Array:
        arrived.synchronize()
        return host

    return wait


class Module:
    """One compiled source file; never freed, because a graph may hold its functions."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def function(self, kernel_name: str, parameters: Sequence[Parameter]) -> Callable[..., None]:
        """A callable (grid, block, values, shared) for one kernel."""
        function = self.raw.get_function(kernel_name)

        def launch(grid, block, values, shared):
            if shared and shared > function.max_dynamic_shared_size_bytes:  # above 48 KiB a function must ask once
                function.max_dynamic_shared_size_bytes = shared
            function(grid, block, tuple(slots(values, address)), shared_mem=shared)

        return launch


def compile(text: str, file: str, defines: Defines) -> Module:
    """Compile a source by NVRTC for the current device; CuPy keeps the result in its own cache on disk.

    Raises:
        DeviceError: errors in the source, with file and line.
    """
    cupy = _cupy()
    options = ("-std=c++17", "-lineinfo", *(f"-D{key}={value}" for key, value in sorted(defines.items())))
    if "CLUSTER" in defines:  # hopper.cu: CuPy itself compiles for sm_90, which lacks what sm_90a has
        return Module(cupy.RawModule(path=str(_cubin(text, file, ("-arch=sm_90a", "-ftz=true", *options)))))
    try:
        raw = cupy.RawModule(code=text, options=options, backend="nvrtc")
        raw.compile()
    except cupy.cuda.compiler.CompileException as error:
        first = re.search(r"^\S*\.cuh?\(\d+\): error.*", str(error), re.MULTILINE)
        raise DeviceError(f"{first[0] if first else file}\n{file} does not compile on this GPU "
                          f"({architecture()}):\n{error}") from None
    return Module(raw)


def _cubin(text: str, file: str, options: Sequence[str]) -> Path:
    """The path of a source compiled by NVRTC for sm_90a, in the folder of CuPy's cache.

    Raises:
        DeviceError: errors in the source, or a folder that cannot be written.
    """
    from cupy.cuda import nvrtc

    folder = Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache")
    digest = hashlib.sha256("\0".join((text, *options, str(nvrtc.getVersion()))).encode()).hexdigest()[:32]
    path = folder / f"{digest}.minigan.cubin"
    if not os.path.exists(path):  # False, too, where the folder cannot be read
        program = nvrtc.createProgram(text, file, (), ())
        try:
            nvrtc.compileProgram(program, options)
            cubin = nvrtc.getCUBIN(program)
        except nvrtc.NVRTCError as error:
            raise DeviceError(f"{file} does not compile on this GPU (sm_90a): {error}\n"
                              f"{nvrtc.getProgramLog(program)}") from None
        finally:
            nvrtc.destroyProgram(program)
        part = path.with_suffix(f".{os.getpid()}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(cubin)
            part.replace(path)  # whole or not at all, whoever else compiles the same
        except OSError as error:
            raise DeviceError(f"{file}: the folder of CuPy's cache, {folder}, cannot be written ({error}); "
                              "set CUPY_CACHE_DIR to another one") from None
    return path


def use(index: int) -> None:
    """Make device `index` the current one."""
    _cupy().cuda.Device(index).use()


def on(index: int) -> AbstractContextManager[Any]:
    """A context in which device `index` is the current one."""
    return _cupy().cuda.Device(index)


def missing(index: int = 0) -> str | None:
    """What keeps CUDA device `index` from being used, with the remedy; None if nothing does."""
    try:
        import cupy
    except ImportError:
        return f"{not_installed('cupy', 'a GPU')} (or [cuda12] for an older driver)."
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        if "NoDevice" in str(error):
            count = 0
        else:
            return f"the NVIDIA driver does not answer ({error}); install or update it and check with `nvidia-smi`."
    if count == 0:
        return "CuPy and a driver are there, but no CUDA GPU; use a machine with one, or `--device cpu`."
    if index >= count:
        return f"there are {count} CUDA devices, numbered from 0; choose one of them."
    major, minor = divmod(int(cupy.cuda.Device(index).compute_capability), 10)
    if (major, minor) < OLDEST:
        return (f"the GPU's compute capability is {major}.{minor}, but the kernels need {OLDEST[0]}.{OLDEST[1]} "
                "(Turing, 2018) or newer; use `--device cpu`.")
    return None


def describe(index: int = 0) -> str:
    """Name, architecture, memory and versions, in one line."""
    cupy = _cupy()
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    toolkit = cupy.cuda.runtime.runtimeGetVersion()
    return (f"{properties['name'].decode()} (sm_{properties['major']}{properties['minor']}), "
            f"{properties['totalGlobalMem'] / 2**30:.0f} GiB, CuPy {cupy.__version__}, "
            f"CUDA {toolkit // 1000}.{toolkit % 1000 // 10}")


def capturing() -> bool:
    """Whether the current stream records a graph."""
    return _cupy().cuda.get_current_stream().is_capturing()


def capability(device: int | None = None) -> tuple[int, int]:
    """(major, minor) of the current device: (8, 0) for sm_80."""
    digits = _cupy().cuda.Device(device).compute_capability
    return int(digits[:-1]), int(digits[-1])


@functools.cache
def _limits(device: int) -> Limits:
    return Limits(*(_cupy().cuda.runtime.deviceGetAttribute(number, device) for number in LIMITS))


def limits() -> Limits:
    """Of the current device."""
    return _limits(_cupy().cuda.runtime.getDevice())


def architecture() -> str:
    """The current device's, such as "sm_90"."""
    return "sm_{}{}".format(*capability())


class Graph(Branched):
    """A CUDA graph of what is launched under `capture`, with a private pool for the memory that every launch uses.

    Its branches are two streams, of which the pool keeps memory apart.
    """

    def __init__(self, branches: bool = True) -> None:
        super().__init__()
        cupy = _cupy()
        self.stream, self.pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
        self.branches, self.second = branches, cupy.cuda.Stream(non_blocking=True)
        self.graph: Any = None
        self.marks: list[Any] = []  # events, kept until the capture ends

    @contextlib.contextmanager
    def capture(self) -> Iterator[Graph]:
        """Record what the body does; nothing is run."""
        cupy = _cupy()
        cupy.cuda.get_current_stream().synchronize()
        with cupy.cuda.using_allocator(self.pool.malloc), self.stream, self.branching(self.branches):
            self.stream.begin_capture()
            try:
                yield self
            except BaseException:
                with contextlib.suppress(Exception):  # the failed capture must end, or the stream stays unusable
                    self.stream.end_capture()
                raise
            self.graph = self.stream.end_capture()
        self.marks.clear()
        self.graph.upload(self.stream)

    def mark(self) -> Any:
        """See Branched."""
        cuda = _cupy().cuda
        self.marks.append(cuda.get_current_stream().record(cuda.Event(disable_timing=True)))
        return self.marks[-1]

    def wait(self, mark: Any) -> None:
        """See Branched."""
        _cupy().cuda.get_current_stream().wait_event(mark)

    def side(self) -> Any:
        """See Branched."""
        return self.second

    def launch(self) -> None:
        """Run the graph after all earlier work of the current stream, and before all later."""
        cupy = _cupy()
        self.graph.launch(cupy.cuda.get_current_stream())


def synchronize() -> None:
    """Wait for all work on the current stream."""
    _cupy().cuda.get_current_stream().synchronize()
