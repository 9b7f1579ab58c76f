"""Growth standards: z-scores and centiles of newborns, classes of weight."""
from nurture_jax.growth.newborn_size import INTERGROWTH, intergrowth
from nurture_jax.growth.postnatal_preterm import PRETERM, postnatal_preterm
from nurture_jax.growth.score_types import NoStandard, ZScore, none
from nurture_jax.growth.weight_classes import (
    BANDS,
    CLASS_TEXTS,
    CLASSES,
    LOW_BIRTH_WEIGHT_G,
    birth_weight_class,
    weight_band,
    weight_change_percent,
)
from nurture_jax.growth.who_by_age import WHO, who
from nurture_jax.growth.zscores import assess

__all__ = ["BANDS", "CLASSES", "CLASS_TEXTS", "INTERGROWTH", "LOW_BIRTH_WEIGHT_G", "PRETERM",
           "WHO", "NoStandard", "ZScore", "assess", "birth_weight_class", "intergrowth", "none",
           "postnatal_preterm", "weight_band", "weight_change_percent", "who"]
