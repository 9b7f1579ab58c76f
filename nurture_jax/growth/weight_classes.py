"""Classes of the birth weight, bands of the weight of today, and change since birth."""
from __future__ import annotations

import itertools

from nurture_jax.rules import BIRTH_WEIGHT_CLASSES

CLASSES = tuple(name for name, _, _ in BIRTH_WEIGHT_CLASSES)  # from light to heavy
CLASS_TEXTS = {name: text for name, text, _ in BIRTH_WEIGHT_CLASSES}
_LIMITS_G = tuple(limit for _, _, limit in BIRTH_WEIGHT_CLASSES if limit)
LOW_BIRTH_WEIGHT_G = _LIMITS_G[-1]
BANDS = (f"below {_LIMITS_G[0]} g",
         *(f"{low} to {high - 1} g" for low, high in itertools.pairwise(_LIMITS_G)),
         f"{_LIMITS_G[-1]} g or more")


def weight_change_percent(weight_g: float, birth_weight_g: float) -> float:
    """Gain since birth in percent of the birth weight; a loss is negative.

    Raises:
      ValueError: If the birth weight is not above 0.
    """
    if not birth_weight_g > 0:
        raise ValueError(f"birth weight {birth_weight_g} g is not positive; give grams")
    return 100 * (weight_g / birth_weight_g - 1)


def birth_weight_class(birth_weight_g: float) -> str:
    """One of CLASSES. They are of a weight at birth and say nothing of a weight of today.

    Raises:
      ValueError: If the weight is not above 0.
    """
    return CLASSES[_place(birth_weight_g)]


def weight_band(weight_g: float) -> str:
    """One of BANDS: between which of the limits of birth weights a weight of any day lies.

    Raises:
      ValueError: If the weight is not above 0.
    """
    return BANDS[_place(weight_g)]


def _place(weight_g: float) -> int:
    if not weight_g > 0:
        raise ValueError(f"weight {weight_g} g is not positive; give grams")
    return sum(weight_g >= limit for limit in _LIMITS_G)
