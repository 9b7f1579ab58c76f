"""Growth standards: z-scores and centiles of newborns, classes of weight."""
from nurture_jax.growth.newborn_size import INTERGROWTH, intergrowth
from nurture_jax.growth.score_types import NoStandard, ZScore
from nurture_jax.growth.weight_classes import (
    CLASSES,
    LOW_BIRTH_WEIGHT_G,
    VERY_LOW_BIRTH_WEIGHT_G,
    weight_change_percent,
    weight_class,
)
from nurture_jax.growth.who_by_age import WHO, who
from nurture_jax.growth.zscores import TERM_DAYS, assess

__all__ = ["CLASSES", "INTERGROWTH", "LOW_BIRTH_WEIGHT_G", "TERM_DAYS", "VERY_LOW_BIRTH_WEIGHT_G",
           "WHO", "NoStandard", "ZScore", "assess", "intergrowth", "weight_change_percent",
           "weight_class", "who"]
