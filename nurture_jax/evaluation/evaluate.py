"""How far estimates are from what was measured: errors by group, agreement, low weight found.

Every interval is a 95 % one and comes from drawing infants, or is Wilson's where it is a share of
a diagnosis. Start with `evaluate`; definitions and formulas are in docs/nurture_evaluation.md.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from deps_jax.common.statistics.intervals import Number, wilson
from nurture_jax import growth
from nurture_jax.evaluation.estimates import Column, Estimates
from nurture_jax.evaluation.intervals import AGE_BANDS, bands
from nurture_jax.evaluation.uncertainty import bootstrap, limits_of_agreement
from nurture_jax.measures import LABELS, MEASURES, WEIGHT
from nurture_jax.records.visit import Visit

EVERYBODY = "all visits"
NOT_KNOWN = "not known"
WITHIN_PERCENT = (5, 10)

# Mullany 2006, doi 10.1136/adc.2005.088781: BIRTHweigh III, a hand-held spring scale with coloured
# bands, beside a digital scale, in Nepal: 479 of 511 low, 1278 of 1309 others.
SPRING_SCALE = "colour-coded spring scale (Mullany 2006, newborns in Nepal)"
SPRING_SCALE_COUNTS = (479, 32, 31, 1278)  # found, missed, false alarms, rightly left alone


@dataclasses.dataclass(frozen=True)
class Errors:
    """Errors of one measure in one group of visits.

    Attributes:
      measure: One of LABELS.
      unit: Its unit.
      by, group: What divides the visits, and which part it is, such as "sex" and "F".
      visits, infants: Number of those that were measured and estimated.
      mae, bias: Mean of |error| and of estimate - measured, in `unit`.
      relative_error_percent: Mean of |error| / measured.
      within_5_percent, within_10_percent: Share of visits with a relative error up to that.
    """

    measure: str
    unit: str
    by: str
    group: str
    visits: int
    infants: int
    mae: Number
    relative_error_percent: Number
    bias: Number
    within_5_percent: Number
    within_10_percent: Number


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
class Detection:
    """Who is below 2500 g by the estimate, beside who is by the scale.

    Attributes:
      what: Which visits are counted, and how they are judged.
      found, missed: Visits below 2500 g that the estimate finds, and does not.
      false_alarms, rightly_left: Others that it takes for lighter, and does not.
      sensitivity: Share of those below that are found.
      specificity: Share of the others that are left alone.
    """

    what: str
    found: int
    missed: int
    false_alarms: int
    rightly_left: int
    sensitivity: Number
    specificity: Number


@dataclasses.dataclass(frozen=True)
class Difference:
    """Whether the model is nearer than a baseline on the same visits.

    Attributes:
      measure: One of LABELS.
      unit: Its unit.
      baseline: Name of the baseline.
      visits: Number of those that were measured, and estimated by both.
      mae_difference: Mean absolute error of the model minus that of the baseline, in `unit`.
    """

    measure: str
    unit: str
    baseline: str
    visits: int
    mae_difference: Number


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """All that is said of one set of estimates.

    Attributes:
      errors: Errors by measure and group of visits.
      agreement: Agreement by measure.
      detection: Who is found to be of low weight, of all visits first.
    """

    errors: tuple[Errors, ...]
    agreement: tuple[Agreement, ...]
    detection: tuple[Detection, ...]

    def overall(self, measure: str) -> Errors | None:
        """Errors of a measure over all visits; None for one without reference."""
        return next((row for row in self.errors
                     if (row.measure, row.by) == (measure, EVERYBODY)), None)


def evaluate(estimates: Estimates, seed: int = 0) -> Evaluation:
    """Everything that needs the estimates and what was measured, nothing else.

    Args:
      estimates: What is evaluated.
      seed: Seed of the bootstrap.

    Raises:
      ValueError: If no visit has a measured weight.
    """
    if not np.isfinite(estimates.of(WEIGHT.name).truth).any():
        raise ValueError(f"none of {len(estimates)} visits has a measured weight; evaluate on "
                         f"visits with labels")
    return Evaluation(errors(estimates, seed), agreement(estimates, seed), detection(estimates))


def groups(visits: tuple[Visit, ...]) -> dict[str, list[str]]:
    """Names of the groups of n visits, [n] for each way in which the tables divide them."""
    def weight(value: float | None, name: Callable[[float], str]) -> str:
        return NOT_KNOWN if value is None else name(value)

    rendered = any(visit.body for visit in visits)
    return {
        EVERYBODY: [EVERYBODY] * len(visits),
        "visit day": bands([np.nan if v.age_days is None else v.age_days for v in visits]),
        "sex": [visit.sex or NOT_KNOWN for visit in visits],
        "class of the birth weight": [weight(visit.birth_weight_g, growth.birth_weight_class)
                                      for visit in visits],
        "weight at the visit": [weight(visit.weight_g, growth.weight_band) for visit in visits],
        "site": [visit.site or NOT_KNOWN for visit in visits],
        "device": [visit.device or NOT_KNOWN for visit in visits],
        **({"body": [visit.body or NOT_KNOWN for visit in visits]} if rendered else {})}


def errors(estimates: Estimates, seed: int = 0) -> tuple[Errors, ...]:
    """Errors by measure and group; groups without a measured value are left out."""
    columns, infants, rows = {name: estimates.of(name) for name in LABELS}, estimates.infants, []
    for by, names in groups(estimates.visits).items():
        names = np.array(names)
        for group in _ordered(names):
            for measure, column in columns.items():
                inside = (names == group) & column.known
                if inside.any():
                    rows.append(_errors(measure, by, group, infants[inside], column.mean[inside],
                                        column.truth[inside], seed))
    return tuple(rows)


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
        error = column.error[inside]
        terms = np.stack([error, error ** 2, np.ones(len(error))], axis=1)
        rows.append(Agreement(measure, MEASURES[measure].unit, int(inside.sum()),
                              *bootstrap(estimates.infants[inside], terms, limits_of_agreement,
                                         seed)))
    return tuple(rows)


def detection(estimates: Estimates) -> tuple[Detection, ...]:
    """Sensitivity and specificity for a weight below 2500 g: all visits, and the first days."""
    first = next(iter(AGE_BANDS))
    first_days = np.array(bands(estimates.age_days)) == first
    weight = estimates.of(WEIGHT.name)
    said = weight.mean < growth.LOW_BIRTH_WEIGHT_G
    return (_detection(EVERYBODY, weight, said, weight.known),
            _detection(f"visits of {first}", weight, said, weight.known & first_days))


def screening(estimates: Estimates, low: np.ndarray) -> Detection:
    """Who is found when everybody whose interval reaches below 2500 g is sent to a scale.

    Args:
      estimates: What is evaluated.
      low: Lower ends of the intervals, [n, 4] in the order of LABELS.
    """
    weight, low_g = estimates.of(WEIGHT.name), low[:, LABELS.index(WEIGHT.name)]
    return _detection("all visits, by the lower end of the interval", weight,
                      low_g < growth.LOW_BIRTH_WEIGHT_G, weight.known)


def spring_scale() -> Detection:
    """What has been published of the device that is used where there is no phone."""
    return _counted(SPRING_SCALE, *SPRING_SCALE_COUNTS)


def difference(model: Estimates, baseline: Estimates, name: str, seed: int = 0
               ) -> tuple[Difference, ...]:
    """Whether the model is nearer than a baseline, visit by visit; negative is nearer.

    Args:
      model, baseline: Estimates of the same visits.
      name: Name of the baseline.
      seed: Seed of the bootstrap.

    Raises:
      ValueError: If they estimate different visits.
    """
    if [visit.key for visit in model.visits] != [visit.key for visit in baseline.visits]:
        raise ValueError(f"model and {name} estimate different visits; give the same in the same "
                         f"order")
    rows = []
    for measure in LABELS:
        ours, theirs = model.of(measure), baseline.of(measure)
        inside = ours.known & theirs.known
        if inside.any():
            further = np.abs(ours.error) - np.abs(theirs.error)
            terms = np.stack([further[inside], np.ones(inside.sum())], axis=1)
            mean, = bootstrap(model.infants[inside], terms, lambda total, count: (total / count,),
                              seed)
            rows.append(Difference(measure, MEASURES[measure].unit, name, int(inside.sum()), mean))
    return tuple(rows)


def _errors(measure: str, by: str, group: str, infants: np.ndarray, mean: np.ndarray,
            truth: np.ndarray, seed: int) -> Errors:
    """Errors of n visits that were all measured; `infants`, `mean` and `truth` are [n]."""
    error = mean - truth
    relative = 100 * np.abs(error) / truth
    terms = np.stack([np.abs(error), relative, error, *(relative <= p for p in WITHIN_PERCENT),
                      np.ones(len(error))], axis=1)
    means = bootstrap(infants, terms, lambda *sums: tuple(s / sums[-1] for s in sums[:-1]), seed)
    return Errors(measure, MEASURES[measure].unit, by, group, len(error),
                  len(np.unique(infants)), *means)


def _detection(what: str, weight: Column, said: np.ndarray, chosen: np.ndarray) -> Detection:
    """Counts of some visits; `said` [n] bool: taken for low, `chosen` [n] bool: to be counted."""
    low = weight.truth < growth.LOW_BIRTH_WEIGHT_G
    return _counted(what, *(int(np.sum(case & chosen)) for case in (
        low & said, low & ~said, ~low & said, ~low & ~said)))


def _counted(what: str, found: int, missed: int, false_alarms: int, rightly_left: int
             ) -> Detection:
    """The counts with their shares."""
    return Detection(what, found, missed, false_alarms, rightly_left,
                     wilson(found, found + missed),
                     wilson(rightly_left, rightly_left + false_alarms))


def _ordered(names: np.ndarray) -> list[str]:
    """Distinct names: bands and classes as they grow, others by the alphabet, unknown last."""
    order = [*AGE_BANDS, *growth.CLASSES, *growth.BANDS]
    return sorted(set(names.tolist()), key=lambda name: (
        order.index(name) if name in order else len(order) + name.endswith(NOT_KNOWN), name))
