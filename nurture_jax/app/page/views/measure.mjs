// A measurement: what is known, the video, progress, and the result or what to do better.

import {earlierOf, recordOf} from "../clinic/record.mjs";
import {scaleOf} from "../clinic/scale.mjs";
import {el} from "../dom.mjs";
import {Problem} from "../problem.mjs";
import {sampleClip} from "../record/video.mjs";
import {child} from "../store.mjs";
import {recordVideo} from "./camera.mjs";
import {childForm} from "./form.mjs";
import {resultView} from "./result.mjs";

const HASHED_BYTES = 512 * 1024 * 1024; // a larger file is not read as a whole for its hash

/** wish: {known: a child that is kept, given: what the form held before}. */
export async function measureView(app, main, wish) {
  const {words} = app;
  const {say} = words;
  const form = childForm(words, scaleOf(app.card), wish.known);
  const message = el("p", {class: "wrong", role: "alert"});
  const choose = el("input", {type: "file", accept: "video/*", id: "file",
    onchange: () => choose.files[0] && begin(choose.files[0])});
  const record = el("button", {type: "button", class: "main", onclick: async () => {
    const known = form.read();
    if (!known) return;
    try {
      const file = await recordVideo(words, capture);
      if (file) await begin(file);
    } catch (error) {
      message.textContent = app.problemText(error);
    }
  }}, say("record"));
  const capture = el("section", {class: "card"}, el("h2", {}, say("video")),
    el("p", {class: "hint"}, say("video_hint")),
    el("div", {class: "actions"}, record,
      el("label", {class: "button", for: "file"}, say("choose"), choose)), message);
  main.append(form.element, capture);

  async function begin(file) {
    message.textContent = "";
    const known = form.read();
    choose.value = ""; // so that the same file can be chosen again
    if (!known) return;
    const progress = progressView(words);
    capture.replaceChildren(...progress.elements);
    try {
      const result = await estimate(app, file, known, progress);
      main.replaceChildren();
      resultView(app, main, result, known);
      main.focus({preventScroll: true});
      scrollTo(0, 0);
    } catch (error) {
      app.show("measure", {known: {...known.visit, infant_id: known.infantId,
        birth_date: known.birthDate, typed_age: known.visit.age_days}, problem: error});
    }
  }
  if (wish.problem) {
    message.textContent = app.problemText(wish.problem);
    message.scrollIntoView?.({block: "center"});
  }
}

/** A bar that moves with every frame, and breathes while the network computes. */
function progressView({say}) {
  const text = el("h2", {role: "status", class: "spin"}, say("opening"));
  const bar = el("progress", {max: 1, value: 0, "aria-label": say("video")});
  return {elements: [text, bar],
    decoded(share) {
      bar.value = share;
      text.textContent = say("decoding", {percent: Math.round(100 * share)});
    },
    computing() {
      bar.removeAttribute("value");
      text.textContent = say("computing");
    }};
}

/** From a file to a record of the visit. */
async function estimate({ask, card, words}, file, known, progress) {
  const {visit} = known;
  const opening = ask("open", {}); // beside the decoding
  opening.catch(() => {}); // told below
  const earlier = await earlierVisits(known);
  const clip = await sampleClip(words.truth, file, card.clip, progress.decoded);
  progress.computing();
  await opening;
  const looked = await ask("look", {truth: words.truth, clip, visit, earlier});
  const sha256 = file.size > HASHED_BYTES ? null : await hashOf(file);
  const {duration, width, height, way} = clip;
  return recordOf(card, {infantId: known.infantId, visit, earlier, looked,
    video: {name: file.name, sha256, duration, width, height, way}, time: new Date().toISOString()});
}

/** Earlier visits of a child that is kept; one on the same or a later day cannot be compared. */
async function earlierVisits({infantId, visit}) {
  const kept = infantId && await child(infantId).catch(() => null);
  const earlier = (kept?.visits ?? []).map(earlierOf).filter(Boolean);
  const late = earlier.find(({age_days: day}) => visit.age_days !== null && day > visit.age_days);
  if (late) throw new Problem("not_before", {day: late.age_days});
  return earlier.filter(({age_days: day}) => visit.age_days === null || day < visit.age_days);
}

async function hashOf(file) {
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
