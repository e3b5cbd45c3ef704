"""What the example scripts call: `train` for a GAN on images, `fit` for any trainer.

Everything that can be wrong is found before training starts: device, data, an output folder that cannot be written,
a run to continue that is another one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minigan import report
from minigan.data import ImageData, Loader
from minigan.engine import device
from minigan.errors import OptionError
from minigan.random import Stream
from minigan.run import folder as folders
from minigan.run.board import tensorboardx
from minigan.run.plan import check_length, planned_steps
from minigan.run.saved import NEEDED
from minigan.run.session import Scores, Session, Sheet
from minigan.trainers import GAN, Trainer

SAMPLES = 64  # images in a sample grid
LOOKED_INTO = 200  # steps; what a shorter run has learnt is not worth a map


def train(trainer: GAN, images: ImageData, chosen: argparse.Namespace) -> Path:
    """Train a GAN on images scaled to [-1, 1], with sample grids from fixed noise; then look into what it has learnt.

    See `fit`.
    """
    pixels = images.images[: 4 * chosen.batch_size] if chosen.smoke else images.images
    loader = Loader(pixels, chosen.batch_size, seed=chosen.seed).to(chosen.device)
    z = Stream(chosen.seed, "samples").normal((SAMPLES, chosen.latent))

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
    some = np.linspace(0, len(pixels) - 1, min(SAMPLES, len(pixels))).astype(int)  # data may be sorted by class
    reals = report.grid(scaled(pixels[some]), 8)
    folder = fit(trainer, loader, chosen, images, reals=reals, sheet=sheet, score=score)
    if trainer.steps >= LOOKED_INTO and all(hasattr(chosen, name) for name in NEEDED):
        from minigan.run.latent.command import leave  # which looks into runs, so imports this package

        leave(folder, chosen.seed)
    return folder


def fit(trainer: Trainer, batches: Any, chosen: argparse.Namespace, *data: ImageData, reals: np.ndarray,
        sheet: Sheet, score: Scores | None = None) -> Path:
    """Train on batches; keep metrics, pictures, curves, weights, scores and checkpoints in the run folder, returned.

    Args:
        trainer: its `state_dict` is what is kept of it.
        batches: a data.Loader or what has its attributes, state_dict and load_state_dict among them.
        chosen: what `run.options` returns; with `chosen.resume`, the run in `chosen.out` is continued.
        data: what the batches are made of, for the record.
        reals: a picture of real data, uint8 (H, W) or (H, W, 3), kept as reals.png.
        sheet: starts a picture of what the networks can do now, and returns a function that waits for it; drawn at the
            end of each epoch and of the run.
        score: measures the networks every `chosen.score_every` steps and at the end of the run; None if nothing does.
            If it has state_dict, load_state_dict and best, they are kept in checkpoints, and the best one is.

    Raises:
        DataError: the output folder cannot be written, or, resumed, the data are other ones.
        OptionError: fewer images than a batch; resumed with options of another run.
        CheckpointError: there is no checkpoint to continue from, or none can be written.
        NonFiniteError: the metrics of a step are not finite; with --check-finite, the first number that is not.
        signals.Stopped: a signal ended the run, which is saved; see signals.
    """
    print(device.device_info(), *(images.source for images in data), sep="\n")
    saved = folders.read_config(chosen.out) if getattr(chosen, "resume", False) else None
    if saved is None:
        check_length(chosen)
    if getattr(chosen, "tensorboard", False):
        tensorboardx()  # is it there?
    again = saved is not None and _same_length(saved["options"], chosen)
    steps = int(saved["steps"]) if saved and again else planned_steps(chosen, batches, trainer)
    trainer.set_schedule(chosen.schedule, steps)
    config = folders.make_config(chosen, data, steps)
    if saved is None:
        folder = folders.new_folder(chosen.out, getattr(chosen, "overwrite", False))
        folders.write_config(folder, config)
        report.save_png(reals, folder / "reals.png", scale=2)
    else:
        folder = Path(chosen.out)
        changed = folders.check_continues(folder, saved, config)
    session = Session(folder, trainer, batches, chosen, config, sheet, score)
    if saved is not None:
        session.resume(changed)
        folders.write_config(folder, config)
    session.run()
    return folder


def _same_length(before: dict[str, Any], chosen: argparse.Namespace) -> bool:
    """Whether a resumed run is to be as long as it was planned to be."""
    return all(before.get(name) == getattr(chosen, name, None) for name in (*folders.LONGER, "budget", "smoke"))


def scaled(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels as float32 in [-1, 1]."""
    return pixels.astype(np.float32) / 127.5 - 1
