"""Every native kernel on the common cases, in float32, against its twin; and on memory with guards around it."""

import copy
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernel_cases import CASES
from poison import poison_new_memory, rooms

from minigan.kernels import cpu, native, rounding
from minigan.kernels.native import winograd
from minigan.kernels.native.library import LIBRARY, interface

NAMES = [name for name in CASES if hasattr(native, name)]


def float32(value):
    """The same arguments with all real arrays in float32."""
    if isinstance(value, list):
        return [float32(v) for v in value]
    is_real = isinstance(value, np.ndarray) and value.dtype == np.float64
    return value.astype(np.float32) if is_real else copy.deepcopy(value)


def arrays(value):
    if isinstance(value, list | tuple):
        return [array for part in value for array in arrays(part)]
    return [value] if isinstance(value, np.ndarray | np.generic) else []


@pytest.mark.usefixtures("_poison")
@pytest.mark.parametrize("name, arguments", [pytest.param(name, arguments, id=f"{name}-{i}") for name in NAMES
                                             for i, arguments in enumerate(CASES[name])])
def test_the_common_cases(name, arguments, monkeypatch):
    """Results, and arguments afterwards: changed in place alike, or not at all."""
    ours, twins = [float32(v) for v in arguments], [float32(v) for v in arguments]
    wanted = arrays([getattr(cpu, name)(*twins), *twins])
    poison_new_memory(monkeypatch)
    result = arrays([getattr(native, name)(*ours), *ours])
    for a, b in zip(result, wanted, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        scale = np.abs(np.where(np.isfinite(b), b, 0)).max(initial=1)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=5e-5 * scale)


def test_the_cases_take_both_ways_to_a_convolution():
    def algorithm(x, w, b, stride, padding, dilation, reflect=False):
        return winograd.cheapest(len(x), x.shape[2:], x.shape[1], len(w), w.shape[2:], stride, dilation)

    assert len({algorithm(*arguments) is None for arguments in CASES["conv2d"]}) == 2


def test_signatures_are_the_twins():
    for name in NAMES:
        assert inspect.signature(getattr(native, name)) == inspect.signature(getattr(cpu, name))
    assert {name for room in rooms(native).values() for name in getattr(room, "__all__", ())} == set(NAMES)


def test_the_cases_reach_every_function_of_the_library(monkeypatch):
    called = set()

    class Recorded:
        def __getattr__(self, name):
            called.add(name)
            return getattr(LIBRARY, name)

    for room in rooms(native).values():
        if hasattr(room, "LIBRARY") and room.__name__.rpartition(".")[2] != "library":
            monkeypatch.setattr(room, "LIBRARY", Recorded())
    monkeypatch.setattr(rooms(native)["reduce"], "FEW", 1)
    for name in NAMES:
        for arguments in CASES[name]:
            getattr(native, name)(*map(float32, arguments))
    monkeypatch.setattr(rounding, "LIBRARY", Recorded())  # no kernel at the door, so it has no twin and no case
    rounding.to_bf16(np.ones(3, np.float32))
    assert called == {entry.partition(":")[0] for entry in interface().split()}


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_nothing_outside_an_array_is_touched():
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("guarded.py"))], capture_output=True, text=True,
                          timeout=600)  # fmt: skip
    assert done.returncode == 0, f"the last kernel begun faulted: {done.stdout[-200:]} {done.stderr[-2000:]}"
    assert {word.partition(":")[0] for word in done.stdout.split("done ")[1].split()} == set(NAMES)
