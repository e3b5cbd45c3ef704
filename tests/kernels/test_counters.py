"""Numbers in arrays: on the CPU a kernel gives the same bytes for them as for plain numbers."""

import copy

import numpy as np
import pytest
from kernel_cases import CASES, with_counters

from minigan import kernels
from minigan.kernels import Counter, Rate
from minigan.kernels.cpu.counters import integer, real

EVERY = [pytest.param(name, arguments, id=f"{name}-{i}") for name, cases in CASES.items()
         for i, arguments in enumerate(cases) if with_counters(name, arguments)]


def test_plain_numbers_stay_what_they_are():
    step, rate = 2**63, 0.1
    assert integer(step) is step and real(rate) is rate


def test_numbers_are_read_from_their_arrays():
    assert integer(Counter(np.array([2**40], np.int64), 3)) == 2**40 + 3
    assert integer(Counter(None, 3)) == 3
    assert real(Rate(np.array([0.1]))) == 0.1
    assert type(integer(Counter(np.array([1]), 0))) is int and type(real(Rate(np.array([1.0])))) is float


def test_advance():
    counters = np.arange(3, dtype=np.int64) * 2**40
    kernels.advance(counters, np.array([1, 0, -5]))
    assert counters.tolist() == [1, 2**40, 2**41 - 5]
    with pytest.raises(ValueError, match=r"advance: \(3,\) counters, but \(2,\) increments"):
        kernels.advance(counters, np.array([1, 2]))


def bytes_after(name, arguments):
    arguments = copy.deepcopy(arguments)
    result = getattr(kernels, name)(*arguments)
    arrays = [result] if result is not None else [a for column in arguments if isinstance(column, list) for a in column]
    return [array.tobytes() for array in arrays]


@pytest.mark.parametrize("name, arguments", EVERY)
def test_every_kernel_takes_them(name, arguments):
    assert bytes_after(name, with_counters(name, arguments)) == bytes_after(name, arguments)
