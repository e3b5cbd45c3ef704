"""A run: its options, its folder, its progress bar, its pictures. What the example scripts have in common.

    command.py   options and exit status        folder.py    runs/NAME/, config.json, what may change on resume
    loop.py      fit: the loop of every run     durable.py   what a checkpoint holds, and when one is due
    log.py       metrics.jsonl, progress        signals.py   the first ends a run after its step, the second at once
    plan.py      steps, epochs, or a time       board.py     TensorBoard's files
    saved.py     networks of a run that is over listing.py   `python -m minigan runs` and `compare`
"""

from minigan.run.command import (
    CPUINFO,
    HELP,
    IMAGES_SEEN,
    SMOKE_STEPS,
    duration,
    main,
    options,
    positive,
    tune_blas,
)
from minigan.run.folder import new_folder, read_config, write_config
from minigan.run.log import LABELS, Log
from minigan.run.loop import SAMPLES, Scores, check_finite, fit, scaled, train
from minigan.run.plan import planned_steps
from minigan.run.saved import SavedGenerator, load_generator
from minigan.run.signals import Stopped

__all__ = ["CPUINFO", "HELP", "IMAGES_SEEN", "LABELS", "SAMPLES", "SMOKE_STEPS", "Log", "SavedGenerator", "Scores",
           "Stopped", "check_finite", "duration", "fit", "load_generator", "main", "new_folder", "options",
           "planned_steps", "positive", "read_config", "scaled", "train", "tune_blas", "write_config"]
