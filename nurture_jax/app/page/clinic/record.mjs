// What is kept and exported of one visit: plain values, no picture. The network that estimated, the
// inputs, all that the gate measured beside its limits, and the estimate.

import {scaleOf} from "./scale.mjs";

/**
 * The record of a visit.
 *
 * looked: {gate, found, estimates} of the worker; video: {suffix, sha256, duration, width, height}.
 */
export function recordOf(card, {infantId, visit, earlier, video, looked, time}) {
  return {id: time.replaceAll(/\D/g, "").slice(0, 14), infant_id: infantId, time, visit, earlier,
    video, model_sha256: card.sha256,
    gate: {...looked.gate, limits: card.calibration.limits,
      reference_lengths_cm: scaleOf(card).lengths_cm}, found: looked.found,
    estimates: looked.found ? looked.estimates : null, research_tool: true};
}

/**
 * An earlier visit as the advice compares it (runs/predict_table.py); null without an age, and
 * where the weight has no interval of plausible weights: there is nothing to rely on.
 */
export function earlierOf(truth, {visit, found}) {
  const weight = found?.findings.find((each) => each.measure === "weight_g");
  const {low, high} = truth.measures.ranges.weight_g;
  if (visit.age_days === null || !(weight?.low >= low && weight.high <= high)) return null;
  return {age_days: visit.age_days, weight_g: weight.estimate, low_g: weight.low,
    high_g: weight.high};
}
