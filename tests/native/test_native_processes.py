"""The library in processes under stress: forks, interrupts, several callers, no memory, an end with helpers at work.

Each test is a program of its own, which must end in time and without a word on stderr.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BEFORE = """
import os, signal, sys, threading, time
import numpy as np
from minigan import kernels
from minigan.kernels import native
from minigan.kernels.native.library import LIBRARY
assert LIBRARY is not None
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 24, 24, 32), np.float32).transpose(0, 3, 1, 2)
w = rng.standard_normal((3, 3, 32, 32), np.float32).transpose(3, 2, 0, 1)
wide = rng.standard_normal((4, 4, 32, 32), np.float32).transpose(3, 2, 0, 1)
ONE = (1, 1)

def results():
    '''Bytes of some kernels, of every kind of scratch memory.'''
    y = kernels.conv2d(x, w, None, ONE, ONE, ONE)
    z = kernels.conv2d(x, wide, None, (2, 2), ONE, ONE)
    gw = kernels.conv2d_weight_grad(x, y, (3, 3), ONE, ONE, ONE)
    moments = kernels.norm_stats(x, "batch", 1e-5)
    return [a.tobytes() for a in (y, z, gw, *moments)]
"""


def run(program, code=0, **environment):
    """What a program prints, which has the names above and 3 threads."""
    command = [sys.executable, "-W", "ignore", "-c", BEFORE + program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "MINIGAN_THREADS": "3", **environment})  # fmt: skip
    assert done.returncode == code, done.stderr
    assert not done.stderr
    return done.stdout


def test_several_threads_call_at_once_while_the_number_of_workers_changes():
    run("""
wanted, wrong, stop = results(), [], threading.Event()

def caller():
    for _ in range(8):
        if results() != wanted:
            wrong.append(threading.get_ident())

def changer():
    while not stop.is_set():
        for n in (1, 2, 3, 8):
            kernels.set_threads(n)

callers = [threading.Thread(target=caller) for _ in range(5)]
other = threading.Thread(target=changer)
for thread in (other, *callers):
    thread.start()
for thread in callers:
    thread.join()
stop.set()
other.join()
assert not wrong
""")


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in Linux's way")
def test_a_fork_while_a_kernel_runs_in_another_thread():
    """The child has its own helpers, whatever the parent's were doing; the parent goes on. Children may fork, too."""
    run("""
wanted, stop, count = results(), threading.Event(), [0]

def caller():
    while not stop.is_set():
        assert results() == wanted
        count[0] += 1

def child(then=lambda: 0):
    number = os.fork()
    if number == 0:
        signal.alarm(60)  # ends a child that hangs
        os._exit(0 if results() == wanted and then() == 0 and len(os.listdir("/proc/self/task")) > 1 else 1)
    return os.waitpid(number, 0)[1]

thread = threading.Thread(target=caller)
thread.start()
assert [child(child) for _ in range(10)] == [0] * 10
before = count[0]
while count[0] < before + 2:
    time.sleep(0.01)
stop.set()
thread.join()
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_processes_of_multiprocessing():
    out = run("""
import multiprocessing

def task(number):
    return results()

wanted = results()  # the parent's helpers are alive
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(task, range(4)) == [wanted] * 4, results() == wanted)
""")
    assert out == "True True\n"


def test_a_thousand_threads():
    """There are 64 at most, and the bytes are those of one."""
    out = run("""
def threads():
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0

kernels.set_threads(1)
wanted, before = results(), threads()
kernels.set_threads(int(os.environ["MINIGAN_THREADS"]))
assert kernels.get_threads() == 1000
many = np.ones(1 << 22, np.float32)  # cut in 256 tasks
assert (kernels.leaky_relu(-many, 0.5) == -0.5).all()
print(results() == wanted, threads() - before)
""", MINIGAN_THREADS="1000")
    same, more = out.split()
    assert same == "True"
    assert int(more) < 64


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited in Linux's way")
def test_no_memory_for_scratch_is_an_error_and_nothing_is_lost():
    out = run("""
import resource
from minigan.kernels.native import winograd

def address_space():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

def limit(more):
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + more if more else -1, -1))

wanted = results()
filters = rng.standard_normal((3, 3, 256, 256), np.float32)  # more than malloc may have kept when transformed
image, y = np.ones((1, 64, 64, 256), np.float32), np.empty((1, 64, 64, 256), np.float32)
LIBRARY.leaky_relu(3, image, y, 0.5)  # the helpers have their stacks
for attempt in range(20):
    limit(1 << 16)
    for call in (lambda: LIBRARY.lend(1 << 24), lambda: winograd.forward(winograd.F43, image, filters, None, y, ONE)):
        try:
            call()
        except MemoryError as error:
            message = str(error)
        else:
            raise AssertionError("there was memory")
    limit(0)
    if attempt == 0:
        before = address_space()
assert address_space() <= before, (before, address_space())
assert results() == wanted
print(message)
""")
    assert out == "winograd_forward: no memory for what it computes on the way; give smaller batches\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited in Linux's way")
def test_without_memory_for_threads_there_are_fewer():
    run("""
import resource
kernels.set_threads(1)
wanted = results()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (6 << 20), -1))  # a thread's stack is 8 MiB
kernels.set_threads(8)
pixels, y = x.transpose(0, 2, 3, 1), np.empty((4, 24, 24, 32), np.float32)
LIBRARY.leaky_relu(8, pixels, y, 0.5)
assert len(os.listdir("/proc/self/task")) < 8
assert (y == np.where(pixels > 0, pixels, pixels / 2)).all()
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
assert results() == wanted
""")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_an_interrupt_is_honoured_after_the_kernel_that_runs():
    """No kernel begins after it, the one that runs is complete, and the library serves on."""
    run("""
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job begins with interrupts ignored
wanted, begun = results(), 0

def interrupt():
    global asked
    while begun < 2:
        time.sleep(0.001)
    asked = begun
    os.kill(os.getpid(), signal.SIGINT)

thread = threading.Thread(target=interrupt)
try:
    thread.start()
    while True:
        begun += 1
        y = kernels.conv2d(x, w, None, ONE, ONE, ONE)
except KeyboardInterrupt:
    thread.join()
assert begun <= asked + 2, (begun, asked)  # one that had begun, one between the count and the signal
assert y.tobytes() == wanted[0]
assert results() == wanted
""")


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), signal.SIGTERM)", "raise SystemExit"])
def test_the_end_of_the_interpreter_while_helpers_are_at_work(end):
    code = -signal.SIGTERM if "SIGTERM" in end else 0
    run(f"""
def forever():
    while True:
        results()

for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
results()
{end}
""", code=code)


def test_a_level_that_this_processor_lacks_is_not_run():
    """NumPy serves if it is asked for, and says so."""
    program = "import minigan as mg; print(mg.device_info()); print(mg.kernels.leaky_relu.__module__)"
    environment = {**os.environ, "MINIGAN_NATIVE": "v4"}
    flags = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    if " avx2 " not in flags or " avx512vl " in flags:
        pytest.skip("needs Linux on a processor with AVX2 and without AVX-512")
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert "NumPy only: MINIGAN_NATIVE=v4, but this processor has not the instructions of v4;" in done.stdout
