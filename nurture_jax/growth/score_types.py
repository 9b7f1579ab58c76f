"""A place in a growth standard, or why there is none."""
from __future__ import annotations

import dataclasses

from nurture_jax.growth.student_t import normal_below
from nurture_jax.measures import MEASURES
from nurture_jax.rules import TABLE

# Measures that have standards, in kg or cm there.
SCORED = tuple(name for name, measure in MEASURES.items() if measure.who_table)


@dataclasses.dataclass(frozen=True)
class ZScore:
    """A place in a standard.

    Attributes:
      z: Distance from the median in standard deviations.
      centile: Share of infants below, in percent.
      standard: Name of the standard.
      why: Why this standard, in words.
      only_if_term: The gestation is not known, and the standard right only for infants born at
        term.
    """

    z: float
    centile: float
    standard: str
    why: str = ""
    only_if_term: bool = False


@dataclasses.dataclass(frozen=True)
class NoStandard:
    """No published standard applies; `reason` says why."""

    reason: str

    @property
    def short(self) -> str:
        """The reason without this infant's numbers, so that equal reasons can be counted."""
        return self.reason.split(" (")[0]


def placed(z: float, standard: str) -> ZScore:
    """The score `z` with its centile."""
    return ZScore(float(z), 100 * normal_below(z), standard)


def none(name: str, **parts: object) -> NoStandard:
    """No standard, for a reason of `rules.json`."""
    return NoStandard(TABLE["no_standard"][name].format(**parts))


def unsuitable(measure: str, sex: str | None) -> NoStandard | None:
    """Why no standard can be used; None where one can."""
    if measure not in SCORED:
        return none("measure", measure=measure)
    return None if sex in ("F", "M") else none("sex")


def in_kg_or_cm(measure: str, value: float) -> float:
    """A value in the unit of the standards: kilograms for a weight, which we have in grams."""
    return value / 1000 if measure == "weight_g" else value
