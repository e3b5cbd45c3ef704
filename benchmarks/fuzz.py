"""Damage checkpoints, weights, IDX and image files in 10,000 ways: each must load rightly or be refused in words.

    python benchmarks/fuzz.py                 2,500 ways each
    python benchmarks/fuzz.py --each 50

A child process reads the damaged files, with 10 seconds for each and 256 MiB of address space beyond what it has after
reading the good ones: a crash, a hang, another exception than minigan's, or more memory is a failure.
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
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from minigan.checkpoint import load_state, load_weights, save_state, save_weights
from minigan.data.idx import read_idx
from minigan.errors import MiniganError

ROOM = 256 << 20  # bytes of address space a read may add
SECONDS = 10
VERIFIED = ("checkpoint", "weights")  # kinds with a checksum: what loads must be what was saved
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF)


def good_files() -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    """By kind: a small good file, and what reads it."""
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
    kinds["foreign weights"] = (save({"w": np.ones((3, 4), np.float32), "v": np.arange(9)}), load_weights)
    kinds["idx"] = (idx, read_idx)
    kinds["idx.gz"] = (gzip.compress(idx, mtime=0), read_idx)
    if find_spec("minigan.data.pictures"):
        from PIL import Image

        read_picture = import_module("minigan.data.pictures").read_picture
        for name, mode in (("png", "RGB"), ("jpeg", "L")):
            buffer = io.BytesIO()
            Image.fromarray(np.arange(768, dtype=np.uint8).reshape(16, 16, 3)).convert(mode).save(buffer, name)
            kinds[name] = (buffer.getvalue(), read_picture)
    return kinds


def damaged(raw: bytes, chance: random.Random) -> bytes:
    """One of the things that happen to files, or that somebody does to them."""
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
    elif way == 5:  # another number in the description, such as an absurd size
        found = [*re.finditer(rb"\d+", bad[:2000])]
        spot = chance.choice(found) if found else None
        if spot:
            bad[spot.start() : spot.end()] = str(chance.choice([0, 1, 2**31, 2**40, 2**63, 10**30])).encode()
            bad[:8] = (int.from_bytes(raw[:8], "little") + len(bad) - len(raw)).to_bytes(8, "little")
    else:
        bad += bad[place:]
    return bytes(bad)


def read_all(folder: Path, kind: str, reader: Callable[[Path], object]) -> None:
    """In the child: read every file, counting what happened; anything unforeseen ends the process."""
    good = repr(reader(folder / "good"))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    counts: Counter[str] = Counter()
    slowest = 0.0
    for path in sorted(folder.glob("bad*")):
        signal.alarm(SECONDS)
        start = time.monotonic()
        try:
            value = reader(path)
            if kind in VERIFIED and repr(value) != good:
                raise SystemExit(f"{kind}: {path}: loaded, but other than it was saved: {value!r}")
            counts["loaded"] += 1
        except MiniganError as error:
            if path.name not in str(error):
                raise SystemExit(f"{kind}: {path}: not named in: {error}") from error
            counts["refused"] += 1
        except SystemExit:
            raise
        except BaseException as error:
            raise SystemExit(f"{kind}: {path}: {type(error).__name__}: {error}") from error
        slowest = max(slowest, time.monotonic() - start)
    signal.alarm(0)
    print(f"{kind:16} {counts['refused']:6} refused  {counts['loaded']:6} loaded   slowest {1e3 * slowest:.1f} ms")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=2500, help="damaged files a kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "KIND"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    kinds = good_files()
    if options.child:
        folder, kind = options.child
        read_all(Path(folder), kind, kinds[kind][1])
        return 0
    for kind, (raw, _) in kinds.items():
        chance = random.Random(f"{options.seed} {kind}")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "good").write_bytes(raw)
            for number in range(options.each):
                (Path(folder) / f"bad{number:05}").write_bytes(damaged(raw, chance))
            done = subprocess.run([sys.executable, __file__, "--child", folder, kind], check=False)
            if done.returncode:
                print(f"{kind}: the reader ended with status {done.returncode}")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
