// The checks of the gate: from what was measured to what is wrong, in words (clinic/checks.py).

import {rounded} from "./numbers.mjs";
import {rangeOf} from "./scale.mjs";

/**
 * The checks that were not passed: [{check, reason, measured, limit, unit, advice}].
 *
 * measured: see `gate.mjs`; limits: those that the intervals were calibrated under; fit: how frames
 * were cut; highest: the calibrated limit of the unfamiliarity, or null; scale: see `scale.mjs`.
 */
export function failures(truth, measured, limits, fit, highest, scale) {
  const failure = (check, value, limit, words = check) =>
    [{check, measured: value, limit, ...truth.rules.gate[words]}];
  const share = (check, measure, limit, words = check) => {
    const value = measured[measure];
    const bound = limits[limit];
    if (value === undefined || (limit.startsWith("most_") ? value <= bound : value >= bound)) {
      return [];
    }
    return failure(check, 100 * value, 100 * bound, words);
  };
  const missing = share("newborn_not_found", "found_frames", "least_found_frames");
  // Of a newborn that is not there no more is said.
  const about = missing.length ? missing : [
    ...share("newborn_disagrees", "on_mask", "least_on_mask"),
    ...share("newborn_out_of_proportion", "proportions", "least_proportions"),
    ...share("newborn_unsteady", "size_change", "most_size_change"),
    ...share("newborn_cut_off", "cut_frames", "most_cut_frames", truth.gate.cut_off[fit])];
  return [...duration(measured, limits, failure), ...light(measured, limits, failure),
    ...(measured.sharpness >= limits.least_sharpness ? []
      : failure("too_blurred", measured.sharpness, limits.least_sharpness)),
    ...about, ...share("reference_not_seen", "reference_frames", "least_reference_frames"),
    ...toldLength(truth, measured, scale, failure),
    ...(highest === null || (measured.unfamiliarity ?? -Infinity) <= highest ? []
      : failure("unfamiliar", measured.unfamiliarity, highest))];
}

function duration(measured, limits, failure) {
  // Some containers count milliseconds and round each frame.
  if (rounded(measured.duration_s, 2) >= limits.least_duration_s) return [];
  return failure("too_short", measured.duration_s, limits.least_duration_s);
}

function light({brightness}, limits, failure) {
  if (brightness < limits.least_brightness) {
    return failure("too_dark", brightness, limits.least_brightness);
  }
  if (brightness > limits.most_brightness) {
    return failure("too_bright", brightness, limits.most_brightness);
  }
  return [];
}

/** A length that training had nothing like, or that the reference object does not look like. */
function toldLength(truth, {reference_cm: told, reference_looks_cm: looks}, scale, failure) {
  if (told === undefined) return [];
  const beyond = (check, value, [low, high]) => low <= value && value <= high ? []
    : failure(check, value, rounded(value < low ? low : high, 1));
  const found = beyond("reference_length_new", told, rangeOf(truth, scale));
  if (found.length || looks === undefined) return found;
  return beyond("reference_wrongly_told", looks,
    [told * Math.exp(-scale.limit), told * Math.exp(scale.limit)]);
}
