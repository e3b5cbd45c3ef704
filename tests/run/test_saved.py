"""A finished run: its generator by one call, lists and curves of several runs."""

import base64
import json
import re
import shutil

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, report, run, trainers
from minigan.__main__ import main
from minigan.checkpoint import load_weights
from minigan.errors import DataError, OptionError, ShapeError
from minigan.run.saved import load_discriminator


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two short runs, of a DCGAN and a WGAN, in folders with these names."""
    folder = tmp_path_factory.mktemp("runs")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 1, 28, 28), np.uint8)
    images = data.ImageData(pixels, np.zeros(16, np.uint8), "noise", "16 images of noise")
    common = {"size": 28, "upsample": "upconv", "latent": 5, "width": 4}
    for name, extra in (("dcgan", {"loss": "non_saturating", "norm": "auto"}), ("wgan", {"lipschitz": "gp"})):
        options = run.options("", ["--out", str(folder / name), "--batch-size", "4", "--steps", "6"], name="x",
                              **common, **extra)
        norm = "batch" if name == "dcgan" else "none"
        pair = models.dcgan(1, 28, 5, 4, norm=norm)
        trainer = trainers.GAN(*pair, ema=0.9) if name == "dcgan" else trainers.WGAN(*pair, n_critic=1)
        run.train(trainer, images, options)
    return folder


def test_a_generator_by_one_call(runs):
    generator = mg.load_generator(runs / "dcgan")
    images = generator.draw(7, seed=3)
    assert images.shape == (7, 1, 28, 28) and images.dtype == np.float32 and np.abs(images).max() <= 1
    assert generator.weights == "averaged.safetensors"
    np.testing.assert_allclose(generator(generator.noise(7, 3)[2:4]), images[2:4], atol=1e-6)  # independent of others
    mg.seed(5)
    np.testing.assert_array_equal(mg.load_generator(runs / "dcgan").draw(7, seed=3), images)
    assert not np.array_equal(generator.draw(7, seed=4), images)
    with pytest.raises(ShapeError, match=r"noise is \(N, 5\) for this run, not \(2, 6\)"):
        generator(np.zeros((2, 6)))
    with pytest.raises(DataError, match="no such folder"):
        mg.load_generator(runs / "none")


@pytest.mark.parametrize("loss, width", [("non_saturating", 4), ("hinge_spectral", 1)])
def test_a_run_on_coloured_images_and_who_made_them(tmp_path, capsys, loss, width):
    """Its networks have three channels, which no option says; the credit is printed and kept."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32), np.uint8)
    images = data.ImageData(pixels, np.zeros(0, np.uint8), "noise", "8 images", credit="by A & B, CC BY-SA")
    options = run.options("", ["--out", str(tmp_path), "--batch-size", "4", "--steps", "2"], name="x", size=32,
                          upsample="deconv", latent=5, width=width, loss=loss, norm="auto")
    recipe = trainers.recipe(loss)
    trainer = recipe.trainer(*models.dcgan(3, 32, 5, width, "deconv", recipe.norm))
    run.train(trainer, images, options)
    generator = mg.load_generator(tmp_path)
    np.testing.assert_array_equal(generator.draw(2), trainer.sample(generator.noise(2)))
    judge = load_discriminator(tmp_path, generator.options)
    for name, array in trainer.discriminator.state_dict().items():
        np.testing.assert_array_equal(judge.state_dict()[name], array)
    assert capsys.readouterr().out.splitlines()[1:3] == ["8 images", "by A & B, CC BY-SA"]
    with pytest.raises(ShapeError, match=r"images \(1, 3, 32, 32\) must be digits"):
        main(["metrics", str(tmp_path)])
    assert run.read_config(tmp_path)["data"][0]["credit"] == "by A & B, CC BY-SA"
    page = report.report_page(tmp_path).read_text()
    assert "<th>credit</th><td>by A &amp; B, CC BY-SA</td>" in page
    assert "<figcaption>Real images. by A &amp; B, CC BY-SA</figcaption>" in page
    broken = json.loads((tmp_path / "config.json").read_text())
    broken["data"][0]["credit"] = 1
    (tmp_path / "config.json").write_text(json.dumps(broken))
    with pytest.raises(DataError, match=r"damaged: data\[0\]\.credit is 1; expected text"):
        run.read_config(tmp_path)


@pytest.mark.parametrize("name", ["dcgan", "wgan"])
def test_pytorch_draws_the_same_images_from_the_same_weights(runs, name):
    """The twin is built here from PyTorch's layers; it reads our file with safetensors.torch."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: no twin to compare with")
    from safetensors.torch import load_file

    class UpConv2d(torch.nn.Conv2d):
        def forward(self, x):
            return super().forward(torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest"))

    layers = torch.nn.Sequential(
        torch.nn.ConvTranspose2d(5, 8, 7, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        UpConv2d(8, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        UpConv2d(4, 1, 3, padding=1), torch.nn.Tanh())
    twin = torch.nn.ModuleDict({"layers": layers}).eval()
    generator = mg.load_generator(runs / name)
    missing, unknown = twin.load_state_dict(load_file(runs / name / generator.weights), strict=False)
    assert not unknown and all(key.endswith("num_batches_tracked") for key in missing)
    z = generator.noise(9, 1)
    with torch.no_grad():
        expected = twin["layers"](torch.from_numpy(z).reshape(9, 5, 1, 1)).numpy()
    np.testing.assert_allclose(generator(z), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["dcgan", "wgan"])
def test_a_discriminator_of_a_run(runs, name):
    discriminator = load_discriminator(runs / name, run.read_config(runs / name)["options"])
    weights = load_weights(runs / name / "discriminator.safetensors")
    assert all(np.array_equal(array, weights[key]) for key, array in discriminator.state_dict().items())


def test_runs_are_listed(runs, capsys, tmp_path):
    assert main(["runs", str(runs)]) == 0
    header, dcgan, wgan = capsys.readouterr().out.splitlines()
    assert dcgan.split()[:5] == ["dcgan", "6", "of", "6", "6"] and wgan.startswith("wgan")
    assert "d_loss" in dcgan and "wasserstein" in wgan
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text("{")
    main(["runs", str(tmp_path)])
    assert "damaged" in capsys.readouterr().out
    with pytest.raises(DataError, match="there are no runs in it"):
        main(["runs", str(tmp_path / "none")])


def test_runs_are_compared(runs, capsys, tmp_path):
    picture = tmp_path / "compared.png"
    both = [str(runs / "dcgan"), str(runs / "wgan")]
    main(["compare", *both, "--out", str(picture)])
    first, output = picture.read_bytes(), capsys.readouterr().out
    assert "--lipschitz" in output and '"gp"' in output and "--batch-size" not in output
    assert "g_optimizer lr" in output  # no option was given: each has its loss's own
    head, *lines = output.splitlines()[:-1]
    assert all(line[head.index(both[1]) - 1] == " " != line[head.index(both[1])] for line in lines)  # aligned
    main(["compare", *both, "--out", str(picture)])
    assert picture.read_bytes() == first == (tmp_path / "compared-2.png").read_bytes()  # the first one is kept
    with pytest.raises(OptionError, match="needs two to six runs"):
        main(["compare", both[0], "--out", str(picture)])
    with pytest.raises(DataError, match="none of the runs has a metric"):
        report.run_curves({"a": [], "b": []}, picture)


def test_a_page_compares_runs(runs, tmp_path, capsys):
    """It needs no other file, and its texts are those of the runs: samples, scores, settings."""
    named = runs.parent / "<b>$x_^$"
    shutil.copytree(runs / "wgan", named)
    (named / "scores.json").write_text('{"scores": {"frechet": 12.345, "modes": 7}}')
    out = tmp_path / "both.html"
    main(["compare", str(runs / "dcgan"), str(named), "--out", str(out)])
    text = out.read_text()
    last = base64.b64encode((runs / "dcgan" / "samples" / "step_000006.png").read_bytes()).decode()
    assert last in text and text.count("data:image/png") == 3
    for words in ("all 6 steps done", "12.35", "--lipschitz", "&quot;gp&quot;", "g_optimizer lr", "&lt;b&gt;$x_^$"):
        assert words in text, words
    assert "<b>" not in text and not re.search(r'(src|href)="(?!data:)', text)
    shutil.rmtree(named)


def test_config_says_what_the_run_is(runs):
    config = json.loads((runs / "dcgan" / "config.json").read_text())
    assert {"options", "steps", "data", "device", "versions", "in_force", "caption", "sessions"} == set(config)
    assert config["in_force"]["optimizers"]["g_optimizer"]["lr"] == 2e-4  # DCGAN's; no option gave it
    assert config["in_force"]["parameters"].keys() == {"generator", "discriminator", "averaged"}
    assert config["sessions"][0]["steps"] == config["steps"]
    assert config["data"][0]["images"] == 16 and config["data"][0]["crc32"] > 0
    assert config["versions"]["minigan"] == mg.__version__


def test_a_run_itself_is_listed_by_its_name(runs, capsys, monkeypatch):
    main(["runs", str(runs / "dcgan")])
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[:4] == ["dcgan", "6", "of", "6"]
    monkeypatch.chdir(runs / "dcgan")
    main(["runs", "."])
    assert capsys.readouterr().out.splitlines()[1] == line
