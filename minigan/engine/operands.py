"""The arguments of one operation: made tensors of one dtype on one device before its forward sees their arrays."""

from __future__ import annotations

import gc

import numpy as np

from minigan import kernels
from minigan.engine import device as devices
from minigan.engine.tensor import Operand, Tensor, tensor
from minigan.errors import DeviceError, DTypeError


def as_tensors(name: str, args: tuple[Operand, ...], mixed: bool = False) -> tuple[Tensor | None, ...]:
    """Make every argument a Tensor of one dtype and device. Numbers and raw arrays follow the Tensors they meet.

    On a GPU, where bfloat16 meets float32 it is cast to float32, unless `mixed` says that the operation takes both.

    Raises:
        DTypeError: two tensors of different dtype (a constant scalar is converted).
        DeviceError: two tensors on different devices.
    """
    dtype = None
    for a in args:
        if a is None:
            continue
        if not isinstance(a, Tensor) or type(array := a._data) is not np.ndarray:
            return _converted(name, args, mixed)
        if array.dtype is not dtype:  # NumPy has one object per dtype, but may make others
            if dtype is not None and array.dtype != dtype:
                return _converted(name, args, mixed)
            dtype = array.dtype
    return args if dtype is not None else _converted(name, args, mixed)  # nearly always: nothing to convert


def _converted(name: str, args: tuple[Operand, ...], mixed: bool) -> tuple[Tensor | None, ...]:
    tensors = [a for a in args if isinstance(a, Tensor)]
    if any(map(kernels.is_bfloat16, tensors)):
        return _with_bfloat16(name, args, mixed)
    if not tensors:
        values = [a for a in args if a is not None] or [0.0]
        tensors = [tensor(next((a for a in values if np.ndim(a)), values[0]))]
    leader = next((t for t in tensors if t.ndim), tensors[0])
    dtype, kind = leader.dtype, type(leader.data)
    return tuple(
        a if a is None or (isinstance(a, Tensor) and a.dtype == dtype and type(a.data) is kind
                           and (kind is np.ndarray or a.device == leader.device))
        else _follow(name, a, leader)
        for a in args
    )


def _with_bfloat16(name: str, args: tuple[Operand, ...], mixed: bool) -> tuple[Tensor | None, ...]:
    """The arguments of an operation of which one is stored as bfloat16; constants are float32 beside float32."""
    floats = [a for a in args if isinstance(a, Tensor) and a.dtype == np.float32]
    halves = [a for a in args if isinstance(a, Tensor) and kernels.is_bfloat16(a)]
    if not mixed and any(a.ndim or a.requires_grad for a in floats):
        args = tuple(a.cast(np.float32) if any(a is half for half in halves) else a for a in args)
        return _converted(name, args, mixed)
    return tuple(a if a is None or any(a is one for one in (*halves, *(floats if mixed else ())))
                 else _follow(name, a, halves[0]) for a in args)


def _follow(name: str, value: Operand, leader: Tensor) -> Tensor:
    """The value as a tensor of the leader's dtype and device."""
    if isinstance(value, Tensor):
        if value.device != leader.device:
            raise DeviceError(f"{name}: one tensor is on {leader.device}, another on {value.device}; "
                              "move one with .to(device)")
        if value.ndim or value.requires_grad:
            raise DTypeError(f"{name}: a {leader.dtype} tensor {leader.shape} meets a {value.dtype} tensor "
                             f"{value.shape}; convert one, e.g. mg.tensor(x, dtype=np.{leader.dtype})")
    if isinstance(value, int | float | np.generic) and leader.device != "cpu":
        return Tensor(devices.constant(float(value), leader.dtype, leader.device))
    return tensor(value, dtype=leader.dtype, device=leader.device)


def share_version(y: Tensor, tensors: tuple[Tensor | None, ...]) -> None:
    """A result that is a view of an argument changes with the argument, so it counts changes with it."""
    array, base = y._data, y._data.base
    for t in tensors:
        if t is not None and (t._data is array or (base is not None and (base is t._data or base is t._data.base))):
            y._version = t._version


def largest_tensors(count: int = 5) -> str:
    """The largest tensors alive, and what to do when memory is short: the end of an error message."""
    tensors = (t for t in gc.get_objects() if issubclass(type(t), Tensor))  # isinstance would wake others' lazy objects
    alive = {id(t._data): t for t in tensors if t.size and any(t._data.strides)}
    largest = sorted(alive.values(), key=lambda t: -t._data.nbytes)[:count]
    named = ", ".join(f"{t.shape} {t.dtype} {t._data.nbytes / 2**20:.0f} MiB" for t in largest)
    return f"The largest of {len(alive)} tensors: {named}. Use a smaller batch or narrower networks."
