"""Signals, one by one: what each does, in whose program, and what is as before afterwards."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minigan.run import signals

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals between processes are POSIX's")
HERE = Path(__file__).parent


def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def _as_before():
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    yield
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
    assert (signals._Watch.waits, signals._Watch.pending, signals._Watch.program) == (0, None, False)


def ended(program):
    """The exit status and the output of a program, whose first lines are the imports."""
    imports = "import os, signal\nfrom minigan import run\nfrom minigan.run import signals\n"
    done = subprocess.run([sys.executable, "-c", imports + program], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


@pytest.mark.long
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_the_tests_pass_where_pytest_was_started_with_signals_ignored(name):
    """As `nohup python -m pytest`, or `python -m pytest &` in a script."""
    test = HERE / "test_faults.py::test_the_second_signal_stops_at_once" if name == "SIGINT" else (
        HERE / "test_endings.py::test_a_terminal_that_closes_sends_several_signals")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", str(test)], capture_output=True, text=True,
                          timeout=120, cwd=HERE.parents[1],
                          preexec_fn=lambda: signal.signal(getattr(signal, name), signal.SIG_IGN))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_loop_that_has_ended_leaves_nothing_behind():
    """The next loop does not stop for the last one's signal; and without a loop, a signal ends the program at once."""
    with signals.handled():
        with signals.noticed():
            send(signal.SIGTERM)
            assert signals.pending() == signal.SIGTERM
        with signals.noticed():
            assert signals.pending() is None
        with pytest.raises(signals.Stopped) as stop:
            send(signal.SIGTERM)
        assert stop.value.status == 143  # 128 + 15, as a shell gives it


def test_loops_inside_one_another():
    """The outer loop goes on watching after the inner one."""
    with signals.noticed():
        with signals.noticed():
            pass
        send(signal.SIGINT)
        assert signals.pending() == signal.SIGINT


def test_a_thread_may_train():
    """Only the main thread may install handlers; Python raises ValueError elsewhere."""
    errors = []

    def loop():
        try:
            with signals.noticed(), signals.handled():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    assert errors == []


def test_handlers_of_c_code_stay(monkeypatch):
    """Python's getsignal gives None for them, and could not put them back."""
    installed = []
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: installed.append(number))
    with signals.handled(), signals.noticed():
        pass
    assert installed == []
    monkeypatch.undo()


def test_a_command_installs_its_handlers_whatever_was_there_and_a_loop_does_not():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with signals.noticed():
            send(signal.SIGTERM)
            assert seen == [signal.SIGTERM] and signals.pending() is None
        with signals.handled(), pytest.raises(signals.Stopped):
            send(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_is_ignored_stays_ignored():
    """docs/runs.md: under nohup, a run trains on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.handled(), signals.noticed():
            send(signal.SIGHUP)
            assert signals.pending() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_sigterm_ends_also_a_program_that_only_imports_minigan():
    """docs/runs.md: a second Ctrl-C or SIGTERM stops it at once; a notebook's kernel survives Ctrl-C alone."""
    twice = "with signals.noticed():\n    os.kill(os.getpid(), {0}); os.kill(os.getpid(), {0})\nprint('goes on')\n"
    assert ended(twice.format("signal.SIGTERM")) == (143, "")
    program = "try:\n    " + twice.format("signal.SIGINT").replace("\n", "\n    ") + "\nexcept KeyboardInterrupt:\n"
    assert ended(program + "    print('interrupted')\n") == (0, "interrupted\n")


def test_a_program_is_one_only_while_it_runs():
    """After `run.main` has returned, a second Ctrl-C interrupts and does not end the process."""
    program = ("run.main(lambda: None)\ntry:\n    with signals.noticed():\n"
               "        os.kill(os.getpid(), 2); os.kill(os.getpid(), 2)\nexcept KeyboardInterrupt as error:\n"
               "    print(type(error).__name__)\n")
    assert ended(program) == (0, "KeyboardInterrupt\n")


def test_a_terminal_that_is_gone_cannot_be_told():
    program = ("os.close(2)\nwith signals.noticed():\n    os.kill(os.getpid(), signal.SIGHUP)\n"
               "    print(signals.pending())\n")
    assert ended(program) == (0, "1\n")
