"""Who is found to be of low weight: counts, shares, predictive values, and the curve over limits.

Shares have Wilson intervals of the effective number of visits, as visits of an infant are alike
(`uncertainty.share`). The birth weight of most infants comes from a scale; whoever is told it
knows half the answer. So the row beside a scale is that of estimates without it.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from deps_jax.common.statistics.intervals import Number, wilson
from nurture_jax import growth
from nurture_jax.evaluation.coverage import EVERYBODY
from nurture_jax.evaluation.estimates import Estimates, truths, without_birth_weight
from nurture_jax.evaluation.groups import AGE_BANDS, bands
from nurture_jax.evaluation.uncertainty import draws, percentiles, share
from nurture_jax.measures import LABELS, WEIGHT
from nurture_jax.records.visit import Visit, families

# Mullany 2006, doi 10.1136/adc.2005.088781: BIRTHweigh III, a hand-held spring scale with coloured
# bands, beside a digital scale, in Nepal: 479 of 511 low, 1278 of 1309 others.
SPRING_SCALE = "colour-coded spring scale (Mullany 2006, newborns in Nepal)"
SPRING_SCALE_COUNTS = (479, 32, 31, 1278)  # found, missed, false alarms, rightly left alone
BY_LOWER_END = "by the lower end of the interval"
NOT_TOLD = "birth weight withheld"
# Schuetz, Schlattmann and Dewey 2012, doi 10.1136/bmj.e6717: whoever has no result counts as wrong.
INTENTION = "intention to diagnose: a rejected recording counts as wrong"
CURVE_POINTS = 100  # of a curve in files


@dataclasses.dataclass(frozen=True)
class Detection:
    """Who is below 2500 g by the estimate, beside who is by the scale.

    Attributes:
      what: Which visits are counted, and how they are judged.
      found, missed: Visits below 2500 g that the estimate finds, and does not.
      false_alarms, rightly_left: Others that it takes for lighter, and does not.
      sensitivity: Share of those below that are found.
      specificity: Share of the others that are left alone.
      ppv: Share of those taken for low that are; of a population with as many of low weight.
      npv: Share of the others that are not.
    """

    what: str
    found: int
    missed: int
    false_alarms: int
    rightly_left: int
    sensitivity: Number
    specificity: Number
    ppv: Number
    npv: Number


@dataclasses.dataclass(frozen=True)
class Curve:
    """Receiver operating characteristic of a weight below 2500 g, over all limits of the estimate.

    Attributes:
      what: Whose estimates.
      visits, low: Number of visits, and of those below 2500 g.
      area: Area under the curve, with percentiles of resamples of infants; nan without both kinds.
      points: Share of false alarms and sensitivity, from no alarm to all, at most CURVE_POINTS.
    """

    what: str
    visits: int
    low: int
    area: Number
    points: tuple[tuple[float, float], ...]


def detection(estimates: Estimates, what: str = "") -> tuple[Detection, ...]:
    """A weight below 2500 g by the estimate: all visits, and the first days.

    Args:
      estimates: What is evaluated.
      what: Added to the name of each row.
    """
    first = next(iter(AGE_BANDS))
    first_days = np.array(bands(estimates.age_days)) == first
    weight = estimates.of(WEIGHT.name)
    said = weight.mean < growth.LOW_BIRTH_WEIGHT_G
    return tuple(_detection(name + (what and f", {what}"), weight.truth, said, estimates.families,
                            weight.known & chosen)
                 for name, chosen in ((EVERYBODY, True), (f"visits of {first}", first_days)))


def screening(estimates: Estimates, low: np.ndarray) -> Detection:
    """Who is found when everybody whose interval reaches below 2500 g is sent to a scale.

    A visit without interval is sent there, too.

    Args:
      estimates: What is evaluated.
      low: Lower ends of the intervals, [n, 5] in the order of LABELS.
    """
    weight, low_g = estimates.of(WEIGHT.name), low[:, LABELS.index(WEIGHT.name)]
    return _detection(f"{EVERYBODY}, {BY_LOWER_END}", weight.truth,
                      ~(low_g >= growth.LOW_BIRTH_WEIGHT_G), estimates.families, weight.known)


def intention_to_diagnose(estimates: Estimates, rejected: Sequence[Visit], what: str = ""
                          ) -> Detection:
    """Of all recordings that could be read: one without an estimate is wrong, whatever it shows.

    Args:
      estimates: Those of the visits that the gate let through.
      rejected: The others.
      what: Added to the name of the row.
    """
    visits = (*estimates.visits, *rejected)
    truth = truths(visits, WEIGHT.name)
    low = truth < growth.LOW_BIRTH_WEIGHT_G
    said = np.concatenate([estimates.of(WEIGHT.name).mean < growth.LOW_BIRTH_WEIGHT_G,
                           ~low[len(estimates):]])
    return _detection(", ".join(filter(None, (EVERYBODY, what, INTENTION))), truth, said,
                      np.array(families(visits), str), np.isfinite(truth))


def all_ways(estimates: Estimates, low: np.ndarray, withheld: Estimates | None,
             rejected: Sequence[Visit]) -> tuple[Detection, ...]:
    """Every way of asking but `detection`: rows of one table.

    Args:
      estimates: What is evaluated.
      low: Lower ends of the intervals, [n, 5] in the order of LABELS.
      withheld: The same visits estimated without their birth weights; None where they were not.
      rejected: Visits that the gate let not through.
    """
    rows = [screening(estimates, low)]
    if rejected:
        rows.append(intention_to_diagnose(estimates, rejected))
    if withheld is not None:
        rows += detection(withheld, NOT_TOLD)
        if rejected:
            rows.append(intention_to_diagnose(
                withheld, [without_birth_weight(visit) for visit in rejected], NOT_TOLD))
    return tuple(rows)


def spring_scale() -> Detection:
    """What has been published of the device that is used where there is no phone."""
    found, missed, false_alarms, rightly_left = SPRING_SCALE_COUNTS
    return Detection(SPRING_SCALE, *SPRING_SCALE_COUNTS, wilson(found, found + missed),
                     wilson(rightly_left, rightly_left + false_alarms),
                     wilson(found, found + false_alarms), wilson(rightly_left,
                                                                 rightly_left + missed))


def curve(estimates: Estimates, what: str, seed: int = 0) -> Curve:
    """The curve of the estimates, as limits go from 0 g up."""
    weight = estimates.of(WEIGHT.name)
    known = weight.known
    low, mean = weight.truth[known] < growth.LOW_BIRTH_WEIGHT_G, weight.mean[known]
    if low.all() or not low.any():
        return Curve(what, len(low), int(low.sum()), Number(np.nan), ())
    _, order = np.unique(mean, return_inverse=True)
    infants = estimates.families[known]
    value = float(_areas(np.ones((1, len(low))), low, order)[0])
    areas = [_areas(weights, low, order) for weights in draws(infants, seed)]
    whole = np.ones(len(low))
    alarms, found = (np.cumsum(np.bincount(order, whole * each)) / each.sum()
                     for each in (~low, low))
    kept = np.unique(np.linspace(0, len(alarms) - 1, CURVE_POINTS).round().astype(int))
    points = [(0.0, 0.0), *zip(alarms[kept].tolist(), found[kept].tolist(), strict=True)]
    return Curve(what, len(low), int(low.sum()), percentiles(value, areas), tuple(points))


def _areas(weights: np.ndarray, low: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Areas under the curve, [r]: how often a light infant is estimated below another.

    Args:
      weights: How often each visit counts, [r, n].
      low: Which are below 2500 g, [n] bool.
      order: Rank of each estimate from the lightest, equal for equal ones, [n].
    """
    sort = np.argsort(order, kind="stable")
    starts = np.searchsorted(order[sort], np.arange(order.max() + 1))
    lights, others = (np.add.reduceat((weights * each)[:, sort], starts, axis=1)
                      for each in (low, ~low))
    before = np.cumsum(lights, 1) - lights / 2  # equal estimates count half
    with np.errstate(invalid="ignore"):
        return (others * before).sum(1) / (lights.sum(1) * others.sum(1))


def _detection(what: str, truth: np.ndarray, said: np.ndarray, infants: np.ndarray,
               chosen: np.ndarray) -> Detection:
    """Counts and shares of some visits.

    Args:
      truth: Their weights, [n].
      said: Taken for low, [n] bool.
      infants: Whose visit each is, [n].
      chosen: Visits to be counted, [n] bool.
    """
    low = truth < growth.LOW_BIRTH_WEIGHT_G
    counts = (int(np.sum(case & chosen)) for case in (
        low & said, low & ~said, ~low & said, ~low & ~said))
    shares = (share(hit[rows & chosen], infants[rows & chosen]) for hit, rows in (
        (said, low), (~said, ~low), (low, said), (~low, ~said)))
    return Detection(what, *counts, *shares)
