"""JPEG and WebP of equal size: the data of a scan, found by another walk through the file; sizes; what is refused."""

import io

import numpy as np
import pytest

from minigan import metrics
from minigan.errors import OptionError, ShapeError
from minigan.metrics import compressed

image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 3, 5, 5), np.uint8)
    return coarse.repeat(8, 2).repeat(8, 3)  # 40 x 40


def test_a_jpegs_headers_are_its_segments(images):
    """Segment by segment, each with its own length (T.81, annex B), up to the end of the scan's header."""
    buffer = io.BytesIO()
    image.fromarray(images[0].transpose(1, 2, 0)).save(buffer, "JPEG", quality=30)
    content, place = buffer.getvalue(), 2
    while content[place + 1] != 0xDA:
        assert content[place] == 0xFF
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    _, file, payload = compressed._one("JPEG", images[0].transpose(1, 2, 0), 30, 1.0)
    assert payload == len(content) - place - 2 and payload + 100 < file < len(content)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_sizes_are_equal_and_more_bytes_are_better(images, kind):
    small, large = (metrics.compressed_to(kind, images, payload) for payload in (60, 250))
    assert small.payload.mean() <= 1.03 * 60 < large.payload.mean() <= 1.03 * 250
    assert metrics.psnr(small.images, images) < metrics.psnr(large.images, images)
    assert small.images.shape == images.shape and (small.files > small.payload).all()
    least = metrics.compressed_to(kind, images, 1)
    assert least.quality == 0 and least.payload.mean() == min(
        compressed._all(kind, images, 0, shrink).payload.mean() for shrink in compressed.SHRINKS)


def test_grey_pictures(images):
    assert metrics.compressed_to("JPEG", images[:, :1], 90).images.shape == (2, 1, 40, 40)


def test_what_is_refused(images):
    with pytest.raises(OptionError, match="'JPEG' or 'WEBP', not 'PNG'"):
        metrics.compressed_to("PNG", images, 90)
    for wrong in (images.astype(float), images[0], images[:, :2], images[:0]):
        with pytest.raises(ShapeError, match=r"uint8 \(N, 1 or 3, H, W\)"):
            metrics.compressed_to("JPEG", wrong, 90)
