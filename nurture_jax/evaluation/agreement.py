"""Agreement of estimates and reference: limits (Bland and Altman) and a coefficient (ICC).

Constant limits misstate both ends where errors grow with what is measured. Then limits of the ratio
are read (Bland and Altman 1999, doi 10.1177/096228029900800204, section 3). The coefficient says
how much of the spread between visits is no disagreement, so it is of infants as different as these.
"""
from __future__ import annotations

import dataclasses

import numpy as np

from deps_jax.common.statistics.intervals import Number
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.reference_quality import repeated
from nurture_jax.evaluation.uncertainty import bootstrap, limits_of_agreement
from nurture_jax.measures import LABELS, MEASURES

FEWEST = 3  # visits for a line with a spread around it
WITH_REFERENCE = "estimate and reference"


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


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Intraclass correlation of pairs of one measure: two-way, absolute agreement, of a single one.

    ICC(A,1) of McGraw and Wong 1996 (doi 10.1037/1082-989X.1.1.30), the ICC(2,1) of Shrout and
    Fleiss 1979 (doi 10.1037/0033-2909.86.2.420).

    Attributes:
      measure: One of LABELS.
      what: WITH_REFERENCE, or whose two values of one infant and day are compared.
      pairs: Number of them.
      icc: The coefficient, with its interval by infant; at most 1, and 0 where the two have no more
        in common than any two.
    """

    measure: str
    what: str
    pairs: int
    icc: Number


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
                              *_limits(column.error[inside], estimates.families[inside], seed)))
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
        infants = estimates.families[inside]
        away = np.abs(error - np.polyval(np.polyfit(size, error, 1), size))
        slope, spread = (_slope(size, each, infants, seed) for each in (error, away))
        ratios = _limits(np.log(column.mean[inside] / column.truth[inside]), infants, seed)
        rows.append(Proportional(measure, int(inside.sum()), slope, spread, spread.low > 0,
                                 *map(_percent, ratios)))
    return tuple(rows)


def reliability(estimates: Estimates, seed: int = 0) -> tuple[Reliability, ...]:
    """Of estimate and reference, and of the first two visits of an infant on any day.

    Those of fewer than three pairs, or of pairs that are all alike, are left out.
    """
    days = np.array([rows[:2] for rows in repeated(estimates.visits)], int).reshape(-1, 2)
    found = []
    for measure in LABELS:
        column = estimates.of(measure)
        for what, pairs, infants in (
                (WITH_REFERENCE, np.stack([column.mean, column.truth], 1), estimates.families),
                ("two estimates of a day", column.mean[days], estimates.families[days[:, 0]]),
                ("two references of a day", column.truth[days], estimates.families[days[:, 0]])):
            known = np.isfinite(pairs).all(1)
            if known.sum() >= FEWEST and np.ptp(pairs[known]):
                found.append(Reliability(measure, what, int(known.sum()), _icc(
                    pairs[known], infants[known], seed)))
    return tuple(found)


def _icc(values: np.ndarray, infants: np.ndarray, seed: int) -> Number:
    """ICC(A,1) of [n, k] values, k of each row."""
    x = values - values.mean()  # sums of squares of grams would lose digits
    terms = np.concatenate([x, x.mean(1, keepdims=True) ** 2, (x ** 2).sum(1, keepdims=True),
                            np.ones((len(x), 1))], axis=1)
    found, = bootstrap(infants, terms, lambda *sums: (_icc_of_sums(*sums),), seed)
    return found


def _icc_of_sums(*sums: np.ndarray) -> np.ndarray:
    """ICC(A,1) of n rows of k values by mean squares.

    Args:
      sums: Sums over rows of each of the k columns, of the squared mean of the row, of the row's
        sum of squares, and n; all of one shape.
    """
    *columns, squared_means, squares, n = sums
    k, middle = len(columns), sum(columns) ** 2 / (len(columns) * n)
    between_rows = k * squared_means - middle
    between_columns = sum(each ** 2 for each in columns) / n - middle
    rest = (squares - middle - between_rows - between_columns) / ((n - 1) * (k - 1))
    rows = between_rows / (n - 1)
    return (rows - rest) / (rows + (k - 1) * rest + k / n * (between_columns / (k - 1) - rest))


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
