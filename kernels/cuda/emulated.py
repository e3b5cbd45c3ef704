"""The device "emulated": the CUDA sources themselves, compiled by g++, run on host memory, one CUDA thread at a time.

For learners without a GPU and for every check: `--device emulated` goes through the same launch code as `--device cuda`
and runs the same .cu files. Arrays are an `ndarray` of its own that behaves as CuPy's does: it refuses to meet a NumPy
array by accident, its sums are arrays without axes, new memory holds no zeros. Kernels are checked harder
than on a GPU:

    outputs      start as NaN, so what a kernel does not write is seen
    guards       NaN lies before and after every array; a write there is an error, a read gives NaN
    order        `threads_in_order(1)`: threads run in another order, so results that depend on it change
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
import types
from pathlib import Path

import numpy as np

from minigan.errors import DeviceError

from .loader import FOLDER, TYPES, Table, signatures, slots

name = "emulated"
GUARD = 1024  # bytes of 0xff (a NaN of any float type) on both sides of an array
_thread_order = 0
_recording = None  # while a graph is captured: the list its work is appended to


# ---- arrays ----
class ndarray(np.lib.mixins.NDArrayOperatorsMixin):  # noqa: N801  the name CuPy and NumPy give it
    """A host array that pretends to be on another device: see the module's docstring."""

    __slots__ = ("host",)
    device = type("Device", (), {"id": 0})()

    def __init__(self, host):
        self.host = host

    shape = property(lambda self: self.host.shape)
    strides = property(lambda self: self.host.strides)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    itemsize = property(lambda self: self.host.itemsize)
    nbytes = property(lambda self: self.host.nbytes)
    flags = property(lambda self: self.host.flags)
    base = property(lambda self: self.host.base)
    T = property(lambda self: ndarray(self.host.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self.host.ctypes.data))

    def get(self):
        """A copy in NumPy's hands, as CuPy's `get`."""
        _refuse_while_recording("get")
        return self.host.copy(order="K")

    def item(self):
        """The only element, as a Python number."""
        _refuse_while_recording("item")
        return self.host.item()

    def __len__(self):
        return len(self.host)

    def __bool__(self):
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __repr__(self):
        return f"emulated {self.host!r}"

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __deepcopy__(self, memo):
        return self.copy(order="K")

    def __getitem__(self, index):
        return _run(lambda x, i: x[i], (self, index))

    def __setitem__(self, index, value):
        _in_place(lambda x, i, v: x.__setitem__(i, v), (self, index, value))

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        function = getattr(ufunc, method)
        if method == "at":
            return _in_place(function, inputs, options)
        if out is None:
            return _run(function, inputs, options)
        _in_place(lambda o, *a: function(*a, out=o, **options), (out[0], *inputs))
        return out[0]

    def __array_function__(self, function, types, args, kwargs):
        return (_in_place if function is np.copyto else _run)(function, args, kwargs)

    def __getattr__(self, attribute):
        if attribute in ("reshape", "transpose", "ravel", "astype", "copy", "sum", "mean", "max", "min", "fill", "view",
                         "take", "squeeze", "swapaxes", "all", "any"):
            method, work = getattr(np.ndarray, attribute), _in_place if attribute == "fill" else _run
            return lambda *args, **kwargs: work(method, (self, *args), kwargs)
        raise AttributeError(f"an emulated array has no attribute {attribute!r}")


def _run(function, args, kwargs=None):
    """Function on host arrays, its result in a guarded array; noted down when a graph is being captured."""
    kwargs = kwargs or {}
    host_args, host_kwargs = _host(args), {key: _host(value) for key, value in kwargs.items()}
    result = function(*host_args, **host_kwargs)
    if isinstance(result, list | tuple):
        return type(result)(ndarray(part) if isinstance(part, np.ndarray) else part for part in result)  # views only
    if not isinstance(result, np.ndarray | np.generic):
        return result  # np.ndim, np.shape, ...
    inputs = [a for a in (*args, *kwargs.values()) if isinstance(a, ndarray)]
    if any(np.may_share_memory(result, a.host) for a in inputs):
        return ndarray(result)
    kept = _guarded(np.asarray(result))
    _note(lambda: np.copyto(kept, function(*host_args, **host_kwargs)))
    return ndarray(kept)


def _in_place(function, args, kwargs=None):
    """function, which changes one of its arguments: at once, or when the graph being captured is launched."""
    args, kwargs = _host(args), {key: _host(value) for key, value in (kwargs or {}).items()}
    if _recording is None:
        function(*args, **kwargs)
    else:
        _recording.append(lambda: function(*args, **kwargs))


def _host(value):
    """The host arrays behind emulated ones; NumPy arrays are refused, as CuPy refuses them."""
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, list | tuple):
        return type(value)(_host(part) for part in value)
    return value


def _room(shape, dtype, order="C"):
    """Memory between two guards, all of it NaN."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    raw = np.full(size + 2 * GUARD + 64, 0xFF, np.uint8)
    return np.ndarray(shape, dtype, raw, _start(raw), order=order)


def _start(raw):
    return GUARD + -(raw.ctypes.data + GUARD) % 64  # aligned as a GPU's allocations are


def _guarded(host):
    """A copy of an array, in the same memory order, between guards."""
    axes = sorted(range(host.ndim), key=lambda a: -abs(host.strides[a]))
    copy = _room(tuple(host.shape[a] for a in axes), host.dtype).transpose(np.argsort(axes))
    copy[...] = host
    return copy


def _guards_hold(host):
    root = host
    while isinstance(root.base, np.ndarray):
        root = root.base
    if root.dtype != np.uint8 or root.ndim != 1 or root.size < 2 * GUARD:
        return True
    start, size = _start(root), root.size - 2 * GUARD - 64
    return bool((root[:start] == 0xFF).all() and (root[start + size :] == 0xFF).all())


def empty(shape, dtype=np.float32):
    """Memory for an output: NaN until it is written."""
    return ndarray(_room((shape,) if isinstance(shape, int) else tuple(shape), dtype))


def full(shape, value, dtype):
    """An array of one value, set on the device itself: allowed while a graph is captured."""
    room = empty(shape, dtype)
    room.fill(value)
    return room


def asarray(array):
    """A NumPy array, copied to the device in its memory order."""
    _refuse_while_recording("asarray")
    return array if isinstance(array, ndarray) else ndarray(_guarded(np.asarray(array)))


def upload(array, host):
    """Copy a host array into one that is on the device already."""
    _refuse_while_recording("upload")
    array.host[...] = host


def fetch(array):
    """A function that gives the array on the host: here the copy is done at once."""
    host = array.get()
    return lambda: host


def address(array):
    """Where an array's first element lies."""
    return array.host.ctypes.data


def owns(array):
    """Whether an array is on this device."""
    return isinstance(array, ndarray)


# ---- compiling and launching ----
def compiler():
    """The C++ compiler's path, or None."""
    return next((path for path in map(shutil.which, (os.environ.get("CXX") or "g++", "g++", "clang++")) if path), None)


class Module:
    """One compiled source file."""

    def __init__(self, library, file):
        self.library, self.file = library, file

    def function(self, kernel_name, parameters):
        """A callable (grid, block, values, shared) for one kernel."""
        launch = getattr(self.library, f"launch_{kernel_name}")
        launch.restype = ctypes.c_char_p

        def function(grid, block, values, shared):
            def work():
                _launch(launch, f"{self.file}: {kernel_name}", grid, block, values, shared)

            if _recording is None:
                work()
            else:
                _recording.append(work)

        return function


def _launch(launch, what, grid, block, values, shared):
    cells = [np.atleast_1d(slot) for slot in slots(values, address)]
    pointers = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
    error = launch((ctypes.c_uint * 6)(*grid, *block), ctypes.c_size_t(shared), _thread_order, pointers)
    if error:
        raise DeviceError(f"{what}: {error.decode()}")
    for value in itertools.chain(values, *(table.arrays for table in values if isinstance(table, Table))):
        if owns(value) and not _guards_hold(value.host):
            raise DeviceError(f"{what}: wrote outside an array of shape {value.shape}")


def compile(text, file, defines):
    """Compile a source by g++ into the cache, unless it is there.

    Raises:
        DeviceError: no compiler, or errors in the source, with file and line.
    """
    command = compiler()
    if command is None:
        raise DeviceError("device emulated: needs a C++ compiler; install g++ (Debian, Ubuntu: apt-get install g++)")
    launchers = "".join(
        f'extern "C" __attribute__((visibility("default"))) const char* launch_{kernel}'
        "(const unsigned* dims, size_t shared, int order, void** a) {\n"
        f"  return cuda::launch(dims, shared, order, [&] {{ {kernel}({_casts(parameters)}); }});\n}}\n"
        for kernel, parameters in signatures(text, {"REAL": "float", **defines}).items())
    text = f'#line 1 "cuda_on_cpu.h"\n{(FOLDER / "cuda_on_cpu.h").read_text()}\n{text}\n{launchers}'
    flags = ["-std=c++17", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Wno-unknown-pragmas", "-w",
             "-ffp-contract=off", *os.environ.get("CXXFLAGS", "").split(),
             *(f"-D{key}={value}" for key, value in sorted(defines.items()))]
    digest = hashlib.sha256("\0".join([text, command, *flags]).encode()).hexdigest()[:24]
    library = _cache() / f"{Path(file).stem}-{digest}.so"
    if not library.exists():
        _build(command, flags, text, file, library)
    return Module(ctypes.CDLL(str(library)), file)


def _casts(parameters):
    """`*(T*)a[i]` for every parameter; NumPy has put each value, or address, in memory of its own."""
    words = {np.dtype(kind): word for word, kind in TYPES.items()}
    return ", ".join(f"*({words[p.dtype]}{'*' * p.pointer}*)a[{i}]" for i, p in enumerate(parameters))


def _build(command, flags, text, file, library):
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, out = Path(folder) / f"{Path(file).stem}.cpp", Path(folder) / "out.so"
        code.write_text(text)
        done = subprocess.run([command, *flags, "-o", str(out), str(code)], capture_output=True, text=True)
        if done.returncode:
            raise DeviceError(f"{file} does not compile for device emulated:\n{done.stderr.strip()}")
        out.replace(library)


@functools.cache
def _cache():
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
def threads_in_order(order):
    """Run the threads of every block ascending (0), descending (1) or shuffled (2)."""
    global _thread_order
    before, _thread_order = _thread_order, order
    try:
        yield
    finally:
        _thread_order = before


# ---- graphs ----
def _note(work):
    if _recording is not None:
        _recording.append(work)


def _refuse_while_recording(what):
    if _recording is not None:
        raise DeviceError(f"{what}: a captured step may not copy between host and device; see mg.capture")


class Graph:
    """What CUDA's stream capture gives, by a recorder: launches are noted down, not run, and `launch` runs them all.

    NumPy's own operations, the stand-ins for CuPy's, run once while they are noted, on whatever numbers are there, to
    find their results' shapes.
    """

    def __init__(self):
        self.work = []

    @contextlib.contextmanager
    def capture(self):
        """Record what the body does."""
        global _recording
        if _recording is not None:
            raise DeviceError("capture: a graph is being captured already; captured steps cannot contain one another")
        _recording = self.work
        try:
            yield self
        finally:
            _recording = None

    def launch(self):
        """Do the recorded work, in order."""
        for work in self.work:
            work()


def synchronize():
    """Wait for all work: here it is always done."""


def capturing():
    """Whether work is being recorded instead of done."""
    return _recording is not None


@contextlib.contextmanager
def on(index):
    """There is one emulated device."""
    yield


def capability():
    """What the emulated device claims to be: (8, 0), the first with cp.async and TF32 tensor cores."""
    return 8, 0
