"""Where arrays live: the CPU, or a CUDA device through CuPy. The only place in minigan/ that imports CuPy.

`"auto"` takes a GPU when one is usable and says why when it is not; `"cuda"` insists. What is missing (CuPy, a driver,
a device) is told apart, because each has another remedy. On a CPU most of the time goes into matrix products: which of
OpenBLAS's kernels run, and which should, is found out here, too.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from minigan.errors import DeviceError

_default = "cpu"


def default() -> str:
    """The device new tensors are put on."""
    return _default


def set_device(name: str) -> str:
    """Choose the device of new tensors: `"cpu"`, `"cuda"`, `"cuda:1"` or `"auto"`. Returns the one chosen.

    Raises:
        DeviceError: the device cannot be used; the message says what is missing and how to get it.
    """
    global _default
    _default = resolve(name)
    return _default


def resolve(name: str) -> str:
    """Turn a request into a device that works, or raise DeviceError saying what is missing.

    >>> resolve("cpu")
    'cpu'
    """
    if not isinstance(name, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise DeviceError(f"device: {name!r} is not one of 'auto', 'cpu', 'cuda', 'cuda:0', 'cuda:1', ...")
    if name == "cpu":
        return name
    missing = why_no_cuda(int(name[5:] or 0) if name.startswith("cuda:") else 0)
    if missing is None:
        return "cuda:0" if name in ("auto", "cuda") else name
    if name == "auto":
        return "cpu"
    raise DeviceError(f"device {name}: {missing}")


def why_no_cuda(index: int = 0) -> str | None:
    """What keeps CUDA device `index` from being used, with the remedy; None if nothing does."""
    try:
        import cupy
    except ImportError:
        return 'CuPy is not installed; run `pip install "minigan[cuda13]"` (or [cuda12] for an older driver).'
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
    return ("a CUDA GPU is there, but this version of minigan has no CUDA kernels yet; "
            "use `--device cpu` until the CUDA wing is released.")


def of(array: Any) -> str:
    """The device of an array."""
    return "cpu" if isinstance(array, np.ndarray) else f"cuda:{array.device.id}"


def put(array: Any, name: str) -> Any:
    """The array on device `name`; itself if it is there."""
    here = of(array)
    if here == name or here == resolve(name):
        return array
    if name == "cpu":
        return asnumpy(array)
    import cupy

    with cupy.cuda.Device(int(name.partition(":")[2] or 0)):
        return cupy.asarray(array)


def asnumpy(array: Any) -> np.ndarray:
    """The array in host memory; itself if it is there."""
    return array if isinstance(array, np.ndarray) else array.get()


def device_info() -> str:
    """One line about the device in use, the BLAS kernels, the workers, and why CUDA is not used if it is not.

    >>> device_info().startswith("cpu")
    True
    """
    from minigan import kernels

    library = _blas()
    blas = (f"{library['internal_api']} {library['version']} ({library.get('architecture', 'unknown')} kernels)"
            if library else "BLAS unknown")
    line = f"{_default}: {os.cpu_count()} cores, {kernels.get_threads()} workers, NumPy {np.__version__}, {blas}"
    missing = why_no_cuda()
    return line if missing is None else f"{line}; no CUDA: {missing}"


def _blas() -> dict[str, Any]:
    """What threadpoolctl knows of the BLAS library NumPy has loaded; empty if it finds none."""
    from threadpoolctl import threadpool_info

    return next((library for library in threadpool_info() if library["user_api"] == "blas"), {})


def better_blas_kernels(cpuinfo: str) -> str | None:
    """The name for OPENBLAS_CORETYPE under which OpenBLAS would run faster than it does now; None if there is none.

    OpenBLAS chooses when it is loaded, from a list of CPUs as old as itself: one it does not know gets AVX2 kernels.

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
