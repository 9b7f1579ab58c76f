// Visits as lines of a spreadsheet, with the columns of visits.csv and the ends of the intervals.

// What begins a formula, wide forms too; the same as in deps_jax/common/files/sealed.py.
const FORMULA = /^'*[\s\x1c-\x1f\x85\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]/;

/** A cell. What a spreadsheet would run as a formula is given an apostrophe; numbers stay. */
export function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const number = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text);
  const safe = !number && FORMULA.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Rows of `columns` with a heading; lines end as RFC 4180 has it. */
export function csv(columns, rows) {
  return [columns, ...rows.map((row) => columns.map((name) => row[name]))]
    .map((cells) => cells.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** The columns of a table of visits: of all that the network estimates or that a record tells. */
export function columnsOf(truth, card, records) {
  const told = (name) => name in card.measures
    || records.some(({found}) => found?.findings.some(({measure}) => measure === name));
  return ["infant_id", "visit_id", "time", ...truth.measures.tabular, "reference_cm",
    ...truth.measures.labels.filter(told).flatMap((name) => [name, `${name}_low`, `${name}_high`, `${name}_z`,
      `${name}_standard`]),
    "accepted", "advice", "reasons", "model_sha256", "kind"];
}

/** One visit as a row. `record`: see clinic/record.mjs. */
export function rowOf(truth, record) {
  const {visit, found, gate} = record;
  const row = {infant_id: record.infant_id, visit_id: record.id, time: record.time, ...visit,
    accepted: gate.failures.length ? 0 : 1, advice: found?.advice.line ?? "",
    reasons: (found ? found.advice.reasons : gate.failures.map((each) => each.check)).join("; "),
    model_sha256: record.model_sha256, kind: "estimate of a phone video, research tool"};
  for (const {measure, estimate, low, high, place} of found?.findings ?? []) {
    const {digits} = truth.measures.all[measure];
    const text = (value) => Number.isFinite(value) ? value.toFixed(digits) : "";
    Object.assign(row, {[measure]: text(estimate), [`${measure}_low`]: text(low),
      [`${measure}_high`]: text(high), [`${measure}_z`]: place.z?.toFixed(2) ?? "",
      [`${measure}_standard`]: place.standard ?? ""});
  }
  return row;
}
