"""Shared by all tests: scripts that need PyTorch are not collected; device and threads are restored."""

import sys

import numpy as np
import pytest

import minigan as mg
from minigan.engine import device

collect_ignore_glob = ["goldens/*"]  # scripts that make goldens, run by hand; only they import PyTorch


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
