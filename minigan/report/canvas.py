"""A figure that becomes a PNG, in one style for all figures; equal numbers give equal bytes.

It uses matplotlib's objects without pyplot, so there is no window, no backend or settings file of the user, and no time
stamp. Names that a user gave, such as those of runs, go through `plain`, as matplotlib reads formulas between dollars.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from minigan.data.paths import printable
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
    package = _package()
    canvas, figure = (require(f"matplotlib.{part}", "a figure") for part in ("backends.backend_agg", "figure"))
    return package, canvas.FigureCanvasAgg, figure.Figure


def _package() -> Any:
    """The package matplotlib, whatever backend the environment names: figures here need none.

    It reads MPLBACKEND while it is imported, and ends with an error if it does not know the name, as of a notebook.
    """
    named = os.environ.get("MPLBACKEND")
    if not named or "matplotlib" in sys.modules:
        return require("matplotlib", "a figure")
    del os.environ["MPLBACKEND"]
    try:
        package = require("matplotlib", "a figure")
    finally:
        os.environ["MPLBACKEND"] = named
    with contextlib.suppress(ValueError):
        package.rcParams["backend"] = named  # as the import does, for those who use pyplot later
    return package


def plain(text: str) -> str:
    r"""Text for matplotlib that is drawn as it is: a dollar begins no formula, what is not Unicode is shown as \udcNN.

    >>> plain("b$x_^$")
    'b\\$x_^\\$'
    """
    return printable(text).replace("$", r"\$")


def named_legend(place: Any, artists: Mapping[str, Any], **options: Any) -> None:
    """The legend of a figure or of axes, with a user's names: matplotlib leaves out those that begin with _."""
    legend = place.legend([*artists.values()], [str(number) for number in range(len(artists))], **options)
    for text, name in zip(legend.get_texts(), artists, strict=True):
        text.set_text(plain(name))


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
