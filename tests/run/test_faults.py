"""Faults during a run: signals, kill -9, a full disk; each run in its own process, as for a user."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minigan import report, run
from minigan.checkpoint import Series, load_state
from minigan.errors import DataError
from minigan.run import folder as folders

resource = pytest.importorskip("resource", reason="signals and limits are POSIX's: this system has no `resource`")
SCRIPT = Path(__file__).parents[2] / "examples" / "dcgan_mnist.py"
OPTIONS = ["--width", "4", "--batch-size", "20", "--device", "cpu", "--checkpoint-every", "5", "--no-blas-tuning"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """250 small drawn digits in MNIST's own format; they make 12.5 batches."""
    folder = tmp_path_factory.mktemp("data")
    images = np.zeros((250, 28, 28), np.uint8)
    for number, image in enumerate(images):
        image[4 + number % 14 :][:6, 6 + number % 11 :][:, :3] = 255
    (folder / "train-images-idx3-ubyte").write_bytes(
        b"\x00\x00\x08\x03" + np.array(images.shape, ">u4").tobytes() + images.tobytes())
    (folder / "train-labels-idx1-ubyte").write_bytes(
        b"\x00\x00\x08\x01" + np.array([250], ">u4").tobytes() + bytes(250))
    return folder


def started(digits, out, *arguments, **options):
    """Start the script in its own process."""
    command = [sys.executable, str(SCRIPT), "--data", str(digits), "--out", str(out), *OPTIONS, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def ended(process):
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode, out + err


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    """An uninterrupted run of 75 steps."""
    out = tmp_path_factory.mktemp("whole") / "run"
    status, output = ended(started(digits, out, "--steps", 75))
    assert status == 0, output
    return out


def after(process, folder, step):
    """Wait until the run has written a checkpoint of this step or a later one."""
    while process.poll() is None:
        if max(Series(folder / "checkpoints").steps(), default=0) >= step:
            return
        time.sleep(0.001)
    raise AssertionError(process.communicate()[1])


def same_in_the_end(one, other):
    states = [Series(folder / "checkpoints").newest()[0] for folder in (one, other)]
    assert states[0]["step"] == states[1]["step"] == 75
    for name in ("metrics.jsonl", "generator.safetensors", "averaged.safetensors", "discriminator.safetensors",
                 "samples/step_000075.png", "samples/epoch_0006.png", "curves.png"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.long
def test_interrupted_in_every_way_and_continued(digits, whole, tmp_path):
    """A run with Ctrl-C, SIGTERM and kill -9, twice, continued each time, equals the uninterrupted run.

    A signal loses no step; a kill loses at most the steps since the last checkpoint.
    """
    out, kept = tmp_path / "run", 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        process = started(digits, out, *(["--resume"] if kept else ["--steps", 75]))
        after(process, out, kept + 10)
        process.send_signal(number)
        output = "".join(process.communicate(timeout=120))
        newest = max(Series(out / "checkpoints").steps())
        assert newest >= kept + 10 and load_state(Series(out / "checkpoints").path(newest))[0]["step"] == newest
        if number == signal.SIGKILL:
            assert process.returncode == -9
        else:
            assert process.returncode == 128 + number and "Traceback" not in output
            assert "a second signal stops at once" in output and "--resume continues" in output
            rows = report.read_rows(out / "metrics.jsonl")
            assert [row["step"] for row in rows] == list(range(1, newest + 1))
        kept = newest
    status, output = ended(started(digits, out, "--resume"))
    assert status == 0 and f"continued from step {kept}" in output
    same_in_the_end(whole, out)


def test_the_second_signal_stops_at_once(tmp_path):
    """The program does not wait for the end of the step, which here never comes."""
    program = """
import os, signal
from minigan import run
from minigan.run import signals

def endless():
    with signals.noticed():
        os.kill(os.getpid(), signal.SIGINT)
        print("pending", signals.pending(), flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            pass

run.main(endless)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 143 and done.stdout == "pending 2\n"


def test_before_training_a_signal_ends_the_program(tmp_path):
    program = """
import os, signal
from minigan import run
run.main(lambda: os.kill(os.getpid(), signal.SIGTERM) or print("not reached"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (143, "") and "Traceback" not in done.stderr


def test_importing_installs_no_handlers():
    program = "import signal, minigan.run as run; assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def full_disk(request, tmp_path):
    """A file system of 1.5 MB, or, if none can be mounted, the same limit for the size of files."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(folder)], capture_output=True,
                      check=False).returncode == 0:
        request.addfinalizer(lambda: subprocess.run(["umount", str(folder)], check=True))
        return folder, {}
    print("no tmpfs can be mounted here; files are limited instead")
    return folder, {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))}


def test_a_full_disk_leaves_the_checkpoints_intact(request, digits, tmp_path):
    folder, limit = full_disk(request, tmp_path)
    out = folder / "run"
    status, output = ended(started(digits, out, "--steps", 100, "--keep", 9, **limit))
    assert status == 2
    assert "error: " in output and "cannot be written" in output, output
    assert "No space" in output or "too large" in output, output
    assert not list(out.rglob("*.tmp"))
    for step in Series(out / "checkpoints").steps():
        assert load_state(Series(out / "checkpoints").path(step))[0]["step"] == step


def test_one_process_a_run(tmp_path):
    first = run.Log(tmp_path, 1, 1)
    with pytest.raises(DataError, match="another process is training here"):
        run.Log(tmp_path, 1, 1)
    first.close()
    run.Log(tmp_path, 1, 1).close()


def test_overwrite_removes_a_run_and_nothing_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="config.json is missing; --overwrite replaces runs only"):
        run.new_folder(tmp_path, overwrite=True)
    run.write_config(tmp_path, folders.make_config({"seed": 0}, [], 3))
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "epoch_0001.png").write_text("")
    (tmp_path / "samples" / "mine.txt").write_text("")
    assert run.new_folder(tmp_path, overwrite=True) == tmp_path
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["notes.txt", "samples",
                                                                                 "samples/mine.txt"]
