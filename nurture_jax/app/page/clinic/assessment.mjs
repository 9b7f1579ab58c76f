// All that is told of one visit (clinic/assessment.py).

import {advise} from "./advice.mjs";
import {fixed, rounded} from "./numbers.mjs";
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

/**
 * Measures that came out as no number, though there are intervals of them (runs/predict.py); the
 * advice needs the weight in any case. Nothing else would tell them from what was never learnt.
 */
export function lostMeasures(truth, factors, estimates) {
  const learnt = (name) => name === "weight_g"
    || Object.values(factors.factors).some((byMeasure) => name in byMeasure);
  return truth.measures.labels.filter((name) =>
    learnt(name) && !Number.isFinite(estimates[name]?.mean));
}

/** A value of a measure as people write it, without the unit. */
export function measureText(truth, measure, value) {
  const {digits} = truth.measures.all[measure];
  return fixed(rounded(value, digits) + 0, digits);
}
