"""A run that grows, stopped in a fade and continued, or killed: the same bytes in every file."""

import numpy as np
import pytest
from test_resume import _without_curves, assert_same, spoil  # noqa: F401  # the first is a fixture

import minigan as mg
from minigan import data, report, run, trainers
from minigan.run.plan import steps_within


def trained(out, *arguments, spoiled=False):
    """4x4: 2 steps, a fade of 4, 8x8; two batches of 2 images per step at 4x4; seven images are three batches."""
    options = run.options("", ["--out", str(out), "--batch-size", "2", *arguments], name="x")
    row = trainers.growth_row("g")
    trainer = row.trainer(*row.networks_of(1, 8, width=4), batch_size=2, minibatch={4: 4}, fade_images=8,
                          stable_images=8, ema=0.9, seed=options.seed)
    if spoiled:
        spoil(trainer)
        mg.random.default.normal(3)
    pixels = np.random.default_rng(0).integers(0, 256, (7, 1, 8, 8), np.uint8)
    z = np.ones((4, 4), np.float32)

    def sheet():
        drawn = trainer.sample_later(z)
        return lambda: report.grid(drawn())

    run.fit(trainer, data.Loader(pixels, 2, seed=1), options, reals=np.zeros((2, 2), np.uint8), sheet=sheet)
    return trainer


@pytest.mark.long
@pytest.mark.parametrize("stop", [2, 4, 6])
def test_stopped_and_continued_is_not_stopped(tmp_path, stop):
    """Before the fade, in its middle, at its end."""
    whole = trained(tmp_path / "whole", "--steps", "8")
    assert [phase.name for phase in whole.phases] == ["4x4", "8x8 fade", "8x8"] and whole.phases[1][3:5] == (2, 4)
    trained(tmp_path / "parts", "--steps", str(stop))
    (tmp_path / "parts" / "samples" / f"step_{stop:06d}.png").unlink(missing_ok=True)  # written at its end
    trained(tmp_path / "parts", "--steps", "8", "--resume", spoiled=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.long
def test_a_rehearsal_is_undone(tmp_path):
    """--budget measures some steps, which may reach a fade; then all is as before them."""
    row = trainers.growth_row("g")
    first, second = (row.trainer(*row.networks_of(1, 8, width=4), batch_size=2, fade_images=4, stable_images=4)
                     for _ in "ab")
    loader = data.Loader(np.zeros((7, 1, 8, 8), np.uint8), 2)
    second.load_state_dict(first.state_dict())
    steps_within(0.01, first, loader)
    assert (first.clock.steps, loader.position) == (0, 0)
    x = mg.random.uniform((2, 1, 8, 8), seed=4)
    assert [first.step(x) for _ in range(4)] == [second.step(x) for _ in range(4)]
