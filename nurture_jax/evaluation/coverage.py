"""How often intervals hold what was measured, on visits that calibrated nothing."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from deps_jax.common.statistics.intervals import Number
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.groups import gestation_of, inputs_of, reported
from nurture_jax.evaluation.intervals import Intervals
from nurture_jax.evaluation.quantiles import shares
from nurture_jax.evaluation.uncertainty import share
from nurture_jax.measures import LABELS, TABULAR
from nurture_jax.records.visit import Visit
from nurture_jax.rules import TABLE, listed, say

EVERYBODY = "all visits"


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How often the measured value lay within the interval.

    Attributes:
      measure: One of LABELS.
      by, group: What divides the visits, and which part it is, such as "gestation" and "born
        preterm".
      visits, infants: Number of those that were measured.
      by_infant: Mean over infants of the share of their visits: what the calibration promises.
      by_visit: Share of the visits. Intervals of both are of `uncertainty.share`.
      mean_width: Mean width of the intervals over visits, in the unit of the measure.
    """

    measure: str
    by: str
    group: str
    visits: int
    infants: int
    by_infant: Number
    by_visit: Number
    mean_width: float


def covered(intervals: Intervals, estimates: Estimates) -> list[Coverage]:
    """Coverage on visits that calibrated nothing, by measure and group.

    Measures without interval are left out, and so are empty groups.
    """
    low, high = intervals.bounds(estimates)
    truth, infants, families = estimates.truth, estimates.infants, estimates.families
    inside, divisions = (low <= truth) & (truth <= high), groups(estimates.visits)
    results = []
    for column, name in enumerate(LABELS):
        known = np.isfinite(truth[:, column] + low[:, column])
        for by, names in divisions.items():
            for group in dict.fromkeys(names):
                rows = known & (np.array(names) == group)
                if rows.any():
                    hits, own, alike = inside[rows, column], infants[rows], families[rows]
                    results.append(Coverage(
                        name, by, group, len(hits), len(np.unique(own)),
                        share(hits, alike, shares(own)), share(hits, alike),
                        float((high - low)[rows, column].mean())))
    return results


def groups(visits: Sequence[Visit]) -> dict[str, list[str]]:
    """Names of the groups of n visits, [n] for each way in which coverage is told.

    By what was known and what was measured: who relies on an interval asks for those he has.
    """
    return {
        EVERYBODY: [EVERYBODY] * len(visits),
        "birth weight": [inputs_of(visit) for visit in visits],
        "inputs": [_lacking(visit) for visit in visits],
        "gestation": [gestation_of(visit) for visit in visits], **reported(visits)}


def _lacking(visit: Visit) -> str:
    """Which inputs a visit has not, in words."""
    lacking = [TABLE["inputs"][name] for name in TABULAR if getattr(visit, name) in (None, "")]
    return say("not_known", inputs=listed(lacking)) if lacking else "all known"
