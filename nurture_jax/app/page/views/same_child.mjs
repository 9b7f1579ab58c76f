// Whether a visit is of the child that is kept under its name: what cannot change between visits
// (records/across_rows.py). Two children under one name would be mixed without a word.

import {Problem} from "../problem.mjs";

/** Throws a Problem where kept and typed differ; kept: the child, or nothing. */
export function mustBeSame(kept, {birthDate, visit}) {
  if (!kept) return;
  const {id} = kept;
  if (differ(kept.sex, visit.sex)) {
    throw new Problem(kept.sex === "F" ? "kept_as_girl" : "kept_as_boy", {id});
  }
  const [before, now] = [kept.gestational_age_days, visit.gestational_age_days];
  if (differ(before, now)) {
    throw new Problem("kept_gestation", {id, weeks: Math.floor(before / 7), days: before % 7,
      typed_weeks: Math.floor(now / 7), typed_days: now % 7});
  }
  if (differ(kept.birth_weight_g, visit.birth_weight_g)) {
    throw new Problem("kept_birth_weight",
      {id, weight: kept.birth_weight_g, typed: visit.birth_weight_g});
  }
  if (differ(kept.birth_date, birthDate)) {
    throw new Problem("kept_birth_date", {id, date: day(kept.birth_date), typed: day(birthDate)});
  }
}

function differ(before, now) {
  const known = (value) => value !== null && value !== undefined && value !== "";
  return known(before) && known(now) && before !== now;
}

/** A date as the calendar of this place has it; without a time it would be read as one of UTC. */
function day(date) {
  return new Date(`${date}T00:00`);
}
