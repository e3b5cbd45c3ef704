"""The progress of a run and the planning of its length; neither changes the run."""

import argparse
import struct

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, report, run, trainers
from minigan.errors import OptionError
from minigan.run.plan import MOST, steps_within
from minigan.trainers import Progress


@pytest.fixture(autouse=True)
def _without_curves(monkeypatch):
    monkeypatch.setattr(report, "loss_curves", lambda rows, path: None)


@pytest.fixture
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (22, 1, 28, 28), np.uint8)
    return data.ImageData(pixels, np.zeros(22, np.uint8), "noise", "22 images of noise")


def trained(images, out, *arguments):
    mg.seed(0)
    options = run.options("", ["--out", str(out), "--batch-size", "4", *arguments], name="x", latent=4)
    return run.train(trainers.GAN(*models.dcgan(1, 28, 4, 4), ema=0.9), images, options)


def flat(state):
    for key, value in state.items():
        yield from ((f"{key}.{name}", v) for name, v in flat(value)) if isinstance(value, dict) else [(key, value)]


def test_a_rehearsal_leaves_no_trace(images):
    trainer, loader = trainers.GAN(*models.dcgan(1, 28, 4, 4), ema=0.9), data.Loader(images, 4)
    next(loader)
    parts = (trainer, loader, mg.random.default)
    before = [{key: np.array(value) for key, value in flat(part.state_dict())} for part in parts]
    assert steps_within(1e-6, trainer, loader) == 1
    assert steps_within(1e5, trainer, loader) > MOST
    for part, state in zip(parts, before, strict=True):
        now = dict(flat(part.state_dict()))
        assert now.keys() == state.keys() and all(np.array_equal(now[key], value) for key, value in state.items())


def test_a_budget_is_so_many_steps(images, tmp_path, monkeypatch):
    """The run is the one that --steps with the planned number gives, including its schedule."""
    monkeypatch.setattr("minigan.run.plan.steps_within", lambda *given: steps_within(*given) and 5)
    trained(images, tmp_path / "budget", "--budget", "1min", "--schedule", "linear")
    trained(images, tmp_path / "steps", "--steps", "5", "--schedule", "linear")
    for name in ("metrics.jsonl", "generator.safetensors"):
        assert (tmp_path / "budget" / name).read_bytes() == (tmp_path / "steps" / name).read_bytes()
    trained(images, tmp_path / "budget", "--resume")  # at its end: nothing is planned again
    with pytest.raises(OptionError, match="--budget plans the number of steps"):
        trained(images, tmp_path / "both", "--budget", "1min", "--steps", "5")


@pytest.mark.parametrize("text", ["soon", "0s", "-1min", "1e999h", "10 years"])
def test_no_time(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a time such as"):
        run.duration(text)


def test_plain_lines_without_a_terminal(tmp_path, capsys):
    log = run.Log(tmp_path, 1000, 64)
    for step in range(1, 51):
        log(Progress(step, {"d_loss": 0.25}, step * 0.5))
    log.close()
    output = capsys.readouterr().err.splitlines()
    assert output[0].startswith("step 1 of 1,000, 8:20 left, 128 images/s") and output[0].endswith("D 0.250")
    assert output[1].startswith("about 8:10 for 980 more steps of 500 ms, in ") and "\r" not in "".join(output)
    assert [line.split(",")[0] for line in output[2:]] == ["step 31 of 1"]  # one line per 15 seconds
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 50


def test_steps_that_are_reported_together_are_not_taken_for_steps_of_no_time(tmp_path, capsys):
    """A CUDA graph's: 40 at once, each block a fifth of a second after the one before."""
    log = run.Log(tmp_path, 1000, 64)
    for step in range(1, 121):
        log(Progress(step, {"d_loss": 0.25}, (step - 1) // 40 * 0.2))
    log.close()
    lines = [line for line in capsys.readouterr().err.splitlines() if "more steps" in line]
    assert [line.split(",")[0] for line in lines] == ["about 0:05 for 959 more steps of 5 ms"]  # 0.2 s for 40 steps


def test_tensorboard(images, tmp_path):
    """Event files, decoded record by record: length, checksum, an event as protocol buffer, checksum."""
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: no event files")
    from tensorboardX.proto.event_pb2 import Event

    trained(images, tmp_path / "run", "--steps", "3", "--tensorboard")
    path, = (tmp_path / "run" / "tensorboard").iterdir()
    raw, events = path.read_bytes(), []
    while raw:
        length, = struct.unpack("<Q", raw[:8])
        events.append(Event.FromString(raw[12 : 12 + length]))
        raw = raw[16 + length :]
    values = [(event.step, value.tag, value) for event in events for value in event.summary.value]
    rows = report.read_rows(tmp_path / "run" / "metrics.jsonl")
    losses = [(step, value.simple_value) for step, tag, value in values if tag == "d_loss"]
    assert losses == [(row["step"], np.float32(row["d_loss"])) for row in rows]
    assert [step for step, tag, value in values if value.HasField("image")] == [0, 3]


def test_tensorboard_without_its_package(images, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ModuleNotFoundError, match="minigan\\[tensorboard\\]"):
        trained(images, tmp_path / "run", "--steps", "3", "--tensorboard")
    assert not (tmp_path / "run").exists()


def test_a_bar_on_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    log = run.Log(tmp_path, 4, 64, done=1)
    log(Progress(2, {"d_loss": 0.25}, 0.5))
    log.rewind(1)  # a roll-back
    for step in (2, 3, 4):
        log(Progress(step, {"d_loss": 0.25}, step * 0.5))
    log.close()
    last = capsys.readouterr().err.split("\r")[-1]
    assert "4/4" in last and "images/s" in last and "MiB" in last and "D 0.250" in last
