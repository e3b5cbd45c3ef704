"""The functions that the examples call: `train` for a GAN on images, `fit` for any trainer.

Errors are found before training starts: a missing device, unusable data, an output folder that cannot be written, or a
run that cannot be resumed with these options.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan import report
from minigan.data import Batches, ImageData, Loader, scaled
from minigan.data.paths import printable
from minigan.engine import device
from minigan.engine.distributed import world
from minigan.errors import DataError, OptionError
from minigan.random import Stream
from minigan.report.records import MOST_STEPS
from minigan.run import folder as folders
from minigan.run.board import tensorboardx
from minigan.run.follower import Follower
from minigan.run.gallery import Sheet
from minigan.run.joining import check_equal
from minigan.run.latent.pictures import write_default_pictures
from minigan.run.manifest import Manifest, check_folder
from minigan.run.notebook import RunFolder
from minigan.run.options import RunOptions
from minigan.run.plan import check_length, planned_steps
from minigan.run.play.playing import offer_play
from minigan.run.saved import NEEDED
from minigan.run.session import Scores, Session
from minigan.trainers import GAN, Trainer

SAMPLES = 64  # images in a sample grid
SHOWN_CLASSES, PER_CLASS = 16, 10  # rows and columns of the sample grid of a conditional generator
LOOKED_INTO = 200  # steps; shorter runs have learnt too little for a map of their latent space, or to play with


def train(trainer: GAN, images: ImageData, options: RunOptions) -> Path:
    """Train a GAN on images scaled to [-1, 1], with sample grids from fixed noise; then draw maps of its latent space.

    A conditional GAN takes the images' labels; its grids have a row per label, and the same noise in all of a column.

    Returns the run's folder. Raises as `fit`; OptionError for --score-every below 1; DataError for a conditional GAN
    and images without labels.
    """
    few = slice(4 * options.batch_size if options.smoke else None)
    pixels = images.images[few]
    if not trainer.classes:
        loader = Loader(pixels, options.batch_size, seed=options.seed).to(options.device)
    elif len(images.labels) == len(images):
        loader = Loader((pixels, images.labels[few]), options.batch_size, seed=options.seed)
    else:
        raise DataError(f"{images.name} has no labels ({images.source}), which the conditional GAN needs")
    sheet, caption = _sheet(trainer, options.seed)

    score: Scores | None = None
    if options.score_every is not None:
        if options.score_every < 1:
            raise OptionError(f"--score-every {options.score_every} must be at least 1; without it there are no "
                              "scores")
        from minigan.metrics.watch import Watch  # brings SciPy and scikit-learn

        print("scoring needs a classifier of digits: it is read from the cache, or trained now in about a minute")
        score = _elsewhere if world().rank else Watch(trainer, options.seed, options.data)
    rows = np.linspace(0, len(pixels) - 1, min(SAMPLES, len(pixels))).astype(int)  # data may be sorted by class
    real = scaled(pixels[rows])
    reals = report.grid(real, 8)
    session = opened(trainer, loader, options, [images], reals, sheet, score, caption)
    if trainer.asked and not trainer.classes:
        z = Stream(options.seed, "samples").normal((SAMPLES, trainer.latent))  # of the sample grid
        session.gallery.view = lambda: trainer.judged(real, z)
    session.run()
    if trainer.steps >= LOOKED_INTO and options.recorded().keys() >= {*NEEDED}:
        session.gallery.current("latent/", lambda: write_default_pictures(session.folder, options.seed))
    _let_play(session)
    return RunFolder(session.folder)


def _elsewhere(folder: Path, step: int) -> None:
    """In place of a score, on ranks that do not measure."""


def _sheet(trainer: GAN, seed: int) -> tuple[Sheet, str]:
    """The sample grid from fixed noise, and what its rows are, in words."""
    stream, labels, columns, caption = Stream(seed, "samples"), None, 8, ""
    if trainer.classes:
        rows, columns = min(trainer.classes, SHOWN_CLASSES), PER_CLASS
        z = np.tile(stream.normal((columns, trainer.latent)), (rows, 1))  # (rows*columns, latent)
        labels, caption = np.arange(rows).repeat(columns), f"A row per label, 0 to {rows - 1}; a column has one noise."
    else:
        z = stream.normal((SAMPLES, trainer.latent))

    def sheet() -> Callable[[], np.ndarray]:
        samples = trainer.sample_later(z, labels)
        return lambda: report.grid(samples(), columns)

    return sheet, caption


def fit(trainer: Trainer, batches: Batches, options: RunOptions, *data: ImageData, reals: np.ndarray, sheet: Sheet,
        score: Scores | None = None, caption: str = "") -> Path:
    """Train on batches; write metrics, pictures, curves, weights, scores and checkpoints into the run's folder.

    Args:
        trainer: checkpoints hold its `state_dict`.
        batches: a data.Loader or another `data.Batches`.
        options: from `run.options`; with `options.resume`, the run in `options.out` is continued.
        data: the data sets of the batches, for config.json.
        reals: a picture of real data, uint8 (H, W) or (H, W, 3), saved as reals.png.
        sheet: starts a picture of the networks' present results and returns a function that waits for it; drawn at the
            end of each epoch and of the run.
        score: measures the networks every `options.score_every` steps and at the end of the run; None for no scores.
            If it has state_dict, load_state_dict and best, checkpoints hold its state, and the best one is kept.
        caption: what the sheet shows, such as what its rows are; written under it in report.html.

    Returns:
        the run's folder.

    Raises:
        DataError: the output folder cannot be written; on resuming, the data have changed.
        OptionError: fewer images than a batch; on resuming, an option has changed that must not.
        CheckpointError: there is no checkpoint to continue from, or it cannot be written.
        NonFiniteError: a metric of a step is not finite; with --check-finite, any number.
        signals.Stopped: a signal ended the run, after it was saved; see signals.
    """
    session = opened(trainer, batches, options, data, reals, sheet, score, caption)
    session.run()
    _let_play(session)
    return RunFolder(session.folder)


def _let_play(session: Session) -> None:
    """Give report.html its live part, if the run has learnt enough, and its networks can run in a page."""
    if session.trainer.steps >= LOOKED_INTO:
        session.gallery.current("the live part of report.html", lambda: offer_play(session.folder))


def opened(trainer: Trainer, batches: Batches, options: RunOptions, data: Sequence[ImageData], reals: np.ndarray,
           sheet: Sheet, score: Scores | None, caption: str = "") -> Session:
    """A run that is ready to train, new or resumed; arguments and errors as in `fit`."""
    start = time.monotonic()
    credits = dict.fromkeys(images.credit for images in data if images.credit)
    print(device.device_info(), *map(printable, (*(images.source for images in data), *credits)), sep="\n")
    ranks = world()
    saved = ranks.on_first(lambda: _to_continue(options.out)) if options.resume else None
    if saved is None:
        check_length(options)
    if options.tensorboard:
        tensorboardx()  # raises if it is missing
    unchanged = saved is not None and _same_length(saved["options"], options)
    steps = saved["steps"] if saved and unchanged else planned_steps(options, batches, trainer)
    if steps > MOST_STEPS:
        raise OptionError(f"{steps:,} steps are more than {MOST_STEPS:,}, which the names of checkpoints have room for")
    trainer.set_schedule(options.schedule, steps)
    config = {**folders.make_config(options.recorded(), data, steps), "in_force": trainer.settings(),
              "caption": caption, **({"ranks": ranks.size} if ranks.size > 1 else {})}
    kind = Follower if ranks.rank else Session
    if ranks.size > 1:
        ranks.share(batches.batch_size)  # raises if ranks cannot
        check_equal(config)
    if saved is None:
        folder = ranks.on_first(lambda: _new(options, config, reals))
        deadline = start + options.budget if options.budget else math.inf
        return kind(folder, trainer, batches, options, config, sheet, score, deadline)
    changed = ranks.on_first(lambda: folders.check_continues(options.out, saved, config, options.defaults()))
    session = kind(options.out, trainer, batches, options, config, sheet, score, earlier=saved.get("sessions", []))
    session.resume(changed)
    session.record()
    return session


def _new(options: RunOptions, config: dict[str, Any], reals: np.ndarray) -> Path:
    """Make the folder of a new run, with its first files."""
    folder = folders.new_folder(options.out, options.overwrite)
    Manifest(folder).add("config.json", "reals.png")
    folders.write_config(folder, config)
    report.save_png(reals, folder / "reals.png", scale=2)
    return folder


def _to_continue(folder: Path) -> dict[str, Any]:
    """The config of a run that may come from a stranger. Raises DataError if it is damaged, or there are links."""
    config = folders.read_config(folder)
    if not config.get("steps"):
        raise DataError(f"{folder / 'config.json'}: damaged: steps is {config.get('steps', 'missing')}; expected a "
                        "number of steps above 0")
    check_folder(folder)
    return config


def _same_length(before: dict[str, Any], options: RunOptions) -> bool:
    """Whether the options that determine the length of a resumed run are unchanged."""
    return all(before.get(name) == getattr(options, name) for name in (*folders.LONGER, "budget", "smoke"))
