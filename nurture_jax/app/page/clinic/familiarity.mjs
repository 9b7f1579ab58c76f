// How like the recordings of training a recording is (clinic/familiarity.py, evidence.py).

import {mean, median, ownerAt} from "./numbers.mjs";

/** What of a recording is compared, by group; `seen` is as of `gate.mjs`. */
export function likeness(truth, {features, keypoints, shares, cells}, count, size) {
  const found = features ? {features} : {};
  if (!keypoints) return found;
  return {...found, sureness: sureness(truth, keypoints, count),
    build: build(truth, {keypoints, shares, cells}, count, size)};
}

/** How unlike those of training it is; null where anything that is known of them lacks. */
export function unfamiliarity({groups}, looks) {
  if (!Object.keys(groups).every((name) => looks[name])) return null;
  return mean(Object.entries(groups).map(([name, usual]) => distance(usual, looks[name])));
}

/** How far numbers are from the usual ones: a Mahalanobis distance. */
function distance({mean: middle, scale, directions, variances, rest, typical, below}, numbers) {
  const standard = middle.map((each, i) => (numbers[i] - each) / scale[i])
    .map((value) => below ? Math.min(value, 0) : value);
  const squares = (values) => values.reduce((sum, value) => sum + value * value, 0);
  const along = directions.map((direction) =>
    direction.reduce((sum, each, i) => sum + each * standard[i], 0));
  const inside = along.reduce((sum, value, i) => sum + value * value / variances[i], 0);
  const outside = Math.max(squares(standard) - squares(along), 0);
  return Math.sqrt((inside + outside / rest) / standard.length) / typical;
}

/** Logarithms of how sure the points of the body are in the mean over the frames. */
function sureness(truth, keypoints, count) {
  const {keypoints: names, body_points: body} = truth.measures;
  const sure = (t, name) => keypoints[(t * names.length + names.indexOf(name)) * 3 + 2];
  return body.map((name) => Math.log(mean(Array.from({length: count}, (_, t) =>
    Math.min(Math.max(sure(t, name), 1e-3), 1)))));
}

/** Logarithms of spans, and of the root of the newborn's area, over the trunk. */
function build(truth, {keypoints, shares, cells}, count, size) {
  const {keypoints: names, newborn} = truth.measures;
  const middle = (t, group, axis) => mean(group.map((name) =>
    keypoints[(t * names.length + names.indexOf(name)) * 3 + axis]));
  const lengths = truth.gate.scale.spans.map(([one, other]) => (t) => Math.hypot(...[0, 1].map(
    (axis) => middle(t, one, axis) - middle(t, other, axis))));
  if (shares) {
    lengths.push((t) => {
      let there = 0;
      for (let cell = t * cells * cells; cell < (t + 1) * cells * cells; cell++) {
        there += Number(ownerAt(shares, cell * 3) === newborn);
      }
      return size * Math.sqrt(there) / cells;
    });
  }
  const logs = lengths.map((length) => Array.from({length: count}, (_, t) =>
    Math.log(length(t) + 1)));
  return logs.slice(1).map((each) => median(each.map((value, t) => value - logs[0][t])));
}
