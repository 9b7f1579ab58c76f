"""What became of every visit and infant (STARD-AI 2025), and whom the gate has rejected."""
from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from deps_jax.common.statistics.intervals import Number
from nurture_jax.clinic.recording_gate import rejections
from nurture_jax.evaluation.estimates import Estimates, is_birth_weight
from nurture_jax.evaluation.groups import AGE_BANDS, PRETERM, bands, gestation_of
from nurture_jax.evaluation.uncertainty import share
from nurture_jax.growth import LOW_BIRTH_WEIGHT_G
from nurture_jax.measures import WEIGHT
from nurture_jax.records.visit import Visit, families
from nurture_jax.report.facts import RunFacts

NO_GATE = "no gate used"
MOST_PLACES = 5  # sites and devices of which shares are compared (our choice)


@dataclasses.dataclass(frozen=True)
class Flow:
    """Counts of visits and infants as STARD-AI (2025) asks for them.

    An infant is lost at the step at which the last of its visits is.

    Attributes:
      left_out, rejected_by_check: Visits by reason; a recording may be rejected for several.
      weighed: Visits with an estimate whose weight was measured, so that it can be judged.
      birth_weights: Others of them whose weight is the birth weight that the model was told.
      infants: Number of infants by the name of the step, as in `rows`.
    """

    eligible: int
    left_out: dict[str, int]
    captured: int
    gated: bool
    rejected: int
    rejected_by_check: dict[str, int]
    predicted: int
    weighed: int
    birth_weights: int
    infants: dict[str, int]

    @property
    def reject_rate(self) -> float:
        """Share of the captured; nan where nothing was captured or no gate looked."""
        return self.rejected / self.captured if self.gated and self.captured else math.nan

    def rows(self) -> list[tuple[str, int | str, int, Mapping[str, int]]]:
        """What is counted, from the table to the judged: its name, visits, infants, and reasons.

        The last are counts of visits by reason, empty where none are kept.
        """
        told = {"weight is the birth weight": self.birth_weights,
                "not weighed": self.predicted - self.weighed - self.birth_weights}
        steps = [("eligible", self.eligible, {}),
                 ("left out", sum(self.left_out.values()), self.left_out),
                 ("captured", self.captured, {}),
                 ("rejected", self.rejected if self.gated else NO_GATE, self.rejected_by_check),
                 ("predicted", self.predicted, {}),
                 ("weighed", self.weighed, {name: n for name, n in told.items() if n})]
        return [(name, visits, self.infants[name], reasons) for name, visits, reasons in steps]


@dataclasses.dataclass(frozen=True)
class Compared:
    """A share among the visits that were estimated, and among those that the gate rejected.

    Attributes:
      what: What has the share, such as "born preterm".
      estimated, rejected: The shares.
      of_estimated, of_rejected: Number of visits of which it is known.
    """

    what: str
    estimated: Number
    of_estimated: int
    rejected: Number
    of_rejected: int


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts in words, such as "damaged 2, truncated 1"."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def flow(estimates: Estimates, facts: RunFacts) -> Flow:
    """The counts.

    Raises:
      ValueError: If they do not add up.
    """
    rejected = [gate for _, gate in facts.gated if not gate.accepted]
    left_out = dict(collections.Counter(visit.reason for visit in facts.left_out).most_common())
    captured = len(facts.eligible) - len(facts.left_out)
    if captured != len(rejected) + len(estimates):
        raise ValueError(f"{captured} visits were captured ({len(facts.eligible)} eligible), but "
                         f"{len(rejected)} rejected and {len(estimates)} estimated; count every "
                         f"visit of the split once")
    accepted = {visit.key for visit, gate in facts.gated if gate.accepted}
    if facts.gated and (wrong := accepted ^ {visit.key for visit in estimates.visits}):
        raise ValueError(f"visit {min(wrong)} is estimated but not accepted by the gate, or the "
                         f"other way round; estimate the accepted visits")
    weighed = np.isfinite(estimates.of(WEIGHT.name).truth)
    return Flow(len(facts.eligible), left_out, captured, bool(facts.gated), len(rejected),
                rejections(rejected), len(estimates), int(weighed.sum()),
                sum(map(is_birth_weight, estimates.visits)), _infants(estimates, facts, weighed))


def compare(estimates: Estimates, rejected: Sequence[Visit]) -> tuple[Compared, ...]:
    """Who is among the rejected, beside who is among the others; nothing without any."""
    if not rejected:
        return ()
    low = lambda name: lambda visit: None if getattr(visit, name) is None else (
        getattr(visit, name) < LOW_BIRTH_WEIGHT_G)
    first = next(iter(AGE_BANDS))
    questions: dict[str, Callable[[Visit], bool | None]] = {
        f"below {LOW_BIRTH_WEIGHT_G:g} g at the visit": low("weight_g"),
        f"birth weight below {LOW_BIRTH_WEIGHT_G:g} g": low("birth_weight_g"),
        "birth weight not known": lambda visit: visit.birth_weight_g is None,
        PRETERM: lambda visit: None if visit.gestational_age_days is None else (
            gestation_of(visit) == PRETERM),
        "girls": lambda visit: visit.sex == "F" if visit.sex else None,
        first: lambda visit: None if visit.age_days is None else (
            bands([visit.age_days]) == [first])}
    for field in ("site", "device"):
        places = collections.Counter(getattr(visit, field) for visit in
                                     (*estimates.visits, *rejected)).most_common(MOST_PLACES)
        questions |= {f"{field} {place}": lambda visit, field=field, place=place: (
            getattr(visit, field) == place) for place, _ in places if place and len(places) > 1}
    rows = []
    for what, ask in questions.items():
        answers = [[(ask(visit), family) for visit, family in zip(
            group, families(group), strict=True) if ask(visit) is not None]
            for group in (estimates.visits, rejected)]
        shares = [(share(np.array([hit for hit, _ in group], bool),
                         np.array([family for _, family in group], str)), len(group))
                  for group in answers]
        rows.append(Compared(what, *shares[0], *shares[1]))
    return tuple(rows)


def _infants(estimates: Estimates, facts: RunFacts, weighed: np.ndarray) -> dict[str, int]:
    """Number of infants by the name of the step."""
    eligible, predicted = set(facts.eligible), set(estimates.infants.tolist())
    captured = predicted | {visit.infant_id for visit in facts.rejected}
    return {"eligible": len(eligible), "left out": len(eligible - captured),
            "captured": len(captured), "rejected": len(captured - predicted),
            "predicted": len(predicted),
            "weighed": len(set(estimates.infants[weighed].tolist()))}
