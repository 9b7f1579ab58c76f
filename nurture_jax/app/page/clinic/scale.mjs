// Whether the told length of the reference object fits the newborn beside it (clinic/scale.py).
// A scale is {lengths_cm, expected, weights, limit} of a run; without weights nothing is compared.

import {mean, median} from "./numbers.mjs";

/** What is known of lengths by a network's card, or of a run that only tells those of training. */
export function scaleOf({calibration, reference_cm: lengths}) {
  return calibration.scale ?? unscaled(lengths);
}

/** A scale that compares nothing. */
export function unscaled(lengths) {
  return {lengths_cm: lengths, expected: [], weights: [], limit: 0};
}

/** Whether the length has to be told: training had others than the usual one. */
export function mustBeTold(truth, {lengths_cm: lengths}) {
  return lengths.length !== 1 || lengths[0] !== truth.measures.default_reference_cm;
}

/** The shortest and the longest reference object that may be told. */
export function rangeOf(truth, {lengths_cm: lengths}) {
  const {alike: factor} = truth.gate.scale;
  return [lengths[0] / factor, lengths.at(-1) * factor];
}

/** The length that was told, or the usual one. */
export function toldCm(truth, visit) {
  return visit.reference_cm || truth.measures.default_reference_cm;
}

/**
 * Logarithms of spans of the body over the length of the reference object, and of its own width;
 * NaN where its ends are clear in fewer than half of the frames. `seen` is as of `gate.mjs`.
 */
export function measure(truth, {keypoints, shares, cells}, count, size) {
  const {keypoints: names, reference_points: ends, reference} = truth.measures;
  const {spans, least_clear: least} = truth.gate.scale;
  const at = (t, name) => (t * names.length + names.indexOf(name)) * 3;
  const middle = (t, group, axis) => mean(group.map((name) => keypoints[at(t, name) + axis]));
  const length = (t, [one, other]) => Math.log(1 + Math.hypot(...[0, 1].map((axis) =>
    middle(t, one, axis) - middle(t, other, axis))));
  const clear = Array.from({length: count}, (_, t) => t).filter((t) =>
    ends.every((name) => keypoints[at(t, name) + 2] >= least));
  if (clear.length / count < 0.5) return Array(spans.length + Number(Boolean(shares))).fill(NaN);
  const own = (t) => length(t, ends.map((name) => [name]));
  const found = spans.map((span) => median(clear.map((t) => length(t, span) - own(t))));
  if (!shares) return found;
  const area = (t) => {
    let sum = 0;
    for (let cell = t * cells * cells; cell < (t + 1) * cells * cells; cell++) {
      sum += shares[cell * 3 + reference];
    }
    return sum * (size / cells) ** 2;
  };
  return [...found, median(clear.map((t) => Math.log(area(t) + 1) - 2 * own(t)))];
}

/** How long the reference object is by the newborn beside it; null without an answer. */
export function looksCm(truth, {expected, weights}, measured, visit) {
  if (!weights.length || measured.length !== weights.length || !measured.every(Number.isFinite)) {
    return null;
  }
  const told = toldCm(truth, visit);
  const longer = Math.log(told / truth.measures.default_reference_cm);
  const known = knownOf(truth, visit, longer);
  let factor = 0;
  measured.forEach((value, i) => {
    const usual = expected[i].reduce((sum, each, j) => sum + each * known[j], 0);
    // The width, which comes last, is none of the told lengths.
    const scaled = value + (i < truth.gate.scale.spans.length ? longer : 0);
    factor += weights[i] * (scaled - usual);
  });
  return told * Math.exp(-factor);
}

/** What the expected lengths follow from: 1, each known number or a 1 of its own, the length. */
function knownOf(truth, visit, longer) {
  const numbers = truth.gate.scale.known.flatMap(([name, usual, spread]) => {
    const value = visit[name];
    if (value === null || value === undefined) return [0, 1];
    return [((name === "birth_weight_g" ? Math.log(value) : value) - usual) / spread, 0];
  });
  return [1, ...numbers, longer];
}
