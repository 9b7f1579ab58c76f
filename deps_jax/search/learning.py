"""Which networks to measure: some from the smallest to the largest, then what is promised most.

Where one accuracy takes seconds, networks far from every front teach little. After at most fifty,
the predictor is searched, the points of its front that would gain most are measured, and it learns
from them, too; so it is most exact where the front lies. LINAS is another such search (its traces
are what `reference.search_bench` compares with).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from deps_jax.search.accuracy_predictor import LEAST, AccuracyPredictor
from deps_jax.search.genome import Genome
from deps_jax.search.local_search import undominated
from deps_jax.search.search import Goal, search
from deps_jax.space.candidate import Candidates, Costs

FIRST = 50  # networks of all sizes that are measured first, or half where fewer than twice that are
# Networks measured between two searches: a quarter of those that are known, or so many.
BATCH = 25


def learn(genome: Genome, measure: Callable[[Sequence[str]], np.ndarray], costs: Costs, goal: Goal,
          *, measured: int, seed: int = 0) -> tuple[AccuracyPredictor, list[str], np.ndarray]:
    """Measures networks and learns from them.

    Args:
      measure: A function from names of n networks to their top-1, [n], from 0 to 1.
      costs, goal: As of `search`.
      measured: Number of networks; a small space gives fewer.
      seed: Seed of the first networks and of the searches.

    Returns:
      (the predictor, names of the measured networks in order, their top-1).
    """
    names = spread_names(genome, min(measured, max(min(measured // 2, FIRST), LEAST)), seed)
    top1 = np.asarray(measure(names))
    predictor = AccuracyPredictor.fit(genome.space, names, top1)
    while len(names) < measured:
        front = search(genome, predictor, costs, goal, population=100, generations=20, sweeps=10,
                       seed=seed)
        there = set(names)
        new = [i for i, name in enumerate(front.names) if name not in there]
        known = costs(Candidates.named(genome.space, names))
        values = lambda top1, cost: np.stack(
            [-top1, *(cost[name] for name in goal.objectives)], 1)
        batch = min(max(BATCH, len(names) // 4), measured - len(names))
        places = most_gain(values(front.top1, front.costs)[new], values(top1, known), batch)
        if not len(places):
            break
        chosen = [front.names[new[i]] for i in places]
        names, top1 = names + chosen, np.append(top1, measure(chosen))
        predictor = AccuracyPredictor.fit(genome.space, names, top1)
    return predictor, names, top1


def spread_names(genome: Genome, count: int, seed: int) -> list[str]:
    """Names of distinct networks from the smallest to the largest, both included.

    Args:
      count: Number of networks; a small space gives fewer.
      seed: Seed of the scatter, see `Genome.spread`.
    """
    names: dict[str, None] = {}
    for again in range(20):
        drawn = genome.decode(genome.spread(count, seed + 1000 * again)).names(genome.space)
        # What is missing comes from all sizes, not from the smallest.
        fresh = [name for name in drawn if name not in names]
        kept = np.linspace(0, len(fresh) - 1, min(count - len(names), len(fresh)))
        names |= dict.fromkeys(fresh[i] for i in np.unique(kept.round().astype(int)))
        if len(names) == count:
            break
    return list(names)


def most_gain(values: np.ndarray, known: np.ndarray, count: int) -> np.ndarray:
    """Places of the points that together add most hypervolume to known ones, [<= count].

    They are chosen one by one. With more than one cost, where that takes long, they are spread
    evenly over the points instead.

    Args:
      values: What is kept low, by point, [n, objectives], by the second column ascending.
      known: The same of points that are there, [k, objectives].
    """
    if values.shape[1] > 2 or len(values) <= count:
        places = np.linspace(0, len(values) - 1, min(count, len(values)))
        return np.unique(places.round().astype(int))
    corner = np.concatenate([values, known]).max(0)
    chosen: list[int] = []
    for _ in range(count):
        gains = _gains(values, known[undominated(known)], corner)
        best = int(np.argmax(gains))
        if not gains[best] > 0:
            break
        chosen.append(best)
        known = np.concatenate([known, values[[best]]])
    return np.array(chosen, int)


def _gains(values: np.ndarray, front: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Area below `corner` that each point [n, 2] adds to a front [k, 2] sorted by column 1, [n]."""
    starts = np.concatenate([[-np.inf], front[:, 1]])
    ends = np.append(front[:, 1], corner[1])
    heights = np.concatenate([[corner[0]], front[:, 0]])
    widths = np.maximum(ends - np.maximum(starts, values[:, 1:]), 0)
    return (widths * np.maximum(heights - values[:, :1], 0)).sum(1)
