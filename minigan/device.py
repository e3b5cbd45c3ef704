"""Where arrays live: the CPU, or a CUDA device through CuPy. The only place in minigan/ that imports CuPy.

`"auto"` takes a GPU when one is usable and says why when it is not; `"cuda"` insists. What is missing (CuPy, a driver,
a device) is told apart, because each has another remedy.
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
    if of(array) == resolve(name):
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
    from threadpoolctl import threadpool_info

    from minigan import kernels

    blas = next((f"{p['internal_api']} {p['version']} ({p.get('architecture', 'unknown')} kernels)"
                 for p in threadpool_info() if p["user_api"] == "blas"), "BLAS unknown")
    line = f"{_default}: {os.cpu_count()} cores, {kernels.get_threads()} workers, NumPy {np.__version__}, {blas}"
    missing = why_no_cuda()
    return line if missing is None else f"{line}; no CUDA: {missing}"
