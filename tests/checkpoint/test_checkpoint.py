"""Files of weights: exact round trips, every flipped bit is detected, and a failed write changes nothing."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from minigan import checkpoint, random
from minigan.checkpoint import load_state, load_weights
from minigan.errors import CheckpointError


def weights():
    """One array of every kind: channels-last, transposed, reversed, 0-d, empty, read-only, other byte order."""
    x = random.normal((2, 4, 5, 3), seed=0)
    frozen = np.arange(3, dtype=np.uint8)
    frozen.flags.writeable = False
    return {
        "0.weight": x.transpose(0, 3, 1, 2),
        "0.bias": x[0, 0, :, 0][::-1],
        "linear": np.asfortranarray(x[0, 0], np.float64),
        "norm.num_batches_tracked": np.array(7),
        "empty": np.empty((0, 3), np.float16),
        "mask": np.array([True, False]),
        "frozen": frozen,
        "big_endian": np.arange(4, dtype=">f4"),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def test_round_trip(path):
    state = weights()
    checkpoint.save_weights(path, state, {"model": "dcgan", "Größe": "32\n"})
    loaded = checkpoint.load_weights(path)
    assert set(loaded) == set(state)
    for name, array in state.items():
        assert loaded[name].dtype == array.dtype.newbyteorder("=") and loaded[name].shape == array.shape
        assert np.array_equal(loaded[name], array)
        assert loaded[name].flags.c_contiguous and loaded[name].flags.writeable
    assert checkpoint.load_metadata(path) == {"model": "dcgan", "Größe": "32\n"}


def test_the_file_is_what_the_format_says(path):
    """The file, decoded by the format's description: PyTorch's layout, little-endian, the names and shapes saved."""
    state = weights()
    checkpoint.save_weights(path, state)
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    assert end % 8 == 0
    header = json.loads(raw[8:end])
    assert set(header) == {*state, "__metadata__"} and set(header["__metadata__"]) == {"format", "sha256"}
    types = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "u1", "BOOL": "?"}
    for name, array in state.items():
        start, stop = header[name]["data_offsets"]
        values = np.frombuffer(raw[end + start : end + stop], types[header[name]["dtype"]])
        assert header[name]["shape"] == list(array.shape)
        assert values.tolist() == array.ravel().tolist()


def test_same_weights_same_bytes(tmp_path):
    """Also in another process, order and memory layout."""
    state, notes = {"b": np.ones((2, 3), np.float32), "a": np.zeros(3)}, {f"k{i}": "v" for i in range(8)}
    checkpoint.save_weights(tmp_path / "1", state, notes)
    reordered = {"a": state["a"], "b": np.asfortranarray(state["b"])}
    checkpoint.save_weights(tmp_path / "2", reordered, dict(reversed(notes.items())))
    code = (
        "import numpy as np, sys; from minigan.checkpoint import save_weights as s;"
        "s(sys.argv[1], {'a': np.zeros(3), 'b': np.ones((2, 3), 'f4')}, {f'k{i}': 'v' for i in range(8)})"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "3")], check=True)
    assert len({(tmp_path / name).read_bytes() for name in "123"}) == 1


def test_every_flipped_bit_is_found(path):
    checkpoint.save_weights(path, {"w": np.arange(3, dtype=np.float32), "n": np.array(2)}, {"model": "é"})
    good = path.read_bytes()
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        with pytest.raises(
            CheckpointError, match=r"weights\.safetensors: .*(changed|truncated|damaged|not a safetensors)"
        ):
            checkpoint.load_weights(path)
    path.write_bytes(good)
    assert checkpoint.load_weights(path)["n"] == 2


def test_every_truncation_is_found(path):
    checkpoint.save_weights(path, {"w": np.arange(3, dtype=np.float32)})
    good = path.read_bytes()
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(CheckpointError, match="truncated"):
            checkpoint.load_weights(path)
    with pytest.raises(
        CheckpointError, match=f"describes {len(good)} bytes, but the file has {len(good) - 1}; restore it"
    ):
        checkpoint.load_weights(path)


def framed(header):
    return len(header).to_bytes(8, "little") + header


DAMAGED = {
    "empty": (b"", "only 0 bytes"),
    "zip archive": (b"PK\3\4" + bytes(range(200)), "not a safetensors file"),
    "absurd header": (
        (10**15).to_bytes(8, "little") + b"{}",
        "10 bytes, but its header would have 1,000,000,000,000,000",
    ),
    "no JSON": (framed(b"notjson!"), "not a safetensors file, or its header is damaged"),
    "deep JSON": (framed(b'{"a":' * 5000), "its header is damaged"),
    "absurd array": (
        framed(b'{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'),
        "truncated: its header describes 4,000,000,000,086 bytes, but the file has 86",
    ),
    "array of no size": (framed(b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[]}}'), "its header is damaged"),
    "overlapping arrays": (
        framed(
            b'{"v":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"w":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}'
        )
        + bytes(3),
        "damaged: ",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_files_that_are_something_else(path, case):
    contents, message = DAMAGED[case]
    path.write_bytes(contents)
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.load_weights(path)
    assert str(path) in str(caught.value)


def test_missing_files(tmp_path):
    with pytest.raises(CheckpointError, match=r"none: cannot be read \(No such file or directory\); check the name"):
        checkpoint.load_weights(tmp_path / "none")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load_weights(tmp_path)


def test_files_of_other_programs(path):
    """Without our metadata a file is read unverified; with only half of our metadata it is refused."""
    from safetensors.numpy import save_file

    save_file({"w": np.ones((2, 2), np.float32)}, path, {"format": "pt"})
    assert checkpoint.load_weights(path)["w"].tolist() == [[1, 1], [1, 1]]
    assert checkpoint.load_metadata(path) == {}
    for marks in ({"format": "minigan weights 1"}, {"sha256": "0" * 64}):
        save_file({"w": np.ones((2, 2), np.float32)}, path, marks)
        with pytest.raises(CheckpointError, match="changed since it was saved"):
            checkpoint.load_weights(path)


def test_a_type_numpy_lacks(path):
    header = b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match=r"data type that NumPy lacks .*convert it to float32"):
        checkpoint.load_weights(path)


def test_what_cannot_be_saved(path):
    for bad, message in [
        (np.array(["text"]), "'w' is of type <U4"),
        (np.array([None]), "'w' is of type object"),
        (np.zeros(2, complex), "complex128"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            checkpoint.save_weights(path, {"w": bad})
    for notes in ({"epoch": 3}, {"sha256": "mine"}):
        with pytest.raises(CheckpointError, match="metadata is text to text"):
            checkpoint.save_weights(path, {}, notes)
    with pytest.raises(CheckpointError, match="cannot be written"):
        checkpoint.save_weights(path.parent / "missing" / "w", {})
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_a_failed_write_leaves_the_old_file(path, monkeypatch, call):
    checkpoint.save_weights(path, {"w": np.zeros(3)})
    old = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, fail)
    with pytest.raises(CheckpointError, match=r"cannot be written \(No space left on device\); nothing was changed"):
        checkpoint.save_weights(path, {"w": np.ones(3)})
    assert path.read_bytes() == old and list(path.parent.iterdir()) == [path]


def test_the_order_of_an_atomic_write(path, monkeypatch):
    """Contents, then name, then folder reach the disk: with any other order a power cut can lose the file."""
    events = []
    fsync, replace = os.fsync, os.replace

    def logged_fsync(descriptor):
        events.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def logged_replace(source, target):
        assert os.path.dirname(source) == os.path.dirname(target)
        events.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "replace", logged_replace)
    checkpoint.write_atomically(path, b"contents")
    assert path.read_bytes() == b"contents"
    if os.path.isdir("/proc/self/fd"):
        assert events == ["file", "rename", "folder"]


def test_killed_while_writing(path):
    """A process killed repeatedly while it replaces the file never leaves a damaged one."""
    code = (
        "import numpy as np, sys; from minigan.checkpoint import save_weights as s; i = 0\n"
        "while True:\n"
        "    s(sys.argv[1], {'w': np.full(20_000, i)}); i += 1; print(i, flush=True)"
    )
    for saves in (1, 2, 5):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        for _ in range(saves):
            process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        values = checkpoint.load_weights(path)["w"]
        assert values.shape == (20_000,) and (values == values[0]).all() and values[0] >= saves - 1


def test_missing_package(path, without):
    without("safetensors")
    for call in (lambda: checkpoint.save_weights(path, {}), lambda: checkpoint.load_weights(path)):
        with pytest.raises(ModuleNotFoundError, match=r'needs safetensors: run `pip install "minigan\[examples\]"`'):
            call()


# ---- small files that ask for much ----
def foreign(header, numbers=b""):
    """A safetensors file with this header, as the format describes it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def entry(*shape, offsets=(0, 0), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("contents", [
    *(foreign({"w": entry(*[1] * axes, offsets=(0, 4))}, bytes(4)) for axes in (65, 1000)),
    foreign({"w": entry(2**40, 2**40)}), foreign({"w": entry(2**32, 2**32, offsets=(0, 4))}, bytes(4)),
    foreign({"w": entry(2**63, 2)}), foreign({"w": entry(10**30)}), foreign({"w": entry(-1)}),
    foreign({"w": entry(2**62, 2**62, 0)}), foreign({"w": entry(4, offsets=(16, 0))}, bytes(16)),
    foreign({"w": entry(4, offsets=(0, 2**60))}, bytes(16)), (2**60).to_bytes(8, "little") + b"{}",
    foreign(b"[" * 100_000 + b"]" * 100_000), foreign(b'{"w":' * 50_000 + b"1" + b"}" * 50_000), foreign(b"\xff" * 64),
    foreign({"w": entry(2, offsets=(0, 2), dtype="F8_E4M3")}, bytes(2)), foreign({"w": entry(1, 2**50, 0, 3)}),
], ids=range(16))
def test_headers_that_ask_for_much_are_refused_or_hold_nothing(tmp_path, contents):
    path = tmp_path / "w.safetensors"
    path.write_bytes(contents)
    tracemalloc.start()
    for read in (load_weights, load_state):
        try:
            assert all(array.nbytes <= len(contents) for array in read(path).values())
        except CheckpointError as error:
            message = str(error)
            assert path.name in message  # whether it is refused depends on the version of safetensors
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_too_little_memory_is_one_sentence(tmp_path, name):
    """As under `ulimit -v`: 64 MB of weights, and room for 40 MB."""
    program = """
import io, os, resource, sys, zipfile
import numpy as np
from minigan.checkpoint import load_weights, save_weights
from minigan.errors import CheckpointError
path = sys.argv[1]
if path.endswith(".pth"):
    sys.path.insert(0, sys.argv[2])
    from test_torch_files import archive, tensor_pickle
    made = archive(tensor_pickle(count=16_000_000, shape=(16_000_000,), strides=(1,)), bytes(64_000_000))
    open(path, "wb").write(made)
    del made
else:
    save_weights(path, {"w": np.zeros(16_000_000, np.float32)})
small = path.replace("w.", "small.")
save_weights(small + ".safetensors", {"w": np.zeros(3)})
load_weights(small + ".safetensors")
used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + 40_000_000, resource.RLIM_INFINITY))
try:
    load_weights(path)
except CheckpointError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / name), str(Path(__file__).parent)],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert name in done.stdout
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="not a file: a pipe"):
        load_weights(tmp_path / "w.safetensors")
