// What is kept and exported of one visit: plain values, no picture. The network that estimated, the
// inputs, all that the gate measured beside its limits, and the estimate.

import {scaleOf} from "./scale.mjs";

/**
 * The record of a visit.
 *
 * looked: {gate, found, estimates} of the worker; video: {name, sha256, duration, width, height}.
 */
export function recordOf(card, {infantId, visit, earlier, video, looked, time}) {
  return {id: time.replaceAll(/\D/g, "").slice(0, 14), infant_id: infantId, time, visit, earlier,
    video, model_sha256: card.sha256,
    gate: {...looked.gate, limits: card.calibration.limits,
      reference_lengths_cm: scaleOf(card).lengths_cm}, found: looked.found,
    estimates: looked.found ? looked.estimates : null, research_tool: true};
}

/** An earlier visit as the advice compares it; null where it has no weight or no age. */
export function earlierOf({visit, found}) {
  const weight = found?.findings.find((each) => each.measure === "weight_g");
  if (!weight || visit.age_days === null) return null;
  const known = Number.isFinite(weight.low) && Number.isFinite(weight.high);
  return {age_days: visit.age_days, weight_g: weight.estimate, low_g: known ? weight.low : null,
    high_g: known ? weight.high : null};
}
