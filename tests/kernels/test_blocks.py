"""The workers: every block once, errors to the caller, the BLAS setting kept, forks, several calling threads."""

import os
import re
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
import threadpoolctl

from minigan import kernels
from minigan.errors import OptionError
from minigan.kernels.cpu import blocks, memory


def blas_threads():
    return [lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"]


@pytest.fixture
def two_blas_threads():
    """A setting of BLAS that is not the one inside regions."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        yield blas_threads()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_block_is_done_once(workers, with_workers):
    done = []
    with_workers(workers, blocks.for_each_block, done.append, range(100))
    assert sorted(done) == list(range(100))


def test_no_blocks():
    blocks.for_each_block(lambda block: pytest.fail("there is none"), [])


def test_helpers_take_part(with_workers):
    seen = set()

    def work(block):
        seen.add(threading.get_ident())
        time.sleep(0.01)

    with_workers(3, blocks.for_each_block, work, range(12))
    assert len(seen) == 3


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("bad", [0, 7, 19])
def test_an_error_reaches_the_caller(workers, bad, with_workers):
    def work(block):
        time.sleep(0.001)
        if block == bad:
            raise KeyError("block")

    with pytest.raises(KeyError, match="block"):
        with_workers(workers, blocks.for_each_block, work, range(20))
    test_every_block_is_done_once(workers, with_workers)  # and the pool still works


def test_a_helper_that_comes_late_keeps_nothing_alive(with_workers, monkeypatch):
    """The only helper is busy in another thread's region, so that it never reads its invitation to this one."""
    monkeypatch.setattr(blocks, "_pool", blocks._Pool())
    both, free = threading.Barrier(3, timeout=10), threading.Event()

    def busy(block):
        both.wait()
        free.wait(10)

    other = threading.Thread(target=with_workers, args=(2, blocks.for_each_block, busy, range(2)))
    other.start()
    both.wait()
    array = np.zeros(3)
    seen = weakref.ref(array)
    blocks.for_each_block(lambda block, array=array: None, range(2))
    del array
    assert seen() is None
    free.set()
    other.join()


def test_a_block_may_use_blocks(with_workers):
    done = []
    inner = lambda block: blocks.for_each_block(lambda b: done.append((block, b)), range(3))
    with_workers(2, blocks.for_each_block, inner, range(4))
    assert sorted(done) == [(a, b) for a in range(4) for b in range(3)]


def test_blas_setting_survives_regions_of_two_threads(with_workers, two_blas_threads):
    """The thread that leaves last restores the setting, even if another one came first."""
    before = two_blas_threads
    inner_may_end, inner_began = threading.Event(), threading.Event()

    def inner(block):
        inner_began.set()
        assert inner_may_end.wait(10)

    thread = threading.Thread(target=blocks.for_each_block, args=(inner, [0]))

    def outer(block):
        thread.start()
        assert inner_began.wait(10)

    with_workers(1, blocks.for_each_block, outer, [0])
    assert set(blas_threads()) == {1}
    inner_may_end.set()
    thread.join(10)
    assert blas_threads() == before


def test_blas_is_single_threaded_inside_and_as_before_outside(with_workers):
    inside = []
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with_workers(2, blocks.for_each_block, lambda block: inside.append(blas_threads()), range(4))
        assert blas_threads() == before
        with pytest.raises(ZeroDivisionError):
            blocks.for_each_block(lambda block: 1 // 0, range(4))
        assert blas_threads() == before
    assert all(threads == [1] * len(threads) for threads in inside)


def test_many_calling_threads(with_workers, two_blas_threads):
    """Several user threads at once: no deadlock, correct sums, and the BLAS setting is restored after the last."""
    before, wrong = two_blas_threads, []

    def user(number):
        for _ in range(30):
            out = np.zeros(64)

            def work(block, out=out):
                out[block] = number

            blocks.for_each_block(work, blocks.cut(64, 5))
            if not (out == number).all():
                wrong.append(number)

    kernels.set_threads(3)
    users = [threading.Thread(target=user, args=(number,)) for number in range(1, 7)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join(30)
    with_workers(1, lambda: None)
    assert not wrong and not any(thread.is_alive() for thread in users) and blas_threads() == before


def test_scratch_is_reused_and_each_threads_own(with_workers):
    first = memory.scratch("test", (10, 10), np.float64)
    assert np.shares_memory(first, memory.scratch("test", (5,), np.float32))
    other = []
    thread = threading.Thread(target=lambda: other.append(memory.scratch("test", (10,), np.float64)))
    thread.start()
    thread.join()
    assert not np.shares_memory(first, other[0])


def test_errstate_of_the_caller_holds_in_helpers(with_workers):
    zeros = np.zeros(8)

    def work(block):
        time.sleep(0.002)
        return 1 / zeros[block]

    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        with_workers(2, blocks.for_each_block, work, blocks.cut(8, 1))
    with np.errstate(divide="ignore"):  # a warning in a helper would be an error in this suite
        with_workers(2, blocks.for_each_block, work, blocks.cut(8, 1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_works_after_fork():
    script = """
import os, threading, time, warnings
warnings.simplefilter("ignore")
from minigan.kernels.cpu import blocks, memory
blocks.set_threads(2)

def workers():
    seen = set()
    blocks.for_each_block(lambda block: (seen.add(threading.get_ident()), time.sleep(0.01)), range(20))
    return len(seen)

assert workers() == 2
child = os.fork()
if child == 0:
    os._exit(0 if workers() == 2 else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)


def test_number_of_workers_from_the_environment():
    script = "from minigan import kernels; assert kernels.get_threads() == 3"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20, env={**os.environ, "MINIGAN_THREADS": "3"})


def test_importing_kernels_does_not_load_threadpoolctl():
    script = "import sys, minigan.kernels.cpu.blocks; assert 'threadpoolctl' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)


@pytest.mark.parametrize("total, step", [(0, 3), (1, 3), (3, 3), (10, 4), (7, 1)])
def test_cut_covers_everything_once(total, step):
    pieces = [i for piece in blocks.cut(total, step) for i in range(total)[piece]]
    assert pieces == list(range(total))


@pytest.mark.parametrize("images, rows, per_block", [(3, 5, 2), (5, 3, 7), (1, 1, 9), (4, 4, 4)])
def test_image_blocks_cover_every_row_once(images, rows, per_block):
    seen = np.zeros((images, rows), int)
    for where in blocks.image_blocks(images, rows, per_block):
        seen[where] += 1
    assert (seen == 1).all()


def test_other_arrays_are_refused():
    from minigan.errors import DeviceError

    with pytest.raises(DeviceError, match=r"builtins\.memoryview is not an array of NumPy or CuPy"):
        kernels.leaky_relu(memoryview(b""), 0.2)


def test_the_user_can_set_blas_threads_from_any_thread_afterwards():
    blocks.for_each_block(lambda block: None, [0])
    seen = []

    def user():
        with threadpoolctl.threadpool_limits(1, user_api="blas"):
            seen.append(blas_threads())

    thread = threading.Thread(target=user)
    thread.start()
    thread.join(10)
    assert set(seen[0]) == {1}


@pytest.mark.parametrize("number", [0, -2, "many", None])
def test_no_number_of_workers(number):
    with pytest.raises(ValueError, match="not a number of workers"):
        kernels.set_threads(number)


@pytest.fixture
def threads_of(monkeypatch):
    """threads_of(value): the number of workers where MINIGAN_THREADS has this value and nothing was set."""
    def read(value):
        monkeypatch.setenv("MINIGAN_THREADS", value)
        monkeypatch.setattr(blocks, "_workers", None)
        return kernels.get_threads()

    return read


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "2 3"])
def test_a_wrong_number_of_workers_in_the_environment(value, threads_of):
    words = f"MINIGAN_THREADS: {value!r} is not a number of workers; give a whole number of at least 1"
    with pytest.raises(OptionError, match=re.escape(words)):
        threads_of(value)
    kernels.set_threads(2)
    assert kernels.get_threads() == 2


def test_a_wrong_number_of_workers_is_named_by_programs():
    """Where workers are first needed, not on import, so that a program can say it in one sentence."""
    value = "1.5"
    environment = {**os.environ, "MINIGAN_THREADS": value}
    for script in ("from minigan import run; import minigan as mg; run.main(lambda: mg.ops.tanh(mg.tensor(1.0)) and "
                   "mg.get_threads())", "import minigan.__main__ as m; m.program(['gradcheck', 'conv2d'])"):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        text = done.stderr + done.stdout
        assert done.returncode != 0 and "Traceback" not in text
        assert f"MINIGAN_THREADS: {value!r} is not a number of workers; give a whole number of at least 1" in text
    script = "import minigan; minigan.set_threads(2); print(minigan.get_threads())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout == "2\n"


@pytest.mark.parametrize("value, expected", [("3", 3), (" 3 ", 3), ("", None)])
def test_a_number_of_workers_in_the_environment(value, expected, threads_of):
    assert threads_of(value) == (expected or blocks._usable_cores())


# ---- interrupts ----
HERE = {blocks.__file__, blocks.OneBlasThread.enter.__code__.co_filename}


def interrupted(work, event, wanted="line"):
    """Call work, with a KeyboardInterrupt at the `event`-th line of the workers' code; whether it got that far."""
    left = event

    def trace(frame, kind, argument):
        nonlocal left
        if frame.f_code.co_filename not in HERE:
            return None
        if kind == wanted:
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("wanted", ["line", "call", "return"])
@pytest.mark.parametrize("workers", [1, 3])
def test_an_interrupt_at_any_line_leaves_nothing_behind(workers, wanted, with_workers):
    """After the next region, BLAS has the user's number of threads, blocks are shared, and no block is left out."""
    def region():
        blocks.for_each_block(lambda block: None, range(4))

    def check():
        done, threads = [], set()
        blocks.for_each_block(lambda block: (done.append(block), threads.add(threading.get_ident()),
                                             time.sleep(0.002 * (workers > 1))), range(6))
        return sorted(done) == list(range(6)) and (workers == 1 or len(threads) > 1)

    def every_line():
        event = 1
        while interrupted(region, event, wanted):
            assert check(), event
            assert blas_threads() == before, event
            event += 1
        return event

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        region()
        assert with_workers(workers, every_line) > (40 if wanted == "line" else 5)
        other = threading.Thread(target=region)  # locks are free
        other.start()
        other.join(10)
        assert not other.is_alive() and blas_threads() == before


@pytest.mark.long
def test_an_interrupted_start_of_the_pool(monkeypatch, with_workers):
    """No thread is counted that was not started."""
    for event in range(1, 200):
        monkeypatch.setattr(blocks, "_pool", blocks._Pool())
        if not with_workers(3, interrupted, lambda: blocks.for_each_block(lambda block: None, range(4)), event):
            break
        test_helpers_take_part(with_workers)


def test_a_thread_that_ended_in_a_region_works_no_more():
    """Killed between two lines, it never left."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        thread = threading.Thread(target=blocks._one_blas_thread.enter)
        thread.start()
        thread.join()
        blocks.for_each_block(lambda block: None, [0])
        assert blas_threads() == before
