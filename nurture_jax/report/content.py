"""What a report is made of: estimates of a split, baselines, intervals, gate, counts of visits.

`build` puts everything together; the files are written by `report.py`.
"""
from __future__ import annotations

import collections
import dataclasses
import datetime
import math
from collections.abc import Iterable, Mapping

from deps_jax.common.command.source import git_commit
from nurture_jax.clinic.assessment import Assessment, assess
from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.recording_gate import Gate, rejections
from nurture_jax.evaluation.baselines import Baseline
from nurture_jax.evaluation.coverage import Coverage, covered
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.evaluate import (
    Detection,
    Difference,
    Evaluation,
    difference,
    evaluate,
    screening,
    spring_scale,
)
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.evaluation.reference_quality import (
    Heaping,
    TechnicalError,
    heaping,
    technical_errors,
)
from nurture_jax.evaluation.uncertainty import CONFIDENCE, RESAMPLES
from nurture_jax.growth import NoStandard
from nurture_jax.measures import LABELS
from nurture_jax.records.visit import Visit

VERSION = 2
NO_GATE = "no gate used"
IF_TERM = "{} (gestation not known)"


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What the report tells beside the estimates.

    Attributes:
      name: of the run.
      synthetic: the recordings are rendered; the page then says so in its headline.
      split: "test" or "validation".
      eligible: visits of the split in the table.
      left_out: videos that could not be used, by reason.
      gated: every usable video with what the gate found; empty without a gate.
      training: anything worth telling: data, backbone, steps, parameters, seed.
      limits: of the gate.
    """

    name: str
    synthetic: bool
    split: str
    eligible: int
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
    gated: tuple[tuple[Visit, Gate], ...] = ()
    training: Mapping[str, object] = dataclasses.field(default_factory=dict)
    limits: Limits = dataclasses.field(default_factory=Limits)


@dataclasses.dataclass(frozen=True)
class Flow:
    """Counts of visits as STARD-AI (2025) asks for them.

    Attributes:
      left_out, rejected: by reason; a recording may be rejected for several.
    """

    eligible: int
    left_out: dict[str, int]
    captured: int
    gated: bool
    rejected: int
    rejected_by_check: dict[str, int]
    predicted: int

    @property
    def reject_rate(self) -> float:
        """Share of the captured; nan where nothing was captured or no gate looked."""
        return self.rejected / self.captured if self.gated and self.captured else math.nan

    def rows(self) -> list[tuple[str, int | str, Mapping[str, int]]]:
        """What is counted, from the table to the estimates: its name, how many, and why so many.

        The last are counts by reason, empty where none are kept.
        """
        return [("eligible", self.eligible, {}),
                ("left out", sum(self.left_out.values()), self.left_out),
                ("captured", self.captured, {}),
                ("rejected", self.rejected if self.gated else NO_GATE, self.rejected_by_check),
                ("predicted", self.predicted, {})]


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts in words, such as "damaged 2, truncated 1"."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything the files are made of."""

    facts: RunFacts
    flow: Flow
    estimates: Estimates
    intervals: Intervals
    assessments: tuple[Assessment, ...]
    baselines: Mapping[str, Baseline]
    evaluation: Evaluation  # of the estimates
    of_baselines: Mapping[str, Evaluation]
    differences: tuple[Difference, ...]
    screening: Detection
    coverage: tuple[Coverage, ...]
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
            "split": self.facts.split, "date": self.date, "git_commit": self.git_commit,
            "visits": len(self.estimates), "infants": self.infants, "confidence": CONFIDENCE,
            "bootstrap_resamples": RESAMPLES, "seed": self.seed,
            "flow": {**dataclasses.asdict(self.flow), "reject_rate": self.flow.reject_rate},
            "model": dataclasses.asdict(self.evaluation),
            "baselines": {name: {"description": self.baselines[name].description,
                                 **dataclasses.asdict(each)}
                          for name, each in self.of_baselines.items()},
            "differences": plain(self.differences),
            "screening": dataclasses.asdict(self.screening),
            "spring_scale": dataclasses.asdict(spring_scale()),
            "interval_coverage_asked": self.intervals.coverage,
            "coverage": plain(self.coverage), "interval_notes": self.intervals.notes(),
            "reference": {"heaping": plain(self.heaping),
                          "technical_errors": plain(self.technical_errors)},
            "standards": self.standards, "advice": self.advice,
            "advice_not_judged": self.not_judged,
            "training": dict(self.facts.training),
            "gate": dataclasses.asdict(self.facts.limits)}

    @property
    def infants(self) -> int:
        return len(set(self.estimates.infants.tolist()))


def build(estimates: Estimates, baselines: Mapping[str, Baseline], intervals: Intervals,
          facts: RunFacts, seed: int = 0) -> Report:
    """Evaluates the estimates of a split; `report.write` tells the arguments and errors."""
    assessments = tuple(assess(estimates, intervals))
    return Report(
        facts=facts, flow=_flow(estimates, facts), estimates=estimates, intervals=intervals,
        assessments=assessments, baselines=baselines, evaluation=evaluate(estimates, seed),
        of_baselines={name: evaluate(each.estimates, seed) for name, each in baselines.items()},
        differences=tuple(row for name, each in baselines.items()
                          for row in difference(estimates, each.estimates, name, seed)),
        screening=screening(estimates, intervals.bounds(estimates)[0]),
        coverage=tuple(covered(intervals, estimates, seed)), heaping=heaping(estimates),
        technical_errors=technical_errors(estimates), standards=_standards(assessments),
        advice=dict(collections.Counter(found.advice.line for found in assessments)),
        not_judged=dict(collections.Counter(each.short for found in assessments
                                            for each in found.advice.not_judged).most_common()),
        seed=seed, date=datetime.date.today().isoformat(), git_commit=git_commit())


def _flow(estimates: Estimates, facts: RunFacts) -> Flow:
    rejected = [gate for _, gate in facts.gated if not gate.accepted]
    captured = facts.eligible - sum(facts.left_out.values())
    flow = Flow(facts.eligible, dict(facts.left_out), captured, bool(facts.gated), len(rejected),
                rejections(rejected), len(estimates))
    if flow.captured != flow.rejected + flow.predicted:
        raise ValueError(f"{flow.captured} visits were captured ({facts.eligible} eligible), but "
                         f"{flow.rejected} rejected and {flow.predicted} estimated; count every "
                         f"visit of the split once")
    accepted = {visit.key for visit, gate in facts.gated if gate.accepted}
    if facts.gated and (wrong := accepted ^ {visit.key for visit in estimates.visits}):
        raise ValueError(f"visit {min(wrong)} is estimated but not accepted by the gate, or the "
                         f"other way round; estimate the accepted visits")
    return flow


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
