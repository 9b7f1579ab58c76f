// Tails of the normal distribution and of Student's t. All parameters come from Python.

const SMALLEST = 2.2250738585072014e-308; // smallest normal number
const ROOT_TWO_PI = Math.sqrt(2 * Math.PI);

/** Share of a normal distribution below `z`; relative error below 1e-12 in both tails. */
export function normalBelow(z) {
  const x = -z / Math.SQRT2;
  return 0.5 * (x >= 0 ? upper(x) : 2 - upper(-x));
}

/** erfc of x >= 0. */
function upper(x) {
  if (x < 2) { // the series of erf with positive terms (Abramowitz and Stegun, 7.1.6)
    let term = x;
    let total = x;
    for (let n = 1; term > 1e-18 * total; n++) {
      term *= 2 * x * x / (2 * n + 1);
      total += term;
    }
    return 1 - 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * total;
  }
  let fraction = 0; // the continued fraction (7.1.14), from its end
  for (let n = 120; n > 0; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / (x + fraction) / Math.sqrt(Math.PI);
}

/** The value that `share`, 0 to 1, of a normal distribution lies below; never infinite. */
export function normalZ(share) {
  const p = Math.min(Math.max(share, SMALLEST), 1 - Number.EPSILON / 2);
  if (p > 0.5) return -lowZ(1 - p);
  return lowZ(p);
}

/** Halley's steps from a start that is good to 3 digits (26.2.23), for p of up to a half. */
function lowZ(p) {
  const t = Math.sqrt(-2 * Math.log(p));
  let z = (2.515517 + 0.802853 * t + 0.010328 * t * t)
    / (1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t ** 3) - t;
  for (let step = 0; step < 3; step++) {
    const off = (normalBelow(z) - p) * ROOT_TWO_PI * Math.exp(z * z / 2);
    z -= off / (1 + z * off / 2);
  }
  return z;
}

/**
 * Probability of a value of Student's t up to `t`, for `t` of 0 or below: half of the regularised
 * incomplete beta function I_x(freedom / 2, 1 / 2), x = freedom / (freedom + t^2) (26.7.1).
 *
 * logBeta: logarithm of B(freedom / 2, 1 / 2).
 */
export function lowerTail(t, freedom, logBeta) {
  const a = freedom / 2;
  const square = t * t;
  const x = freedom / (freedom + square);
  const rest = square / (freedom + square);
  if (x < (a + 1) / (a + 0.5 + 2)) return 0.5 * beta(a, 0.5, x, rest, logBeta);
  return 0.5 * (1 - beta(0.5, a, rest, x, logBeta));
}

/** I_x(a, b) by its series of positive terms; `rest` is 1 - x. */
function beta(a, b, x, rest, logBeta) {
  if (x <= 0) return 0;
  const factor = Math.exp(a * Math.log(x) + b * Math.log(rest) - logBeta) / a;
  let total = 1;
  let term = 1;
  for (let n = 0; term > 1e-17 * total; n++) {
    term *= x * (a + b + n) / (a + 1 + n);
    total += term;
  }
  return factor * total;
}
