"""Shared by all tests: scripts that need PyTorch are not collected; device and threads are restored."""

import sys

import numpy as np
import pytest

import minigan as mg
from minigan.engine import device

collect_ignore_glob = ["goldens/*"]  # scripts that make goldens, run by hand; only they import PyTorch
ONE_PROCESS = ("tests/ops/test_onnx.py", "tests/metrics/")  # each shares what takes seconds to make


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """`pytest -n auto` hands out one test at a time, but all tests of a place in ONE_PROCESS to the same process."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return next((place for place in ONE_PROCESS if nodeid.startswith(place)), nodeid)

    return Scheduling(config, log)


@pytest.fixture
def rng():
    """A random generator with the same numbers in every test."""
    return np.random.default_rng(7)


@pytest.fixture
def without(monkeypatch):
    """A function that hides a package, as if it were not installed, even if it was imported before."""

    def hide(package):
        loaded = [name for name in sys.modules if name.startswith(f"{package}.")]
        for name in (package, *loaded):
            monkeypatch.setitem(sys.modules, name, None)

    return hide


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    """Restore the device and the number of threads after each test."""
    monkeypatch.setattr(device, "_default", "cpu")
    threads = mg.get_threads()
    yield
    mg.set_threads(threads)
