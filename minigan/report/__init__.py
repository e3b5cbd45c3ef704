"""What a run leaves to look at. Files only: grids of samples, curves of losses; same run, same bytes."""

from minigan.report.curves import loss_curves, read_rows
from minigan.report.diagnosis import diagnose
from minigan.report.grids import grid, save_png

__all__ = ["diagnose", "grid", "loss_curves", "read_rows", "save_png"]
