"""TensorBoard event files of a run, written by tensorboardX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minigan.errors import require
from minigan.trainers import Progress


def tensorboardx() -> Any:
    """The package tensorboardX. Raises ModuleNotFoundError, with the remedy, if it is missing."""
    return require("tensorboardX", "--tensorboard")


class Board:
    """Writes metrics and pictures into folder/tensorboard; a run resumed from `step` replaces later entries.

    Raises as `tensorboardx`.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.writer = tensorboardx().SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def __call__(self, progress: Progress) -> None:
        """Write the metrics of a step."""
        for name, value in progress.metrics.items():
            self.writer.add_scalar(name, value, progress.step)

    def picture(self, pixels: np.ndarray, step: int) -> None:
        """Write a sample grid, uint8 (H, W) or (H, W, 3)."""
        self.writer.add_image("samples", pixels, step, dataformats="HWC" if pixels.ndim == 3 else "HW")

    def close(self) -> None:
        """Write all pending entries and close the files."""
        self.writer.close()
