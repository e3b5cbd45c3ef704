"""A run: its options, its folder, its progress bar, its pictures. What the example scripts have in common.

    runs/NAME/  config.json  metrics.jsonl  samples/epoch_0001.png ...  reals.png  curves.png  generator.safetensors ...

Everything that can be wrong is found before training starts: device, data, an output folder that cannot be written.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minigan
from minigan import device, report
from minigan.anomaly import detect_anomaly
from minigan.checkpoint import save_weights, write_atomically
from minigan.data import ImageData, Loader
from minigan.errors import DataError, MiniganError, NonFiniteError, OptionError
from minigan.optim import SCHEDULES
from minigan.random import Generator, seed
from minigan.trainers import GAN, Progress, Trainer

Scores = Callable[[Path, int], Any]  # measures the networks as they are, keeps that in a run folder, for a step
SAMPLES = 64  # images in a sample grid
SMOKE_STEPS = 3
CPUINFO = Path("/proc/cpuinfo")  # Linux only
IMAGES_SEEN = 120_000  # by default: two epochs of MNIST, 24 of its 5,000-digit subset
HELP = {  # what the options of the example scripts mean, once for all of them
    "size": "side of the images in pixels",
    "upsample": "nearest up-sampling and convolution in one, or transposed convolution",
    "loss": "what the two networks play for",
    "lr": "learning rate",
    "beta1": "Adam's memory of gradients",
    "latent": "length of the noise vector",
    "width": "channels of the largest feature map; they double as its side halves",
    "label_smoothing": "the discriminator's target for real images is 1 minus this",
    "n_discriminator": "discriminator steps per generator step",
    "n_critic": "critic steps per generator step",
    "n_start": "critic steps in each of the first 25 and in every 500th generator step, 100 in the paper's code",
    "norm": "of the discriminator",
    "lipschitz": "what holds the critic's slope: a gradient penalty, clipped weights, or spectral norm",
    "score_every": "steps between scores of the samples, into scores.jsonl; the weights that score best are kept",
    "ema": "decay of the averaged generator that draws the samples; 0 for none",
}
LABELS = {"d_loss": "D", "g_loss": "G", "d_real": "D(x)", "d_fake": "D(G(z))", "wasserstein": "W", "g_slope": "slope"}


def options(doc: str | None, arguments: Sequence[str] | None = None, *, name: str, **extra: Any) -> argparse.Namespace:
    """Parse the options all runs have, and `extra` ones: a default, a tuple of choices, the default first, or a type.

    An option that is only a type is None unless it is given: what runs then is the algorithm's own setting.

    Sets the device, the seed and, for a program that takes its options from the command line, the BLAS kernels. Wrong
    options, or a device that is not there, end the program with status 2 and one sentence.
    """
    parser = argparse.ArgumentParser(description=inspect.cleandoc(doc or ""),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=positive(int),
                        help=f"passes over the data (default: as many as show {IMAGES_SEEN:,} images)")
    parser.add_argument("--steps", type=positive(int), help="stop after so many steps, whatever the epochs")
    parser.add_argument("--batch-size", type=positive(int), default=64, help="images per step (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, noise and order of data; the same seed gives "
                        "the same bytes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs") / name,
                        help="folder of the run (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder with the data set (default: MINIGAN_DATA, then the cache, "
                        "then a download, then what a pip package has)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N, or emulated: the CUDA kernels on "
                        "the CPU, to look at them (default: %(default)s)")
    parser.add_argument("--precision", choices=("tf32", "fp32"), default="tf32", help="of products on a GPU: tensor "
                        "cores with 10 bits of mantissa, or exact float32 (default: %(default)s)")
    parser.add_argument("--no-graph", dest="graph", action="store_false",
                        help="on a GPU, launch kernel by kernel instead of one CUDA graph a step")
    parser.add_argument("--no-blas-tuning", dest="blas_tuning", action="store_false",
                        help="leave the kernels to OpenBLAS, or to OPENBLAS_CORETYPE (other kernels, other last "
                        "digits)")
    parser.add_argument("--schedule", choices=tuple(SCHEDULES), default="constant",
                        help="of the learning rate over the run: constant; half_linear: constant, from the middle on "
                        "straight down to 0; linear: down from the start; warmup: up over a twentieth, then constant; "
                        "step: a tenth after every third (default: %(default)s)")
    parser.add_argument("--check-finite", action="store_true", help="look at every number, and name the operation, "
                        "layer and line that makes the first NaN or infinity; slow, without a CUDA graph")
    parser.add_argument("--smoke", action="store_true", help=f"{SMOKE_STEPS} steps on a little data, to see it work")
    for key, default in extra.items():
        choices = default if isinstance(default, tuple) else None
        default = choices[0] if choices else default
        kind, shown = (default, "the algorithm's own") if isinstance(default, type) else (type(default), "%(default)s")
        parser.add_argument("--" + key.replace("_", "-"), type=kind, choices=choices,
                            default=None if isinstance(default, type) else default,
                            help=f"{HELP.get(key, '')} (default: {shown})".strip())
    chosen = parser.parse_args(arguments)
    try:
        chosen.device = device.set_device(chosen.device)
        if chosen.device != "cpu":
            device.set_precision(chosen.precision)
        seed(chosen.seed)
    except (MiniganError, ValueError) as error:
        parser.error(str(error))
    if arguments is None and chosen.blas_tuning and chosen.device == "cpu":
        tune_blas()
    return chosen


def tune_blas() -> None:
    """Start this program anew with OPENBLAS_CORETYPE set, if that makes its matrix products faster.

    OpenBLAS reads the variable when NumPy is imported, which has happened by now: so the process is replaced, with the
    same arguments. A variable that is set already is left alone, so this happens once.
    """
    is_program = Path(sys.argv[0]).is_file() and sys.orig_argv[-len(sys.argv):] == sys.argv  # else: a notebook, a shell
    if not is_program or "OPENBLAS_CORETYPE" in os.environ or not CPUINFO.exists():
        return
    kernels = device.better_blas_kernels(CPUINFO.read_text())
    if kernels is not None:
        print(f"OpenBLAS: {kernels} kernels, the fastest for this CPU (--no-blas-tuning leaves the choice to OpenBLAS)",
              flush=True)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "OPENBLAS_CORETYPE": kernels})


def positive(kind: type) -> Callable[[str], Any]:
    """An argparse type: a number above 0."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} must be above 0")
        return value

    parse.__name__ = kind.__name__
    return parse


def main(script: Callable[[], Any]) -> None:
    """Run an example; an error raised on purpose becomes one sentence and exit status 2, without a traceback."""
    try:
        script()
    except (MiniganError, ModuleNotFoundError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        if not type(error).__module__.startswith("cupy"):
            raise
        print(f"error: the GPU failed: {error}. The run folder has the weights of the last whole epoch; `nvidia-smi` "
              "and `dmesg` may say more.", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("stopped; what was learnt so far is in the run folder", file=sys.stderr)
        sys.exit(130)


def train(trainer: GAN, images: ImageData, chosen: argparse.Namespace) -> Path:
    """Train a GAN on images scaled to [-1, 1], with sample grids from fixed noise; see `fit`."""
    pixels = images.images[: 4 * chosen.batch_size] if chosen.smoke else images.images
    loader = Loader(pixels, chosen.batch_size, seed=chosen.seed).to(chosen.device)
    z = Generator(chosen.seed, "samples").normal((SAMPLES, chosen.latent))

    def sheet() -> Callable[[], np.ndarray]:
        drawn = trainer.sample_later(z)
        return lambda: report.grid(drawn(), 8)

    score: Scores | None = None
    if getattr(chosen, "score_every", None) is not None:
        if chosen.score_every < 1:
            raise OptionError(f"--score-every {chosen.score_every} must be at least 1; leave it out for no scores")
        from minigan.metrics.watch import Watch  # brings SciPy and scikit-learn

        print("scoring needs a classifier of digits, which is read from the cache or trained now, in a minute")
        score = Watch(trainer, chosen.seed, chosen.data)
    reals = report.grid(scaled(pixels[:SAMPLES]), 8)
    return fit(trainer, loader, chosen, images, reals=reals, sheet=sheet, score=score)


def fit(trainer: Trainer, batches: Any, chosen: argparse.Namespace, *data: ImageData, reals: np.ndarray,
        sheet: Callable[[], Callable[[], np.ndarray]], score: Scores | None = None) -> Path:
    """Train on batches; keep metrics, pictures, curves, weights and scores in the run folder, which is returned.

    Args:
        batches: a data.Loader or what has its attributes.
        data: what the batches are made of, for the record.
        reals: a picture of real data, uint8 (H, W) or (H, W, 3), kept as reals.png.
        sheet: starts a picture of what the networks can do now, and returns a function that waits for it; drawn at the
            end of each epoch and of the run.
        score: measures the networks every `chosen.score_every` steps and at the end of the run; None if nothing does.

    Raises:
        DataError: the output folder cannot be written.
        OptionError: fewer images than a batch.
        NonFiniteError: the metrics of a step are not finite; with --check-finite, the first number that is not.
    """
    print(device.device_info(), *(images.source for images in data), sep="\n")
    steps = planned_steps(chosen, batches, trainer)
    trainer.set_schedule(chosen.schedule, steps)
    folder = new_folder(chosen.out)
    write_config(folder, chosen, data, steps)
    report.save_png(reals, folder / "reals.png", scale=2)
    log = Log(folder, steps, chosen.batch_size * trainer.batches_per_step)

    sheets: list[tuple[str, Callable[[], np.ndarray]]] = []  # on their way from the GPU while it trains on

    def save_sheets() -> None:
        while sheets:
            name, picture = sheets.pop()
            report.save_png(picture(), folder / "samples" / name, scale=2)

    def scored(step: int) -> bool:
        return score is not None and (step == steps or step % chosen.score_every == 0)

    def on_step(progress: Progress) -> None:
        save_sheets()
        log(progress)
        check_finite(progress, chosen.check_finite)
        if score is not None and scored(progress.step):
            score(folder, progress.step)
        if progress.step == steps or progress.epoch_ends:
            name = f"epoch_{progress.epoch:04d}.png" if progress.epoch_ends else f"step_{progress.step:06d}.png"
            sheets.append((name, sheet()))
            keep_weights()

    def keep_weights() -> None:
        for part, network in trainer.networks.items():
            save_weights(folder / f"{part}.safetensors", network.state_dict())

    try:
        with detect_anomaly() if chosen.check_finite else contextlib.nullcontext():
            trainer.fit(batches, steps, on_step, graph=chosen.graph and not chosen.check_finite, promptly=scored)
    except BaseException as error:  # a run keeps what it learnt; from a GPU that is lost, the last epoch's weights
        if not isinstance(error, NonFiniteError):  # those of a diverged run are NaN, the last epoch's were not
            with contextlib.suppress(Exception):
                save_sheets()
                keep_weights()
        raise
    finally:
        log.close()
        if trainer.steps:
            report.loss_curves(folder / "metrics.jsonl", folder / "curves.png")
    save_sheets()
    print(f"{folder}: {log.summary()}")
    print("\n".join(report.diagnose(report.read_rows(folder / "metrics.jsonl"))))
    return folder


def check_finite(progress: Progress, was_watched: bool) -> None:
    """Stop a run that has diverged, before its last good weights are written over.

    Raises:
        NonFiniteError: a metric is NaN or infinite.
    """
    broken = [f"{key} is {value}" for key, value in progress.metrics.items() if not np.isfinite(value)]
    if broken:
        remedy = "" if was_watched else "; run it again with --check-finite to see which operation and layer began it"
        raise NonFiniteError(f"step {progress.step}: {' and '.join(broken)}: the networks have diverged{remedy}. "
                             "A smaller --lr is the usual remedy")


def planned_steps(chosen: argparse.Namespace, loader: Any, trainer: Trainer) -> int:
    """How long to train: --smoke, --steps, --epochs, or IMAGES_SEEN, in this order."""
    if chosen.smoke:
        return SMOKE_STEPS
    if chosen.steps:
        return chosen.steps
    epochs = chosen.epochs or max(1, round(IMAGES_SEEN / loader.samples))
    return max(1, epochs * loader.batches_per_epoch // trainer.batches_per_step)


def scaled(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels as float32 in [-1, 1]."""
    return pixels.astype(np.float32) / 127.5 - 1


def new_folder(wanted: Path) -> Path:
    """Make the run's folder; if there is a run in it already, the next free `NAME-2`, `NAME-3`, ..., said in one line.

    Raises:
        DataError: it cannot be made or written.
    """
    folder, number = wanted, 1
    while folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    try:
        (folder / "samples").mkdir(parents=True)
        write_atomically(folder / ".writable", b"")
        (folder / ".writable").unlink()
    except OSError as error:
        raise DataError(f"--out {wanted}: the run folder cannot be written ({error}); choose another") from None
    if folder != wanted:
        print(f"{wanted} holds an earlier run, which is kept; this one goes to {folder}")
    return folder


def write_config(folder: Path, chosen: argparse.Namespace, data: Sequence[ImageData], steps: int) -> None:
    """config.json: every option as it was in force, the data, the versions."""
    choices = {key: str(value) if isinstance(value, Path) else value for key, value in sorted(vars(chosen).items())}
    config = {
        "options": choices,
        "steps": steps,
        "data": [{"name": images.name, "source": images.source, "images": len(images)} for images in data],
        "device": device.device_info(),
        "versions": {"minigan": minigan.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    write_atomically(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


class Log:
    """metrics.jsonl, one line per step without clock times (equal runs give equal files), and the progress bar."""

    def __init__(self, folder: Path, steps: int, images_per_step: int) -> None:
        from tqdm import tqdm

        self.file = (folder / "metrics.jsonl").open("a")
        self.images_per_step, self.done, self.start = images_per_step, 0, time.perf_counter()
        pause = 0.5 if sys.stderr.isatty() else 15  # seconds between updates: a log file wants fewer
        self.bar = tqdm(total=steps, unit="step", dynamic_ncols=True, mininterval=pause, maxinterval=2 * pause)

    def __call__(self, progress: Progress) -> None:
        """Append a step's metrics and move the bar."""
        self.file.write(json.dumps({"step": progress.step, "epoch": progress.epoch, **progress.metrics}) + "\n")
        self.done += 1
        rate = self.done * self.images_per_step / progress.seconds
        watch = "  ".join(f"{LABELS.get(key, key)} {value:.3f}" for key, value in progress.metrics.items())
        self.bar.set_postfix_str(f"{rate:.0f} images/s  {watch}", refresh=False)
        self.bar.update()

    def close(self) -> None:
        """Flush and close."""
        self.seconds = time.perf_counter() - self.start
        self.bar.close()
        self.file.close()

    def summary(self) -> str:
        """Steps, time and speed, in words."""
        speed = self.done * self.images_per_step / self.seconds
        step = 1e3 * self.seconds / self.done
        return f"{self.done} steps in {self.seconds:.0f} s, {speed:.0f} images/s, {step:.0f} ms/step"
