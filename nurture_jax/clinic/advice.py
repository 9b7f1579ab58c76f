"""One plain line for the health worker: normal, weigh on a scale, or refer.

Each rule asks whether the weight lies under a line. If all of the interval does, it is sure; if
only the estimate does, or the interval crosses 2500 g, a scale must tell. The strongest line that
any rule gives is the advice. It is no diagnosis, and no guideline has approved the whole.
"""
from __future__ import annotations

import dataclasses

from nurture_jax import growth
from nurture_jax.measures import RANGES
from nurture_jax.records.visits import Visit

NORMAL, WEIGH, REFER = LINES = ("normal", "weigh on a scale", "refer")
SEVERE_Z, MODERATE_Z = -3.0, -2.0
MOST_LOSS_PERCENT = 10.0
REGAINED_DAYS = 21


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule in words, for people; the functions below are what is done.

    Attributes:
      under: What the weight lies under.
      sure: One of LINES, if all of the interval lies there.
      only_estimate: What is advised if only the estimate does.
      source: Where the rule is from.
    """

    under: str
    sure: str
    only_estimate: str
    source: str


RULES = (
    Rule("1500 g", REFER, WEIGH, "class of the WHO; referring is our choice"),
    Rule("weight z-score -3, standard named", REFER, WEIGH,
         "severely underweight, WHO; referring is our choice"),
    Rule("weight z-score -2, standard named", WEIGH, WEIGH,
         "underweight, WHO; weighing is our choice"),
    Rule(f"birth weight less {MOST_LOSS_PERCENT:g} %", REFER, WEIGH,
         "NICE guideline NG75 (2017) asks for a clinical assessment"),
    Rule(f"birth weight, from day {REGAINED_DAYS}", REFER, WEIGH,
         "NICE NG75: most infants are back at 3 weeks; referring is our choice"),
    Rule("2500 g", WEIGH, f"{WEIGH} (also where only the interval crosses it)",
         "low birth weight, WHO; weighing is our choice"),
)


@dataclasses.dataclass(frozen=True)
class Advice:
    """What a health worker is told.

    Attributes:
      line: One of LINES.
      reasons: Why, one for each rule that holds.
    """

    line: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.line}: {'; '.join(self.reasons)}" if self.reasons else self.line


def advise(visit: Visit, weight_g: float, low_g: float, high_g: float) -> Advice:
    """The advice for an estimated weight with its interval.

    Args:
      visit: What is known of the infant: sex, age, gestation and birth weight.
      weight_g: The estimate.
      low_g, high_g: Ends of its interval.
    """
    allowed = RANGES["weight_g"]
    if not allowed.low <= weight_g <= allowed.high:
        return Advice(WEIGH, (f"the estimate of {weight_g:.0f} g is not {allowed.low:g} to "
                              f"{allowed.high:g} g and cannot be right",))
    found = [*_by_weight(weight_g, low_g, high_g), *_by_standard(visit, weight_g, high_g),
             *_by_birth_weight(visit, weight_g, high_g)]
    line = max((line for line, _ in found), key=LINES.index, default=NORMAL)
    return Advice(line, tuple(reason for _, reason in found))


def _by_weight(weight_g: float, low_g: float, high_g: float) -> list[tuple[str, str]]:
    """Lines with their reasons by the classes of weight."""
    very_low, low = growth.VERY_LOW_BIRTH_WEIGHT_G, growth.LOW_BIRTH_WEIGHT_G
    found = []
    if weight_g < very_low:
        found.append(_found(REFER, WEIGH, high_g < very_low, f"below {very_low} g"))
    if high_g < low:
        found.append((WEIGH, f"below {low} g: keep warm, help to feed, visit again"))
    elif low_g < low:
        found.append((WEIGH, f"unsure, weigh again: {low_g:.0f} to {high_g:.0f} g lies on both "
                             f"sides of {low} g"))
    return found


def _by_standard(visit: Visit, weight_g: float, high_g: float) -> list[tuple[str, str]]:
    """Lines with their reasons by the growth standard that applies, if any does."""
    estimate, highest = (growth.assess(
        "weight_g", value, sex=visit.sex or None, age_days=visit.age_days,
        gestational_age_days=visit.gestational_age_days) for value in (weight_g, high_g))
    if isinstance(estimate, growth.NoStandard) or estimate.z >= MODERATE_Z:
        return []
    where = f"z-score {estimate.z:.1f} ({estimate.standard})"
    return [_found(REFER, WEIGH, highest.z < SEVERE_Z, where)]


def _by_birth_weight(visit: Visit, weight_g: float, high_g: float) -> list[tuple[str, str]]:
    """Lines with their reasons by the change since birth, where the birth weight is known."""
    if visit.birth_weight_g is None:
        return []
    change, most = (growth.weight_change_percent(value, visit.birth_weight_g)
                    for value in (weight_g, high_g))
    found = []
    if change < -MOST_LOSS_PERCENT:
        found.append(_found(REFER, WEIGH, most < -MOST_LOSS_PERCENT,
                            f"{-change:.0f} % below the birth weight"))
    if visit.age_days is not None and visit.age_days >= REGAINED_DAYS and change < 0:
        found.append(_found(REFER, WEIGH, most < 0, f"not back at the birth weight on day "
                                                    f"{visit.age_days:g}"))
    return found


def _found(line: str, if_unsure: str, sure: bool, reason: str) -> tuple[str, str]:
    """A line with its reason, which says "perhaps" where it is not sure."""
    return (line, reason) if sure else (if_unsure, f"perhaps {reason}")
