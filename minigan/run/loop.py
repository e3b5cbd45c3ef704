"""What the example scripts call: `train` for a GAN on images, `fit` for any trainer.

Everything that can be wrong is found before training starts: device, data, an output folder that cannot be written,
a run to continue that is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan import report
from minigan.data import Batches, ImageData, Loader, scaled
from minigan.engine import device
from minigan.errors import OptionError
from minigan.random import Stream
from minigan.run import folder as folders
from minigan.run.board import tensorboardx
from minigan.run.latent.pictures import write_default_pictures
from minigan.run.options import RunOptions
from minigan.run.plan import check_length, planned_steps
from minigan.run.saved import NEEDED
from minigan.run.session import Scores, Session, Sheet
from minigan.trainers import GAN, Trainer

SAMPLES = 64  # images in a sample grid
LOOKED_INTO = 200  # steps; what a shorter run has learnt is not worth a map


def train(trainer: GAN, images: ImageData, options: RunOptions) -> Path:
    """Train a GAN on images scaled to [-1, 1], with sample grids from fixed noise; then look into what it has learnt.

    The run's folder is returned. Raises as `fit`; OptionError for --score-every below 1.
    """
    pixels = images.images[: 4 * options.batch_size] if options.smoke else images.images
    loader = Loader(pixels, options.batch_size, seed=options.seed).to(options.device)
    z = Stream(options.seed, "samples").normal((SAMPLES, trainer.latent))

    def sheet() -> Callable[[], np.ndarray]:
        drawn = trainer.sample_later(z)
        return lambda: report.grid(drawn(), 8)

    score: Scores | None = None
    if options.score_every is not None:
        if options.score_every < 1:
            raise OptionError(f"--score-every {options.score_every} must be at least 1; leave it out for no scores")
        from minigan.metrics.watch import Watch  # brings SciPy and scikit-learn

        print("scoring needs a classifier of digits, which is read from the cache or trained now, in a minute")
        score = Watch(trainer, options.seed, options.data)
    rows = np.linspace(0, len(pixels) - 1, min(SAMPLES, len(pixels))).astype(int)  # data may be sorted by class
    reals = report.grid(scaled(pixels[rows]), 8)
    session = opened(trainer, loader, options, [images], reals, sheet, score)
    session.run()
    if trainer.steps >= LOOKED_INTO and options.recorded().keys() >= {*NEEDED}:
        write_default_pictures(session.folder, options.seed)
    return session.folder


def fit(trainer: Trainer, batches: Batches, options: RunOptions, *data: ImageData, reals: np.ndarray, sheet: Sheet,
        score: Scores | None = None) -> Path:
    """Train on batches; keep metrics, pictures, curves, weights, scores and checkpoints in the run folder, returned.

    Args:
        trainer: its `state_dict` is what is kept of it.
        batches: a data.Loader or another `data.Batches`.
        options: what `run.options` returns; with `options.resume`, the run in `options.out` is continued.
        data: what the batches are made of, for the record.
        reals: a picture of real data, uint8 (H, W) or (H, W, 3), kept as reals.png.
        sheet: starts a picture of what the networks can do now, and returns a function that waits for it; drawn at the
            end of each epoch and of the run.
        score: measures the networks every `options.score_every` steps and at the end of the run; None for no scores.
            If it has state_dict, load_state_dict and best, they are kept in checkpoints, and the best one is.

    Raises:
        DataError: the output folder cannot be written; on resuming, the data are other ones.
        OptionError: fewer images than a batch; on resuming, the options of another run.
        CheckpointError: there is no checkpoint to continue from, or none can be written.
        NonFiniteError: the metrics of a step are not finite; with --check-finite, the first number that is not.
        signals.Stopped: a signal ended the run, which is saved; see signals.
    """
    session = opened(trainer, batches, options, data, reals, sheet, score)
    session.run()
    return session.folder


def opened(trainer: Trainer, batches: Batches, options: RunOptions, data: Sequence[ImageData], reals: np.ndarray,
           sheet: Sheet, score: Scores | None) -> Session:
    """A run ready to train, new or resumed, with its folder; arguments and errors as in `fit`."""
    print(device.device_info(), *(images.source for images in data), sep="\n")
    saved = folders.read_config(options.out) if options.resume else None
    if saved is None:
        check_length(options)
    if options.tensorboard:
        tensorboardx()  # raises if it is missing
    again = saved is not None and _same_length(saved["options"], options)
    steps = int(saved["steps"]) if saved and again else planned_steps(options, batches, trainer)
    trainer.set_schedule(options.schedule, steps)
    config = folders.make_config(options.recorded(), data, steps)
    if saved is None:
        folder = folders.new_folder(options.out, options.overwrite)
        folders.write_config(folder, config)
        report.save_png(reals, folder / "reals.png", scale=2)
        return Session(folder, trainer, batches, options, config, sheet, score)
    changed = folders.check_continues(options.out, saved, config)
    session = Session(options.out, trainer, batches, options, config, sheet, score)
    session.resume(changed)
    folders.write_config(options.out, config)
    return session


def _same_length(before: dict[str, Any], options: RunOptions) -> bool:
    """Whether a resumed run is to be as long as it was planned to be."""
    return all(before.get(name) == getattr(options, name) for name in (*folders.LONGER, "budget", "smoke"))
