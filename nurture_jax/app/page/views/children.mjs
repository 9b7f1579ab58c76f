// Children that are kept on this phone: visits, curves, export, and how to erase them.

import {measureText} from "../clinic/assessment.mjs";
import {el, offer} from "../dom.mjs";
import {columnsOf, csv, rowOf} from "../exports/table.mjs";
import {child, children, erase, eraseAll} from "../store.mjs";
import {curve} from "./curve.mjs";
import {typedOf} from "./form.mjs";

/** wish: {id: the child that is shown}. */
export async function childrenView(app, main, wish) {
  const shown = {again: () => wish};
  app.shown = shown;
  try {
    const found = await (wish.id ? child(wish.id) : children());
    if (app.shown !== shown) return; // another view was opened meanwhile
    (wish.id ? childCard : listCard)(app, main, found);
  } catch (error) {
    if (app.shown !== shown) return;
    main.append(el("section", {class: "card"}, el("p", {class: "wrong", role: "alert"},
      app.problemText(error))));
  }
}

function listCard(app, main, kept) {
  const {words: {say}, truth} = app;
  const list = el("ul", {class: "list"}, kept.map(({id, visits}) => el("li", {}, el("button",
    {type: "button", onclick: () => app.show("children", {id})}, id,
    el("span", {class: "quiet"}, say("visits_count", {count: visits.length}))))));
  main.append(el("section", {class: "card"}, el("h2", {}, say("children")),
    kept.length ? list : el("p", {}, say("no_children")),
    !kept.length && el("div", {class: "actions"}, el("button",
      {type: "button", class: "main", onclick: () => app.show("measure")}, say("tab_measure")))));
  if (!kept.length) return;
  const records = kept.flatMap(({visits}) => visits);
  main.append(el("div", {class: "actions"}, el("button", {type: "button", id: "export-all",
    onclick: () => offer("nurture_visits.csv", "text/csv",
      csv(columnsOf(truth, app.card, records), records.map((record) => rowOf(truth, record))))}, say("export_all"))),
  erasing(app, "erase_all", {}, eraseAll));
}

function childCard(app, main, kept) {
  const {words, truth} = app;
  const {say} = words;
  const curves = truth.measures.scored.map((measure) => [measure, curve(words, kept, measure)])
    .filter(([, drawn]) => drawn);
  main.append(
    el("section", {class: "card"}, el("h2", {}, kept.id), visitsTable(words, kept),
      el("div", {class: "actions"},
        el("button", {type: "button", class: "main", id: "measure-again", onclick: () =>
          app.show("measure", {typed: typedOf(kept)})}, say("next_visit")),
        el("button", {type: "button", onclick: () => app.show("children")}, say("back")))),
    el("section", {class: "card"}, curves.length ? [...curves.map(([measure, drawn]) => [
      el("h3", {}, say("curve_of", {measure: words.truth.measures.all[measure].label,
        unit: words.truth.measures.all[measure].unit})), drawn]).flat(),
    el("p", {class: "quiet"}, say("curve_legend"))] : el("p", {}, say("curve_needs"))),
    el("div", {class: "actions"}, el("button", {type: "button", id: "export-child",
      onclick: () => offer(`nurture_child.json`, "application/json", JSON.stringify(kept, null, 1))},
    say("export_child"))),
    erasing(app, "erase_child", {id: kept.id}, () => erase(kept.id)));
}

function visitsTable({say, truth, number, date}, {visits}) {
  const heads = [say("day"), say("weight"), say("advice")];
  const row = ({visit, found, time}) => {
    const weight = found?.findings.find(({measure}) => measure === "weight_g");
    const line = truth.rules.lines.find(({name}) => name === found?.advice.lineName);
    return el("tr", {}, el("td", {}, visit.age_days === null ? date(time) : number(visit.age_days)),
      el("td", {class: "number"}, weight && `${number(Number(measureText(truth, "weight_g",
        weight.estimate)))} ${truth.measures.all.weight_g.unit}`), el("td", {}, line?.text ?? ""));
  };
  return el("table", {}, el("caption", {class: "quiet"}, say("visits")),
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", {scope: "col"}, head)))),
    el("tbody", {}, visits.map(row)));
}

/** A button that asks once more before it erases. */
function erasing(app, name, parts, act) {
  const {say} = app.words;
  const sure = name === "erase_child" ? "erase_sure" : "erase_all_sure";
  const host = el("div", {class: "actions"});
  const ask = el("button", {type: "button", class: "danger", id: name.replace("_", "-"), onclick: () => {
    const no = el("button", {type: "button", onclick: () => host.replaceChildren(ask)},
      say("erase_no"));
    host.replaceChildren(el("p", {role: "alert"}, say(sure, parts)),
      el("button", {type: "button", class: "danger", id: "erase-yes", onclick: async () => {
        try {
          await act();
          app.show("children");
        } catch (error) {
          host.append(el("p", {class: "wrong", role: "alert"}, app.problemText(error)));
        }
      }}, say("erase_yes")), no);
    no.focus();
  }}, say(name));
  host.append(ask);
  return host;
}
