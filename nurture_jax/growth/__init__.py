"""Growth standards: z-scores and centiles of newborns, classes of weight."""
from nurture_jax.growth.newborn_size import INTERGROWTH, intergrowth
from nurture_jax.growth.scores import NoStandard, ZScore
from nurture_jax.growth.standards import TERM_DAYS, assess
from nurture_jax.growth.weight_classes import (
    LOW_BIRTH_WEIGHT_G,
    VERY_LOW_BIRTH_WEIGHT_G,
    weight_change_percent,
    weight_class,
)
from nurture_jax.growth.who_by_age import WHO, who

__all__ = ["INTERGROWTH", "LOW_BIRTH_WEIGHT_G", "TERM_DAYS", "VERY_LOW_BIRTH_WEIGHT_G", "WHO",
           "NoStandard", "ZScore", "assess", "intergrowth", "weight_change_percent",
           "weight_class", "who"]
