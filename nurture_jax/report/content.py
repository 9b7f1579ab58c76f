"""What a report is made of: estimates of a split, baselines, intervals, gate, counts of visits.

`build` puts everything together; the files are written by `report.py`.
"""
from __future__ import annotations

import collections
import dataclasses
import datetime
from collections.abc import Iterable, Mapping

import numpy as np

from deps_jax.common.command.source import git_commit
from deps_jax.common.statistics.intervals import CONFIDENCE
from nurture_jax.clinic.assessment import Assessment, assess
from nurture_jax.evaluation.baselines import Baseline
from nurture_jax.evaluation.coverage import Coverage, covered
from nurture_jax.evaluation.decisions import DecisionCurve, decision_curve
from nurture_jax.evaluation.detection import (
    NOT_TOLD,
    Curve,
    Detection,
    all_ways,
    curve,
    spring_scale,
)
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.evaluate import Difference, Evaluation, difference, evaluate
from nurture_jax.evaluation.forecast import Forecast, forecasts
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.evaluation.reference_quality import (
    Heaping,
    TechnicalError,
    heaping,
    technical_errors,
)
from nurture_jax.evaluation.uncertainty import RESAMPLES
from nurture_jax.growth import NoStandard
from nurture_jax.measures import LABELS
from nurture_jax.report.facts import RunFacts
from nurture_jax.report.flow import Compared, Flow, compare, flow

VERSION = 3
MODEL = "model"
IF_TERM = "{} (gestation not known)"


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything the files are made of."""

    facts: RunFacts
    flow: Flow
    compared: tuple[Compared, ...]  # the rejected with the estimated
    estimates: Estimates
    intervals: Intervals
    assessments: tuple[Assessment, ...]
    baselines: Mapping[str, Baseline]
    evaluation: Evaluation  # of the estimates
    of_baselines: Mapping[str, Evaluation]
    differences: tuple[Difference, ...]
    ways: tuple[Detection, ...]  # other ways to find low weight than by the estimate itself
    curves: tuple[Curve, ...]
    decisions: tuple[DecisionCurve, ...]
    forecasts: tuple[Forecast, ...]
    coverage: tuple[Coverage, ...]
    coverage_withheld: tuple[Coverage, ...]  # without birth weights, of infants who have one
    coverage_before: tuple[Coverage, ...]  # by the intervals before they were calibrated again
    heaping: tuple[Heaping, ...]
    technical_errors: tuple[TechnicalError, ...]
    standards: dict[str, dict[str, int]]  # of the z-scores, counted by measure
    advice: dict[str, int]
    not_judged: dict[str, int]  # what the advice could not be judged by, and why, counted
    seed: int
    date: str
    git_commit: str

    def numbers(self) -> dict:
        """Everything but the visits themselves, as plain values."""
        plain = lambda rows: [dataclasses.asdict(row) for row in rows]
        return {
            "version": VERSION, "run": self.facts.name, "synthetic": self.facts.synthetic,
            "split": self.facts.split, "other_data_set": self.facts.other,
            "recalibrated_infants": self.facts.recalibrated,
            "date": self.date, "git_commit": self.git_commit,
            "visits": len(self.estimates), "infants": self.infants, "confidence": CONFIDENCE,
            "bootstrap_resamples": RESAMPLES, "seed": self.seed,
            "flow": {**dataclasses.asdict(self.flow), "reject_rate": self.flow.reject_rate},
            "gate_not_checked": self.facts.not_checked,
            "estimated_and_rejected": plain(self.compared),
            "model": dataclasses.asdict(self.evaluation),
            "baselines": {name: {"description": self.baselines[name].description,
                                 **dataclasses.asdict(each)}
                          for name, each in self.of_baselines.items()},
            "differences": plain(self.differences), "forecasts": plain(self.forecasts),
            "detection_otherwise": plain(self.ways), "roc": plain(self.curves),
            "decision_curves": plain(self.decisions),
            "spring_scale": dataclasses.asdict(spring_scale()),
            "interval_coverage_asked": self.intervals.coverage,
            "coverage": plain(self.coverage), "coverage_withheld": plain(self.coverage_withheld),
            "coverage_before": plain(self.coverage_before),
            "interval_notes": self.intervals.notes(),
            "width_without_birth_weight": self.intervals.costs(),
            "reference": {"heaping": plain(self.heaping),
                          "technical_errors": plain(self.technical_errors)},
            "standards": self.standards, "advice": self.advice,
            "advice_not_judged": self.not_judged,
            "training": dict(self.facts.training),
            "gate": dataclasses.asdict(self.facts.limits),
            "gate_calibrated": dict(self.facts.calibrated_limits)}

    @property
    def infants(self) -> int:
        """Number of infants that were estimated."""
        return len(set(self.estimates.infants.tolist()))


def build(estimates: Estimates, baselines: Mapping[str, Baseline], intervals: Intervals,
          facts: RunFacts, seed: int = 0, *, withheld: Estimates | None = None,
          before: Intervals | None = None) -> Report:
    """Evaluates the estimates of a split; `report.write` tells the arguments and errors."""
    assessments = tuple(assess(estimates, intervals))
    methods = {MODEL: estimates, **({NOT_TOLD: withheld} if withheld else {}),
               **{name: each.estimates for name, each in baselines.items()}}
    return Report(
        facts=facts, flow=flow(estimates, facts), compared=compare(estimates, facts.rejected),
        estimates=estimates, intervals=intervals, assessments=assessments, baselines=baselines,
        evaluation=evaluate(estimates, seed),
        of_baselines={name: evaluate(each.estimates, seed) for name, each in baselines.items()},
        differences=tuple(row for name, each in baselines.items()
                          for row in difference(estimates, each.estimates, name, seed)),
        ways=all_ways(estimates, intervals.bounds(estimates)[0], withheld, facts.rejected),
        curves=tuple(curve(each, name, seed) for name, each in methods.items()),
        decisions=tuple(decision_curve(each, name, seed) for name, each in methods.items()),
        forecasts=tuple(row for name, each in methods.items() for row in forecasts(
            each, name, None if name in baselines else intervals, seed)),
        coverage=tuple(covered(intervals, estimates)),
        coverage_withheld=_of_withheld(intervals, estimates, withheld),
        coverage_before=tuple(covered(before, estimates)) if before else (),
        heaping=heaping(estimates),
        technical_errors=technical_errors(estimates), standards=_standards(assessments),
        advice=dict(collections.Counter(found.advice.line for found in assessments)),
        not_judged=dict(collections.Counter(each.short for found in assessments
                                            for each in found.advice.not_judged).most_common()),
        seed=seed, date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        git_commit=git_commit())


def _of_withheld(intervals: Intervals, estimates: Estimates, withheld: Estimates | None
                 ) -> tuple[Coverage, ...]:
    """Coverage of infants whose birth weight is known, where the model was not told it."""
    if withheld is None:
        return ()
    known = np.array([visit.birth_weight_g is not None for visit in estimates.visits], bool)
    return tuple(covered(intervals, withheld.take(known))) if known.any() else ()


def _standards(assessments: Iterable[Assessment]) -> dict[str, dict[str, int]]:
    """Which standard the z-scores are of, and why some have none, counted by measure."""
    counts = {measure: collections.Counter() for measure in LABELS}
    for found in assessments:
        for measure, value in found.findings.items():
            place = value.place
            counts[measure][f"none: {place.short}" if isinstance(place, NoStandard) else
                            IF_TERM.format(place.standard) if place.only_if_term else
                            place.standard] += 1
    return {measure: dict(count.most_common()) for measure, count in counts.items() if count}
