"""Agreement of estimates and reference (Bland and Altman), in units and relative to size.

Constant limits misstate both ends where errors grow with what is measured. Then limits of the ratio
are read (Bland and Altman 1999, doi 10.1177/096228029900800204, section 3).
"""
from __future__ import annotations

import dataclasses

import numpy as np

from deps_jax.common.statistics.intervals import Number
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.uncertainty import bootstrap, limits_of_agreement
from nurture_jax.measures import LABELS, MEASURES

FEWEST = 3  # visits for a line with a spread around it


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Agreement of one measure (Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8).

    Attributes:
      measure: One of LABELS.
      unit: Its unit.
      visits: Number of those that were measured and estimated.
      mean_difference: Mean of estimate - measured, in `unit`.
      lower_limit, upper_limit: 95 % limits of agreement around it, in `unit`.
    """

    measure: str
    unit: str
    visits: int
    mean_difference: Number
    lower_limit: Number
    upper_limit: Number


@dataclasses.dataclass(frozen=True)
class Proportional:
    """Whether differences depend on size, and limits of agreement in percent.

    Attributes:
      measure: One of LABELS.
      visits: Number of those that were measured and estimated.
      slope: Slope of the difference over the mean of both methods, in percent of the mean: how much
        more is estimated of a large infant than of a small one.
      spread_slope: The same slope of |difference - its line|; errors grow where it is above 0.
      grows: Whether all of the interval of `spread_slope` is above 0.
      mean_percent: Mean ratio of estimate to measured, less 1, in percent (geometric).
      lower_percent, upper_percent: 95 % limits of agreement of that ratio.
    """

    measure: str
    visits: int
    slope: Number
    spread_slope: Number
    grows: bool
    mean_percent: Number
    lower_percent: Number
    upper_percent: Number


def agreement(estimates: Estimates, seed: int = 0) -> tuple[Agreement, ...]:
    """Mean difference and 95 % limits of agreement, mean +- 1.96 standard deviations.

    Several visits of an infant are all used; their likeness is in the intervals.
    """
    rows = []
    for measure in LABELS:
        column = estimates.of(measure)
        inside = column.known
        if inside.sum() < 2:
            continue
        rows.append(Agreement(measure, MEASURES[measure].unit, int(inside.sum()),
                              *_limits(column.error[inside], estimates.infants[inside], seed)))
    return tuple(rows)


def proportional(estimates: Estimates, seed: int = 0) -> tuple[Proportional, ...]:
    """Slopes and ratios by measure; those of fewer than three visits are left out."""
    rows = []
    for measure in LABELS:
        column = estimates.of(measure)
        inside = column.known & (column.mean > 0)
        size, error = ((column.mean + column.truth) / 2)[inside], column.error[inside]
        if inside.sum() < FEWEST or np.ptp(size) == 0:
            continue
        infants = estimates.infants[inside]
        away = np.abs(error - np.polyval(np.polyfit(size, error, 1), size))
        slope, spread = (_slope(size, each, infants, seed) for each in (error, away))
        ratios = _limits(np.log(column.mean[inside] / column.truth[inside]), infants, seed)
        rows.append(Proportional(measure, int(inside.sum()), slope, spread, spread.low > 0,
                                 *map(_percent, ratios)))
    return tuple(rows)


def _limits(error: np.ndarray, infants: np.ndarray, seed: int) -> tuple[Number, Number, Number]:
    """Mean and limits of [n] differences."""
    terms = np.stack([error, error ** 2, np.ones(len(error))], axis=1)
    return bootstrap(infants, terms, limits_of_agreement, seed)


def _percent(logarithm: Number) -> Number:
    """A ratio and its interval, less 1, in percent."""
    return Number(*(float(100 * np.expm1(end)) for end in dataclasses.astuple(logarithm)))


def _slope(size: np.ndarray, values: np.ndarray, infants: np.ndarray, seed: int) -> Number:
    """Slope of [n] values over sizes by least squares, in percent."""
    x = size - size.mean()  # sums of squares of grams would lose digits
    terms = np.stack([x, values, x * values, x ** 2, np.ones(len(x))], 1)
    found, = bootstrap(infants, terms, lambda x, y, xy, xx, n: (
        100 * (xy - x * y / n) / (xx - x ** 2 / n),), seed)
    return found
