"""Shared by all tests: scripts that need PyTorch are not collected; device and threads are restored."""

import os
import sys

import numpy as np
import pytest
import threadpoolctl

import minigan as mg
from minigan import kernels
from minigan.engine import device

collect_ignore_glob = ["goldens/*"]  # scripts that make goldens, run by hand; only they import PyTorch
ONE_PROCESS = ("tests/ops/test_onnx.py", "tests/metrics/")  # each shares what takes seconds to make


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """`pytest -n auto` hands out one function at a time, but all of a place in ONE_PROCESS to the same process.

    Not one test at a time: the scheduler walks through all units at every step.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return next((place for place in ONE_PROCESS if nodeid.startswith(place)), nodeid.partition("[")[0])

    return Scheduling(config, log)


def pytest_collection_finish(session):
    """The processes of `pytest -n` share the cores: each takes its part, in which threads do not wait for each other.

    Tests of threads set their number. After the collection all libraries with threads of their own are loaded.
    """
    if hasattr(session.config, "workerinput"):
        part = max(1, mg.get_threads() // session.config.workerinput["workercount"])
        mg.set_threads(part)
        threadpoolctl.threadpool_limits(part)


def pytest_terminal_summary(terminalreporter, config):
    """Say what the test command leaves out."""
    if "not long" in config.option.markexpr:
        terminalreporter.line('the tests marked `long` were left out: python -m pytest -n auto -m "long and not gpu"')


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory):
    """Programs that tests start take one process's part of the cores, as the tests do, and share compiled modules.

    The latter where Python is told to leave none beside the sources.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "PYTEST_XDIST_WORKER" in os.environ:
            for variable in ("MINIGAN_THREADS", "OPENBLAS_NUM_THREADS"):
                patch.setenv(variable, str(mg.get_threads()))
        if sys.dont_write_bytecode:
            folder = tmp_path_factory.getbasetemp()
            folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
            patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
        yield


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
    """Restore the device, the precision and the number of threads after each test."""
    monkeypatch.setattr(device, "_default", "cpu")
    threads, precision = mg.get_threads(), kernels.get_precision()
    yield
    mg.set_threads(threads)
    if kernels.get_precision() != precision:
        kernels.set_precision(precision)
