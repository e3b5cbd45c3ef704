"""The table of progressive growing (Karras et al., 2018, table 1): rows (a) to (g), each with one change more.

    python benchmarks/progressive.py train --out results/                     every row, three seeds
    python benchmarks/progressive.py train --out results/ --rows f,g --seeds 0 --images 20000
    python benchmarks/progressive.py score --out results/                     write results/progressive.md
    python benchmarks/progressive.py train --out results/ --device cuda --size 128 --width 512 --flat 32 --latent 512

All rows show the discriminator the same number of real images, start from the weights that a seed gives and draw their
samples from a generator averaged with the same decay. Rows (a) and (b) take 64 images per step, the others 16; --large
and --small change that. "g0" is row (g) without growing, which trains for as long as (g) with the same seed took.

`train` writes images per row and seed, as ROW-SEED.npz; `score` compares them with as many training images: the sliced
Wasserstein distance of 7 x 7 patches at each level of a Laplacian pyramid, times 1,000, and its mean. "real" is the
distance between two halves of the training images: what a perfect generator would reach.
"""

import argparse
import contextlib
import re
import sys
import time
from pathlib import Path

import numpy as np

import minigan as mg
from minigan import data, trainers
from minigan.metrics import sliced_wasserstein
from minigan.random import Stream

PAPER = {  # table 1, CelebA at 128 pixels: levels 128, 64, 32, 16 and their mean; (h), converged: 2.96
    "a": (12.99, 7.79, 7.62, 8.73, 9.28), "b": (4.62, 2.64, 3.78, 6.06, 4.28), "c": (75.42, 41.33, 41.62, 26.57, 46.23),
    "d": (9.20, 6.53, 4.71, 11.84, 8.07), "e*": (10.76, 6.28, 6.04, 16.29, 9.84), "e": (13.94, 5.67, 2.82, 5.71, 7.04),
    "f": (4.42, 3.28, 2.32, 7.52, 4.39), "g": (4.06, 3.04, 2.02, 5.13, 3.56)}
ROWS = [*trainers.GROWTH_ROWS, "g0"]
PICTURES = {"openmoji": lambda size: data.openmoji(size), "shapes": lambda size: data.shapes(size=size),
            "digits": lambda size: data.mnist(size=size)}
BATCH = 256  # samples drawn at a time


class TimeIsUpError(Exception):
    """Ends a training."""


def file_of(folder, row, seed):
    """Where the samples of a row are; a * is no character for a name."""
    return folder / f"{row.replace('*', 'star')}-{seed}.npz"


def made(name, seed, channels, options):
    """The trainer of a row, and the images of its batches."""
    row = trainers.growth_row(name.removesuffix("0"))
    batch = options.large if row.batch > 16 else options.small
    mg.seed(seed)
    networks = row.networks_of(channels, options.size, latent=options.latent, width=options.width, flat=options.flat)
    phases = 2 * len(networks[0].sides) - 1
    each = max(1, options.images // phases)
    growing = False if name == "g0" else None
    return row.trainer(*networks, fade_images=each, stable_images=each, batch_size=batch, growing=growing,
                       ema=options.ema, seed=seed), batch


def trained(name, seed, pictures, options):
    """Train; returns the trainer, the steps done and the seconds it took."""
    trainer, batch = made(name, seed, pictures.images.shape[1], options)
    loader = data.Loader(pictures.images, batch, seed=seed).to(mg.device.default())
    limit = np.inf
    if name == "g0":
        other = file_of(options.out, "g", seed)
        if not other.exists():
            sys.exit(f"{other}: row g0 trains for as long as row g did; train that first")
        with np.load(other) as run:
            limit = float(run["seconds"])

    def on_step(progress):
        if time.perf_counter() - start > limit:
            raise TimeIsUpError

    start, steps = time.perf_counter(), trainer.planned if limit == np.inf else 10**9
    with contextlib.suppress(TimeIsUpError):
        trainer.fit(loader, steps, on_step)
    return trainer, trainer.clock.steps, time.perf_counter() - start


def train(options):
    """Train every row with every seed and write one file of samples each; existing files are kept."""
    mg.set_device(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = PICTURES[options.pictures](options.size)
    for seed in options.seeds:
        for name in options.rows:
            path = file_of(options.out, name, seed)
            if path.exists():
                continue
            trainer, steps, seconds = trained(name, seed, pictures, options)
            z = Stream(seed, "samples").normal((options.drawn, trainer.latent))
            drawn = np.concatenate([trainer.sample(z[i : i + BATCH]) for i in range(0, len(z), BATCH)])
            pixels = np.clip(np.rint((drawn + 1) * 127.5), 0, 255).astype(np.uint8)  # (drawn, C, size, size)
            np.savez_compressed(path, images=pixels, seconds=seconds, steps=steps, budget=options.images,
                                pictures=options.pictures, source=pictures.source, size=options.size,
                                width=options.width, flat=options.flat, device=mg.device_info())
            print(f"row {name}, seed {seed}: {steps:,} steps in {seconds:.0f} s", flush=True)


def distances_of(path, real):
    """Sliced Wasserstein distances by level, and the seconds of training."""
    with np.load(path) as run:
        images, seconds = run["images"], float(run["seconds"])
    count = min(len(images), len(real))
    levels = sliced_wasserstein(images[:count], real[:count])
    print(f"{path.name}: {np.mean([*levels.values()]):.2f}", flush=True)
    return levels, seconds


def score(options):
    """Measure every file of samples; print a table of means and standard deviations over seeds, and write it."""
    files = {name: [path for path in sorted(options.out.glob("*.npz")) if re.fullmatch(
        rf"{name.replace('*', 'star')}-\d+", path.stem)] for name in ROWS}
    found = [path for paths in files.values() for path in paths]
    if not found:
        sys.exit(f"{options.out} holds no samples; run `train` first")
    with np.load(found[0]) as run:
        facts = {key: run[key].item() for key in ("size", "width", "flat", "budget", "pictures", "source", "device")}
        drawn = len(run["images"])
    real = PICTURES[facts["pictures"]](facts["size"]).images
    real = real[np.random.default_rng(0).permutation(len(real))]  # data may be sorted
    half = min(len(real) // 2, drawn)
    floor = sliced_wasserstein(real[:half], real[half : 2 * half])
    table = ["| row | " + " | ".join(map(str, floor)) + " | average | seconds | seeds | paper: 128 | 64 | 32 | 16 | "
             "average |", "|---" * (len(floor) + 9) + "|"]
    for name, paths in files.items():
        if not paths:
            continue
        results = [distances_of(path, real) for path in paths]
        levels = np.array([[*distances.values(), np.mean([*distances.values()])] for distances, _ in results])
        cells = [f"{mean:.2f}" + (f" ± {std:.2f}" if len(paths) > 1 else "")
                 for mean, std in zip(levels.mean(0), levels.std(0), strict=True)]
        title = "without growing, in the same time" if name == "g0" else trainers.growth_row(name).title
        paper = [f"{value:.2f}" for value in PAPER[name]] if name in PAPER else [""] * 5
        table.append(f"| ({name}) {title} | {' | '.join(cells)} | {np.mean([seconds for _, seconds in results]):.0f} | "
                     f"{len(paths)} | {' | '.join(paper)} |")
    table.append("| real, two halves | " + " | ".join(f"{v:.2f}" for v in [*floor.values(), np.mean([*floor.values()])])
                 + " |" * 8)
    head = (f"Sliced Wasserstein distance x 1,000, {min(drawn, len(real)):,} images of {facts['size']} pixels; "
            f"{facts['budget']:,} real images shown per run, width {facts['width']}, flat {facts['flat']}. "
            f"Pictures: {facts['source']}. Trained on {facts['device'].partition(';')[0]}. The paper's columns: CelebA "
            "at 128 pixels, 10 million images.\n\n")
    text = head + "\n".join(table) + "\n"
    (options.out / "progressive.md").write_text(text)
    print(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="train and draw samples")
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--rows", type=lambda text: text.split(","), default=ROWS, help=",".join(ROWS))
    training.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2])
    training.add_argument("--images", type=int, default=60_000, help="real images shown per run")
    training.add_argument("--pictures", choices=PICTURES, default=next(iter(PICTURES)))
    for name, default, help in (("size", 64, "side of the images"), ("width", 64, "feature maps of the smallest sides"),
                                ("flat", 8, "largest side with as many"), ("latent", 64, "length of the noise vector"),
                                ("large", 64, "images per step in rows a and b"), ("small", 16, "in the others"),
                                ("drawn", 2048, "samples drawn per run")):
        training.add_argument(f"--{name}", type=int, default=default, help=f"{help} (default: {default})")
    training.add_argument("--ema", type=float, default=0.99, help="decay of the averaged generator (default: 0.99; the "
                          "paper's 0.999 is for runs of a hundred times as many steps)")
    training.add_argument("--device", default="auto")
    training.set_defaults(go=train)
    scoring = commands.add_parser("score", help="measure the samples that train wrote")
    scoring.add_argument("--out", type=Path, required=True, help="the folder that train wrote to")
    scoring.set_defaults(go=score, rows=[])
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"--rows: {', '.join(sorted(unknown))} unknown; there are {', '.join(ROWS)}")
    options.go(options)


if __name__ == "__main__":
    sys.exit(main())
