"""A figure that becomes a PNG, in one style for all figures; equal numbers give equal bytes.

It uses matplotlib's objects without pyplot, so there is no window, no settings file of the user, and no time stamp.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from minigan.errors import require

# Okabe & Ito's palette without its yellow: colour-blind readers can tell the colours apart
BLUE, ORANGE, GREEN, PINK, SKY, AMBER = PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
BLACK, GREY = "#000000", "#999999"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are the same everywhere
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
}


def require_matplotlib() -> tuple[Any, Any, Any]:
    """The package matplotlib, its FigureCanvasAgg and its Figure.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the message says what to run.
    """
    package = require("matplotlib", "a figure")
    canvas, figure = (require(f"matplotlib.{part}", "a figure") for part in ("backends.backend_agg", "figure"))
    return package, canvas.FigureCanvasAgg, figure.Figure


class Drawing:
    """A matplotlib Figure to draw on and, after the `with` block, the bytes of its PNG."""

    def __init__(self, figure: Any) -> None:
        self.figure, self.png = figure, b""


@contextlib.contextmanager
def drawing(width: float, height: float, dpi: int = 130, **style: Any) -> Iterator[Drawing]:
    """A figure of width x height inches in STYLE; `style` has further settings of matplotlib, with `_` for `.`.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the message says what to run.
    """
    matplotlib, FigureCanvasAgg, Figure = require_matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        further: dict[Any, Any] = {name.replace("_", "."): value for name, value in style.items()}
        matplotlib.rcParams.update({**STYLE, **further})
        sheet = Drawing(Figure(figsize=(width, height), dpi=dpi, layout="constrained"))
        FigureCanvasAgg(sheet.figure)  # makes itself the figure's canvas
        yield sheet
        buffer = io.BytesIO()
        sheet.figure.savefig(buffer, format="png", metadata={"Software": None})
        sheet.png = buffer.getvalue()
