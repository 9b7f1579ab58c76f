"""Search in a finished run: measure, learn, search, then measure what was found."""
from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from deps_jax.cost import CostModel
from deps_jax.evaluate import PAPER_SUBNETS
from deps_jax.front_report import write_front, write_page
from deps_jax.latency import LatencyTable
from deps_jax.predictor import AccuracyPredictor, Measurements, sampled_names
from deps_jax.search import Front, Goal, check_feasible, hypervolume, random_search, search
from deps_jax.space import SearchSpace
from deps_jax.subnet import Subnet, decode, encode, largest, stack
from deps_jax.trained import TrainedRun


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """How a search is made.

    Attributes:
      measured: subnets that the accuracy predictor learns from.
      images: validation images in these measurements; the front is measured on all of them.
      population, generations: of NSGA-II.
      front: most points of the front that are measured in the end.
    """

    measured: int = 100
    images: int = 1000
    population: int = 100
    generations: int = 100
    front: int = 12
    seed: int = 0


def cost_functions(space: SearchSpace, table: LatencyTable | None = None):
    """Every cost of n stacked subnets by name: those of CostModel, and "latency_ms"."""
    model = CostModel(space, files=True)
    if table is None:
        return model
    table.check(space)
    return lambda subnets: {**model(subnets), "latency_ms": table.predict(space, subnets)}


def search_run(run: TrainedRun, goal: Goal, folder: Path, *, table: LatencyTable | None = None,
               settings: SearchSettings = SearchSettings()) -> tuple[list[dict], str]:
    """Searches the supernet of a run and writes the front to `folder`.

    Returns:
      (points of the front with their measured accuracy and costs, cheapest first; what to print).

    Raises:
      ValueError: for an unknown cost, or limits that no subnet keeps, before anything is measured.
    """
    space, costs = run.space, cost_functions(run.space, table)
    check_feasible(space, costs, goal)
    few = _Measured(run, folder.parent / "measurements.jsonl", settings.images)
    names = sampled_names(space, settings.measured, settings.seed)
    predictor = AccuracyPredictor.fit(space, names, few(names, "measuring subnets"))
    front = search(space, predictor, costs, goal, population=settings.population,
                   generations=settings.generations, seed=settings.seed)
    by_chance = random_search(space, predictor, costs, goal, evaluations=front.evaluations,
                              seed=settings.seed)
    full = _Measured(run, folder.parent / "measurements.jsonl", 0)
    chosen = _spread(front, settings.front)
    points = _points(space, costs, [front.names[i] for i in chosen], full, front, chosen)
    uniform = [encode(space, decode(space, name)) for name in _uniform_names(space)]
    others = _points(space, costs, uniform, full)
    worst = {name: float(values[0]) for name, values in costs(_one(largest(space))).items()}
    volumes = [hypervolume(found, goal, worst) for found in (front, by_chance)]
    details = {**run.details, "date": datetime.date.today().isoformat(),
               "settings": dataclasses.asdict(settings), "goal": dataclasses.asdict(goal),
               "predictor": {"model": predictor.name, "error": predictor.error,
                             "rank_correlation": predictor.rank_correlation},
               "evaluations": front.evaluations, "hypervolume": volumes[0],
               "hypervolume_of_random_search": volumes[1], "uniform": others,
               "device": table.device if table else {}}
    write_front(folder, points, details)
    about = (f"{predictor.summary()}. Hypervolume {volumes[0]:.4f}, of random search with the same "
             f"{front.evaluations} evaluations {volumes[1]:.4f}.")
    write_page(folder / "front.html", {"searched": points, "uniform subnets": others},
               goal.objectives[0], about)
    return points, f"{about}\n\n{_table(points, goal)}\n\nfiles: {folder}/"


class _Measured:
    """Measured top-1 of subnets on some of the validation images, remembered in a file."""

    def __init__(self, run: TrainedRun, path: Path, images: int):
        held_out = run.held_out("validation", images)
        self._run, self._held_out, self._meter = run, held_out, None
        self._known = Measurements(path, {**run.details, "images": len(held_out)})

    def __call__(self, names, what: str) -> np.ndarray:
        progress = lambda missing: tqdm(missing, desc=what, unit="subnet", leave=False)
        return self._known(names, self._measure, progress)

    def _measure(self, name: str) -> float:
        self._meter = self._meter or self._run.meter(self._held_out)
        return self._meter(self._run.params, decode(self._run.space, name))[0].top1


def _points(space, costs, names, measured: _Measured, front: Front | None = None,
            chosen=()) -> list[dict]:
    top1 = measured(names, "measuring the front" if front else "measuring uniform subnets")
    cost = costs(stack([decode(space, name) for name in names]))
    points = []
    for i, name in enumerate(names):
        point = {"subnet": name, "top1": float(top1[i])}
        if front:
            point["predicted_top1"] = float(front.top1[chosen[i]])
        points.append(point | {key: float(values[i]) for key, values in cost.items()})
    return points


def _spread(front: Front, count: int) -> list[int]:
    """Positions of at most `count` points from the cheapest to the dearest, evenly apart."""
    return list(dict.fromkeys(np.linspace(0, len(front.names) - 1, count).round().astype(int)))


def _uniform_names(space: SearchSpace) -> list[str]:
    """The paper's six uniform subnets, as far as the space has them, and both ends."""
    names = []
    for name in ("smallest", *PAPER_SUBNETS, "largest"):
        try:
            names.append(encode(space, decode(space, name)))
        except ValueError:  # a depth or expand ratio that this space does not offer
            continue
    return list(dict.fromkeys(names))


def best_within(points: list[dict]) -> Mapping:
    """The most accurate point; of equals, the cheapest (points come cheapest first)."""
    return max(points, key=lambda point: point["top1"])


def _one(subnet: Subnet) -> Subnet:
    return jax.tree.map(lambda leaf: leaf[None], subnet)


def _table(points: list[dict], goal: Goal) -> str:
    shown = list(dict.fromkeys([*goal.objectives, *goal.limits, "macs"]))
    width = max(len(point["subnet"]) for point in points)
    lines = [f"{'subnet':{width}}    top-1  predicted  " + "  ".join(f"{n:>16}" for n in shown)]
    lines += [f"{p['subnet']:{width}}  {p['top1']:7.2%}  {p['predicted_top1']:9.2%}  "
              + "  ".join(f"{p[name]:16,.6g}" for name in shown) for p in points]
    return "\n".join(lines)
