"""The command line of a run: its options, its signals, its exit status."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from minigan.engine import device
from minigan.errors import MiniganError, OptionError, require
from minigan.optim import SCHEDULES
from minigan.random import seed
from minigan.run import signals
from minigan.run.folder import ABOUT_NOW, read_config

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
    "lambda_cycle": "weight of the cycle losses: translated there and back, an image should be what it was",
    "lambda_identity": "weight of the identity losses: an image of the target domain should stay as it is",
    "box": "side of USPS's digits in 32 pixels; by default 20, as MNIST's",
    "labels": "the data set whose labels teach a classifier, which in turn holds translations from there to them",
    "lambda_task": "weight of that classifier's losses",
    "lambda_l1": "weight of the mean absolute difference from the target",
    "lambda_features": "weight of feature matching in the discriminator's layers; pix2pixHD has 10",
    "scales": "discriminators, each of images half the size of the one before",
    "blocks": "residual blocks of a generator",
    "depth": "halvings of the image in the U-Net",
    "colour": "three equal channels, as networks for photographs want them",
    "images": "at most so many images of each domain",
    "no_score": "leave out the scores at the end, which take some minutes",
    "pool": "generated images that each discriminator is shown again; 0 for none",
    "generator": "with skips (U-Net) or without (ResNet)",
    "judge": "a discriminator of patches, or one at two scales",
    "strict": "end at the first file that cannot be read",
    "ema": "decay of the averaged generator that draws the samples; 0 for none",
}


def options(doc: str | None, arguments: Sequence[str] | None = None, *, name: str, resumable: bool = True,
            **extra: Any) -> argparse.Namespace:
    """Parse the options all runs have, and `extra` ones: a default, a tuple of choices, the default first, or a type.

    An extra one with the name of an option that all runs have, such as batch_size, is another default of that. A
    default of False makes an option without a value. An option that is only a type is None unless it is given: what
    runs then is the algorithm's own setting. With --resume, what is not given is as it was in the run continued.

    Sets the device, the seed and, for a program that takes its options from the command line, the BLAS kernels. Wrong
    options, or a device that is not there, end the program with status 2 and one sentence. So does `main` for a package
    that the program needs only at its end: it is imported here, before the training.

    doc        what --help begins with
    name       of the run's folder, by default
    resumable  whether the program trains by `run.fit`, which keeps checkpoints

    Raises:
        ModuleNotFoundError: matplotlib or Pillow is missing or, if resumable, safetensors.
    """
    parser = argparse.ArgumentParser(description=inspect.cleandoc(doc or ""),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_common(parser, name)
    if resumable:
        _add_durable(parser)
    known = {action.dest for action in parser._actions}
    parser.set_defaults(**{key: default for key, default in extra.items() if key in known})
    for key, default in extra.items():
        if key in known:
            continue
        if default is False:
            parser.add_argument("--" + key.replace("_", "-"), action="store_true", help=HELP.get(key))
            continue
        choices = default if isinstance(default, tuple) else None
        default = choices[0] if choices else default
        kind, shown = (default, "the algorithm's own") if isinstance(default, type) else (type(default), "%(default)s")
        parser.add_argument("--" + key.replace("_", "-"), type=kind, choices=choices,
                            default=None if isinstance(default, type) else default,
                            help=f"{HELP.get(key, '')} (default: {shown})".strip())
    chosen = parser.parse_args(arguments)
    try:
        if resumable and chosen.resume and chosen.overwrite:
            raise OptionError("--resume continues a run, --overwrite removes it; give one of the two")
        if resumable and chosen.resume:
            chosen = _as_before(parser, arguments, chosen.out)
        chosen.device = device.set_device(chosen.device)
        if chosen.device != "cpu":
            device.set_precision(chosen.precision)
        seed(chosen.seed)
    except (MiniganError, ValueError) as error:
        parser.error(str(error))
    if arguments is None and chosen.blas_tuning and chosen.device == "cpu":
        tune_blas()
    for module in ("PIL.Image", "matplotlib.figure", *(["safetensors.numpy"] if resumable else [])):
        require(module, "a run")
    return chosen


def _add_common(parser: argparse.ArgumentParser, name: str) -> None:
    """The options of every script."""
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


def _add_durable(parser: argparse.ArgumentParser) -> None:
    """The options of scripts that train by `run.fit`."""
    parser.add_argument("--resume", action="store_true", help="continue the run in --out from its last checkpoint, to "
                        "the bit; options that are not given are as they were")
    parser.add_argument("--overwrite", action="store_true", help="remove the files of the run that is in --out")
    parser.add_argument("--checkpoint-every", type=_every, default="auto", metavar="N|auto", help="steps between "
                        "checkpoints; auto: a minute, longer if saving would take over 1 %% of the time "
                        "(default: %(default)s)")
    parser.add_argument("--keep", type=positive(int), default=2, metavar="N", help="how many of the newest checkpoints "
                        "are kept, besides the best by score (default: %(default)s)")
    parser.add_argument("--rollback", action="store_true", help="when the networks diverge, go back to the last "
                        "checkpoint and on from there with half the learning rate; events.jsonl says why")
    parser.add_argument("--budget", type=duration, metavar="TIME", help="how long it may take, such as 90s, 10min or "
                        "2h, whatever the epochs: the steps are planned from the speed measured at first, and the "
                        "schedule with them")
    parser.add_argument("--tensorboard", action="store_true", help="write event files, too, into tensorboard/")


def _as_before(parser: argparse.ArgumentParser, arguments: Sequence[str] | None, folder: Path) -> argparse.Namespace:
    """The options of the run in a folder, but for those that are given now."""
    before = read_config(folder)["options"]
    known = {action.dest for action in parser._actions} - {*ABOUT_NOW, "out", "help"}
    parser.set_defaults(**{key: value for key, value in before.items() if key in known})
    return parser.parse_args(arguments)


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


def _every(text: str) -> int | str:
    """An argparse type: a number of steps, or auto."""
    return text if text == "auto" else positive(int)(text)


_every.__name__ = "number of steps"


def duration(text: str) -> float:
    """An argparse type: a time, in seconds.

    >>> duration("90"), duration("90s"), duration("1.5min"), duration("2h")
    (90.0, 90.0, 90.0, 7200.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*(s|sec|m|min|h|)", text.strip())
    seconds = float(match[1]) * {"m": 60, "h": 3600}.get(match[2][:1], 1) if match else 0
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 10min or 2h")
    return seconds


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as sentences, without the line of code that gave them."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *args, **kwargs: f"note: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def main(script: Callable[[], Any]) -> None:
    """Run an example; an error raised on purpose becomes one sentence and exit status 2, without a traceback.

    The first Ctrl-C or SIGTERM lets a run end after its step and be saved, and the exit status is 130 or 143; see
    signals.
    """
    try:
        with signals.handled(), _plain_warnings():
            script()
    except (MiniganError, ModuleNotFoundError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        if not type(error).__module__.startswith("cupy"):
            raise
        print(f"error: the GPU failed: {error}. --resume continues from the last checkpoint; `nvidia-smi` "
              "and `dmesg` may say more.", file=sys.stderr)
        sys.exit(3)
    except signals.Stopped as stop:
        print(f"stopped ({stop})", file=sys.stderr)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
