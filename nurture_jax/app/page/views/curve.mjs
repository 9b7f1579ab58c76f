// A growth curve as SVG: centile lines by day of age, the visits of a child with their intervals.

import {valueAt} from "../clinic/growth.mjs";
import {svg} from "../dom.mjs";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [360, 270, 48, 40, 10, 30];
const SCORES = [-3, -2, 0, 2, 3];
const LEAST_DAYS = 28; // of the axis, so that two visits of the first week are no cliff
const LEAST_DAYS_OF_LINES = 7;

/** Points of a measure: [{age, value, low, high}] in order of age. */
export function pointsOf(child, measure) {
  const found = child.visits.map(({visit, found}) => {
    const finding = found?.findings.find((each) => each.measure === measure);
    return finding && visit.age_days !== null
      ? {age: visit.age_days, value: finding.estimate, low: finding.low, high: finding.high} : null;
  }).filter(Boolean);
  if (measure === "weight_g" && child.birth_weight_g !== null) {
    found.push({age: 0, value: child.birth_weight_g, low: NaN, high: NaN, ofScale: true});
  }
  return found.sort((a, b) => a.age - b.age);
}

/** The curve of one measure, or null where there is no standard (no sex). */
export function curve({say, truth, number}, child, measure) {
  if (!child.sex || !truth.measures.scored.includes(measure)) return null;
  const points = pointsOf(child, measure);
  const {unit, label, digits} = truth.measures.all[measure];
  const born = {sex: child.sex, gestational_age_days: child.gestational_age_days};
  const most = Math.max(LEAST_DAYS, firstDay(truth, measure, born) + LEAST_DAYS_OF_LINES,
    ...points.map(({age}) => age + 3));
  const days = Array.from({length: Math.ceil(most) + 1}, (_, day) => day)
    .filter((day) => valueAt(truth, measure, 0, born, day) !== null);
  const lines = SCORES.map((z) => [z, days.map((day) => [day, valueAt(truth, measure, z, born, day)])]);
  const values = [...lines.flatMap(([, line]) => line.map(([, value]) => value)),
    ...points.flatMap(({value, low, high}) => [value, low, high].filter(Number.isFinite))];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (age) => LEFT + age / most * (WIDTH - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP);
  const path = (line) => line.map(([age, value], i) =>
    `${i ? "L" : "M"}${x(age).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const last = points[points.length - 1];
  const preterm = child.gestational_age_days !== null
    && child.gestational_age_days < truth.rules.preterm_below_days.value;
  const standard = truth.rules.standards[preterm ? "preterm" : "who_term"].name;
  return svg("svg", {class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "data-measure": measure, "aria-label": last ? say("curve_text", {measure: label, id: child.id,
      count: points.filter(({ofScale}) => !ofScale).length, day: last.age, value: number(last.value, digits), unit, standard}) : label},
  ticks(low, high, 5).map((value) => [
    svg("line", {class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value)}),
    svg("text", {x: LEFT - 5, y: y(value) + 4, "text-anchor": "end"}, number(value))]).flat(),
  ticks(0, most, 6).map((day) =>
    svg("text", {x: x(day), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle"}, number(day))),
  svg("line", {class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM}),
  svg("text", {x: WIDTH - RIGHT, y: HEIGHT - 3, "text-anchor": "end"}, say("age_axis")),
  lines.map(([z, line]) => [
    svg("path", {class: z === 0 ? "z0" : Math.abs(z) === 3 ? "outer" : "inner", d: path(line)}),
    svg("text", {x: WIDTH - RIGHT + 4, y: y(line[line.length - 1][1]) + 4}, number(z))]).flat(),
  svg("path", {class: "child", d: path(points.map(({age, value}) => [age, value]))}),
  points.map(({age, value, low: from, high: to, ofScale}) => [
    Number.isFinite(from) && svg("line", {class: "span", x1: x(age), x2: x(age), y1: y(from), y2: y(to)}),
    svg("circle", {class: ofScale ? "scale" : "visit", cx: x(age), cy: y(value), r: 4})]).flat());
}

/** The first day that has a standard: of the most preterm infants it is weeks after birth. */
function firstDay(truth, measure, born) {
  let day = 0;
  while (valueAt(truth, measure, 0, born, day) === null) day++;
  return day;
}

/** Round numbers between two values. */
function ticks(low, high, most) {
  const rough = (high - low) / most;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * ten).find((each) => each >= rough);
  const first = Math.ceil(low / step) * step;
  return Array.from({length: Math.floor((high - first) / step + 1e-9) + 1}, (_, i) => first + i * step);
}
