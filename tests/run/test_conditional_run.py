"""A run of a conditional GAN: its grid, its generator by one call, the commands, data without labels."""

import json

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, report, run, trainers
from minigan.__main__ import main
from minigan.errors import DataError, OptionError

LABELS = (np.arange(20) % 4).astype(np.uint8)


def images(labels=LABELS):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28), np.uint8)
    return data.ImageData(pixels, labels, "noise", "20 images of noise")


def options(out, *arguments):
    first = ["--out", str(out), "--batch-size", "4", "--steps", "4", "--conditional", "labels"]
    return run.options("", [*first, *arguments], name="x", size=28, upsample="upconv", latent=5, width=4,
                       **run.condition_options())


def trained(out, *arguments, labels=LABELS):
    given = options(out, *arguments)
    digits, condition = run.conditioned(images(labels), given)
    run.train(trainers.GAN(*models.dcgan(1, 28, 5, 4, labels=condition)), digits, given)
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # without curves, which take a third of a second
        patch.setattr(report, "loss_curves", lambda rows, path: None)
        yield trained(tmp_path_factory.mktemp("runs") / "a")


def test_the_grid_has_a_row_per_label_and_a_column_per_noise(folder, tmp_path):
    generator = mg.load_generator(folder)
    assert generator.classes == 4
    z = mg.random.Stream(0, "samples").normal((10, 5))
    expected = report.grid(np.concatenate([generator(z, np.full(10, label)) for label in range(4)]), 10)
    report.save_png(expected, tmp_path / "expected.png", scale=2)
    assert (folder / "samples" / "step_000004.png").read_bytes() == (tmp_path / "expected.png").read_bytes()
    assert "A row per label, 0 to 3" in json.loads((folder / "config.json").read_text())["caption"]


def test_the_commands_draw_every_label_or_the_one_asked_for(folder, tmp_path, capsys):
    main(["sample", str(folder), "-n", "3", "--label", "2", "--out", str(tmp_path / "two")])
    generator = mg.load_generator(folder)
    drawn = generator(generator.noise(3), np.full(3, 2))
    report.save_png(report.grid(drawn[:1], pad=0), tmp_path / "first.png")
    assert (tmp_path / "two" / "000000.png").read_bytes() == (tmp_path / "first.png").read_bytes()
    assert {*generator.labels(8)} == {0, 1, 2, 3}
    np.testing.assert_array_equal(generator.draw(8), generator(generator.noise(8), generator.labels(8)))
    main(["latent", str(folder), "interpolate", "--rows", "2", "--columns", "3", "--out", str(tmp_path / "i.png")])
    with pytest.raises(OptionError, match="--label 4: .* draws the labels 0 to 3"):
        main(["sample", str(folder), "--label", "4"])
    for tool in ("arithmetic", "unit"):
        with pytest.raises(OptionError, match="the label decides which digit this run draws"):
            main(["latent", str(folder), tool])
    with pytest.raises(OptionError, match="its discriminator is conditional"):
        main(["latent", str(folder), "guided"])


def test_a_label_of_a_run_without_labels_is_an_error(tmp_path):
    given = run.options("", ["--out", str(tmp_path / "b"), "--batch-size", "4", "--steps", "1"], name="x", size=28,
                        upsample="upconv", latent=5, width=4)
    run.train(trainers.GAN(*models.dcgan(1, 28, 5, 4)), images(), given)
    with pytest.raises(OptionError, match="is not conditional; train with --conditional labels"):
        main(["sample", str(tmp_path / "b"), "--label", "4"])


def test_a_stopped_and_continued_run_has_the_same_weights(folder, tmp_path):
    trained(tmp_path / "c", "--steps", "2")
    trained(tmp_path / "c", "--steps", "4", "--resume")
    for name in ("generator", "discriminator"):
        assert (tmp_path / "c" / f"{name}.safetensors").read_bytes() == (folder / f"{name}.safetensors").read_bytes()


def test_data_without_labels_are_refused_and_clusters_named(tmp_path):
    for labels in (data.images.NO_LABELS, np.zeros(20, np.uint8)):
        with pytest.raises(DataError, match="noise has no labels.*--conditional clusters finds groups"):
            run.conditioned(images(labels), options(tmp_path / "d"))
    trainer = trainers.GAN(*models.dcgan(1, 28, 5, 4, labels=LABELS))
    with pytest.raises(DataError, match="has no labels .*, which the conditional GAN needs"):
        run.train(trainer, images(data.images.NO_LABELS), options(tmp_path / "d"))
    assert not (tmp_path / "d").exists()


@pytest.mark.long
def test_clusters_of_images_without_labels_are_the_condition(tmp_path):
    given = options(tmp_path / "e", "--conditional", "clusters", "--clusters", "3", "--smoke")
    pixels = np.random.default_rng(1).integers(0, 256, (70, 1, 28, 28), np.uint8)
    bare = data.ImageData(pixels, data.images.NO_LABELS, "noise", "70 images of noise")
    digits, condition = run.conditioned(bare, given)
    run.train(trainers.GAN(*models.dcgan(1, 28, 5, 4, labels=condition)), digits, given)
    assert mg.load_generator(tmp_path / "e").classes == 3
    np.testing.assert_array_equal(run.conditioned(bare, given)[1], condition)
    assert "3 clusters of " in json.loads((tmp_path / "e" / "config.json").read_text())["data"][0]["source"]
