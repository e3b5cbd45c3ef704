"""Which files in a run's folder are the run's own: checkpoints/files.txt has their names, one per line.

A name is written before its file is, so a killed run leaves no file that is not listed. What the list names is believed
only if minigan writes files of such names: the list may come from a stranger. Runs of earlier versions have no list; of
these, only files whose names nobody else would give count.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

from minigan.checkpoint import inside
from minigan.errors import DataError

LIST = "checkpoints/files.txt"
MOST = 64 << 20  # bytes of the list
GROWING = ("metrics.jsonl", "scores.jsonl", "events.jsonl")
FOLDERS = ("samples", "checkpoints", "latent", "tensorboard")  # made by runs

_NETWORKS = (r"generator|discriminator|averaged(_ab|_ba)?|best|[gd]_[ab]{1,2}|classifier"
             r"|(encoder|decoder|discriminator)\d{1,3}")  # of the trainers here
_FILES = (r"config\.json|(metrics|scores|events)\.jsonl|scores\.json|report\.html|(curves|reals)\.png"
          r"|samples/(step_\d{6,12}|epoch_\d{4,12})\.png|checkpoints/(step_\d{8,12}|best)\.(safetensors|damaged)"
          r"|latent/(interpolate|walk|map|arithmetic|unit|guided)\.(png|gif)"
          rf"|tensorboard/events\.out\.tfevents\.[\w.-]+|{LIST}")
_SURELY_OURS = re.compile(rf"({_NETWORKS})\.safetensors|{_FILES}")
_LISTED = re.compile(rf"[^/\0\n]+\.safetensors|sample\.png|{_FILES}")  # a trainer may have networks of any name
_TEMPORARY = re.compile(r"(?P<inner>\w+/)?\.(?P<name>[^/]+)\.\d+\.tmp")  # see checkpoint.atomic


class Manifest:
    """The list of one run's files.

    folder  of the run; a run without a list gets one, with the files that are there and surely its own

    Raises DataError if the list is a link, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, listed = folder, _listed(folder)
        self.names = set(listed or ())
        if listed is None:
            self.add(LIST, *_surely(folder))

    def add(self, *names: str) -> None:
        """List names of files that will be written, relative to the folder. Raises OSError."""
        if new := [name for name in dict.fromkeys(names) if name not in self.names]:
            inside.make_folder(self.folder, LIST.partition("/")[0])
            with inside.open_to_append(self.folder, LIST) as file:
                file.write("".join(f"{name}\n" for name in new))
            self.names.update(new)


def record(folder: Path, *names: str) -> None:
    """List files that a command writes into a run's folder; without a checkpoints/ of its own, there is no list.

    Raises:
        OSError: the list cannot be written.
    """
    with contextlib.suppress(DataError):
        if inside.check(folder, "checkpoints", "folder"):
            Manifest(folder).add(*names)


def written(folder: Path) -> list[str]:
    """The names of the files in a run's folder that the run wrote, and their unfinished copies.

    Raises:
        DataError: a folder or a file cannot be read.
    """
    try:
        listed = _listed(folder)
    except DataError:  # checkpoints/ is a link, for instance
        listed = None
    names = set(_surely(folder) if listed is None else listed) | {*GROWING}  # a new run must not append to old ones
    names |= {name for name in _surely(folder) if inside.kind(folder / name) == "link"}  # they would be in its way
    names |= {f"{name.removesuffix('.safetensors')}.damaged" for name in names if name.startswith("checkpoints/step_")}
    for name in _inside(folder):
        match = _TEMPORARY.fullmatch(name)
        if match and (origin := (match["inner"] or "") + match["name"]) and (origin in names or _is_ours(origin)):
            names.add(name)
    return sorted(names)


def check_folder(folder: Path) -> None:
    """Check that nothing with a name that a run uses is a link, a pipe, a socket or a device.

    Raises:
        DataError: the first that is.
    """
    for name in FOLDERS:
        inside.check(folder, name, "folder")
    for name in _inside(folder):
        if _is_ours(name):
            inside.check(folder, name)


def _is_ours(name: str) -> bool:
    return _SURELY_OURS.fullmatch(name) is not None


def _listed(folder: Path) -> list[str] | None:
    """The names in the list, None without one."""
    if not inside.check(folder, LIST):
        return None
    lines = inside.read(folder, LIST, MOST).decode("utf-8", "replace").split("\n")[:-1]
    return [line for line in lines if _LISTED.fullmatch(line) and not line.startswith(".")]


def _surely(folder: Path) -> list[str]:
    return [name for name in _inside(folder) if _is_ours(name)]


def _inside(folder: Path) -> Iterable[str]:
    """Names in the folder and in those of its folders that runs make; not through links."""
    yield from inside.names(folder)
    for inner in FOLDERS:
        if inside.kind(folder / inner) == "folder":
            yield from (f"{inner}/{name}" for name in inside.names(folder, inner))
