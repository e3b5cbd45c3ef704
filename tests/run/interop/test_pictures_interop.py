"""Images to Pillow and matplotlib and back."""

import numpy as np
import pytest

import minigan as mg
from minigan.errors import DataError

pytest.importorskip("PIL", reason="Pillow (extra `examples`) is missing")


def test_to_pillow_and_back_is_exact_on_grey_levels(rng):
    from PIL import Image

    pixels = rng.integers(0, 256, (2, 3, 5, 4), np.uint8)
    images = pixels / 127.5 - 1
    one = mg.interop.pictures.to_pil(mg.tensor(images)[0])
    assert isinstance(one, Image.Image) and one.size == (4, 5)
    np.testing.assert_array_equal(np.asarray(one), pixels[0].transpose(1, 2, 0))
    back = mg.interop.pictures.from_pil([mg.interop.pictures.to_pil(image) for image in images])
    np.testing.assert_allclose(back, images, atol=1e-6)
    assert back.dtype == np.float32
    assert mg.interop.pictures.to_pil(images, columns=1, scale=2).size == (2 * (4 + 4), 2 * (2 * 7 + 2))
    grey = mg.interop.pictures.from_pil(Image.new("RGBA", (2, 3), (255, 0, 0, 0)), channels=1)
    assert grey.shape == (1, 1, 3, 2) and (grey == 1).all()  # transparent: white
    with pytest.raises(DataError, match=r"from_pil: 2 pictures of sizes \[\(2, 3\), \(4, 5\)\] to 3 channels; give"):
        mg.interop.pictures.from_pil([one, Image.new("L", (2, 3))])


def test_matplotlib_shows_the_pixels(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib (extra `examples`) is missing")
    images = np.full((4, 3, 8, 8), -1.0)
    images[:, 0] = 1  # red
    figure = mg.interop.pictures.to_figure(images, columns=2, title="four red squares")
    figure.savefig(tmp_path / "figure.png")
    shown = mg.interop.pictures.from_figure(figure)
    assert shown.shape[:2] == (1, 3) and shown.min() == -1 and shown.max() == 1
    red = (shown[0, 0] == 1) & (shown[0, 1] == -1) & (shown[0, 2] == -1)
    assert red.mean() > 0.3  # the squares, without their frames, title and margins
