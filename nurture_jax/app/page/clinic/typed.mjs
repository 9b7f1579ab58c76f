// What is typed as a number, and why it is refused (measures.py, records/visit_table.py).

import {general, said} from "./numbers.mjs";

const NUMBER = /^-?\d+([.,]\d+)?$/; // not all that Number() reads: "0x1F", "1e3"
const THOUSANDS = /^(\d+),(\d{3})$/;
const WHOLE = /^\d+$/;

/** Why a value is refused, or "". `allowed` is one of truth.measures.ranges. */
export function outside(truth, allowed, value) {
  if (allowed.low <= value && value <= allowed.high) return "";
  const meant = allowed.mistakes.find(([, factor]) =>
    allowed.low <= value * factor && value * factor <= allowed.high);
  const hint = meant ? said(truth.measures.other_unit, {unit: unitText(truth, meant[0])})
    : truth.measures.correct;
  return said(truth.measures.outside, {low: general(allowed.low), high: general(allowed.high),
    unit: unitText(truth, allowed.unit), hint});
}

function unitText(truth, unit) {
  return truth.measures.units?.[unit] ?? unit; // another language brings its own names
}

/**
 * {value, problem} of a number with a point or a comma, in digits of Devanagari too; the value is
 * null where nothing is typed or it is refused, the problem "" where it is not.
 */
export function typedNumber(truth, allowed, text) {
  const typed = plainDigits(text);
  const refused = (problem) => ({value: null, problem});
  if (!typed) return refused("");
  const whole = THOUSANDS.exec(typed)?.slice(1).join("");
  if (whole && !outside(truth, allowed, Number(whole))) {
    return refused(said(truth.measures.thousands, {number: whole}));
  }
  if (!NUMBER.test(typed)) {
    return refused(said(truth.measures.no_number, {unit: unitText(truth, allowed.unit)}));
  }
  const value = Number(typed.replace(",", ".")) + 0; // no -0
  const problem = outside(truth, allowed, value);
  return problem ? refused(problem) : {value, problem};
}

/**
 * {value, code} of a gestation in days, of completed weeks and the days beside them; `code` is ""
 * or the name of the sentence that says what is wrong with them.
 */
export function typedGestation(weeksText, daysText) {
  const [weeks, days] = [weeksText, daysText].map(plainDigits);
  if (!weeks) return {value: null, code: days && "gestation_without_weeks"};
  if (!WHOLE.test(weeks) || !WHOLE.test(days || "0") || Number(days) > 6) {
    return {value: null, code: "gestation_not_whole"};
  }
  return {value: 7 * Number(weeks) + Number(days), code: ""};
}

function plainDigits(text) {
  return text.trim().replace(/[\u0966-\u096f]/g, (digit) => digit.charCodeAt(0) - 0x966);
}
