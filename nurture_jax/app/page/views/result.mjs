// The result of a recording: the plain line, measures with intervals, or why there is none.

import {assessment, measureText} from "../clinic/assessment.mjs";
import {listed} from "../clinic/advice.mjs";
import {failures} from "../clinic/checks.mjs";
import {said, signed} from "../clinic/numbers.mjs";
import {scaleOf} from "../clinic/scale.mjs";
import {el, offer, svg} from "../dom.mjs";
import {bundle} from "../exports/fhir.mjs";
import {lineOf, qrPath} from "../exports/qr.mjs";
import {columnsOf, csv, rowOf} from "../exports/table.mjs";
import {keepCard} from "./keep.mjs";

/** wish: {record: see clinic/record.mjs, known: what the form gave}, and more of keep.mjs. */
export function resultView(app, main, wish) {
  const {say} = app.words;
  const {record, known} = wish;
  app.shown = {again: () => wish};
  const typed = (more) => app.show("measure", {typed: known.typed, ...more});
  if (record.found) {
    const told = {...record, found: inWords(app, record)};
    main.append(adviceCard(app.words, told), measuresCard(app.words, told),
      keepCard(app, wish), exportCard(app, record), el("div", {class: "actions"},
        el("button", {type: "button", class: "main", id: "next", onclick: () => app.show("measure")},
          say("next_child")),
        el("button", {type: "button", id: "again", onclick: () => typed()}, say("again"))));
  } else {
    main.append(refusalCard(app, record), el("div", {class: "actions"}, el("button",
      {type: "button", class: "main", id: "again", onclick: () => typed({film: true})},
      say("film_again"))),
    exportCard(app, record));
  }
}

/** The assessment in the language of the page; the record says it in English wherever it goes. */
function inWords({words, card}, {visit, estimates, earlier}) {
  return assessment(words.truth, card.calibration.intervals, visit, estimates, earlier);
}

function adviceCard({say, truth, grouped}, {found: {advice}}) {
  return el("section", {class: `card line ${advice.lineName}`, "aria-label": say("result")},
    el("h2", {id: "line"}, advice.line),
    advice.reasons.length > 0 && el("ul", {}, advice.reasons.map((each) => el("li", {}, grouped(each)))),
    !advice.reasons.length && advice.judged.length > 0
      && el("p", {}, say("judged_by", {topics: listed(truth, advice.judged)})),
    advice.notJudged.length > 0
      && el("p", {}, say("not_judged", {list: grouped(advice.notJudged.join(", "))})),
    advice.notes.map((note) => el("p", {}, grouped(note))));
}

function measuresCard(words, {found, gate, visit, model_sha256: hash, time}) {
  const {say, truth, number, date} = words;
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
    found.lacks.length > 0 && say("lacks", {lacks: found.lacks.join("; ")}),
    gate.notDone.length > 0 && say("not_checked",
      {checks: gate.notDone.map((check) => truth.rules.gate[check].reason).join("; ")}),
    say("model", {hash: hash.slice(0, 12), time: date(time)})];
  return el("section", {class: "card"}, found.findings.map(measure),
    lines.filter(Boolean).map((line) => el("p", {class: "quiet"}, line)));
}

/** Why there is no z-score; of a measure without a standard by its name for people. */
function reasonOf(truth, name, {reason}) {
  return truth.measures.scored.includes(name) ? reason
    : said(truth.rules.no_standard.measure, {measure: truth.measures.all[name].label});
}

function refusalCard({words, card}, {gate}) {
  const {say, significant, truth} = words;
  const told = failures(truth, gate.measured, card.calibration.limits, card.clip.fit, gate.highest,
    scaleOf(card));
  return el("section", {class: "card line refused", "aria-label": say("refused")},
    el("h2", {id: "line"}, say("refused")),
    el("ul", {class: "reasons"}, told.map(({check, reason, advice, measured, limit, unit}) =>
      el("li", {"data-check": check}, el("p", {}, el("strong", {}, say("advice_sentence", {advice}))),
        el("p", {}, `${reason} `), el("span", {class: "quiet"}, `(${say("measured_against",
          {measured: significant(measured, 3), limit: significant(limit, 6), unit})})`)))));
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
    button("qr", () => code.replaceChildren(qrImage(say, record)))), code);
}

function qrImage(say, record) {
  const line = lineOf(record);
  const {path, side} = qrPath(line);
  return svg("svg", {class: "qr", viewBox: `-4 -4 ${side + 8} ${side + 8}`, role: "img",
    "aria-label": say("qr_label", {line}), "shape-rendering": "crispEdges"},
  svg("path", {d: path}));
}
