// What a person has to be told.

/**
 * `code` names a sentence of the words, `parts` fill it: text, or what the language writes in its
 * own way (see language.mjs).
 */
export class Problem extends Error {
  constructor(code, parts = {}) {
    super(code);
    this.code = code;
    this.parts = parts;
  }
}
