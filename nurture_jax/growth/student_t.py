"""Tails of Student's t, and the normal distribution, with the standard library alone.

SciPy has both; a prediction from a file, and a page in a browser, have not. Tests compare with it.
"""
from __future__ import annotations

import math
import statistics
import sys

_NORMAL = statistics.NormalDist()


def lower_tail(t: float, freedom: float) -> float:
    """Probability of a value up to `t`, for `t` of 0 or below; relative error below 1e-12.

    It is half of the regularised incomplete beta function I_x(freedom / 2, 1 / 2) at
    x = freedom / (freedom + t^2) (Abramowitz and Stegun, 26.7.1).

    Args:
      t: The value, 0 or negative.
      freedom: Degrees of freedom, above 0, whole or not.
    """
    assert t <= 0
    a, b, square = freedom / 2, 0.5, t * t
    x, rest = freedom / (freedom + square), square / (freedom + square)
    if x < (a + 1) / (a + b + 2):
        return 0.5 * _beta(a, b, x, rest)
    return 0.5 * (1 - _beta(b, a, rest, x))


def _beta(a: float, b: float, x: float, rest: float) -> float:
    """I_x(a, b) by its series of positive terms, quick for x below about 0.9; `rest` is 1 - x."""
    if x <= 0:
        return 0.0
    factor = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
                      + a * math.log(x) + b * math.log(rest)) / a
    total = term = 1.0
    n = 0
    while term > 1e-17 * total:
        term *= x * (a + b + n) / (a + 1 + n)
        total += term
        n += 1
    return factor * total


def normal_below(z: float) -> float:
    """Share of a normal distribution below `z`."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def normal_z(share: float) -> float:
    """The value that `share`, 0 to 1, of a normal distribution lies below; never infinite."""
    smallest = sys.float_info.min
    return _NORMAL.inv_cdf(min(max(share, smallest), 1 - sys.float_info.epsilon / 2))
