"""Quantiles over infants, whose visits are alike, and how scores grow with what is known of them.

Conformal prediction needs a quantile of the scores of k infants with the missing one at infinity.
Every infant has the weight 1, shared by its visits (hierarchical conformal prediction, Lee, Barber
and Willett, arXiv 2306.06342).
"""
from __future__ import annotations

import math

import numpy as np

TOLERANCE = 1e-9


def fewest(coverage: float) -> int:
    """Fewest infants with a finite quantile, as 1 / (k + 1) of the weight is at infinity."""
    return math.ceil(coverage / (1 - coverage) - TOLERANCE)


def shares(infants: np.ndarray) -> np.ndarray:
    """Weight of every visit, [n]: 1 for each infant, shared by its visits."""
    _, owner, visits = np.unique(infants, return_inverse=True, return_counts=True)
    return 1 / visits[owner]


def quantile_by_infant(scores: np.ndarray, infants: np.ndarray, coverage: float) -> float:
    """Smallest score below which `coverage` of the weight lies; inf where infants are too few.

    Args:
      scores: Scores of the visits, [n], not nan.
      infants: Whose visit each is, [n].
      coverage: The asked share of the weight.
    """
    weight = shares(infants) / (len(np.unique(infants)) + 1)
    order = np.argsort(scores)
    reached = np.cumsum(weight[order]) >= coverage - TOLERANCE
    return float(scores[order][np.argmax(reached)]) if reached.any() else math.inf


def log_factors(scores: np.ndarray, infants: np.ndarray, numbers: np.ndarray,
                spreads: np.ndarray, wider_only: np.ndarray) -> np.ndarray:
    """How the scores grow with numbers of the visit: logarithm of a factor for each unit, [p].

    The most likely ones if scores are absolute values of a Laplace law whose scale is
    exp(c + numbers @ result), as the network's own loss has it, with a normal law of `spreads`
    about 0 before anything is seen. An infant counts once, however many visits it has.

    Args:
      scores: Scores of the visits, [n], above 0.
      infants: Whose visit each is, [n].
      numbers: Of the visits, [n, p].
      spreads: Standard deviations of the result before anything is seen, [p].
      wider_only: Which are not to be below 0, [p] bool.
    """
    from scipy.optimize import minimize  # calibrates only; an estimate from a file has no scipy

    weight = shares(infants)
    numbers = np.concatenate([np.ones((len(scores), 1)), numbers], 1)
    certain = np.concatenate([[0.0], 1 / np.square(spreads)])

    def unlikely(factors: np.ndarray) -> tuple[float, np.ndarray]:
        log_scale = numbers @ factors
        relative = scores * np.exp(-log_scale)
        return (weight @ (log_scale + relative) + certain @ np.square(factors) / 2,
                numbers.T @ (weight * (1 - relative)) + certain * factors)

    start = np.concatenate([[np.log(np.average(scores, weights=weight))], 0 * spreads])
    bounds = [(None, None), *((0 if only else None, None) for only in wider_only)]
    return minimize(unlikely, start, jac=True, bounds=bounds, method="L-BFGS-B").x[1:]
