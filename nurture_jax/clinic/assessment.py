"""All that is told of one visit: measures with intervals, z-scores, class, change, advice."""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from nurture_jax import growth
from nurture_jax.clinic.advice import Advice, advise
from nurture_jax.clinic.thresholds import Earlier
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.growth import NoStandard, ZScore
from nurture_jax.measures import LABELS, RANGES, WEIGHT
from nurture_jax.records.visit import Visit

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
      z_low, z_high: z-scores of the ends; None where there is none.
    """

    measure: str
    estimate: float
    low: float
    high: float
    truth: float | None
    place: ZScore | NoStandard
    z_low: float | None = None
    z_high: float | None = None

    def plain(self) -> dict:
        """Estimate, ends, z, centile and standard for files; None where there is no number."""
        stands = not isinstance(self.place, NoStandard)
        return {"estimate": self.estimate,
                "low": self.low if math.isfinite(self.low) else None,
                "high": self.high if math.isfinite(self.high) else None,
                "z": self.place.z if stands else None, "z_low": self.z_low, "z_high": self.z_high,
                "centile": self.place.centile if stands else None,
                "standard": self.place.standard if stands else f"none: {self.place.reason}",
                "standard_because": self.place.why if stands else None}


@dataclasses.dataclass(frozen=True)
class Assessment:
    """All that is told of one visit.

    Attributes:
      visit: What was known and measured without the video.
      findings: What is said of each measure, by name; one that is not estimated is absent.
      birth_weight_class: Class of the birth weight, one of `growth.CLASSES`; None where it is not
        known. A weight of today has no class.
      weight_band: Between which limits the estimate of today lies, one of `growth.BANDS`, or
        IMPLAUSIBLE.
      change_percent: Change of the estimated weight from the birth weight; None where that is
        missing, or the estimate is not above 0.
      advice: What a health worker is told.
      lacks: Inputs that the estimate had to do without, and what that costs, in words.
    """

    visit: Visit
    findings: dict[str, Finding]
    birth_weight_class: str | None
    weight_band: str
    change_percent: float | None
    advice: Advice
    lacks: tuple[str, ...] = ()

    def plain(self) -> dict:
        """The assessment for files, without the visit; None where there is no number."""
        advice = self.advice
        return {"measures": {name: finding.plain() for name, finding in self.findings.items()},
                "birth_weight_class": self.birth_weight_class, "weight_band": self.weight_band,
                "change_from_birth_weight_percent": self.change_percent,
                "lacks": list(self.lacks),
                "advice": advice.line, "advice_text": str(advice),
                "advice_reasons": list(advice.reasons),
                "advice_not_judged": [str(each) for each in advice.not_judged],
                "advice_notes": list(advice.notes), "rules": dict(advice.rules)}


def assess(estimates: Estimates, intervals: Intervals,
           earlier: Sequence[Sequence[Earlier]] | None = None) -> list[Assessment]:
    """The assessment of every visit, in order.

    Args:
      estimates: Estimates of n visits.
      intervals: Their calibrated factors.
      earlier: Earlier visits of the infant of each visit, n of them; None for none at all.

    Raises:
      ValueError: If the weight is not estimated, on which the advice rests.
    """
    if np.isnan(estimates.of(WEIGHT.name).mean).any():
        raise ValueError("the weight is not estimated; the advice needs it")
    lows, highs = intervals.bounds(estimates)
    earlier = earlier if earlier is not None else [()] * len(estimates)
    found = [_assess(*row) for row in zip(estimates.visits, estimates.mean, lows, highs, earlier,
                                          strict=True)]
    return [dataclasses.replace(each, lacks=tuple(intervals.lacked(each.visit))) for each in found]


def _assess(visit: Visit, mean: np.ndarray, low: np.ndarray, high: np.ndarray,
            earlier: Sequence[Earlier]) -> Assessment:
    """The assessment of one visit from its rows of estimates and ends, [5] each."""
    findings = {}
    for i, name in enumerate(LABELS):
        if math.isfinite(mean[i]):
            value, ends = float(mean[i]), (float(low[i]), float(high[i]))
            scores = [getattr(_place(visit, name, end), "z", None) for end in ends]
            findings[name] = Finding(name, value, *ends, getattr(visit, name),
                                     _place(visit, name, value), *scores)
    weight = findings[WEIGHT.name]
    birth_g, allowed = visit.birth_weight_g, RANGES[WEIGHT.name]
    plausible = allowed.low <= weight.estimate <= allowed.high
    return Assessment(
        visit, findings, growth.birth_weight_class(birth_g) if birth_g else None,
        growth.weight_band(weight.estimate) if plausible else IMPLAUSIBLE,
        growth.weight_change_percent(weight.estimate, birth_g)
        if birth_g and weight.estimate > 0 else None,
        advise(visit, weight.estimate, weight.low, weight.high, earlier))


def _place(visit: Visit, measure: str, value: float) -> ZScore | NoStandard:
    """Place of an estimate among infants of the same sex and age."""
    if not value > 0 or math.isinf(value):
        return growth.none("not_positive")
    return growth.assess(measure, value, sex=visit.sex or None, age_days=visit.age_days,
                         gestational_age_days=visit.gestational_age_days)
