// Numbers as Python writes and rounds them, so that both sides say the same to the last digit.

/** `value` with `digits` behind the point; a tie goes to the even digit, as IEEE 754 has it. */
export function fixed(value, digits) {
  const negative = value < 0 || Object.is(value, -0);
  const size = Math.abs(value);
  let text = size.toFixed(digits);
  // toFixed rounds the exact binary value, but takes a tie up. Only a value with one digit more,
  // a 5, is a tie; 30 digits more show that nothing follows it.
  const exact = size < 1e21 ? size.toFixed(Math.min(digits + 30, 100)) : "";
  const rest = exact.slice(exact.indexOf(".") + 1 + digits);
  if (/^50*$/.test(rest)) {
    const below = exact.slice(0, exact.indexOf(".") + (digits ? 1 + digits : 0));
    const even = Number(below[below.length - 1]) % 2 === 0;
    if (even) text = below;
  }
  return (negative ? "-" : "") + text;
}

/** Python's round(value, digits), a number. */
export function rounded(value, digits) {
  return Number.isFinite(value) ? Number(fixed(value, digits)) : value;
}

/** Python's round(value): to the even one of two whole numbers that are equally near. */
export function whole(value) {
  return rounded(value, 0);
}

/** With a sign in front, as "+.1f" gives it. */
export function signed(value, digits) {
  const text = fixed(value, digits);
  return text.startsWith("-") ? text : `+${text}`;
}

/** At most `digits` digits that count, without zeros at the end, as "g" gives it. */
export function general(value, digits = 6) {
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  if (exponent < -4 || exponent >= digits) {
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const size = Math.abs(Number(power));
    return `${trimmed(mantissa)}e${power[0]}${size < 10 ? "0" : ""}${size}`;
  }
  return trimmed(fixed(value, digits - 1 - exponent));
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

/** A sentence with its parts in the places of their names: "{low} to {high}". */
export function said(sentence, parts = {}) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => String(parts[name]));
}

/** The middle of a list, the mean of both middles of an even number. */
export function median(values) {
  return percentile(values, 50);
}

/** The value that `share` percent lie below, linear between two neighbours. */
export function percentile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = (sorted.length - 1) * share / 100;
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}

export function mean(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/** Which of nothing, newborn and reference object has the largest of the three shares at a place. */
export function ownerAt(shares, at) {
  let best = 0;
  for (let category = 1; category < 3; category++) {
    if (shares[at + category] > shares[at + best]) best = category;
  }
  return best;
}
