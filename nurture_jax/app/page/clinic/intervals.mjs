// Intervals of an estimate from the factors that were calibrated (evaluation/intervals.py).
// `factors` is the card's "intervals": {infants, factors, widths, lacking, ...}.

import {mean, said, signed, whole} from "./numbers.mjs";

/** What intervals may be wider for, {name: number} of a visit, see evaluation/covariates.py. */
export function covariatesOf(truth, visit, estimatedWeight) {
  const {groups} = truth;
  const {age_days: age, gestational_age_days: gestation, birth_weight_g: birth} = visit;
  const band = age === null ? undefined : Object.entries(groups.age_bands)
    .find(([, [first, last]]) => first <= age && age < last + 1);
  const within = (value, most) => Math.min(Math.max(value, 0), most);
  const days = truth.rules.preterm_below_days.value;
  return {
    [band ? band[0] : groups.unknown_age]: 1,
    ...(gestation === null ? {[groups.gestation_unknown]: 1}
      : {[groups.early]: within((days - gestation) / 7, groups.most_weeks)}),
    [groups.light]: within(groups.light_below_kg - (birth ?? estimatedWeight) / 1000,
      groups.most_kg),
  };
}

/** Ends of the intervals, {measure: [low, high]}; not a number where nothing was calibrated. */
export function bounds(truth, factors, visit, estimates) {
  const {groups} = truth;
  const own = covariatesOf(truth, visit, estimates.weight_g?.mean ?? NaN);
  const given = visit.birth_weight_g === null ? groups.withheld : groups.given;
  return Object.fromEntries(Object.entries(estimates).map(([name, {mean, scale}]) => {
    const found = factors.factors[given]?.[name];
    if (!found) return [name, [NaN, NaN]];
    const factor = Object.entries(own).reduce(
      (product, [covariate, number]) => product * (found[covariate] ?? 1) ** number, 1);
    const half = found[groups.all] * factor * scale;
    return [name, [Math.max(mean - half, 0), mean + half]];
  }));
}

/** The names of the inputs that a visit lacks. */
export function lackedInputs({measures}, visit) {
  return measures.tabular.filter((name) => visit[name] === null || visit[name] === "");
}

/** Which inputs a visit lacks, and what that costs, one sentence each. */
export function lacked(truth, factors, visit) {
  const {texts, inputs} = truth.rules;
  const needed = truth.groups.infants_to_rely_on;
  return lackedInputs(truth, visit).map((name) => {
    const input = inputs[name];
    const infants = factors.lacking[name] ?? 0;
    const ofBirthWeight = name === "birth_weight_g";
    if (!ofBirthWeight && infants < needed) {
      return said(texts.lacks_untried, {input, infants, needed});
    }
    const cost = ofBirthWeight ? widthWithout(truth, factors)
      : calibratedCost(truth, factors, visit, name);
    if (!cost) return said(texts.lacks_unmeasured, {input});
    return said(ofBirthWeight ? texts.lacks_cost : texts.lacks_calibrated,
      {input, percent: signed(whole(100 * (cost - 1)) + 0, 0)});
  });
}

/**
 * How many times as wide calibration makes an interval of the weight without an input, beyond what
 * the network's own scale tells; undefined where that is not known.
 */
function calibratedCost({groups}, factors, visit, name) {
  const [lacking, having] = {age_days: [groups.unknown_age, Object.keys(groups.age_bands)],
    gestational_age_days: [groups.gestation_unknown, []]}[name] ?? [];
  const told = (factors.infants[groups.withheld]?.weight_g ?? 0) - (factors.lacking[name] ?? 0);
  if (!lacking || told < groups.infants_to_rely_on) return undefined;
  const given = visit.birth_weight_g === null ? groups.withheld : groups.given;
  const found = factors.factors[given]?.weight_g ?? {};
  const fitted = (number) => (found[number] ?? 1) !== 1; // what no infant was like has exactly 1
  const others = having.filter(fitted).map((number) => Math.log(found[number]));
  if (!fitted(lacking) || (having.length && !others.length)) return undefined;
  return found[lacking] / Math.exp(others.length ? mean(others) : 0);
}

/** How many times as wide an interval of the weight is without the birth weight; or undefined. */
function widthWithout(truth, factors) {
  const given = factors.widths[truth.groups.given]?.weight_g;
  const withheld = factors.widths[truth.groups.withheld]?.weight_g;
  return given > 0 && withheld !== undefined ? withheld / given : undefined;
}
