"""INTERGROWTH-21st postnatal growth of preterm infants, by postmenstrual age.

Villar 2015, Lancet Glob Health 3(11):e681-e691, doi 10.1016/S2214-109X(15)00163-1; the equations
are in its appendix 8. x is the exact postmenstrual age in weeks, gestation at birth and age
together, from 27 to 64; it is neither rounded nor gone beyond. The cohort were 201 infants, most
of them born at 34 weeks or later, so that below 32 weeks the standard rests on few.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from nurture_jax.growth.score_types import NoStandard, ZScore, in_kg_or_cm, none, placed, unsuitable
from nurture_jax.rules import TABLE, weeks_text

PRETERM = TABLE["standards"]["preterm"]["name"]
POSTMENSTRUAL_DAYS = (189, 448)  # 27+0 to 64+0 weeks
# Functions of x that the equations are sums of, by name.
TERMS = {"1": lambda x: 1.0, "sqrt(x)": math.sqrt, "x": lambda x: x, "1/x": lambda x: 1 / x,
         "1/x^2": lambda x: 1 / x ** 2, "log(x)/x^2": lambda x: math.log(x) / x ** 2}


@dataclasses.dataclass(frozen=True)
class Curve:
    """Mean and standard deviation of a measure, or of its natural logarithm, by x.

    Attributes:
      logarithmic: Whether they are of the logarithm of the value in kg or cm.
      mean, deviation: Factors of TERMS.
      boy: What is added to the mean of a boy.
    """

    logarithmic: bool
    mean: Mapping[str, float]
    deviation: Mapping[str, float]
    boy: float

    def at(self, x: float, is_boy: bool) -> tuple[float, float]:
        """Mean and standard deviation at a postmenstrual age of x weeks."""
        mean, deviation = (sum(factor * TERMS[name](x) for name, factor in factors.items())
                           for factors in (self.mean, self.deviation))
        return mean + self.boy * is_boy, deviation


CURVES = {
    "weight_g": Curve(True, {"1": 2.591277, "sqrt(x)": -0.01155, "1/x^2": -2201.705},
                      {"1": 0.1470258, "1/x^2": 505.92394, "log(x)/x^2": -140.0576}, 0.0911639),
    "length_cm": Curve(True, {"1": 4.136244, "1/x^2": -547.0018, "x": 0.0026066},
                       {"1": 0.050489, "1/x^2": 310.44761, "log(x)/x^2": -90.0742}, 0.0314961),
    "head_cm": Curve(False, {"1": 55.53617, "1/x": -852.0059},
                     {"1": 3.0582292, "1/x^2": 3910.05, "1/x": -180.5625}, 0.7957903),
}


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
    if CURVES[measure].logarithmic:
        value = math.log(value)
    mean, deviation = CURVES[measure].at(x, sex == "M")
    return placed((value - mean) / deviation, PRETERM)
