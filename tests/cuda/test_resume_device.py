"""A run on a device, stopped and continued: the same bytes, although it captured its step twice."""

import numpy as np
import pytest
from test_capture import digits, flat, on, tiny_gan  # noqa: F401  # a fixture

import minigan as mg
from minigan import report, run
from minigan.checkpoint import Series
from minigan.data import Loader
from minigan.engine import device as devices
from minigan.teach.explain import subjects


def train(out, steps, **options):
    run_options = run.RunOptions(out=out, steps=steps, batch_size=4, **options)
    trainer = tiny_gan(ema=0.9)
    z = np.ones((4, 3), np.float32)

    def sheet():
        drawn = trainer.sample_later(z)
        return lambda: report.grid(drawn())

    loader = Loader(digits(), 4, seed=3).to(devices.default())
    run.fit(trainer, loader, run_options, reals=np.zeros((2, 2), np.uint8), sheet=sheet)
    return Series(out / "checkpoints").newest()[0]


def test_stopped_and_continued(on, tmp_path, monkeypatch):  # noqa: F811
    """Both parts capture their own graph, the whole run captures one; epochs of 6 steps end during the run."""
    monkeypatch.setattr(report, "loss_curves", lambda rows, path: None)
    whole = train(tmp_path / "whole", 9)
    train(tmp_path / "parts", 5)
    parts = train(tmp_path / "parts", 9, resume=True)
    parts_of = ("trainer", "batches", "default")
    one, other = (dict(flat({key: state[key] for key in parts_of})) for state in (whole, parts))
    assert one.keys() == other.keys()
    assert [key for key in one if one[key].tobytes() != other[key].tobytes()] == []
    assert (tmp_path / "whole" / "metrics.jsonl").read_bytes() == (tmp_path / "parts" / "metrics.jsonl").read_bytes()


@pytest.mark.long
def test_a_step_is_explained_on_a_device(device):
    mg.set_device(device.name)
    assert "d_loss" in subjects.find("dcgan").markdown()
