"""How good the predicted spread is: proper scores, which reward honest and narrow forecasts alike.

    CRPS             mean of |y - x| - |x - x'| / 2 for x, x' of the predicted law; in the unit of
                     the measure, and the absolute error where no spread is predicted
    interval score   width, and 2 / (1 - coverage) for every unit that the interval has missed by

Both of Gneiting and Raftery 2007, doi 10.1198/016214506000001437.
"""
from __future__ import annotations

import dataclasses

import numpy as np

from deps_jax.common.statistics.intervals import Number
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.evaluation.uncertainty import bootstrap
from nurture_jax.measures import LABELS, MEASURES


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Scores of one measure; smaller is better.

    Attributes:
      measure: One of LABELS.
      unit: Its unit.
      method: Whose forecast.
      visits: Number of those that were measured and estimated.
      crps: Continuous ranked probability score of a Laplace law of the predicted scale, in `unit`.
      interval_score: Score of the interval, in `unit`; nan without one.
    """

    measure: str
    unit: str
    method: str
    visits: int
    crps: Number
    interval_score: Number


def forecasts(estimates: Estimates, method: str, intervals: Intervals | None = None, seed: int = 0
              ) -> tuple[Forecast, ...]:
    """Scores by measure; those without a measured value are left out."""
    nothing = np.full(estimates.mean.shape, np.nan)
    low, high = intervals.bounds(estimates) if intervals else (nothing, nothing)
    rows = []
    for column, measure in enumerate(LABELS):
        known = estimates.of(measure).known
        if not known.any():
            continue
        truth, scale = estimates.of(measure).truth[known], estimates.scale[known, column]
        scores = [crps(estimates.mean[known, column], scale, truth)]
        if intervals:
            scores.append(interval_score(low[known, column], high[known, column], truth,
                                         intervals.coverage))
        found = bootstrap(estimates.families[known], np.stack([*scores, np.ones(len(truth))], 1),
                          lambda *sums: tuple(each / sums[-1] for each in sums[:-1]), seed)
        rows.append(Forecast(measure, MEASURES[measure].unit, method, len(truth),
                             *(*found, Number(np.nan))[:2]))
    return tuple(rows)


def crps(mean: np.ndarray, scale: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of Laplace laws, [n] each: scale (z + exp(-z) - 3 / 4) with z = |truth - mean| / scale."""
    z = np.abs(truth - mean) / scale
    return scale * (z + np.exp(-z) - 0.75)


def interval_score(low: np.ndarray, high: np.ndarray, truth: np.ndarray, coverage: float
                   ) -> np.ndarray:
    """Width and penalty of intervals that should cover a share `coverage`, [n] each."""
    missed = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return high - low + 2 / (1 - coverage) * missed
