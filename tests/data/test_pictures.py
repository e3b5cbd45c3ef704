"""The door for image files: decoders that fail in odd ways, formats that are not let in, EXIF, grey with alpha."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

from minigan import data
from minigan.data import pictures
from minigan.data.pictures import read_picture
from minigan.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")
NOISE = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)


def exif(*entries):
    """An EXIF block, little-endian, of entries (tag, type, count, four bytes); TIFF 6.0, section 2."""
    return (b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries))
            + b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries) + b"\0" * 4)


def orientation(value):
    return (0x112, 3, 1, struct.pack("<HH", value, 0))


@pytest.mark.parametrize("error", [struct.error("odd"), ZeroDivisionError("odd"), OverflowError("odd"), KeyError("odd"),
                                   AttributeError("odd"), RuntimeError("odd"), RecursionError("odd"), EOFError(),
                                   zlib.error("odd"), NotImplementedError("odd"), AssertionError()])
def test_whatever_a_decoder_raises_names_the_file_and_the_kind(tmp_path, monkeypatch, error):
    from PIL import PngImagePlugin

    def fail(*args):
        raise error

    for name in ("a.png", "b.png"):
        Image.fromarray(NOISE).save(tmp_path / name)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    with pytest.raises(DataError, match=rf"a\.png: cannot be read: .*{type(error).__name__.rpartition('.')[2]}"):
        read_picture(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"none of its images can be read: a\.png: .*; b\.png: "):
        data.image_folder(tmp_path)


def test_an_interrupt_stays_one_and_little_memory_has_a_sentence(tmp_path, monkeypatch):
    from PIL import PngImagePlugin

    def fail(error):
        def load(*args):
            raise error

        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)

    Image.fromarray(NOISE).save(tmp_path / "a.png")
    fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        data.image_folder(tmp_path)
    fail(MemoryError())
    with pytest.raises(DataError, match=r"^\S*a\.png: there is not enough memory to decode it"):  # it is not left out
        data.image_folder(tmp_path)


def test_odd_exif_costs_no_picture(tmp_path):
    """Its tag 0x100 has a type that does not fit its value; the orientation next to it is good, and is applied."""
    block = exif((0x100, 2, 4, b"abc\0"), orientation(6))
    Image.fromarray(NOISE[:8]).save(tmp_path / "odd.jpg", exif=block, quality=100)
    Image.fromarray(NOISE[:8]).save(tmp_path / "plain.jpg", quality=100)
    upright = np.rot90(read_picture(tmp_path / "plain.jpg"), -1)  # 6: the 0th row is the right-hand side
    assert np.array_equal(read_picture(tmp_path / "odd.jpg"), upright)
    assert len(data.image_folder(tmp_path, 16)) == 2


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_orientations_are_those_of_pillow(tmp_path, suffix, turn):
    from PIL import ImageOps

    Image.fromarray(NOISE[:8]).save(tmp_path / f"x.{suffix}", exif=exif(orientation(turn)))
    with Image.open(tmp_path / f"x.{suffix}") as image:
        expected = np.array(ImageOps.exif_transpose(image))
    assert np.array_equal(read_picture(tmp_path / f"x.{suffix}"), expected)


def test_an_orientation_that_cannot_be_read_is_named_once(tmp_path, monkeypatch):
    def fail(*args):
        raise ZeroDivisionError("1/0")

    for name in ("a.png", "b.png"):
        Image.fromarray(NOISE).save(tmp_path / name)
    monkeypatch.setattr(Image.Image, "getexif", fail)
    with pytest.warns(UserWarning, match=r"a\.png: its orientation \(EXIF\) cannot be read.*1/0 \(ZeroDivisionError\)"):
        assert np.array_equal(read_picture(tmp_path / "a.png"), NOISE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = data.image_folder(tmp_path, 16)
    assert len(result) == 2 and result.source.count("its orientation") == 2  # each file once
    assert "; 2 odd: a.png: its orientation" in result.source


def test_a_program_in_postscript_is_not_run(tmp_path, monkeypatch):
    """Pillow opens PostScript by starting Ghostscript; a file that starts like it is no picture here, by any name."""
    from PIL import EpsImagePlugin

    def started(*args, **kwargs):
        (tmp_path / "started").touch()
        raise OSError("Ghostscript")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    program = (f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n({tmp_path}/owned) (w) file\n"
               "closefile showpage\n%%EOF\n")
    for name in ("cat.png", "cat.jpg", "cat.eps"):
        (tmp_path / name).write_text(program)
        with Image.open(tmp_path / name) as image, pytest.raises(OSError, match="Ghostscript"):
            image.load()  # Pillow itself starts it
        (tmp_path / "started").unlink()
        with pytest.raises(DataError, match="not an image, or not of a kind"):
            read_picture(tmp_path / name)
        assert not (tmp_path / "started").exists() and not (tmp_path / "owned").exists()


def test_only_decoders_of_the_list_are_started(tmp_path, monkeypatch):
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda path, *args, **options: opened.append(options) or real(path, **options))
    Image.fromarray(NOISE).save(tmp_path / "x.png")
    read_picture(tmp_path / "x.png")
    assert set(opened[0]["formats"]) <= set(pictures.FORMATS) and "EPS" not in pictures.FORMATS
    monkeypatch.setitem(Image.OPEN, "AVIF", None)
    del Image.OPEN["AVIF"]  # as in a Pillow before 11.3
    assert np.array_equal(read_picture(tmp_path / "x.png"), NOISE)
    for path in (Path(__file__).parents[2] / "minigan").rglob("*.py"):  # and there is no second door
        if path.name != "pictures.py" or path.parent.name != "data":
            text = path.read_text("utf-8")
            assert "PIL.Image" not in text or ".open(" not in text.replace("path.open(", ""), path


@pytest.mark.parametrize("name, kind", [("x.jfif", "JPEG"), ("x.jpe", "JPEG"), ("x.avif", "AVIF"), ("x.pbm", "PPM"),
                                        ("x.JPG", "PNG"), ("x.png", "JPEG"), ("x.gif", "BMP"), ("x.tif", "WEBP")])
def test_names_of_pictures(tmp_path, name, kind):
    """The suffix need not match the contents."""
    from PIL import features

    if kind == "AVIF" and not (features.check("avif") if "avif" in features.get_supported_modules() else False):
        pytest.skip("this Pillow cannot write AVIF")
    Image.fromarray(NOISE).save(tmp_path / name, kind)
    assert data.image_folder(tmp_path, 8).images.shape == (1, 3, 8, 8)


def png(colour, depth, rows, *chunks):
    """A PNG of raw rows (the specification, sections 5 and 11)."""

    def chunk(kind, contents):
        return len(contents).to_bytes(4, "big") + kind + contents + zlib.crc32(kind + contents).to_bytes(4, "big")

    height, width = rows.shape[:2]
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(*each) for each in chunks)
            + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def test_grey_with_alpha_is_grey(tmp_path):
    """Colour type 4, with 8 and with 16 bits, opaque and half transparent on white."""
    grey = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    for alpha, shown in ((65535, grey / 257), (0, np.full((8, 8), 255.0)), (32768, (grey + 65535.0) / 2 / 257)):
        wide = np.stack([grey, np.full_like(grey, alpha)], -1).astype(">u2")
        (tmp_path / "wide.png").write_bytes(png(4, 16, wide))
        (tmp_path / "narrow.png").write_bytes(png(4, 8, (wide >> 8).astype(np.uint8)))
        for name in ("wide.png", "narrow.png"):
            pixels = read_picture(tmp_path / name)
            assert pixels.shape == (8, 8, 1)
            assert np.abs(pixels[:, :, 0] - shown).max() <= 2  # Pillow keeps the high byte
    assert data.image_folder(tmp_path, 8).images.shape == (2, 1, 8, 8)
    (tmp_path / "see.png").write_bytes(png(0, 8, np.full((8, 8), 7, np.uint8), (b"tRNS", b"\0\7")))
    assert read_picture(tmp_path / "see.png").shape == (8, 8, 1) and (read_picture(tmp_path / "see.png") == 255).all()


def test_a_leading_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for folder in ("trainA", "trainB"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
        Image.fromarray(NOISE).save(tmp_path / "photos" / folder / "x.png")
    assert np.array_equal(read_picture("~/photos/trainA/x.png"), NOISE)
    assert len(data.image_folder("~/photos/trainA")) == 1 and len(data.domain_folders("~/photos")[1]) == 1
    assert data.holds_domains("~/photos") and not data.holds_domains("~/photos", "test")
    assert data.patches(count=3, size=2, directory="~/photos/trainA").images.shape == (3, 3, 2, 2)


# ---- whole numbers of more than 8 bits ----
GREY = NOISE[:, :, 0]


@pytest.mark.parametrize("dtype", [np.int32, ">i4", "<u4", np.int16, ">i2"])
def test_whole_numbers_without_a_white_are_those_of_8_or_of_16_bits(tmp_path, dtype):
    """In TIFF, of 32 bits or with a sign. Values up to 255 stay what they are, as in Pillow's own conversion."""
    for name, pixels in (("dark.tif", GREY), ("wide.tif", 100 * GREY.astype(int))):
        (tmp_path / name).write_bytes(tiff(pixels.astype(dtype)))
    assert np.array_equal(read_picture(tmp_path / "dark.tif")[:, :, 0], GREY)
    with Image.open(tmp_path / "dark.tif") as image:
        assert np.array_equal(np.asarray(image.convert("L")), GREY)
    assert np.array_equal(read_picture(tmp_path / "wide.tif")[:, :, 0], np.rint(100 * GREY.astype(int) / 257))
    for value in (-1, 65536) if np.dtype(dtype).itemsize == 4 else (-1,):
        (tmp_path / "odd.tif").write_bytes(tiff(np.full((4, 4), value).astype(dtype)))
        with pytest.raises(DataError, match="not known which are black and white"):
            read_picture(tmp_path / "odd.tif")


def test_a_dark_picture_of_16_bits_stays_dark(tmp_path):
    """PNG, PGM and unsigned TIFF define white as the largest number (PNG, section 13.12; PGM's maxval; TIFF 6.0)."""
    dark = GREY.astype(np.uint16)
    (tmp_path / "x.png").write_bytes(png(0, 16, dark.astype(">u2")))
    (tmp_path / "x.pgm").write_bytes(b"P5 16 16 65535\n" + dark.astype(">u2").tobytes())
    for name, dtype in (("little.tif", "<u2"), ("big.tif", ">u2")):
        (tmp_path / name).write_bytes(tiff(dark.astype(dtype)))
    for path in tmp_path.iterdir():
        assert np.array_equal(read_picture(path)[:, :, 0], np.rint(GREY / 257)), path


def tiff(pixels):
    """A grey TIFF of one strip, TIFF 6.0 sections 2 and 4; the order of its bytes is that of the pixels."""
    order, (height, width) = ">" if pixels.dtype.byteorder == ">" else "<", pixels.shape
    entries = [(256, width), (257, height), (258, 8 * pixels.dtype.itemsize), (259, 1), (262, 1), (273, 8), (277, 1),
               (278, height), (279, pixels.nbytes), (339, {"u": 1, "i": 2}[pixels.dtype.kind])]
    shorts = struct.pack(f"{order}H", len(entries)) + b"".join(
        struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in entries) + bytes(4)
    start = b"MM\0*" if order == ">" else b"II*\0"
    return start + struct.pack(f"{order}I", 8 + pixels.nbytes) + pixels.tobytes() + shorts
