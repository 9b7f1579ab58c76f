// Arithmetic on pictures, as the gate and the clip need it; nothing of a browser is used.

import {whole} from "./numbers.mjs";

/**
 * Which pixels of a row of `length` make each of `count` cells, with their shares of the cell: a
 * cell is the mean over its area. `first` and `taken` cut cells out of the `count`.
 */
export function areaShares(length, count, first = 0, taken = count) {
  const step = length / count;
  return Array.from({length: taken}, (_, i) => {
    const start = (first + i) * step;
    const end = Math.min(start + step, length);
    const from = Math.min(Math.floor(start + 1e-9), length - 1);
    const to = Math.max(Math.ceil(end - 1e-9), from + 1);
    const shares = [];
    for (let pixel = from; pixel < to; pixel++) {
      shares.push(Math.max(Math.min(end, pixel + 1) - Math.max(start, pixel), 0));
    }
    const sum = shares.reduce((total, share) => total + share, 0);
    return {from, shares: shares.map((share) => share / sum)};
  });
}

/**
 * A picture resized by the mean over the area of each new pixel, one channel after the other.
 *
 * pixels: [height, width, stride] of bytes or numbers, of which the first `channels` are taken.
 * columns, rows: see `areaShares`. Gives numbers [rows, columns, channels].
 */
export function areaResized(pixels, width, stride, channels, columns, rows) {
  const wide = columns.length;
  const out = new Float32Array(rows.length * wide * channels);
  const line = new Float64Array(width * channels);
  rows.forEach(({from, shares}, y) => {
    line.fill(0);
    shares.forEach((share, i) => {
      let at = (from + i) * width * stride;
      for (let x = 0, to = 0; x < width; x++, at += stride) {
        for (let c = 0; c < channels; c++) line[to++] += share * pixels[at + c];
      }
    });
    columns.forEach(({from: left, shares: across}, x) => {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let i = 0; i < across.length; i++) sum += across[i] * line[(left + i) * channels + c];
        out[(y * wide + x) * channels + c] = sum;
      }
    });
  });
  return out;
}

/** Width and height before a picture is cut or padded to `size`, with even margins (video.py). */
export function resizedSides(width, height, size, fit) {
  const side = fit === "crop" ? Math.min(width, height) : Math.max(width, height);
  const even = (length) => size + 2 * whole((length * size / side - size) / 2);
  return [even(width), even(height)];
}

/**
 * One frame of a clip: resized by area, then the middle square ("crop"), or padded with black.
 *
 * rgba: [height, width, 4] bytes of the upright picture. Gives [size, size, 3] bytes.
 */
export function clipImage(rgba, width, height, size, fit) {
  const image = new Uint8Array(size * size * 3);
  const [wide, tall] = resizedSides(width, height, size, fit);
  const cut = (length) => ({first: Math.max((length - size) / 2, 0),
    margin: Math.max((size - length) / 2, 0), taken: Math.min(length, size)});
  const [across, down] = [cut(wide), cut(tall)];
  const small = areaResized(rgba, width, 4, 3, areaShares(width, wide, across.first, across.taken),
    areaShares(height, tall, down.first, down.taken));
  for (let y = 0, from = 0; y < down.taken; y++) {
    let to = ((y + down.margin) * size + across.margin) * 3;
    for (let i = 0; i < across.taken * 3; i++) image[to++] = Math.round(small[from++]);
  }
  return image;
}

/** Top, bottom, left, right of what was filmed: a letterbox is exactly black all the time. */
export function filmed(frames, count, size) {
  const rows = new Uint8Array(size);
  const columns = new Uint8Array(size);
  for (let t = 0, at = 0; t < count; t++) {
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++, at += 3) {
        if (frames[at] || frames[at + 1] || frames[at + 2]) rows[y] = columns[x] = 1;
      }
    }
  }
  if (!rows.includes(1)) return [0, size, 0, size];
  return [rows.indexOf(1), rows.lastIndexOf(1) + 1, columns.indexOf(1), columns.lastIndexOf(1) + 1];
}

/** Grey bytes of one frame within `box`: BT.601 in whole numbers of 1 / 32768, as OpenCV does. */
export function grey(frames, frame, size, [top, bottom, left, right]) {
  const out = new Uint8Array((bottom - top) * (right - left));
  for (let y = top, to = 0; y < bottom; y++) {
    let at = ((frame * size + y) * size + left) * 3;
    for (let x = left; x < right; x++, at += 3) {
      out[to++] = (9798 * frames[at] + 19235 * frames[at + 1] + 3735 * frames[at + 2] + 16384) >> 15;
    }
  }
  return out;
}

/** Variance of the Laplacian over that of the grey values of one frame (recording_gate.py). */
export function edgesOverContrast(bytes, width, height, largest, smoothing) {
  let picture = Float32Array.from(bytes);
  const shrink = Math.max(width, height) / largest;
  if (shrink > 1) {
    const [wide, tall] = [width, height].map((side) => Math.max(1, whole(side / shrink)));
    picture = areaResized(picture, width, 1, 1, areaShares(width, wide), areaShares(height, tall));
    [width, height] = [wide, tall];
  }
  const contrast = variance(picture);
  if (!(contrast > 0)) return 0;
  return variance(laplacian(smoothed(picture, width, height, smoothing), width, height)) / contrast;
}

/** A place outside of a row, mirrored at the middle of its last pixel. */
function mirrored(place, length) {
  if (length === 1) return 0;
  if (place < 0) return -place;
  return place >= length ? 2 * length - 2 - place : place;
}

/** Gaussian of `sigma` over 4 sigma to each side. */
function smoothed(picture, width, height, sigma) {
  const reach = Math.trunc(sigma * 4);
  let kernel = Array.from({length: 2 * reach + 1}, (_, i) =>
    Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)));
  const sum = kernel.reduce((total, each) => total + each, 0);
  kernel = kernel.map((each) => each / sum);
  const along = new Float32Array(picture.length);
  const out = new Float32Array(picture.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      along[y * width + x] = kernel.reduce((total, each, i) =>
        total + each * picture[y * width + mirrored(x + i - reach, width)], 0);
    }
  }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      out[y * width + x] = kernel.reduce((total, each, i) =>
        total + each * along[mirrored(y + i - reach, height) * width + x], 0);
    }
  }
  return out;
}

function laplacian(picture, width, height) {
  const at = (x, y) => picture[mirrored(y, height) * width + mirrored(x, width)];
  const out = new Float32Array(picture.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      out[y * width + x] = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4 * at(x, y);
    }
  }
  return out;
}

function variance(values) {
  let sum = 0;
  for (const value of values) sum += value;
  const middle = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - middle) ** 2;
  return squares / values.length;
}
