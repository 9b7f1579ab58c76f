"""Who is filmed: sizes of synthetic newborns at birth and their growth by day of age.

Birth size follows the medians of INTERGROWTH-21st by sex and gestation, shifted to a population
with about 20 % low birth weight (< 2500 g); growth follows the WHO medians by day, after the loss
of weight in the first days. Every draw comes from (seed, infant) alone, so an infant is the same
whatever the order or the number of infants.
"""
from __future__ import annotations

import dataclasses

import numpy as np

# INTERGROWTH-21st newborn size standards, medians (Villar et al., Lancet 2014;384:857-68), by week.
WEEKS = (28, 30, 32, 34, 36, 38, 40, 42)
WEIGHT_KG = {"M": (1.07, 1.37, 1.74, 2.22, 2.69, 3.08, 3.38, 3.62),
             "F": (1.01, 1.30, 1.64, 2.13, 2.60, 2.97, 3.26, 3.46)}
LENGTH_CM = {"M": (37.3, 39.8, 42.4, 45.0, 47.0, 48.6, 49.9, 51.0),
             "F": (36.9, 39.4, 41.9, 44.6, 46.5, 48.0, 49.2, 50.2)}
HEAD_CM = {"M": (25.9, 27.7, 29.4, 31.5, 32.5, 33.5, 34.3, 35.1),
           "F": (25.6, 27.4, 29.2, 31.1, 32.1, 33.0, 33.8, 34.4)}

# WHO Child Growth Standards (2006), medians by day of age, boys and girls averaged, over birth.
WHO_DAYS = (0, 7, 14, 28, 42, 60)
WHO_WEIGHT = (1.0, 1.038, 1.113, 1.287, 1.445, 1.618)
WHO_LENGTH = (1.0, 1.0244, 1.0487, 1.0882, 1.1239, 1.1644)
WHO_HEAD = (1.0, 1.0201, 1.0403, 1.0750, 1.1022, 1.1309)

# Correlation of the standard scores at birth: weight, length, head, chest, arm. Set by us between
# what term cohorts and the LIFE cohort (gigs) show; chest and arm follow weight most closely.
CORRELATION = np.array([[1.00, 0.70, 0.66, 0.82, 0.76],
                        [0.70, 1.00, 0.55, 0.58, 0.45],
                        [0.66, 0.55, 1.00, 0.60, 0.48],
                        [0.82, 0.58, 0.60, 1.00, 0.66],
                        [0.76, 0.45, 0.48, 0.66, 1.00]])
# Relative standard deviations at one gestation (INTERGROWTH: 0.13, 0.034, 0.034; the rest ours).
SPREAD = np.array([0.13, 0.035, 0.033, 0.045, 0.060])
# Against the standard: lighter (South Asian and African cohorts), so that 20 % are below 2500 g,
# and so that term means are 48.9 cm length, 33.8 head, 32.1 chest, 10.1 arm circumference.
SHIFT = np.array([-0.085, -0.0025, 0.002, 0.0025, 0.002])
TERM_CHEST_CM, TERM_ARM_CM, TERM_WEIGHT_KG = 32.1, 10.1, 2.95
CHEST_BY_WEIGHT, ARM_BY_WEIGHT = 0.36, 0.42  # exponents of weight (LIFE cohort: arm 0.44)

PRETERM_SHARE = 0.13
DENSITY = (1.03, 1.07)  # g/cm3 of the whole body; drawn, never observable
VISIT_DAYS = ((0, 3), (5, 10), (12, 18), (25, 32), (38, 45))  # windows of home visits


@dataclasses.dataclass(frozen=True)
class Infant:
    """What stays with an infant.

    Attributes:
      index: Number of the infant in its population.
      sex: "F" or "M".
      gestational_age_days: Gestation at birth.
      birth: weight_g, length_cm, head_cm, chest_cm, arm_cm at birth.
      density_g_cm3: Density of the whole body.
      weight_loss: Share of the birth weight that is lost by day 3.
      gain: Factors on the growth that the WHO medians show since birth, of the weight and of length
        and head.
      visit_days: Ages at the visits in days, ascending.
    """

    index: int
    sex: str
    gestational_age_days: int
    birth: tuple[float, ...]
    density_g_cm3: float
    weight_loss: float
    gain: tuple[float, float]
    visit_days: tuple[int, ...]

    @property
    def birth_weight_g(self) -> float:
        """Weight at birth."""
        return self.birth[0]


def generator(seed: int, *path: int) -> np.random.Generator:
    """The random numbers of one thing, named by its path (infant, visit, ...) under the seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))


def draw_infant(seed: int, index: int, visits_per_infant: int = 3,
                preterm_share: float = PRETERM_SHARE) -> Infant:
    """Infant `index` of the population `seed`, with one to `visits_per_infant` visits.

    With a larger `preterm_share` those who were born preterm still are.
    """
    rng = generator(seed, index)
    sex = "M" if rng.random() < 0.51 else "F"  # 105 boys to 100 girls
    preterm = rng.random() < preterm_share
    days = 259 - rng.exponential(13) if preterm else rng.normal(274.5, 7.5)
    gestation = int(np.clip(days, 203, 258) if preterm else np.clip(days, 259, 294))
    scores = np.linalg.cholesky(CORRELATION) @ np.clip(rng.standard_normal(5), -2.8, 2.8)
    birth = birth_medians(sex, gestation) * np.exp(SPREAD * scores + SHIFT)
    return Infant(
        index=index, sex=sex, gestational_age_days=gestation,
        birth=tuple(float(value) for value in birth),
        density_g_cm3=float(rng.uniform(*DENSITY)),
        weight_loss=float(np.clip(rng.normal(0.06, 0.02), 0.0, 0.12)),
        gain=(float(np.exp(0.22 * rng.standard_normal())),
              float(np.exp(0.12 * rng.standard_normal()))),
        visit_days=_visit_days(rng, visits_per_infant))


def birth_medians(sex: str, gestational_age_days: int) -> np.ndarray:
    """Medians at birth: [5] weight_g, length_cm, head_cm, chest_cm, arm_cm.

    Weight, length and head are the standard's; chest and arm follow its weight by a power law,
    for want of a published standard, from the term means 32.1 and 10.1 cm.
    """
    week = gestational_age_days / 7
    weight_kg, length, head = (np.interp(week, WEEKS, table[sex])
                               for table in (WEIGHT_KG, LENGTH_CM, HEAD_CM))
    light = weight_kg * np.exp(SHIFT[0]) / TERM_WEIGHT_KG
    return np.array([1000 * weight_kg, length, head,
                     TERM_CHEST_CM * light ** CHEST_BY_WEIGHT,
                     TERM_ARM_CM * light ** ARM_BY_WEIGHT])


def measures_at(infant: Infant, age_days: float) -> np.ndarray:
    """What the infant measures at this age: [5] weight_g, length_cm, head_cm, chest_cm, arm_cm."""
    weight, length, head, chest, arm = infant.birth
    weight_gain, length_gain = infant.gain
    loss = infant.weight_loss * np.interp(age_days, (0, 3, 10), (0, 1, 0))
    growth = lambda table, gain: 1 + gain * (np.interp(age_days, WHO_DAYS, table) - 1)
    heavier = growth(WHO_WEIGHT, weight_gain) * (1 - loss)
    return np.array([weight * heavier,
                     length * growth(WHO_LENGTH, length_gain),
                     head * growth(WHO_HEAD, length_gain),
                     chest * heavier ** CHEST_BY_WEIGHT,
                     arm * heavier ** ARM_BY_WEIGHT])


def _visit_days(rng: np.random.Generator, visits_per_infant: int) -> tuple[int, ...]:
    """Ages of one to `visits_per_infant` visits, in different windows, ascending."""
    if not 1 <= visits_per_infant <= len(VISIT_DAYS):
        raise ValueError(f"visits_per_infant {visits_per_infant} is not in 1..{len(VISIT_DAYS)}; "
                         f"one video belongs to one visit window {VISIT_DAYS}")
    count = int(rng.integers(1, visits_per_infant + 1))
    windows = sorted(rng.choice(len(VISIT_DAYS), size=count, replace=False))
    return tuple(int(rng.integers(VISIT_DAYS[w][0], VISIT_DAYS[w][1] + 1)) for w in windows)
