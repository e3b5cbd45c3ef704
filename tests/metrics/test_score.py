"""All scores: of real digits, of a collapsed generator, of a run by command; and runs that cannot be scored."""

import json
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import minigan as mg
from minigan import models, trainers
from minigan.checkpoint import load_metadata, load_weights, save_weights
from minigan.commands import metrics as command_of_metrics
from minigan.errors import CheckpointError, DataError, ShapeError
from minigan.metrics import MEANINGS
from minigan.metrics.watch import Watch
from minigan.run import saved
from minigan.run.saved import load_generator

# not importorskip: the import takes 3 s
pytestmark = pytest.mark.skipif(find_spec("sklearn") is None, reason="neighbourhoods need scikit-learn")
EXAMPLE = Path(__file__).parents[2] / "examples" / "dcgan_mnist.py"


@pytest.mark.long
def test_real_digits_score_well_and_one_digit_does_not(scorer, digits):
    images = digits[0].images[1::8]  # not those that the scorer has
    real, collapsed = scorer(images), scorer(np.repeat(images[:1], 500, axis=0))
    assert tuple(real) == tuple(MEANINGS)
    assert real["modes"] == 10
    assert collapsed["modes"] == 1
    assert real["frechet"] < collapsed["frechet"] / 20
    assert abs(real["kid"]) < collapsed["kid"] / 50
    assert real["kl_to_uniform"] < 0.05
    assert collapsed["kl_to_uniform"] == pytest.approx(np.log(10))
    assert real["recall"] > 0.7 > 0.01 > collapsed["recall"]
    assert real["coverage"] > 0.8 > 0.1 > collapsed["coverage"]
    assert real["density"] == pytest.approx(1, abs=0.15)
    assert real["swd"] < collapsed["swd"] / 3
    assert real["nearest"] > 0.1
    quick = scorer.quick(images)
    assert quick == {name: real[name] for name in quick}


def test_copies_of_training_digits_are_noticed(scorer):
    assert scorer(scorer.training[:100])["nearest"] == pytest.approx(0, abs=1e-6)


def test_what_cannot_be_scored(scorer):
    with pytest.raises(ShapeError, match="too few"):
        scorer(np.zeros((9, 1, 28, 28), np.float32))
    with pytest.raises(DataError, match="NaN"):
        scorer(np.full((20, 1, 28, 28), np.nan, np.float32))


def test_the_best_weights_are_kept(scorer, tmp_path, monkeypatch):
    monkeypatch.setattr("minigan.metrics.watch.Scorer", lambda _: scorer)
    monkeypatch.setattr("minigan.metrics.watch.DRAWN", 50)
    trainer = trainers.GAN(*models.dcgan(1, 32, 8, 4), seed=0)
    watch = Watch(trainer)
    first = watch(tmp_path, 1)
    good = trainer.generator.state_dict()
    for p in trainer.generator.parameters():
        p.writable()[...] = 0  # grey pictures
    second = watch(tmp_path, 2)
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert rows == [{"step": 1, **first}, {"step": 2, **second}]
    best, name = (first, "1") if first["frechet"] <= second["frechet"] else (second, "2")
    assert load_metadata(tmp_path / "best.safetensors") == {"step": name, "frechet": repr(best["frechet"])}
    if name == "1":
        for key, array in load_weights(tmp_path / "best.safetensors").items():
            np.testing.assert_array_equal(array, good[key], err_msg=key)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, mnist_folder):
    """A run of three steps."""
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(EXAMPLE), "--smoke", "--device", "cpu", "--no-blas-tuning", "--width", "4",
                                    "--out", str(out), "--data", str(mnist_folder)])
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    return out


@pytest.fixture
def command(read, monkeypatch):
    """The command, with the classifier of the tests."""
    monkeypatch.setattr("minigan.metrics.scorer.digit_classifier", lambda *_: read)
    return command_of_metrics.main


@pytest.mark.long
def test_a_run_is_scored_by_command(trained, command, capsys):
    command([str(trained), "--images", "60", "--svm", "100"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in MEANINGS)
    saved = json.loads((trained / "scores.json").read_text())
    assert saved["weights"] == "averaged.safetensors"
    assert saved["scores"].keys() == MEANINGS.keys()
    assert saved["svm"].keys() == {"discriminator", "random", "pixels"}
    command([str(trained), "--images", "60", "--svm", "100"])
    assert json.loads((trained / "scores.json").read_text()) == saved


def test_images_do_not_depend_on_the_batch(trained, monkeypatch):
    generator = load_generator(trained)
    one = generator.draw(20, 3)
    monkeypatch.setattr(saved, "BATCH", 7)
    np.testing.assert_allclose(generator.draw(20, 3), one, atol=1e-5)
    assert not np.array_equal(generator.draw(20, 4), one)


@pytest.mark.parametrize("damage, words", [
    ("no folder", "no such folder"),
    ("no config", "config.json is missing"),
    ("config", "damaged"),
    ("option", "latent is missing"),
    ("no weights", "weights are missing"),
    ("weights", "truncated"),
    ("other", "do not fit the options"),
    ("nonsense", "make no generator"),
])
def test_a_damaged_run_says_what_is_missing(trained, tmp_path, damage, words):
    run = tmp_path / "run"
    if damage != "no folder":
        run.mkdir()
    if damage not in ("no folder", "no config"):
        config = json.loads((trained / "config.json").read_text())
        if damage == "option":
            del config["options"]["latent"]
        if damage == "nonsense":
            config["options"]["size"] = 33
        (run / "config.json").write_text(json.dumps(config)[: 50 if damage == "config" else None])
    if damage in ("weights", "other", "nonsense"):
        weights = (trained / "averaged.safetensors").read_bytes()
        (run / "averaged.safetensors").write_bytes(weights[: len(weights) // 2 if damage == "weights" else None])
    if damage == "other":
        generator, _ = models.dcgan(1, 28, 100, 4)
        save_weights(run / "averaged.safetensors", generator.state_dict())
    with pytest.raises((DataError, CheckpointError), match=words):
        load_generator(run)


def test_a_seed_draws_the_same_images_whatever_mg_seed_says(trained):
    generator = load_generator(trained)
    mg.seed(1)
    one = generator.draw(3, 0)
    mg.seed(2)
    np.testing.assert_array_equal(generator.draw(3, 0), one)
