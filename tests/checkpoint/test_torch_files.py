"""PyTorch's .pth and .pt files, read without running a pickle: PyTorch's tensors, hand-made files, hostile ones."""

import io
import os
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from minigan import report
from minigan.checkpoint import load_metadata, load_state, load_weights, pickled, save_state, save_weights, torchfile
from minigan.errors import CheckpointError

OLD = {"_use_new_zipfile_serialization": False}


# ---- what PyTorch writes ----
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
def test_every_tensor_of_pytorch(tmp_path, options, protocol):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    state = OrderedDict(
        matrix=torch.randn(3, 4), transposed=torch.randn(4, 5).T, every_second=torch.randn(10)[2:8:2],
        channels_last=torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), half=torch.randn(7).half(),
        bfloat=torch.randn(6, 2).bfloat16().T, double=torch.randn(2).double(), count=torch.tensor(7),
        int32=torch.tensor([-5], dtype=torch.int32), int16=torch.tensor([-5], dtype=torch.int16),
        int8=torch.tensor([-5], dtype=torch.int8), bytes=torch.tensor([200], dtype=torch.uint8),
        flags=torch.tensor([True, False]), none=torch.zeros(0, 3), parameter=torch.nn.Parameter(torch.randn(2)))
    state["tied"] = state["matrix"]
    torch.save(state, tmp_path / "w.pth", pickle_protocol=protocol, **options)
    weights = load_weights(tmp_path / "w.pth")
    assert list(weights) == list(state)
    for name, tensor in state.items():
        wide = tensor.detach().float() if tensor.dtype in (torch.half, torch.bfloat16) else tensor.detach()
        assert weights[name].dtype == wide.numpy().dtype, name
        np.testing.assert_array_equal(weights[name], wide.numpy(), err_msg=name)
        assert weights[name].flags.c_contiguous
        assert weights[name].flags.writeable
    weights["matrix"][...] = 0
    assert weights["tied"].any()


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
def test_a_checkpoint_that_wraps_a_state_dict(tmp_path, options):
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, tmp_path / "w.pt", **options)
    assert list(load_weights(tmp_path / "w.pt")) == list(network.state_dict())
    assert load_metadata(tmp_path / "w.pt") == {}
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_state(tmp_path / "w.pt")


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
def test_what_is_no_state_dict_is_refused_with_the_remedy(tmp_path, options):
    torch = pytest.importorskip("torch")
    for value, message in ((torch.nn.Linear(2, 3), "more than tensors|not only tensors"), (torch.randn(3), "not named"),
                           ({"lr": 0.1}, "'lr' is a float"), ([1, 2], "holds a list"), (Evil(), "system, not only"),
                           ({"a": torch.randn(2, dtype=torch.complex64)}, "ComplexFloatStorage")):
        torch.save(value, tmp_path / "w.pth", **options)
        with pytest.raises(CheckpointError, match=message) as error:
            load_weights(tmp_path / "w.pth")
        assert "torch.save(network.state_dict()" in str(error.value)
        assert "w.pth" in str(error.value)


# ---- made by hand: the format as torch/serialization.py describes it ----
SIX = np.arange(6, dtype="<f4").tobytes()


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/minigan_was_here",)


def tensor_pickle(name=b"w", kind="FloatStorage", key=b"0", count=6, offset=0, shape=(2, 3), strides=(3, 1)):
    """The instructions of {name: tensor}, protocol 2."""
    def number(n):
        return b"\x8a" + bytes([9]) + n.to_bytes(9, "little", signed=True)  # LONG1

    def text(t):
        return b"X" + struct.pack("<I", len(t)) + t

    def numbers(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    storage = b"(" + text(b"storage") + f"ctorch\n{kind}\n".encode() + text(key) + text(b"cpu") + number(count) + b"tQ"
    tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset) + numbers(shape) + numbers(strides)
              + b"\x89ccollections\nOrderedDict\n)RtR")
    return b"\x80\x02}" + text(name) + tensor + b"s."


def archive(description, numbers=SIX, compression=zipfile.ZIP_STORED, **more):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("net/data.pkl", description)
        file.writestr("net/data/0", numbers)
        for name, contents in more.items():
            file.writestr(f"net/{name}", contents)
    return buffer.getvalue()


def read(tmp_path, contents):
    path = tmp_path / "made.pth"
    path.write_bytes(contents)
    return load_weights(path)


def test_a_hand_made_file(tmp_path):
    w = read(tmp_path, archive(tensor_pickle()))["w"]
    np.testing.assert_array_equal(w, np.arange(6, dtype=np.float32).reshape(2, 3))
    w = read(tmp_path, archive(tensor_pickle(shape=(3, 2), strides=(1, 3))))["w"]
    np.testing.assert_array_equal(w, [[0, 3], [1, 4], [2, 5]])
    w = read(tmp_path, archive(tensor_pickle(), np.arange(6, dtype=">f4").tobytes(), byteorder=b"big"))["w"]
    np.testing.assert_array_equal(w, np.arange(6, dtype=np.float32).reshape(2, 3))
    halves = (np.arange(6, dtype="<f4").view("<u4") >> 16).astype("<u2").tobytes()
    w = read(tmp_path, archive(tensor_pickle(kind="BFloat16Storage"), halves))["w"]
    np.testing.assert_array_equal(w, np.arange(6, dtype=np.float32).reshape(2, 3))


def old_file(description, keys=b"](X\x01\0\0\x000e.", count=6, numbers=SIX):
    return (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + b"\x80\x02M\xe9\x03." + b"\x80\x02}."
            + description + b"\x80\x02" + keys + struct.pack("<q", count) + numbers)


def test_a_hand_made_old_file(tmp_path):
    w = read(tmp_path, old_file(tensor_pickle()))["w"]
    np.testing.assert_array_equal(w, np.arange(6, dtype=np.float32).reshape(2, 3))
    other, keys = tensor_pickle(count=60), (b"](X\x01\0\0\x001e.", b"](}e.", b"].")
    for bad in (*(old_file(tensor_pickle(), count=count) for count in (7, 2**62, -1)), old_file(other),
                *(old_file(tensor_pickle(), keys=key) for key in keys), old_file(tensor_pickle())[:-4]):
        with pytest.raises(CheckpointError, match=r"made\.pth: "):
            read(tmp_path, bad)


# ---- hostile ----
HOSTILE = {
    "runs a command": b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.",
    "runs a command, protocol 4": pickle.dumps(Evil(), 4),
    "evaluates": b"\x80\x02cbuiltins\neval\nX\x01\0\0\x001\x85R.",
    "builds an object": pickle.dumps(ValueError("x")),
    "instance": b"(ios\nsystem\n.", "object": b"(cos\nsystem\no.", "new object": b"\x80\x02cos\nsystem\n)\x81.",
    "extension": b"\x80\x02\x82\x01.", "a name alone": b"\x80\x02cos\nsystem\n.",
    "attributes of a list": b"\x80\x02]}b.", "a name made of lists": b"\x80\x04]]\x93.",
    "deep": b"\x80\x02" + b"]" * 30_000 + b"a" * 29_999 + b".", "deep tuples": b"\x80\x02)" + b"\x85" * 30_000 + b".",
    "deep tuple as a key": b"\x80\x02})" + b"\x85" * 30_000 + b"Ns.",
    "deep tuple as a name": b"\x80\x02}" + b"ccollections\nOrderedDict\n" + b")" + b"\x85" * 30_000 + b"\x85R.",
    "billion laughs": b"\x80\x04)\x94" + b"".join(b"(" + b"h" + bytes([i]) * 1 + b"h" + bytes([i]) + b"t\x94"
                                                  for i in range(200)) + b".",
    "a list in itself": b"\x80\x02]q\x00h\x00a.", "a dict in itself": b"\x80\x02}q\x00X\x01\0\0\0wh\x00s.",
    "memo that is not there": b"\x80\x02h\x07.", "nothing on the stack": b"\x80\x02s.", "only an end": b".",
    "no end": b"\x80\x02}", "empty": b"", "marks": b"\x80\x02(((((t.", "a mark as a result": b"\x80\x02(.",
    "text of 4 GB": b"\x80\x02X\xff\xff\xff\xffabc.",
    "text of 2^63": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fabc.",
    "number of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7fabc.",
    "frame of 2^63": b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f}.",
    "a list copied often": (b"\x80\x02](" + b"N" * 2000 + b"eq\x00"
                            + b"ccollections\nOrderedDict\nh\x00\x85R0" * 9 + b"."),
    "65 axes": tensor_pickle(shape=(1,) * 65, strides=(1,) * 65), "sizes below 0": tensor_pickle(shape=(-2, 3)),
    "sizes too large": tensor_pickle(shape=(2**30, 2**30), strides=(0, 0)),
    "their product overflows": tensor_pickle(shape=(2**32, 2**32), strides=(1, 1)),
    "strides of 0": tensor_pickle(shape=(1000, 1000), strides=(0, 0)), "past the end": tensor_pickle(offset=1),
    "strides past the end": tensor_pickle(strides=(2**40, 1)), "fewer strides": tensor_pickle(strides=(1,)),
    "a storage that claims more": tensor_pickle(count=2**40, shape=(2**20, 2**20), strides=(2**20, 1)),
    "no such storage": tensor_pickle(key=b"../../etc/passwd"), "no such type": tensor_pickle(kind="QInt8Storage"),
    "empty, of huge sizes": tensor_pickle(shape=(2**40, 0)),
}


@pytest.mark.long
@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("place", ["zip", "old"])
def test_hostile_descriptions_are_refused_and_nothing_runs(tmp_path, monkeypatch, what, place):
    def refused(*arguments):
        raise AssertionError("imported or called")

    contents = archive(HOSTILE[what]) if place == "zip" else old_file(HOSTILE[what])
    monkeypatch.setattr(os, "system", refused)
    monkeypatch.setattr(pickle, "loads", refused)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=r"made\.pth: ") as error:
        read(tmp_path, contents)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6 + 100 * len(contents)
    assert len(str(error.value)) < 600


def test_archives_that_ask_for_much_or_are_something_else(tmp_path):
    zeros = bytes(10_000_000)
    good = tensor_pickle()
    shared = [tensor_pickle(b"%04d" % i, count=60_000, shape=(60_000,), strides=(1,))[3:-2] for i in range(1000)]
    for contents, message in (
        (archive(good, zeros, zipfile.ZIP_DEFLATED), "compressed"),
        (archive(good, b"1234"), "needs 6 numbers"),
        (archive(tensor_pickle(key=b"1")), "data/1 is missing"),
        (archive(good)[:-30], "damaged"),
        (archive(good).replace(b"net/data.pkl", b"net/datb.pkl"), "no data.pkl"),
        (archive(b"".join((b"\x80\x02}(", *shared, b"u.")), bytes(240_000)), "more than 8 times"),
    ):
        with pytest.raises(CheckpointError, match=message):
            read(tmp_path, contents)
    np.savez(tmp_path / "a.npz", np.zeros(3))
    with pytest.raises(CheckpointError, match="no data.pkl"):
        load_weights(tmp_path / "a.npz")


def test_no_module_of_the_reader_imports_the_unpickler():
    for module in (pickled, torchfile):
        assert not {"pickle", "_pickle", "importlib"} & set(vars(module))


@pytest.mark.parametrize("make", [archive, old_file])
def test_damaged_files_load_or_are_refused(tmp_path, make):
    chance, good, nameless = random.Random(0), make(tensor_pickle()), []
    for _ in range(600):
        bad, spot = bytearray(good), chance.randrange(len(good))
        way = chance.randrange(4)
        if way == 0:
            bad[spot] ^= 1 << chance.randrange(8)
        elif way == 1:
            del bad[spot : spot + chance.randrange(1, 30)]
        elif way == 2:
            bad[spot:spot] = chance.randbytes(chance.randrange(1, 30))
        else:
            bad[spot : spot + 8] = bytes(chance.choice((0, 1, 127, 128, 255)) for _ in range(8))
        try:
            read(tmp_path, bytes(bad))
        except CheckpointError as error:
            nameless += [] if "made.pth" in str(error) else [error]
    assert nameless == []


# ---- what a download leaves in the place of weights ----
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\n"
PAGES = {"page": b"<!DOCTYPE html><html><body>Sign in</body></html>", "space": b"\n  <html>" + b" " * 600,
         "mark": b"\xef\xbb\xbf<?xml version='1.0'?><Error/>"}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_pages_and_pointers_are_named_with_the_remedy(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(POINTER)
    for read in (load_weights, load_metadata, load_state):
        with pytest.raises(CheckpointError, match="a pointer of Git LFS, not the weights: run `git lfs pull`"):
            read(path)
    for page in PAGES.values():
        path.write_bytes(page)
        with pytest.raises(CheckpointError, match=r"a page in HTML or XML, not weights.*download the file again"):
            load_weights(path)


def test_a_header_whose_length_looks_like_a_tag_is_read(tmp_path):
    """60, the length of this header, is the byte "<"; the format asks for no alignment."""
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(60)
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + np.float32(2).tobytes())
    assert load_weights(tmp_path / "a.safetensors")["a"].tolist() == [2.0]


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    """As in the shell, which leaves it in quotes and after =."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save_weights("~/w.safetensors", {"a": np.ones(1)}, {"note": "x"})
    save_state("~/s.safetensors", {"step": 3})
    assert {path.name for path in tmp_path.iterdir()} == {"w.safetensors", "s.safetensors"}
    assert load_weights("~/w.safetensors")["a"] == 1 and load_metadata("~/w.safetensors") == {"note": "x"}
    assert load_state("~/s.safetensors")[0] == {"step": 3}
    report.loss_curves([{"step": 1, "d_loss": 1.0, "g_loss": 1.0}], "~/curves.png")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    assert (tmp_path / "curves.png").exists() and report.read_rows("~/metrics.jsonl") == [{"step": 1}]
