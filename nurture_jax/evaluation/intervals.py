"""90 % intervals of the estimates by split conformal prediction, calibrated on other infants.

The score of a visit is |measured - estimate| / predicted scale (normalised conformal prediction,
Lei et al. 2018, doi 10.1080/01621459.2017.1307116, section 5.2). A factor q is a quantile of the
scores of the calibration infants; the interval is estimate +- q x scale. No law of the errors is
assumed, only that new infants are like the calibration infants.

Visits of one infant are not exchangeable, infants are. So every infant has the weight 1 / (k + 1)
of k infants, shared by its visits, and the missing one stands at infinity: for a random visit of
a new infant the interval then covers with at least the asked probability (hierarchical conformal
prediction, Lee, Barber and Willett, arXiv 2306.06342).

Scores are pooled by band of age where enough infants have a visit in it, otherwise over all ages.
"""
from __future__ import annotations

import dataclasses
import math

import numpy as np

from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.measures import LABELS

COVERAGE = 0.9
# A band takes a whole round of home visits; it ends where the curve of weight turns (our choice).
AGE_BANDS = {"0-3 days": (0, 3), "4-10 days": (4, 10), "11-20 days": (11, 20),
             "21-35 days": (21, 35), "36-60 days": (36, 60)}
ALL_AGES = "all ages"
UNKNOWN_AGE = "age not known"
# With 30 infants the true coverage of a 90 % interval has a standard deviation of 0.05
# (Beta(28, 3), Vovk 2012, arXiv 1209.2673); fewer are pooled with the other bands.
INFANTS_PER_BAND = 30


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Calibrated factors.

    Attributes:
      coverage: The asked probability.
      infants_per_band: Fewest calibration infants for a factor of its own.
      infants: Number of calibration infants by band and measure; ALL_AGES is one of the bands.
      factors: Factors by band and measure, in units of the predicted scale; a band and measure
        without enough infants is absent and takes ALL_AGES.
    """

    coverage: float
    infants_per_band: int
    infants: dict[str, dict[str, int]]
    factors: dict[str, dict[str, float]]

    def bounds(self, estimates: Estimates) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, [n, 4] each, in the units of LABELS; never below 0."""
        factors = np.array([[self.factor(band, name) for name in LABELS]
                            for band in bands(estimates.age_days)]).reshape(-1, len(LABELS))
        half = factors * estimates.scale
        return np.maximum(estimates.mean - half, 0), estimates.mean + half

    def factor(self, band: str, measure: str) -> float:
        """Half width over the predicted scale; nan for a measure that nobody calibrated."""
        return self.factors.get(band, {}).get(
            measure, self.factors[ALL_AGES].get(measure, math.nan))

    def notes(self) -> list[str]:
        """In words: which bands took the factor of all ages, and which measures have none."""
        lines = []
        for name, count in self.infants[ALL_AGES].items():
            if name not in self.factors[ALL_AGES]:
                lines.append(f"{name}: {count} calibration infants, {_needed(self.coverage)} "
                             f"needed; no interval")
                continue
            lines += [f"{band}, {name}: {counts[name]} calibration infants, "
                      f"{self.infants_per_band} needed; the factor of all ages is used"
                      for band, counts in self.infants.items() if name not in self.factors[band]]
        return lines


def bands(age_days: np.ndarray) -> list[str]:
    """Band of each age; an age that is nan or beyond the last band is UNKNOWN_AGE."""
    return [next((name for name, (first, last) in AGE_BANDS.items()
                  if first <= age < last + 1), UNKNOWN_AGE) for age in age_days]


def calibrate(estimates: Estimates, *, coverage: float = COVERAGE,
              infants_per_band: int = INFANTS_PER_BAND) -> Intervals:
    """Factors from visits that trained nothing: the validation split.

    It has chosen which weights were kept, though, so the guarantee holds only nearly.

    Args:
      estimates: Estimates of those visits, with what was measured.
      coverage: The asked probability.
      infants_per_band: Fewest infants for a factor of its own.

    Raises:
      ValueError: If the infants are too few for any interval of this coverage.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage {coverage} is not between 0 and 1; use 0.9")
    needed = _needed(coverage)
    scores = np.abs(estimates.truth - estimates.mean) / estimates.scale
    band_of, infants = np.array(bands(estimates.age_days)), estimates.infants
    counts, factors = {}, {}
    for band in (ALL_AGES, *AGE_BANDS):
        counts[band], factors[band] = {}, {}
        for column, name in enumerate(LABELS):
            rows = np.isfinite(scores[:, column]) & ((band == ALL_AGES) | (band_of == band))
            count = len(np.unique(infants[rows]))
            counts[band][name] = count
            if count >= (needed if band == ALL_AGES else max(needed, infants_per_band)):
                factors[band][name] = quantile_by_infant(scores[rows, column], infants[rows],
                                                         coverage)
    if "weight_g" not in factors[ALL_AGES]:
        raise ValueError(f"{counts[ALL_AGES]['weight_g']} infants with a measured weight do not "
                         f"calibrate {coverage:.0%} intervals; at least {needed} are needed in the "
                         f"validation split")
    return Intervals(coverage, infants_per_band, counts, factors)


def _needed(coverage: float) -> int:
    """Fewest infants with a finite quantile, as 1 / (k + 1) of the weight is at infinity."""
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def quantile_by_infant(scores: np.ndarray, infants: np.ndarray, coverage: float) -> float:
    """Smallest score below which `coverage` of the weight lies; inf where infants are too few.

    Args:
      scores: Scores of the visits, [n], not nan.
      infants: Whose visit each is, [n].
      coverage: The asked share of the weight.
    """
    _, owner, visits = np.unique(infants, return_inverse=True, return_counts=True)
    weight = 1 / ((len(visits) + 1) * visits[owner])
    order = np.argsort(scores)
    reached = np.cumsum(weight[order]) >= coverage - 1e-9
    return float(scores[order][np.argmax(reached)]) if reached.any() else math.inf
