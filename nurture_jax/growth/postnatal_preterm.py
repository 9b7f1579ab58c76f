"""INTERGROWTH-21st postnatal growth of preterm infants, by postmenstrual age.

Villar 2015, Lancet Glob Health 3(11):e681-e691, doi 10.1016/S2214-109X(15)00163-1; the equations
are in its appendix 8. x is the exact postmenstrual age in weeks, gestation at birth and age
together, from 27 to 64; it is neither rounded nor gone beyond. The cohort were 201 infants, most
of them born at 34 weeks or later, so that below 32 weeks the standard rests on few.
"""
from __future__ import annotations

import math

from nurture_jax.growth.score_types import NoStandard, ZScore, in_kg_or_cm, none, placed, unsuitable
from nurture_jax.rules import TABLE, weeks_text

PRETERM = TABLE["standards"]["preterm"]["name"]
POSTMENSTRUAL_DAYS = (189, 448)  # 27+0 to 64+0 weeks


def postnatal_preterm(measure: str, value: float, *, sex: str | None, postmenstrual_days: float
                      ) -> ZScore | NoStandard:
    """Place of an infant born preterm among such infants of the same postmenstrual age.

    Args:
      measure: Name of the measure, which also says its unit, such as "weight_g".
      value: What was measured, above 0.
      sex: "F", "M" or None for not known.
      postmenstrual_days: Gestation at birth and age since birth together.
    """
    if reason := unsuitable(measure, sex):
        return reason
    if not POSTMENSTRUAL_DAYS[0] <= postmenstrual_days <= POSTMENSTRUAL_DAYS[1]:
        return none("preterm_range", postmenstrual=weeks_text(postmenstrual_days))
    value, x = in_kg_or_cm(measure, value), postmenstrual_days / 7
    if measure != "head_cm":
        value = math.log(value)
    mean, deviation = _CURVES[measure](x, float(sex == "M"))
    return placed((value - mean) / deviation, PRETERM)


def _weight(x: float, boy: float) -> tuple[float, float]:
    """Mean and standard deviation of the natural logarithm of the weight in kg."""
    return (2.591277 - 0.01155 * math.sqrt(x) - 2201.705 / x ** 2 + 0.0911639 * boy,
            0.1470258 + 505.92394 / x ** 2 - 140.0576 * math.log(x) / x ** 2)


def _length(x: float, boy: float) -> tuple[float, float]:
    """Mean and standard deviation of the natural logarithm of the length in cm."""
    return (4.136244 - 547.0018 / x ** 2 + 0.0026066 * x + 0.0314961 * boy,
            0.050489 + 310.44761 / x ** 2 - 90.0742 * math.log(x) / x ** 2)


def _head(x: float, boy: float) -> tuple[float, float]:
    """Mean and standard deviation of the head circumference in cm."""
    return (55.53617 - 852.0059 / x + 0.7957903 * boy,
            3.0582292 + 3910.05 / x ** 2 - 180.5625 / x)


_CURVES = {"weight_g": _weight, "length_cm": _length, "head_cm": _head}
