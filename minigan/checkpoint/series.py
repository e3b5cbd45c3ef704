"""The checkpoints of one run: the newest few, in case one is damaged, and the one with the best score."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from minigan.checkpoint.atomic import remove_leftovers
from minigan.checkpoint.state import RefusedError, load_state, save_state
from minigan.errors import CheckpointError

_NAME = re.compile(r"step_(\d{8,12})\.safetensors")
_WRITTEN = re.compile(rf"{_NAME.pattern}|best\.safetensors")


class Series:
    """Checkpoints in a folder, `step_00000060.safetensors` and so on.

    folder  made when the first checkpoint is saved
    keep    number of newest checkpoints that are kept
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep

    def steps(self) -> list[int]:
        """The steps that have checkpoints, in increasing order."""
        names = os.listdir(self.folder) if self.folder.is_dir() else []
        return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))

    def path(self, step: int) -> Path:
        """The file of the checkpoint of a step."""
        return self.folder / f"step_{step:08d}.safetensors"

    def save(self, step: int, state: dict[str, Any], best: bool = False) -> None:
        """Save a state, then remove the oldest ones; if it is the `best`, also save it as best.safetensors.

        Raises:
            CheckpointError: the file cannot be written; earlier ones are intact.
        """
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{self.folder}: cannot be created ({error.strerror or error})") from None
        save_state(self.path(step), state)
        if best:
            save_state(self.folder / "best.safetensors", state)
        for old in [earlier for earlier in self.steps() if earlier <= step][: -self.keep]:
            self.path(old).unlink(missing_ok=True)

    def newest(self) -> tuple[dict[str, Any], Path, list[str]]:
        """The newest undamaged state, its file, and the problems of newer files, which get the suffix .damaged.

        Raises:
            CheckpointError: there is none, or the newest is undamaged, but this version of minigan cannot read it.
        """
        remove_leftovers(self.folder, _WRITTEN)
        problems: list[str] = []
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                return load_state(path)[0], path, problems
            except RefusedError:
                raise
            except CheckpointError as error:
                problems.append(str(error))
                path.rename(path.with_suffix(".damaged"))
        reason = f"all are damaged: {' '.join(problems)}" if problems else "there is none"
        raise CheckpointError(f"{self.folder}: no checkpoint to continue from: {reason}")
