"""Quantiles over infants, whose visits are alike: one for all, and one that differs by group.

Conformal prediction needs a quantile of the scores of k infants with the missing one at infinity.
Every infant has the weight 1, shared by its visits (hierarchical conformal prediction, Lee, Barber
and Willett, arXiv 2306.06342). By groups the quantile is that of a regression on overlapping
groups (Gibbs, Cherian and Candes, arXiv 2305.12616), here with a penalty: a group has a factor of
its own only as far as its coverage is beyond chance.
"""
from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

TOLERANCE = 1e-9
# Standard errors of the count of covered infants that a group's miscoverage must exceed, and is
# reduced to (our choice, by simulation: docs/nurture_evaluation.md).
CHANCE = 0.5


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


def group_factors(scores: np.ndarray, infants: np.ndarray, groups: Mapping[str, np.ndarray],
                  coverage: float) -> dict[str, float]:
    """How much larger the quantile of the scores is in each group; 1 is left out.

    Logarithms of scores are regressed on the groups by the pinball loss, with the missing infant at
    infinity and the penalty `CHANCE` sqrt(coverage (1 - coverage) infants) on each group. Solved
    by its dual: one bounded variable a visit, one row a group.

    Args:
      scores: Scores of the visits, [n], above 0.
      infants: Whose visit each is, [n].
      groups: Which visits are in each group, [n] bool; a visit may be in several.
      coverage: The asked share.

    Returns:
      Factors by name of the group; that of a visit is the product over its groups.
    """
    from scipy.optimize import linprog  # calibrates only; an estimate from a file has no scipy

    names = [name for name, inside in groups.items() if inside.any() and not inside.all()]
    weight = shares(infants)
    if not names or weight.sum() < fewest(coverage):
        return {}
    inside = np.array([groups[name] for name in names], float)
    # At least the missing infant's share, or groups that divide all visits would grow for ever.
    penalty = np.maximum(CHANCE * np.sqrt(coverage * (1 - coverage) * (inside @ weight)), coverage)
    found = linprog(-np.log(scores), A_eq=np.ones((1, len(scores))), b_eq=[-coverage],
                    A_ub=np.concatenate([inside, -inside]), b_ub=np.tile(penalty, 2),
                    bounds=np.stack([(coverage - 1) * weight, coverage * weight], 1))
    if found.status != 0:
        raise RuntimeError(f"intervals by group: {found.message}")
    above, below = np.split(-found.ineqlin.marginals, 2)
    factors = np.exp(above - below)
    return {name: float(factor) for name, factor in zip(names, factors, strict=True)
            if abs(factor - 1) > TOLERANCE}
