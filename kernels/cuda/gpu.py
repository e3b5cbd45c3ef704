"""The backend of real GPUs: memory, compilation and launches by CuPy, the only place that asks CuPy for them.

The same names as in `emulated`, so that the launch code does not know which of the two it works for.
"""

from __future__ import annotations

import contextlib
import functools
import re

import numpy as np

from minigan.errors import DeviceError

from .loader import slots

name = "cuda"


def _cupy():
    import cupy

    return cupy


def owns(array):
    """Whether an array is CuPy's."""
    return type(array).__module__.partition(".")[0] == "cupy"


def address(array):
    """Where an array's first element lies."""
    return array.data.ptr


def empty(shape, dtype=np.float32):
    """Memory for an output."""
    return _cupy().empty(shape, dtype)


def full(shape, value, dtype):
    """An array of one value, set on the device itself: allowed while a graph is captured."""
    return _cupy().full(shape, value, dtype)


def asarray(array):
    """A NumPy array, copied to the device in its memory order (CuPy's order="K" knows only the orders C and F)."""
    if array.ndim < 2:
        return _cupy().asarray(array)
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    return _cupy().asarray(array.transpose(axes), order="C").transpose(np.argsort(axes).tolist())


def upload(array, host):
    """Copy a host array into one that is on the device already, in stream order."""
    host = np.asarray(host, array.dtype)
    if array.flags.c_contiguous:
        array.set(np.ascontiguousarray(host))
    else:
        array[...] = asarray(host)


def fetch(array):
    """Start copying an array to pinned host memory, in stream order; returns a function that waits and gives it."""
    import cupyx

    host = cupyx.empty_pinned(array.shape, array.dtype)
    array.get(out=host, blocking=False)
    arrived = _cupy().cuda.Event(disable_timing=True)
    arrived.record()

    def wait():
        arrived.synchronize()
        return host

    return wait


class Module:
    """One compiled source file; kept for ever, because a graph may hold its functions."""

    def __init__(self, raw):
        self.raw = raw

    def function(self, kernel_name, parameters):
        """A callable (grid, block, values, shared) for one kernel."""
        function = self.raw.get_function(kernel_name)

        def launch(grid, block, values, shared):
            if shared and shared > function.max_dynamic_shared_size_bytes:  # above 48 KiB a function must ask once
                function.max_dynamic_shared_size_bytes = shared
            function(grid, block, tuple(slots(values, address)), shared_mem=shared)

        return launch


def compile(text, file, defines):
    """Compile a source by NVRTC for the current device; CuPy keeps the result in its own cache on disk.

    Raises:
        DeviceError: errors in the source, with file and line.
    """
    cupy = _cupy()
    options = ("-std=c++17", "-lineinfo", *(f"-D{key}={value}" for key, value in sorted(defines.items())))
    try:
        raw = cupy.RawModule(code=text, options=options, backend="nvrtc")
        raw.compile()
    except cupy.cuda.compiler.CompileException as error:
        first = re.search(r"^\S*\.cuh?\(\d+\): error.*", str(error), re.MULTILINE)
        raise DeviceError(f"{first[0] if first else file}\n{file} does not compile on this GPU "
                          f"({architecture()}):\n{error}") from None
    return Module(raw)


def use(index):
    """Make a device the current one, and allocate from CuPy's pool."""
    _cupy().cuda.Device(index).use()


def on(index):
    """A context in which device `index` is the current one."""
    return _cupy().cuda.Device(index)


def describe(index):
    """Name, architecture, memory and versions, in one line."""
    cupy = _cupy()
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    toolkit = cupy.cuda.runtime.runtimeGetVersion()
    return (f"{properties['name'].decode()} (sm_{properties['major']}{properties['minor']}), "
            f"{properties['totalGlobalMem'] / 2**30:.0f} GiB, CuPy {cupy.__version__}, "
            f"CUDA {toolkit // 1000}.{toolkit % 1000 // 10}")


def capturing():
    """Whether the current stream records a graph."""
    return _cupy().cuda.get_current_stream().is_capturing()


@functools.cache
def capability(device=None):
    """(major, minor) of the current device: (8, 0) for sm_80."""
    digits = _cupy().cuda.Device(device).compute_capability
    return int(digits[:-1]), int(digits[-1])


def architecture():
    """Such as sm_90."""
    return "sm_{}{}".format(*capability())


class Graph:
    """A CUDA graph of what is launched under `capture`, with a private pool for the memory that every launch uses."""

    def __init__(self):
        cupy = _cupy()
        self.stream, self.pool, self.graph = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool(), None

    @contextlib.contextmanager
    def capture(self):
        """Record what the body does; nothing is run."""
        cupy = _cupy()
        cupy.cuda.get_current_stream().synchronize()
        with cupy.cuda.using_allocator(self.pool.malloc), self.stream:
            self.stream.begin_capture()
            try:
                yield self
            except BaseException:
                with contextlib.suppress(Exception):  # the failed capture must end, or the stream stays unusable
                    self.stream.end_capture()
                raise
            self.graph = self.stream.end_capture()
        self.graph.upload(self.stream)

    def launch(self):
        """Run the graph after all earlier work of the current stream, and before all later."""
        cupy = _cupy()
        self.graph.launch(cupy.cuda.get_current_stream())


def synchronize():
    """Wait for all work on the current stream."""
    _cupy().cuda.get_current_stream().synchronize()
