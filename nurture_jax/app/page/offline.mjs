// Has the service worker keep the page, so that it opens without a network, and loads it anew.

import {Problem} from "./problem.mjs";

/** Keeps the page; tell(name, actName, act) says so, and offers a new version once it is there. */
export async function keepOffline(tell) {
  try {
    const {serviceWorker} = navigator;
    const first = !serviceWorker.controller;
    serviceWorker.addEventListener("controllerchange", () => {
      if (!first) location.reload();
    });
    // Its list of files is asked for anew too, whatever the server says of how long it keeps.
    const registration = await serviceWorker.register("sw.mjs",
      {type: "module", updateViaCache: "none"});
    const offer = () => tell("new_version", "take_over",
      () => registration.waiting.postMessage("take over"));
    if (registration.waiting && !first) offer();
    registration.addEventListener("updatefound", () => {
      const coming = registration.installing;
      coming.addEventListener("statechange", () => {
        if (coming.state === "installed" && !first) offer();
      });
    });
    await serviceWorker.ready;
    document.documentElement.dataset.offline = "ready";
    if (first) tell("offline_ready");
  } catch { // no HTTPS, or nothing may be kept: it works as long as the server does
    document.documentElement.dataset.offline = "no";
  }
}

/**
 * Loads the whole page anew from its server; kept children stay.
 *
 * Throws a Problem without a connection, before anything is given up.
 */
export async function loadAnew() {
  try { // the service worker answers GET alone, so this asks the server
    const {ok} = await fetch("./", {method: "HEAD", cache: "no-store"});
    if (!ok) throw new Error("no page");
  } catch {
    throw new Problem("no_connection");
  }
  for (const registration of await navigator.serviceWorker?.getRegistrations() ?? []) {
    await registration.unregister();
  }
  for (const name of await caches.keys()) await caches.delete(name);
  location.reload();
}
