"""All that is told of one visit: measures with intervals, z-scores, class, change, advice."""
from __future__ import annotations

import dataclasses
import math

import numpy as np

from nurture_jax import growth
from nurture_jax.clinic.advice import Advice, advise
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.growth import NoStandard, ZScore
from nurture_jax.measures import LABELS, WEIGHT
from nurture_jax.records.visits import Visit

IMPLAUSIBLE = "not plausible"


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is said of one measure, in the unit its name ends with.

    Attributes:
      measure: One of LABELS.
      estimate: The estimated value.
      low, high: Ends of the interval; nan where it was never calibrated.
      truth: What was measured, or None.
      place: Place of the estimate among other infants, with the standard, or why there is none.
    """

    measure: str
    estimate: float
    low: float
    high: float
    truth: float | None
    place: ZScore | NoStandard

    def plain(self) -> dict:
        """Estimate, ends, z, centile and standard for files; None where there is no number."""
        stands = not isinstance(self.place, NoStandard)
        return {"estimate": self.estimate,
                "low": self.low if math.isfinite(self.low) else None,
                "high": self.high if math.isfinite(self.high) else None,
                "z": self.place.z if stands else None,
                "centile": self.place.centile if stands else None,
                "standard": self.place.standard if stands else f"none: {self.place.reason}"}


@dataclasses.dataclass(frozen=True)
class Assessment:
    """All that is told of one visit.

    Attributes:
      visit: What was known and measured without the video.
      findings: What is said of each measure, by name; one that is not estimated is absent.
      weight_class: Class of the estimate, one of `growth.CLASSES`, or IMPLAUSIBLE.
      change_percent: Change of the estimated weight from the birth weight; None where that is
        missing, or the estimate is not above 0.
      advice: What a health worker is told.
    """

    visit: Visit
    findings: dict[str, Finding]
    weight_class: str
    change_percent: float | None
    advice: Advice

    def plain(self) -> dict:
        """The assessment for files, without the visit; None where there is no number."""
        return {"measures": {name: finding.plain() for name, finding in self.findings.items()},
                "weight_class": self.weight_class,
                "change_from_birth_weight_percent": self.change_percent,
                "advice": self.advice.line, "advice_reasons": list(self.advice.reasons)}


def assess(estimates: Estimates, intervals: Intervals) -> list[Assessment]:
    """The assessment of every visit, in order.

    Raises:
      ValueError: If the weight is not estimated, on which class and advice rest.
    """
    if np.isnan(estimates.of(WEIGHT.name).mean).any():
        raise ValueError("the weight is not estimated; class and advice need it")
    lows, highs = intervals.bounds(estimates)
    return [_assess(*row) for row in zip(estimates.visits, estimates.mean, lows, highs,
                                         strict=True)]


def _assess(visit: Visit, mean: np.ndarray, low: np.ndarray, high: np.ndarray) -> Assessment:
    """The assessment of one visit from its rows of estimates and ends, [4] each."""
    findings = {
        name: Finding(name, float(mean[i]), float(low[i]), float(high[i]), getattr(visit, name),
                      _place(visit, name, float(mean[i])))
        for i, name in enumerate(LABELS) if math.isfinite(mean[i])}
    weight = findings[WEIGHT.name]
    birth_g, positive = visit.birth_weight_g, weight.estimate > 0
    return Assessment(
        visit, findings, growth.weight_class(weight.estimate) if positive else IMPLAUSIBLE,
        growth.weight_change_percent(weight.estimate, birth_g) if birth_g and positive else None,
        advise(visit, weight.estimate, weight.low, weight.high))


def _place(visit: Visit, measure: str, value: float) -> ZScore | NoStandard:
    """Place of an estimate among infants of the same sex and age."""
    if value <= 0:
        return NoStandard("the estimate is not positive")
    return growth.assess(measure, value, sex=visit.sex or None, age_days=visit.age_days,
                         gestational_age_days=visit.gestational_age_days)
