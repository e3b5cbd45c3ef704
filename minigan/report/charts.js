// Charts of a page: curves, and the histograms of D's view. Both go along with a film: `marks` are functions of a step.
"use strict";
const make = (name, attributes, parent) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  parent.append(element);
  return element;
};
const shown = x => Math.abs(x) >= 1e5 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(1)
  : String(+x.toPrecision(4));
const colour = number => `var(--c${number % 4})`;

const marks = [];
let present = null;  // the step that the film shows, once somebody has moved it

// Curves: faint values, strong sliding means; the pointer shows the means at a step.
const ticks = (low, high, count) => {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(m => m * power).find(s => s >= rough), marks = [];
  for (let i = Math.ceil(low / step); i * step <= high; i++) marks.push(i * step);
  return marks;
};
const quantile = (sorted, q) => sorted[Math.round(q * (sorted.length - 1))];
const draw = (card, panel) => {
  const width = Math.max(260, card.clientWidth - 36), height = 206, left = 44, right = width - 6, top = 8, bottom = 164;
  const svg = make("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": panel.title}, card);
  const all = panel.series.flatMap(s => s.raw[1].length ? s.raw[1] : s.mean[1]).sort((a, b) => a - b);
  const steps = panel.series.flatMap(s => s.mean[0]);
  let low = quantile(all, .005), high = quantile(all, .995);
  const margin = .06 * (high - low) || .5;
  low -= margin; high += margin;
  const first = Math.min(...steps), last = Math.max(...steps, first + 1);
  const x = s => left + (s - first) / (last - first) * (right - left);
  const y = v => bottom - (Math.min(high, Math.max(low, v)) - low) / (high - low) * (bottom - top);
  for (const v of ticks(low, high, 5)) {
    make("line", {x1: left, x2: right, y1: y(v), y2: y(v), stroke: "var(--line)"}, svg);
    make("text", {x: left - 6, y: y(v) + 4, "text-anchor": "end"}, svg).textContent = shown(v);
  }
  for (const s of ticks(first, last, Math.max(2, Math.floor(width / 75)))) if (Number.isInteger(s))
    make("text", {x: x(s), y: bottom + 18, "text-anchor": "middle"}, svg).textContent = s.toLocaleString("en");
  make("text", {x: (left + right) / 2, y: bottom + 36, "text-anchor": "middle"}, svg).textContent = "step";
  for (const [a, b] of panel.shaded || [])  // fades of progressive growing
    make("rect", {x: x(a), y: top, width: Math.max(1, x(b) - x(a)), height: bottom - top, fill: "var(--line)",
      opacity: .5}, svg);
  const path = ([at, values]) => at.map((s, i) => (i ? "L" : "M") + x(s).toFixed(1) + " " + y(values[i]).toFixed(1));
  panel.series.forEach((s, i) => make("path", {d: path(s.raw).join(""), fill: "none", stroke: colour(i), opacity: .28,
    "stroke-width": .8}, svg));
  panel.series.forEach((s, i) => make("path", {d: path(s.mean).join(""), fill: "none", stroke: colour(i),
    "stroke-width": 2, "stroke-linejoin": "round"}, svg));
  const line = make("line", {y1: top, y2: bottom, stroke: "var(--soft)", "stroke-dasharray": "3 3", opacity: 0}, svg);
  const words = [...card.querySelectorAll(".legend span")], names = panel.series.map(s => s.name);
  const read = s => panel.series.forEach((one, i) => {
    const near = one.mean[0].reduce((best, at, k) => Math.abs(at - s) < Math.abs(one.mean[0][best] - s) ? k : best, 0);
    words[i].textContent = names[i] + "  " + shown(one.mean[1][near]);
  });
  const mark = s => {
    const held = Math.min(last, Math.max(first, s));
    line.setAttribute("x1", x(held)); line.setAttribute("x2", x(held)); line.setAttribute("opacity", 1);
    read(held);
  };
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const s = first + ((event.clientX - box.left) * width / box.width - left) / (right - left) * (last - first);
    mark(s);
  });
  const rest = () => { if (present !== null) return mark(present); line.setAttribute("opacity", 0); read(last); };
  svg.addEventListener("pointerleave", rest);
  rest();
  marks.push(mark);
};

// D's view: how often its output has each value, for real pictures and for those of the grid, at the snapshot next to a
// step. The bins are the same at every step, so that one sees the two move.
const BINS = 32;
const drawView = (card, views) => {
  const width = Math.max(260, card.clientWidth - 36), height = 206, left = 44, right = width - 6, top = 8, bottom = 164;
  const svg = make("svg", {viewBox: `0 0 ${width} ${height}`, role: "img"}, card);
  const all = views.flatMap(v => [...v.real, ...v.fake]).sort((a, b) => a - b);
  const low = quantile(all, .01), high = Math.max(quantile(all, .99), low + 1e-6), span = (right - left) / BINS;
  const counts = values => {
    const bins = new Array(BINS).fill(0);
    for (const v of values)
      bins[Math.min(BINS - 1, Math.max(0, Math.floor((v - low) / (high - low) * BINS)))] += 1 / values.length;
    return bins;
  };
  const both = views.map(v => [counts(v.real), counts(v.fake)]), most = Math.max(...both.flat(2));
  const words = card.querySelectorAll(".legend span"), middle = {y: bottom + 18, "text-anchor": "middle"};
  for (const v of ticks(low, high, Math.max(2, Math.floor(width / 75))))
    make("text", {x: left + (v - low) / (high - low) * (right - left), ...middle}, svg).textContent = shown(v);
  make("line", {x1: left, x2: right, y1: bottom, y2: bottom, stroke: "var(--line)"}, svg);
  make("text", {...middle, x: (left + right) / 2, y: bottom + 36}, svg).textContent = "D's output: more is more real";
  const bars = [0, 1].map(i => Array.from({length: BINS}, (_, k) => make("rect", {
    x: left + k * span, width: Math.max(1, span - 1), fill: colour(i), opacity: .6}, svg)));
  const mean = values => values.reduce((a, b) => a + b, 0) / values.length;
  const mark = s => {
    const at = views.reduce((best, v, k) => Math.abs(v.step - s) < Math.abs(views[best].step - s) ? k : best, 0);
    const view = views[at];
    bars.forEach((row, i) => row.forEach((bar, k) => {
      const high = both[at][i][k] / most * (bottom - top);
      bar.setAttribute("y", bottom - high); bar.setAttribute("height", high);
    }));
    words[0].textContent = "real pictures, mean " + shown(mean(view.real));
    words[1].textContent = "generated pictures, mean " + shown(mean(view.fake));
    svg.setAttribute("aria-label", `D's view at step ${view.step}: ${words[0].textContent}; ${words[1].textContent}`);
    card.querySelector("h2").textContent = "D's view, step " + view.step.toLocaleString("en");
  };
  mark(present === null ? views[views.length - 1].step : present);
  marks.push(mark);
};
