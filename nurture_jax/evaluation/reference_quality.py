"""How good the reference itself is: round numbers written down, repeated measurements.

No estimate can be shown to be better than what it is compared with.
"""
from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.measures import LABELS, MEASURES
from nurture_jax.records.visit import Visit

FITTING_SHARE = 0.95  # of the values that a reading must explain; some are always mistyped


@dataclasses.dataclass(frozen=True)
class Heaping:
    """Round numbers among the measured values.

    Attributes:
      measure: One of LABELS.
      visits: Number of measured values.
      round_to: What counts as round, such as 100 (g).
      reading: Coarsest reading of the instrument that explains nearly all values.
      share: Share of round values that was found.
      expected: The share that this reading alone would give.
    """

    measure: str
    visits: int
    round_to: float
    reading: float
    share: float
    expected: float


@dataclasses.dataclass(frozen=True)
class TechnicalError:
    """Technical error of measurement (Ulijaszek and Kerr 1999, doi 10.1017/S0007114599001348).

    sqrt(sum of squared deviations from the mean of the day / sum of (repeats - 1)); for pairs
    this is sqrt(sum d^2 / 2n).

    Attributes:
      measure: One of LABELS.
      what: "reference" or "estimate".
      repeated: Number of days on which an infant was measured more than once.
      error: The error in the unit of the measure.
      percent: The same in percent of the mean.
    """

    measure: str
    what: str
    repeated: int
    error: float
    percent: float


def heaping(estimates: Estimates) -> tuple[Heaping, ...]:
    """Round numbers in the reference, by measure; measures without reference are left out."""
    rows = []
    for measure in LABELS:
        values = estimates.of(measure).truth
        values = values[np.isfinite(values)]
        if values.size:
            whole = MEASURES[measure].round_to
            reading = max((step for step in MEASURES[measure].readings
                           if _multiples(values, step) >= FITTING_SHARE),
                          default=MEASURES[measure].readings[0])
            rows.append(Heaping(measure, values.size, whole, reading, _multiples(values, whole),
                                reading / whole))
    return tuple(rows)


def repeated(visits: Sequence[Visit]) -> list[list[int]]:
    """Places of the visits of one infant on one day of its life, for days with more than one."""
    days = defaultdict(list)
    for row, visit in enumerate(visits):
        if visit.age_days is not None:
            days[visit.infant_id, int(visit.age_days)].append(row)
    return [rows for rows in days.values() if len(rows) > 1]


def technical_errors(estimates: Estimates) -> tuple[TechnicalError, ...]:
    """Errors of reference and estimate on days with several visits of an infant; () without any."""
    repeats, results = repeated(estimates.visits), []
    for what, values in (("reference", estimates.truth), ("estimate", estimates.mean)):
        for column, measure in enumerate(LABELS):
            taken = [day[np.isfinite(day)] for day in (values[rows, column] for rows in repeats)]
            taken = [day for day in taken if len(day) > 1]
            if taken:
                error = np.sqrt(sum(((day - day.mean()) ** 2).sum() for day in taken)
                                / sum(len(day) - 1 for day in taken))
                results.append(TechnicalError(measure, what, len(taken), float(error), float(
                    100 * error / np.concatenate(taken).mean())))
    return tuple(results)


def _multiples(values: np.ndarray, step: float) -> float:
    """Share of values that are a multiple of `step`, up to the rounding of decimals."""
    places = values / step
    return float((np.abs(places - np.round(places)) < 1e-6).mean())
