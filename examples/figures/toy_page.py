"""A page on which games in the plane are watched step by step, with the curves moving along, in any browser.

    colours   D, relative to its mean over the plane: blue where it takes points for real, orange where for generated
    dots      grey: the distribution to learn; in colour: what G draws
    arrows    at some of G's points, minus the gradient of G's loss: where G is told to move them

What D and the arrows show at each step is what GAN Lab (Kahng et al., 2019) shows of a GAN that trains in the page.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from minigan.data.toy2d import Toy2D
from minigan.engine import device, grad, no_grad, tensor
from minigan.random import Stream
from minigan.report.page_template import STYLE

SIDE = 32  # cells of the map of D in each direction
POINTS, ARROWS, REALS = 500, 60, 800  # shown in each picture
CURVE_POINTS = 400
REACH = 1.3  # half the side of the plane that is shown, in units of the largest coordinate of a mode
_CURVES = {"d_loss": "discriminator's loss", "g_loss": "generator's loss"}


class Field(NamedTuple):
    """D over the plane, (SIDE, SIDE), the first row at the top; and what G is told at each of its points, (N, 2)."""

    values: np.ndarray
    arrows: np.ndarray


def field(trainer: Any, toy: Toy2D, points: np.ndarray) -> Field:
    """What a trainer's discriminator says now about the plane and about generated points (N, 2).

    An arrow is minus the gradient of the generator's loss, of this point alone, with respect to the point.
    """
    places = np.linspace(-1, 1, SIDE) * half_side(toy)
    plane = np.stack(np.meshgrid(places, places[::-1]), -1).reshape(-1, 2)  # (SIDE*SIDE, 2)
    with no_grad():
        values = trainer.discriminator(tensor(plane / toy.scale, dtype=np.float32)).data
    x = tensor(np.asarray(points[:ARROWS] / toy.scale, np.float32), requires_grad=True)
    gradient, = grad(trainer.loss.generator_loss(trainer.discriminator(x)) * len(x), [x])  # the loss is a mean
    return Field(device.asnumpy(values).reshape(SIDE, SIDE), -device.asnumpy(gradient.data))  # (SIDE, SIDE)


def half_side(toy: Toy2D) -> float:
    """Half the side of the square that is shown."""
    return REACH * float(np.abs(toy.modes).max())


def points_page(toy: Toy2D, games: Mapping[str, Sequence[Any]],
                rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """The page, as UTF-8: `games` by name, each with its snapshots (figures.toy); `rows`, their metrics, by name."""
    data = {"reals": _packed(toy.sample(REALS, Stream(0, "picture")) / half_side(toy)),
            "games": [_game(toy, name, film, rows[name]) for name, film in games.items()]}
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    charts = resources.files("minigan.report").joinpath("charts.js").read_text("utf-8")
    return (_PAGE.replace("{{name}}", html.escape(toy.name)).replace("{{style}}", STYLE)
            .replace("{{charts}}", charts).replace("{{data}}", text)).encode()


def _game(toy: Toy2D, name: str, film: Sequence[Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A game's snapshots and curves; arrows are scaled so that nearly the longest of the game has length 1."""
    lengths = np.concatenate([np.hypot(*snapshot.field.arrows.T) for snapshot in film])
    longest = max(float(np.quantile(lengths, 0.95)), 1e-12)
    shown = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), CURVE_POINTS)).astype(int))
    curves = [{"name": words, "raw": [[], []], "mean": [[int(rows[i]["step"]) for i in shown],
                                                       [float(f"{rows[i][key]:.4g}") for i in shown]]}
              for key, words in _CURVES.items() if len(rows) and key in rows[0]]
    return {"name": name, "curves": curves, "snapshots": [
        {"step": snapshot.step, "words": _words(*snapshot.coverage),
         "points": _packed(snapshot.points[:POINTS] / half_side(toy)),
         "arrows": _packed(snapshot.field.arrows / longest), "map": _levels(snapshot.field.values)}
        for snapshot in film]}


def _words(covered: int, modes: int, good: float) -> str:
    return f"{covered} of {modes} modes, {good:.0%} good"


def _packed(points: np.ndarray) -> str:
    """Points (N, 2), those beyond 4 cut off, in thousandths as 16-bit integers in base64."""
    return base64.b64encode(np.rint(np.clip(points, -4, 4) * 1000).astype("<i2").tobytes()).decode()


def _levels(values: np.ndarray) -> str:
    """Values as 0 to 255 in base64: 128 is their mean, 0 and 255 two deviations from it."""
    standard = (values - values.mean()) / max(float(values.std()), 1e-12)
    levels = np.rint(np.clip(standard / 2, -1, 1) * 127.5 + 127.5).astype(np.uint8)
    return base64.b64encode(levels.tobytes()).decode()


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{name}}: games in the plane</title>
<style>
{{style}}canvas { width: 100%; aspect-ratio: 1; border-radius: 6px; border: 1px solid var(--line); display: block; }
.control.whole { grid-column: 1 / -1; position: sticky; bottom: 0; background: var(--paper); padding: 8px 0;
                 margin: 0; }
</style>
</head>
<body>
<main>
<header><h1>{{name}}: games in the plane</h1>
<p>Colours: what D thinks of the plane, blue where it takes points for real. Grey dots: the points to learn. Dots: what
G draws. Arrows: where G is told to move a point; as long as the gradient of its loss.</p></header>
<div class="control whole"><button id="play">Play</button><input type="range" id="slider" min="0" value="0" step="1"
aria-label="step"><output id="at"></output></div>
</main>
<script type="application/json" id="data">{{data}}</script>
<script>
{{charts}}
const data = JSON.parse(document.getElementById("data").textContent), last = data.games[0].snapshots.length - 1;
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const pairs = text => Array.from(new Int16Array(bytes(text).buffer), v => v / 1000);
const reals = pairs(data.reals), slider = document.getElementById("slider"), main = document.querySelector("main");
const tag = (name, className, ...inner) => {
  const element = document.createElement(name);
  element.className = className;
  element.append(...inner);
  return element;
};
const hue = name => getComputedStyle(document.body).getPropertyValue(name).trim();
const rgb = colour => [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16));

// One picture: the map of D, real points, G's points and arrows. All places are in [-1, 1], y upwards.
const paint = (canvas, snapshot, number) => {
  const side = canvas.width = canvas.height = 640, pen = canvas.getContext("2d"), levels = bytes(snapshot.map);
  const cells = Math.sqrt(levels.length), [real, fake, paper] = ["--c0", "--c1", "--card"].map(name => rgb(hue(name)));
  levels.forEach((level, k) => {
    const share = level / 127.5 - 1, end = share > 0 ? real : fake;
    const colour = paper.map((p, i) => p + .45 * Math.abs(share) * (end[i] - p));
    pen.fillStyle = `rgb(${colour.map(Math.round)})`;
    pen.fillRect(k % cells * side / cells, Math.floor(k / cells) * side / cells, side / cells + 1, side / cells + 1);
  });
  const x = v => (v + 1) / 2 * side, y = v => (1 - v) / 2 * side;
  const dots = (list, colour, radius) => {
    pen.fillStyle = colour;
    for (let i = 0; i < list.length; i += 2) {
      pen.beginPath(); pen.arc(x(list[i]), y(list[i + 1]), radius, 0, 7); pen.fill();
    }
  };
  dots(reals, hue("--soft"), 1.6);
  const points = pairs(snapshot.points), arrows = pairs(snapshot.arrows);
  dots(points, hue(`--c${2 + number % 2}`), 3);
  pen.strokeStyle = hue("--ink"); pen.lineWidth = 1.6;
  for (let i = 0; i < arrows.length; i += 2) {
    const [a, b] = [x(points[i]), y(points[i + 1])], [u, v] = [48 * arrows[i], -48 * arrows[i + 1]];
    pen.beginPath(); pen.moveTo(a, b); pen.lineTo(a + u, b + v);
    pen.moveTo(a + .7 * u - .2 * v, b + .7 * v + .2 * u); pen.lineTo(a + u, b + v);
    pen.lineTo(a + .7 * u + .2 * v, b + .7 * v - .2 * u); pen.stroke();
  }
};
const whole = data.games.length === 1 ? " whole" : "";
const parts = data.games.map(game => {
  const canvas = document.createElement("canvas"), words = tag("figcaption", ""), title = tag("h2", "", game.name);
  canvas.setAttribute("role", "img");
  main.insertBefore(tag("section", "card" + whole, title, canvas, words), main.lastElementChild);
  return {canvas, words};
});
const curves = data.games.map(game => {
  const legend = tag("div", "legend", ...game.curves.map((s, i) => {
    const mark = document.createElement("i");
    mark.style.background = colour(i);
    return tag("div", "", mark, document.createElement("span"));
  }));
  const card = tag("section", "card curve" + whole, tag("h2", "", "Losses, " + game.name), legend);
  main.insertBefore(card, main.lastElementChild);
  return card;
});
const show = number => {
  slider.value = number;
  data.games.forEach((game, i) => {
    const snapshot = game.snapshots[number];
    paint(parts[i].canvas, snapshot, i);
    parts[i].words.textContent = snapshot.words;
    parts[i].canvas.setAttribute("aria-label", `${game.name} at step ${snapshot.step}: ${snapshot.words}`);
  });
  present = data.games[0].snapshots[number].step;
  document.getElementById("at").textContent = "step " + present.toLocaleString("en");
  marks.forEach(mark => mark(present));
};
const redraw = () => {
  marks.length = 0;
  data.games.forEach((game, i) => {
    curves[i].querySelector("svg")?.remove();
    if (game.curves.length) draw(curves[i], {title: "losses", series: game.curves});
  });
  show(+slider.value);
};
slider.max = last; slider.value = last;
slider.addEventListener("input", () => show(+slider.value));
let clock = null;
const play = document.getElementById("play");
const stop = () => { clearInterval(clock); clock = null; play.textContent = "Play"; };
play.addEventListener("click", () => {
  if (clock) return stop();
  if (+slider.value === last) show(0);
  play.textContent = "Stop";
  clock = setInterval(() => +slider.value < last ? show(+slider.value + 1) : stop(), 300);
});
redraw();
addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
</script>
</body>
</html>
"""
