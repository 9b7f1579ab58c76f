"""Into which parts visits are divided, by what is known of them."""
from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np

from nurture_jax import growth
from nurture_jax.evaluation.estimates import numbers
from nurture_jax.records.visit import Visit
from nurture_jax.rules import PRETERM_BELOW_DAYS

# A band takes a whole round of home visits; it ends where the curve of weight turns (our choice).
AGE_BANDS = {"0-3 days": (0, 3), "4-10 days": (4, 10), "11-20 days": (11, 20),
             "21-35 days": (21, 35), "36-60 days": (36, 60)}
UNKNOWN_AGE, NOT_KNOWN = "age not known", "not known"
GIVEN, WITHHELD = "birth weight given", "birth weight not given"
MOST_GROUPS, OTHERS = 20, "others"  # of sites and devices (our choice)
PRETERM, TERM, GESTATION_UNKNOWN = "born preterm", "born at term", "gestation not known"


def bands(age_days: Sequence[float] | np.ndarray) -> list[str]:
    """Band of each age; an age that is nan or beyond the last band is UNKNOWN_AGE."""
    return [next((name for name, (first, last) in AGE_BANDS.items()
                  if first <= age < last + 1), UNKNOWN_AGE) for age in age_days]


def inputs_of(visit: Visit) -> str:
    """GIVEN or WITHHELD."""
    return WITHHELD if visit.birth_weight_g is None else GIVEN


def gestation_of(visit: Visit) -> str:
    """PRETERM, TERM or GESTATION_UNKNOWN."""
    days = visit.gestational_age_days
    if days is None:
        return GESTATION_UNKNOWN
    return PRETERM if days < PRETERM_BELOW_DAYS else TERM


def reported(visits: Sequence[Visit]) -> dict[str, list[str]]:
    """Names of the groups of n visits that errors and coverage are both told by, [n] for each way.

    NOT_KNOWN is where there is no value.
    """
    weight = lambda value, name: NOT_KNOWN if value is None else name(value)
    return {
        "visit day": bands(numbers(visits, "age_days")),
        "sex": [visit.sex or NOT_KNOWN for visit in visits],
        "class of the birth weight": [weight(visit.birth_weight_g, growth.birth_weight_class)
                                      for visit in visits],
        "weight at the visit": [weight(visit.weight_g, growth.weight_band) for visit in visits],
        "site": _largest([visit.site or NOT_KNOWN for visit in visits]),
        "device": _largest([visit.device or NOT_KNOWN for visit in visits])}


def _largest(names: Sequence[str]) -> list[str]:
    """The names, with all but the MOST_GROUPS most frequent ones called OTHERS.

    Whoever writes serial numbers for devices would have a row of each.
    """
    kept = {name for name, _ in collections.Counter(names).most_common(MOST_GROUPS)}
    return [name if name in kept else OTHERS for name in names]
