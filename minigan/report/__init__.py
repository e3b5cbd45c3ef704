"""What a run leaves to look at. Files only: grids of samples, curves of losses; same run, same bytes."""

from minigan.report.ablation import Study, ablation_figure, ablation_table
from minigan.report.comparison import Game, comparison_figure, comparison_table
from minigan.report.curves import loss_curves, read_rows
from minigan.report.diagnosis import diagnose
from minigan.report.domains import there_and_back
from minigan.report.grids import grid, rows, save_png
from minigan.report.page import report_page
from minigan.report.runs import run_curves
from minigan.report.strips import film, stacked
from minigan.report.theory import theory_page
from minigan.report.toy import Snapshot, film_steps, points_figure, points_film

__all__ = ["Game", "Snapshot", "Study", "ablation_figure", "ablation_table", "comparison_figure", "comparison_table",
           "diagnose", "film", "film_steps", "grid", "loss_curves", "points_figure", "points_film", "read_rows",
           "report_page", "rows", "run_curves", "save_png", "stacked", "theory_page", "there_and_back"]
