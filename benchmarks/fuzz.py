"""Damage checkpoints, weights, IDX and image files in 22,500 ways: each must load correctly or be refused by an error.

    python benchmarks/fuzz.py                 1,500 files of each kind
    python benchmarks/fuzz.py --each 50

Pictures are also read as folders, by data.image_folder: each file is in the result or named as left out.
A child process reads the damaged files, each within 10 seconds and within 256 MiB of address space (1 GiB for pictures)
beyond what the undamaged file needs. A crash, a hang, an exception that is not minigan's, or more memory is a failure.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from minigan.checkpoint import load_state, load_weights, save_state, save_weights
from minigan.data.idx import read_idx
from minigan.errors import MiniganError

PICTURES = {"png": "RGB", "png 16 bits": "I;16", "png exif": "P", "jpeg": "L", "jpeg exif": "RGB", "gif": "P",
            "bmp": "RGB", "tiff": "RGB", "webp": "RGB", "ppm": "L"}  # the mode of the undamaged file of each kind
PICTURE_ROOM = 1 << 30  # bytes of address space that reading a picture may add: up to 50 million pixels
LITTLE_ROOM = 256 << 20  # all other kinds need no more than the file can hold
SECONDS = 10
VERIFIED = ("checkpoint", "weights")  # kinds with a checksum: what loads must be what was saved
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF)


def good_files() -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    """For each kind: a small undamaged file, and the function that reads it."""
    from safetensors.numpy import save

    with tempfile.TemporaryDirectory() as folder:
        state = {"step": 7, "trainer": {"generator": {"0.weight": np.arange(60, dtype=np.float32).reshape(3, 4, 5)}},
                 "pool": [np.zeros((2, 2)), 1.5], "name": "x"}
        save_state(Path(folder) / "a", state)
        save_weights(Path(folder) / "b", {"w": np.arange(60, dtype=np.float32).reshape(3, 20)})
        checkpoint, weights = (Path(folder) / name for name in "ab")
        kinds: dict[str, tuple[bytes, Callable[[Path], object]]] = {
            "checkpoint": (checkpoint.read_bytes(), load_state), "weights": (weights.read_bytes(), load_weights)}
    idx = b"\x00\x00\x08\x03" + np.array([5, 4, 6], ">u4").tobytes() + bytes(range(120))
    kinds["PyTorch's zip"] = (_torch_zip(), load_weights)
    kinds["foreign weights"] = (save({"w": np.ones((3, 4), np.float32), "v": np.arange(9)}), load_weights)
    kinds["idx"] = (idx, read_idx)
    kinds["idx.gz"] = (gzip.compress(idx, mtime=0), read_idx)
    if find_spec("minigan.data.pictures"):
        from PIL import Image

        read_picture = import_module("minigan.data.pictures").read_picture
        pixels = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
        for name, mode in PICTURES.items():
            image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257 if mode == "I;16" else pixels)
            exif = Image.Exif()  # with an orientation, rationals, and a block of its own for a place
            exif.update({0x0112: 6, 0x010F: "a camera", 0x011A: 72.0, 0x0132: "2026:01:01 00:00:00"})
            exif.get_ifd(0x8825)[2] = (52.0, 31.0, 1.5)
            buffer, metadata = io.BytesIO(), {"exif": exif} if "exif" in name else {}
            (image if mode == "I;16" else image.convert(mode)).save(buffer, name.split()[0], **metadata)
            kinds[name] = (buffer.getvalue(), read_picture)
    return kinds


def suffix(kind: str) -> str:
    """How the names of a kind's files end: image_folder looks for pictures by their names."""
    return f".{kind.split()[0]}" if kind in PICTURES else ""


def read_folder(folder: Path, kind: str) -> None:
    """In the child: read all pictures of a kind as a folder; every file is in the result or left out."""
    data = import_module("minigan.data")
    signal.alarm(20 * SECONDS)
    count = len(list(folder.iterdir()))
    result = data.image_folder(folder, 8, 3)
    left_out = re.search(r"; ([\d,]+) left out", result.source)
    missing = count - len(result) - (int(left_out[1].replace(",", "")) if left_out else 0)
    signal.alarm(0)
    if missing:
        raise SystemExit(f"{kind}: {missing} of {count} files are neither read nor left out: {result.source}")


def _torch_zip() -> bytes:
    """A file as torch.save writes it, {"w": a float32 tensor of shape (3, 4)}, without PyTorch."""
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\x0ctQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + (
        b"K\0K\3K\4\x86K\4K\1\x86\x89ccollections\nOrderedDict\n)RtR")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\2}X\1\0\0\0w" + tensor + b"s.")
        file.writestr("archive/data/0", np.arange(12, dtype="<f4").tobytes())
    return buffer.getvalue()


def damaged(raw: bytes, chance: random.Random) -> bytes:
    """The file, damaged in one of seven ways, by accident or on purpose."""
    bad, place = bytearray(raw), chance.randrange(len(raw))
    way = chance.randrange(7)
    if way == 0:
        bad[place] ^= 1 << chance.randrange(8)
    elif way == 1:
        del bad[place:]
    elif way == 2:
        bad[place:place] = chance.randbytes(chance.randrange(1, 40))
    elif way == 3:
        bad[place : place + 8] = bytes(chance.choice(NUMBERS) for _ in range(8))
    elif way == 4:
        del bad[place : place + chance.randrange(1, 40)]
    elif way == 5:  # another number in the header, such as an absurd size
        found = [*re.finditer(rb"\d+", bad[:2000])]
        spot = chance.choice(found) if found else None
        if spot:
            bad[spot.start() : spot.end()] = str(chance.choice([0, 1, 2**31, 2**40, 2**63, 10**30])).encode()
            bad[:8] = (int.from_bytes(raw[:8], "little") + len(bad) - len(raw)).to_bytes(8, "little")
    else:
        bad += bad[place:]
    return bytes(bad)


def read_all(folder: Path, kind: str, reader: Callable[[Path], object]) -> None:
    """In the child: read every file of a kind and count the outcomes; anything unexpected ends the process."""
    warnings.simplefilter("ignore")  # about orientations that cannot be read
    good = repr(reader(folder / f"good{suffix(kind)}"))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    room = PICTURE_ROOM if kind in PICTURES else LITTLE_ROOM
    resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))
    counts: Counter[str] = Counter()
    slowest = 0.0
    for path in sorted(folder.glob("bad*")):
        signal.alarm(SECONDS)
        start = time.monotonic()
        try:
            value = reader(path)
            if kind in VERIFIED and repr(value) != good:
                raise SystemExit(f"{kind}: {path}: loaded, but differs from what was saved: {value!r}")
            counts["loaded"] += 1
        except MiniganError as error:
            if path.name not in str(error):
                raise SystemExit(f"{kind}: {path}: the error does not name the file: {error}") from error
            counts["refused"] += 1
        except SystemExit:
            raise
        except BaseException as error:
            raise SystemExit(f"{kind}: {path}: {type(error).__name__}: {error}") from error
        slowest = max(slowest, time.monotonic() - start)
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(f"{kind:16} {counts['refused']:6} refused  {counts['loaded']:6} loaded   slowest {1e3 * slowest:.1f} ms",
          flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=1500, help="damaged files of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    kinds = good_files()
    if options.child:
        for kind, (_, reader) in kinds.items():
            read_all(options.child / kind, kind, reader)
            if kind in PICTURES:
                read_folder(options.child / kind, kind)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, (raw, _) in kinds.items():
            chance, place = random.Random(f"{options.seed} {kind}"), Path(folder) / kind
            place.mkdir()
            (place / f"good{suffix(kind)}").write_bytes(raw)
            for number in range(options.each):
                (place / f"bad{number:05}{suffix(kind)}").write_bytes(damaged(raw, chance))
        done = subprocess.run([sys.executable, __file__, "--child", folder], check=False)
    if done.returncode:
        print(f"the reader ended with status {done.returncode}")
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
