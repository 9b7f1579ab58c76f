// The page: starts here. Three views (measure, children, about), one language at a time.

import {el} from "./dom.mjs";
import {LANGUAGES, language, preferred} from "./language.mjs";
import {keepOffline} from "./offline.mjs";
import {Problem} from "./problem.mjs";
import {aboutView} from "./views/about.mjs";
import {childrenView} from "./views/children.mjs";
import {measureView} from "./views/measure.mjs";

const VIEWS = {measure: measureView, children: childrenView, about: aboutView};
const $ = (id) => document.getElementById(id);

/**
 * What every view is given. `show(view, wish)` changes the view. A view sets `shown`: `again()`
 * gives the wish that draws it as it is, `leave()` ends what it has begun, `tab()` is called where its
 * own tab is touched.
 */
const app = {view: "measure", shown: {}, words: null, card: null, truth: null, ask: null, show,
  problemText};
let measured = {}; // the wish of what was measured when another view was opened
let news = null; // what is told above the view: {name, act, actName}

async function start() {
  const json = async (name) => (await fetch(name)).json();
  [app.truth, app.card] = await Promise.all([json("handed_over.json"), json("card.json")]);
  app.ask = asker();
  await speak(preferred());
  $("language").append(...Object.entries(LANGUAGES).map(([code, name]) =>
    el("option", {value: code, selected: code === app.words.code, lang: code}, name)));
  $("language").addEventListener("change", ({target}) => speak(target.value));
  // A file that is dropped beside its place must not replace the page with what was typed.
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
  keepOffline(tell);
}

/** Says everything in a language; what is on show stays, and what was typed. */
async function speak(code) {
  try {
    app.words = await language(code, app.truth);
  } catch (error) {
    if (!app.words) throw error;
    $("language").value = app.words.code;
    tell("no_words");
    return;
  }
  $("research").textContent = app.words.say("research");
  $("language-label").textContent = app.words.say("language");
  show(app.view, {...app.shown.again?.(), focus: false});
  if (news) tell(news.name, news.actName, news.act);
}

/** Shows a view; `wish` is handed to it, such as the child that is measured. */
function show(name, wish = {}) {
  if (app.view === "measure" && name !== "measure") measured = app.shown.again?.() ?? {};
  app.shown.leave?.();
  app.shown = {};
  app.view = name;
  $("tabs").replaceChildren(...Object.keys(VIEWS).map((view) => el("button",
    {type: "button", "aria-current": view === name && "page", onclick: () => open(view)},
    app.words.say(`tab_${view}`))));
  $("main").replaceChildren();
  if (wish.focus !== false) {
    if (news && !news.act) hush();
    $("main").focus({preventScroll: true});
    scrollTo(0, 0);
  }
  VIEWS[name](app, $("main"), wish); // last, as it may scroll to what is to be read first
}

/** A view by its tab: the measurement as it was left, what follows it, or the list of children. */
function open(view) {
  if (view !== "measure") show(view);
  else if (app.view !== "measure") show(view, measured);
  else app.shown.tab?.();
}

/** Tells something above the view, with something that can be done about it. */
function tell(name, actName = "", act = null) {
  news = {name, actName, act};
  $("update").replaceChildren(app.words.say(name), " ",
    ...act ? [el("button", {type: "button", onclick: act}, app.words.say(actName))] : []);
}

function hush() {
  news = null;
  $("update").replaceChildren();
}

/** What a person is told of an error. */
function problemText(error) {
  return error instanceof Problem ? app.words.say(error.code, error.parts)
    : app.words.say("something", {why: String(error?.message ?? error)});
}

/** A function that has the worker do a task and gives its result; it is started when needed. */
function asker() {
  let worker;
  let number = 0;
  const waiting = new Map();
  const begin = () => {
    worker = new Worker("worker.mjs", {type: "module"});
    worker.onmessage = ({data}) => {
      const {resolve, reject} = waiting.get(data.number);
      waiting.delete(data.number);
      if (data.problem) reject(new Problem(data.problem.code, data.problem.parts));
      else resolve(data.result);
    };
    worker.onerror = (event) => { // it could not start, or ran out of memory
      for (const {reject} of waiting.values()) {
        reject(new Problem("cannot_run", {why: event.message ?? "memory"}));
      }
      waiting.clear();
      worker = null;
    };
  };
  return (task, asked) => new Promise((resolve, reject) => {
    if (!worker) begin();
    waiting.set(++number, {resolve, reject});
    worker.postMessage({number, task, asked:
      {...asked, base: new URL("./", location.href).href, card: app.card}});
  });
}

start().catch((error) => {
  $("main").textContent = app.words ? problemText(error)
    // No words could be loaded, so both languages are here.
    : "The page could not be loaded; open it once with a connection. "
      + "पेज नहीं खुल सका; उसे एक बार इंटरनेट के साथ खोलें।";
});
