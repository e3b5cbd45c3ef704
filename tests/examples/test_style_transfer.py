"""style_transfer.py: pictures of any mode, and errors in one sentence before anything is written."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from figures import style as sources
from minigan.metrics import textures

PROGRAM = Path(__file__).parents[2] / "examples" / "style_transfer.py"
Image = pytest.importorskip("PIL.Image", reason="Pillow writes the pictures")


def program(monkeypatch, *words):
    """The exit status of the program."""
    monkeypatch.setattr(sys, "argv", [str(PROGRAM), *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PROGRAM), run_name="__main__")
    return ended.value.code


def test_grey_palette_transparent_and_wide_pictures_become_squares_of_rgb(tmp_path):
    red = np.zeros((20, 30, 4), np.uint8)
    red[..., 0] = red[..., 3] = 255
    red[:, :5, 3] = 0  # transparent: white, and outside the middle square
    image = Image.fromarray(red)
    for mode, colour in (("RGBA", (255, 0, 0)), ("P", (255, 0, 0)), ("L", (76, 76, 76)), ("LA", (76, 76, 76))):
        image.convert(mode).save(tmp_path / f"{mode}.png")
        part = sources.pictures(tmp_path / f"{mode}.png", 8)
        assert part.images.shape == (1, 3, 8, 8) and part.images.dtype == np.uint8
        assert np.abs(part.images[0, :, :, 2:].transpose(1, 2, 0).astype(int) - colour).max() <= 2, mode
    assert sources.pictures(tmp_path, 8).images.shape == (4, 3, 8, 8)
    assert sources.pictures(None, 8) is None


@pytest.mark.parametrize(("words", "message"), [
    (["--weights", "vgg.pth"], "vgg.pth: "), (["--size", "8"], "8x8 are too small for relu4_1.*enlarge them to 16"),
    (["--network", "missing.safetensors"], "missing.safetensors"), (["none.png"], "none.png: there is no such file")])
def test_errors_are_sentences_and_nothing_is_written(words, message, tmp_path, monkeypatch, capsys):
    """vgg.pth holds code, which is refused and not run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(textures, "style_features", lambda settings: textures.VGG(textures.WIDTHS, (1, 1, 2, 1)))
    monkeypatch.setattr("minigan.metrics.style_features", textures.style_features)
    for name in "ab":
        Image.new("RGB", (32, 32), "red").save(tmp_path / f"{name}.png")
    (tmp_path / "vgg.pth").write_bytes(b"\x80\x02cposix\nsystem\nX\x08\x00\x00\x00touch ranq\x00\x85R.")
    files = {path.name for path in tmp_path.iterdir()}
    given = words if words[0] == "none.png" else [*words, "a.png", "b.png"]
    assert program(monkeypatch, *given, "--device", "cpu", "--no-blas-tuning", "--smoke") == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0 and re.search(message, error), error
    assert {path.name for path in tmp_path.iterdir()} == files
