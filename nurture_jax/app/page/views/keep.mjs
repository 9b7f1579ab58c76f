// Keeps a visit on this phone, on request only, and finds the visits before it.

import {assessment} from "../clinic/assessment.mjs";
import {earlierOf} from "../clinic/record.mjs";
import {el} from "../dom.mjs";
import {Problem} from "../problem.mjs";
import {child, keep} from "../store.mjs";
import {mustBeSame} from "./same_child.mjs";

/**
 * {before: the child that is kept under a name, unread: why it could not be read}, both left out
 * where there is none: a browser that keeps nothing estimates all the same.
 */
export async function lookUp(infantId) {
  try {
    return infantId ? {before: await child(infantId)} : {};
  } catch (unread) {
    return {unread};
  }
}

/**
 * Earlier visits of the child `before`; one on the same day cannot be compared.
 *
 * Throws a Problem where it is another child, or has a later visit.
 */
export function earlierVisits(truth, before, known) {
  mustBeSame(before, known);
  const visits = before?.visits ?? [];
  const {age_days: age} = known.visit;
  const late = visits.map(({visit}) => visit.age_days)
    .find((day) => age !== null && day !== null && day > age);
  if (late !== undefined) throw new Problem("not_before", {day: late});
  return visits.map((each) => earlierOf(truth, each)).filter(Boolean)
    .filter(({age_days: day}) => age === null || day < age);
}

/**
 * wish: {record, known, kept: whether it was kept, unread: why earlier visits could not be read},
 * as the view of the result has it.
 */
export function keepCard(app, wish) {
  const {say} = app.words;
  const id = wish.known.infantId;
  if (wish.kept) {
    const see = el("button", {type: "button", id: "see-child", onclick: () =>
      app.show("children", {id})}, say("see_child"));
    return el("section", {class: "card"}, el("p", {role: "status"}, say("kept", {id})),
      el("div", {class: "actions"}, see));
  }
  const told = el("p", {class: "wrong", role: "alert", id: "keep-wrong"}, wish.unread
    && say("not_compared", {id, why: app.problemText(wish.unread)}));
  const name = el("input", {type: "text", id: "keep-name", maxlength: 64, autocomplete: "off",
    "aria-describedby": "keep-wrong"});
  const button = el("button", {type: "button", id: "keep", onclick: async () => {
    const under = id || name.value.trim();
    if (!under) {
      told.textContent = say("keep_needs_id");
      name.focus();
      return;
    }
    button.disabled = true; // a second touch would keep it twice
    try {
      app.show("measure", {...await kept(app, wish, under), kept: true, focus: false});
      document.querySelector("#see-child").focus();
    } catch (error) {
      button.disabled = false;
      told.textContent = app.problemText(error);
    }
  }}, say("keep"));
  return el("section", {class: "card"},
    !id && el("label", {class: "field", for: "keep-name"}, say("infant_id"), name),
    el("div", {class: "actions"}, button), told);
}

/** Keeps the visit under a name; what is kept by now tells its earlier visits. */
async function kept({truth, card}, {record: told, known: given}, id) {
  const before = await child(id);
  const {visit, estimates} = told;
  const earlier = earlierVisits(truth, before, given);
  const record = {...told, infant_id: id, earlier,
    found: assessment(truth, card.calibration.intervals, visit, estimates, earlier)};
  const known = {...given, infantId: id, typed: {...given.typed, infant_id: id}};
  await keep({...before, id, ...whatIsKnown(before, known),
    visits: [...before?.visits ?? [], record]});
  return {record, known};
}

/** What was given now, or else what was known before. */
function whatIsKnown(before, {birthDate, visit}) {
  return {birth_date: birthDate || before?.birth_date || "", sex: visit.sex || before?.sex || "",
    gestational_age_days: visit.gestational_age_days ?? before?.gestational_age_days ?? null,
    birth_weight_g: visit.birth_weight_g ?? before?.birth_weight_g ?? null};
}
