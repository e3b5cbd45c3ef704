// The kernels of a page on which a trained network runs: arrays in, arrays out, as in kernels/cpu.
//
// An image is {h, w, c, data}: a Float32Array (h, w, c), channels last, one image at a time. Sums are made in float64.
// Filters come as float16 in PyTorch's layouts; `packed` lays them out for `pixel`, the inner loop of every convolution:
//
//     y[o] = b[o] + sum over taps, c of  x[at tap, c] w[tap, o, c]        four outputs at a time, which stay in registers
//
// conv2d and conv_transpose2d differ only in which input pixel meets which tap. tests/run/test_play.py compares all of
// them with NumPy's in a browser. "step" below is a step of minigan/run/play/program.py.
"use strict";

const image = (h, w, c) => ({h, w, c, data: new Float32Array(h * w * c)});

// float16 to float64: sign, 5 bits of exponent, 10 of fraction; an exponent of 0 has no leading one.
const halfs = words => Float64Array.from(words, word => {
  const sign = word & 0x8000 ? -1 : 1, exponent = word >> 10 & 31, fraction = word & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
});

// Filters w(o, c, tap) for O outputs, C inputs and T taps, as (tap, O / 4 rounded up, C, 4): what `pixel` reads in order.
const packed = (O, C, T, w) => {
  const blocks = Math.ceil(O / 4), data = new Float64Array(T * blocks * C * 4);
  for (let t = 0; t < T; t++) for (let o = 0; o < O; o++) for (let c = 0; c < C; c++)
    data[((t * blocks + (o >> 2)) * C + c) * 4 + (o & 3)] = w(o, c, t);
  return {O, C, blocks, data};
};

// One pixel of y, at place `to`: the sum over pairs (place in x, tap), of which there are `count`.
const pixel = (y, to, x, pairs, count, f, b) => {
  const {O, C, blocks, data} = f;
  for (let block = 0; block < blocks; block++) {
    const o = 4 * block;
    let s0 = b ? b[o] : 0, s1 = b && o + 1 < O ? b[o + 1] : 0, s2 = b && o + 2 < O ? b[o + 2] : 0,
        s3 = b && o + 3 < O ? b[o + 3] : 0;
    for (let i = 0; i < count; i++) {
      let at = pairs[2 * i], k = (pairs[2 * i + 1] * blocks + block) * C * 4;
      for (const end = at + C; at < end; at++, k += 4) {
        const v = x[at];
        s0 += v * data[k]; s1 += v * data[k + 1]; s2 += v * data[k + 2]; s3 += v * data[k + 3];
      }
    }
    y[to + o] = s0;
    if (o + 1 < O) y[to + o + 1] = s1;
    if (o + 2 < O) y[to + o + 2] = s2;
    if (o + 3 < O) y[to + o + 3] = s3;
  }
};

// y (h, w, O), each pixel from the taps (k, l) for which row(i, k) and column(j, l) lie in x; -1: they do not.
const convolved = (x, h, w, KH, KW, row, column, f, b) => {
  const y = image(h, w, f.O), pairs = new Int32Array(2 * KH * KW);
  for (let i = 0; i < h; i++) for (let j = 0; j < w; j++) {
    let count = 0;
    for (let k = 0; k < KH; k++) {
      const r = row(i, k);
      if (r < 0 || r >= x.h) continue;
      for (let l = 0; l < KW; l++) {
        const q = column(j, l);
        if (q < 0 || q >= x.w) continue;
        pairs[2 * count] = (r * x.w + q) * x.c;
        pairs[2 * count++ + 1] = k * KW + l;
      }
    }
    pixel(y.data, (i * w + j) * f.O, x.data, pairs, count, f, b);
  }
  return y;
};

// y[o,i,j] = b[o] + sum_{c,k,l} x[c, i SH - PH + k, j SW - PW + l] w[o,c,k,l]
const conv2d = ([x], {f, b, kernel: [KH, KW], stride: [SH, SW], padding: [PH, PW]}) => convolved(
  x, Math.floor((x.h + 2 * PH - KH) / SH) + 1, Math.floor((x.w + 2 * PW - KW) / SW) + 1, KH, KW,
  (i, k) => i * SH - PH + k, (j, l) => j * SW - PW + l, f, b);

// Its adjoint: y[o,i,j] = b[o] + sum_{c,k,l} x[c, (i + PH - k) / SH, (j + PW - l) / SW] w[c,o,k,l] where these are whole.
const conv_transpose2d = ([x], {f, b, kernel: [KH, KW], stride: [SH, SW], padding: [PH, PW], output_padding = [0, 0]}) => {
  const whole = (n, s) => n >= 0 && n % s === 0 ? n / s : -1;
  return convolved(
    x, (x.h - 1) * SH - 2 * PH + KH + output_padding[0], (x.w - 1) * SW - 2 * PW + KW + output_padding[1], KH, KW,
    (i, k) => whole(i + PH - k, SH), (j, l) => whole(j + PW - l, SW), f, b);
};

// Nearest up-sampling by (SH, SW), then a convolution: one transposed convolution with blurred filters (`blurred`).
const upconv2d = (x, step) => conv_transpose2d(x, step);

// w(o, c, k, l), KH x KW, of an up-convolution, as filters of the transposed one:
// y[c,o,r,q] = sum_{a<SH, b<SW} w[o,c, KH-1+a-r, KW-1+b-q] where inside w
const blurred = (w, KH, KW, SH, SW) => (o, c, r, q) => {
  let sum = 0;
  for (let a = 0; a < SH; a++) for (let b = 0; b < SW; b++) {
    const k = KH - 1 + a - r, l = KW - 1 + b - q;
    if (k >= 0 && k < KH && l >= 0 && l < KW) sum += w(o, c, k, l);
  }
  return sum;
};

// y = x W^T + b on a vector, an image of one pixel.
const linear = ([x], {f, b}) => {
  const y = image(1, 1, f.O);
  pixel(y.data, 0, x.data, [0, 0], 1, f, b);
  return y;
};

// Every element by itself.
const each = f => ([x], step) => ({...x, data: x.data.map(v => f(v, step))});
const relu = each(v => v > 0 ? v : 0);
const leaky_relu = each((v, {slope}) => v > 0 ? v : slope * v);
const tanh = each(Math.tanh);
const sigmoid = each(v => 1 / (1 + Math.exp(-v)));
const clip = each(v => Math.min(1, Math.max(-1, v)));

// Every channel by its own scale and shift: batch norm with running statistics.
const scale_shift = ([x], {scale, shift}) => ({...x, data: x.data.map((v, i) => v * scale[i % x.c] + shift[i % x.c])});

// (x - mean) / (var + eps)^(1/2) with the mean and the variance of each channel of this image.
const instance_norm = ([x], {eps, scale, shift}) => {
  const n = x.h * x.w, mean = new Float64Array(x.c), square = new Float64Array(x.c);
  x.data.forEach((v, i) => { mean[i % x.c] += v / n; });
  x.data.forEach((v, i) => { square[i % x.c] += (v - mean[i % x.c]) ** 2 / n; });
  const factor = square.map((v, c) => (scale ? scale[c] : 1) / Math.sqrt(v + eps));
  return {...x, data: x.data.map((v, i) => (v - mean[i % x.c]) * factor[i % x.c] + (shift ? shift[i % x.c] : 0))};
};

// The channels of every pixel, scaled to unit mean square.
const pixel_norm = ([x], {eps}) => {
  const y = {...x, data: x.data.slice()};
  for (let at = 0; at < y.data.length; at += x.c) {
    const part = y.data.subarray(at, at + x.c), mean = part.reduce((sum, v) => sum + v * v, 0) / x.c;
    part.forEach((v, c) => { part[c] = v / Math.sqrt(mean + eps); });
  }
  return y;
};

// y[i, j] = x[row(i), column(j)], all channels; outside x it is 0.
const picked = (x, h, w, row, column) => {
  const y = image(h, w, x.c);
  for (let i = 0; i < h; i++) for (let j = 0; j < w; j++) {
    const r = row(i), q = column(j), at = (r * x.w + q) * x.c;
    if (r >= 0 && r < x.h && q >= 0 && q < x.w) y.data.set(x.data.subarray(at, at + x.c), (i * w + j) * x.c);
  }
  return y;
};
const within = {  // where a border's pixel comes from, for n pixels
  constant: i => i, edge: (i, n) => Math.min(n - 1, Math.max(0, i)),
  reflect: (i, n) => i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i};
const pad = ([x], {mode, sides: [top, bottom, left, right]}) => picked(x, top + x.h + bottom, left + x.w + right,
  i => within[mode](i - top, x.h), j => within[mode](j - left, x.w));
const crop = ([x], {sides: [top, bottom, left, right]}) => picked(x, x.h - top - bottom, x.w - left - right,
  i => i + top, j => j + left);
const upsample = ([x]) => picked(x, 2 * x.h, 2 * x.w, i => i >> 1, j => j >> 1);

// Two images: their sum, their mixture, the channels of both.
const add = ([x, z]) => ({...x, data: x.data.map((v, i) => v + z.data[i])});
const mix = ([x, z], {share}) => ({...x, data: x.data.map((v, i) => v * (1 - share) + z.data[i] * share)});
const concat = ([x, z]) => {
  const y = image(x.h, x.w, x.c + z.c);
  for (let p = 0; p < x.h * x.w; p++) {
    y.data.set(x.data.subarray(p * x.c, (p + 1) * x.c), p * y.c);
    y.data.set(z.data.subarray(p * z.c, (p + 1) * z.c), p * y.c + x.c);
  }
  return y;
};

// Every channel becomes the mean of all.
const grey = ([x]) => ({...x, data: x.data.map((_, i) => {
  const at = i - i % x.c;
  return x.data.subarray(at, at + x.c).reduce((sum, v) => sum + v, 0) / x.c;
})});

// Noise with the vector of a label behind it.
const with_label = ([z], {table, c}, {label}) => {
  const y = image(1, 1, z.c + c);
  y.data.set(z.data);
  y.data.set(table.subarray(label * c, (label + 1) * c), z.c);
  return y;
};

const KERNELS = {conv2d, conv_transpose2d, upconv2d, linear, relu, leaky_relu, tanh, sigmoid, clip, scale_shift,
  instance_norm, pixel_norm, pad, crop, upsample, add, mix, concat, grey, with_label};

// A step with its numbers, taken from `halves` (Uint16Array) and `floats` (Float32Array) and laid out for its kernel.
const prepared = (step, halves, floats) => {
  const ready = {...step};
  for (const name of ["b", "scale", "shift"]) if (Array.isArray(step[name]) && Array.isArray(step[name][1]))
    ready[name] = floats.subarray(step[name][0], step[name][0] + step[name][1][0]);
  if (!step.w) return ready;
  const [at, shape] = step.w, w = halfs(halves.subarray(at, at + shape.reduce((a, b) => a * b)));
  const [A, B, KH = 1, KW = 1] = shape, place = (a, b, k, l) => w[((a * B + b) * KH + k) * KW + l];
  if (step.op === "with_label") return {...ready, table: w, c: B};
  if (step.op === "conv_transpose2d")  // (in, out, KH, KW)
    return {...ready, kernel: [KH, KW], f: packed(B, A, KH * KW, (o, c, t) => place(c, o, Math.floor(t / KW), t % KW))};
  if (step.op === "upconv2d") {
    const [SH, SW] = step.scale, kernel = [KH + SH - 1, KW + SW - 1], filter = blurred(place, KH, KW, SH, SW);
    return {...ready, kernel, stride: [SH, SW], padding: [KH - 1 - step.padding[0], KW - 1 - step.padding[1]],
      f: packed(A, B, kernel[0] * kernel[1], (o, c, t) => filter(o, c, Math.floor(t / kernel[1]), t % kernel[1]))};
  }
  return {...ready, kernel: [KH, KW], f: packed(A, B, KH * KW, (o, c, t) => place(o, c, Math.floor(t / KW), t % KW))};
};

// Run prepared steps on an image. `off`: {layer: units set to 0 behind it}; `seen(step, y)` is shown every output.
const run = (steps, x, {label = 0, off = {}, seen = () => {}} = {}) => {
  const registers = [x];
  for (const step of steps) {
    const y = KERNELS[step.op](step.in.map(i => registers[i]), step, {label});
    for (const unit of step.layer && off[step.layer] || [])
      for (let at = unit; at < y.data.length; at += y.c) y.data[at] = 0;
    seen(step, y);
    registers.push(y);
  }
  return registers[registers.length - 1];
};

const STREAM = 122697566;  // the number of the stream "scores": its CRC-32

// Row n of the standard normal noise of a seed, as Stream(seed, "scores").normal((n + 1, length)) has it: Philox4x32-10
// (Salmon et al., 2011), then Box-Muller. Values equal NumPy's up to the last digit of Math.log, cos and sin.
const noise = (seed, n, length) => {
  const z = new Float32Array(length), low = BigInt.asUintN(32, BigInt(seed)), high = BigInt.asUintN(32, BigInt(seed) >> 32n);
  const word = (p, c, k) => Number((p ^ c ^ k) & 0xffffffffn);
  for (let i = 0, drawn = null, block = -1; i < length; i++) {
    const at = n * length + i, now = Math.floor(at / 4);
    if (now !== block) {
      block = now;
      let c = [now % 2 ** 32, 0, 0, STREAM], k0 = low, k1 = high;
      for (let round = 0; round < 10; round++, k0 = k0 + 0x9e3779b9n & 0xffffffffn, k1 = k1 + 0xbb67ae85n & 0xffffffffn) {
        const p0 = BigInt(c[0]) * 0xd2511f53n, p1 = BigInt(c[2]) * 0xcd9e8d57n;
        c = [word(p1 >> 32n, BigInt(c[1]), k0), Number(p1 & 0xffffffffn),
             word(p0 >> 32n, BigInt(c[3]), k1), Number(p0 & 0xffffffffn)];
      }
      drawn = c.map(v => v * 2 ** -32);
    }
    const pair = at % 4 & 2, radius = Math.sqrt(-2 * Math.log(1 - drawn[pair])), angle = 2 * Math.PI * drawn[pair + 1];
    z[i] = radius * (at % 2 ? Math.sin(angle) : Math.cos(angle));
  }
  return z;
};
