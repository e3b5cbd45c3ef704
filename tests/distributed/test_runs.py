"""Runs on several ranks: one folder, the same bytes when continued, and every fault ends all ranks with a sentence."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from launching import HERE, environment, launcher, missing

from minigan.checkpoint import Series, load_weights
from minigan.kernels.cuda import emulated

TRAINING = HERE / "training.py"


def arguments(out, *more):
    return ["--distributed", "--device", "cpu", "--no-blas-tuning", "--out", out, "--check-ranks", "1", *more]


def files(folder):
    return {name: (folder / name).read_bytes() for name in ("metrics.jsonl", "generator.safetensors",
                                                            "discriminator.safetensors")}


@pytest.mark.long
def test_stopped_and_continued_is_not_stopped_and_near_one_process(mpi, tmp_path):
    """With pools and batch norm; then continued by one process, and by four ranks."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = mpi(2, *arguments(whole, "--steps", "7"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights: ") == 1 and done.stdout.count("after the run: rank 0") == 1
    assert "after the run: rank 1" not in done.stdout
    assert json.loads((whole / "config.json").read_text())["ranks"] == 2
    assert mpi(2, *arguments(parts, "--steps", "4")).returncode == 0
    assert mpi(2, *arguments(parts, "--steps", "7", "--resume")).returncode == 0
    assert files(parts) == files(whole)
    command = [sys.executable, TRAINING, "--device", "cpu", "--no-blas-tuning", "--out", tmp_path / "alone"]
    alone = subprocess.run([*command, "--steps", "7"], capture_output=True, text=True, env=environment())
    assert alone.returncode == 0, alone.stderr
    for name in ("generator", "discriminator"):
        one, other = (load_weights(folder / f"{name}.safetensors") for folder in (whole, tmp_path / "alone"))
        for key in one:
            np.testing.assert_allclose(one[key], other[key], rtol=1e-5, atol=1e-6)
    assert mpi(4, *arguments(parts, "--steps", "9", "--resume")).returncode == 0
    assert len((parts / "metrics.jsonl").read_text().splitlines()) == 9


@pytest.mark.long
@pytest.mark.parametrize("fault, status, sentences", [
    ("raise", 1, ["rank 1 of 2:", "ValueError: a fault of this rank alone"]),
    ("kill", 9, []),
    ("nan", 2, ["error: step 4: d_loss is nan", "on rank 1: the networks have diverged"]),
    ("drift", 2, ["error: step 4: the weights of discriminator differ between ranks: "]),
    ("interrupt", 130, ["stopped (signal 2: ", "is saved after step 4)"])])
def test_a_fault_of_one_rank_ends_all(mpi, tmp_path, fault, status, sentences):
    """Checkpoints stay as they are: the run can be continued. Errors are told once."""
    start = time.monotonic()
    done = mpi(2, *arguments(tmp_path, "--steps", "9", "--checkpoint-every", "3", "--fault", f"{fault}:1:4"))
    assert time.monotonic() - start < 60
    assert done.returncode in (status, 128 + status)
    for sentence in sentences:
        assert done.stderr.count(sentence) == 1, done.stderr
    saved = Series(tmp_path / "checkpoints")
    assert saved.steps()[-1] == (4 if fault == "interrupt" else 3)
    assert saved.newest()[0]["step"] == saved.steps()[-1]


@pytest.mark.long
def test_a_nan_of_one_rank_rolls_all_back(mpi, tmp_path):
    """All ranks restore what the first one reads, and go on at half the learning rate."""
    done = mpi(2, *arguments(tmp_path, "--steps", "6", "--checkpoint-every", "3", "--fault", "nan:1:5", "--rollback"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("back to step 3, learning rate x 0.5") == 1
    assert steps_written(tmp_path) == 6


@pytest.mark.long
@pytest.mark.skipif(emulated.compiler() is None, reason="device emulated needs g++ (apt-get install g++)")
def test_ranks_of_the_emulated_device(mpi, tmp_path):
    """The CUDA kernels, joint batch norm included; the same losses as on the CPU, to rounding."""
    for device in ("emulated", "cpu"):
        done = mpi(2, *arguments(tmp_path / device, "--steps", "3", "--device", device))
        assert done.returncode == 0, done.stderr
    one, other = ([json.loads(line) for line in (tmp_path / device / "metrics.jsonl").read_text().splitlines()]
                  for device in ("emulated", "cpu"))
    for row, expected in zip(one, other, strict=True):
        assert row == pytest.approx(expected, rel=1e-4)


@pytest.mark.long
def test_ctrl_c_saves_once(tmp_path):
    """The launcher passes it on to all ranks; the exit status is that of an interrupted program."""
    if missing():
        pytest.skip(missing())
    command = [launcher(), "-n", "2", sys.executable, TRAINING, *arguments(tmp_path, "--steps", "100000")]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment(), start_new_session=True)
    end = time.monotonic() + 60
    while time.monotonic() < end and steps_written(tmp_path) < 3:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.count("; --resume continues") == 1 and error.count("stopped (signal 2") == 1, error
    step = int(re.search(r"is saved after step ([\d,]+)", error)[1].replace(",", ""))
    assert Series(tmp_path / "checkpoints").steps()[-1] == step == steps_written(tmp_path)


def steps_written(folder):
    with contextlib.suppress(OSError):
        return (folder / "metrics.jsonl").read_text().count("\n")
    return 0


@pytest.mark.long
def test_unequal_options_are_named(tmp_path):
    if missing():
        pytest.skip(missing())
    half = [sys.executable, TRAINING, *arguments(tmp_path, "--steps", "3")]
    command = [launcher(), "-n", "1", *half, ":", "-n", "1", *half, "--schedule", "linear"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("error: --schedule is constant on rank 0, but linear on rank 1 of 2: ") == 1, done.stderr
    assert not (tmp_path / "config.json").exists()


@pytest.mark.long
def test_more_ranks_than_images(mpi, tmp_path):
    done = mpi(2, *arguments(tmp_path, "--steps", "3", "--batch-size", "1"))
    assert done.returncode == 2 and "use a --batch-size of at least 2, or fewer ranks" in done.stderr


def test_without_a_launcher(tmp_path):
    launched = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
    plain = {name: value for name, value in environment().items() if name not in launched}
    done = subprocess.run([sys.executable, TRAINING, *map(str, arguments(tmp_path))], capture_output=True, text=True,
                          env=plain, timeout=60)
    assert done.returncode == 2
    assert "was not started by mpiexec or srun; run `mpiexec -n 2 python" in done.stderr
