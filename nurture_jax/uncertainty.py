"""How sure a number is: bootstrap intervals by infant, Wilson intervals of a share.

Visits of one infant resemble each other, so infants are drawn, never visits: an interval over
visits would be too narrow. All statistics here are functions of sums over visits; drawing infants
is then one matrix product.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

CONFIDENCE = 0.95
RESAMPLES = 2000
MINIMUM_INFANTS = 10  # below, percentiles of so few distinct samples mean little (our choice)


@dataclasses.dataclass(frozen=True)
class Number:
    """A value with its 95 % interval; nan where it is not known."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


def bootstrap(infants: np.ndarray, terms: np.ndarray, statistic: Callable[..., tuple],
              seed: int = 0, resamples: int = RESAMPLES) -> tuple[Number, ...]:
    """Percentile bootstrap by infant (Efron 1979) of statistics of sums.

    Args:
      infants: [n] whose visit each row is.
      terms: [n, m] float, summed over the visits.
      statistic: m sums, each of any shape, to a tuple of arrays of that shape.

    Returns:
      One Number for each statistic; without interval below MINIMUM_INFANTS infants.
    """
    _, owner = np.unique(infants, return_inverse=True)
    count = owner.max() + 1 if len(owner) else 0
    with np.errstate(invalid="ignore", divide="ignore"):
        values = [float(value) for value in statistic(*np.asarray(terms, float).sum(0))]
        if count < MINIMUM_INFANTS:
            return tuple(Number(value) for value in values)
        sums = np.zeros((count, np.shape(terms)[1]))
        np.add.at(sums, owner, terms)
        replicates = statistic(*(_draws(count, seed, resamples) @ sums).T)
    tails = (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE))
    # A sample without one case of a rare kind has no share; it says nothing about the interval.
    return tuple(Number(value, *map(float, np.nanpercentile(replicate, tails)))
                 if np.isfinite(replicate).any() else Number(value)
                 for value, replicate in zip(values, replicates, strict=True))


@lru_cache(maxsize=4)  # the same groups come again for every measure and method
def _draws(count: int, seed: int, resamples: int) -> np.ndarray:
    """[resamples, count] how often each infant is drawn, with replacement."""
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))
    drawn += count * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def wilson(hits: int, total: int) -> Number:
    """A share with its Wilson score interval (Wilson 1927); nan for an empty total."""
    if not 0 <= hits <= total:
        raise ValueError(f"{hits} of {total} is not a share; give 0 <= hits <= total")
    if total == 0:
        return Number(float("nan"))
    z = ndtri((1 + CONFIDENCE) / 2)
    share = hits / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * np.sqrt(share * (1 - share) / total
                                            + z * z / (4 * total * total))
    # At 0 and 1 the bound is exact; rounding must not leave the share outside.
    return Number(share, float(min(max(centre - half, 0), share)),
                  float(max(min(centre + half, 1), share)))
