"""What a report tells beside the estimates: whose they are, and what became of every visit."""
from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.recording_gate import Gate
from nurture_jax.records.problems import LeftOut
from nurture_jax.records.visit import Visit


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What the report tells beside the estimates.

    Attributes:
      name: of the run.
      synthetic: the recordings are rendered; the page then says so in its headline.
      split: "test" or "validation", or the name of another data set.
      eligible: the infant of every visit in the table of the split.
      left_out: visits whose video could not be used.
      gated: every usable video with what the gate found; empty without a gate.
      training: anything worth telling: data, backbone, steps, parameters, seed.
      limits: of the gate.
      calibrated_limits: those of its limits that were calibrated, in words by name.
      other: the visits are of another data set than the run was made of.
      recalibrated: infants of that set that the intervals were calibrated on again, and that are
        in no number of the report; 0 where they were not.
    """

    name: str
    synthetic: bool
    split: str
    eligible: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    gated: tuple[tuple[Visit, Gate], ...] = ()
    training: Mapping[str, object] = dataclasses.field(default_factory=dict)
    limits: Limits = dataclasses.field(default_factory=Limits)
    calibrated_limits: Mapping[str, str] = dataclasses.field(default_factory=dict)
    other: bool = False
    recalibrated: int = 0

    @property
    def rejected(self) -> tuple[Visit, ...]:
        """Visits that the gate let not through."""
        return tuple(visit for visit, gate in self.gated if not gate.accepted)

    @property
    def not_checked(self) -> dict[str, int]:
        """Checks that could not be done, with the number of recordings, most of them first."""
        return dict(collections.Counter(
            check for _, gate in self.gated for check in gate.not_done).most_common())
