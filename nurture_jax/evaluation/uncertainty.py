"""How sure a number over infants is: bootstrap intervals by infant.

Visits of one infant resemble each other, so infants are drawn, never visits: an interval over
visits would be too narrow. All statistics here are functions of sums over visits, so what is drawn
are the sums of an infant's visits. Where mothers are known, siblings are drawn together
(`Estimates.families`).
"""
from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from deps_jax.common.statistics.intervals import CONFIDENCE, Number

RESAMPLES = 2000
LIMITS_SD = 1.96  # 95 % limits of agreement
MINIMUM_INFANTS = 10  # below, so few distinct samples say little (our choice)
_BATCH = 200  # resamples at a time: quickest, and 20,000 infants fit into memory


class OfFamily(NamedTuple):
    """The absolute error of a visit, and whose it is: siblings are of one family."""

    error: float
    family: str


ByVisit = dict[tuple[str, str], OfFamily]  # by infant and visit


def bootstrap(infants: np.ndarray, terms: np.ndarray, statistic: Callable[..., tuple],
              seed: int = 0, resamples: int = RESAMPLES) -> tuple[Number, ...]:
    """Bootstrap intervals by infant of statistics of sums: BCa (Efron 1987), resamples by scipy.

    Where all resamples agree, or none lies beyond the value, BCa is not defined; the percentiles
    of the resamples stand there.

    Args:
      infants: Whose visit each row is, [n].
      terms: What is summed over the visits, [n, m] float.
      statistic: A function from m sums, each of any shape, to a tuple of arrays of that shape.
      seed: Seed of the drawing.
      resamples: Number of times that the infants are drawn.

    Returns:
      One Number for each statistic; without interval below MINIMUM_INFANTS infants, and where the
      statistic is nan for some of the resamples.
    """
    _, owner = np.unique(infants, return_inverse=True)
    count = owner.max() + 1 if len(owner) else 0
    with np.errstate(invalid="ignore", divide="ignore"):
        values = [float(value) for value in statistic(*np.asarray(terms, float).sum(0))]
        if count < MINIMUM_INFANTS:
            return tuple(Number(value) for value in values)
        sums = np.zeros((count, np.shape(terms)[1]))
        np.add.at(sums, owner, terms)
        low, high = _intervals(sums, statistic, seed, resamples)
    return tuple(Number(value, float(first), float(last))
                 for value, first, last in zip(values, low, high, strict=True))


def mean_of(infants: np.ndarray, values: np.ndarray, seed: int = 0) -> Number:
    """Mean over visits with its interval by infant, see `bootstrap`.

    Args:
      infants: Whose visit each value is, [n].
      values: One value a visit, [n] float.
      seed: Seed of the drawing.
    """
    terms = np.stack([values, np.ones(len(values))], axis=1)
    return bootstrap(infants, terms, lambda total, count: (total / count,), seed)[0]


def errors_by_visit(rows: Sequence[Mapping], measure: str) -> ByVisit:
    """Absolute errors of one run by infant and visit, of visits where they are known.

    Args:
      rows: infant_id, visit_id and the error of each measure, absent, or None where not known;
        "family" says whose visits are alike, without it (runs of before) the infant does.
      measure: One of LABELS.
    """
    return {(row["infant_id"], row["visit_id"]): OfFamily(
        row[measure], row.get("family", row["infant_id"])) for row in rows
        if row.get(measure) is not None}


def difference_of_runs(ours: Sequence[ByVisit], theirs: Sequence[ByVisit], *,
                       same_runs: bool = False) -> Number:
    """As `difference_of_means`, of the visits that all runs have; nan of none."""
    shared = sorted(set.intersection(*map(set, [*ours, *theirs]))) if ours and theirs else ()
    if not shared:
        return Number(math.nan)
    columns = [np.array([[run[visit].error for visit in shared] for run in runs])
               for runs in (ours, theirs)]
    return difference_of_means(*columns, np.array([ours[0][visit].family for visit in shared]),
                               same_runs=same_runs)


def difference_of_means(ours: np.ndarray, theirs: np.ndarray, families: np.ndarray, *,
                        same_runs: bool = False) -> Number:
    """Mean error of one kind of run minus that of another with its 95 % interval; negative is less.

    Other infants would give another difference, and so would other seeds. The first is seen by
    drawing families, of the means over runs of each visit; the second in the means of the runs, by
    Student's t with Welch's degrees of freedom. Both, being independent, are joined as by Zou and
    Donner 2008 (MOVER): distances from the value as the sides of a right angle. A kind with one
    run, or none that is random, adds nothing to the second: how far runs differ is not seen in it.

    Args:
      ours: Errors of the visits in each run of the one kind, [r, n].
      theirs: Those of the other, [s, n].
      families: Whose visit each is, [n].
      same_runs: Whether the two are made of the same r = s runs, such as files of networks; then
        seeds matter by the difference in each run alone.
    """
    value = mean_of(families, ours.mean(0) - theirs.mean(0))
    means = [(ours - theirs).mean(1)] if same_runs else [ours.mean(1), theirs.mean(1)]
    errors = [(runs.var(ddof=1) / len(runs), len(runs) - 1) for runs in means if len(runs) > 1]
    apart = sum(squared for squared, _ in errors)
    if not apart:
        return value
    freedom = apart ** 2 / sum(squared ** 2 / freedom for squared, freedom in errors)
    half = math.sqrt(apart) * stats.t.ppf((1 + CONFIDENCE) / 2, freedom)
    return Number(value.value, value.value - math.hypot(value.value - value.low, half),
                  value.value + math.hypot(value.high - value.value, half))


def _intervals(sums: np.ndarray, statistic: Callable[..., tuple], seed: int, resamples: int
               ) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends, one for each statistic, from the sums [infants, m]."""
    def of_drawn(*drawn: np.ndarray, axis: int) -> np.ndarray:
        return np.stack(statistic(*(each.sum(axis) for each in drawn)))

    with warnings.catch_warnings():  # where some resamples have no value
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        drawn = stats.bootstrap(
            tuple(sums.T), of_drawn, paired=True, vectorized=True, n_resamples=resamples,
            method="percentile", batch=_BATCH, rng=np.random.default_rng(seed)
        ).bootstrap_distribution
    # Of sums what is left without an infant is a difference. The jackknife of scipy adds up all
    # others for each: 3 s for 20,000 infants, where these take 0.05.
    without = np.stack(statistic(*(sums.sum(0) - sums).T))
    levels = _corrected(of_drawn(*sums.T, axis=-1), drawn, without)
    low, high = zip(*map(np.quantile, drawn, levels), strict=True)
    return np.array(low), np.array(high)


def _corrected(value: np.ndarray, drawn: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Levels of the resamples at which BCa intervals end, [s, 2]; the tails where it has none.

    Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 14.3.

    Args:
      value: The statistics, [s].
      drawn: Those of the resamples, [s, resamples].
      without: Those without one infant each, [s, infants].
    """
    tails = np.array([1 - CONFIDENCE, 1 + CONFIDENCE]) / 2
    below = ((drawn < value[:, None]).mean(1) + (drawn <= value[:, None]).mean(1)) / 2
    away = without.mean(1, keepdims=True) - without
    acceleration = (away ** 3).sum(1) / (6 * (away ** 2).sum(1) ** 1.5)
    bias = stats.norm.ppf(below)[:, None]
    moved = bias + stats.norm.ppf(tails)
    levels = stats.norm.cdf(bias + moved / (1 - acceleration[:, None] * moved))
    return np.where(np.isfinite(levels).all(1, keepdims=True), levels, tails)


def limits_of_agreement(total: np.ndarray, squares: np.ndarray, count: np.ndarray
                        ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean difference and its 95 % limits, mean +- 1.96 standard deviations, for `bootstrap`.

    Args:
      total, squares, count: Sums of the differences, of their squares, and how many there are.
    """
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean ** 2, 0) * count / (count - 1))
    return mean, mean - LIMITS_SD * deviation, mean + LIMITS_SD * deviation


def draws(infants: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Iterator[np.ndarray]:
    """How often each visit counts when infants are drawn, [r, n] at a time, for what is no sum.

    Nothing is drawn below MINIMUM_INFANTS infants.
    """
    _, owner = np.unique(infants, return_inverse=True)
    count, random = owner.max() + 1 if len(owner) else 0, np.random.default_rng(seed)
    for start in range(0, resamples if count >= MINIMUM_INFANTS else 0, _BATCH):
        size = min(_BATCH, resamples - start)
        yield random.multinomial(count, np.full(count, 1 / count), size)[:, owner].astype(float)


def percentiles(value: float, drawn: Sequence[np.ndarray]) -> Number:
    """A value with the percentiles of its resamples; without interval where some are nan."""
    if not drawn or np.isnan(np.concatenate(drawn)).any():
        return Number(value)
    tails = 50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)
    return Number(value, *map(float, np.percentile(np.concatenate(drawn), tails)))


def share(hits: np.ndarray, infants: np.ndarray, weights: np.ndarray | None = None) -> Number:
    """Share of visits with a Wilson interval of their effective number; nan for none.

    Visits of an infant are alike, so there are fewer by the design effect (Kish 1965): the variance
    by infant over that of independent visits. Where all visits agree it cannot be told, and there
    are as many as infants.

    Args:
      hits: Which visits count, [n] bool.
      infants: Whose visit each is, [n].
      weights: How much each visit counts, [n]; None counts all alike.
    """
    if not len(hits):
        return Number(float("nan"))
    _, owner = np.unique(infants, return_inverse=True)
    weights = np.ones(len(hits)) if weights is None else weights
    count, total, value = owner.max() + 1, len(hits), float(np.average(hits, weights=weights))
    effective = float(count)
    if 0 < value < 1 and count > 1:
        away = np.bincount(owner, weights * (hits - value))
        variance = (away ** 2).sum() / weights.sum() ** 2 * count / (count - 1)
        effective = min(float(total), value * (1 - value) / variance) if variance else float(total)
    z = stats.norm.ppf((1 + CONFIDENCE) / 2)
    middle = (value + z ** 2 / (2 * effective)) / (1 + z ** 2 / effective)
    half = z / (1 + z ** 2 / effective) * math.sqrt(
        value * (1 - value) / effective + z ** 2 / (4 * effective ** 2))
    return Number(value, max(middle - half, 0.0), min(middle + half, 1.0))
