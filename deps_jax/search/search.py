"""The best subnets: accuracy against cost, by NSGA-II over every choice and resolution.

It starts from networks of all sizes, and a Pareto local search ends it. Accuracy comes from a
predictor or from measuring; costs are exact (`cost`) or from a latency table. The front is measured
for real before anybody is promised anything.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.indicators.hv import HV
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.mutation.pm import PolynomialMutation
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.optimize import minimize
from threadpoolctl import threadpool_limits

from deps_jax.search.genome import Genome
from deps_jax.search.local_search import local_search, undominated
from deps_jax.space.candidate import Candidates, Costs

Accuracy = Callable[[Candidates], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Goal:
    """What is searched for.

    Attributes:
      objectives: Names of costs to keep low; accuracy is always one more objective.
      limits: The most that a subnet may cost, by name of the cost.
    """

    objectives: tuple[str, ...]
    limits: dict[str, float] = dataclasses.field(default_factory=dict)

    def check(self, known: Sequence[str]) -> None:
        """Raises ValueError for an unknown cost, no objective, or a limit that is not above 0.

        Args:
          known: Names of all costs.
        """
        for name in (*self.objectives, *self.limits):
            if name not in known:
                raise ValueError(f"cost {name!r} is unknown; use one of {tuple(known)}")
        if not self.objectives:
            raise ValueError(f"there is no cost to keep low; choose from {tuple(known)}")
        self.check_limits()

    def check_limits(self) -> None:
        """Raises ValueError for a limit that is not above 0; no cost has to be known for it."""
        for name, limit in self.limits.items():
            if not limit > 0:
                raise ValueError(f"the limit of {name}, {limit:g}, is not above 0")


@dataclasses.dataclass(frozen=True)
class Front:
    """Candidates that no other beats in accuracy and every cost at once, cheapest first.

    Attributes:
      names: Names of the n candidates, as `candidate_name` writes them.
      top1: Top-1 of each as the search saw it (predicted or measured), [n].
      costs: Costs of the candidates by name, [n] each.
      evaluations: Number of accuracies that the search has asked for.
    """

    names: tuple[str, ...]
    top1: np.ndarray
    costs: dict[str, np.ndarray]
    evaluations: int


# Many small products: threads only wait for each other, and sums would depend on their number.
@threadpool_limits.wrap(limits=1, user_api="blas")
def search(genome: Genome, accuracy: Accuracy, costs: Costs, goal: Goal, *, population: int = 200,
           generations: int = 60, sweeps: int = 25, seed: int = 0) -> Front:
    """NSGA-II (Deb et al., 2002) over all candidates, then a local search around its front.

    Args:
      accuracy: A function from n candidates to their top-1, [n].
      costs: A function from n candidates to their costs by name, [n] each.
      population: Candidates of a generation.
      generations: Number of generations.
      sweeps: The most sweeps of the local search, each of some thousands of accuracies; 0 where
        an accuracy takes long.

    Raises:
      ValueError: If a cost is unknown, or no candidate keeps the limits; the message names the
        nearest there is.
    """
    check_feasible(genome, costs, goal)
    problem = SearchProblem(genome, accuracy, costs, goal)
    algorithm = NSGA2(
        pop_size=population, sampling=_starts(genome, costs, goal, population, seed),
        eliminate_duplicates=True,
        crossover=UniformCrossover(prob=0.9, repair=RoundingRepair()),
        mutation=PolynomialMutation(prob=1.0, prob_var=1.5 / problem.n_var, eta=3,
                                    vtype=float, repair=RoundingRepair()))
    minimize(problem, algorithm, ("n_gen", generations), seed=seed, verbose=False)
    genes = local_search(
        np.concatenate(problem.seen), np.concatenate(problem.values), genome.counts,
        canonical=genome.canonical, evaluate=problem.of, sweeps=sweeps)
    return front_of(genome, genes, accuracy, costs, goal, problem.evaluations)


def random_search(genome: Genome, accuracy: Accuracy, costs: Costs, goal: Goal, *,
                  evaluations: int, seed: int = 0) -> Front:
    """The front of uniformly drawn candidates, which a search must beat.

    Args:
      accuracy, costs: As of `search`.
      evaluations: Number of candidates that are drawn.
    """
    genes = np.random.default_rng(seed).integers(
        0, genome.counts, (evaluations, len(genome.counts)))
    return front_of(genome, genes, accuracy, costs, goal, evaluations)


def front_of(genome: Genome, genes: np.ndarray, accuracy: Accuracy, costs: Costs, goal: Goal,
             evaluations: int) -> Front:
    """The front among given genomes; those beyond a limit are left out.

    Args:
      genes: Genes of n candidates, [n, genes].
      accuracy, costs: As of `search`.
      evaluations: What the front says of it; nothing is counted here.
    """
    candidates = genome.decode(genes)
    cost = costs(candidates)
    within = _within(cost, goal, len(genes))
    if not within.any():
        return Front((), np.zeros(0), {name: np.zeros(0) for name in cost}, evaluations)
    candidates = candidates[within]
    top1 = accuracy(candidates)
    values = np.stack([-top1, *(cost[name][within] for name in goal.objectives)], 1)
    best = undominated(values)
    return Front(candidates[best].names(genome.space), top1[best],
                 {name: values_[within][best] for name, values_ in cost.items()}, evaluations)


def hypervolume(top1: np.ndarray, costs: Mapping[str, np.ndarray], goal: Goal,
                worst: Mapping[str, float]) -> float:
    """Share of the box from (accuracy 0, `worst` costs) to (accuracy 1, no cost) that points cover.

    Args:
      top1: Top-1 of the points, [n].
      costs: Costs of the points by name, [n] each.
      goal: The objectives, which are the other sides of the box.
      worst: Cost at the far corner of the box, by name.
    """
    if not len(top1):
        return 0.0
    points = np.stack([-np.asarray(top1), *(np.asarray(costs[name]) / worst[name]
                                            for name in goal.objectives)], 1)
    return float(HV(ref_point=np.array([0.0, *[1.0] * len(goal.objectives)]))(points))


def check_feasible(genome: Genome, costs: Costs, goal: Goal) -> None:
    """Raises ValueError for an impossible goal: even the cheapest candidate is beyond a limit.

    Every cost is least for the smallest choice of every gene, up to noise in latencies, so that
    this one candidate decides. What `Goal.check` refuses is refused, too.
    """
    cheapest = genome.decode(np.zeros((1, len(genome.counts)), int))
    cost = costs(cheapest)
    goal.check(tuple(cost))
    for name, limit in goal.limits.items():
        if cost[name][0] > limit:
            raise ValueError(f"no subnet has {name} <= {limit:g}; the nearest is "
                             f"{cheapest.names(genome.space)[0]} with {cost[name][0]:.4g}: allow "
                             f"that much, search smaller resolutions, or train a narrower space")


def _starts(genome: Genome, costs: Costs, goal: Goal, population: int, seed: int) -> np.ndarray:
    """Genes of candidates of all sizes within the limits; of others where those are too few."""
    genes = genome.spread(population * (4 if goal.limits else 1), seed)
    places = np.flatnonzero(_within(costs(genome.decode(genes)), goal, len(genes)))
    chosen = places[np.unique(np.linspace(0, len(places) - 1, population).round().astype(int))]
    others = np.setdiff1d(np.arange(len(genes)), chosen)  # from the smallest
    return genes[np.append(chosen, others[:population - len(chosen)])]


class SearchProblem(Problem):
    """The search as pymoo asks for it; remembers all genomes it was asked about.

    `values` holds what is kept low, by genome: minus the accuracy and the costs of the goal,
    infinite where a limit is not kept.
    """

    def __init__(self, genome: Genome, accuracy: Accuracy, costs: Costs, goal: Goal) -> None:
        super().__init__(n_var=len(genome.counts), n_obj=1 + len(goal.objectives),
                         n_ieq_constr=len(goal.limits), xl=0, xu=genome.counts - 1, vtype=int)
        self.genome, self._accuracy, self._costs, self._goal = genome, accuracy, costs, goal
        self.seen, self.values, self.evaluations = [], [], 0

    def of(self, genes: np.ndarray) -> np.ndarray:
        """Values [n, objectives] of genes [n, genes], without remembering them."""
        candidates = self.genome.decode(genes)
        cost = self._costs(candidates)
        within = _within(cost, self._goal, len(genes))
        values = np.full((len(genes), self.n_obj), np.inf)
        if within.any():
            values[within] = self._objectives(candidates[within], {
                name: cost[name][within] for name in self._goal.objectives})
        return values

    def _objectives(self, candidates: Candidates, cost: Mapping[str, np.ndarray]) -> np.ndarray:
        self.evaluations += len(candidates)
        return np.stack([-self._accuracy(candidates),
                         *(cost[name] for name in self._goal.objectives)], 1)

    def _evaluate(self, x: np.ndarray, out: dict[str, np.ndarray], *args: object,
                  **kwargs: object) -> None:
        candidates = self.genome.decode(x)
        cost = self._costs(candidates)
        out["F"] = self._objectives(candidates, cost)
        if self._goal.limits:
            out["G"] = np.stack([cost[name] / limit - 1
                                 for name, limit in self._goal.limits.items()], 1)
        self.seen.append(np.asarray(x))
        self.values.append(np.where(
            _within(cost, self._goal, len(x))[:, None], out["F"], np.inf))


def _within(cost: Mapping[str, np.ndarray], goal: Goal, count: int) -> np.ndarray:
    """Which of `count` candidates keep all limits, [count] bool."""
    return np.all([np.ones(count, bool), *(cost[name] <= limit for name, limit in
                                           goal.limits.items())], axis=0)
