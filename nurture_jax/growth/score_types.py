"""A place in a growth standard, or why there is none."""
from __future__ import annotations

import dataclasses

from scipy.special import ndtr

from nurture_jax.measures import MEASURES

# Measures that have standards, in kg or cm there.
SCORED = tuple(name for name, measure in MEASURES.items() if measure.who_table)


@dataclasses.dataclass(frozen=True)
class ZScore:
    """A place in a standard.

    Attributes:
      z: Distance from the median in standard deviations.
      centile: Share of infants below, in percent.
      standard: Name of the standard.
    """

    z: float
    centile: float
    standard: str


@dataclasses.dataclass(frozen=True)
class NoStandard:
    """No published standard applies; `reason` says why."""

    reason: str


def placed(z: float, standard: str) -> ZScore:
    """The score `z` with its centile."""
    return ZScore(float(z), float(100 * ndtr(z)), standard)


def unsuitable(measure: str, sex: str | None) -> str:
    """Why no standard can be used; "" where one can."""
    if measure not in SCORED:
        return f"no standard for {measure} at this age"
    return "" if sex in ("F", "M") else "the sex is not known"


def in_kg_or_cm(measure: str, value: float) -> float:
    """A value in the unit of the standards: kilograms for a weight, which we have in grams."""
    return value / 1000 if measure == "weight_g" else value
