"""Fabricated visits and estimates: no model made them, only random numbers of a known law."""
from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")

from nurture_jax.evaluation.estimates import Estimates, measured
from nurture_jax.records.visit import Visit

DAYS = (1.0, 7.0, 14.0, 28.0, 42.0)
SCALE = np.array([110.0, 0.9, 0.6, 0.7, 0.3])  # Laplace scale of the fabricated errors


def make_visits(infants: int = 60, per_infant: int = 3, seed: int = 0, *, missing: float = 0.0
                ) -> tuple[Visit, ...]:
    """Infants whose five measures follow one hidden size; `missing` is a share of empty cells."""
    random, of_arms = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    visits = []
    for i in range(infants):
        birth_g = float(np.clip(random.normal(2900, 480), 1200, 4500))
        known = random.random(2) >= missing
        for j in range(per_infant):
            age = DAYS[j % len(DAYS)]
            weight_g = birth_g * (1 + 0.009 * age) + random.normal(0, 90)
            size = (weight_g / 3000) ** (1 / 3)
            cm = np.array([49.0, 34.0, 32.5]) * size + random.normal(0, 0.7, 3)
            arm_cm = 10.5 * size * of_arms.normal(1, 0.03)
            labels = [None if draw.random() < missing else round(float(value), digits)
                      for value, digits, draw in zip(
                          (weight_g, *cm, arm_cm), (0, 1, 1, 1, 1),
                          (*[random] * 4, of_arms), strict=True)]
            visits.append(Visit(
                f"n{i:03}", str(j), f"videos/n{i:03}_{j}.mp4", age, "FM"[i % 2],
                260.0 + i % 25 if known[0] else None, round(birth_g) if known[1] else None,
                "AB"[i % 3 == 0], "phone" if i % 5 else "tablet", *labels))
    return tuple(visits)


def make_estimates(visits: tuple[Visit, ...], seed: int = 1, *, error: float = 1.0,
                   bias: float = 0.0) -> Estimates:
    """The truth (or the median where it is missing) with Laplace errors of a known scale."""
    random, of_arms = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    truth = measured(visits)
    truth = np.where(np.isnan(truth), np.nanmedian(truth, axis=0), truth)
    count = len(visits)
    draw = lambda law: np.concatenate([law(random, (count, 4)), law(of_arms, (count, 1))], 1)
    scale = error * SCALE * draw(lambda rng, shape: rng.uniform(0.5, 1.5, shape))
    errors = scale * draw(lambda rng, shape: rng.laplace(0, 1, shape))
    return Estimates(visits, truth + bias * SCALE + errors, scale)
