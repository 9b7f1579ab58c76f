"""Intervals that hold what was measured as often as they promise, calibrated by infant.

Split conformal prediction (Vovk, Gammerman and Shafer 2005; Papadopoulos 2002). The score of a
calibration visit is |estimate - measured| / scale (locally weighted split conformal prediction,
Lei et al. 2018, doi 10.1080/01621459.2017.1307116, section 5.2). A factor q is a quantile of the
scores of the calibration infants; the interval is estimate +- q x scale. No law of the errors is
assumed, only that new infants are like the calibration infants. For a random visit of a new infant
it then covers with at least the asked probability (`quantiles`).

There is one calibration for visits with a birth weight and one for those without: every infant is
asked about twice, once with its birth weight withheld. In each, the factor grows with how light
and how early born an infant is, and may differ by age: as far as the calibration infants tell.
The same infants fit this growth and calibrate, so with it the promise holds nearly.
"""
from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping

import numpy as np

from nurture_jax.evaluation.covariates import LACKING, SPREADS, WIDER_ONLY, covariates
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.groups import GIVEN, WITHHELD, inputs_of
from nurture_jax.evaluation.quantiles import fewest, log_factors, quantile_by_infant
from nurture_jax.measures import LABELS, MEASURES, TABULAR, WEIGHT
from nurture_jax.records.visit import Visit
from nurture_jax.rules import TABLE, say

COVERAGE = 0.9
ALL = "all"
# With 30 infants the true coverage of a 90 % interval has a standard deviation of 0.05
# (Beta(28, 3), Vovk 2012, arXiv 1209.2673); of fewer nothing is promised.
INFANTS_TO_RELY_ON = 30
LEAST_SCORE = 1e-9  # of an estimate that is exactly what was measured; a logarithm is taken
ByMeasure = dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Intervals:
    """Calibrated factors.

    Attributes:
      coverage: The asked probability.
      infants: Number of calibration infants by GIVEN and WITHHELD and measure.
      factors: By GIVEN and WITHHELD, measure and name of `covariates`; ALL is in units of the
        predicted scale. That of a visit is ALL times the others, each to the power of the visit's
        number; one that is absent is 1. A measure that too few infants have is absent.
      widths: Mean width of the intervals of calibration infants whose birth weight is known, with
        and without it, by GIVEN and WITHHELD and measure.
      lacking: Number of calibration infants at a visit of whom an input was not known, by input.
    """

    coverage: float
    infants: dict[str, dict[str, int]]
    factors: dict[str, ByMeasure]
    widths: ByMeasure
    lacking: dict[str, int]

    def bounds(self, estimates: Estimates) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends, [n, 5] each, in the units of LABELS; never below 0.

        They are nan for a measure that was not calibrated.
        """
        numbers = covariates(estimates.visits, estimates.of(WEIGHT.name).mean)
        given = np.array([inputs_of(visit) for visit in estimates.visits])
        half = np.full(estimates.mean.shape, np.nan)
        for inputs in (GIVEN, WITHHELD):
            rows = given == inputs
            for column, name in enumerate(LABELS):
                found = self.factors.get(inputs, {}).get(name)
                if found and rows.any():
                    factor = found[ALL] * _growth(found, numbers)
                    half[rows, column] = (factor * estimates.scale[:, column])[rows]
        return np.maximum(estimates.mean - half, 0), estimates.mean + half

    def notes(self) -> list[str]:
        """In words: which measures have no interval, and what the birth weight is worth."""
        lines = [f"{name}, {inputs}: {count} calibration infants, {fewest(self.coverage)} "
                 f"needed; no interval"
                 for inputs, by_measure in self.infants.items()
                 for name, count in by_measure.items()
                 if name not in self.factors[inputs]]
        lines += [f"{name}, {inputs}: wider by {100 * (found[number] - 1):.0f} % for {number}"
                  for inputs, by_measure in self.factors.items()
                  for name, found in by_measure.items()
                  for number in WIDER_ONLY if found.get(number, 1) >= 1.01]
        return lines + [f"without the birth weight intervals of {MEASURES[name].label} are "
                        f"{cost:.2f} times as wide" for name, cost in self.costs().items()]

    def costs(self) -> dict[str, float]:
        """How many times as wide an interval is without the birth weight, by measure."""
        given, withheld = (self.widths.get(inputs, {}) for inputs in (GIVEN, WITHHELD))
        return {name: withheld[name] / given[name] for name in LABELS
                if name in given and name in withheld and given[name] > 0}

    def lacked(self, visit: Visit) -> list[str]:
        """Which inputs a visit lacks, and what that costs, one sentence each."""
        return [self._lack(name, inputs_of(visit)) for name in TABULAR
                if getattr(visit, name) in (None, "")]

    def _lack(self, name: str, inputs: str) -> str:
        """A sentence on one input that is lacking; `inputs` is GIVEN or WITHHELD."""
        words, infants = {"input": TABLE["inputs"][name]}, self.lacking.get(name, 0)
        of_birth_weight = name == "birth_weight_g"
        if not of_birth_weight and infants < INFANTS_TO_RELY_ON:
            return say("lacks_untried", **words, infants=infants, needed=INFANTS_TO_RELY_ON)
        cost = self.costs().get(WEIGHT.name) if of_birth_weight else self._factor(name, inputs)
        if not cost:
            return say("lacks_unmeasured", **words)
        return say("lacks_cost" if of_birth_weight else "lacks_calibrated", **words,
                   percent=f"{round(100 * (cost - 1)):+d}")

    def _factor(self, name: str, inputs: str) -> float | None:
        """How many times as wide calibration makes an interval of the weight without an input.

        That is beyond what the network's own scale tells. None where it is not known: of an input
        without a factor, and where too few infants have it to compare with.
        """
        told = self.infants.get(WITHHELD, {}).get(WEIGHT.name, 0) - self.lacking.get(name, 0)
        if name not in LACKING or told < INFANTS_TO_RELY_ON:
            return None
        # What no infant was like has a factor of exactly 1.
        fitted = {number: factor for number, factor in self.factors.get(inputs, {}).get(
            WEIGHT.name, {}).items() if factor != 1}
        lacking, having = LACKING[name]
        others = [fitted[number] for number in having if number in fitted]
        if lacking not in fitted or (having and not others):
            return None
        return fitted[lacking] / statistics.geometric_mean(others or [1.0])


def calibrate(estimates: Estimates, withheld: Estimates | None = None, *,
              coverage: float = COVERAGE) -> Intervals:
    """Factors from visits that trained nothing: the calibration split.

    Args:
      estimates: Estimates of those visits, with what was measured.
      withheld: The same visits, estimated without their birth weights (`without_birth_weight`);
        None calibrates one set of factors, from all visits, for use with and without.
      coverage: The asked probability.

    Returns:
      The intervals; a measure that too few infants have has none.

    Raises:
      ValueError: If the coverage is no probability.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage {coverage} is not between 0 and 1; use 0.9")
    given = estimates
    if withheld is not None:
        known = [visit.birth_weight_g is not None for visit in estimates.visits]
        given = estimates.take(np.array(known, bool))
    found = {inputs: _calibrate(part, coverage)
             for inputs, part in ((GIVEN, given), (WITHHELD, withheld or estimates))}
    intervals = Intervals(
        coverage, {name: counts for name, (counts, _) in found.items()},
        {name: factors for name, (_, factors) in found.items()}, {}, _lacking(estimates))
    if withheld is None:
        return intervals
    both = {GIVEN: given, WITHHELD: withheld.take(np.array(known, bool))}
    return dataclasses.replace(intervals, widths={
        inputs: _widths(intervals, part) for inputs, part in both.items()})


def recalibrate(intervals: Intervals, estimates: Estimates, withheld: Estimates) -> Intervals:
    """Intervals for another place, from few of its infants: all factors of a measure by one number.

    Scores are relative to the half width that was promised, so that what differs between groups is
    kept from the larger calibration.

    Args:
      intervals: Those of the first place.
      estimates, withheld: Estimates of infants of the other, as for `calibrate`.

    Returns:
      The intervals; a measure that too few of the infants have, or that had no interval before,
      has none.
    """
    known = np.array([visit.birth_weight_g is not None for visit in estimates.visits], bool)
    parts = {GIVEN: estimates.take(known), WITHHELD: withheld}
    counts, factors = {}, {}
    for inputs, part in parts.items():
        low, high = intervals.bounds(part)
        # A measure that never erred has intervals of next to no width.
        half = np.maximum(np.maximum(high - part.mean, part.mean - low), LEAST_SCORE)
        counts[inputs], factors[inputs] = {}, {}
        for column, name in enumerate(LABELS):
            scores = np.abs(part.truth - part.mean)[:, column] / half[:, column]
            rows = np.isfinite(scores)
            counts[inputs][name] = len(np.unique(part.infants[rows]))
            ratio = quantile_by_infant(scores[rows], part.infants[rows], intervals.coverage) \
                if rows.any() else math.inf
            if math.isfinite(ratio):
                before = intervals.factors[inputs][name]
                factors[inputs][name] = {**before, ALL: ratio * before[ALL]}
    found = dataclasses.replace(intervals, infants=counts, factors=factors,
                                lacking=_lacking(estimates))
    both = {GIVEN: parts[GIVEN], WITHHELD: withheld.take(known)}
    return dataclasses.replace(found, widths={
        inputs: _widths(found, part) for inputs, part in both.items()})


def _calibrate(estimates: Estimates, coverage: float) -> tuple[dict[str, int], ByMeasure]:
    """Numbers of infants and factors, by measure."""
    scores = np.maximum(np.abs(estimates.truth - estimates.mean) / estimates.scale, LEAST_SCORE)
    numbers = covariates(estimates.visits, estimates.of(WEIGHT.name).mean)
    spreads = np.array([*SPREADS.values()])
    wider_only = np.array([name in WIDER_ONLY for name in SPREADS])
    table = np.stack([numbers[name] for name in SPREADS], 1)
    counts, factors = {}, {}
    for column, name in enumerate(LABELS):
        rows = np.isfinite(scores[:, column])
        own, score = estimates.infants[rows], scores[rows, column]
        counts[name] = len(np.unique(own))
        if counts[name] < fewest(coverage):
            continue
        fitted = np.exp(log_factors(score, own, table[rows], spreads, wider_only)).tolist()
        found = dict(zip(SPREADS, fitted, strict=True))
        # What is left to one factor keeps the promise over all, whatever the others took.
        rest = quantile_by_infant(score / _growth(found, numbers)[rows], own, coverage)
        factors[name] = {ALL: rest, **found}
    return counts, factors


def _growth(factors: Mapping[str, float], numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """The factors, each to the power of the visit's number, multiplied, [n]; without ALL."""
    return np.prod([factor ** numbers[name] for name, factor in factors.items() if name != ALL],
                   axis=0)


def _widths(intervals: Intervals, estimates: Estimates) -> dict[str, float]:
    """Mean widths by measure."""
    low, high = intervals.bounds(estimates)
    return {name: float((high - low)[:, column].mean()) for column, name in enumerate(LABELS)
            if len(estimates) and np.isfinite(high[:, column]).all()}


def _lacking(estimates: Estimates) -> dict[str, int]:
    """Number of infants without each input, at any visit."""
    return {name: len({visit.infant_id for visit in estimates.visits
                       if getattr(visit, name) in (None, "")}) for name in TABULAR}
