"""How often intervals hold what was measured, on visits that calibrated nothing."""
from __future__ import annotations

import dataclasses

import numpy as np

from deps_jax.common.statistics.intervals import Number, wilson
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import AGE_BANDS, ALL_AGES, Intervals, bands
from nurture_jax.evaluation.uncertainty import bootstrap
from nurture_jax.measures import LABELS


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How often the measured value lay within the interval.

    Attributes:
      measure: One of LABELS.
      band: A band of age, or ALL_AGES.
      visits, infants: Number of those that were measured.
      share: Share of the visits, with its Wilson interval, as if visits were independent.
      by_infant: The same share with an interval from drawing infants.
      mean_width: Mean width of the intervals, in the unit of the measure.
    """

    measure: str
    band: str
    visits: int
    infants: int
    share: Number
    by_infant: Number
    mean_width: float


def covered(intervals: Intervals, estimates: Estimates, seed: int = 0) -> list[Coverage]:
    """Coverage on visits that calibrated nothing: by measure, over all ages and by band."""
    low, high = intervals.bounds(estimates)
    truth, infants = estimates.truth, estimates.infants
    inside, band_of = (low <= truth) & (truth <= high), np.array(bands(estimates.age_days))
    results = []
    for column, name in enumerate(LABELS):
        for band in (ALL_AGES, *AGE_BANDS):
            rows = np.isfinite(truth[:, column] + low[:, column]) \
                & ((band == ALL_AGES) | (band_of == band))
            hits, count = inside[rows, column], int(rows.sum())
            if not count:
                continue
            drawn, = bootstrap(infants[rows], np.stack([hits, np.ones(count)], 1),
                               lambda hit, total: (hit / total,), seed)
            results.append(Coverage(name, band, count, len(np.unique(infants[rows])),
                                    wilson(int(hits.sum()), count), drawn,
                                    float((high - low)[rows, column].mean())))
    return results
