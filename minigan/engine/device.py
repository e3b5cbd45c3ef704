"""Where arrays live: the CPU, a CUDA device, or the emulated one, which runs the CUDA kernels on a CPU.

`"auto"` takes a GPU if one is usable, else the CPU; `"cuda"` raises an error if none is usable. The error says what is
missing (CuPy, a driver, a device), because each has its own remedy. On a CPU most of the time goes into matrix
products, so this module also finds out which of OpenBLAS's kernels run, and which would be faster.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigan import kernels
from minigan.errors import DeviceError, OptionError

_default = "cpu"
_NAN = {dtype: np.full(1, np.nan, dtype) for dtype in map(np.dtype, (np.float32, np.float64))}
_constants: dict[tuple[Any, ...], Any] = {}


def default() -> str:
    """The device new tensors are put on."""
    return _default


def set_device(name: str) -> str:
    """Choose the device of new tensors: `"cpu"`, `"cuda"`, `"cuda:1"`, `"emulated"` or `"auto"`; returns it.

    Raises:
        DeviceError: the device cannot be used; the message says what is missing and how to get it.
        OptionError: another device than the CPU while the precision is "bf16-emulated", or a GPU without bf16 while it
            is "bf16".
    """
    global _default
    _check_emulation(kernels.get_precision(), resolved := resolve(name))
    if kernels.get_precision() == "bf16" and resolved != "cpu":
        _check_bfloat16(resolved)
    _default = resolved
    if _default.startswith("cuda"):
        backend(_default).use(index_of(_default))
    return _default


def resolve(name: str) -> str:
    """Turn a request into a device that works, or raise DeviceError saying what is missing.

    >>> resolve("cpu")
    'cpu'
    """
    if not isinstance(name, str) or not re.fullmatch(r"auto|cpu|emulated|cuda(:\d+)?", name):
        raise DeviceError(f"device: {name!r} is not one of 'auto', 'cpu', 'cuda', 'cuda:0', 'cuda:1', ..., 'emulated'")
    if name == "cpu":
        return name
    if name == "emulated":
        missing = why_no_emulation()
    else:
        missing = why_no_cuda(index_of(name))
    if missing is None:
        return "cuda:0" if name in ("auto", "cuda") else name
    if name == "auto":
        return "cpu"
    raise DeviceError(f"device {name}: {missing}")


def index_of(name: str) -> int:
    """The number in "cuda:1"; 0 if there is none."""
    return int(name.partition(":")[2] or 0)


def why_no_emulation() -> str | None:
    """What keeps the CUDA kernels from being run on this CPU, with the remedy; None if nothing does."""
    return backend("emulated").missing()


def why_no_cuda(index: int = 0) -> str | None:
    """What keeps CUDA device `index` from being used, with the remedy; None if nothing does."""
    return backend("cuda").missing(index)


def of(array: Any) -> str:
    """The device of an array."""
    if isinstance(array, np.ndarray):
        return "cpu"
    return "emulated" if backend("emulated").owns(array) else f"cuda:{array.device.id}"


def is_array(value: Any) -> bool:
    """Whether a value is an array of some device: NumPy's, CuPy's or an emulated one."""
    if isinstance(value, np.ndarray):
        return True
    if not hasattr(value, "dtype"):
        return False  # a number or a list: no need to load the CUDA wing to ask it
    return bool(backend("emulated").owns(value) or backend("cuda").owns(value))


def copy(array: Any, dtype: Any, name: str) -> Any:
    """A copy of an array (or of numbers) as `dtype` on device `name`."""
    if is_array(array) and of(array) == name != "cpu":
        return array.astype(dtype)
    host = np.array(asnumpy(array) if is_array(array) else array, dtype=dtype)
    return host if name == "cpu" else put(host, name)


def index(value: Any, array: Any) -> Any:
    """What to index or fill `array` with, host arrays in it moved to the array's device."""
    if isinstance(array, np.ndarray):
        return value
    if isinstance(value, tuple):
        return tuple(index(part, array) for part in value)
    return put(np.asarray(value), of(array)) if isinstance(value, np.ndarray | list) else value


def backend(name: str) -> kernels.Backend:
    """Who allocates arrays of a device that is not the CPU."""
    return kernels.backend(name)


def put(array: Any, name: str) -> Any:
    """The array on device `name`; itself if it is there.

    A single number is not copied but written by the device itself, which a captured graph allows.
    """
    here = of(array)
    if here == name or here == resolve(name):
        return array
    host = asnumpy(array)
    if name == "cpu":
        return host
    with backend(name).on(index_of(name)):
        return backend(name).asarray(host) if host.ndim else backend(name).full((), host.item(), host.dtype)


def constant(value: float, dtype: Any, name: str) -> Any:
    """An array without axes on device `name`; the same array for the same number, so it must not be written to.

    Constants such as the 2 in `2 * x` come again in every step.
    """
    key = (repr(value), np.dtype(dtype), name)  # as text, in which -0.0 is not 0.0 and NaN equals itself
    if (kept := _constants.get(key)) is not None:
        return kept
    with backend(name).on(index_of(name)):
        array = backend(name).full((), value, dtype)
    if not backend(name).capturing():  # what a graph writes exists only once the graph has run
        if len(_constants) >= 4096:
            _constants.clear()
        _constants[key] = array
    return array


def nans_like(array: Any) -> Any:
    """An array of NaN with another's shape, dtype and device. It takes no memory: every index leads to the same NaN."""
    if isinstance(array, np.ndarray):
        return _nans(array.shape, array.dtype)
    return np.broadcast_to(constant(math.nan, array.dtype, of(array)), array.shape)


@functools.lru_cache(4096)
def _nans(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.ndarray(shape, dtype, _NAN[dtype], 0, (0,) * len(shape))


def one_like(array: Any) -> Any:
    """An array of ones in the shape of an array of one number; without axes, on a GPU, `constant`'s."""
    if isinstance(array, np.ndarray | np.generic) or array.ndim:
        return np.ones_like(array)
    return constant(1.0, array.dtype, of(array))


def kept_constants() -> list[Any]:
    """The arrays that `constant` has returned. As long as a caller holds them, their memory is not used for others."""
    return list(_constants.values())


def asnumpy(array: Any) -> np.ndarray:
    """The array in host memory; itself if it is there. bfloat16 becomes float32: on the host there is none."""
    if isinstance(array, np.ndarray):
        return array
    host: np.ndarray = _for_the_host(array).get()
    return host


def _for_the_host(array: Any) -> Any:
    return kernels.cast(array, np.float32) if kernels.is_bfloat16(array) else array


def fetch(array: Any) -> Callable[[], np.ndarray]:
    """Start copying an array to the host. Returns a function that waits for the copy and returns it, as `asnumpy`."""
    if isinstance(array, np.ndarray):
        return lambda: array
    wait: Callable[[], np.ndarray] = backend(of(array)).fetch(_for_the_host(array))
    return wait


def set_precision(name: str) -> str:
    """How float32 is multiplied: `"fast"`, or `"fp32"`, as exactly as sums of float32 are, or `"bf16"`.

    Fast means tensor cores with 10 bits of mantissa on a GPU (TF32), and convolutions with the fewest products on a
    CPU; see docs/performance.md for the errors. float64 is always exact. `"bf16"` stores images between layers, and the
    weights' copy for products, in 16 bits, on a GPU; `"bf16-emulated"`, on a CPU only, rounds the same numbers, to see
    what that does to the results; it is slower; see docs/cuda.md. Returns the choice; `"tf32"`, which earlier versions
    had, is `"fast"`.

    Raises:
        OptionError: another name, or one that the device of new tensors does not have. ModuleNotFoundError: bf16
            without ml_dtypes.
    """
    if name not in ("fast", "fp32", "bf16", "bf16-emulated", "tf32"):
        raise OptionError(f"precision: {name!r} is not 'fast', 'fp32', 'bf16' or 'bf16-emulated'")
    if name == "bf16":
        _check_bfloat16(_default)
    _check_emulation(name, _default)
    kernels.set_precision(name)
    return kernels.get_precision()


def _check_bfloat16(name: str) -> None:
    """Raise an error unless a device stores and multiplies bfloat16."""
    if name == "cpu":
        raise OptionError("precision: 'bf16' needs a GPU; on a CPU use 'fast', or 'bf16-emulated' to see what bf16 "
                          "does to the results")
    with backend(name).on(index_of(name)):
        capability = backend(name).capability()
    if capability < (8, 0):
        raise OptionError(f"precision: 'bf16' needs a GPU of compute capability 8.0 (Ampere, 2020) or newer, and this "
                          f"one has {capability[0]}.{capability[1]}; use 'fast'")
    kernels.bfloat16()  # ml_dtypes is there


def _check_emulation(precision: str, name: str) -> None:
    """Raise OptionError if bf16 is to be emulated on a device that is not the CPU, where nothing would be rounded."""
    if precision == "bf16-emulated" and name != "cpu":
        raise OptionError(f"precision: 'bf16-emulated' is for a CPU, not for device {name}; use 'bf16' there, or "
                          "--device cpu")


@contextlib.contextmanager
def float32_stored() -> Iterator[None]:
    """A context in which nothing is rounded to bf16: for networks that measure, whatever the precision of a run."""
    before = kernels.get_precision()
    if before in ("bf16", "bf16-emulated"):
        kernels.set_precision("fast")
    try:
        yield
    finally:
        kernels.set_precision(before)


def device_info() -> str:
    """One line about the device in use: the workers, what computes on the CPU (C kernels, or NumPy, and why), and the
    BLAS kernels; and why CUDA is not used if it is not.

    >>> device_info().startswith("cpu")
    True
    """
    library = _blas()
    blas = (f"{library['internal_api']} {library['version']} ({library.get('architecture', 'unknown')} kernels)"
            if library else "BLAS unknown")
    line = (f"{_default}: {os.cpu_count()} cores, {kernels.get_threads()} workers, NumPy {np.__version__}, {blas}; "
            f"{kernels.WING}")
    if _default.startswith("cuda"):
        return f"{_default}: {backend(_default).describe(index_of(_default))}; host: {line.partition(': ')[2]}"
    missing = why_no_cuda()
    return line if missing is None else f"{line}; no CUDA: {missing}"


def _blas() -> dict[str, Any]:
    """What threadpoolctl knows of the BLAS library NumPy has loaded; empty if it finds none.

    SciPy brings a library of its own, which may be loaded, too, and come first. Both are in the packages' folders, or
    beside them in NAME.libs; a library elsewhere is the system's, which NumPy uses if it has none.
    """
    from threadpoolctl import threadpool_info

    site = os.path.realpath(os.path.dirname(os.path.dirname(np.__file__)))

    def distance(library: dict[str, Any]) -> int:
        path = os.path.realpath(library["filepath"])
        owner = os.path.relpath(path, site).split(os.sep)[0] if path.startswith(site + os.sep) else ""
        return 0 if owner in ("numpy", "numpy.libs") else 2 if owner in ("scipy", "scipy.libs") else 1

    return min((library for library in threadpool_info() if library["user_api"] == "blas"), key=distance, default={})


def better_blas_kernels(cpuinfo: str) -> str | None:
    """The value of OPENBLAS_CORETYPE with which OpenBLAS would run faster than it does now; None if there is none.

    OpenBLAS chooses when it is loaded, from a list of the CPUs that it knows; any newer one gets AVX2 kernels.

    Args:
        cpuinfo: the text of Linux's /proc/cpuinfo.
    """
    wanted, library = blas_kernels_for(cpuinfo), _blas()
    if wanted is None or library.get("internal_api") != "openblas":
        return None
    loaded = library.get("architecture")
    avx2 = ("Haswell", "Zen")  # among the others, all written for AVX-512, OpenBLAS knows best
    return wanted if (loaded in avx2) != (wanted in avx2) else None


def blas_kernels_for(cpuinfo: str) -> str | None:
    """OpenBLAS's fastest kernels for the CPU that /proc/cpuinfo describes; None to leave the choice to OpenBLAS.

    With AVX-512, those written for it: measured on Zen 5, 1.7 times as fast as the AVX2 kernels. But Zen 4 computes 512
    bits in two halves, and there the AVX2 kernels are 5 to 8 % faster.

    >>> blas_kernels_for("flags : fpu avx2 fma") is None
    True
    """
    pairs = (line.partition(":") for line in cpuinfo.strip().partition("\n\n")[0].splitlines())  # of the first core
    cpu = {key.strip(): value.strip() for key, _, value in pairs}
    flags = set(cpu.get("flags", "").split())
    if not flags >= {"avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl"}:
        return None
    zen4 = cpu.get("vendor_id") == "AuthenticAMD" and cpu.get("cpu family") == "25"  # as is Zen 3, without AVX-512
    return "Haswell" if zen4 else "SkylakeX"
