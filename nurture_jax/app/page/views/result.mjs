// The result of a recording: the plain line, measures with intervals, or why there is none.

import {assessment, measureText} from "../clinic/assessment.mjs";
import {listed} from "../clinic/advice.mjs";
import {failures} from "../clinic/checks.mjs";
import {weeksText} from "../clinic/growth.mjs";
import {lackedInputs} from "../clinic/intervals.mjs";
import {said, signed} from "../clinic/numbers.mjs";
import {scaleOf, toldCm} from "../clinic/scale.mjs";
import {el, offer, svg} from "../dom.mjs";
import {bundle} from "../exports/fhir.mjs";
import {lineOf, qrPath} from "../exports/qr.mjs";
import {columnsOf, csv, rowOf} from "../exports/table.mjs";
import {keepCard} from "./keep.mjs";

// Checks that another length of the ruler may pass: the video need not be filmed again.
const OF_LENGTH = ["reference_length_new", "reference_wrongly_told"];

/**
 * wish: {record: see clinic/record.mjs, known: what the form gave, held: the video}, and more of
 * keep.mjs.
 */
export function resultView(app, main, wish) {
  const {say} = app.words;
  const {record, known, kept} = wish;
  // The next visit is of another day; the age follows from the date of birth, or is typed anew.
  const typed = (more) => app.show("measure",
    {typed: kept ? {...known.typed, age_days: ""} : known.typed, ...more});
  const again = () => wish;
  if (record.found) {
    const told = {...record, found: inWords(app, record)};
    main.append(adviceCard(app.words, told), measuresCard(app.words, told),
      keepCard(app, wish), el("div", {class: "actions"},
        el("button", {type: "button", class: "main", id: "next", onclick: () => app.show("measure")},
          say("next_child")),
        el("button", {type: "button", id: "again", onclick: () => typed()}, say("again"))),
      exportCard(app, record));
    const ways = main.querySelector("#next").parentElement;
    app.shown = {again, tab: () => ways.scrollIntoView({block: "center"})};
  } else {
    const told = failuresOf(app, record);
    const ofLength = told.some(({check}) => OF_LENGTH.includes(check));
    main.append(refusalCard(app.words, told), el("div", {class: "actions"}, el("button",
      {type: "button", class: "main", id: "again", onclick: () => typed({film: true})},
      say("film_again")),
    ofLength && wish.held && el("button", {type: "button", id: "correct-length",
      onclick: () => typed({held: wish.held, first: "length_first"})}, say("correct_length"))),
    exportCard(app, record));
    app.shown = {again, tab: () => typed()};
  }
}

/** The assessment in the language of the page; the record says it in English wherever it goes. */
function inWords({words, card}, {visit, estimates, earlier}) {
  return assessment(words.truth, card.calibration.intervals, visit, estimates, earlier);
}

function adviceCard(words, {found: {advice}, visit}) {
  const {say, truth, grouped} = words;
  const lacking = lackedInputs(truth, visit);
  return el("section", {class: `card line ${advice.lineName}`, "aria-label": say("result")},
    el("h2", {id: "line"}, advice.line),
    advice.reasons.length > 0 && el("ul", {}, advice.reasons.map((each) => el("li", {}, grouped(each)))),
    !advice.reasons.length && advice.judged.length > 0
      && el("p", {class: "judged"}, say(advice.judged.length > 1 ? "judged_by" : "judged_by_one",
        {topics: listed(truth, advice.judged)})),
    advice.notJudged.length > 0
      && el("p", {}, say("not_judged", {list: grouped(advice.notJudged.join(", "))})),
    advice.notes.map((note) => el("p", {}, grouped(note))),
    lacking.length > 0 && el("p", {id: "lacks"}, say("lacks",
      {inputs: listed(truth, lacking.map((name) => truth.rules.inputs[name]))})));
}

/** Whose result it is, as it was typed: a wrong entry is seen before the visit is kept. */
function childText({say, truth, number}, {infant_id: id, visit}) {
  const {age_days: age, sex, gestational_age_days: gestation, birth_weight_g: weight} = visit;
  const known = [id, sex && say(sex === "F" ? "girl" : "boy"),
    age !== null && `${number(age)} ${say("days")}`,
    gestation !== null && say("born_at", {gestation: weeksText(truth, gestation)}),
    weight !== null && say("weight_at_birth", {weight: number(weight)}),
    `${say("frame_ruler")} ${number(toldCm(truth, visit))} ${say("centimetres")}`];
  return known.filter(Boolean).join(", ");
}

function measuresCard(words, record) {
  const {say, truth, number, date} = words;
  const {found, gate, visit, model_sha256: hash, time} = record;
  const measure = ({measure: name, estimate, low, high, place}) => {
    const {label, unit, digits} = truth.measures.all[name];
    const text = (value) => number(Number(measureText(truth, name, value)), digits);
    return el("div", {class: "measure", "data-measure": name}, el("h3", {}, label),
      el("span", {class: "value", "data-value": estimate}, `${text(estimate)} ${unit}`), " ",
      el("span", {class: "span"}, Number.isFinite(low)
        ? say("interval", {low: text(low), high: text(high), unit}) : say("no_interval")),
      el("p", {class: "quiet"}, place.reason !== undefined
        ? say("no_place", {reason: reasonOf(truth, name, place)})
        : say("place", {z: signed(place.z, 2), centile: number(place.centile)})));
  };
  const stands = found.findings.find(({place}) => place.reason === undefined);
  const lines = [
    stands && say("standard", {standard: stands.place.standard, why: stands.place.why}),
    found.birthClass && say("born", {weight: number(visit.birth_weight_g),
      class_text: found.birthClass.text}),
    found.change !== null && say("change", {change: signed(found.change, 1)}),
    gate.notDone.length > 0 && say("not_checked",
      {checks: gate.notDone.map((check) => truth.rules.gate[check].reason).join("; ")}),
    say("model", {hash: hash.slice(0, 12), time: date(time)})];
  const costs = found.lacks.length > 0 && el("details", {class: "quiet"},
    el("summary", {}, say("lacks_costs")),
    el("ul", {}, found.lacks.map((each) => el("li", {}, each))));
  return el("section", {class: "card"}, el("p", {class: "quiet", id: "of-child"},
    childText(words, record)), found.findings.map(measure), costs,
  lines.filter(Boolean).map((line) => el("p", {class: "quiet"}, line)));
}

/** Why there is no z-score; of a measure without a standard by its name for people. */
function reasonOf(truth, name, {reason}) {
  return truth.measures.scored.includes(name) ? reason
    : said(truth.rules.no_standard.measure, {measure: truth.measures.all[name].label});
}

/** What the gate found, in the language of the page. */
function failuresOf({words: {truth}, card}, {gate}) {
  return failures(truth, gate.measured, card.calibration.limits, card.clip.fit, gate.highest,
    scaleOf(card));
}

function refusalCard({say, significant}, told) {
  return el("section", {class: "card line refused", "aria-label": say("refused")},
    el("h2", {id: "line"}, say("refused")),
    el("ul", {class: "reasons"}, told.map(({check, reason, advice, measured, limit, unit}) =>
      el("li", {"data-check": check}, el("p", {}, el("strong", {}, say("advice_sentence", {advice}))),
        el("p", {}, `${reason} `), el("span", {class: "quiet"},
          `(${say(measured < limit ? "measured_least" : "measured_most",
            {measured: significant(measured, 3), limit: significant(limit, 3), unit})})`)))));
}

/** The visit as files and as a code, made here and handed to the user alone. */
function exportCard({words: {say}, truth, card}, record) {
  const name = `nurture_${record.id}`;
  const code = el("div", {"aria-live": "polite"});
  const button = (what, act) => el("button", {type: "button", id: `export-${what}`, onclick: act},
    say(`export_${what}`));
  return el("section", {class: "card"}, el("h2", {}, say("export")), el("div", {class: "actions"},
    button("fhir", () => offer(`${name}.fhir.json`, "application/fhir+json",
      JSON.stringify(bundle(truth, record), null, 1))),
    button("csv", () => offer(`${name}.csv`, "text/csv",
      csv(columnsOf(truth, card, [record]), [rowOf(truth, record)]))),
    button("json", () => offer(`${name}.json`, "application/json", `${JSON.stringify(record)}\n`)),
    button("qr", () => {
      code.replaceChildren(qrImage(say, record));
      code.scrollIntoView({block: "center"});
    })), !record.infant_id && el("p", {class: "quiet"}, say("export_unnamed")), code);
}

function qrImage(say, record) {
  const line = lineOf(record);
  const {path, side} = qrPath(line);
  return svg("svg", {class: "qr", viewBox: `-4 -4 ${side + 8} ${side + 8}`, role: "img",
    "aria-label": say("qr_label", {line}), "shape-rendering": "crispEdges"},
  svg("path", {d: path}));
}
