"""For tests of runs: signals mean what they mean in a terminal, however pytest was started."""

import signal

import pytest


@pytest.fixture(autouse=True)
def _signals_as_in_a_terminal():
    """`nohup` ignores SIGHUP, and a shell's background job SIGINT; programs inherit that, and so would those of a test.

    It is restored afterwards: between two tests, a closed terminal still ends nothing that nohup started.
    """
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ignored = [number for number in numbers if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
