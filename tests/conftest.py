"""What every test shares: scripts that need PyTorch are not collected; device and threads are restored."""

import sys

import numpy as np
import pytest

import minigan as mg
from minigan.engine import device

collect_ignore_glob = ["goldens/*"]  # scripts run by hand to make goldens; they import PyTorch, which no test needs


@pytest.fixture
def rng():
    """The same numbers in every test that asks."""
    return np.random.default_rng(7)


@pytest.fixture
def without(monkeypatch):
    """A function that makes a package, imported before or not, as missing as one that is not installed."""

    def hide(package):
        loaded = [name for name in sys.modules if name.startswith(f"{package}.")]
        for name in (package, *loaded):
            monkeypatch.setitem(sys.modules, name, None)

    return hide


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    """No test leaves its choice of device or of threads behind."""
    monkeypatch.setattr(device, "_default", "cpu")
    threads = mg.get_threads()
    yield
    mg.set_threads(threads)
