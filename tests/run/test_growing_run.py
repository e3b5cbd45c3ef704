"""A run of progressive growing, ended in the middle or at its end: its generator by one call, and the commands."""

import json

import numpy as np
import pytest

import minigan as mg
from minigan import data, report, run, trainers
from minigan.__main__ import main
from minigan.errors import DataError, OptionError

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 3, 8, 8), np.uint8)


def trained(out, steps):
    """4x4 for two steps, a fade to 8x8 for two, two more."""
    images = data.ImageData(PIXELS, np.zeros(16, np.uint8), "noise", "16 images of noise")
    options = run.options("", ["--out", str(out), "--batch-size", "4", "--steps", str(steps)], name="x", size=8,
                          row="g", width=4, flat=8, latent=run.option(int, ""))
    row = trainers.growth_row("g")
    networks = row.networks_of(3, 8, width=4, flat=8)
    trainer = row.trainer(*networks, ema=0.5, fade_images=8, stable_images=8, batch_size=4)
    return run.train(trainer, images, options), trainer


@pytest.mark.parametrize("steps, side", [(1, 4), (3, 8), (6, 8)])
def test_the_generator_draws_what_the_trainer_draws(steps, side, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "loss_curves", lambda rows, path: None)
    folder, trainer = trained(tmp_path / "a", steps)
    generator = mg.load_generator(folder)
    drawn = generator.draw(5, seed=1)
    assert drawn.shape == (5, 3, side, side)
    blocks = 8 // side  # the trainer enlarges what it draws
    if steps == 3:  # in a fade: as the networks were in the last step, alpha 0
        trainer.clock.steps -= 1
    np.testing.assert_array_equal(drawn.repeat(blocks, 2).repeat(blocks, 3), trainer.sample(generator.noise(5, 1)))


def test_commands_and_what_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "loss_curves", lambda rows, path: None)
    folder, _ = trained(tmp_path / "a", 6)
    main(["sample", str(folder), "-n", "2", "--out", str(tmp_path / "grid.png")])
    assert (tmp_path / "grid.png").stat().st_size > 100
    main(["latent", str(folder), "interpolate", "--rows", "1", "--columns", "3", "--out", str(tmp_path / "i.png")])
    with pytest.raises(OptionError, match="layers of a DCGAN, and this run's networks grow"):
        from minigan.run.latent import units

        units.switched_off(mg.load_generator(folder).network, np.zeros((1, 4), np.float32), 0)
    with pytest.raises(OptionError, match="progressive growing"):
        run.saved.load_discriminator(folder, mg.load_generator(folder).options)
    config = json.loads((folder / "config.json").read_text())
    for name, value, words in (("flat", "8", "options.flat"), ("row", "z", "'z' is not one of"),
                               ("row", 3, "options.row"), ("width", 5, "do not fit"), ("size", 12, "power of two")):
        (folder / "config.json").write_text(json.dumps({**config, "options": {**config["options"], name: value}}))
        with pytest.raises((DataError, mg.errors.CheckpointError), match=words):
            mg.load_generator(folder)
