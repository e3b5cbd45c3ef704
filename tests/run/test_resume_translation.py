"""CycleGAN with pools, pix2pix with dropout, ComboGAN with random domains, a codec: stopped and resumed, same bytes."""

import numpy as np
import pytest
from test_resume import _without_curves, assert_same, spoil  # noqa: F401  # the first is a fixture

import minigan as mg
from minigan import data, models, report, run, trainers

SIZE = 16


def pictures(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 1, SIZE, SIZE), np.uint8)


def judge(channels):
    return models.PatchDiscriminator(channels, 4, 1, "instance")


def cyclegan():
    domains = pictures(7, 0), pictures(5, 1)
    generators = [models.ResnetGenerator(1, 1, 4, 1, "instance", "upconv") for _ in "ab"]
    trainer = trainers.CycleGAN(*generators, judge(1), judge(1), pool=3, ema=0.9, seed=1)
    return trainer, data.Unpaired(*domains, batch_size=2, seed=1), lambda x: trainer.translate(x, "ab")


def pix2pix():
    trainer = trainers.Pix2Pix(models.UnetGenerator(1, 1, 4, 2, dropout=0.5), judge(2))
    return trainer, data.paired(pictures(7, 0), pictures(7, 1), 2, seed=1), trainer.translate


def combogan():
    domains = [pictures(n, n) for n in (7, 5, 4)]
    trainer = trainers.ComboGAN([models.ResnetEncoder(1, 4, 1, "instance") for _ in domains],
                                [models.ResnetDecoder(1, 4, 1, "instance", "upconv") for _ in domains],
                                [judge(1) for _ in domains], pool=3, seed=1)
    return trainer, data.Unpaired(*domains, batch_size=2, seed=1), lambda x: trainer.translate(x, 0, 2)


def codec():
    trainer = trainers.Codec(*models.codec(1, 4, 2, 5, 2, 1), judge(1))
    return trainer, data.Loader(pictures(7, 0), 2, seed=1), trainer.translate


def trained(make, out, *arguments, spoiled=False):
    options = run.options("", ["--out", str(out), "--batch-size", "2", *arguments], name="x")
    trainer, batches, translate = make()
    if spoiled:
        spoil(trainer)
        mg.random.default.normal(3)
    shown = data.scaled(pictures(2, 9))

    def sheet():
        made = report.rows(shown, translate(shown))
        return lambda: made

    run.fit(trainer, batches, options, reals=report.rows(shown), sheet=sheet)


@pytest.mark.long
@pytest.mark.parametrize("make", [cyclegan, pix2pix, combogan, codec])
def test_stopped_and_continued_is_not_stopped(tmp_path, make):
    """In the middle of an epoch, with pools half full."""
    trained(make, tmp_path / "whole", "--steps", "8")
    trained(make, tmp_path / "parts", "--steps", "5")
    (tmp_path / "parts" / "samples" / "step_000005.png").unlink()  # written at the end of the shorter run
    trained(make, tmp_path / "parts", "--steps", "8", "--resume", spoiled=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")
