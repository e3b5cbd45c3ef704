"""Every kernel on poisoned memory: the former contents of np.empty and scratch must make no difference."""

import copy

import numpy as np
import pytest
from kernel_cases import CASES
from poison import poison_new_memory, rooms

from minigan import kernels
from minigan.kernels.wings import kernels_of

EVERY = [pytest.param(name, arguments, id=f"{name}-{i}") for name, cases in CASES.items()
         for i, arguments in enumerate(cases)]


def arrays_after(name, arguments):
    """The results of a kernel, and its arguments afterwards, which are the results of a kernel that works in place."""
    arguments = copy.deepcopy(arguments)
    result = getattr(kernels, name)(*arguments)
    return flat([result, *arguments])


def flat(value):
    """All arrays in nested tuples and lists, in order."""
    if isinstance(value, list | tuple):
        return [array for part in value for array in flat(part)]
    return [value] if isinstance(value, np.ndarray | np.generic) else []


def test_every_kernel_of_every_room_has_a_case():
    named = {name for room in rooms(kernels.cpu).values() for name in getattr(room, "__all__", ())}
    assert named == set(CASES) == set(kernels_of(kernels.cpu))


@pytest.mark.parametrize("name, arguments", EVERY)
def test_nothing_uninitialised_is_read_or_returned(name, arguments, monkeypatch):
    expected = arrays_after(name, arguments)
    poison_new_memory(monkeypatch)
    for result, wanted in zip(arrays_after(name, arguments), expected, strict=True):
        assert result.tobytes() == wanted.tobytes()


def test_the_poison_is_in_all_memory_a_kernel_may_take(monkeypatch):
    poison_new_memory(monkeypatch)
    with_scratch = [room for room in rooms(kernels.cpu).values() if hasattr(room, "scratch")]
    assert len(with_scratch) >= 8
    for room in with_scratch:
        assert np.isnan(room.scratch("any", (3,), np.float32)).all()
    for large in ((3, 4), (1 << 18, 1)):
        assert np.isnan(kernels.cpu.memory.empty(large, np.float64)).all()
    assert (np.empty_like(np.arange(3)) == np.iinfo(np.int64).max).all()
