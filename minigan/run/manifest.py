"""Which files in a run's folder are the run's own: checkpoints/files.txt has their names, one per line.

A name is written before its file is, so a killed run leaves no file that is not listed. What the list names is believed
only if minigan writes files of such names: the list may come from a stranger. A program's own files, of any name, go
through `write`, which lists them with their SHA-256: as long as they have these contents, they are the run's. A program
of several runs lists each by the SHA-256 of its config.json. Runs of earlier versions have no list; of these, only
files whose names nobody else would give count.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from minigan import report
from minigan.checkpoint import inside
from minigan.checkpoint.atomic import finished_name
from minigan.errors import DataError

LIST = "checkpoints/files.txt"
MOST = 64 << 20  # bytes of the list
GROWING = ("metrics.jsonl", "scores.jsonl", "events.jsonl", "judged.jsonl")
FOLDERS = ("samples", "checkpoints", "latent", "tensorboard")  # made by runs

_NETWORKS = (r"generator|discriminator|averaged(_ab|_ba)?|best|[gd]_[ab]{1,2}|classifier"
             r"|(encoder|decoder|discriminator)\d{1,3}")  # of the trainers here
_FILES = (r"config\.json|(metrics|scores|events|judged)\.jsonl|scores\.json|report\.html|(curves|reals)\.png"
          r"|samples/(step_\d{6,12}|epoch_\d{4,12})\.png|checkpoints/(step_\d{8,12}|best)\.(safetensors|damaged)"
          r"|latent/(interpolate|walk|map|arithmetic|unit|guided)\.(png|gif)"
          r"|latent/play\.json"
          rf"|tensorboard/events\.out\.tfevents\.[\w.-]+|{LIST}")
_SURELY_OURS = re.compile(rf"({_NETWORKS})\.safetensors|{_FILES}")
_LISTED = re.compile(rf"[^/\0\n]+\.safetensors|sample\.png|{_FILES}")  # a trainer may have networks of any name
_WITH_DIGEST = re.compile(r"(?P<name>[^/\0\n]+) sha256 (?P<digest>[0-9a-f]{64})")  # a line about a file of any name
_PART = re.compile(r"(?P<name>[^/\0\n.][^/\0\n]*)/config\.json sha256 (?P<digest>[0-9a-f]{64})")  # a run in the folder


class Manifest:
    """The list of one run's files.

    folder  of the run; a run without a list gets one, with the files that are there and surely its own

    Raises DataError if the list is a link, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, lines = folder, _lines(folder)
        self.lines = set(lines or ())
        if lines is None:
            self.add(LIST, *_surely(folder))

    def add(self, *names: str) -> None:
        """List names of files that will be written, relative to the folder. Raises OSError."""
        if new := [name for name in dict.fromkeys(names) if name not in self.lines]:
            inside.make_folder(self.folder, LIST.partition("/")[0])
            with inside.open_to_append(self.folder, LIST) as file:
                file.write("".join(f"{name}\n" for name in new))
            self.lines.update(new)

    def remove_unfinished(self) -> None:
        """Remove unfinished copies of listed files, which a killed process left. Raises OSError."""
        for name in _unfinished(self.folder, _digests(self.lines)):
            inside.remove(self.folder, name)


def record(folder: Path, *names: str) -> None:
    """List files that a command writes into a run's folder; without a checkpoints/ of its own, there is no list.

    Raises:
        OSError: the list cannot be written.
    """
    with contextlib.suppress(DataError):
        if inside.check(folder, "checkpoints", "folder"):
            Manifest(folder).add(*names)


def write(folder: Path, name: str, contents: bytes | Callable[[Path], object]) -> Path:
    """Write a file of any name into a run's folder, as the run's own: --overwrite removes it unless it has changed.

    Args:
        folder: of the run.
        name: without folders, apart from those that every run has.
        contents: the bytes, or a function that writes them into the file whose path it is given, such as
            `lambda path: report.save_png(pixels, path)`.

    Returns:
        the path of the file.

    Raises:
        DataError: the name is none of a file in the folder. OSError: it cannot be written. And as the function.
    """
    if callable(contents):
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / Path(name).name
            contents(path)
            contents = path.read_bytes()
    line = name if _LISTED.fullmatch(name) else f"{name} sha256 {hashlib.sha256(contents).hexdigest()}"
    if [*_digests([line])] != [name]:
        raise DataError(f"{folder}: a run writes no file of the name {name!r}; give one without a folder, a line "
                        "end, or a dot at its start")
    record(folder, line)
    inside.write(folder, name, contents)
    return folder / name


def write_json(folder: Path, name: str, value: Any) -> Path:
    """Write a value as JSON; as `write`."""
    return write(folder, name, (json.dumps(value, indent=1) + "\n").encode())


def write_scores(folder: Path, scores: Mapping[str, Any]) -> Path:
    """Write what was measured after the training as scores.json, and bring report.html up to date, which shows it.

    Raises:
        DataError: another file of the run is damaged. And as `write`.
    """
    path = write_json(folder, "scores.json", scores)
    record(folder, report.report_page(folder).name)
    return path


def written(folder: Path) -> list[str]:
    """The names of the files in a run's folder that the run wrote, and their unfinished copies.

    Raises:
        DataError: a folder or a file cannot be read.
    """
    lines = _lines_or_none(folder)
    names = {*GROWING, *(_surely(folder) if lines is None else _believed(folder, lines))}  # none may be appended to
    names |= {name for name in _surely(folder) if inside.kind(folder / name) == "link"}  # they would be in its way
    names |= {f"{name.removesuffix('.safetensors')}.damaged" for name in names if name.startswith("checkpoints/step_")}
    return sorted({*names, *_unfinished(folder, None if lines is None else _digests(lines))})


def parts(folder: Path) -> list[str]:
    """The names of folders in it that hold runs of the same program: those whose config.json is the one listed."""
    matches = filter(None, map(_PART.fullmatch, _lines_or_none(folder) or ()))
    return [match["name"] for match in matches
            if inside.digest(folder, f"{match['name']}/config.json") == match["digest"]]


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


def _lines(folder: Path) -> list[str] | None:
    """The lines of the list, None without one."""
    if not inside.check(folder, LIST):
        return None
    return inside.read(folder, LIST, MOST).decode("utf-8", "replace").split("\n")[:-1]


def _lines_or_none(folder: Path) -> list[str] | None:
    """The lines of the list, None without one that can be read: checkpoints/ may be a link."""
    try:
        return _lines(folder)
    except DataError:
        return None


def _digests(lines: Iterable[str]) -> dict[str, set[str | None]]:
    """The names in lines, of which none is hidden, each with the SHA-256 listed for it; None: whatever it contains."""
    digests: dict[str, set[str | None]] = {}
    for line in lines:
        match = _WITH_DIGEST.fullmatch(line)
        name = match["name"] if match else line
        if (match or _LISTED.fullmatch(line)) and not name.startswith("."):
            digests.setdefault(name, set()).add(match["digest"] if match else None)
    return digests


def _believed(folder: Path, lines: Iterable[str]) -> Iterator[str]:
    """The names in lines of files that minigan writes, or that have contents which are listed."""
    for name, digests in _digests(lines).items():
        if None in digests or inside.digest(folder, name) in digests:
            yield name


def _unfinished(folder: Path, origins: Collection[str] | None) -> Iterator[str]:
    """Names of unfinished copies of these files, see checkpoint.atomic; by default of files that are surely ours."""
    for name in _inside(folder):
        origin = finished_name(name)
        if origin is not None and (_is_ours(origin) if origins is None else origin in origins):
            yield name


def _surely(folder: Path) -> list[str]:
    return [name for name in _inside(folder) if _is_ours(name)]


def _inside(folder: Path) -> Iterator[str]:
    """Names in the folder and in those of its folders that runs make; not through links."""
    yield from inside.names(folder)
    for inner in FOLDERS:
        if inside.kind(folder / inner) == "folder":
            yield from (f"{inner}/{name}" for name in inside.names(folder, inner))
