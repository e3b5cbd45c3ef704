"""Every kernel on a device against its CPU twin; numbers may also come from the device's memory."""

import copy

import numpy as np
import pytest
from kernel_cases import CASES, HOST, with_counters

from minigan import kernels
from minigan.kernels import Counter, Rate

EVERY = [pytest.param(name, arguments, id=f"{name}-{i}") for name, cases in CASES.items()
         for i, arguments in enumerate(cases)]


@pytest.fixture(autouse=True)
def _exact_products():
    before = kernels.get_precision()
    kernels.set_precision("fp32")
    yield
    kernels.set_precision(before)


def outputs(name, arguments):
    """The arrays that a kernel returns, or, if it works in place and returns nothing, its arguments afterwards."""
    result = getattr(kernels, name)(*arguments)
    return flat(arguments if result is None else result)


def flat(value):
    """All arrays of any device in nested tuples and lists, in order."""
    if isinstance(value, list | tuple):
        return [array for part in value for array in flat(part)]
    return [value] if type(value).__name__ == "ndarray" or isinstance(value, np.generic) else []


def put(device, value):
    if isinstance(value, list | tuple) and any(isinstance(part, np.ndarray) for part in value):
        parts = [put(device, part) for part in value]
        return type(value)(*parts) if isinstance(value, Counter | Rate) else parts
    return device.put(value) if isinstance(value, np.ndarray) else value


def on_device(device, name, arguments):
    there = [v if i in HOST.get(name, ()) else put(device, v) for i, v in enumerate(arguments)]
    return [device.get(array) for array in outputs(name, there)]


@pytest.mark.parametrize("name, arguments", EVERY)
def test_equals_the_cpu(device, name, arguments):
    result, wanted = on_device(device, name, arguments), outputs(name, copy.deepcopy(arguments))
    for a, b in zip(result, wanted, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if b.dtype.kind == "f":
            scale = max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0))
            np.testing.assert_allclose(a, b, rtol=0, atol=scale * (1e-12 if b.dtype == np.float64 else 1e-5))
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name, arguments", [case for case in EVERY if with_counters(*case.values)])
def test_a_number_may_come_from_the_devices_memory(device, name, arguments):
    plain, counted = (on_device(device, name, a) for a in (arguments, with_counters(name, arguments)))
    counted = [a for a in counted if a.size > 1]  # without the number itself
    assert [a.tobytes() for a in counted] == [a.tobytes() for a in plain]
