"""Where a measurement stands among other infants: z-score and centile, the standard always named.

Two standards, each where it holds:
  INTERGROWTH-21st newborn size, by gestation at birth (24+0 to 42+6 weeks), on the day of birth;
  WHO Child Growth Standards, by day of age, for infants born at term.
Anything else is a `NoStandard` with the reason, never a number.
"""
from __future__ import annotations

import math

from nurture_jax.growth.newborn_size import intergrowth
from nurture_jax.growth.score_types import NoStandard, ZScore
from nurture_jax.growth.who_by_age import who
from nurture_jax.measures import MEASURES

TERM_DAYS = 259  # 37+0 weeks
BIRTH_AGE_DAYS = 1  # INTERGROWTH-21st newborns were measured within 24 hours


def assess(measure: str, value: float, *, sex: str | None, age_days: float | None,
           gestational_age_days: float | None = None) -> ZScore | NoStandard:
    """The z-score and centile by the standard that applies to this infant.

    Args:
      measure: "weight_g", "length_cm", "head_cm", "chest_cm" or "arm_cm", which also says the unit.
      value: What was measured.
      sex: "F", "M" or None for not known.
      age_days: Age since birth, None for not known; at most 1 is a measurement at birth.
      gestational_age_days: Gestation at birth; None where it is not known, which is taken as term.

    Raises:
      ValueError: If the measure is unknown, or the value is no finite number above 0.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure {measure!r} is unknown; use one of {tuple(MEASURES)}")
    if not value > 0 or math.isinf(value):
        raise ValueError(f"{measure} {value} is not a positive number; give a measurement")
    if age_days is None or math.isnan(age_days) or age_days < 0:
        return NoStandard("the age is not known")
    known = gestational_age_days is not None and not math.isnan(gestational_age_days)
    if known and age_days <= BIRTH_AGE_DAYS:
        return intergrowth(measure, value, sex=sex, gestational_age_days=gestational_age_days)
    if known and gestational_age_days < TERM_DAYS:
        return NoStandard(f"born preterm ({gestational_age_days:g} days of gestation) and measured "
                          f"after the day of birth; the WHO standard by age is for term infants")
    return who(measure, value, sex=sex, age_days=age_days)
