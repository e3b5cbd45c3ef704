// The page's worker: it holds the networks, and answers each question with pictures and feature maps.
//
//     {data}                           once: the networks, as latent/play.json has them
//     {id, noise, ways, off, maps}     noise: {seed, number, toward, share, moves, label}; or picture: {h, w, c, data}
//     -> {id, pictures, maps, ms}      pictures: [{w, h, pixels}] after each way; maps: [{layer, h, w, c, data}] of the first
"use strict";

let networks = {}, directions = [], latent = 0;

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer;

const open = data => {
  const halves = new Uint16Array(bytes(data.halves)), floats = new Float32Array(bytes(data.floats));
  for (const [way, steps] of Object.entries(data.networks)) networks[way] = steps.map(step => prepared(step, halves, floats));
  latent = data.latent || 0;
  if (data.directions) {
    const [at, [count, length]] = data.directions;
    for (let i = 0; i < count; i++) directions.push(floats.subarray(at + i * length, at + (i + 1) * length));
  }
};

// From a to b on the sphere, as minigan/run/latent/paths.py.
const spherical = (a, b, t) => {
  const dot = (x, y) => x.reduce((sum, v, i) => sum + v * y[i], 0);
  const w = Math.acos(Math.min(1, Math.max(-1, dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)))));
  const near = !(Math.sin(w) > 1e-4), p = near ? 1 - t : Math.sin((1 - t) * w) / Math.sin(w), q = near ? t : Math.sin(t * w) / Math.sin(w);
  return a.map((v, i) => p * v + q * b[i]);
};

const place = ({seed, number, toward, share, moves = []}) => {
  let z = noise(seed, number, latent);
  if (share > 0) z = spherical(z, noise(toward.seed, toward.number, latent), share);
  moves.forEach((step, i) => { if (step) z = z.map((v, k) => v + step * directions[i][k]); });
  return {h: 1, w: 1, c: latent, data: z};
};

// Values in [-1, 1] as grey levels 0 to 255; of one channel all three colours.
const pixels = y => {
  const rgba = new Uint8ClampedArray(4 * y.h * y.w).fill(255);
  for (let p = 0; p < y.h * y.w; p++) for (let c = 0; c < 3; c++)
    rgba[4 * p + c] = Math.round((Math.min(1, Math.max(-1, y.data[p * y.c + (y.c === 1 ? 0 : c)])) + 1) * 127.5);
  return {h: y.h, w: y.w, pixels: rgba};
};

const answer = ({id, noise: where, picture, ways, off, maps: wanted}) => {
  const start = performance.now(), pictures = [], maps = [];
  let x = picture || place(where);
  ways.forEach((way, i) => {
    const seen = (step, y) => { if (wanted && i === 0 && step.layer) maps.push({layer: step.layer, ...y}); };
    x = run(networks[way], x, {label: where && where.label, off: i === 0 ? off : {}, seen});
    pictures.push(pixels(x));
  });
  return {id, pictures, maps, ms: performance.now() - start};
};

onmessage = ({data: question}) => {
  try {
    if (question.data) open(question.data);
    else postMessage(answer(question));
  } catch (error) { postMessage({id: question.id, error: String(error)}); }
};
