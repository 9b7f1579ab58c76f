"""Classes of weight, and gain since birth."""
from __future__ import annotations

LOW_BIRTH_WEIGHT_G = 2500  # below it (WHO, ICD-11)
VERY_LOW_BIRTH_WEIGHT_G = 1500
VLBW, LBW, NORMAL = CLASSES = ("VLBW", "LBW", "normal")  # from light to heavy


def weight_change_percent(weight_g: float, birth_weight_g: float) -> float:
    """Gain since birth in percent of the birth weight; a loss is negative.

    Raises:
      ValueError: If the birth weight is not above 0.
    """
    if not birth_weight_g > 0:
        raise ValueError(f"birth weight {birth_weight_g} g is not positive; give grams")
    return 100 * (weight_g / birth_weight_g - 1)


def weight_class(weight_g: float) -> str:
    """One of CLASSES: "VLBW" below 1500 g, "LBW" below 2500 g, "normal" from there.

    Raises:
      ValueError: If the weight is not above 0.
    """
    if not weight_g > 0:
        raise ValueError(f"weight {weight_g} g is not positive; give grams")
    if weight_g < VERY_LOW_BIRTH_WEIGHT_G:
        return VLBW
    return LBW if weight_g < LOW_BIRTH_WEIGHT_G else NORMAL
