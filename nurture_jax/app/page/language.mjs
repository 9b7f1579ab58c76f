// The words of one language; numbers and dates as its readers write them.

import {general, said} from "./clinic/numbers.mjs";

export const LANGUAGES = {en: "English", hi: "हिन्दी"}; // one file of `words` each
const KEPT = "nurture_language"; // the only thing that is kept without being asked

/** The language of before, or the first of the browser's that there is. */
export function preferred() {
  const wished = [stored(), ...navigator.languages.map((name) => name.slice(0, 2))];
  return wished.find((name) => name in LANGUAGES) ?? "en";
}

function stored() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // a browser that keeps nothing
  }
}

/**
 * The words of a language: {code, say(name, parts), number(value, digits),
 * significant(value, most), grouped(sentence), date(iso), truth}. Parts that are numbers, dates or
 * lists of names of measures are written in it; `digits` are those behind the point, `most` those
 * that count, as "g" of Python has them.
 *
 * truth: what Python hands over; in another language than English its sentences are replaced.
 */
export async function language(code, truth) {
  const words = await (await fetch(`words/${code}.json`)).json();
  try {
    localStorage.setItem(KEPT, code);
  } catch { /* it is asked for again next time */ }
  document.documentElement.lang = code;
  // Of the languages of the browser it knows the country too: 27 Nov 2026 or Nov 27, 2026.
  const place = navigator.languages.find((name) => name.split("-")[0] === code) ?? code;
  const number = (value, digits = 0) => new Intl.NumberFormat(place,
    {minimumFractionDigits: digits, maximumFractionDigits: digits}).format(value);
  const significant = (value, most) => new Intl.NumberFormat(place,
    {maximumSignificantDigits: most}).format(Number(general(value, most)));
  // Sentences of the advice come with their numbers in, as Python writes them.
  const grouped = (text) => text.replace(/(?<![\d.])\d{4,}/g, (digits) => number(Number(digits)));
  const date = (iso) => new Intl.DateTimeFormat(place, {dateStyle: "medium"}).format(new Date(iso));
  const own = merged(truth, words.truth ?? {});
  const written = (value) => {
    if (typeof value === "number") {
      return new Intl.NumberFormat(place, {maximumFractionDigits: 2}).format(value);
    }
    if (value instanceof Date) return date(value);
    if (!Array.isArray(value)) return value;
    return value.map((name) => own.measures.all[name].label).join(", ");
  };
  const say = (name, parts = {}) => said(words.texts[name] ?? name, Object.fromEntries(
    Object.entries(parts).map(([key, value]) => [key, written(value)])));
  return {code, say, number, significant, grouped, date, truth: own};
}

/** `base` with the leaves of `over`; rows of a list go together by their names. */
export function merged(base, over) {
  if (Array.isArray(base)) {
    return base.map((row) => row?.name in over ? merged(row, over[row.name]) : row);
  }
  if (typeof base !== "object" || base === null) return over;
  const both = {...base};
  for (const [name, value] of Object.entries(over)) {
    both[name] = name in base ? merged(base[name], value) : value;
  }
  return both;
}
