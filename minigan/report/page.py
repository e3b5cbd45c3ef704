"""report.html: everything there is to see of a run, in one file that any browser opens, also from a mail.

It needs no network and no server: pictures are in the file as data, and a few lines of script draw the curves from
numbers in the file. Pictures and points of long runs are thinned out, so that the page stays below MOST_BYTES.
"""

from __future__ import annotations

__all__ = ["report_page"]

import html
import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from minigan.checkpoint import inside, write_atomically
from minigan.data.paths import user_path
from minigan.errors import DataError
from minigan.report.curves import fades, series_of, sliding_mean
from minigan.report.diagnosis import diagnose
from minigan.report.embedded import inline
from minigan.report.live import LIVE_STYLE, live_part
from minigan.report.page_template import PAGE, STYLE
from minigan.report.records import read_config, read_scores, rows_of
from minigan.report.runs import NAMES, metrics_of
from minigan.report.words import clock, leaves, plain, state

MOST_BYTES = 15_000_000  # of the page
_SHEET_BYTES, _FIGURE_BYTES = 8_000_000, 3_000_000  # of the PNG and GIF files; base64 makes 4 bytes of 3
POINTS = 800  # of a curve
VIEWS = 60  # snapshots of what D sees
_GROUPS = (  # metrics that share a panel, because they share a scale
    ("Losses", ("d_loss", "g_loss")),
    ("Discriminator's output", ("d_real", "d_fake")),
    ("Wasserstein distance, estimated", ("wasserstein",)),
)
_PREFIXES = {"d": "Discriminators' losses", "g": "Generators' losses", "cycle": "Cycle consistency",
             "identity": "Identity", "idt": "Identity"}  # of metrics such as d_a, d_b
_FIGURES = {  # files of latent/, in this order: title, what the picture shows, what the film beside it shows
    "interpolate": ("Interpolation", "From one noise vector to another: above along the line, below along the sphere.",
                    "The film: each image is the left end of a row, goes along the sphere to the right end, and back."),
    "walk": ("A walk along one coordinate", "A row is one noise vector; one of its numbers goes from -3 to 3.",
             "The film: each image is one row, while that number goes from -3 to 3 and back."),
    "map": ("Map of the latent space", "Noise vectors, placed by t-SNE so that similar images are neighbours.", ""),
    "arithmetic": ("Arithmetic", "Mean noise vectors of classes, added and subtracted.", ""),
    "unit": ("Units switched off", "The same noise with and without the units a probe ties to a digit. Below each "
             "image is what a classifier reads in it, underlined where that is still the digit.", ""),
    "guided": ("What the discriminator looks for", "Guided backpropagation of its features on real images.", ""),
    "growing": ("Growing", "", "The samples from fixed noise, step by step; in the curves, fades are shaded."),
}
_ANY_FILM = "The film to this picture."  # of a program's own; the tools here draw none


def report_page(folder: str | os.PathLike[str], live: bool = False) -> Path:
    """Write report.html into a run's folder, completely or not at all; returns its path.

    It shows what there is of config.json, metrics.jsonl, scores.jsonl, judged.jsonl, scores.json, samples/, reals.png
    and latent/.
    With `live`, because the run goes on, a browser reloads the page by itself until nothing is new for ten minutes.

    Raises:
        DataError: config.json is missing, or a file is damaged. OSError: the page cannot be written.
    """
    folder = user_path(folder)
    config = read_config(folder)
    options, planned = config["options"], config.get("steps")
    rows, scores, events = (rows_of(folder, name) for name in ("metrics.jsonl", "scores.jsonl", "events.jsonl"))
    pictures = Pictures(folder)
    credits = list(dict.fromkeys(part["credit"] for part in config.get("data", []) if part.get("credit")))
    sheets, reals, figures = sheets_of(pictures, rows), _reals(pictures, credits), _figures(pictures)
    data = {"sheets": sheets, "panels": [*_panels(rows), *_score_panels(scores)],
            "views": _views(rows_of(folder, "judged.jsonl")), "written": round(time.time()) if live else None}
    live_section, live_scripts = _live(pictures)
    done = int(rows[-1].get("step", len(rows))) if rows else 0
    parts = {
        "charts": resources.files("minigan.report").joinpath("charts.js").read_text("utf-8"),
        "style": STYLE + LIVE_STYLE * bool(live_section),
        "live": live_section,
        "live_scripts": live_scripts,
        "name": html.escape(folder.resolve().name),
        "state": state(done, planned),
        "facts": _facts(config, options),
        "diagnosis": "".join(f"<li>{html.escape(line)}</li>"
                             for line in [*diagnose(rows), *_events(events), *pictures.left_out]),
        "caption": html.escape(config.get("caption", "")),
        "last": sheets[-1]["src"] if sheets else "",
        "reals": reals,
        "figures": figures,
        "scores": _table(scores) + _measured(read_scores(folder)),
        "options": _rows(options.items()),
        "force": _force(config.get("in_force", {})),
        "about": _rows([*config.get("versions", {}).items(), ("device", config.get("device")),
                        *(("data", part.get("source")) for part in config.get("data", [])),
                        *(("credit", credit) for credit in credits)]),
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: str(parts[match[1]]), PAGE)
    write_atomically(folder / "report.html", page.encode("utf-8", "backslashreplace"))  # names need not be UTF-8
    return folder / "report.html"


def _facts(config: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """The options that identify a run."""
    data = " and ".join(dict.fromkeys(str(part.get("name")) for part in config.get("data", [])))
    sessions = config.get("sessions", [])
    seconds = sum(session.get("seconds", 0) for session in sessions)
    parameters = {name: count for name, count in config.get("in_force", {}).get("parameters", {}).items()
                  if not name.startswith("averaged")}  # as many as the network that is averaged
    shown = {"data": data, **{key: options.get(key) for key in ("loss", "lipschitz", "size", "batch_size", "seed")},
             "parameters": ", ".join(f"{name} {count:,}" for name, count in parameters.items()),
             "trained for": clock(seconds) if sessions else None,
             "images per second": f"{sessions[-1].get('images_per_second', np.nan):,.0f}" if sessions else None}
    return "".join(f"<span><b>{html.escape(key.replace('_', ' '))}</b> {html.escape(str(value))}</span>"
                   for key, value in shown.items() if value not in (None, ""))


def _force(settings: Mapping[str, Any]) -> str:
    """What the run was trained with where no option says so: defaults of the loss, the trainer and the optimisers."""
    rows = [(key, value) for key, value in settings.items() if not isinstance(value, Mapping)]
    for name, optimizer in settings.get("optimizers", {}).items():
        rows.append((name, ", ".join(f"{key} {plain(value)}" if key != "kind" else str(value)
                                     for key, value in optimizer.items() if value)))
    return f'<section class="card"><h2>In force</h2><table>{_rows(rows)}</table></section>' if rows else ""


def _measured(scores: Mapping[str, Any]) -> str:
    """What `minigan metrics` and some examples measure at the end, however nested."""
    rows = [(name, f"{value:.4g}" if isinstance(value, float) else value) for name, value in leaves(scores)]
    return f'<section class="card"><h2>Measured afterwards</h2><table>{_rows(rows)}</table></section>' if rows else ""


def _events(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each roll-back and resumption, in words."""
    return [f"step {event.get('step')}: {event.get('event')}" + (f" ({event['reason']})" if "reason" in event else "")
            for event in events]


class Pictures:
    """The pictures in a run's folder, as data for the page; `left_out` has a sentence for each that is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_out: list[str] = []

    def size(self, name: str) -> int | None:
        """The bytes of a file; None if it is missing, or is no regular file."""
        try:
            return inside.size(self.folder, name)
        except DataError as error:
            self.left_out.append(f"left out: {error}")
            return None

    def names(self, inner: str) -> list[str]:
        """The names in a folder of the run; none if it is missing, or a link."""
        try:
            return inside.names(self.folder, inner)
        except DataError as error:
            self.left_out.append(f"left out: {error}")
            return []

    def inline(self, name: str) -> str | None:
        """A picture as a data URL, None for what is no picture that minigan wrote."""
        try:
            return inline(self.folder, name, _SHEET_BYTES)
        except DataError as error:
            self.left_out.append(f"left out: {error}")
            return None


def sheets_of(pictures: Pictures, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sample grids by step: as many as fit, among them the first and the last."""
    ends: dict[int, int] = {}  # the last step of each epoch
    for row in rows:
        ends.setdefault(int(row.get("epoch", 0)), int(row.get("step", 0)))
    files = {}
    for name in pictures.names("samples"):
        if match := re.fullmatch(r"(epoch|step)_(\d{1,12})\.png", name):
            number = int(match[2])
            step = ends.get(number) if match[1] == "epoch" else number
            if step is not None and (size := pictures.size(f"samples/{name}")) is not None:
                files[step] = f"samples/{name}", size
    steps, total = sorted(files), sum(size for _, size in files.values())
    most = max(2, int(len(steps) * min(1.0, _SHEET_BYTES / max(1, total))))
    if not steps:
        return []
    shown = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), most)).round().astype(int))
    return [{"step": steps[i], "src": src} for i in shown if (src := pictures.inline(files[steps[i]][0])) is not None]


def _reals(pictures: Pictures, credits: Sequence[str]) -> str:
    """The picture of real images, with the names of those who made them where a licence asks for it."""
    if (pictures.size("reals.png") or _FIGURE_BYTES) >= _FIGURE_BYTES or not (src := pictures.inline("reals.png")):
        return ""
    return (f'<figure><img class="pixels" id="reals" src="{src}" alt="real images"><figcaption>'
            f"{html.escape('. '.join(['Real images', *credits]))}</figcaption></figure>")


def _live(pictures: Pictures) -> tuple[str, str]:
    """The section in which the run's network draws, and its scripts; empty if there is none that can be shown."""
    try:
        return live_part(pictures.folder)
    except DataError as error:
        pictures.left_out.append(f"left out: {error}")
        return "", ""


def _figures(pictures: Pictures) -> str:
    """Pictures of the latent tools, as many as fit."""
    parts, room = [], _FIGURE_BYTES
    for stem, (title, text, about_film) in _FIGURES.items():
        images = []
        place = "" if stem == "growing" else "latent/"  # it belongs to the training, not to the latent space
        for name, words in ((f"{place}{stem}.png", text), (f"{place}{stem}.gif", about_film or _ANY_FILM)):
            size = pictures.size(name)
            if size is not None and size <= room and (src := pictures.inline(name)):
                room -= size
                images.append(f'<figure><img class="wide" src="{src}" alt="{title}"><figcaption>{words}</figcaption>'
                              "</figure>")
        if images:
            whole, both = (" whole", ' class="both"') if len(images) > 1 else ("", "")
            parts.append(f'<section class="card{whole}"><h2>{title}</h2><div{both}>{"".join(images)}</div></section>')
    return "".join(parts)


def _rows(values: Iterable[tuple[str, Any]]) -> str:
    return "".join(f"<tr><th>{html.escape(str(key).replace('_', ' '))}</th><td>{html.escape(_shown(value))}</td></tr>"
                   for key, value in values if value is not None)


def _shown(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _panels(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Curves of every metric; metrics that share a scale share a panel."""
    keys = metrics_of(rows[:1])
    groups = [(title, [key for key in group if key in keys]) for title, group in _GROUPS]
    grouped = {key for _, group in groups for key in group}
    for key in keys:
        if key not in grouped:
            alike = [key] if key in NAMES else [other for other in keys if other not in NAMES and
                                                other.partition("_")[0] == key.partition("_")[0]]
            grouped |= {*alike}
            groups.append((NAMES.get(key, _PREFIXES.get(key.partition("_")[0], key)), alike))
    shaded = fades(rows)
    return [{"title": title[:1].upper() + title[1:], "series": [_curve(rows, key) for key in group], "shaded": shaded}
            for title, group in groups if group]


def _curve(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """A metric's values, of long runs the smallest and the largest of each stretch; and their sliding mean."""
    steps, values = series_of(list(rows), (key,))
    mean = sliding_mean(values, len(values) // 40 | 1) if len(values) else values
    stretch = -(-2 * len(values) // POINTS) if len(values) > POINTS else 1
    raw = [(steps[i], v) for i in range(0, len(values), stretch) for v in
           ([values[i]] if stretch == 1 else [values[i : i + stretch].min(), values[i : i + stretch].max()])]
    thin = np.unique(np.linspace(0, len(values) - 1, min(len(values), POINTS // 2)).astype(int))
    return {"name": NAMES.get(key, key), "raw": _numbers(raw), "mean": _numbers([(steps[i], mean[i]) for i in thin])}


def _numbers(points: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Points as [steps, values], to five digits."""
    return [[int(x) for x, _ in points], [float(f"{y:.5g}") for _, y in points]]


def _views(judged: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """D's outputs for real and generated pictures, snapshot by snapshot: at most VIEWS; none that are not finite."""
    finite = [row for row in judged if {"step", "real", "fake"} <= row.keys() and row["real"] and row["fake"]
              and np.isfinite([*row["real"], *row["fake"]]).all()]
    thin = np.unique(np.linspace(0, len(finite) - 1, min(len(finite), VIEWS)).astype(int))
    return [{key: finite[i][key] for key in ("step", "real", "fake")} for i in thin]


def _score_panels(scores: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if len(scores) < 2:
        return []
    points = _numbers([(row.get("step", place), row["frechet"]) for place, row in enumerate(scores)
                       if np.isfinite(row.get("frechet", np.nan))])
    return [{"title": "Frechet distance of samples, 0 is best",
             "series": [{"name": "Frechet distance", "raw": [[], []], "mean": points}]}]


def _table(scores: Sequence[Mapping[str, Any]]) -> str:
    """The last score beside the best one."""
    if not scores:
        return ""
    best = min(scores, key=lambda row: row.get("frechet", np.inf))
    last, keys = scores[-1], [key for key in scores[-1] if key != "step"]
    head = "<tr><th></th>" + "".join(f"<th>{which}, step {row['step']:,}</th>" if "step" in row else f"<th>{which}</th>"
                                     for which, row in (("best", best), ("last", last))) + "</tr>"
    body = "".join(f"<tr><th>{html.escape(key.replace('_', ' '))}</th><td>{best.get(key, np.nan):.4g}</td>"
                   f"<td>{last[key]:.4g}</td></tr>" for key in keys)
    return f'<section class="card"><h2>Scores</h2><div class="scroll"><table>{head}{body}</table></div></section>'
