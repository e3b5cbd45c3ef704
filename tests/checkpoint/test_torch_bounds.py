"""Each bound of the reader of .pth files, where one number or one byte decides; and PyTorch's odder tensors."""

import struct
import zipfile
import zlib

import numpy as np
import pytest
from test_torch_files import OLD, SIX, archive, old_file, read, tensor_pickle

from minigan.checkpoint import load_weights, torchfile
from minigan.errors import CheckpointError


def described(*tensors):
    """The pickle of a dict of tensors, from those of each."""
    return b"".join((b"\x80\x02}(", *(tensor[3:-2] for tensor in tensors), b"u."))


def header_of(name, contents):
    """What the local header of an entry and the central directory's share; PKWARE's APPNOTE, 4.3.7 and 4.3.12."""
    return struct.pack("<5H3L2H", 20, 0, 0, 0, 0x21, zlib.crc32(contents), len(contents), len(contents), len(name), 0)


def nested(count):
    """An archive whose entries data/0, data/1, ... each hold the headers and the bytes of all later ones."""
    body, entries = 100 * SIX, []
    for number in reversed(range(count)):
        entries.append((b"net/data/%d" % number, body, len(body)))
        body = b"PK\3\4" + header_of(*entries[-1][:2]) + entries[-1][0] + body
    views = [tensor_pickle(name[9:], key=name[9:], count=size // 4, shape=(1,), strides=(1,))
             for name, _, size in entries]
    entries.append((b"net/data.pkl", described(*views), 0))
    whole = body + b"PK\3\4" + header_of(*entries[-1][:2]) + entries[-1][0] + entries[-1][1]
    places = [len(body) - size - 30 - len(name) for name, _, size in entries[:-1]] + [len(body)]
    central = b"".join(b"PK\1\2\24\0" + header_of(name, contents) + bytes(10) + struct.pack("<L", place) + name
                       for (name, contents, _), place in zip(entries, places, strict=True))
    end = struct.pack("<4H2LH", 0, 0, len(places), len(places), len(central), len(whole), 0)
    return whole + central + b"PK\5\6" + end


def test_one_thing_wrong_in_an_archive(tmp_path, monkeypatch):
    good, short = archive(tensor_pickle()), tensor_pickle(count=6, shape=(6,), strides=(1,))
    entry = good.rindex(b"PK\1\2", 0, good.rindex(b"net/data/0"))  # of the central directory; PKWARE's APPNOTE, 4.3.12
    longer, locked = bytearray(good), bytearray(good)
    longer[entry + 20 : entry + 28] = struct.pack("<2L", 1000, 1000)
    locked[entry + 8] |= 1
    half = [tensor_pickle(b"%d" % i, "HalfStorage", count=100_000, shape=(100_000,), strides=(1,)) for i in range(6)]
    for contents, message in (
        (archive(tensor_pickle(), compression=zipfile.ZIP_DEFLATED), "data.pkl is compressed"),
        (bytes(locked), "data/0 is compressed or encrypted"),
        (bytes(longer), "claims 1,000 bytes in a file of"),
        (archive(tensor_pickle(), **{"other/data.pkl": short}), "it has 2 data.pkl"),
        (archive(described(*half), bytes(200_000)), "more than 8 times"),  # they become float32: 2.4 MB from 0.2 MB
        (nested(9), "overlap|Overlap"),  # Python's zipfile says so since 3.11.8
        (archive(described(short, tensor_pickle(b"v", "IntStorage"))), "numbers of int32, but .* of float32"),
        (archive(tensor_pickle(), byteorder=b"middle"), "neither little nor big"),
    ):
        with pytest.raises(CheckpointError, match=message):
            read(tmp_path, contents)
    monkeypatch.setattr(torchfile, "LARGEST_DESCRIPTION", len(tensor_pickle()) - 1)
    with pytest.raises(CheckpointError, match=r"data\.pkl is .* or claims"):
        read(tmp_path, good)


def test_one_thing_wrong_in_an_old_file(tmp_path):
    twice = b"](X\x01\0\0\x000X\x01\0\0\x000e."
    for contents, message in (
        (old_file(tensor_pickle(), twice, 6, SIX + struct.pack("<q", 6) + SIX), "truncated or damaged"),
        (old_file(tensor_pickle()).replace(b"M\xe9\x03.", b"M\xea\x03."), "a version that is not known"),
    ):
        with pytest.raises(CheckpointError, match=message):
            read(tmp_path, contents)


def test_old_files_of_big_endian_machines_are_little_endian_as_all_others(tmp_path):
    """What torch.load makes of them: it ignores the flag, for torch.save turns the bytes before it writes them."""
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.arange(6.0)}, tmp_path / "w.pth", **OLD)
    contents = (tmp_path / "w.pth").read_bytes()
    flag = contents.index(b"\x88", contents.index(b"little_endian"))  # True
    (tmp_path / "w.pth").write_bytes(contents[:flag] + b"\x89" + contents[flag + 1 :])
    assert torch.load(tmp_path / "w.pth")["w"].tolist() == [0, 1, 2, 3, 4, 5]
    assert load_weights(tmp_path / "w.pth")["w"].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
def test_tensors_that_show_a_number_several_times(tmp_path, options):
    """`expand` gives strides of 0, `unfold` windows that overlap: more numbers than are stored."""
    torch = pytest.importorskip("torch")
    state = {"expanded": torch.tensor([[2.0], [3.0]]).expand(2, 9), "one": torch.ones(()).expand(5),
             "windows": torch.arange(6.0).unfold(0, 3, 1)}
    torch.save(state, tmp_path / "w.pth", **options)
    weights = load_weights(tmp_path / "w.pth")
    for name, tensor in state.items():
        np.testing.assert_array_equal(weights[name], tensor.numpy())
