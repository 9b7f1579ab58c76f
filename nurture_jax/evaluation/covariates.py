"""What intervals may be wider or narrower for: numbers of a visit that are known beforehand.

A network errs more on the small and the early born, of whom it has learnt few, than its scale says;
on bands of age it may be right or wrong. How much is fitted (`quantiles.log_factors`), one factor
for each unit of a number, so that two dozen small infants tell of all of them.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nurture_jax.evaluation.estimates import numbers
from nurture_jax.evaluation.groups import (
    AGE_BANDS,
    GESTATION_UNKNOWN,
    UNKNOWN_AGE,
    bands,
    gestation_of,
)
from nurture_jax.records.visit import Visit
from nurture_jax.rules import PRETERM_BELOW_DAYS

EARLY, LIGHT = "each week before 37 weeks", "each kilogram below 3 kg"
MOST_WEEKS, LIGHT_BELOW_KG, MOST_KG = 8, 3.0, 1.5  # beyond these nobody has calibrated; ours
# How far the logarithm of a factor is expected from 0, which is what the fit is drawn to: half as
# wide again for an infant of 35 weeks or of 2.5 kg is no surprise (our choice, by simulation:
# docs/nurture_evaluation.md).
SPREADS = {**dict.fromkeys((*AGE_BANDS, UNKNOWN_AGE, GESTATION_UNKNOWN), 0.2),
           EARLY: 0.2, LIGHT: 0.7}
# By input that may be lacking: the number of visits without it, and those of visits with it, whose
# mean it is compared with. A gestation that is not known is compared with a birth at term, which
# has no factor.
LACKING = {"age_days": (UNKNOWN_AGE, tuple(AGE_BANDS)),
           "gestational_age_days": (GESTATION_UNKNOWN, ())}
WIDER_ONLY = (EARLY, LIGHT)  # chance is not to promise more of those whom few have calibrated


def covariates(visits: Sequence[Visit], estimated_g: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of n visits by the names of SPREADS, [n] each; 1 and 0 where it is yes or no.

    A visit is as light as the birth weight, or as the estimate where that is not given.

    Args:
      visits: The visits.
      estimated_g: Estimates of their weight, [n].
    """
    band_of = np.array(bands(numbers(visits, "age_days")))
    gestation = np.array([gestation_of(visit) for visit in visits])
    days = np.nan_to_num(numbers(visits, "gestational_age_days"), nan=PRETERM_BELOW_DAYS)
    born_g = numbers(visits, "birth_weight_g")
    weight_g = np.where(np.isnan(born_g), estimated_g, born_g)
    return {**{band: (band_of == band).astype(float) for band in (*AGE_BANDS, UNKNOWN_AGE)},
            GESTATION_UNKNOWN: (gestation == GESTATION_UNKNOWN).astype(float),
            EARLY: np.clip((PRETERM_BELOW_DAYS - days) / 7, 0, MOST_WEEKS),
            LIGHT: np.clip(LIGHT_BELOW_KG - weight_g / 1000, 0, MOST_KG)}
