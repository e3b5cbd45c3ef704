"""Independent runs spread over processes: results in order, errors that arrive, options that travel."""

import os
import pickle

import pytest

from minigan import kernels, run
from minigan.engine import device
from minigan.errors import OptionError
from minigan.run import option


def product(a, b):
    if a < 0:
        raise OptionError(f"a={a} must be at least 0")
    return a * b, os.getpid()


def surroundings(options):
    return device.default(), kernels.get_threads(), options.width, options.recorded(), os.getpid()


def test_one_job_is_this_process():
    assert list(run.spread(product, [(2, 3), (4, 5)])) == [(6, os.getpid()), (20, os.getpid())]
    with pytest.raises(OptionError, match="--jobs 0 must be at least 1"):
        list(run.spread(product, [], 0))


def test_results_come_one_by_one():
    results = run.spread(product, ((a, 2) for a in (1, -1)))
    assert next(results)[0] == 2
    with pytest.raises(OptionError, match="a=-1 must be at least 0"):
        next(results)


def test_options_travel():
    options = run.options("", ["--width", "5"], name="x", width=option(3, "a width"))
    sent = pickle.loads(pickle.dumps(options))
    assert sent.recorded() == options.recorded() and vars(sent).items() >= vars(options).items()


@pytest.mark.long
def test_two_processes(monkeypatch):
    """The cores are shared; results are in order, and an error of the second task arrives in its turn."""
    monkeypatch.delenv("MINIGAN_THREADS", raising=False)
    options = run.options("", ["--width", "5", "--device", "cpu"], name="x", width=option(3, "a width"))
    first, second = run.spread(surroundings, [(options,)] * 2, 2)
    assert first[:4] == second[:4] == ("cpu", max(1, kernels.get_threads() // 2), 5, options.recorded())
    assert os.getpid() not in (first[4], second[4])
    results = run.spread(product, [(2, 3), (-1, 1)], 2)
    assert next(results)[0] == 6
    with pytest.raises(OptionError, match="a=-1 must be at least 0"):
        next(results)
