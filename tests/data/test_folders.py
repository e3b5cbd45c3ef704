"""Folders of a user's images: every layout, every name accounted for, and work that grows as the number of files."""

import sys

import numpy as np
import pytest

from minigan import data
from minigan.data import folder as folder_module
from minigan.data import listing as listing_module
from minigan.errors import DataError, OptionError

Image = pytest.importorskip("PIL.Image", reason="pictures need Pillow")


def save(path, value, shape=(10, 10, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


def values(images):
    return images.images[:, 0, 0, 0].tolist()


def work(call):
    """The number of calls of Python and C functions, and of steps of generators, that a call makes."""
    count = 0

    def counted(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("read", [lambda folder: data.image_folder(folder, 4),
                                  lambda folder: data.domain_folders(folder, size=4, paired=True),
                                  lambda folder: data.patches(count=2, size=2, directory=folder)],
                         ids=["image_folder", "pairs", "photographs"])
def test_the_work_grows_as_the_number_of_files(read, tmp_path, monkeypatch):
    """Four times as many files take four times the calls. (Summing all bytes after each file would take 16 times.)"""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    monkeypatch.setattr(folder_module, "decoded", lambda path, channels: (pixels, ""))
    monkeypatch.setattr(folder_module, "square", lambda pixels, size: pixels)
    counts = []
    for number in (500, 2000):
        root = tmp_path / str(number)
        for place in ((root / "trainA"), (root / "trainB"), root):
            place.mkdir(parents=True, exist_ok=True)
            for i in range(number):
                (place / f"{i}.png").touch()
        counts.append(work(lambda root=root: read(root)))
    assert counts[1] < 4.6 * counts[0], counts


def test_a_folder_is_listed_once_and_files_are_not_asked_for_their_kind(tmp_path, monkeypatch):
    scans = []
    real = listing_module.os.scandir
    monkeypatch.setattr(listing_module.os, "scandir", lambda path: scans.append(path) or real(path))
    for i in range(30):
        save(tmp_path / f"{i}.png", i)
    assert len(data.image_folder(tmp_path, 8)) == 30 and len(scans) == 1


def test_names_that_differ_in_the_suffix_or_in_case_are_all_read(tmp_path):
    for number, name in enumerate(["1.bmp", "1.png", "A.png", "a.png"]):
        save(tmp_path / name, number)
    assert len(data.image_folder(tmp_path, 8)) == len(list(tmp_path.iterdir()))


@pytest.mark.parametrize("in_a, in_b, pairs, left_out", [
    (["1.bmp", "1.png"], ["1.png"], [("1.png", "1.png")], ["1.bmp"]),  # the partner of exactly this name
    (["1.bmp", "1.png"], ["1.gif"], [("1.bmp", "1.gif")], ["1.png"]),  # else the first
    (["1.bmp", "1.png"], ["1.bmp", "1.png"], [("1.bmp", "1.bmp"), ("1.png", "1.png")], []),
    (["1.gif"], ["1.bmp", "1.png"], [("1.gif", "1.bmp")], ["1.png"]),
    (["1.gif", "1.png"], ["1.bmp", "1.png"], [("1.png", "1.png")], ["1.gif", "1.bmp"]),
    (["1.png", "2.bmp", "2.png"], ["1.png", "2.png"], [("1.png", "1.png"), ("2.png", "2.png")], ["2.bmp"]),
])
def test_pairs_whose_names_are_not_unique(tmp_path, in_a, in_b, pairs, left_out):
    """Every file is in a pair, or counted and named; with strict it is an error."""
    shades = {}
    for side, names in (("trainA", in_a), ("trainB", in_b)):
        for name in names:
            shades[side, name] = 20 * (len(shades) + 1)
            save(tmp_path / side / name, shades[side, name])
    a, b = data.domain_folders(tmp_path, size=8, paired=True)
    assert [*zip(values(a), values(b), strict=True)] == [(shades["trainA", x], shades["trainB", y]) for x, y in pairs]
    sources = a.source + b.source
    assert all(f"{name}: another file has this name, apart from the suffix" in sources for name in left_out)
    assert sources.count("another file") == len(left_out)
    if left_out:
        with pytest.raises(DataError, match="which file belongs to a pair is not clear"):
            data.domain_folders(tmp_path, size=8, paired=True, strict=True)
    else:
        assert len(data.domain_folders(tmp_path, size=8, paired=True, strict=True)[0]) == len(pairs)


# ------------------------------------------------------------------------------------------------ layouts


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_pairs_side_by_side(tmp_path, split):
    """pix2pix's layout: A is the left half of a picture, B the right one."""
    for number in range(3):
        pixels = np.zeros((10, 20, 3), np.uint8)
        pixels[:, :10], pixels[:, 10:] = 10 + number, 200 + number
        (tmp_path / split).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / split / f"{number + 1}.png")
    assert data.holds_domains(tmp_path, split, paired=True) and not data.holds_domains(tmp_path, split)
    a, b = data.domain_folders(tmp_path, split, 8, paired=True)
    assert (values(a), values(b)) == ([10, 11, 12], [200, 201, 202]) and a.images.shape == (3, 3, 8, 8)
    assert a.source == f"3 images from {tmp_path / split}, left halves"
    grey, colour = data.domain_folders(tmp_path, split, 8, (1, 3), paired=True)
    assert grey.images.shape == (3, 1, 8, 8) and (values(grey), values(colour)) == (values(a), values(b))
    save(tmp_path / split / "odd.png", 0, (10, 21, 3))
    (tmp_path / split / "bad.png").write_text("no picture")
    for kinds in ((None, None), (1, 3)):
        a, b = data.domain_folders(tmp_path, split, 8, kinds, paired=True)
        for side in (a, b):
            assert len(side) == 3 and "2 left out: bad.png: not an image" in side.source
            assert side.source.count("odd.png: 21 pixels wide, so it has no two halves") == 1
    (tmp_path / split / "bad.png").unlink()
    with pytest.raises(DataError, match=r"odd\.png: 21 pixels wide"):
        data.domain_folders(tmp_path, split, 8, paired=True, strict=True)
    with pytest.raises(DataError, match=rf"{split}A is missing.*Pairs side by side in {split} are for pix2pix"):
        data.domain_folders(tmp_path, split, 8)
    (tmp_path / f"{split}A").mkdir()  # a layout that is begun is not passed over
    with pytest.raises(DataError, match=f"{split}B is missing"):
        data.domain_folders(tmp_path, split, 8, paired=True)


def test_the_parts_before_they_are_put_side_by_side(tmp_path):
    for number in range(2):
        save(tmp_path / "A" / "val" / f"{number}.png", number)
        save(tmp_path / "B" / "val" / f"{number}.jpg", 100)
    a, b = data.domain_folders(tmp_path, "val", 8, paired=True)
    assert values(a) == [0, 1] and values(b) == [100, 100]


def test_sub_folders(tmp_path):
    """They are searched if the folder itself has no image; otherwise they are counted. Pairs have equal places."""
    for side, shade in (("trainA", 1), ("trainB", 101)):
        for number, name in enumerate(["x/1.png", "x/y/1.png", "z/2.png"]):
            save(tmp_path / side / name, shade + number)
    (tmp_path / "trainA" / ".hidden").mkdir()
    save(tmp_path / "trainA" / ".hidden" / "no.png", 0)
    (tmp_path / "trainA" / "x" / "notes.txt").touch()
    (tmp_path / "trainA" / "z" / "loop").symlink_to(tmp_path / "trainA", target_is_directory=True)
    a, b = data.domain_folders(tmp_path, size=8, paired=True)
    assert sorted(zip(values(a), values(b), strict=True)) == [(1, 101), (2, 102), (3, 103)]
    assert values(a) == [1, 2, 3] and a.source.endswith("trainA; 1 other file ignored")
    save(tmp_path / "trainA" / "0.png", 9)
    assert data.image_folder(tmp_path / "trainA", 8).source.endswith("1 images from " + str(tmp_path / "trainA")
                                                                     + "; 2 sub-folders not searched")


def test_one_grey_picture_among_colour_ones(tmp_path):
    save(tmp_path / "1.png", 1)
    save(tmp_path / "2.jpg", 200, (10, 10))
    with pytest.raises(DataError, match=r"give channels=3 \(--channels 3\)"):
        data.image_folder(tmp_path, 8)
    mixed = data.image_folder(tmp_path, 8, "auto")
    assert np.array_equal(mixed.images, data.image_folder(tmp_path, 8, 3).images)
    assert mixed.source.endswith("; 1 grey among colour: 2.jpg")
    (tmp_path / "1.png").unlink()
    assert data.image_folder(tmp_path, 8, "auto").images.shape == (1, 1, 8, 8)


def test_images_to_show_when_there_is_no_test_folder(tmp_path):
    """The test folders, else val, else the training images, which is said."""
    for side in "AB":
        save(tmp_path / f"train{side}" / "0.png", 1)
    train = data.domain_folders(tmp_path, size=8)
    a, b = data.unseen_domains(tmp_path, train, 8)
    assert a.images is train[0].images and b is train[1]
    assert a.source.startswith(f"pictures and scores are of training images, for {tmp_path} has no test images")
    save(tmp_path / "testA" / "0.png", 3)  # of one domain only
    assert values(data.unseen_domains(tmp_path, train, 8)[0]) == [1]
    for side in "AB":
        save(tmp_path / f"val{side}" / "0.png", 2, (10, 10))
    a, b = data.unseen_domains(tmp_path, train, 8)
    assert values(a) == [2] and a.images.shape == (1, 3, 8, 8)  # the channels of the training images
    save(tmp_path / "testB" / "0.png", 3)
    assert values(data.unseen_domains(tmp_path, train, 8)[1]) == [3]


@pytest.mark.parametrize("folders, is_one", [
    (("A", "B"), False), (("test",), False), (("testA", "testB"), False), (("A/val", "B/val"), False),
    (("A", "B", "C"), True), (("A",), True), (("train",), True), (("trainA", "trainB"), True), (("A/train",), True),
    (("holidays", "test"), True), ((), True)])
def test_parts_of_a_layout_are_no_folder_of_photographs(tmp_path, folders, is_one):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    if is_one:
        data.check_layout(tmp_path)
    else:
        with pytest.raises(DataError, match=r"there is .*nothing to train on; pairs are .*trainA/ and trainB/.*A/tr"):
            data.check_layout(tmp_path)
        (tmp_path / "a.jpg").touch()  # images beside the folders are photographs, as `image_folder` reads them
        data.check_layout(tmp_path)


# ---- other shapes, sub-folders ----


def test_pad_keeps_the_whole_picture_on_white_and_crop_its_middle(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, :10], wide[:, 10:20], wide[:, 20:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    crop, pad = (data.image_folder(tmp_path, 30, fit=fit).images[0].transpose(1, 2, 0) for fit in ("crop", "pad"))
    assert (crop[:, 10:-10] == (0, 255, 0)).all()
    np.testing.assert_array_equal(pad[10:20], wide)
    assert (pad[:10] == 255).all() and (pad[20:] == 255).all()
    Image.fromarray(wide[:, :, 0].T.copy()).save(tmp_path / "wide.png")  # tall and grey
    grey = data.image_folder(tmp_path, 15, fit="pad").images
    assert grey.shape == (1, 1, 15, 15) and (grey[0, 0, :, [0, 4, 10, 14]] == 255).all()
    with pytest.raises(OptionError, match="fit is 'crop' or 'pad', not 'stretch'"):
        data.image_folder(tmp_path, 8, fit="stretch")


def test_sub_folders_are_searched_on_request(tmp_path):
    for number, name in enumerate(("a.png", "b/c.png", "b/d/e.png", "b/.hidden/f.png")):
        save(tmp_path / name, number)
    assert values(data.image_folder(tmp_path, 8)) == [0]
    images = data.image_folder(tmp_path, 8, recursive=True)
    assert values(images) == [0, 1, 2] and "sub-folder" not in images.source


def test_one_broken_file_is_named_and_the_others_are_read(tmp_path):
    save(tmp_path / "good.png", 7)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.png").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    images = data.image_folder(tmp_path, 8, recursive=True)
    assert values(images) == [7] and "1 left out: in/broken.png: " in images.source
    (tmp_path / "good.png").unlink()
    with pytest.raises(DataError, match="none of its images can be read: in/broken.png"):
        data.image_folder(tmp_path, 8, recursive=True)
    (tmp_path / "in" / "broken.png").unlink()
    with pytest.raises(DataError, match="no image in it; images end in"):
        data.image_folder(tmp_path, 8, recursive=True)
