// Keeps a visit on this phone, on request only, and finds the visits before it.

import {assessment} from "../clinic/assessment.mjs";
import {earlierOf} from "../clinic/record.mjs";
import {el} from "../dom.mjs";
import {Problem} from "../problem.mjs";
import {child, keep} from "../store.mjs";

/** Earlier visits of a child that is kept; one on the same or a later day cannot be compared. */
export async function earlierVisits(infantId, visit) {
  const kept = infantId && await child(infantId).catch(() => null);
  const earlier = (kept?.visits ?? []).map(earlierOf).filter(Boolean);
  const late = earlier.find(({age_days: day}) => visit.age_days !== null && day > visit.age_days);
  if (late) throw new Problem("not_before", {day: late.age_days});
  return earlier.filter(({age_days: day}) => visit.age_days === null || day < visit.age_days);
}

/** wish: {record, known, kept: whether it was kept}, as the view of the result has it. */
export function keepCard(app, wish) {
  const {say} = app.words;
  const id = wish.known.infantId;
  if (wish.kept) {
    const see = el("button", {type: "button", id: "see-child", onclick: () =>
      app.show("children", {id})}, say("see_child"));
    return el("section", {class: "card"}, el("p", {role: "status"}, say("kept", {id})),
      el("div", {class: "actions"}, see));
  }
  const told = el("p", {class: "wrong", role: "alert", id: "keep-wrong"});
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

/** Keeps the visit under a name; a name that is given only now brings its earlier visits. */
async function kept({truth, card}, {record, known}, id) {
  if (!known.infantId) {
    const {visit, estimates} = record;
    const earlier = await earlierVisits(id, visit);
    record = {...record, infant_id: id, earlier,
      found: assessment(truth, card.calibration.intervals, visit, estimates, earlier)};
    known = {...known, infantId: id, typed: {...known.typed, infant_id: id}};
  }
  const before = await child(id);
  await keep({...before, id, ...whatIsKnown(before, known), visits: [...before?.visits ?? [], record]});
  return {record, known};
}

/** What was given now, or else what was known before. */
function whatIsKnown(before, {birthDate, visit}) {
  return {birth_date: birthDate || before?.birth_date || "", sex: visit.sex || before?.sex || "",
    gestational_age_days: visit.gestational_age_days ?? before?.gestational_age_days ?? null,
    birth_weight_g: visit.birth_weight_g ?? before?.birth_weight_g ?? null};
}
