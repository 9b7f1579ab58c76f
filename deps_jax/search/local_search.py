"""Pareto local search: from a front, every change of one choice is tried, and the front renewed.

(Paquete, Chiarandini and Stuetzle, 2004.) Evolution comes near a front quickly and closes the last
per cent slowly; one choice at a time closes it fast where a thousand accuracies cost milliseconds.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from deps_jax.search.genome import neighbours

MOST = 100  # points of the front whose neighbours one sweep tries


def local_search(genes: np.ndarray, values: np.ndarray, counts: np.ndarray, *,
                 canonical: Callable[[np.ndarray], np.ndarray],
                 evaluate: Callable[[np.ndarray], np.ndarray], sweeps: int) -> np.ndarray:
    """The genes of the front after some sweeps, or after fewer where nothing is left to try.

    Args:
      genes: Genes of n points to start from, [n, genes] integers.
      values: What is to be kept low, by point, [n, m] float; infinite beyond a limit.
      counts: Number of values that each gene has, [genes].
      canonical: A function that makes genes of the same network equal.
      evaluate: A function from genes [k, genes] to values [k, m].
      sweeps: The most sweeps.
    """
    genes = canonical(genes)
    marks = np.random.default_rng(0).integers(0, 2**63, len(counts), np.uint64)
    mark = lambda rows: (rows.astype(np.uint64) * marks).sum(1)  # equal for equal genes
    seen, tried = np.unique(mark(genes)), np.zeros(0, np.uint64)
    for _ in range(sweeps):
        best = undominated(values)
        genes, values = genes[best], values[best]
        left = np.flatnonzero(~np.isin(mark(genes), tried))
        if not len(left):
            break
        left = left[np.unique(np.linspace(0, len(left) - 1, MOST).round().astype(int))]
        tried = np.append(tried, mark(genes[left]))
        near = canonical(neighbours(genes[left], counts))
        marked, first = np.unique(mark(near), return_index=True)
        near = near[np.sort(first[~np.isin(marked, seen)])]
        seen = np.union1d(seen, marked)
        if len(near):
            genes = np.concatenate([genes, near])
            values = np.concatenate([values, evaluate(near)])
    return genes[undominated(values)]


def undominated(values: np.ndarray) -> np.ndarray:
    """Places of the rows of [n, m] that no other is at most as high as, by the second column.

    Of equal rows one is kept, and none that has an infinite value.
    """
    places = np.flatnonzero(np.isfinite(values).all(1))
    if values.shape[1] == 2:
        order = places[np.lexsort(values[places].T)]
        lowest = np.minimum.accumulate(np.append(np.inf, values[order, 0]))
        return order[values[order, 0] < lowest[:-1]]
    _, first = np.unique(values[places], axis=0, return_index=True)
    places = places[first]
    if len(places):
        places = places[NonDominatedSorting().do(values[places], only_non_dominated_front=True)]
    return places[np.argsort(values[places, 1], kind="stable")]
