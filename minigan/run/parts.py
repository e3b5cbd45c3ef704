"""Programs that train by themselves, often several networks: a folder for all that they write, and in it one per run.

    runs/NAME/          config.json with no steps, the list of its files, and what `run.write` adds: figures, tables
    runs/NAME/PART/     config.json  metrics.jsonl  ...  as of any run; `minigan runs`, `report` and `compare` read it
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minigan.checkpoint import inside
from minigan.data import ImageData
from minigan.errors import DataError
from minigan.run.folder import config_text, make_config, new_folder
from minigan.run.manifest import Manifest, record
from minigan.run.options import RunOptions


def begin(options: RunOptions, *data: ImageData) -> Path:
    """Make the folder of such a program, by the rules of every run's: a new one, or with --overwrite the earlier one.

    Args:
        options: from `run.options`; recorded in config.json.
        data: what is learnt from; config.json has their checksums.

    Returns:
        the folder.

    Raises:
        DataError: it cannot be made or written, or the one to overwrite holds no run.
    """
    folder = new_folder(options.out, options.overwrite)
    Manifest(folder).add("config.json")
    inside.write(folder, "config.json", config_text(make_config(_own(options.recorded()), data, steps=0)))
    return folder


def new_part(folder: Path, options: Mapping[str, Any], steps: int, in_force: Mapping[str, Any],
             data: Sequence[ImageData] = ()) -> None:
    """Make the folder of one run of several; its files are those of the program as long as its config.json stays.

    Args:
        folder: in the folder of them all; without a run.
        options: as from `RunOptions.recorded`, with the values of this run.
        steps, data: as in `make_config`.
        in_force: the trainer's settings.

    Raises:
        DataError: it holds a run, or is a link. OSError: it cannot be made.
    """
    config = config_text({**make_config(_own(options), data, steps), "in_force": dict(in_force)})
    if inside.kind(folder / "config.json") is not None:
        raise DataError(f"{folder}: holds a run already; name another folder")
    record(folder.parent, f"{folder.name}/config.json sha256 {hashlib.sha256(config).hexdigest()}")
    inside.make_folder(folder.parent, folder.name)
    Manifest(folder).add("config.json")
    inside.write(folder, "config.json", config)


def _own(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "out"}  # where it is, not what it is
