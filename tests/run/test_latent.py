"""The latent space: ends of paths, sums of means, probes of planted units, guided gradients."""

import json

import numpy as np
import pytest

import minigan as mg
from minigan import data, models, nn, report, run, trainers
from minigan.__main__ import main
from minigan.engine.autodiff import grad
from minigan.errors import DataError, OptionError, ShapeError
from minigan.run import latent


def test_paths(rng):
    a, b = rng.normal(size=(2, 20))
    for path in (latent.linear, latent.spherical):
        np.testing.assert_allclose(path(a, b, 0.0), a, atol=1e-12)
        np.testing.assert_allclose(path(a, b, 1.0), b, atol=1e-12)
    np.testing.assert_allclose(latent.linear(a, b, 0.5), (a + b) / 2)
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    angle = np.arccos(a @ b)
    for t in (0.2, 0.5, 0.9):  # on the sphere, at the correct angle from both ends
        point = latent.spherical(a, b, t)
        assert np.linalg.norm(point) == pytest.approx(1)
        assert np.arccos(point @ a) == pytest.approx(t * angle)
        assert np.arccos(point @ b) == pytest.approx((1 - t) * angle)
    np.testing.assert_allclose(latent.spherical(a, 2 * a, 0.5), 1.5 * a)  # no angle: a straight line
    np.testing.assert_allclose(latent.spherical(a, -a, 0.25), 0.5 * a, atol=1e-12)
    ways = latent.between(np.array([a, b, a], np.float32), 5)
    assert ways.shape == (2, 5, 20) and ways.dtype == np.float32 and np.array_equal(ways[0, -1], ways[1, 0])
    with pytest.raises(OptionError, match="two points"):
        latent.between(a[None], 5)


def test_a_walk_moves_one_coordinate_and_the_one_that_matters_is_found(rng):
    points = rng.normal(size=(3, 4)).astype(np.float32)
    ways = latent.walk(points, 2, 7)
    assert np.allclose(ways[:, :, 2], np.linspace(-3, 3, 7)) and np.array_equal(ways[:, 3, :2], points[:, :2])
    with pytest.raises(ShapeError, match="coordinate 4 is not one of 0 to 3"):
        latent.walk(points, 4)
    weights = np.array([0.1, 0.0, 0.02, 0.15])
    effects = latent.coordinate_effects(lambda z: (z * weights).sum(1).reshape(-1, 1, 1, 1), points)
    np.testing.assert_allclose(effects, 6 * weights, atol=1e-6)


def test_a_map_puts_like_beside_like(rng):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: no maps")
    centres = rng.normal(size=(3, 40)) * 10
    vectors = np.concatenate([centre + rng.normal(size=(12, 40)) for centre in centres])
    places = latent.layout(vectors, seed=0)
    assert places.min() == 0 and places.max() == 1 and np.array_equal(places, latent.layout(vectors, seed=0))
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(36)
    assert (distances.argmin(1) // 12 == np.arange(36) // 12).all()
    with pytest.raises(OptionError, match="a map of 3 points says nothing"):
        latent.layout(vectors[:3])
    sheet = latent.scatter(np.ones((2, 1, 4, 4)), np.array([[0, 0], [1, 1]]), side=20)
    assert sheet.sum() == 2 * 16 * 255 and sheet[:4, :4].all() and sheet[-4:, -4:].all()


def test_arithmetic_adds_means():
    """The first number of the noise is the class: the mean of a class is close to it, for any other numbers."""
    points = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    points[:, 0] = np.arange(500) % 10

    def read(images):
        return np.eye(10)[images[:, 0, 0, 0].round().astype(int)]

    terms, result = latent.arithmetic(lambda z: z[:, :1, None, None], points, read, "8-3+4", 6)
    assert [(term.sign, term.label, len(term.points)) for term in terms] == [(1, 8, 6), (-1, 3, 6), (1, 4, 6)]
    assert result[0] == pytest.approx(9)
    expected = [points[points[:, 0] == label][:6].mean(0) for label in (8, 3, 4)]
    np.testing.assert_allclose(result, expected[0] - expected[1] + expected[2], rtol=1e-5)
    with pytest.raises(DataError, match="reads 50 as 8, fewer than the 51"):
        latent.arithmetic(lambda z: z[:, :1, None, None], points, read, "8", 51)
    for wrong in ("", "8-", "8*3", "a", "12"):
        with pytest.raises(OptionError, match="not a sum of classes|no class 12"):
            latent.parse_terms(wrong)


@pytest.fixture(scope="module")
def generator():
    mg.seed(3)
    network, _ = models.dcgan(1, 28, 5, 4)
    return network.eval()


def test_units_switched_off(generator, rng):
    z = rng.normal(size=(6, 5)).astype(np.float32)
    whole = generator(z).numpy()
    images, features = latent.switched_off(generator, z, 1)
    np.testing.assert_allclose(images, whole, atol=1e-6)
    assert features.shape == (6, 4) and (features >= 0).all()
    none, _ = latent.switched_off(generator, z, 1, [0, 1, 2, 3])
    np.testing.assert_allclose(none, np.broadcast_to(none[:1], none.shape))  # independent of z
    assert np.abs(latent.switched_off(generator, z, 1, [2])[0] - whole).max() > 1e-4
    for layer, units, words in ((2, (), "layer 2 is not one of 0 to 1"), (1, [4], "not all among 0 to 3")):
        with pytest.raises(OptionError, match=words):
            latent.switched_off(generator, z, layer, units)


def test_a_probe_finds_the_unit_that_was_planted(rng):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: no probes")
    features = rng.uniform(size=(300, 6))
    probe = latent.probe_units(features, features[:, 4] - features[:, 1] > 0.2)
    assert probe.units[0] == 4 and probe.units[-1] == 1 and probe.accuracy > 0.9
    with pytest.raises(DataError, match="0 of 300 images are of the class"):
        latent.probe_units(features, np.zeros(300, bool))


def test_guided_gradients_against_the_definition(rng):
    """Two layers by hand: a gradient passes a ReLU where the input and the gradient are positive."""
    mg.seed(1)
    layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.LeakyReLU(0.2), nn.Conv2d(3, 2, 4), nn.LeakyReLU(0.2),
                           nn.Conv2d(2, 1, 1))
    network = nn.Module()
    network.layers = layers
    for p in network.parameters():
        p[...] = rng.normal(size=p.shape)
    images = rng.normal(size=(5, 1, 6, 6)).astype(np.float32)
    x = mg.tensor(images, requires_grad=True)
    first = layers[0](x)
    second = layers[2](layers[1](first)).numpy()  # (5, 2, 1, 1)
    units, numbers = latent.strongest(network, images, 2, 3)
    assert sorted(units) == [0, 1]
    for unit, row in zip(units, numbers, strict=True):
        assert row.tolist() == np.argsort(-layers[3](mg.tensor(second)).numpy()[:, unit, 0, 0])[:3].tolist()
    gradients = latent.guided_gradients(network, images, np.zeros(5, int))
    for n in range(5):
        g = layers[2].weight.numpy()[0] * (second[n, 0, 0, 0] > 0)  # (3, 4, 4), the gradient at the first ReLU
        g = g * (first.numpy()[n] > 0) * (g > 0)
        whole = np.zeros((5, 3, 4, 4), np.float32)
        whole[n] = g
        expected, = grad(layers[0](x), [x], cotangent=mg.tensor(whole))
        np.testing.assert_allclose(gradients[n], expected.numpy()[n], atol=1e-5)


def test_strips_and_films(tmp_path):
    from PIL import Image

    part = np.full((4, 6), 200, np.uint8)
    picture = report.stacked([("words", part), ("", part)])
    assert (picture[-18:-10, 10:22] == 200).all() and (picture[-36:-28, 10:22] == 200).all()  # each enlarged twofold
    assert picture[10:-37].max() > 200 and not picture[-37].any() and not picture[:, -10:].any()
    report.film([part, part // 2], tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 2 and image.size == (12, 8)
    with pytest.raises(DataError, match="needs at least one frame"):
        report.film([], tmp_path / "b.gif")


def test_labels_are_below_their_images_and_the_marked_ones_are_underlined():
    row = np.full((10, 90), 200, np.uint8)  # three images
    picture = report.labelled(row, ["8", "7", "0"], [True, False, False])
    words = picture[20:]
    assert (picture[:20] == 200).all() and picture.shape[1:] == (180, 3)
    third = [words[:, i : i + 60].astype(int) for i in (0, 60, 120)]
    assert all(part.any() for part in third)  # a label below each
    is_amber = [(part[..., 0] - part[..., 2] > 100).any() for part in third]
    assert is_amber == [True, False, False] and third[0][:2].any() and not third[1][:2].any()


def test_what_is_still_read_as_the_digit_is_underlined_image_by_image(trained, monkeypatch):
    from minigan.run.latent import pictures

    generator, shown, calls = run.load_generator(trained), [], []

    def read(images):  # every second image as 8; without units, every fourth
        calls.append(len(images))
        return np.eye(10)[np.where(np.arange(len(images)) % (2 if len(calls) < 3 else 4) == 0, 8, 0)]

    monkeypatch.setattr(pictures, "_classifier", lambda generator, directory: read)
    monkeypatch.setattr(pictures, "labelled", lambda row, labels, marked: shown.append((labels, list(marked))) or row)
    pictures.unit(generator, count=40, units_off=1)
    assert shown[0] == (["8"] * 12, [True] * 12)
    assert shown[1] == shown[2] == (["8", "0"] * 6, [True, False] * 6)


def test_films_have_words_and_the_page_says_what_they_show(trained):
    from minigan.run.latent import pictures

    drawn = pictures.interpolate(run.load_generator(trained), rows=1)
    assert len({frame.shape for frame in drawn.frames}) == 1 and "the film: each image goes from" in drawn.note
    first, middle = (drawn.frames[i][:28].astype(int) for i in (0, 12))
    assert first.max() > 200 and (first != middle).any()  # the words, which have the way so far
    pictures.write_inside(drawn, trained, "interpolate")
    page = report.report_page(trained).read_text()
    assert "<figcaption>The film: each image is the left end of a row, goes along the sphere" in page


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    pixels = np.random.default_rng(0).integers(0, 256, (16, 1, 28, 28), np.uint8)
    images = data.ImageData(pixels, np.zeros(16, np.uint8), "noise", "16 images of noise")
    options = run.options("", ["--out", str(out), "--batch-size", "4", "--steps", "2"], name="x", size=28, latent=5,
                          width=4, upsample="upconv", loss="non_saturating")
    return run.train(trainers.GAN(*models.dcgan(1, 28, 5, 4)), images, options)


def test_commands(trained, tmp_path, capsys, monkeypatch):
    from minigan.metrics import classifier

    read = lambda images: np.eye(10)[(np.abs(images).sum((1, 2, 3)) * 1e4).astype(int) % 10]
    monkeypatch.setattr(classifier, "digit_classifier", lambda directory: (None, read))
    monkeypatch.setattr(data, "mnist", lambda **_: data.ImageData(
        np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28), np.uint8), np.zeros(20), "", ""))
    few = ["--rows", "2", "--columns", "3"]
    for tool, more in (
            ("interpolate", few), ("walk", [*few, "--points", "7", "3"]), ("map", ["--count", "12"]),
            ("arithmetic", ["--count", "200", "--average", "3"]), ("unit", ["--count", "100", "--units", "1"]),
            ("guided", ["--rows", "2"])):
        assert main(["latent", str(trained), tool, *more]) == 0
        assert (trained / "latent" / f"{tool}.png").stat().st_size > 100
    assert sorted(p.name for p in (trained / "latent").glob("*.gif")) == ["interpolate.gif", "walk.gif"]
    output, text = capsys.readouterr().out, (trained / "report.html").read_text()
    assert "coordinate" in output and "the probe tells class 8 apart" in output
    for title in ("Interpolation", "Map of the latent space", "Arithmetic", "Units switched off"):
        assert f"<h2>{title}</h2>" in text
    with pytest.raises(OptionError, match="name it"):
        main(["latent", str(trained), "interpolate", "--out", "x.jpg"])
    with pytest.raises(OptionError, match="numbered from 0"):
        main(["latent", str(trained), "walk", "--points", "-1"])


def test_sample_by_command(trained, tmp_path, capsys):
    main(["sample", str(trained), "-n", "9", "--seed", "3", "--out", str(tmp_path / "grid.png")])
    report.save_png(report.grid(mg.load_generator(trained).draw(9, 3)), tmp_path / "expected.png", 2)
    assert (tmp_path / "grid.png").read_bytes() == (tmp_path / "expected.png").read_bytes()
    main(["sample", str(trained), "-n", "3", "--out", str(tmp_path / "each")])
    assert [p.name for p in sorted((tmp_path / "each").iterdir())] == [f"00000{i}.png" for i in range(3)]
    main(["report", str(trained)])
    assert f"{(trained / 'report.html').stat().st_size:,} bytes" in capsys.readouterr().out


def test_a_run_leaves_an_interpolation_and_a_map(trained, monkeypatch):
    from minigan.run.latent import maps, pictures

    monkeypatch.setattr(maps, "layout", lambda vectors, seed: np.linspace(0, 1, 2 * len(vectors)).reshape(-1, 2))
    for file in (trained / "latent").glob("*"):
        file.unlink()
    pictures.write_default_pictures(trained, 0)
    assert {"interpolate.png", "interpolate.gif", "map.png"} >= {p.name for p in (trained / "latent").iterdir()}
    assert json.loads((trained / "config.json").read_text())["steps"] == 2
