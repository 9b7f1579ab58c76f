// Children on this phone, in IndexedDB, only when the user has asked for it.
// A child is {id, birth_date, sex, gestational_age_days, birth_weight_g, visits: [visit]}; a visit
// is {id, time, age_days, estimates, advice...} as `clinic/record.mjs` makes it. No video is kept.

import {Problem} from "./problem.mjs";

const DATABASE = "nurture_children";
const STORE = "children";

/** Runs `work` on the store; a browser without storage is a Problem. */
async function inStore(mode, work) {
  let database;
  try {
    database = await settled(Object.assign(indexedDB.open(DATABASE, 1), {
      onupgradeneeded: ({target}) => target.result.createObjectStore(STORE, {keyPath: "id"})}));
  } catch {
    throw new Problem("no_storage");
  }
  try {
    const transaction = database.transaction(STORE, mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
    const result = await settled(work(transaction.objectStore(STORE)));
    await done;
    return result;
  } catch (error) {
    throw error?.name === "QuotaExceededError" ? new Problem("storage_full") : error;
  } finally {
    database.close();
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Problem("storage_in_use"));
  });
}

/** All children that are kept, by id. */
export function children() {
  return inStore("readonly", (store) => store.getAll());
}

export function child(id) {
  return inStore("readonly", (store) => store.get(id));
}

export async function keep(record) {
  await navigator.storage?.persist?.().catch(() => {}); // a browser may erase the rest when it is full
  return inStore("readwrite", (store) => store.put(record));
}

/** Erases one child with all visits. */
export function erase(id) {
  return inStore("readwrite", (store) => store.delete(id));
}

/** Erases the whole database. */
export async function eraseAll() {
  try {
    await settled(indexedDB.deleteDatabase(DATABASE));
  } catch (error) {
    throw error instanceof Problem ? error : new Problem("no_storage");
  }
}
