"""Shared by the tests of the native wing."""

import numpy as np
import pytest

from minigan.kernels import get_threads, set_threads
from minigan.kernels.native.library import LIBRARY, WING

WITHOUT = ("test_library.py",)  # what can be tested where nothing is compiled


def pytest_collection_modifyitems(items):
    if LIBRARY is None:
        for item in items:
            if "tests/native" in item.path.as_posix() and item.path.name not in WITHOUT:
                item.add_marker(pytest.mark.skip(reason=WING))


@pytest.fixture
def library():
    """The compiled library."""
    return LIBRARY if LIBRARY is not None else pytest.skip(WING)


@pytest.fixture
def with_threads():
    """with_threads(n, f, *args): f(*args) with n threads; the old number is restored afterwards."""
    before = get_threads()

    def call(n, f, *args):
        set_threads(n)
        return f(*args)

    yield call
    set_threads(before)


@pytest.fixture(params=[False, True], ids=["", "poisoned"])
def _poison(request):
    """Memory that kernels borrow holds NaN."""
    LIBRARY.poison(request.param)
    yield
    LIBRARY.poison(False)


@pytest.fixture
def rng():
    return np.random.default_rng(5)
