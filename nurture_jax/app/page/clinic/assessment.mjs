// All that is told of one visit (clinic/assessment.py), and its lines (clinic/plain_text.py).

import {advise, adviceText} from "./advice.mjs";
import {fixed, rounded, said, signed} from "./numbers.mjs";
import {assess, birthWeightClass, weightChangePercent} from "./growth.mjs";
import {bounds, lacked} from "./intervals.mjs";

/**
 * The assessment of one visit.
 *
 * estimates: {measure: {mean, scale}} in g or cm; factors: the card's intervals.
 * Gives {findings: [{measure, estimate, low, high, place, zLow, zHigh}], birthClass, change,
 * advice, lacks}.
 */
export function assessment(truth, factors, visit, estimates, earlier = []) {
  const ends = bounds(truth, factors, visit, estimates);
  const findings = truth.measures.labels.filter((name) => Number.isFinite(estimates[name]?.mean))
    .map((name) => {
      const place = (value) => assess(truth, name, value, visit);
      const [low, high] = ends[name];
      return {measure: name, estimate: estimates[name].mean, low, high,
        place: place(estimates[name].mean), zLow: place(low).z ?? null,
        zHigh: place(high).z ?? null};
    });
  const weight = findings.find((finding) => finding.measure === "weight_g");
  const birth = visit.birth_weight_g;
  return {findings, birthClass: birth ? birthWeightClass(truth, birth) : null,
    change: birth && weight.estimate > 0 ? weightChangePercent(weight.estimate, birth) : null,
    advice: advise(truth, visit, weight.estimate, weight.low, weight.high, earlier),
    lacks: lacked(truth, factors, visit)};
}

/** A value of a measure as people write it, without the unit. */
export function measureText(truth, measure, value) {
  const {digits} = truth.measures.all[measure];
  return fixed(rounded(value, digits) + 0, digits);
}

/** The lines of an assessment, as the program for the terminal prints them. */
export function plainLines(truth, found, visit) {
  const {screen} = truth.rules;
  const lines = found.findings.map((finding) => measureLine(truth, finding));
  const stands = found.findings.find((finding) => finding.place.reason === undefined);
  if (stands) lines.push(said(screen.why, {why: stands.place.why}));
  lines.push(found.birthClass === null ? screen.born_not_known
    : said(screen.born, {weight: fixed(visit.birth_weight_g, 0),
      class_text: found.birthClass.text}));
  if (found.change !== null) lines.push(said(screen.change, {change: signed(found.change, 1)}));
  if (found.lacks.length) lines.push(said(screen.lacks, {lacks: found.lacks.join("; ")}));
  return [...lines, said(screen.advice, {advice: adviceText(truth, found.advice)})];
}

function measureLine(truth, {measure, estimate, low, high, place}) {
  const {short, unit} = truth.measures.all[measure];
  const text = (value) => measureText(truth, measure, value);
  const {screen} = truth.rules;
  const span = Number.isFinite(low) ? said(screen.interval, {low: text(low), high: text(high), unit})
    : screen.no_interval;
  return `${short.padEnd(8)}${text(estimate).padStart(6)} ${unit.padEnd(3)}${span}; `
    + placeText(truth, place);
}

/** "z -0.78, centile 22, WHO ...", or why there is none. */
export function placeText(truth, place) {
  const {screen} = truth.rules;
  if (place.reason !== undefined) return said(screen.no_place, {reason: place.reason});
  return said(screen.place, {z: signed(place.z, 2), centile: fixed(place.centile, 0),
    standard: place.standard});
}
