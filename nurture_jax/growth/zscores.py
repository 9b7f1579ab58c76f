"""Where a measurement stands among other infants: z-score and centile, the standard always named.

Three standards, each where it holds:
  INTERGROWTH-21st newborn size, by gestation at birth (24+0 to 42+6 weeks), on days 0 and 1;
  INTERGROWTH-21st postnatal growth, by postmenstrual age (27+0 to 64+0 weeks), for infants born
    preterm, after day 1;
  WHO Child Growth Standards, by day of age, for infants born at term, and for those born preterm
    after 64 weeks, with the age since birth, not corrected (as the guidance of GIGS has it, doi
    10.1111/1471-0528.70159).
Where the gestation is not known, the score is that of the WHO, marked as right only for an infant
born at term. Anything else is a `NoStandard` with the reason, never a number.
"""
from __future__ import annotations

import dataclasses
import math

from nurture_jax.growth.newborn_size import intergrowth
from nurture_jax.growth.postnatal_preterm import POSTMENSTRUAL_DAYS, postnatal_preterm
from nurture_jax.growth.score_types import NoStandard, ZScore, none
from nurture_jax.growth.who_by_age import who
from nurture_jax.measures import MEASURES
from nurture_jax.rules import AT_BIRTH_DAYS, PRETERM_BELOW_DAYS, TABLE, weeks_text


def assess(measure: str, value: float, *, sex: str | None, age_days: float | None,
           gestational_age_days: float | None = None) -> ZScore | NoStandard:
    """The z-score and centile by the standard that applies to this infant, with the reason for it.

    Args:
      measure: "weight_g", "length_cm", "head_cm", "chest_cm" or "arm_cm", which also says the unit.
      value: What was measured.
      sex: "F", "M" or None for not known.
      age_days: Age since birth, None for not known; at most 1 is a measurement at birth.
      gestational_age_days: Gestation at birth; None where it is not known.

    Raises:
      ValueError: If the measure is unknown, the value is no finite number above 0, or an age is
        below 0.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure {measure!r} is unknown; use one of {tuple(MEASURES)}")
    if not value > 0 or math.isinf(value):
        raise ValueError(f"{measure} {value} is not a positive number; give a measurement")
    for name, days in (("age_days", age_days), ("gestational_age_days", gestational_age_days)):
        if days is not None and (days < 0 or math.isinf(days)):
            raise ValueError(f"{name} {days:g} is not a number of days from 0; leave it out where "
                             f"it is not known")
    if age_days is None or math.isnan(age_days):
        return none("age")
    if gestational_age_days is None or math.isnan(gestational_age_days):
        return _because("who_if_term", who(measure, value, sex=sex, age_days=age_days))
    gestation = weeks_text(gestational_age_days)
    if age_days <= AT_BIRTH_DAYS:
        return _because("newborn", intergrowth(
            measure, value, sex=sex, gestational_age_days=gestational_age_days),
            gestation=gestation)
    postmenstrual_days = gestational_age_days + age_days
    by_age = who(measure, value, sex=sex, age_days=age_days)
    if gestational_age_days >= PRETERM_BELOW_DAYS:
        return _because("who_term", by_age, gestation=gestation)
    if postmenstrual_days > POSTMENSTRUAL_DAYS[1]:
        return _because("who_after_preterm", by_age, gestation=gestation)
    return _because("preterm", postnatal_preterm(
        measure, value, sex=sex, postmenstrual_days=postmenstrual_days), gestation=gestation,
        postmenstrual=weeks_text(postmenstrual_days))


def _because(standard: str, place: ZScore | NoStandard, **parts: str) -> ZScore | NoStandard:
    """The place with the reason for its standard."""
    if isinstance(place, NoStandard):
        return place
    why = TABLE["standards"][standard]["why"].format(**parts)
    return dataclasses.replace(place, why=why, only_if_term=standard == "who_if_term")
