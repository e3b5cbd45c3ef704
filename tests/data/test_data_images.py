"""Data for translation: USPS and its file format, drawn shapes and scenes, patches, edges, folders of images."""

import bz2
import gzip
import importlib
import lzma

import numpy as np
import pytest

from minigan import data
from minigan.data import store
from minigan.data.canny import edge_map
from minigan.data.images import resized
from minigan.data.pictures import read_picture
from minigan.errors import DataError, OptionError

usps_module = importlib.import_module("minigan.data.usps")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No data in the environment, an empty cache, no network."""
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "answering", lambda mirrors, name: [])


# ------------------------------------------------------------------------------------------------ USPS


def libsvm(pixels, labels):
    rows = (pixels.reshape(len(pixels), -1) / 127.5 - 1).round(3)
    lines = [f"{label + 1} " + " ".join(f"{i + 1}:{value:g}" for i, value in enumerate(row) if value) + " \n"
             for label, row in zip(labels, rows, strict=True)]
    return "".join(lines).encode()


def digits(n):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 16, 16)).astype(np.uint8), rng.integers(0, 10, n).astype(np.uint8)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("below", ["", "usps"])
def test_usps_in_a_folder(tmp_path, zipped, below):
    pixels, labels = digits(7)
    (tmp_path / below).mkdir(exist_ok=True)
    text = libsvm(pixels, labels)
    (tmp_path / below / ("usps.t" + ".bz2" * zipped)).write_bytes(bz2.compress(text) if zipped else text)
    result = data.usps(split="test", directory=tmp_path)
    assert np.array_equal(result.images[:, 0], pixels) and np.array_equal(result.labels, labels)
    assert result.images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert (result.name, result.source) == ("usps", f"USPS, 7 digits from {tmp_path / below}")
    framed = data.usps(32, "test", tmp_path, channels=3).images
    assert framed.shape == (7, 3, 32, 32) and framed.transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.array_equal(framed[:, 1, 6:26, 6:26], data.usps(20, "test", tmp_path).images[:, 0])
    assert framed.sum(dtype=int) == 3 * framed[:, 2, 6:26, 6:26].sum(dtype=int)  # a black frame, equal channels
    odd = data.usps(32, "test", tmp_path, box=27).images
    assert np.array_equal(odd[:, :, 2:29, 2:29], data.usps(27, "test", tmp_path).images)
    assert odd.sum(dtype=int) == odd[:, :, 2:29, 2:29].sum(dtype=int)
    with pytest.raises(DataError, match=r"no USPS here: looked for usps\[\.bz2\]"):
        data.usps(directory=tmp_path)


@pytest.mark.parametrize("change", [
    lambda text: text, lambda text: text.removesuffix(b"\n"), bytes.rstrip, lambda text: text + b"\n\n",
    lambda text: text.replace(b"\n", b"\r\n"), lambda text: text.replace(b"\n", b"\r\n").rstrip() + b"\r\n \r\n",
    lambda text: b"\xef\xbb\xbf" + text], ids=["as is", "no end", "stripped", "blank", "crlf", "crlf blank", "BOM"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_text_files_as_editors_leave_them(tmp_path, change, pack):
    """The end of a line ends it (POSIX) or separates it from the next (many editors): both are text files."""
    pixels, labels = digits(3)
    (tmp_path / "usps").write_bytes(pack(change(libsvm(pixels, labels))))
    result = data.usps(directory=tmp_path)
    assert np.array_equal(result.images[:, 0], pixels) and np.array_equal(result.labels, labels)


@pytest.mark.parametrize("name", ["usps.gz", "usps.xz", "usps/usps", "usps.bz2/usps", "usps/usps.gz"])
def test_names_of_usps(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    pack = {".gz": gzip.compress, ".xz": lzma.compress}.get((tmp_path / name).suffix, bytes)
    (tmp_path / name).write_bytes(pack(libsvm(*digits(3))))
    assert len(data.usps(directory=tmp_path)) == 3


GOOD = libsvm(*digits(3))
DAMAGED = {
    "empty": (b"", "empty"),
    "no end of line": (GOOD[:-5], "truncated: line 3, the last, has no end"),
    "truncated bzip2": (bz2.compress(GOOD)[:-30], "the bzip2 stream is truncated"),
    "corrupt bzip2": (bz2.compress(GOOD)[:40] + b"\0" * 40 + bz2.compress(GOOD)[80:], "the bzip2 stream is corrupt"),
    "label 0": (b"0 1:1\n", r"line 1: the label '0' is not one of 1 \.\. 10"),
    "label 11": (b"3 1:1\n11 1:1\n", "line 2: the label '11'"),
    "no label": (b"1:0.5 2:1\n", "the label '1:0.5'"),
    "empty line": (b"1 1:1\n\n2 1:1\n", "line 2: the label ''"),
    "only empty lines": (b"\n\r\n \n", "empty"),
    "last line without its last values": (b"1 1:1 256:1\n2 1:1 256:1\n3 1:1", "truncated: line 3, the last"),
    "last line cut in a pair": (b"1 1:1 256:1\n2 1:1 25", "truncated: line 2, the last"),
    "truncated gzip": (gzip.compress(GOOD)[:-30], "the gzip stream is truncated"),
    "truncated xz": (lzma.compress(GOOD)[:-30], "the xz stream is truncated"),
    "corrupt gzip": (gzip.compress(GOOD)[:40] + b"\0" * 40 + gzip.compress(GOOD)[80:], "the gzip stream is corrupt"),
    "index 0": (b"1 0:1\n", "the index 0 follows 0, but indices rise from 1 to 256"),
    "index 257": (b"1 1:1 257:1\n", "the index 257 follows 1"),
    "index twice": (b"1 5:1 5:1\n", "the index 5 follows 5"),
    "huge index": (b"1 99999999999999999999:1\n", "the index 999999999"),
    "no colon": (b"1 1:1 77\n", "'77' is not index:value"),
    "value": (b"1 1:1.5\n", r"the value '1.5' of index 1 is not in \[-1, 1\]"),
    "word": (b"1 1:ink\n", "the value 'ink'"),
    "nan": (b"1 1:nan\n", "the value 'nan'"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "line 1: the label"),
    "too many": (b"1 " + b"1:1 " * 300 + b"\n", "the index 1 follows 1"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_libsvm(tmp_path, case):
    contents, message = DAMAGED[case]
    (tmp_path / "usps").write_bytes(contents)
    with pytest.raises(DataError, match=message) as caught:
        data.read_libsvm(tmp_path / "usps")
    assert str(caught.value).startswith(str(tmp_path / "usps")) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_a_bzip2_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "usps.bz2"
    path.write_bytes(bz2.compress(b"1" * 3_000_000))
    with pytest.raises(DataError, match="more than 1,000,000 bytes of text"):
        data.read_libsvm(path, max_bytes=1_000_000)
    with pytest.raises(DataError, match="no such file"):
        data.read_libsvm(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read"):
        data.read_libsvm(tmp_path)


def test_the_stand_in_for_usps():
    train, test = data.usps(), data.usps(split="test")
    assert train.source == ("scikit-learn's digits of 8 x 8 pixels, 1,437 to train on, in the place of USPS, "
                            "which was not found (no network)")
    assert train.images.shape == (1437, 1, 16, 16) and test.images.shape == (360, 1, 16, 16)
    assert train.images.max() == 255 and set(train.labels) == set(test.labels) == set(range(10))
    seen = {image.tobytes() for image in train.images}
    assert sum(image.tobytes() in seen for image in test.images) < 4  # some writers draw equal strokes


@pytest.mark.parametrize("call, words", [
    (lambda: data.usps(15), "size is 16 or more.*not 15"), (lambda: data.usps(split="all"), "'all'"),
    (lambda: data.usps(channels=2), "and 2"),
    (lambda: data.digits(32, box=33), "box=33.*8 pixels and size=32"),
    (lambda: data.digits(7), "size is 8 or more.*not 7"),
    (lambda: data.shapes("stars"), "'circles' or 'squares'.*not 'stars'"), (lambda: data.shapes(size=4), "size=4"),
    (lambda: data.shapes(count=0), "count=0"), (lambda: data.patches("red"), "not 'red'"),
    (lambda: data.patches(size=0), "and 0"), (lambda: data.scenes(split="x"), "not 'x'"),
    (lambda: data.edges(split="x"), "not 'x'"), (lambda: data.image_folder(".", channels=2), "not 2"),
    (lambda: data.domain_folders(".", "valid"), "not 'valid'"),
])
def test_options(call, words):
    with pytest.raises(OptionError, match=words):
        call()


# ------------------------------------------------------------------------------------------------ enlarging


def test_enlarging_is_bilinear():
    """A plane stays a plane, except for half a pixel at the border: the formula of align_corners=False."""
    plane = (3 * np.arange(10)[:, None] + 2 * np.arange(10)).astype(np.uint8)[None, None]
    big = resized(plane, 40).astype(int)
    where = (np.arange(40) + 0.5) / 4 - 0.5
    inner = np.clip(where, 0, 9)
    assert np.abs(big[0, 0] - (3 * inner[:, None] + 2 * inner)).max() <= 0.5
    flat = np.full((2, 3, 5, 5), 201, np.uint8)
    assert (resized(flat, 17) == 201).all()


def test_enlarged_data():
    small = data.digits().take(20)
    big = data.enlarged(small, 32, 3)
    assert big.images.shape == (20, 3, 32, 32) and big.images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.array_equal(big.images[:, 0], big.images[:, 2]) and big.labels is small.labels
    assert small.source == "the first 20 of: scikit-learn's digits of 8 x 8 pixels, 1,437 to train on"
    with pytest.raises(OptionError, match="channels=1 cannot be made"):
        data.enlarged(big, 32, 1)
    with pytest.raises(OptionError, match="to size 32 or more, not to 16"):
        data.enlarged(big, 16)
    with pytest.raises(DataError, match=r"20 images of 9000 x 9000 x 3 would take 4\.5 GiB.*data\.take\(8\)"):
        data.enlarged(big, 9000)
    with pytest.raises(OptionError, match="count=0"):
        small.take(0)
    with pytest.raises(OptionError, match="spread: count=-1"):
        small.spread(-1)


def test_images_spread_over_a_sorted_set():
    """Ten images of each of three labels: 7 of 30 are every fourth, and of every label."""
    pixels = np.repeat(np.arange(30, dtype=np.uint8), 4).reshape(30, 1, 2, 2)
    digits = data.ImageData(pixels, np.repeat(np.arange(3, dtype=np.uint8), 10), "numbers", "30 numbers")
    spread = digits.spread(7)
    assert spread.images[:, 0, 0, 0].tolist() == [0, 4, 8, 12, 16, 20, 24] and spread.source == "7 of: 30 numbers"
    assert spread.labels.tolist() == [0, 0, 0, 1, 1, 2, 2] and len(digits.spread(99)) == 30
    unlabelled = data.shapes(count=30).spread(10)
    assert unlabelled.radii.shape == (10,) and unlabelled.labels.size == 0
    np.testing.assert_allclose(data.one_per_label(digits)[:, 0, 1, 1], np.array([0, 10, 20]) / 127.5 - 1, atol=1e-7)


# ------------------------------------------------------------------------------------------------ drawn data


def test_shapes_cover_what_they_should():
    for kind, area in (("circles", np.pi), ("squares", 4.0)):
        drawn = data.shapes(kind, 40, 48)
        ink = drawn.images.sum((1, 2, 3), dtype=float) / 255
        np.testing.assert_allclose(ink, area * drawn.radii**2, rtol=0.01)
        x = (drawn.images[:, 0] * (np.arange(48) + 0.5)).sum((1, 2)) / drawn.images.sum((1, 2, 3))
        np.testing.assert_allclose(x, drawn.centres[:, 0], atol=0.02)
        assert drawn.radii.min() >= 6 and drawn.radii.max() < 12 and not drawn.images[:, :, [0, -1]].any()
    partner = drawn.partner()
    both = np.minimum(drawn.images, partner.images).sum((1, 2, 3)) / partner.images.sum((1, 2, 3))
    assert partner.kind == "circles" and (both > 0.99).all()  # the circle lies in the square and touches it
    assert partner.partner().images.tobytes() == drawn.images.tobytes()


def test_drawn_data_is_seeded_and_split():
    for draw in (lambda **options: data.shapes(count=20, **options).images,
                 lambda **options: data.scenes(9, **options)[0].images,
                 lambda **options: data.scenes(9, **options)[1].images):
        assert draw().tobytes() == draw().tobytes()
        assert draw().tobytes() != draw(seed=1).tobytes() != draw(split="test").tobytes()
    circles, squares = data.shapes("circles", 50), data.shapes("squares", 50)
    assert not np.intersect1d(circles.radii, squares.radii).size
    assert data.shapes(count=30).take(10).radii.shape == (10,)


def test_scenes_have_exact_masks():
    """Where a mask is 0 there is only the smooth ground; where it is 255 there are stripes or spots."""
    images, masks = data.scenes(60, 32)
    assert images.images.shape == (60, 3, 32, 32) and masks.images.shape == (60, 1, 32, 32)
    rough = np.abs(np.diff(images.images.astype(float), axis=3)).sum(1)  # (60, 32, 31)
    mask = masks.images[:, 0]
    on, off = ((mask == value)[:, :, 1:] & (mask == value)[:, :, :-1] for value in (255, 0))
    assert rough[on].mean() > 4 * rough[off].mean()
    assert rough[off].max() < 120  # masks cover all stripes, also where objects overlap
    assert 0.05 < mask.mean() / 255 < 0.4 and all(picture.any() and not picture.all() for picture in mask == 255)


# ------------------------------------------------------------------------------------------------ photographs


def test_patches_to_train_and_to_test_on_share_no_pixel(tmp_path):
    """In a photograph whose pixels hold their position, no position is in both sets."""
    from PIL import Image

    y, x = np.indices((96, 128))
    Image.fromarray(np.stack([y, x, (x + y) % 256], -1).astype(np.uint8)).save(tmp_path / "places.png")
    parts = [data.patches("colour", 60, 8, directory=tmp_path), data.edges(60, 8, "test", directory=tmp_path)[1]]
    seen = [{tuple(pixel) for pixel in part.images[:, :2].transpose(0, 2, 3, 1).reshape(-1, 2)} for part in parts]
    assert not seen[0] & seen[1] and min(map(len, seen)) > 500
    test, grey = (data.patches(kind, 30, 8, "test", tmp_path) for kind in ("colour", "grey"))
    red, green, blue = test.images.astype(float).transpose(1, 0, 2, 3)
    assert np.abs(grey.images[:, 0] - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 0.5
    assert "1 images from" in test.source and test.images.transpose(0, 2, 3, 1).flags.c_contiguous
    coloured, grey = parts[0].images, data.patches("grey", 60, 8, directory=tmp_path).images[:, 0]
    unpaired = data.luma(coloured.transpose(0, 2, 3, 1)), grey
    assert len(np.unique(np.concatenate(unpaired).reshape(120, -1), axis=0)) > 110  # almost never the same place
    with pytest.raises(DataError, match="size=32 needs at least 5 cells of 64 x 64 pixels"):
        data.patches(size=32, directory=tmp_path)


def test_sample_photographs():
    colour, grey = data.patches("colour", 20), data.patches("grey", 20)
    assert colour.images.shape == (20, 3, 32, 32) and grey.images.shape == (20, 1, 32, 32)
    assert "scikit-learn's two sample photographs" in grey.source
    lines, photos = data.edges(8, 64)
    assert lines.images.shape == (8, 1, 64, 64) and photos.images.shape == (8, 3, 64, 64)
    assert set(np.unique(lines.images)) == {0, 255}


def test_edges_of_a_disc_are_its_rim():
    y, x = np.indices((64, 64)) - 31.5
    result = edge_map(np.where(np.hypot(x, y) < 20, 200, 40))
    radius = np.hypot(x, y)[result == 255]
    assert np.abs(radius - 20).max() < 1.3 and 90 < len(radius) < 190  # thin: 2 pi 20 = 126 pixels
    angle = np.arctan2(y, x)[result == 255]
    assert np.diff(np.sort(angle)).max() < 0.12  # and without a gap
    step = edge_map(np.where(np.arange(40) < 20, 30, 200) * np.ones((30, 1)))
    assert (step.sum(1) == 255).all() and (step[:, 19] | step[:, 20]).all()  # of two equal slopes, one is taken
    assert not edge_map(np.full((9, 9), 77)).any()
    assert not edge_map(np.tile(np.arange(64), (64, 1))).any()  # a slope below the threshold


# ------------------------------------------------------------------------------------------------ folders


def save(path, pixels, mode=None, **options):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)


COLOUR = np.zeros((12, 20, 3), np.uint8) + np.array([204, 102, 51], np.uint8)  # also in the usual palette


def test_kinds_of_files(tmp_path):
    from PIL import Image

    save(tmp_path / "rgb.png", COLOUR)
    save(tmp_path / "palette.png", COLOUR, "P")
    save(tmp_path / "cmyk.tif", COLOUR, "CMYK")
    for name in ("rgb.png", "palette.png", "cmyk.tif"):
        assert np.abs(read_picture(tmp_path / name)[5, 5].astype(int) - (204, 102, 51)).max() <= 1
    half = np.dstack([COLOUR, np.full((12, 20), 51, np.uint8)])  # a fifth opaque, on white
    save(tmp_path / "rgba.png", half)
    np.testing.assert_allclose(read_picture(tmp_path / "rgba.png")[0, 0], 255 + (COLOUR[0, 0] - 255.0) / 5, atol=1)
    wide = np.linspace(0, 65535, 240).reshape(12, 20).astype(np.uint16)
    save(tmp_path / "wide.png", wide)
    assert np.array_equal(read_picture(tmp_path / "wide.png")[:, :, 0], np.rint(wide / 257))
    save(tmp_path / "grey.png", np.full((12, 20), 9, np.uint8))
    assert read_picture(tmp_path / "grey.png").shape == (12, 20, 1)
    assert (read_picture(tmp_path / "grey.png", 3) == 9).all() and read_picture(tmp_path / "grey.png", 3).shape[2] == 3
    assert read_picture(tmp_path / "rgb.png", 1)[0, 0, 0] == round(0.299 * 204 + 0.587 * 102 + 0.114 * 51)
    turned = Image.Exif()
    turned[0x0112] = 6  # stored on its side: shown turned by 90 degrees
    save(tmp_path / "camera.jpg", COLOUR, exif=turned)
    assert read_picture(tmp_path / "camera.jpg").shape == (20, 12, 3)


def test_a_folder(tmp_path):
    for number in range(5):
        save(tmp_path / f"{number}.png", np.full((20 + number, 30, 3), 10 * number, np.uint8))
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image")
    (tmp_path / "3.jpg").write_bytes(b"GARBAGE")
    result = data.image_folder(tmp_path, 16)
    assert result.images[:, 0, 8, 8].tolist() == [0, 10, 30, 40] and result.images.shape == (4, 3, 16, 16)
    assert result.labels.size == 0 and result.images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert result.source.startswith(f"4 images from {tmp_path}; 2 left out: 2.png: cannot be read: ")
    assert result.source.endswith("3.jpg: not an image, or not of a kind that Pillow can read; 1 other file ignored")
    with pytest.raises(DataError, match=r"2\.png: cannot be read"):
        data.image_folder(tmp_path, 16, strict=True)
    with pytest.raises(DataError, match=r"0\.png has 30 x 20 pixels, 1\.png has 30 x 21: give a size"):
        data.image_folder(tmp_path, None)


def test_the_middle_is_kept(tmp_path):
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    save(tmp_path / "wide.png", pixels)
    assert (data.image_folder(tmp_path, 20).images == 255).all()
    assert data.image_folder(tmp_path, 10).images.shape == (1, 3, 10, 10)


def test_folders_that_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no folder of images"):
        data.image_folder(tmp_path / "none")
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=r"a: no image in it; images end in \.bmp"):
        data.image_folder(tmp_path / "a")
    (tmp_path / "a" / "x.png").write_text("")
    with pytest.raises(DataError, match=r"none of its images can be read: x\.png: not an image"):
        data.image_folder(tmp_path / "a")
    save(tmp_path / "b" / "1.png", COLOUR)
    save(tmp_path / "b" / "2.png", COLOUR[:, :, 0])
    with pytest.raises(DataError, match=r"1\.png has 3 channels, 2\.png has 1: give channels=3"):
        data.image_folder(tmp_path / "b", 8)
    assert data.image_folder(tmp_path / "b", 8, channels=1).images.shape == (2, 1, 8, 8)
    monkeypatch.setattr("minigan.data.folder.MAX_BYTES", 300)
    with pytest.raises(DataError, match="its first 2 images take 0.0 GiB of memory"):
        data.image_folder(tmp_path / "b", 8, channels=3)


@pytest.mark.parametrize("size", [0, -1, 1.5, float("nan"), "16", 10**6, 10**30])
def test_sizes_of_images_that_are_refused(tmp_path, size):
    """A side of 10**6 asked Pillow for 4 TB: a bare MemoryError."""
    save(tmp_path / "1.png", COLOUR)
    with pytest.raises(OptionError, match="size"):
        data.image_folder(tmp_path, size)
    assert data.image_folder(tmp_path, np.int64(4)).images.shape == (1, 3, 4, 4)


def test_a_bomb_is_not_decoded(tmp_path):
    import tracemalloc
    import zlib

    def chunk(kind, contents):
        return len(contents).to_bytes(4, "big") + kind + contents + zlib.crc32(kind + contents).to_bytes(4, "big")

    for side in (8000, 60000):  # above our limit; above Pillow's own, which also raises
        header = chunk(b"IHDR", side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0]))
        pixels = chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels)
        tracemalloc.start()
        with pytest.raises(DataError, match=r"bomb\.png: .*more .*than the limit of 50,000,000: reduce it first"):
            read_picture(tmp_path / "bomb.png")
        assert tracemalloc.get_traced_memory()[1] < 2e6
        tracemalloc.stop()
    save(tmp_path / "real.tif", np.zeros((4, 4), np.float32))
    with pytest.raises(DataError, match="holds real numbers"):
        read_picture(tmp_path / "real.tif")


def test_every_cut_of_a_file_is_an_error_or_the_picture(tmp_path):
    """A file of each kind, truncated at any byte, gives one error message or the picture."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp"):
        path = tmp_path / f"x.{suffix}"
        save(path, noise)
        whole = path.read_bytes()
        for cut in range(0, len(whole), max(1, len(whole) // 25)):
            path.write_bytes(whole[:cut])
            try:
                shape = read_picture(path).shape
            except DataError as error:
                shape = None if str(error).startswith(str(path)) else error
            assert shape in (None, (16, 16, 3))


def test_domains(tmp_path):
    for folder, kind in (("trainA", COLOUR), ("trainB", COLOUR[:, :, 0]), ("testA", COLOUR)):
        for number in range(3):
            save(tmp_path / folder / f"{number}.png", kind)
    a, b = data.domain_folders(tmp_path, size=8)
    assert a.images.shape == (3, 3, 8, 8) and b.images.shape == (3, 1, 8, 8)
    assert (a.name, b.name) == ("trainA", "trainB")
    assert data.domain_folders(tmp_path, size=8, channels=(1, 3))[1].images.shape == (3, 3, 8, 8)
    with pytest.raises(DataError, match=r"testB is missing; there is testA, trainA, trainB\. Put the images of one"):
        data.domain_folders(tmp_path, "test")
    (tmp_path / "testB").mkdir()
    with pytest.raises(DataError, match="testB: no image in it"):
        data.domain_folders(tmp_path, "test")
    with pytest.raises(DataError, match=r"trainA is missing; there is nothing"):
        data.domain_folders(tmp_path / "testB")


def test_paired_domains(tmp_path):
    for number in range(4):
        save(tmp_path / "trainA" / f"{number}.png", np.full((10, 10, 3), number, np.uint8))
        save(tmp_path / "trainB" / f"{number}.jpg", np.full((10, 10, 3), 50 + 50 * number, np.uint8))
    (tmp_path / "trainB" / "2.jpg").write_bytes(b"no")
    a, b = data.domain_folders(tmp_path, size=8, paired=True)
    assert a.images[:, 0, 0, 0].tolist() == [0, 1, 3] and len(b) == 3  # 2 is skipped with its partner
    assert "1 left out: 2.jpg" in b.source
    with pytest.raises(DataError, match=r"2\.jpg: not an image"):
        data.domain_folders(tmp_path, paired=True, strict=True)
    save(tmp_path / "trainB" / "2.jpg", COLOUR)
    with pytest.raises(DataError, match=r"2\.png and .*2\.jpg: 10 x 10 and 20 x 12 pixels; a pair must have one size"):
        data.domain_folders(tmp_path, paired=True)
    (tmp_path / "trainA" / "1.png").unlink()
    with pytest.raises(DataError, match=r"trainB: no partner of the same name in the other folder for 1\.jpg"):
        data.domain_folders(tmp_path, paired=True)
