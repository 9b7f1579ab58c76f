// z-scores, centiles and classes of weight: nurture_jax/growth, with the tables that it hands over.
// `truth` is everything that Python hands over (handed_over.json). A place is {z, centile,
// standard, why, onlyIfTerm}; where no standard applies it is {reason}.

import {said} from "./numbers.mjs";
import {lowerTail, normalBelow, normalZ} from "./tails.mjs";

/** A gestation or another age since the last period in words: "38+3 weeks". */
export function weeksText(truth, days) {
  return said(truth.rules.texts.weeks, {weeks: Math.floor(days / 7), days: Math.floor(days % 7)});
}

/** No standard applies, for a reason of the table. */
export function none(truth, name, parts = {}) {
  return {reason: said(truth.rules.no_standard[name], parts)};
}

/**
 * The place by the standard that applies to this infant.
 *
 * measure: name of the measure, which also says its unit; value: above 0.
 * visit: {sex: "F", "M" or "", age_days, gestational_age_days}, null where not known.
 */
export function assess(truth, measure, value, visit) {
  const {sex, age_days: age, gestational_age_days: gestation} = visit;
  if (!(value > 0) || !Number.isFinite(value)) return none(truth, "not_positive");
  if (age === null) return none(truth, "age");
  if (gestation === null) return because(truth, "who_if_term", who(truth, measure, value, sex, age));
  const parts = {gestation: weeksText(truth, gestation)};
  if (age <= truth.rules.at_birth_days.value) {
    return because(truth, "newborn", newborn(truth, measure, value, sex, gestation), parts);
  }
  const postmenstrual = gestation + age;
  if (gestation >= truth.rules.preterm_below_days.value) {
    return because(truth, "who_term", who(truth, measure, value, sex, age), parts);
  }
  if (postmenstrual > truth.growth.postmenstrual_days[1]) {
    return because(truth, "who_after_preterm", who(truth, measure, value, sex, age), parts);
  }
  return because(truth, "preterm", preterm(truth, measure, value, sex, postmenstrual),
    {...parts, postmenstrual: weeksText(truth, postmenstrual)});
}

function because(truth, standard, place, parts = {}) {
  if (place.reason !== undefined) return place;
  const why = said(truth.rules.standards[standard].why, parts);
  return {...place, why, onlyIfTerm: standard === "who_if_term"};
}

function placed(truth, z, standard) {
  return {z, centile: 100 * normalBelow(z), standard: truth.rules.standards[standard].name};
}

/** Why no standard can be used, or null. */
function unsuitable(truth, measure, sex) {
  if (!truth.measures.scored.includes(measure)) return none(truth, "measure", {measure});
  return sex === "F" || sex === "M" ? null : none(truth, "sex");
}

/** Standards are in kg and cm. */
export function inKgOrCm(measure, value) {
  return measure === "weight_g" ? value / 1000 : value;
}

/** WHO Child Growth Standards, by completed day of age. */
export function who(truth, measure, value, sex, age) {
  const day = Math.floor(age);
  const [first, last] = truth.growth.who_days;
  const problem = unsuitable(truth, measure, sex);
  if (problem) return problem;
  if (day < first || day > last) return none(truth, "who_range", {age: day});
  const [l, m, s] = whoParameters(truth, measure, sex, day);
  const inUnit = inKgOrCm(measure, value);
  let z = ((inUnit / m) ** l - 1) / (l * s);
  if (measure === "weight_g" && Math.abs(z) > 3) z = beyondThree(inUnit, Math.sign(z), l, m, s);
  return placed(truth, z, "who_term");
}

export function whoParameters(truth, measure, sex, day) {
  return truth.growth.who[measure][sex].map((column) => column[day - truth.growth.who_days[0]]);
}

/** A weight beyond 3 z, in steps of the distance from 2 to 3 z (WHO 2006, chapter 7). */
function beyondThree(value, sign, l, m, s) {
  const at = (z) => m * (1 + l * s * z) ** (1 / l);
  return sign * 3 + (value - at(sign * 3)) / Math.abs(at(sign * 3) - at(sign * 2));
}

/** INTERGROWTH-21st size at birth, by gestation. */
export function newborn(truth, measure, value, sex, gestation) {
  const {gestation_days: [first, last], very_preterm_days: veryPreterm} = truth.growth;
  const problem = unsuitable(truth, measure, sex);
  if (problem) return problem;
  if (gestation < first || gestation >= last + 1) {
    return none(truth, "gestation_range", {gestation: weeksText(truth, gestation)});
  }
  const inUnit = inKgOrCm(measure, value);
  const z = gestation > veryPreterm
    ? skewZ(truth.growth.newborn[`${measure}/${sex}`], inUnit, gestation)
    : veryPretermZ(truth.growth.very_preterm[measure], measure, inUnit, sex, gestation);
  return placed(truth, z, "newborn");
}

/** Skew Student t of Fernandez and Steel: two half t, joined at the mode. */
function skewZ(skew, value, gestation) {
  const g = gestation / 280;
  const [first, second] = skew.powers;
  const [a, b, c] = skew.location;
  const curve = a + b * g ** first + c * g ** second * (first === second ? Math.log(g) : 1);
  const x = (value - curve) / Math.exp(skew.log_scale[0] + skew.log_scale[1] / g ** 2);
  const squared = skew.skewness ** 2;
  const tail = (t) => lowerTail(t, skew.freedom, skew.log_beta);
  if (x < 0) return normalZ(2 * tail(skew.skewness * x) / (1 + squared));
  // The upper tail keeps its digits where 1 - p would not.
  return -normalZ(2 * squared * tail(-x / skew.skewness) / (1 + squared));
}

function veryPretermZ([[a, b, boys], variance], measure, value, sex, gestation) {
  const weeks = gestation / 7;
  const logarithmic = measure === "weight_g";
  const middle = a + b * (logarithmic ? Math.sqrt(weeks) : weeks) + (sex === "M" ? boys : 0);
  return ((logarithmic ? Math.log(value) : value) - middle) / Math.sqrt(variance);
}

// The functions of x that the equations of Villar 2015 are sums of.
const TERMS = {
  "1": () => 1, "sqrt(x)": Math.sqrt, "x": (x) => x, "1/x": (x) => 1 / x,
  "1/x^2": (x) => 1 / x ** 2, "log(x)/x^2": (x) => Math.log(x) / x ** 2,
};

/** INTERGROWTH-21st postnatal growth of infants born preterm, by postmenstrual age. */
export function preterm(truth, measure, value, sex, postmenstrual) {
  const problem = unsuitable(truth, measure, sex);
  if (problem) return problem;
  const [first, last] = truth.growth.postmenstrual_days;
  if (postmenstrual < first || postmenstrual > last) {
    return none(truth, "preterm_range", {postmenstrual: weeksText(truth, postmenstrual)});
  }
  const {logarithmic, middle, deviation} = pretermAt(truth, measure, sex, postmenstrual);
  const inUnit = inKgOrCm(measure, value);
  return placed(truth, ((logarithmic ? Math.log(inUnit) : inUnit) - middle) / deviation, "preterm");
}

function pretermAt(truth, measure, sex, postmenstrual) {
  const curve = truth.growth.preterm[measure];
  const sum = (factors) => Object.entries(factors)
    .reduce((total, [name, factor]) => total + factor * TERMS[name](postmenstrual / 7), 0);
  return {logarithmic: curve.logarithmic, deviation: sum(curve.deviation),
    middle: sum(curve.mean) + (sex === "M" ? curve.boy : 0)};
}

/** The value in g or cm at `z` of a standard after birth, for a curve; null where there is none. */
export function valueAt(truth, measure, z, {sex, gestational_age_days: gestation}, age) {
  const unit = measure === "weight_g" ? 1000 : 1;
  const born = gestation !== null && gestation < truth.rules.preterm_below_days.value;
  if (born && gestation + age <= truth.growth.postmenstrual_days[1]) {
    if (gestation + age < truth.growth.postmenstrual_days[0]) return null;
    const {logarithmic, middle, deviation} = pretermAt(truth, measure, sex, gestation + age);
    const value = middle + z * deviation;
    return unit * (logarithmic ? Math.exp(value) : value);
  }
  const [l, m, s] = whoParameters(truth, measure, sex, Math.floor(age));
  return unit * m * (1 + l * s * z) ** (1 / l);
}

/** Name of the class of a birth weight, such as "LBW". */
export function birthWeightClass(truth, grams) {
  const classes = truth.rules.birth_weight_classes;
  return classes[classes.filter((row) => row.below_g !== null && grams >= row.below_g).length];
}

/** Gain since birth in percent of the birth weight; a loss is negative. */
export function weightChangePercent(weight, birthWeight) {
  return 100 * (weight / birthWeight - 1);
}
