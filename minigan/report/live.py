"""The live part of a page: a trained network that runs in the browser, from numbers and a script in the page.

    latent/play.json    written by minigan.run.play; what is read here may come from a stranger
    kernels.js          the kernels of the page: convolutions, norms, activations, noise
    worker.js           asks them, beside the page, so that it stays responsive
    play.js             controls and pictures

The page takes nothing from elsewhere: the worker starts from text in the page, which also works from a file.
"""

from __future__ import annotations

__all__ = ["live_page", "live_part", "live_reals"]

import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from minigan.checkpoint import inside
from minigan.errors import DataError
from minigan.report.embedded import inline
from minigan.report.page_template import STYLE

FILE = "latent/play.json"
MOST_BYTES = 40_000_000  # of a page with the live part alone
MOST_INSIDE = 5_000_000  # of play.json, for report.html, which has pictures, too
MOST_REALS = 3_000_000  # bytes of the picture of real images
_KEYS: dict[str, Any] = {  # of play.json, and their types
    "latent": int, "classes": int, "seed": int, "weights": str, "size": int, "channels": dict, "names": dict,
    "networks": dict, "directions": list, "effects": dict, "halves": str, "floats": str}
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")

LIVE_STYLE = """\
[hidden] { display: none !important; }
.live canvas { image-rendering: pixelated; border-radius: 4px; background: #000; max-width: 100%; }
.live canvas.picture { display: block; width: 100%; touch-action: none; }
.live canvas:focus-visible, .live .pad:focus-visible, button:focus-visible { outline: 3px solid var(--c0);
  outline-offset: 2px; }
.desk { display: grid; grid-template-columns: minmax(0, 320px) minmax(0, 1fr); gap: 20px; align-items: start; }
.three { display: grid; grid-template-columns: repeat(3, minmax(0, 240px)); gap: 14px; margin: 12px 0; }
.live fieldset { border: 0; border-top: 1px solid var(--line); margin: 0 0 10px; padding: 6px 0 0; min-width: 0; }
.live legend { color: var(--soft); font-size: .85rem; padding: 0 8px 0 0; }
.live .buttons { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; margin: 4px 0; }
.live input[type=number], .live select { font: inherit; color: inherit; background: var(--paper); width: 5.5em;
  padding: 2px 6px; border: 1px solid var(--track); border-radius: 6px; }
.live select { width: auto; }
.live .buttons input[type=range] { flex: 0 1 120px; }
.live .control { margin-top: 2px; gap: 8px; }
.live .control span { min-width: 6.2em; font-size: .9rem; }
.live .control output { min-width: 3em; font-size: .9rem; }
.directions { display: grid; grid-template-columns: minmax(0, 200px) minmax(0, 1fr); gap: 18px; align-items: start;
  margin-top: 6px; }
.pad { position: relative; aspect-ratio: 1; border: 1px solid var(--track); border-radius: 8px; touch-action: none;
  cursor: crosshair; background: linear-gradient(var(--line), var(--line)) 50% 0 / 1px 100% no-repeat,
  linear-gradient(var(--line), var(--line)) 0 50% / 100% 1px no-repeat, var(--paper); }
.pad i { position: absolute; width: 18px; height: 18px; margin: -9px; border-radius: 50%; background: var(--c0); }
.maps { display: flex; flex-wrap: wrap; gap: 18px; margin-top: 10px; }
.maps figure { max-width: 100%; }
.live .maps canvas { cursor: pointer; background: var(--track); }
.live summary { cursor: pointer; margin-top: 12px; font-weight: 600; }
.live .about { color: var(--soft); font-size: .9rem; margin: 6px 0; }
.examples button { padding: 2px; }
.examples canvas { display: block; width: 44px; }
.spoken { color: var(--soft); font-size: .85rem; min-height: 1.3em; margin: 6px 0 0; }
.status { font-variant-numeric: tabular-nums; }
@media (max-width: 760px) { .desk, .directions { grid-template-columns: minmax(0, 1fr); } .pad { max-width: 240px; }
  .three { grid-template-columns: repeat(auto-fit, minmax(96px, 1fr)); } }
"""

_SECTION = """\
<section class="card whole live" id="live"><h2>{title}</h2><p>{about}</p>
<noscript>This part needs JavaScript.</noscript><div id="live-body"></div></section>"""

_SCRIPTS = """\
<script type="application/json" id="play-data">{data}</script>
<script type="text/plain" id="worker">{worker}</script>
<script>{play}</script>"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: play</title>
<style>
{style}</style>
</head>
<body>
<main>
<header><h1>{name}</h1></header>
{section}
{reals}
</main>
{scripts}
</body>
</html>
"""


def live_part(folder: Path) -> tuple[str, str]:
    """The section of a run's page and its scripts, from latent/play.json; two empty texts without that file.

    Raises:
        DataError: it is damaged, or too large for a page with pictures.
    """
    if not inside.check(folder, FILE):
        return "", ""
    if (inside.size(folder, FILE) or 0) > MOST_INSIDE:
        raise DataError(f"{folder / FILE}: is larger than {MOST_INSIDE:,} bytes; `python -m minigan play` with --out "
                        "writes a page with the live part alone")
    try:
        data = json.loads(inside.read(folder, FILE, MOST_INSIDE).decode())
    except (ValueError, RecursionError):
        raise DataError(f"{folder / FILE}: damaged: not JSON; `python -m minigan play` writes it anew") from None
    if not isinstance(data, dict) or not {"networks", "halves", "floats"} <= data.keys():
        raise DataError(f"{folder / FILE}: damaged: it holds no networks; `python -m minigan play` writes it anew")
    for key, value in data.items():
        is_text = isinstance(value, str) and (key == "weights" or _BASE64.fullmatch(value) is not None)
        if not isinstance(value, _KEYS.get(key, ())) or (isinstance(value, str) and not is_text):
            raise DataError(f"{folder / FILE}: damaged at {key[:40]!r}; `python -m minigan play` writes it anew")
    return section_of(data), scripts_of(data)


def section_of(data: Mapping[str, Any]) -> str:
    """The section that the script fills."""
    title = "Play: the generator draws in this page" if data.get("latent") else "Play: translate in this page"
    return _SECTION.format(title=title, about="The trained network runs here, in your browser; nothing is sent "
                           "anywhere. Its weights are in the page, rounded to half precision.")


def scripts_of(data: Mapping[str, Any]) -> str:
    """The network's numbers and the scripts; no text of a run can end a script."""
    here = resources.files("minigan.report")
    kernels, worker, play = (here.joinpath(f"{name}.js").read_text("utf-8") for name in ("kernels", "worker", "play"))
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return _SCRIPTS.format(data=text, worker=kernels + worker, play=play)


def live_reals(folder: Path) -> str:
    """The run's picture of real images for a page without others, to start from; nothing if there is none."""
    try:
        if not inside.check(folder, "reals.png"):
            return ""
        return f'<img id="reals" hidden alt="real images" src="{inline(folder, "reals.png", MOST_REALS)}">'
    except DataError:
        return ""


def live_page(name: str, data: Mapping[str, Any], reals: str = "") -> str:
    """A page with the live part alone: `data` from minigan.run.play, `reals` from `live_reals`."""
    return _PAGE.format(name=html.escape(name), style=STYLE + LIVE_STYLE, section=section_of(data), reals=reals,
                        scripts=scripts_of(data))
