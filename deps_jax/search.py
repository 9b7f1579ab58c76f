"""The best subnets: accuracy against cost, by NSGA-II over every choice a space offers.

Accuracy comes from a predictor or from measuring; costs are exact (`cost`) or from a latency
table. The front is measured for real before anybody is promised anything.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.indicators.hv import HV
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.pm import PolynomialMutation
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from deps_jax.space import SearchSpace
from deps_jax.subnet import Subnet, canonical, encode

Costs = Callable[[Subnet], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Genome:
    """Subnets as vectors of small integers: position of every depth, kernel and expand ratio."""

    space: SearchSpace

    @property
    def counts(self) -> np.ndarray:
        """[genes] how many values each gene has."""
        stages = self.space.stages
        deep = lambda field: [len(getattr(stage, field)) for stage in stages
                              for _ in range(self.space.max_depth)]
        return np.array([*(len(stage.depths) for stage in stages), *deep("kernels"),
                         *deep("expands")])

    def decode(self, genes: np.ndarray) -> Subnet:
        """[n, genes] integers as n stacked subnets, genes of inactive blocks ignored."""
        genes = np.asarray(genes, np.int32)
        s, d = len(self.space.stages), self.space.max_depth
        positions, kernel, expand = np.split(genes, [s, s + s * d], axis=1)
        depth = np.stack([np.array(stage.depths, np.int32)[positions[:, i]]
                          for i, stage in enumerate(self.space.stages)], 1)
        return canonical(Subnet(depth, kernel.reshape(-1, s, d), expand.reshape(-1, s, d)))


@dataclasses.dataclass(frozen=True)
class Goal:
    """What is searched for.

    Attributes:
      objectives: names of costs to keep low; accuracy is always one more objective.
      limits: most that a subnet may cost, by name.
    """

    objectives: tuple[str, ...]
    limits: dict[str, float] = dataclasses.field(default_factory=dict)

    def check(self, known: Sequence[str]) -> None:
        """Raises ValueError, naming what is allowed, for an unknown cost or a limit below 0."""
        for name in (*self.objectives, *self.limits):
            if name not in known:
                raise ValueError(f"cost {name!r} is unknown; use one of {tuple(known)}")
        if not self.objectives:
            raise ValueError(f"there is no cost to keep low; choose from {tuple(known)}")
        for name, limit in self.limits.items():
            if not limit > 0:
                raise ValueError(f"the limit of {name}, {limit:g}, is not above 0")


@dataclasses.dataclass(frozen=True)
class Front:
    """Subnets that no other beats in accuracy and every cost at once, cheapest first.

    Attributes:
      subnets: stacked.
      names: as `encode` writes them.
      top1: as the search saw them (predicted or measured).
      costs: by name, [n].
      evaluations: how many accuracies were asked for.
    """

    subnets: Subnet
    names: tuple[str, ...]
    top1: np.ndarray
    costs: dict[str, np.ndarray]
    evaluations: int


def search(space: SearchSpace, accuracy: Callable[[Subnet], np.ndarray], costs: Costs, goal: Goal,
           *, population: int = 100, generations: int = 100, seed: int = 0) -> Front:
    """NSGA-II (Deb et al., 2002) over all subnets of a space.

    Args:
      accuracy: [n] top-1 of n stacked subnets.
      costs: of n stacked subnets, by name.

    Raises:
      ValueError: when no subnet keeps the limits, naming the nearest there is.
    """
    check_feasible(space, costs, goal)
    problem = _Problem(Genome(space), accuracy, costs, goal)
    algorithm = NSGA2(
        pop_size=population, sampling=IntegerRandomSampling(), eliminate_duplicates=True,
        crossover=UniformCrossover(prob=0.9, repair=RoundingRepair()),
        mutation=PolynomialMutation(prob=1.0, prob_var=1.5 / len(problem.genome.counts), eta=3,
                                    vtype=float, repair=RoundingRepair()))
    minimize(problem, algorithm, ("n_gen", generations), seed=seed, verbose=False)
    return front_of(problem.genome, np.concatenate(problem.seen), accuracy, costs, goal,
                    problem.evaluations)


def random_search(space: SearchSpace, accuracy: Callable[[Subnet], np.ndarray], costs: Costs,
                  goal: Goal, *, evaluations: int, seed: int = 0) -> Front:
    """The front of uniformly drawn subnets: what a search must beat."""
    genome = Genome(space)
    genes = np.random.default_rng(seed).integers(
        0, genome.counts, (evaluations, len(genome.counts)))
    return front_of(genome, genes, accuracy, costs, goal, evaluations)


def front_of(genome: Genome, genes: np.ndarray, accuracy, costs: Costs, goal: Goal,
             evaluations: int) -> Front:
    """The front among given genomes; those beyond a limit are left out."""
    subnets = genome.decode(genes)
    cost = costs(subnets)
    within = np.all([cost[name] <= limit for name, limit in goal.limits.items()] or [
        np.ones(len(genes), bool)], axis=0)
    subnets = jax.tree.map(lambda leaf: leaf[within], subnets)
    top1 = accuracy(subnets)
    values = np.stack([-top1, *(cost[name][within] for name in goal.objectives)], 1)
    _, first = np.unique(values, axis=0, return_index=True)
    best = first[NonDominatedSorting().do(values[first], only_non_dominated_front=True)]
    best = best[np.argsort(values[best, 1], kind="stable")]
    chosen = jax.tree.map(lambda leaf: leaf[best], subnets)
    names = tuple(encode(genome.space, jax.tree.map(lambda leaf, i=i: leaf[i], chosen))
                  for i in range(len(best)))
    return Front(chosen, names, top1[best],
                 {name: values_[within][best] for name, values_ in cost.items()}, evaluations)


def hypervolume(front: Front, goal: Goal, worst: Mapping[str, float]) -> float:
    """Share of the box between (accuracy 0, `worst` costs) and (accuracy 1, no cost) it covers."""
    points = np.stack([-front.top1, *(front.costs[name] / worst[name]
                                      for name in goal.objectives)], 1)
    return float(HV(ref_point=np.array([0.0, *[1.0] * len(goal.objectives)]))(points))


def check_feasible(space: SearchSpace, costs: Costs, goal: Goal) -> None:
    """Raises ValueError when even the cheapest subnet is beyond a limit.

    Every cost is least for the smallest choice of every gene, up to noise in latencies, so that
    subnet decides.
    """
    genome = Genome(space)
    cheapest = genome.decode(np.zeros((1, len(genome.counts)), int))
    cost = costs(cheapest)
    goal.check(tuple(cost))
    for name, limit in goal.limits.items():
        if cost[name][0] > limit:
            nearest = jax.tree.map(lambda leaf: leaf[0], cheapest)
            raise ValueError(f"no subnet has {name} <= {limit:g}; the nearest is "
                             f"{encode(space, nearest)} with {cost[name][0]:.4g}: allow that much, "
                             f"or train a narrower space")


class _Problem(Problem):
    """The search as pymoo asks for it; remembers all genomes it was asked about."""

    def __init__(self, genome: Genome, accuracy, costs: Costs, goal: Goal):
        super().__init__(n_var=len(genome.counts), n_obj=1 + len(goal.objectives),
                         n_ieq_constr=len(goal.limits), xl=0, xu=genome.counts - 1, vtype=int)
        self.genome, self._accuracy, self._costs, self._goal = genome, accuracy, costs, goal
        self.seen, self.evaluations = [], 0

    def _evaluate(self, x, out, *args, **kwargs):
        subnets = self.genome.decode(x)
        cost = self._costs(subnets)
        self.seen.append(np.asarray(x))
        self.evaluations += len(x)
        out["F"] = np.stack([-self._accuracy(subnets),
                             *(cost[name] for name in self._goal.objectives)], 1)
        if self._goal.limits:
            out["G"] = np.stack([cost[name] / limit - 1
                                 for name, limit in self._goal.limits.items()], 1)
