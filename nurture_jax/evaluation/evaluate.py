"""How far estimates are from what was measured: errors by group, agreement, low weight found.

Every interval is a 95 % one and comes from drawing infants, or is Wilson's where it is a share of
a diagnosis. Start with `evaluate`; definitions and formulas are in docs/nurture_evaluation.md.
"""
from __future__ import annotations

import dataclasses

import numpy as np

from deps_jax.common.statistics.intervals import Number
from nurture_jax import growth
from nurture_jax.evaluation.agreement import (
    Agreement,
    Proportional,
    Reliability,
    agreement,
    proportional,
    reliability,
)
from nurture_jax.evaluation.coverage import EVERYBODY
from nurture_jax.evaluation.detection import Detection, detection
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.groups import AGE_BANDS, NOT_KNOWN, OTHERS, reported
from nurture_jax.evaluation.uncertainty import bootstrap, mean_of
from nurture_jax.measures import LABELS, MEASURES, WEIGHT
from nurture_jax.records.visit import Visit

WITHIN_PERCENT = (5, 10)


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
      proportional: The same relative to size, and whether errors grow with it.
      reliability: Intraclass correlations by measure.
      detection: Who is found to be of low weight, of all visits first.
    """

    errors: tuple[Errors, ...]
    agreement: tuple[Agreement, ...]
    proportional: tuple[Proportional, ...]
    reliability: tuple[Reliability, ...]
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
    return Evaluation(errors(estimates, seed), agreement(estimates, seed),
                      proportional(estimates, seed), reliability(estimates, seed),
                      detection(estimates))


def groups(visits: tuple[Visit, ...]) -> dict[str, list[str]]:
    """Names of the groups of n visits, [n] for each way in which the tables divide them."""
    rendered = any(visit.body for visit in visits)
    return {
        EVERYBODY: [EVERYBODY] * len(visits), **reported(visits),
        **({"body": [visit.body or NOT_KNOWN for visit in visits]} if rendered else {})}


def errors(estimates: Estimates, seed: int = 0) -> tuple[Errors, ...]:
    """Errors by measure and group; groups without a measured value are left out."""
    columns, rows = {name: estimates.of(name) for name in LABELS}, []
    infants, families = estimates.infants, estimates.families
    for by, names in groups(estimates.visits).items():
        names = np.array(names)
        for group in _ordered(names):
            for measure, column in columns.items():
                inside = (names == group) & column.known
                if inside.any():
                    rows.append(_errors(measure, by, group, infants[inside], families[inside],
                                        column.mean[inside], column.truth[inside], seed))
    return tuple(rows)


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
            mean = mean_of(model.families[inside], further[inside], seed)
            rows.append(Difference(measure, MEASURES[measure].unit, name, int(inside.sum()), mean))
    return tuple(rows)


def _errors(measure: str, by: str, group: str, infants: np.ndarray, families: np.ndarray,
            mean: np.ndarray, truth: np.ndarray, seed: int) -> Errors:
    """Errors of n visits that were all measured; the arrays are [n]."""
    error = mean - truth
    relative = 100 * np.abs(error) / truth
    terms = np.stack([np.abs(error), relative, error, *(relative <= p for p in WITHIN_PERCENT),
                      np.ones(len(error))], axis=1)
    means = bootstrap(families, terms, lambda *sums: tuple(s / sums[-1] for s in sums[:-1]), seed)
    return Errors(measure, MEASURES[measure].unit, by, group, len(error),
                  len(np.unique(infants)), *means)


def _ordered(names: np.ndarray) -> list[str]:
    """Distinct names: bands and classes as they grow, others by the alphabet, unknown last."""
    order = [*AGE_BANDS, *growth.CLASSES, *growth.BANDS]
    last = lambda name: name == OTHERS or 2 * name.endswith(NOT_KNOWN)
    return sorted(set(names.tolist()), key=lambda name: (
        order.index(name) if name in order else len(order) + last(name), name))
