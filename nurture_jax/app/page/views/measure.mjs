// A measurement: what is known, the video, progress, and the result or what to do better.

import {recordOf} from "../clinic/record.mjs";
import {scaleOf} from "../clinic/scale.mjs";
import {el} from "../dom.mjs";
import {loadAnew} from "../offline.mjs";
import {sampleClip} from "../record/video.mjs";
import {recordVideo} from "./camera.mjs";
import {childForm} from "./form.mjs";
import {earlierVisits, lookUp} from "./keep.mjs";
import {resultView} from "./result.mjs";

const HASHED_BYTES = 512 * 1024 * 1024; // a larger file is not read as a whole for its hash
const TICK_MS = 500; // of the seconds beside the progress
// Problems that another value of a field mends: the video, which may be filmed just now, is kept.
const OF_FIELDS = ["not_before", "kept_as_girl", "kept_as_boy", "kept_gestation",
  "kept_birth_weight", "kept_birth_date"];
// Problems that another copy of the page mends.
const LOADED_ANEW = ["altered_model", "no_model", "no_number"];

/**
 * wish: {typed: what the form holds, film: whether to look at the video first, problem: what is
 * told, held: a video to go on with, first: what has to be corrected before, file: a video to begin
 * with}, or {record, known, unread, held} to show a result.
 */
export function measureView(app, main, wish) {
  if (wish.record) {
    resultView(app, main, wish);
    return;
  }
  const {say} = app.words;
  const form = childForm(app.words, scaleOf(app.card), wish.typed);
  const message = el("div", {role: "alert"});
  const waiting = el("div", {role: "alert", class: "waiting"}); // stays in view while fields are mended
  const choose = el("input", {type: "file", accept: "video/*", id: "file", hidden: true,
    onchange: () => choose.files[0] && begin(choose.files[0])});
  const record = el("button", {type: "button", class: "main", id: "record",
    onclick: film}, say("record"));
  const capture = el("section", {class: "card"}, el("h2", {}, say("video")),
    el("p", {class: "hint"}, say("video_hint")),
    app.card.clip.fit === "crop" && el("p", {class: "hint"}, say("video_hint_square")),
    el("div", {class: "actions"}, record,
      el("button", {type: "button", id: "choose", onclick: () => choose.click()}, say("choose"))),
    choose, message);
  main.append(form.element, capture, waiting);
  const again = () => ({typed: form.typed()});
  app.shown = {again};

  async function film() {
    message.replaceChildren();
    if (!form.read()) return;
    record.disabled = true;
    waiting.hidden = true; // what it holds is there again where filming is given up
    const stop = new AbortController();
    app.shown = {again, leave: () => stop.abort()};
    try {
      const file = await recordVideo(app.words, capture, stop.signal);
      if (file) begin(file);
    } catch (error) {
      message.replaceChildren(...problemParts(app, error));
    } finally {
      record.disabled = false;
      waiting.hidden = false;
    }
  }

  function begin(file) {
    const known = form.read();
    choose.value = ""; // so that the same file can be chosen again
    if (known) {
      waiting.replaceChildren();
      progress(app, capture, file, known);
      return;
    }
    // The video is not lost for a field that has to be corrected.
    goOnFirst("fields_first", file);
  }

  function goOnFirst(first, held) {
    app.shown = {again: () => ({typed: form.typed(), held, first})};
    message.replaceChildren();
    waiting.replaceChildren(el("p", {}, say(first)), goOn(held));
  }

  function goOn(file) {
    return el("div", {class: "actions"}, el("button", {type: "button", class: "main", id: "go-on",
      onclick: () => begin(file)}, say("go_on")));
  }

  if (wish.file) begin(wish.file);
  if (wish.film) capture.scrollIntoView({block: "end"});
  if (wish.first) goOnFirst(wish.first, wish.held);
  if (wish.first === "length_first") form.element.querySelector("#reference_cm").focus();
  if (!wish.problem) return;
  message.replaceChildren(...problemParts(app, wish.problem),
    ...OF_FIELDS.includes(wish.problem.code) ? [goOn(wish.held)] : []);
  message.scrollIntoView({block: "center"});
}

/** A problem in words, with what mends it. */
function problemParts(app, problem) {
  const text = el("p", {class: "wrong"}, app.problemText(problem));
  const anew = () => loadAnew().catch((error) => text.replaceChildren(app.problemText(error)));
  return [text, LOADED_ANEW.includes(problem.code) && el("div", {class: "actions"},
    el("button", {type: "button", id: "load-anew", onclick: anew}, app.words.say("load_anew")))]
    .filter(Boolean);
}

/** Estimates in the place of `host`'s content, and shows the result or what is wrong. */
async function progress(app, host, file, known) {
  const {say} = app.words;
  const stop = new AbortController();
  const {signal} = stop;
  const text = el("h2", {role: "status"}, say("opening"));
  const bar = el("progress", {max: 1, value: 0, "aria-label": say("video")});
  const since = el("p", {class: "quiet spin"});
  const began = performance.now();
  const tick = () => {
    const ticks = Math.round((performance.now() - began) / TICK_MS);
    since.textContent = say("since", {seconds: ticks * TICK_MS / 1000});
  };
  const clock = setInterval(tick, TICK_MS);
  tick();
  host.replaceChildren(text, bar, since, el("div", {class: "actions"}, el("button", {type: "button",
    id: "cancel", onclick: () => app.show("measure", {typed: known.typed})}, say("cancel"))));
  host.scrollIntoView({block: "nearest"});
  app.shown = {again: () => ({typed: known.typed, file}), leave: () => stop.abort()};
  const steps = {
    decoded(share) {
      signal.throwIfAborted();
      bar.value = share;
      text.textContent = say("decoding", {percent: Math.round(100 * share)});
    },
    computing() {
      signal.throwIfAborted();
      bar.removeAttribute("value");
      text.textContent = say("computing");
    },
  };
  try {
    const found = await estimate(app, file, known, steps);
    if (!signal.aborted) app.show("measure", {...found, known, held: file});
  } catch (problem) {
    if (!signal.aborted) app.show("measure", {typed: known.typed, problem, held: file});
  } finally {
    clearInterval(clock);
  }
}

/**
 * From a file to {record: of the visit, which says everything as Python does, in English; unread:
 * why earlier visits could not be read}.
 */
async function estimate({ask, card, truth}, file, known, steps) {
  const {visit} = known;
  const opening = ask("open", {}); // beside the decoding
  opening.catch(() => {}); // told below
  const {before, unread} = await lookUp(known.infantId);
  const earlier = earlierVisits(truth, before, known);
  const clip = await sampleClip(truth, file, card.clip, steps.decoded);
  steps.computing();
  await opening;
  const looked = await ask("look", {truth, clip, visit, earlier});
  const sha256 = file.size > HASHED_BYTES ? null : await hashOf(file);
  const {duration, width, height, way} = clip;
  const record = recordOf(card, {infantId: known.infantId, visit, earlier, looked,
    video: {suffix: suffixOf(truth, file.name), sha256, duration, width, height, way},
    time: new Date().toISOString()});
  return {record, unread};
}

/** What kind of file it is; its name may be that of a child, and is kept nowhere. */
function suffixOf(truth, name) {
  return truth.video.suffixes.find((each) => name.toLowerCase().endsWith(each)) ?? "";
}

async function hashOf(file) {
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
