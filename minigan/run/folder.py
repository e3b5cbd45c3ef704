"""The folder of a run, new or continued, never overwritten unless asked; and config.json, the description of the run.

    runs/NAME/  config.json  metrics.jsonl  events.jsonl  checkpoints/  samples/  reals.png  curves.png  *.safetensors
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigan.checkpoint import write_atomically
from minigan.data import ImageData
from minigan.engine import device
from minigan.errors import DataError, OptionError
from minigan.run.log import lock

PACKAGE = Path(__file__).resolve().parents[1]
ABOUT_NOW = ("resume", "overwrite")  # options about this call of the program, not about the run
LONGER = ("steps", "epochs")  # may change if the learning rate does not depend on them
MAY_CHANGE = (*ABOUT_NOW, "out", "data", "device", "precision", "graph", "blas_tuning", "check_finite",
              "checkpoint_every", "keep", "rollback", "score_every", "tensorboard")
_OUTPUTS = ("*.json", "*.jsonl", "*.png", "*.gif", "*.html", "*.safetensors", "samples/*.png", "latent/*",
            "checkpoints/*", "tensorboard/*")  # the files that runs write


def new_folder(wanted: Path, overwrite: bool = False) -> Path:
    """Make the folder of a run. If it holds a run already, use the next free NAME-2, NAME-3, ..., with a message.

    With `overwrite`, the files of the earlier run are removed, and no others.

    Raises:
        DataError: the folder cannot be made or written, or the folder to overwrite holds no run.
    """
    folder, number = wanted, 1
    try:
        if overwrite and wanted.is_dir() and any(wanted.iterdir()):
            _clear(wanted)
        else:
            while folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                number += 1
                folder = wanted.with_name(f"{wanted.name}-{number}")
        (folder / "samples").mkdir(parents=True, exist_ok=True)
        write_atomically(folder / ".writable", b"")
        (folder / ".writable").unlink()
    except OSError as error:
        raise DataError(f"--out {wanted}: the run folder cannot be written ({error}); choose another") from None
    if folder != wanted:
        print(f"{wanted} holds an earlier run, which is kept; this one goes to {folder} (--resume continues the "
              "earlier one, --overwrite replaces it)")
    return folder


def _clear(folder: Path) -> None:
    """Remove the files of an earlier run."""
    read_config(folder, "--overwrite replaces runs only")
    with (folder / "metrics.jsonl").open("a") as file:
        lock(file, folder)
    for pattern in _OUTPUTS:
        for path in folder.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def read_config(folder: Path, remedy: str = "no run has started in this folder") -> dict[str, Any]:
    """The contents of config.json; if it is missing, the message ends in `remedy`.

    Raises:
        DataError: the folder or the file is missing, or the file is damaged.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; `python -m minigan runs` lists the runs there are")
    path = folder / "config.json"
    if not path.is_file():
        raise DataError(f"{folder}: config.json is missing; {remedy}")
    try:
        config = dict(json.loads(path.read_text(encoding="utf-8")))
        dict(config["options"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error}); restore it or train again") from None
    return config


def make_config(options: Mapping[str, Any], data: Sequence[ImageData], steps: int) -> dict[str, Any]:
    """The contents of config.json: the value of every option, the data, the device, the versions."""
    return {
        "options": dict(options),
        "steps": steps,
        "data": [{"name": images.name, "source": images.source, "images": len(images), "crc32": _crc32(images)}
                 for images in data],
        "device": device.device_info(),
        "versions": {"minigan": _version(), "numpy": np.__version__, "python": platform.python_version(),
                     "system": f"{platform.system()} {platform.machine()}", "git": _revision()},
    }


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write config.json."""
    write_atomically(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def check_continues(folder: Path, saved: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Check that a run may continue with its present options; returns those that changed, as {name: (old, new)}.

    Raises:
        OptionError: an option that must not change has; the message names each of them, and those that may change.
        DataError: the data are not those that the run started with.
    """
    before, after = saved["options"], now["options"]
    changed = {key: (before.get(key), after.get(key)) for key in sorted({*before, *after})
               if before.get(key) != after.get(key)}
    free = (*MAY_CHANGE, *LONGER) if after.get("schedule", "constant") == "constant" else MAY_CHANGE
    if wrong := [f"{_option(key)} was {'not given' if old is None else old}, now {'not given' if new is None else new}"
                 for key, (old, new) in changed.items() if key not in free]:
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


def _version() -> str:
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
