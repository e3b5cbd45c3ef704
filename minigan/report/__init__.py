"""What a run leaves to look at. Files only: grids of samples, curves of losses; same run, same bytes."""

from minigan.report.curves import loss_curves
from minigan.report.grids import grid, save_png

__all__ = ["grid", "loss_curves", "save_png"]
