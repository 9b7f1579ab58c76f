// What the gate measures of a recording (clinic/recording_gate.py, evidence.py).
// Arrays are flat: frames [t, size, size, 3] bytes, shares [t, cells, cells, 3] of nothing, newborn
// and reference object, keypoints [t, 19, 3] of x, y in clip pixels and confidence.

import {failures} from "./checks.mjs";
import {likeness, unfamiliarity} from "./familiarity.mjs";
import {mean, median, ownerAt, percentile, whole} from "./numbers.mjs";
import {edgesOverContrast, filmed, grey} from "./pictures.mjs";
import {looksCm, measure, toldCm, unscaled} from "./scale.mjs";

/**
 * Does every check that can be done.
 *
 * clip: {frames, count, size, fit, duration}; seen: {shares, cells, keypoints, features}, each left
 * out where the network has none; card: {limits, familiarity or null, scale or null}; visit: what was
 * told, or null, which compares nothing with it.
 * Gives {failures, notDone, measured, highest}; a recording without failures may be estimated.
 */
export function inspect(truth, clip, seen, card, visit = null) {
  const {frames, count, size, fit} = clip;
  const {limits, familiarity = null} = card;
  const scale = card.scale ?? unscaled([truth.measures.default_reference_cm]);
  const box = filmed(frames, count, size);
  const greys = Array.from({length: count}, (_, t) => grey(frames, t, size, box));
  const measured = {duration_s: clip.duration, brightness: medianOfBytes(greys),
    sharpness: median(greys.map((each) => edgesOverContrast(each, box[3] - box[2],
      box[1] - box[0], truth.gate.sharpness_px, truth.gate.smoothing_px)))};
  const owner = seen.shares && owners(seen.shares, seen.cells, count, box, size);
  Object.assign(measured, ofNewborn(truth, owner, seen.keypoints, count, limits),
    ofReference(truth, owner, seen, count, size, limits), agreement(truth, seen, count, size));
  let highest = null;
  const unlike = familiarity && unfamiliarity(familiarity, likeness(truth, seen, count, size));
  if (unlike !== null) {
    highest = familiarity.limit;
    measured.unfamiliarity = unlike;
  }
  if (visit) Object.assign(measured, told(truth, clip, seen, scale, visit));
  // Where nothing was told there is nothing to check.
  const there = {...measured, ...owner && {mask: true},
    ...!visit && seen.keypoints && {[truth.gate.needed.reference_wrongly_told]: true}};
  const notDone = Object.entries(truth.gate.needed).filter(([, name]) => !(name in there))
    .map(([check]) => check);
  return {failures: failures(truth, measured, limits, fit, highest, scale), notDone, measured,
    highest};
}

/** The median of bytes, by counting. */
function medianOfBytes(arrays) {
  const counts = new Float64Array(256);
  let total = 0;
  for (const bytes of arrays) {
    total += bytes.length;
    for (const byte of bytes) counts[byte]++;
  }
  const at = (place) => {
    let below = 0;
    return counts.findIndex((count) => (below += count) > place);
  };
  return (at(Math.floor((total - 1) / 2)) + at(Math.floor(total / 2))) / 2;
}

/** What each cell of the filmed part shows: {cells: [t][rows * columns], rows, columns}. */
function owners(shares, cells, count, [top, bottom, left, right], size) {
  const scaled = (edge) => whole(edge * cells / size);
  const [first, last, from, to] = [top, bottom, left, right].map(scaled);
  const rows = last - first;
  const columns = to - from;
  return {rows, columns, cells: Array.from({length: count}, (_, t) => {
    const out = new Uint8Array(rows * columns);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        out[y * columns + x] = ownerAt(shares, ((t * cells + first + y) * cells + from + x) * 3);
      }
    }
    return out;
  })};
}

const shareOf = (cells, category) => cells.reduce((sum, each) => sum + (each === category), 0)
  / cells.length;

/** Shares of the frames that show the newborn, and of those that cut it off. */
function ofNewborn(truth, owner, keypoints, count, limits) {
  if (!owner && !keypoints) return {};
  const category = truth.measures.newborn;
  const found = Array.from({length: count}, (_, t) =>
    (!keypoints || points(truth, keypoints, t).confidence >= limits.least_body_confidence)
    && (!owner || shareOf(owner.cells[t], category) >= limits.least_newborn_share));
  const measured = {found_frames: mean(found.map(Number))};
  if (owner && found.includes(true)) {
    const cut = owner.cells.map((cells) => contact(cells, owner, category) >= limits.least_contact);
    measured.cut_frames = mean(cut.filter((_, t) => found[t]).map(Number));
  }
  return measured;
}

/** The largest share of a side of the picture that a category touches. */
function contact(cells, {rows, columns}, category) {
  const on = (length, place) => mean(Array.from({length}, (_, i) =>
    Number(cells[place(i)] === category)));
  return Math.max(on(columns, (i) => i), on(columns, (i) => (rows - 1) * columns + i),
    on(rows, (i) => i * columns), on(rows, (i) => i * columns + columns - 1));
}

/**
 * Share of the frames that show the reference object: both its ends and itself between them, or
 * else its area.
 */
function ofReference(truth, owner, {keypoints, shares, cells}, count, size, limits) {
  if (!keypoints && !owner) return {};
  const {keypoints: names, reference_points: ends, reference} = truth.measures;
  const seen = Array.from({length: count}, (_, t) => keypoints
    ? Math.min(...ends.map((name) => keypoints[(t * names.length + names.indexOf(name)) * 3 + 2]))
      >= limits.least_end_confidence
      && (!shares
        || onReference(truth, keypoints, shares, cells, t, size) >= limits.least_on_reference)
    : shareOf(owner.cells[t], reference) >= limits.least_reference_share);
  return {reference_frames: mean(seen.map(Number))};
}

/** Share of the line between the ends of the reference object that lies on it. */
function onReference(truth, keypoints, shares, cells, t, size) {
  const {keypoints: names, reference_points: ends, reference} = truth.measures;
  const [start, end] = ends.map((name) => (t * names.length + names.indexOf(name)) * 3);
  const {along: count} = truth.gate;
  return mean(Array.from({length: count}, (_, i) => {
    const share = (i + 0.5) / count;
    const [x, y] = [0, 1].map((axis) => {
      const place = keypoints[start + axis] * (1 - share) + keypoints[end + axis] * share;
      return Math.min(Math.max(Math.trunc(place * cells / size), 0), cells - 1);
    });
    return Number(ownerAt(shares, ((t * cells + y) * cells + x) * 3) === reference);
  }));
}

/** Whether points, mask and frames agree. */
function agreement(truth, {shares, cells, keypoints}, count, size) {
  if (!keypoints) return {};
  const found = Array.from({length: count}, (_, t) => points(truth, keypoints, t));
  const logs = found.map(({trunk}) => Math.log(Math.max(trunk, 1e-6)));
  const measured = {proportions: median(found.map((each) => each.proportions)),
    size_change: (percentile(logs, 500 / 6) - percentile(logs, 100 / 6)) / 2};
  if (shares) {
    measured.on_mask = median(found.map((_, t) => onMask(truth, keypoints, shares, cells, t, size)));
  }
  return measured;
}

/** What the points of one frame say: confidence, share of right proportions, length of the trunk. */
function points(truth, keypoints, t) {
  const {keypoints: names, body_points: body} = truth.measures;
  const at = (name) => (t * names.length + names.indexOf(name)) * 3;
  const middle = (group) => [0, 1].map((axis) =>
    mean(group.map((name) => keypoints[at(name) + axis])));
  const length = ([one, other]) => {
    const [a, b] = [middle(one), middle(other)];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };
  const trunk = Math.max(length(truth.gate.trunk), 1e-6);
  const right = truth.gate.proportions.map(([ends, [low, high]]) => {
    const ratio = length(ends) / trunk;
    return Number(low <= ratio && ratio <= high);
  });
  return {trunk, proportions: mean(right),
    confidence: mean(body.map((name) => Math.min(Math.max(keypoints[at(name) + 2], 0), 1)))};
}

/** Share of the points of the body that lie on or near the newborn. */
function onMask(truth, keypoints, shares, cells, t, size) {
  const {keypoints: names, body_points: body, newborn} = truth.measures;
  const there = (x, y) => x >= 0 && y >= 0 && x < cells && y < cells
    && ownerAt(shares, ((t * cells + y) * cells + x) * 3) === newborn;
  const reach = Math.max(1, Math.trunc(cells / truth.gate.near));
  const cell = (value) => Math.min(Math.max(Math.trunc(value * cells / size), 0), cells - 1);
  return mean(body.map((_, point) => {
    const at = (t * names.length + point) * 3;
    const [x, y] = [cell(keypoints[at]), cell(keypoints[at + 1])];
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) if (there(x + dx, y + dy)) return 1;
    }
    return 0;
  }));
}

/** The length of the reference object as it was told, and as it looks. */
function told(truth, {count, size}, seen, scale, visit) {
  const looks = seen.keypoints
    ? looksCm(truth, scale, measure(truth, seen, count, size), visit) : null;
  return {reference_cm: toldCm(truth, visit), ...looks !== null && {reference_looks_cm: looks}};
}
