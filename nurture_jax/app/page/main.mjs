// The page: starts here. Three views (measure, children, about), one language at a time.

import {el} from "./dom.mjs";
import {LANGUAGES, language, preferred} from "./language.mjs";
import {Problem} from "./problem.mjs";
import {aboutView} from "./views/about.mjs";
import {childrenView} from "./views/children.mjs";
import {measureView} from "./views/measure.mjs";

const VIEWS = {measure: measureView, children: childrenView, about: aboutView};
const $ = (id) => document.getElementById(id);

/** What every view is given; `show(view, wish)` changes the view. */
const app = {view: "measure", words: null, card: null, truth: null, ask: null, show, problemText};

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
  keepOffline();
}

async function speak(code) {
  app.words = await language(code, app.truth);
  $("research").textContent = app.words.say("research");
  $("language-label").textContent = app.words.say("language");
  show(app.view);
}

/** Shows a view; `wish` is handed to it, such as the child that is measured. */
function show(name, wish = {}) {
  app.view = name;
  $("tabs").replaceChildren(...Object.keys(VIEWS).map((view) => el("button",
    {type: "button", "aria-current": view === name && "page", onclick: () => show(view)},
    app.words.say(`tab_${view}`))));
  $("main").replaceChildren();
  VIEWS[name](app, $("main"), wish);
  if (wish.focus !== false) $("main").focus({preventScroll: true});
  scrollTo(0, 0);
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

/** Has the service worker keep the page; a new version waits until the user asks for it. */
async function keepOffline() {
  if (!("serviceWorker" in navigator)) return;
  const first = !navigator.serviceWorker.controller;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (!first) location.reload();
  });
  try {
    const registration = await navigator.serviceWorker.register("sw.mjs", {type: "module"});
    const offer = () => $("update").replaceChildren(app.words.say("new_version"), " ", el("button",
      {type: "button", onclick: () => registration.waiting.postMessage("take over")},
      app.words.say("take_over")));
    if (registration.waiting && !first) offer();
    registration.addEventListener("updatefound", () => {
      const coming = registration.installing;
      coming.addEventListener("statechange", () => {
        if (coming.state === "installed" && !first) offer();
      });
    });
    await navigator.serviceWorker.ready;
    document.documentElement.dataset.offline = "ready";
    if (first) $("update").textContent = app.words.say("offline_ready");
  } catch { /* served without HTTPS: it works as long as the server does */ }
}

start().catch((error) => {
  $("main").textContent = app.words ? problemText(error)
    : "The page could not be loaded; open it once with a connection.";
});
