"""Compress a picture with the codec of a run, or decompress one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from minigan.checkpoint import write_atomically
from minigan.data.paths import printable, user_path
from minigan.data.pictures import read_picture
from minigan.errors import DataError, OptionError, require
from minigan.report import save_png
from minigan.run.codec import HEADER, load_codec

MOST_BYTES = 64 << 20  # of a compressed file


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file, and print its size."""
    parser = argparse.ArgumentParser(prog="python -m minigan codec", description=__doc__)
    parser.add_argument("way", choices=("compress", "decompress"), help="a picture to a file, or a file to a picture")
    parser.add_argument("run", type=user_path, metavar="RUN", help="folder of a run of examples/codec.py")
    parser.add_argument("source", type=user_path, metavar="PICTURE|FILE", help="what to read")
    parser.add_argument("out", type=user_path, metavar="OUT", help="what to write; a picture is a PNG")
    options = parser.parse_args(arguments)
    require("constriction", "the entropy coder")
    if os.path.realpath(options.out) == os.path.realpath(options.source):
        raise OptionError(f"{options.out}: it would overwrite what is read; name another file")
    (_compress if options.way == "compress" else _decompress)(options.run, options.source, options.out)


def _compress(run: Path, source: Path, out: Path) -> None:
    codec = load_codec(run)
    pixels = read_picture(source, codec.channels)
    file = codec.compress(pixels, str(source))
    write_atomically(out, file)
    (H, W, _), bits = pixels.shape, 8 * len(file)
    print(printable(f"{out}: {len(file):,} bytes for {H} x {W} pixels, {bits / (H * W):.3f} bits per pixel; "
                    f"{len(file) - HEADER:,} bytes without the header"))


def _decompress(run: Path, source: Path, out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise OptionError(f"{out}: the picture is a PNG, so name it *.png")
    codec = load_codec(run)
    if not source.is_file() or source.stat().st_size > MOST_BYTES:
        raise DataError(f"{source}: there is no such file, or it is larger than the {MOST_BYTES:,} bytes that one can "
                        "have; name one that `codec compress` wrote")
    pixels = codec.decompress(source.read_bytes(), str(source))
    save_png(pixels[:, :, 0] if codec.channels == 1 else pixels, out)
    print(printable(f"{out}: {pixels.shape[0]} x {pixels.shape[1]} pixels"))
