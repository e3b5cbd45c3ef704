"""The page of a run: HTML, style and script; minigan.report.page fills in {{names}}. Other pages share the style."""

STYLE = """\
:root { color-scheme: light dark; --paper: #f6f5f1; --card: #ffffff; --ink: #22252a; --soft: #6a6f78; --line: #e3e1da;
        --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b0568f; --track: #d9d7cf; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --card: #1f2228; --ink: #e6e6e3; --soft: #9aa0aa; --line: #32363e;
          --c0: #56b4e9; --c1: #f0914a; --c2: #3fc79f; --c3: #dc94c0; --track: #3b404a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI",
       Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; display: grid; gap: 18px;
       grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
header, .card.whole { grid-column: 1 / -1; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; }
header p { margin: 4px 0 12px; color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: 6px 18px; font-size: .9rem; }
.facts b { font-weight: 400; color: var(--soft); margin-right: 4px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; min-width: 0; }
h2 { font-size: 1rem; margin: 0 0 8px; }
.card > p { margin: 0 0 10px; color: var(--soft); font-size: .9rem; }
ul { margin: 0; padding-left: 1.1em; }
li { margin: 2px 0; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
img.pixels, img.wide { width: 100%; image-rendering: pixelated; }
figure { margin: 0; min-width: 0; }
figcaption { color: var(--soft); font-size: .85rem; margin-top: 6px; }
.sheets { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 20px; align-items: start; }
.control { display: flex; align-items: center; gap: 12px; margin-top: 12px; }
.control output { font-variant-numeric: tabular-nums; white-space: nowrap; min-width: 7.5em; text-align: right; }
input[type=range] { flex: 1; min-width: 0; height: 28px; accent-color: var(--c0); }
button { font: inherit; color: inherit; background: none; border: 1px solid var(--track); border-radius: 6px; padding:
         3px 12px; cursor: pointer; }
svg { display: block; width: 100%; touch-action: pan-y; font-size: 11px; overflow: visible; }
svg text { fill: var(--soft); font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: .85rem; margin-bottom: 4px; }
.legend i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; vertical-align: middle; margin-right:
            6px; }
.legend span { font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-top: 1px solid var(--line); vertical-align: top;
         overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
tr:first-child > * { border-top: 0; }
th { font-weight: 400; color: var(--soft); white-space: nowrap; }
.scroll { overflow-x: auto; }
.both { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 14px; align-items: center; }
.options { grid-row: span 2; }
@media (max-width: 760px) {
  main { grid-template-columns: minmax(0, 1fr); padding: 18px 12px 40px; gap: 12px; }
  .sheets, .both { grid-template-columns: minmax(0, 1fr); }
  .card { padding: 14px; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{name}}: {{state}}</title>
<style>
{{style}}</style>
</head>
<body>
<main>
<header><h1>{{name}}</h1><p>{{state}}</p><div class="facts">{{facts}}</div></header>
<section class="card whole"><h2>In words</h2><ul>{{diagnosis}}</ul></section>
<section class="card whole" id="samples"><h2>Samples, step by step</h2>
<div class="sheets"><figure><img class="pixels" id="sheet" src="{{last}}" alt="samples">
<div class="control"><button id="play" aria-label="play">Play</button>
<input type="range" id="slider" min="0" max="0" value="0" step="1" aria-label="step"><output id="at"></output></div>
<figcaption>{{caption}}</figcaption></figure>{{reals}}</div></section>
{{live}}{{figures}}{{scores}}{{force}}
<section class="card options"><h2>Options</h2><table>{{options}}</table></section>
<section class="card"><h2>Made with</h2><table>{{about}}</table></section>
</main>
<script type="application/json" id="data">{{data}}</script>
<script>
{{charts}}
const data = JSON.parse(document.getElementById("data").textContent);
// The slider through the sample grids; the curves and D's view go along.
const slider = document.getElementById("slider"), sheet = document.getElementById("sheet");
const show = number => {
  slider.value = number;
  sheet.src = data.sheets[number].src;
  sheet.alt = "samples at step " + data.sheets[number].step;
  document.getElementById("at").textContent = "step " + data.sheets[number].step.toLocaleString("en");
};
if (data.sheets.length) {
  slider.max = data.sheets.length - 1;
  show(data.sheets.length - 1);
  const film = number => {
    show(number);
    present = data.sheets[number].step;
    marks.forEach(mark => mark(present));
  };
  slider.addEventListener("input", () => film(+slider.value));
  let clock = null;
  const play = document.getElementById("play");
  play.addEventListener("click", () => {
    const stop = () => { clearInterval(clock); clock = null; play.textContent = "Play"; };
    if (clock) return stop();
    if (+slider.value === +slider.max) film(0);
    play.textContent = "Stop";
    clock = setInterval(() => +slider.value < +slider.max ? film(+slider.value + 1) : stop(), 350);
  });
} else document.getElementById("samples").remove();

const after = document.getElementById("samples") || document.querySelector(".card.whole");
const hasView = (data.views || []).length > 0, total = data.panels.length + hasView;
const newCard = (name, number, series) => {
  const card = document.createElement("section"), title = document.createElement("h2");
  card.className = "card curve" + (number === total - 1 && number % 2 === 0 ? " whole" : "");
  title.textContent = name;
  const legend = document.createElement("div");
  legend.className = "legend";
  series.forEach((s, i) => {
    const entry = document.createElement("div"), mark = document.createElement("i");
    mark.style.background = colour(i);
    entry.append(mark, document.createElement("span"));
    legend.append(entry);
  });
  card.append(title, legend);
  return card;
};
const cards = data.panels.map((panel, number) => newCard(panel.title, number, panel.series));
if (hasView) cards.push(newCard("D's view", total - 1, ["real", "fake"]));
after.after(...cards);
const redraw = () => {
  marks.length = 0;
  cards.forEach((card, i) => {
    card.querySelector("svg")?.remove();
    i < data.panels.length ? draw(card, data.panels[i]) : drawView(card, data.views);
  });
};
redraw();
if (data.written && Date.now() / 1000 - data.written < 600) setTimeout(() => location.reload(), 20000);
let wide = innerWidth;
addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; redraw(); } });
</script>
{{live_scripts}}
</body>
</html>
"""
