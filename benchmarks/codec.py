"""The tables and the picture of docs/codec.md: codecs of finished runs beside JPEG and WebP of equal size.

    python benchmarks/codec.py runs/codec runs/codec_mse --picture picture.png
    python benchmarks/codec.py runs/photographs runs/photographs_mse --photographs

Runs are those of examples/codec.py, with and without the adversarial loss, of one rate. Pictures are OpenMoji's test
pictures of 64 pixels, or with --photographs the test patches of scikit-learn's two. Every size is that of a file that
was written and read. A row: bytes of the file, bytes and bits per pixel without headers, PSNR, SSIM, Frechet
distance, sliced Wasserstein distance of patches of 7 x 7 pixels at full size, which sees how sharp edges are.
"""

import argparse
import lzma
import zlib
from pathlib import Path

import numpy as np

from minigan import data, metrics, report
from minigan.errors import require
from minigan.run import codec
from minigan.run.codec import saved

SHOWN = (14, 62, 77, 92, 107, 138, 158, 184, 200, 245)  # rows of the test pictures
RAW = {"format": lzma.FORMAT_RAW, "filters": [{"id": lzma.FILTER_LZMA2, "preset": 9}]}


def round_trip(folder, images):
    """Pictures through the codec of a run, as `metrics.Compressed`; and what other coders make of the same codes."""
    coder = codec.load_codec(folder)
    files = [coder.compress(image.transpose(1, 2, 0)) for image in images]
    drawn = np.stack([coder.decompress(file) for file in files]).transpose(0, 3, 1, 2)
    sizes = np.array([len(file) for file in files])
    symbols = saved.symbols_of(coder.encoder, images)
    flat = [part.astype(np.uint8).tobytes() for part in symbols]
    print(f"{folder}: {np.mean([coder.prior.bits(part) for part in symbols]) / 8:.1f} bytes are ideal, "
          f"{(sizes - codec.HEADER).mean():.1f} are written; {symbols[0].size * np.log2(coder.prior.levels) / 8:.1f} "
          f"without a prior; {np.mean([len(zlib.compress(part, 9)) for part in flat]):.1f} by zlib, "
          f"{np.mean([len(lzma.compress(part, **RAW)) for part in flat]):.1f} by LZMA")
    return metrics.Compressed(drawn, sizes, sizes - codec.HEADER, 0, 1.0)


def main() -> None:
    """Score the runs, and JPEG and WebP at the payload of the first; draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--photographs", action="store_true")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    require("scipy.ndimage", "the score")
    train, test = ((data.patches("colour", count, 64, split) for count, split in ((1500, "train"), (160, "test")))
                   if options.photographs else (data.openmoji(64, split=split) for split in ("train", "test")))
    images = test.images
    results = {str(folder): round_trip(folder, images) for folder in options.runs}
    payload = next(iter(results.values())).payload.mean()
    results |= {kind: metrics.compressed_to(kind, images, payload) for kind in ("WEBP", "JPEG")}
    features = metrics.picture_features(train.images)
    for name, row in results.items():
        print(f"| {name} | {row.files.mean():.0f} | {row.payload.mean():.0f} | "
              f"{8 * row.payload.mean() / images[0, 0].size:.3f} | {metrics.psnr(row.images, images):.2f} | "
              f"{metrics.ssim(row.images, images):.3f} | "
              f"{metrics.frechet(features(row.images), features(images)):.3f} | "
              f"{metrics.sliced_wasserstein(row.images, images)[64]:.1f} | q {row.quality}, 1/{row.shrink}", flush=True)
    if options.picture:
        shown = np.array([row % len(images) for row in SHOWN])
        sheet = report.rows(*(data.scaled(part[shown]) for part in (images, *(row.images for row in results.values()))))
        picture = require("PIL.Image", "a picture").fromarray(sheet)
        picture.quantize(64, dither=0).save(options.picture, optimize=True)


if __name__ == "__main__":
    main()
