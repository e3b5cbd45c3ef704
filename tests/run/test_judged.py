"""judged.jsonl: what the discriminator makes of real pictures and of the sample grid, while a run goes on."""

import json

import numpy as np

import minigan as mg
from minigan import data, models, run, trainers
from minigan.checkpoint import load_weights
from minigan.random import Stream
from minigan.run import loop


def trained(folder, *arguments, steps):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 1, 28, 28), np.uint8)
    images = data.ImageData(pixels, np.zeros(16, np.uint8), "noise", "16 images of noise")
    options = run.options("", ["--out", str(folder), "--batch-size", "4", "--steps", str(steps), *arguments], name="x",
                          size=28, upsample="upconv", latent=5, width=4)
    mg.seed(0)
    trainer = trainers.GAN(*models.dcgan(1, 28, 5, 4), ema=0.9)
    run.train(trainer, images, options)
    rows = [json.loads(line) for line in (folder / "judged.jsonl").read_text().splitlines()]
    return rows, data.scaled(pixels), trainer


def test_rows_are_ds_outputs_and_a_resumed_run_has_the_same(tmp_path):
    rows, real, trainer = trained(tmp_path / "a", steps=4)
    assert [row["step"] for row in rows] == [0, 4]
    _, judge = models.dcgan(1, 28, 5, 4)
    judge.load_state_dict(load_weights(tmp_path / "a" / "discriminator.safetensors"))
    fake = mg.load_generator(tmp_path / "a")(Stream(0, "samples").normal((loop.SAMPLES, 5)))
    with mg.no_grad():
        for key, images in (("real", real), ("fake", fake)):
            logits = judge.eval()(mg.tensor(images)).numpy().ravel()
            np.testing.assert_allclose(rows[-1][key], logits, rtol=2e-3, atol=1e-4)  # four digits are kept
    trained(tmp_path / "b", steps=2)
    resumed, _, _ = trained(tmp_path / "b", "--resume", steps=4)
    assert [row["step"] for row in resumed] == [0, 2, 4] and [resumed[0], resumed[2]] == rows
    assert trainer.discriminator.training  # as before it was asked
