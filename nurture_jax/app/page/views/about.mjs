// What the page is, what it keeps, of what it is made.

import {el} from "../dom.mjs";

export function aboutView({words, card}, main) {
  const {say, truth} = words;
  const measures = new Intl.ListFormat(words.code).format(truth.measures.labels
    .filter((name) => name in card.measures).map((name) => truth.measures.all[name].label));
  const {frames, size} = card.clip;
  const {offline} = document.documentElement.dataset; // not known yet while it is being kept
  const kept = {ready: "offline_ready", no: "offline_not"}[offline];
  main.append(el("section", {class: "card"}, el("h2", {}, say("about")),
    ...["about_1", "about_2", "about_3", kept].filter(Boolean)
      .map((name) => el("p", {}, say(name, {measures}))),
    el("h3", {}, say("words")), ...["words_1", "words_2", "words_3"].map((name) => el("p", {}, say(name))),
    el("p", {class: "quiet"}, say("about_model", {hash: card.sha256.slice(0, 12), frames, size})),
    el("p", {}, el("a", {class: "link", href: "licences.txt", target: "_blank", rel: "noopener"}, say("licences")))));
}
