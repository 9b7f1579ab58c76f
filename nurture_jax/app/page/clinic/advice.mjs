// The plain line: what each rule compares (clinic/thresholds.py), and what is told (advice.py).

import {fixed, general, rounded, said} from "./numbers.mjs";
import {assess, weightChangePercent} from "./growth.mjs";

/** "age, sex and birth weight". */
export function listed(truth, words) {
  if (words.length < 2) return words.join("");
  return said(truth.rules.texts.and,
    {first: words.slice(0, -1).join(", "), last: words[words.length - 1]});
}

/**
 * The advice for an estimated weight.
 *
 * visit: {sex, age_days, gestational_age_days, birth_weight_g}; weight, low, high: the estimate and
 * the ends of its interval in g, not a number where it was never calibrated.
 * earlier: [{age_days, weight_g, low_g, high_g}], the last two null for a weight of a scale.
 * Gives {line, lineName, reasons, judged, notJudged, notes, rules}.
 */
export function advise(truth, visit, weight, low, high, earlier = []) {
  const {texts, lines} = truth.rules;
  const text = (name) => lines.find((row) => row.name === name).text;
  const nothingAsked = (name, reason, why) => ({line: text(name), lineName: name,
    reasons: [reason], judged: [], notJudged: [unasked(truth, earlier, why)], notes: [],
    rules: {}});
  const allowed = truth.measures.ranges.weight_g;
  if (weight < allowed.low || weight > allowed.high) {
    return nothingAsked("weigh", said(texts.implausible, {value: fixed(weight, 0),
      low: general(allowed.low), high: general(allowed.high)}), texts.for_implausible);
  }
  if (!Number.isFinite(low) || !Number.isFinite(high)) {
    return nothingAsked("unsure", texts.no_interval, texts.for_no_interval);
  }
  const asked = ask(truth, visit, [weight, low, high], earlier);
  const found = asked.flatMap((topic) => answers(truth, topic));
  const names = lines.map((row) => row.name);
  const line = names[Math.max(0, ...found.map((answer) => names.indexOf(answer.line)))];
  return {line: text(line), lineName: line,
    reasons: found.map((answer) => answer.reason).filter(Boolean),
    judged: asked.filter((topic) => topic.rules.length).map((topic) => topicText(truth, topic.name)),
    notJudged: asked.flatMap((topic) => topic.notJudged)
      .map(([what, why]) => said(texts.not_judged_one, {what, why})),
    notes: asked.flatMap((topic) => topic.notes),
    rules: Object.fromEntries(found.map((answer) => [answer.name, answer.state]))};
}

/** Where no rule could be asked their topics are named at once, as none differs. */
function unasked(truth, earlier, why) {
  const topics = truth.rules.topics.filter(({name}) => name !== "earlier" || earlier.length);
  return said(truth.rules.texts.not_judged_one,
    {what: listed(truth, topics.map(({text}) => text)), why});
}

/** Of the thresholds of a topic that the whole interval lies below, the lowest is told alone. */
function answers(truth, topic) {
  const holding = topic.rules.filter(({rule, span}) => span[2] < rule.below);
  const lowest = Math.min(...holding.map(({rule}) => rule.below));
  const told = holding.find(({rule}) => rule.below === lowest)?.rule;
  return topic.rules.map(({rule, span: [, low, high], words}) => {
    const answer = (state, line, reason) => ({name: rule.name, state, line, reason});
    if (high < rule.below && topic.onlyIfTerm) {
      return answer("if born at term", "weigh",
        rule === told ? said(truth.rules.texts.if_term, words) : "");
    }
    if (high < rule.below) {
      return answer("holds", rule.line, rule === told ? said(rule.sure, words) : "");
    }
    if (low < rule.below) return answer("unsure", "unsure", said(rule.unsure, words));
    return answer("clear", "normal", "");
  });
}

function ask(truth, visit, span, earlier) {
  const topics = [topicOf("weight", rulesOf(truth, "weight", span, 0)),
    byStandard(truth, visit, span), byBirthWeight(truth, visit, span)];
  return earlier.length ? [...topics, byEarlier(truth, visit, span, earlier)] : topics;
}

function topicOf(name, rules = [], notJudged = [], notes = [], onlyIfTerm = false) {
  return {name, rules, notJudged, notes, onlyIfTerm};
}

function byStandard(truth, visit, span) {
  const places = span.map((value) =>
    assess(truth, "weight_g", Math.max(value, truth.groups.lightest_g), visit));
  const [first] = places;
  if (first.reason !== undefined) {
    return !visit.sex || visit.age_days === null ? lacking(truth, "z", visit)
      : told(truth, "z", first.reason);
  }
  const rules = rulesOf(truth, "z", places.map((place) => place.z), 2, {standard: first.standard});
  return topicOf("z", rules, [], first.onlyIfTerm ? [truth.rules.texts.note_if_term] : [],
    first.onlyIfTerm);
}

function byBirthWeight(truth, visit, span) {
  if (visit.birth_weight_g === null) return lacking(truth, "birth", visit);
  const {digits} = truth.groups;
  const changes = span.map((value) =>
    rounded(weightChangePercent(value, visit.birth_weight_g), digits));
  const {gestational_age_days: gestation, age_days: day} = visit;
  const born = gestation === null ? "unknown"
    : gestation < truth.rules.preterm_below_days.value ? "preterm" : "term";
  const rules = [];
  const notJudged = [];
  const words = {day: day === null ? "" : String(Math.floor(day))};
  for (const row of rulesOf(truth, "birth", changes, 1, words)) {
    const {born: forWhom, from_day: from, below} = row.rule;
    if (forWhom && !forWhom.includes(born)) continue;
    if (from === undefined || (day === null && changes[1] >= below)) {
      rules.push(row); // on whichever day
    } else if (day === null) {
      notJudged.push([truth.rules.texts.regained, notKnown(truth, ["age_days"])]);
    } else if (day >= from) {
      rules.push(row);
    }
  }
  return topicOf("birth", rules, notJudged);
}

/** Compared with the last of the earlier visits that is not of the first days. */
function byEarlier(truth, visit, [value, low, high], earlier) {
  if (visit.age_days === null) return lacking(truth, "earlier", visit);
  const rule = truth.rules.rules.find((row) => row.topic === "earlier");
  const late = earlier.filter((other) => other.age_days >= rule.earlier_from_day);
  if (!late.length) {
    return told(truth, "earlier", said(truth.rules.texts.first_days,
      {from_day: general(rule.earlier_from_day)}));
  }
  const last = late.reduce((best, other) => other.age_days > best.age_days ? other : best);
  const ofScale = last.low_g === null;
  const [lastLow, lastHigh] = ofScale ? [last.weight_g, last.weight_g] : [last.low_g, last.high_g];
  const before = ofScale
    ? said(truth.rules.texts.before_scale, {weight: fixed(last.weight_g, 0)})
    : said(truth.rules.texts.before_estimate,
      {low: down(truth, lastLow, 0), high: up(truth, lastHigh, 0)});
  const gain = [value - last.weight_g, low - lastHigh, high - lastLow];
  return topicOf("earlier", rulesOf(truth, "earlier", gain, 0,
    {day: general(last.age_days), before}));
}

/** Rules of a topic with the words of their sentences; ends are rounded away from the middle. */
function rulesOf(truth, topic, values, digits, more = {}) {
  const span = values.map((each) => rounded(each, truth.groups.digits));
  const [value, low, high] = span;
  const words = {...more, value: fixed(value, digits), low: down(truth, low, digits),
    high: up(truth, high, digits), loss: fixed(-value, digits)};
  return truth.rules.rules.filter((rule) => rule.topic === topic).map((rule) => ({rule, span,
    words: {...words, below: general(rule.below), limit: general(-rule.below)}}));
}

function down(truth, value, digits) {
  return fixed(Math.floor(rounded(value * 10 ** digits, truth.groups.digits)) / 10 ** digits,
    digits);
}

function up(truth, value, digits) {
  return fixed(Math.ceil(rounded(value * 10 ** digits, truth.groups.digits)) / 10 ** digits + 0,
    digits);
}

/** A topic that cannot be judged for want of what is not known of the infant. */
function lacking(truth, topic, visit) {
  const {needs} = truth.rules.topics.find((row) => row.name === topic);
  return told(truth, topic, notKnown(truth,
    needs.filter((name) => visit[name] === null || visit[name] === "")));
}

function told(truth, topic, why) {
  return topicOf(topic, [], [[topicText(truth, topic), why]]);
}

function topicText(truth, topic) {
  return truth.rules.topics.find((row) => row.name === topic).text;
}

function notKnown(truth, names) {
  return said(truth.rules.texts.not_known,
    {inputs: listed(truth, names.map((name) => truth.rules.inputs[name]))});
}
