"""The folder of a run, new or continued, never overwritten unless asked; and config.json, the description of the run.

    runs/NAME/  config.json  metrics.jsonl  events.jsonl  checkpoints/  samples/  reals.png  curves.png  *.safetensors
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan import report
from minigan.checkpoint import inside, write_atomically
from minigan.data import ImageData
from minigan.data.paths import first_free, printable
from minigan.engine import device
from minigan.errors import DataError, OptionError
from minigan.run.log import lock
from minigan.run.manifest import FOLDERS, LIST, check_folder, parts, written

PACKAGE = Path(__file__).resolve().parents[1]
ABOUT_NOW = ("resume", "overwrite")  # options about this call of the program, not about the run
LONGER = ("steps", "epochs")  # may change if the learning rate does not depend on them
MAY_CHANGE = (*ABOUT_NOW, "out", "data", "device", "precision", "graph", "blas_tuning", "check_finite",
              "checkpoint_every", "keep", "rollback", "score_every", "tensorboard", "distributed", "check_ranks")


def new_folder(wanted: Path, overwrite: bool = False) -> Path:
    """Make the folder of a run. If it holds anything already, use the next free NAME-2, NAME-3, ..., with a message.

    With `overwrite`, the files that the earlier run wrote are removed, and no others; also those of its parts.

    Raises:
        DataError: the folder cannot be made or written, or the folder to overwrite holds no run.
    """
    folder = wanted
    try:
        _check_place(wanted)
        if overwrite and wanted.is_dir() and any(wanted.iterdir()):
            _clear(wanted)
        else:
            if wanted.name in ("", "..") and not _is_free(wanted):
                raise DataError(f"--out {wanted}: the folder is not empty, and its files are kept; name a new "
                                f"folder in it, such as --out {wanted / 'run'}")
            folder = first_free(wanted, _is_free)
        folder.mkdir(parents=True, exist_ok=True)
        inside.make_folder(folder, "samples")
        tempfile.TemporaryFile(dir=folder).close()  # raises if nothing can be written
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"--out {wanted}: the run folder cannot be written ({error}); choose another") from None
    if folder != wanted:
        print(printable(f"{wanted} {_contents(wanted)}; this run goes to {folder}"))
    return folder


def _is_free(folder: Path) -> bool:
    return not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir()))


def _check_place(wanted: Path) -> None:
    """Raise DataError for a name that no folder can have, or that belongs to a device, a pipe or a socket."""
    if "\0" in str(wanted):
        raise DataError(f"--out {str(wanted)!r}: the run folder cannot be written: a name cannot contain the character "
                        "NUL; choose another")
    if wanted.exists() and not wanted.is_dir() and not wanted.is_file():
        raise DataError(f"--out {wanted}: is a {inside.kind(wanted.resolve())}, not a folder; choose another")


def _contents(wanted: Path) -> str:
    """What is in the way of a run, in words."""
    if not wanted.is_dir():
        return "is a file, which is kept" if wanted.is_file() else "is a link to nothing, which is kept"
    try:
        config = read_config(wanted)
        _check_is_run(wanted, config)
    except DataError:
        return "holds other files than those of a run, which are kept"
    resume = "--resume continues the earlier one, " if config["steps"] else ""  # not one of a program of several runs
    return f"holds an earlier run, which is kept ({resume}--overwrite replaces it)"


def _clear(folder: Path) -> None:
    """Remove what an earlier run wrote; of a link, only the link."""
    _check_is_run(folder, read_config(folder, "--overwrite replaces runs only"))
    if inside.kind(folder / "metrics.jsonl") == "file":
        with inside.open_to_append(folder, "metrics.jsonl", lambda file: lock(file, folder)):
            pass  # no other process is training here
    for part in parts(folder):
        _clear(folder / part)
        if not inside.names(folder, part):
            (folder / part).rmdir()
    removed = [inside.remove(folder, name) for name in FOLDERS]  # only links
    last = (LIST, "config.json")  # so that a folder which is half cleared is still known as a run
    for name in [*(name for name in written(folder) if name not in last), *last]:
        removed.append(inside.remove(folder, name))
    for name in FOLDERS:
        if inside.kind(folder / name) == "folder" and not inside.names(folder, name):
            (folder / name).rmdir()
    print(*(printable(note) for note in removed if note), sep="\n", end="\n" * any(removed))
    check_folder(folder)


def _check_is_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise DataError unless config.json has what every run's has: other programs have files of that name, too."""
    versions = config.get("versions", {})
    missing = [key for key in ("steps", "data", "device", "versions") if key not in config]
    if missing or not isinstance(versions.get("minigan"), str) or "seed" not in config["options"]:
        raise DataError(f"{folder}: its config.json is not one that minigan wrote (without "
                        f"{', '.join(missing) or 'options.seed or versions.minigan'}); --overwrite replaces runs only")


def read_config(folder: Path, remedy: str = "no run has started in this folder") -> dict[str, Any]:
    """The contents of config.json; if it is missing, the message ends in `remedy`.

    Raises:
        DataError: the folder or the file is missing, or the file is a link or damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; `python -m minigan runs` lists the runs there are")
    if inside.kind(folder / "config.json") is None:
        raise DataError(f"{folder}: config.json is missing; {remedy}")
    return report.read_config(folder)


def make_config(options: Mapping[str, Any], data: Sequence[ImageData], steps: int) -> dict[str, Any]:
    """The contents of config.json: the value of every option, the data, the device, the versions."""
    return {
        "options": dict(options),
        "steps": steps,
        "data": [{"name": images.name, "source": images.source, "images": len(images), "crc32": _crc32(images),
                  **({"credit": images.credit} if images.credit else {})} for images in data],
        "device": device.device_info(),
        "versions": {"minigan": version(), "numpy": np.__version__, "python": platform.python_version(),
                     "system": f"{platform.system()} {platform.machine()}", "git": _revision()},
    }


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write config.json."""
    write_atomically(folder / "config.json", config_text(config))


def config_text(config: Mapping[str, Any]) -> bytes:
    """The contents of the file config.json."""
    return (json.dumps(config, indent=2) + "\n").encode()


def check_continues(folder: Path, saved: Mapping[str, Any], now: Mapping[str, Any],
                    defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Check that a run may continue with its present options; returns those that changed, as {name: (old, new)}.

    An option that another version of the program lacks is no reason to refuse: one that is new has its default, one
    that is gone has no effect. Each is named.

    Raises:
        OptionError: an option that must not change has; the message names each of them, and those that may change.
        DataError: the data are not those that the run started with.
    """
    before, after = saved["options"], now["options"]
    changed = {key: (before.get(key), after.get(key)) for key in sorted({*before, *after})
               if before.get(key) != after.get(key)}
    added = [key for key in changed if key not in before and after[key] == defaults.get(key)]
    gone = [key for key in changed if key not in after]
    for key in added:
        print(f"{_option(key)} is new since the run started; it goes on with the default, {after[key]}")
    for key in gone:
        print(printable(f"{_option(key)} was {before[key]}; this version has no such option, and goes on without it"))
    free = (*MAY_CHANGE, *LONGER) if after.get("schedule", "constant") == "constant" else MAY_CHANGE
    if wrong := [f"{_option(key)} was {'not given' if old is None else old}, now {'not given' if new is None else new}"
                 for key, (old, new) in changed.items() if key not in (*free, *gone, *added)]:
        why = "; the schedule of the learning rate depends on the length" if {*LONGER} & {*changed} - {*free} else ""
        names = ", ".join(_option(key) for key in free if key not in ABOUT_NOW)
        raise OptionError(f"--resume {folder}: {'; '.join(wrong)}: another run{why}. Only these may change: {names}")
    for old, new in zip(saved.get("data", []), now["data"], strict=False):
        if (old.get("images"), old.get("crc32")) != (new["images"], new["crc32"]):
            raise DataError(f"--resume {folder}: the run started with other data: {old.get('source')} then, "
                            f"{new['source']} now; give the same data with --data")
    differences = [f"{old} then, {new} now" for old, new in
                   ((saved.get("device"), now["device"]), (saved.get("versions"), now["versions"])) if old != new]
    if differences:
        print(f"the last digits may differ from an uninterrupted run's: {'; '.join(differences)}")
    return changed


def _option(name: str) -> str:
    """An option in the form of the command line."""
    return ("--no-" if name in ("graph", "blas_tuning") else "--") + name.replace("_", "-")


def _crc32(data: ImageData) -> int | None:
    """A checksum of the images, to detect that a run is resumed with other ones; 50 MB take 20 ms."""
    pixels = data.images
    return zlib.crc32(np.ascontiguousarray(pixels).data.cast("B")) if isinstance(pixels, np.ndarray) else None


def version() -> str:
    """minigan.__version__, from the file that has it: an import of the whole package from here would be a circle."""
    text = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', text, re.M)[0]  # test_version checks that it is a literal


def _revision() -> str | None:
    """The git revision of the checkout that minigan is imported from, with a + if files have changed; else None."""
    here = PACKAGE.parent
    if not (here / ".git").exists():
        return None
    try:
        output = [subprocess.run(["git", "-C", str(here), *command], capture_output=True, text=True, timeout=10).stdout
                  for command in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "-uno"])]
    except (OSError, subprocess.SubprocessError):
        return None
    return output[0].strip() + "+" * bool(output[1].strip()) or None
