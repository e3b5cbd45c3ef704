"""However a session ends, what was learnt is saved: signals, closed terminals and pipes, errors in a user's code."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, report, run, trainers
from minigan.checkpoint import Series
from minigan.run import session, signals

SCRIPT = Path(__file__).parents[2] / "examples" / "dcgan_mnist.py"
SMALL = ["--width", "4", "--batch-size", "20", "--device", "cpu", "--checkpoint-every", "5", "--no-blas-tuning"]
posix = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals between processes are POSIX's")


@pytest.fixture(autouse=True)
def _without_curves(monkeypatch):
    monkeypatch.setattr(report, "loss_curves", lambda rows, path: None)


class Interrupted(trainers.GAN):
    """A GAN whose update calls `hook(step)` in the middle of each step."""

    hook = staticmethod(lambda step: None)

    def update(self, batch, plan=None):
        self.hook(self.steps + 1)
        return super().update(batch, plan)


def trained(out, *arguments, hook=lambda step: None, **more):
    """Seven steps in this process, as a notebook trains."""
    mg.seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (22, 1, 28, 28), np.uint8)
    images = data.ImageData(pixels, np.zeros(22, np.uint8), "noise", "22 images of noise")
    length = [] if "--budget" in arguments else ["--steps", "7"]
    arguments = ["--out", str(out), "--batch-size", "4", *length, *arguments]
    options = run.options("", arguments, name="x", scored=True, latent=4)
    trainer = Interrupted(*models.dcgan(1, 28, 4, 4))
    trainer.hook = hook
    if not more:
        return run.train(trainer, images, options)
    grid = report.grid(images.images, 8)
    loader = data.Loader(images.images, 4, seed=options.seed)
    return run.fit(trainer, loader, options, images, reals=grid, sheet=lambda: lambda: grid, **more)


def at(step, *numbers):
    """A hook that sends these signals to this process in the middle of a step."""
    def hook(now):
        if now == step:
            for number in numbers:
                os.kill(os.getpid(), number)
    return hook


def steps_saved(folder):
    return max(Series(folder / "checkpoints").steps())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "loss_curves", lambda rows, path: None)
        trained(out)
    return out


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_in_a_program_that_only_imports_minigan(name, whole, tmp_path, capsys):
    """As in a notebook: the step is finished and saved, KeyboardInterrupt is raised, and resuming loses nothing."""
    number, before = getattr(signal, name), [signal.getsignal(number) for number in signals.SIGNALS]
    with pytest.raises(KeyboardInterrupt, match="is saved after step 3") as stop:
        trained(tmp_path / "run", hook=at(3, number))
    assert isinstance(stop.value, signals.Stopped) and len(stop.traceback) <= 8
    assert steps_saved(tmp_path / "run") == 3 and "--resume continues" in capsys.readouterr().err
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before and signals.pending() is None
    trained(tmp_path / "run", "--resume")
    for file in ("metrics.jsonl", "generator.safetensors", "samples/step_000007.png"):
        assert (tmp_path / "run" / file).read_bytes() == (whole / file).read_bytes(), file


@posix
def test_a_second_ctrl_c_in_a_notebook_stops_at_once(tmp_path):
    with pytest.raises(KeyboardInterrupt) as stop:
        trained(tmp_path / "run", hook=at(3, signal.SIGINT, signal.SIGINT))
    assert type(stop.value) is KeyboardInterrupt and steps_saved(tmp_path / "run") == 0


@posix
@pytest.mark.parametrize("numbers", [("SIGHUP", "SIGHUP"), ("SIGHUP", "SIGTERM"), ("SIGTERM", "SIGHUP")])
def test_a_terminal_that_closes_sends_several_signals(numbers, tmp_path):
    """A shell and systemd each send theirs; the step is finished all the same."""
    with pytest.raises(signals.Stopped):
        trained(tmp_path / "run", hook=at(3, *(getattr(signal, name) for name in numbers)))
    assert steps_saved(tmp_path / "run") == 3


@posix
@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_a_handler_of_the_users_stays_and_nohup_trains_on(handler, whole, tmp_path):
    before = signal.signal(signal.SIGHUP, handler)
    try:
        trained(tmp_path / "run", hook=at(3, signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (tmp_path / "run" / "generator.safetensors").read_bytes() == (whole / "generator.safetensors").read_bytes()


def test_an_error_in_a_score_loses_no_step(tmp_path, capsys):
    def score(folder, step):
        if step == 4:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        trained(tmp_path / "run", "--score-every", "2", score=score)
    assert steps_saved(tmp_path / "run") == 4
    assert "saved after step 4 of 7; --resume continues" in capsys.readouterr().err
    trained(tmp_path / "run", "--resume", "--score-every", "2", score=lambda folder, step: None)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [*range(1, 8)]


def test_an_error_in_the_middle_of_a_step_leaves_the_last_checkpoint(tmp_path):
    def hook(step):
        if step == 4:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        trained(tmp_path / "run", hook=hook)
    assert steps_saved(tmp_path / "run") == 0 and (tmp_path / "run" / "generator.safetensors").exists()


def test_a_budget_is_kept_on_a_machine_that_slows_down(tmp_path, monkeypatch, capsys):
    """From step 3 on the clock says that the time is up: the run ends there, with all that belongs to its end."""
    clock = time.monotonic
    late = []
    monkeypatch.setattr("minigan.run.loop.planned_steps", lambda *given: 7)
    monkeypatch.setattr(session.time, "monotonic", lambda: clock() + 1e6 * bool(late))
    arguments = ["--budget", "1h", "--schedule", "linear"]
    out = tmp_path / "run"
    trained(out, *arguments, hook=lambda step: late.append(step) if step == 3 else None)
    assert steps_saved(out) == 3 and (out / "samples" / "step_000003.png").exists() and (out / "report.html").exists()
    assert "the time of --budget is up after 3 of the 7 steps planned" in capsys.readouterr().err
    trained(out, *arguments, "--resume")
    assert steps_saved(out) == 7


def test_a_picture_that_cannot_be_drawn_does_not_end_a_finished_run(tmp_path, monkeypatch, capsys):
    def broken(rows, path):
        raise ZeroDivisionError("of a drawing package")

    monkeypatch.setattr(report, "loss_curves", broken)
    trained(tmp_path / "run")
    printed = capsys.readouterr()
    assert "curves.png is not up to date: ZeroDivisionError: of a drawing package" in printed.err
    assert "weights: generator" in printed.out and (tmp_path / "run" / "report.html").exists()


@posix
def test_output_that_nobody_reads(tmp_path):
    """`python examples/dcgan_mnist.py | head` trains to the end."""
    command = [sys.executable, str(SCRIPT), "--smoke", *SMALL, "--out", str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 0 and b"rror" not in errors, errors
    assert (tmp_path / "run" / "report.html").exists() and steps_saved(tmp_path / "run") == run.SMOKE_STEPS


@posix
def test_a_closed_terminal(tmp_path):
    """The run has a terminal of its own, which goes away: it saves and ends with 128 + SIGHUP."""
    child, terminal = os.forkpty()
    if not child:  # the new process, whose terminal it is
        with contextlib.suppress(BaseException):
            os.execv(sys.executable, [sys.executable, str(SCRIPT), "--steps", "5000", *SMALL, "--out",
                                      str(tmp_path / "run")])
        os._exit(1)
    while max(Series(tmp_path / "run" / "checkpoints").steps(), default=0) < 10:
        os.read(terminal, 4096)  # blocks until there is output: the progress bar
    before = steps_saved(tmp_path / "run")
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGHUP
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == steps_saved(tmp_path / "run") >= before
