// What a person has to be told.

/** `code` names a sentence of the words, `parts` fill it; numbers are written in the language. */
export class Problem extends Error {
  constructor(code, parts = {}) {
    super(code);
    this.code = code;
    this.parts = parts;
  }
}
