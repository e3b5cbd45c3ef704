"""How the page looks (CSS) and moves (a few lines of JavaScript, without which everything can still be read)."""

CSS = """
:root { color-scheme: light dark;
  --paper: light-dark(#fbfaf7, #16181d); --card: light-dark(#ffffff, #1e2128); --ink: light-dark(#1d2026, #e6e4df);
  --soft: light-dark(#6a6f78, #9a9fa9); --line: light-dark(#dcd9d1, #353a44);
  --fill: light-dark(#f3f1ea, #272b33);
  --ahead: light-dark(#0b62a8, #62b0f0); --back: light-dark(#b34700, #ff9d5c); --warn: light-dark(#a4161a, #ff8a80);
  --warnfill: light-dark(#fdecea, #3a2021); }
* { box-sizing: border-box; }
body { margin: 0; height: 100vh; display: grid; grid-template: auto 1fr / minmax(340px, 1.05fr) minmax(380px, 1fr);
  background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header { grid-column: 1 / 3; padding: 14px 22px 12px; border-bottom: 1px solid var(--line); background: var(--card); }
header h1 { margin: 0 0 8px; font-size: 17px; font-weight: 650; overflow-wrap: anywhere; }
.bar { display: flex; gap: 10px; align-items: center; }
.bar input { flex: 1; accent-color: var(--ahead); min-width: 80px; }
body.back .bar input { accent-color: var(--back); }
.bar output { min-width: 17em; font-variant-numeric: tabular-nums; color: var(--soft); }
button { font: inherit; color: var(--ink); background: var(--fill); border: 1px solid var(--line); border-radius: 7px;
  padding: 2px 11px; cursor: pointer; }
button:hover { border-color: var(--soft); }
#graph { overflow: auto; padding: 18px; border-right: 1px solid var(--line); }
#graph svg { display: block; margin: 0 auto; }
.box { cursor: pointer; outline: none; }
.box rect { fill: var(--card); stroke: var(--line); stroke-width: 1.4; }
.box.source rect { fill: var(--fill); stroke-dasharray: none; }
.box text { fill: var(--ink); font-size: 12.5px; text-anchor: middle; pointer-events: none; }
.box .name { font-weight: 640; } .box .shape { fill: var(--soft); font-size: 11.5px; }
.box .slope { fill: var(--back); font-size: 11.5px; visibility: hidden; }
.box .mark { visibility: hidden; } .mark circle { fill: var(--warn); }
.box .mark text { fill: var(--card); font-size: 13px; font-weight: 700; }
.box:hover rect, .box:focus-visible rect { stroke: var(--soft); }
.box.done rect { stroke: var(--ahead); } .box.returned rect { stroke: var(--back); }
.box:not(.returned) .name, .box:not(.returned) .shape { transform: translateY(9px); }
.box.returned .slope, .box.returned .mark { visibility: visible; }
.box.now rect { stroke-width: 3.2; }
.edge { fill: none; stroke: var(--line); stroke-width: 1.5; } .edge.done { stroke: var(--ahead); opacity: .75; }
.edge.returned { stroke: var(--back); opacity: .75; } .edge.now { stroke-width: 3; opacity: 1; }
#panel { overflow: auto; padding: 18px 24px 60px; }
section { display: none; } section.now { display: block; }
h2 { margin: 0 0 2px; font-size: 19px; overflow-wrap: anywhere; } h3 { margin: 0 0 6px; font-size: 12px;
  letter-spacing: .07em; text-transform: uppercase; color: var(--soft); }
.where { color: var(--soft); margin: 0 0 14px; font-size: 13.5px; overflow-wrap: anywhere; }
.half { border: 1px solid var(--line); border-left: 4px solid var(--line); border-radius: 9px; background: var(--card);
  padding: 12px 16px; margin: 0 0 14px; overflow-x: auto; }
body:not(.back) .half.ahead { border-left-color: var(--ahead); }
body.back .half.back { border-left-color: var(--back); }
math { font-family: "STIX Two Math", "Latin Modern Math", "Cambria Math", "DejaVu Math TeX Gyre", math; }
.formula { margin: 3px 0 7px; font-size: 16.5px; line-height: 1.75; padding-left: 1.2em; text-indent: -1.2em; }
.formula math { text-indent: 0; }
.letters { color: var(--soft); font-size: 13.5px; margin: 2px 0 8px; } .letters span { white-space: nowrap; }
.letters math { font-size: 15px; }
code, td.numbers { font-family: ui-monospace, "SF Mono", "DejaVu Sans Mono", Consolas, monospace; font-size: 12.5px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
td, th { text-align: left; padding: 4px 12px 4px 0; border-top: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--soft); border-top: 0; } td:nth-child(-n+2) { white-space: nowrap; }
.why { margin: 6px 0 8px; color: var(--soft); font-size: 14px; }
.remark { margin: 8px 0 2px; padding: 7px 12px; border-radius: 7px; background: var(--warnfill); color: var(--warn);
  font-size: 14px; }
details { border: 1px solid var(--line); border-radius: 9px; margin: 0 0 10px; background: var(--paper); }
details > summary { cursor: pointer; padding: 7px 12px; overflow-wrap: anywhere; }
details > div { padding: 2px 12px 4px; }
@media (max-width: 800px) { body { display: block; height: auto; } #graph { border-right: 0; max-height: 55vh; }
  header, #panel { padding: 12px; } .bar { flex-wrap: wrap; } .bar output { min-width: 0; flex: 1 1 100%; order: 9; }
  .letters span { white-space: normal; } td.numbers { overflow-wrap: anywhere; } }
"""

JS = """
const boxes = JSON.parse(document.getElementById('order').textContent), n = boxes.length;
const slider = document.getElementById('slider'), label = document.getElementById('label');
const each = (query, f) => document.querySelectorAll(query).forEach(f);
function show(at, scroll) {
  at = Math.max(0, Math.min(2 * n, at)); slider.value = at;
  const back = at > n, index = at === 0 ? -1 : back ? 2 * n - at : at - 1;
  const id = index < 0 ? 'start' : boxes[index].id;
  document.body.classList.toggle('back', back);
  const place = new Map(boxes.map((b, i) => [b.id, i]));
  each('.box', b => { const i = place.has(b.id.slice(2)) ? place.get(b.id.slice(2)) : -1, own = b.dataset.first;
    const first = own === undefined ? i : Number(own), done = back || (i < 0 ? at > 0 : i < at);
    b.classList.toggle('done', done && !(back && first >= index));
    b.classList.toggle('returned', back && first >= index);
    b.classList.toggle('now', b.id === 'b-' + id); });
  each('.edge', e => { const to = place.get(e.dataset.to), done = back || to < at, returned = back && to >= index;
    e.classList.toggle('done', done && !returned); e.classList.toggle('returned', returned);
    e.classList.toggle('now', to === index); });
  each('section', s => s.classList.toggle('now', s.id === 's-' + id));
  label.textContent = at === 0 ? 'before the first step' :
    (back ? 'backward ' + (at - n) : 'forward ' + at) + ' of ' + n +
    (boxes[index].title ? ': ' + boxes[index].title : '');
  const box = document.getElementById('b-' + id), view = document.getElementById('graph');
  if (scroll && box) { const b = box.getBoundingClientRect(), v = view.getBoundingClientRect();
    if (b.top < v.top + 40 || b.bottom > v.bottom - 40) view.scrollTop += b.top - v.top - v.height / 2;
    if (b.left < v.left + 10 || b.right > v.right - 10) view.scrollLeft += b.left - v.left - v.width / 2; }
  document.getElementById('panel').scrollTop = 0;
}
function pick(id) { const i = boxes.findIndex(b => b.id === id);
  if (i < 0) { each('section', s => s.classList.toggle('now', s.id === 's-' + id));
    each('.box', b => b.classList.toggle('now', b.id === 'b-' + id)); }
  else show(Number(slider.value) > n ? 2 * n - i : i + 1, false); }
slider.max = 2 * n;
slider.addEventListener('input', () => show(Number(slider.value), true));
each('.box', b => { b.addEventListener('click', () => pick(b.id.slice(2)));
  b.addEventListener('keydown', e => { if (e.key === 'Enter') pick(b.id.slice(2)); }); });
each('[data-go]', b => b.addEventListener('click', () => show(Number(slider.value) + Number(b.dataset.go), true)));
each('[data-turn]', b => b.addEventListener('click', () => show(Number(slider.value) > n ? 0 : n + 1, true)));
document.addEventListener('keydown', e => { if (e.target === slider) return;
  if (e.key === 'ArrowRight') show(Number(slider.value) + 1, true);
  if (e.key === 'ArrowLeft') show(Number(slider.value) - 1, true); });
document.getElementById('theme').addEventListener('click', () => { const root = document.documentElement.style;
  const dark = root.colorScheme ? root.colorScheme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.colorScheme = dark ? 'light' : 'dark'; });
const asked = location.hash.match(/^#(\\d+)$/);
show(asked ? Number(asked[1]) : 0, true);
"""
