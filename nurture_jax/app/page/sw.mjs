// Keeps the files of the page, and nothing else, so that it opens without a network.
// A child's data never comes here: it is never part of a request.

import {FILES, SAFETY, VERSION} from "./files.mjs";

const CACHE = `nurture-${VERSION}`;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) =>
    cache.addAll(FILES.map((name) => new Request(name, {cache: "reload"})))));
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith("nurture-") && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  })());
});

self.addEventListener("message", ({data}) => {
  if (data === "take over") self.skipWaiting(); // the user has asked for the new version
});

self.addEventListener("fetch", (event) => {
  const {request} = event;
  const own = new URL(request.url).origin === self.location.origin;
  if (request.method !== "GET" || !own || request.headers.has("range")) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const kept = await (await caches.open(CACHE)).match(request, {ignoreSearch: true});
  const response = kept ?? await fetch(request);
  if (response.status !== 200) return response;
  const headers = new Headers(response.headers);
  // A static server need not send them: the policy, for the worker too, and what isolates the page,
  // which allows several threads.
  for (const [name, value] of Object.entries(SAFETY)) headers.set(name, value);
  return new Response(response.body, {status: response.status, headers});
}
