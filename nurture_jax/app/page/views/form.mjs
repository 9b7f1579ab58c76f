// What is known of the child: fields, and their values checked by the ranges of Python.

import {weeksText} from "../clinic/growth.mjs";
import {mustBeTold} from "../clinic/scale.mjs";
import {outside, typedGestation, typedNumber} from "../clinic/typed.mjs";
import {el} from "../dom.mjs";

const DAY_MS = 24 * 60 * 60 * 1000;

const TYPED = ["infant_id", "birth_date", "age_days", "gestational_age_days", "gestation_rest",
  "birth_weight_g", "reference_cm"]; // the ids of the inputs of text

/**
 * The form; `typed` fills it with what was typed before. scale: of the network, which tells the
 * lengths of reference objects it learnt.
 * Gives {element, typed(), read()}; `read` gives {infantId, birthDate, visit, typed}, or null after
 * telling what is wrong beside its field.
 */
export function childForm(words, scale, typed = {}) {
  const {say, truth} = words;
  const inputs = {};
  const wrongs = {};
  const input = (name, attributes) => {
    wrongs[name] = el("span", {class: "wrong", id: `${name}-wrong`, role: "alert"});
    inputs[name] = el("input", {id: name, autocomplete: "off", "aria-describedby": `${name}-wrong`,
      ...attributes});
    return inputs[name];
  };
  const number = (name, attributes = {}) => input(name, {type: "text", inputmode: "decimal", ...attributes});
  const field = (name, unit, control, hint) => el("label", {class: "field", for: name}, say(name),
    unit ? ` (${unit})` : "", control, hint && el("small", {}, hint), wrongs[name]);
  const sexes = [["F", "girl"], ["M", "boy"], ["", "sex_unknown"]].map(([value, name]) => {
    const choice = el("input", {type: "radio", name: "sex", value,
      checked: (typed.sex ?? "") === value});
    return el("label", {}, choice, say(name));
  });
  const weeks = number("gestational_age_days", {"aria-label": say("weeks")});
  const days = inputs.gestation_rest = el("input", {id: "gestation_rest", type: "text",
    inputmode: "numeric", autocomplete: "off", "aria-label": say("days"),
    "aria-describedby": "gestational_age_days-wrong"});
  const age = number("age_days");
  const birthDate = input("birth_date", {type: "date", max: today(), onchange: () => fillAge()});
  const fillAge = () => {
    const days = ageOf(birthDate.value);
    if (days !== null && days >= 0) age.value = String(days);
  };
  const needed = mustBeTold(truth, scale);
  const lengths = scale.lengths_cm.join(", ");
  const usualCm = truth.measures.default_reference_cm;
  const ruler = number("reference_cm", {"aria-required": String(needed)});
  const element = el("section", {class: "card"}, el("h2", {}, say("about_child")),
    el("p", {class: "hint"}, say(needed ? "all_but_reference" : "all_optional")),
    el("div", {class: "fields"},
      el("div", {class: "wide"}, field("infant_id", "",
        input("infant_id", {type: "text", maxlength: 64}),
        say("infant_id_hint"))),
      field("birth_date", "", birthDate), field("age_days", say("days"), age),
      el("fieldset", {class: "wide"}, el("legend", {}, say("sex")),
        el("div", {class: "choices"}, sexes)),
      el("fieldset", {}, el("legend", {},
        `${say("gestational_age_days")} (${say("weeks")} + ${say("days")})`),
      el("div", {class: "pair"}, weeks, "+", days), wrongs.gestational_age_days),
      field("birth_weight_g", say("grams"),
        number("birth_weight_g")),
      el("div", {class: "wide"}, field("reference_cm", say("centimetres"), ruler,
        [say("reference_hint", {lengths}), !needed && say("reference_usual", {length: usualCm})]
          .filter(Boolean).join(" ")))));

  const at = (name) => element.querySelector(`#${name}`);
  const usual = {reference_cm: scale.lengths_cm.length === 1 ? String(scale.lengths_cm[0]) : ""};
  for (const name of TYPED) at(name).value = typed[name] ?? usual[name] ?? "";
  if (!age.value) fillAge();
  const sex = () => element.querySelector("[name=sex]:checked").value;
  const asTyped = () => ({...Object.fromEntries(TYPED.map((name) => [name, at(name).value])),
    sex: sex()});
  const read = () => {
    const visit = readVisit(words, inputs, wrongs, {sex: sex(), needed});
    return visit && {infantId: inputs.infant_id.value.trim(), birthDate: birthDate.value, visit,
      typed: asTyped()};
  };
  return {element, read, typed: asTyped};
}

/** What is known by the fields; null after telling beside its field what is wrong. */
function readVisit({say, truth}, inputs, wrongs, {sex, needed}) {
  const {ranges} = truth.measures;
  let right = true;
  const tell = (name, problem) => {
    wrongs[name].textContent = problem;
    inputs[name].setAttribute("aria-invalid", String(Boolean(problem)));
    if (problem && right) inputs[name].focus();
    right &&= !problem;
  };
  const about = (text, problem) => problem && say("field_wrong", {value: text.trim(), problem});
  const number = (name, more = () => "") => {
    const text = inputs[name].value;
    const {value, problem} = typedNumber(truth, ranges[name], text);
    tell(name, about(text, problem) || more(value));
    return value;
  };
  const gestation = () => {
    const {gestational_age_days: weeks, gestation_rest: days} = inputs;
    const {value, code} = typedGestation(weeks.value, days.value);
    days.setAttribute("aria-invalid", String(Boolean(code)));
    // Of completed weeks "weeks?" would be no hint.
    const allowed = ranges.gestational_age_days;
    const problem = value !== null && outside(truth, {...allowed, mistakes: []}, value);
    const [text, low, high] = [value, allowed.low, allowed.high].map((day) => weeksText(truth, day));
    tell("gestational_age_days", problem ? say("gestation_outside", {value: text, low, high})
      : code && say(code, {weeks: weeks.value.trim(), days: days.value.trim()}));
    return value;
  };
  const byDate = ageOf(inputs.birth_date.value);
  tell("birth_date", byDate < 0 ? say("birth_date_future") : "");
  if (!inputs.age_days.value.trim() && byDate !== null && byDate >= 0) {
    inputs.age_days.value = String(byDate); // a date of birth is not left unused
  }
  const visit = {
    age_days: number("age_days", (age) => age === null || byDate === null || byDate < 0
      || Math.abs(byDate - age) <= truth.measures.near_days ? ""
      : say("age_not_by_date", {age, days: byDate})),
    sex, gestational_age_days: gestation(), birth_weight_g: number("birth_weight_g"),
    reference_cm: number("reference_cm", (length) => length === null && needed
      ? say("reference_needed") : ""),
  };
  visit.reference_cm ??= truth.measures.default_reference_cm;
  return right ? visit : null;
}

/** What is known of a kept child as it would be typed; the age is of today, by the date of birth. */
export function typedOf({id, birth_date: birthDate, sex, gestational_age_days: gestation,
  birth_weight_g: weight, visits}) {
  const text = (value) => value === null || value === undefined ? "" : String(value);
  return {infant_id: id, birth_date: birthDate, sex, birth_weight_g: text(weight),
    gestational_age_days: gestation ? String(Math.floor(gestation / 7)) : "",
    gestation_rest: gestation ? String(gestation % 7) : "",
    reference_cm: text(visits.at(-1)?.visit.reference_cm)};
}

function today() {
  const now = new Date();
  return [now.getFullYear(), now.getMonth() + 1, now.getDate()]
    .map((part) => String(part).padStart(2, "0")).join("-");
}

/** Whole days from a date of birth to today, both as the calendar of this place has them. */
function ageOf(date) {
  return date ? Math.round((Date.parse(today()) - Date.parse(date)) / DAY_MS) : null;
}
