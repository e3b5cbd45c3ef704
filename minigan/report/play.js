// The live part of a run's page: controls, and the pictures that the worker answers with. No address outside the page.
"use strict";
(() => {
const data = JSON.parse(document.getElementById("play-data").textContent), body = document.getElementById("live-body");
const make = (tag, attributes = {}, ...inner) => {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...inner);
  return element;
};
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

// The worker, from the text in the page, so that it runs from a file, too. One question at a time: the newest waits.
const source = new Blob([document.getElementById("worker").textContent], {type: "text/javascript"});
const worker = new Worker(URL.createObjectURL(source)), status = make("output", {class: "status"});
let busy = false, waiting = null, count = 0, times = [], shown = () => {};
const ask = question => {
  if (busy) { waiting = question; return; }
  busy = true;
  worker.postMessage({id: ++count, ...question});
};
worker.onmessage = ({data: reply}) => {
  busy = false;
  if (reply.error) status.textContent = reply.error;
  else {
    times = [...times.slice(-6), reply.ms];
    const ms = [...times].sort((a, b) => a - b)[times.length >> 1];  // the median: the first ones wait for the compiler
    status.textContent = `${ms.toFixed(0)} ms, ${(1000 / Math.max(ms, .1)).toFixed(0)} images a second`;
    shown(reply);
  }
  if (waiting) { const next = waiting; waiting = null; ask(next); }
};
worker.onerror = event => { status.textContent = "This browser does not run the page's worker: " + event.message; };
worker.postMessage({data});

const paint = (canvas, {w, h, pixels}) => {
  canvas.width = w; canvas.height = h;
  canvas.getContext("2d").putImageData(new ImageData(pixels, w, h), 0, 0);
};
const slider = (label, attributes, changed) => {
  const value = make("output"), input = make("input", {type: "range", "aria-label": label, ...attributes});
  const tell = () => { value.textContent = (+input.value).toFixed(2); };
  input.addEventListener("input", () => { tell(); changed(); });
  tell();
  return {input, set: v => { input.value = v; tell(); }, row: make("label", {class: "control"}, make("span", {}, label), input, value)};
};
const number = (label, value, changed) => {
  const input = make("input", {type: "number", min: 0, max: 999999, step: 1, value, onchange: changed});
  return {input, get: () => Math.max(0, Math.floor(+input.value) || 0), row: make("label", {}, label + " ", input)};
};

// Feature maps: a canvas per layer, a tile per unit. A click, or Space at the unit that the arrow keys lead to, switches it.
const off = {}, sheets = new Map(), spoken = make("p", {class: "spoken", role: "status"});
const maps = make("div", {class: "maps"});
const order = layer => (data.effects || {})[layer] || [];
const colours = () => { const s = getComputedStyle(body); return {off: s.getPropertyValue("--c1").trim(), at: s.getPropertyValue("--c0").trim()}; };
const tile = (sheet, unit) => {  // the tile's corner
  const column = unit % sheet.columns, row = Math.floor(unit / sheet.columns);
  return [column * (sheet.map.w * sheet.zoom + 2) + 1, row * (sheet.map.h * sheet.zoom + 2) + 1];
};
const drawMaps = (sheet, upTo = Infinity) => {
  const {map, canvas, columns, zoom} = sheet, rows = Math.ceil(map.c / columns), ink = colours();
  canvas.width = columns * (map.w * zoom + 2); canvas.height = rows * (map.h * zoom + 2);
  const pen = canvas.getContext("2d"), most = map.data.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-12);
  for (let unit = 0; unit < Math.min(map.c, upTo); unit++) {
    const picture = new ImageData(map.w * zoom, map.h * zoom), [x, y] = tile(sheet, unit);
    for (let p = 0; p < picture.width * picture.height; p++) {
      const i = Math.floor(Math.floor(p / picture.width) / zoom), j = Math.floor(p % picture.width / zoom);
      const level = 255 * Math.sqrt(Math.max(0, map.data[(i * map.w + j) * map.c + unit]) / most);
      picture.data.set([level, level, level, 255], 4 * p);
    }
    pen.putImageData(picture, x, y);
    const isOff = off[map.layer].includes(unit), isAt = document.activeElement === canvas && unit === sheet.at;
    if (isOff) {
      pen.strokeStyle = ink.off; pen.lineWidth = 2; pen.beginPath();
      pen.moveTo(x, y); pen.lineTo(x + picture.width, y + picture.height);
      pen.moveTo(x + picture.width, y); pen.lineTo(x, y + picture.height); pen.stroke();
    }
    if (isAt) { pen.strokeStyle = ink.at; pen.lineWidth = 2; pen.strokeRect(x, y, picture.width, picture.height); }
  }
};
const toggle = (sheet, unit, redraw) => {
  const units = off[sheet.map.layer], at = units.indexOf(unit);
  at < 0 ? units.push(unit) : units.splice(at, 1);
  spoken.textContent = `unit ${unit} of ${sheet.map.layer} is ${at < 0 ? "off" : "on"}`;
  redraw();
};
const newSheet = (map, redraw) => {
  const canvas = make("canvas", {tabindex: 0, role: "application", "aria-roledescription": "feature maps",
    "aria-label": `${map.c} feature maps of ${map.layer}, ${map.w} by ${map.h}: arrow keys choose a unit, Space switches it`});
  const wide = Math.max(1, Math.round(22 / map.w));  // enlarged, so that a finger meets one unit
  const sheet = {map, canvas, zoom: wide, at: 0, columns: Math.max(1, Math.min(map.c, Math.floor(340 / (map.w * wide + 2))))};
  off[map.layer] = [];
  canvas.addEventListener("pointerdown", event => {
    const box = canvas.getBoundingClientRect(), x = (event.clientX - box.left) * canvas.width / box.width;
    const y = (event.clientY - box.top) * canvas.height / box.height;
    const unit = Math.floor(y / (map.h * wide + 2)) * sheet.columns + Math.floor(x / (map.w * wide + 2));
    if (unit < map.c) { sheet.at = unit; toggle(sheet, unit, redraw); }
  });
  canvas.addEventListener("keydown", event => {
    const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -sheet.columns, ArrowDown: sheet.columns}[event.key];
    if (step) {
      sheet.at = Math.min(map.c - 1, Math.max(0, sheet.at + step));
      spoken.textContent = `unit ${sheet.at}, ${off[map.layer].includes(sheet.at) ? "off" : "on"}`;
      drawMaps(sheet);
    } else if (event.key === " " || event.key === "Enter") toggle(sheet, sheet.at, redraw);
    else return;
    event.preventDefault();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => drawMaps(sheet));
  const strong = order(map.layer).slice(0, 8), all = () => { off[map.layer] = []; redraw(); };
  const buttons = make("div", {class: "buttons"},
    ...(strong.length ? [make("button", {onclick: () => { off[map.layer] = [...strong]; redraw(); },
      title: `units ${strong.join(", ")}: without one of them, pictures change most`}, "8 strongest off")] : []),
    make("button", {onclick: all, "aria-label": `all units of ${map.layer} on`}, "all on"));
  maps.append(make("figure", {}, canvas, make("figcaption", {}, `${map.layer}: ${map.c} of ${map.w} x ${map.h}`), buttons));
  sheets.set(map.layer, sheet);
  return sheet;
};
let filling = false;
const showMaps = (list, redraw) => list.forEach(map => {
  const sheet = sheets.get(map.layer) || newSheet(map, redraw);
  sheet.map = map;
  if (!filling) drawMaps(sheet);
});
const fill = last => {  // the layers one after the other, and the picture at the end
  if (filling) return;
  filling = true;
  const list = [...sheets.values()], start = performance.now(), each = 900;
  last.style.opacity = 0;
  list.forEach(sheet => drawMaps(sheet, 0));
  const frame = now => {
    const part = (now - start) / each;
    list.forEach((sheet, i) => { if (part > i && part < i + 1.2)
      drawMaps(sheet, calm ? Infinity : Math.ceil(sheet.map.c * Math.min(1, part - i))); });
    if (part < list.length + .2) return requestAnimationFrame(frame);
    filling = false;
    last.style.opacity = 1;
    list.forEach(sheet => drawMaps(sheet));
  };
  requestAnimationFrame(frame);
};
const mapsPart = (last, about) => make("details", {open: true}, make("summary", {}, "What happens inside"),
  make("p", {class: "about"}, about), make("div", {class: "buttons"}, make("button", {onclick: () => fill(last)}, "Watch it fill")), maps, spoken);

// A generator that draws from noise: a sample, another one to go to, directions, a label.
const fromNoise = () => {
  const canvas = make("canvas", {class: "picture", role: "img"});
  const redraw = () => ask({noise: {seed: seed.get(), number: image.get(), toward: {seed: seed.get(), number: second.get()},
    share: +share.input.value, moves: moves.map(m => +m.input.value), label: label ? +label.value : 0}, ways: ["noise"], off, maps: true});
  shown = reply => {
    paint(canvas, reply.pictures[0]);
    canvas.setAttribute("aria-label", `what the generator draws for seed ${seed.get()}, image ${image.get()}`);
    showMaps(reply.maps, redraw);
  };
  const seed = number("seed", data.seed || 0, redraw), image = number("image", 0, redraw), second = number("image", 1, redraw);
  const share = slider("share", {min: 0, max: 1, step: .01, value: 0}, redraw);
  const count = data.directions ? data.directions[1][0] : 0;
  const moves = Array.from({length: count}, (_, i) => slider(`direction ${i + 1}`, {min: -4, max: 4, step: .05, value: 0},
    () => { if (i < 2) mark(); redraw(); }));
  const label = data.classes ? make("select", {onchange: redraw}, ...Array.from({length: data.classes}, (_, k) => make("option", {value: k}, k))) : null;
  const dot = make("i"), pad = make("div", {class: "pad", tabindex: 0, role: "application", "aria-roledescription": "pad",
    "aria-label": "directions 1 and 2: arrow keys move, Home returns to the middle"}, dot);
  const mark = () => {
    const [x, y] = moves.map(m => +m.input.value);
    dot.style.left = `${(x + 4) / 8 * 100}%`; dot.style.top = `${(4 - y) / 8 * 100}%`;
  };
  const move = (x, y) => { moves[0].set(x); moves[1].set(y); mark(); redraw(); };
  const drag = event => {
    const box = pad.getBoundingClientRect();
    move(Math.max(-4, Math.min(4, (event.clientX - box.left) / box.width * 8 - 4)), Math.max(-4, Math.min(4, 4 - (event.clientY - box.top) / box.height * 8)));
  };
  pad.addEventListener("pointerdown", event => { pad.setPointerCapture(event.pointerId); drag(event); });
  pad.addEventListener("pointermove", event => { if (pad.hasPointerCapture(event.pointerId)) drag(event); });
  pad.addEventListener("keydown", event => {
    const step = {ArrowLeft: [-.2, 0], ArrowRight: [.2, 0], ArrowUp: [0, .2], ArrowDown: [0, -.2]}[event.key];
    if (event.key === "Home") move(0, 0);
    else if (step) move(+moves[0].input.value + step[0], +moves[1].input.value + step[1]);
    else return;
    event.preventDefault();
  });
  const reset = () => { moves.forEach(m => m.set(0)); share.set(0); if (count > 1) mark(); redraw(); };
  const other = () => { image.input.value = Math.floor(Math.random() * 10000); redraw(); };
  const travel = () => {
    const start = performance.now(), frame = now => {
      share.set(Math.min(1, (now - start) / 3000)); redraw();
      if (now - start < 3000) requestAnimationFrame(frame);
    };
    calm ? (share.set(1), redraw()) : requestAnimationFrame(frame);
  };
  body.append(make("div", {class: "desk"},
    make("figure", {}, canvas, make("figcaption", {}, status)),
    make("div", {class: "controls"},
      make("fieldset", {}, make("legend", {}, "Sample"), make("div", {class: "buttons"}, seed.row, image.row,
        ...(label ? [make("label", {}, "label ", label)] : []), make("button", {onclick: other}, "Another"), make("button", {onclick: reset}, "Reset"))),
      make("fieldset", {}, make("legend", {}, "On the way to another sample"),
        make("div", {class: "buttons"}, second.row, make("button", {onclick: travel}, "Go there")), share.row),
      ...(count > 1 ? [make("fieldset", {}, make("legend", {}, "Directions in which pictures change most"),
        make("div", {class: "directions"}, pad, make("div", {}, ...moves.map(m => m.row))))] : []))));
  body.append(mapsPart(canvas, "Every tile is one unit's feature map for this picture. A click switches the unit off; with the keyboard, " +
    "the arrow keys choose a unit and Space switches it."));
  if (count > 1) mark();
  redraw();
};

// Translators: a picture that is drawn, dropped, or one of the run's; its translation, and the way back.
const fromPictures = () => {
  const size = data.size, ways = Object.keys(data.networks), canvas = make("canvas", {class: "picture", width: size, height: size, tabindex: 0,
    role: "application", "aria-label": "the picture to translate: draw with the pointer; arrow keys move the pen, Space puts it down or lifts it"});
  const results = [make("canvas", {class: "picture", role: "img", "aria-label": "translation"}), make("canvas", {class: "picture", role: "img", "aria-label": "and back"})];
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const way = make("select", {onchange: () => { clear(); tiles(); redraw(); }}, ...ways.map(name => make("option", {value: name}, data.names[name] || name)));
  const backOf = name => { const turned = name.includes("-") ? name.split("-").reverse().join("-") : [...name].reverse().join(""); return ways.includes(turned) && turned !== name ? turned : null; };
  const redraw = () => {
    const channels = data.channels[way.value], rgba = pen.getImageData(0, 0, size, size).data, x = {h: size, w: size, c: channels, data: new Float32Array(size * size * channels)};
    for (let p = 0; p < size * size; p++) {
      const [r, g, b] = rgba.subarray(4 * p, 4 * p + 3);
      if (channels === 1) x.data[p] = (.299 * r + .587 * g + .114 * b) / 127.5 - 1;
      else x.data.set([r / 127.5 - 1, g / 127.5 - 1, b / 127.5 - 1], 3 * p);
    }
    ask({picture: x, ways: [way.value, ...(backOf(way.value) ? [backOf(way.value)] : [])], off, maps: inside.open});
  };
  shown = reply => {
    results.forEach((result, i) => { result.parentElement.hidden = !reply.pictures[i]; if (reply.pictures[i]) paint(result, reply.pictures[i]); });
    showMaps(reply.maps, redraw);
  };
  let ground = "#000000", down = false, cursor = [size / 2, size / 2];
  const colour = make("input", {type: "color", value: "#ffffff", "aria-label": "colour of the pen"});
  const width = make("input", {type: "range", min: 1, max: Math.max(4, size / 8), value: Math.max(1, Math.round(size / 20)), "aria-label": "width of the pen"});
  const clear = () => { pen.fillStyle = ground; pen.fillRect(0, 0, size, size); redraw(); };
  const line = (from, to) => {
    pen.strokeStyle = colour.value; pen.lineWidth = +width.value; pen.lineCap = "round";
    pen.beginPath(); pen.moveTo(...from); pen.lineTo(to[0] + .01, to[1]); pen.stroke();
    redraw();
  };
  const at = event => { const box = canvas.getBoundingClientRect(); return [(event.clientX - box.left) * size / box.width, (event.clientY - box.top) * size / box.height]; };
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); cursor = at(event); line(cursor, cursor); });
  canvas.addEventListener("pointermove", event => { if (canvas.hasPointerCapture(event.pointerId)) { const to = at(event); line(cursor, to); cursor = to; } });
  canvas.addEventListener("keydown", event => {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (event.key === " ") { down = !down; spoken.textContent = down ? "pen down" : "pen up"; }
    else if (step) { const to = cursor.map((v, i) => Math.max(0, Math.min(size, v + 2 * step[i]))); if (down) line(cursor, to); cursor = to; }
    else return;
    event.preventDefault();
  });
  const put = (source, x = 0, y = 0, w = source.width, h = source.height) => {
    const side = Math.min(w, h);  // the middle square
    pen.imageSmoothingEnabled = side > size;
    pen.drawImage(source, x + (w - side) / 2, y + (h - side) / 2, side, side, 0, 0, size, size);
    redraw();
  };
  const take = file => { if (file) createImageBitmap(file).then(put, () => { status.textContent = `${file.name}: no picture that this browser reads`; }); };
  canvas.addEventListener("dragover", event => event.preventDefault());
  canvas.addEventListener("drop", event => { event.preventDefault(); take(event.dataTransfer.files[0]); });
  const reals = document.getElementById("reals"), examples = make("div", {class: "buttons examples"});
  const tiles = () => {  // the run's own pictures of this way's side: a row of reals.png, pixels doubled, 2 pixels apart
    examples.replaceChildren();
    if (!reals || !reals.naturalWidth) return;
    const cell = 2 * (size + 2), row = way.value.includes("-") ? +way.value.split("-")[0] : way.value === "ba" ? 1 : 0;
    const columns = Math.floor((reals.naturalWidth - 4) / cell);
    if (cell * (row + 1) + 4 > reals.naturalHeight) return;
    for (let i = 0; i < Math.min(8, columns); i++) {
      const small = make("canvas", {width: size, height: size});
      small.getContext("2d").drawImage(reals, 4 + i * cell, 4 + row * cell, 2 * size, 2 * size, 0, 0, size, size);
      examples.append(make("button", {"aria-label": `real picture ${i + 1}`, onclick: () => put(small)}, small));
    }
    const first = examples.querySelector("canvas");
    if (!first) return;
    const [r, g, b] = first.getContext("2d").getImageData(0, 0, 1, 1).data;
    ground = `rgb(${r},${g},${b})`;
    colour.value = r + g + b > 380 ? "#000000" : "#ffffff";
    put(first);
  };
  const file = make("input", {type: "file", accept: "image/*", "aria-label": "a picture from a file", onchange: () => take(file.files[0])});
  const inside = mapsPart(results[0], "Every tile is one unit's feature map for this picture, in the first translation. A click switches the unit off.");
  inside.open = false;
  inside.addEventListener("toggle", redraw);
  body.append(make("div", {class: "buttons"}, make("label", {}, "way ", way), make("label", {}, "pen ", colour), width, make("button", {onclick: clear}, "Clear"), file),
    make("div", {class: "three"}, make("figure", {}, canvas, make("figcaption", {}, "draw, or drop a picture here")),
      make("figure", {}, results[0], make("figcaption", {}, "translated")), make("figure", {}, results[1], make("figcaption", {}, "and back"))),
    examples, make("p", {class: "about"}, status), inside);
  clear();
  if (reals && !reals.complete) reals.addEventListener("load", tiles); else tiles();
};

data.latent ? fromNoise() : fromPictures();
})();
