"""A run: its options, folder, progress bar and pictures; used by all example scripts.

    options.py   RunOptions, the command line   folder.py    runs/NAME/, config.json, what may change on resume
    loop.py      train, fit: any trainer's run  session.py   the loop, and all that follows each step
    command.py   warnings, errors, exit status  tuning.py    BLAS kernels that suit the CPU
    durable.py   contents of checkpoints        board.py     TensorBoard's files
    log.py       metrics.jsonl, progress        signals.py   Ctrl-C: the first saves the run, the second stops at once
    plan.py      steps, epochs, or a time       listing.py   a table of runs, and their differences
    saved.py     the networks of a run          latent/      analysis of what a run has learnt
    manifest.py  which files are the run's own  console.py   printing that never ends a program
    play/        networks as programs for a page
    parts.py     programs of several runs       conditions.py  labels or clusters that a run is conditional on
    codec/       pictures to bytes and back, with the networks of a run
    joining.py   --distributed: ranks meet      follower.py  a run on the ranks that write no files
    jobs.py      independent runs in parallel
    gallery.py   sample grids, curves, the page  notebook.py  what a notebook shows of a run
    export/      networks as ONNX and PyTorch files
    interop/     beside PyTorch, Pillow, matplotlib
"""

from minigan.run import interop
from minigan.run.command import main
from minigan.run.conditions import condition_options, conditioned
from minigan.run.durable import check_finite
from minigan.run.folder import new_folder, read_config, write_config
from minigan.run.jobs import spread
from minigan.run.log import LABELS, Log
from minigan.run.loop import SAMPLES, fit, train
from minigan.run.manifest import write, write_json, write_scores
from minigan.run.options import IMAGES_SEEN, SMOKE_STEPS, RunOptions, duration, option, options, positive
from minigan.run.parts import begin, new_part
from minigan.run.plan import planned_steps
from minigan.run.saved import SavedGenerator, load_generator
from minigan.run.session import Scores
from minigan.run.signals import Stopped
from minigan.run.tuning import tune_blas

__all__ = ["IMAGES_SEEN", "LABELS", "SAMPLES", "SMOKE_STEPS", "Log", "RunOptions", "SavedGenerator", "Scores",
           "Stopped", "begin", "check_finite", "condition_options", "conditioned", "duration", "fit", "interop",
           "load_generator", "main", "new_folder", "new_part", "option", "options", "planned_steps", "positive",
           "read_config", "spread", "train", "tune_blas", "write", "write_config", "write_json", "write_scores"]
