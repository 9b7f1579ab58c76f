"""Search in a finished run: measure, learn, search, then measure what was found."""
from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from deps_jax.common.files.sealed import tell
from deps_jax.evaluation.certainty import ends, percent, warning
from deps_jax.export.onnx_writer import FILE_SIZES
from deps_jax.runs.measured import MeasuredAccuracy
from deps_jax.runs.trained import TrainedRun
from deps_jax.search.accuracy_predictor import LEAST
from deps_jax.search.front_report import write_front, write_page
from deps_jax.search.genome import Genome
from deps_jax.search.latency import LatencyTable
from deps_jax.search.learning import learn
from deps_jax.search.search import (
    Accuracy,
    Front,
    Goal,
    check_feasible,
    hypervolume,
    random_search,
    search,
)
from deps_jax.space.candidate import (
    Candidates,
    Costs,
    by_resolution,
    candidate_name,
    check_resolutions,
)
from deps_jax.space.cost import CostModel
from deps_jax.space.subnet import Subnet, largest
from deps_jax.space.subnet_text import decode, reported_subnets


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """How a search is made.

    Attributes:
      measured: Number of subnets that the accuracy predictor learns from.
      images: Number of validation images in the measurements before and during the search; 0
        takes all. The front is measured on all of them.
      population, generations: Size of a generation of NSGA-II, and the number of generations.
      sweeps: The most sweeps of the local search after it; none are made when `direct`.
      front: The most points of the predicted front that are measured in the end.
      seed: Seed of NSGA-II and of the random search beside it.
      resolutions: Sides of the images in pixels to choose from; () takes the space's own.
      direct: Whether every subnet that the search asks for is measured, without a predictor.

    Raises:
      ValueError: If `measured` is too few to learn from.
    """

    measured: int = 100
    images: int = 1000
    population: int = 200
    generations: int = 60
    sweeps: int = 25
    front: int = 12
    seed: int = 0
    resolutions: tuple[int, ...] = ()
    direct: bool = False

    def __post_init__(self) -> None:
        if not self.direct and self.measured < LEAST:
            raise ValueError(f"measured {self.measured} is too few subnets to learn accuracies "
                             f"from; use {LEAST} or more")

    def genome(self, run: TrainedRun) -> Genome:
        """The candidates that the search chooses between.

        Raises:
          ValueError: If a resolution is impossible, or the run has not trained the whole space.
        """
        run.check_trained()
        return Genome(run.space, check_resolutions(self.resolutions or (run.space.resolution,)))


def cost_functions(genome: Genome, tables: Sequence[LatencyTable] = ()) -> Costs:
    """A function from candidates to all their costs by name.

    They are those of `CostModel` and, with tables, "latency_ms".

    Args:
      tables: Latency tables, one for each resolution; none for no latency.

    Raises:
      ValueError: If a table is of another space, a resolution has none or two, or they are of
        several precisions.
    """
    by_pixels = {table.question["resolution"]: table for table in tables}
    for table in tables:
        table.check(genome.space)
    _check_one_each(tables)
    for resolution in genome.resolutions if tables else ():
        if resolution not in by_pixels:
            raise ValueError(f"no latency table is for {resolution} px, the given are for "
                             f"{sorted(by_pixels)}; make it with launch.latency_table --resolution "
                             f"{resolution}")

    def at(resolution: int) -> Callable[[Subnet], Mapping[str, np.ndarray]]:
        model = CostModel(genome.space, resolution=resolution, files=FILE_SIZES)
        table = by_pixels.get(resolution)
        if table is None:
            return model
        latency_ms = table.predictor(genome.space)
        return lambda subnets: {**model(subnets), "latency_ms": latency_ms(subnets)}

    return by_resolution({resolution: at(resolution) for resolution in genome.resolutions})


def _check_one_each(tables: Sequence[LatencyTable]) -> None:
    """Raises ValueError if two tables are of one resolution, or of several precisions."""
    pixels = [table.question["resolution"] for table in tables]
    if twice := [size for size in pixels if pixels.count(size) > 1]:
        raise ValueError(f"{len(twice)} latency tables are for {twice[0]} px; give one for each "
                         f"resolution")
    precisions = sorted({table.question["precision"] for table in tables})
    if len(precisions) > 1:
        raise ValueError(f"the latency tables are of several precisions, {', '.join(precisions)}; "
                         f"give tables of one")


def check_precision(tables: Sequence[LatencyTable], precision: str) -> None:
    """Raises ValueError if tables are of another precision than the file that they speak for.

    None is ever of "int8_static", which needs trained weights and images: there any does, and it is
    said which it is.
    """
    for own in dict.fromkeys(table.question["precision"] for table in tables):
        if precision == "int8_static":
            tell(f"no latency table is of {precision}; latencies are predicted for {own}")
        elif own != precision:
            raise ValueError(f"the latency table is of {own}, but the file is asked for in "
                             f"{precision}; use --precision={own}, or make a table with "
                             f"launch.latency_table --precision={precision}")


def search_run(run: TrainedRun, goal: Goal, folder: Path, *, tables: Sequence[LatencyTable] = (),
               settings: SearchSettings = SearchSettings()) -> tuple[list[dict], str]:
    """Searches the supernet of a run and writes the front to `folder`.

    Args:
      tables: As of `cost_functions`.

    Returns:
      The points of the front as measured, with their costs, cheapest first; and what to print.

    Raises:
      ValueError: If a cost is unknown or no subnet keeps the limits; raised before measuring.
    """
    genome = settings.genome(run)
    costs = cost_functions(genome, tables)
    check_feasible(genome, costs, goal)
    accuracy, accuracy_details, about_accuracy = _accuracy(run, genome, costs, goal, settings)
    found = search(genome, accuracy, costs, goal, population=settings.population,
                   generations=settings.generations, seed=settings.seed,
                   sweeps=0 if settings.direct else settings.sweeps)
    by_chance = random_search(genome, accuracy, costs, goal, evaluations=found.evaluations,
                              seed=settings.seed)
    table = PointTable(run, costs)
    groups = {
        "searched": _undominated(table.of_front(found, settings.front), goal),
        "random search": _undominated(table.of_front(by_chance, settings.front), goal),
        "uniform subnets": table.of_names(_uniform_names(genome), "measuring uniform subnets")}
    worst = _worst(genome, costs)
    volumes = {"searched": hypervolume(found.top1, found.costs, goal, worst),
               "random search": hypervolume(by_chance.top1, by_chance.costs, goal, worst),
               **{f"{name}, measured": _volume_of(points, goal, worst)
                  for name, points in groups.items()}}
    points = groups["searched"]
    write_front(folder, points, {
        **run.details, "date": datetime.date.today().isoformat(),
        "settings": dataclasses.asdict(settings), "goal": dataclasses.asdict(goal),
        "accuracy": accuracy_details, "evaluations": found.evaluations, "hypervolumes": volumes,
        **{name: group for name, group in groups.items() if name != "searched"},
        "devices": [table.device for table in tables]})
    about = f"{about_accuracy}. {found.evaluations} evaluations. {_volumes_text(volumes)}"
    doubt = about_choice(points)
    write_page(folder / "front.html", groups, goal.objectives[0], f"{about} {doubt}".strip())
    return points, "\n\n".join(part for part in (
        about, _text(points, goal), doubt, f"{run.origin}\nfiles: {folder}/") if part)


def _accuracy(run: TrainedRun, genome: Genome, costs: Costs, goal: Goal,
              settings: SearchSettings) -> tuple[Accuracy, dict, str]:
    """The accuracy that the search sees, what the report keeps of it, and a sentence."""
    few = MeasuredAccuracy(run, settings.images)
    if settings.direct:
        measure = lambda candidates: few(candidates.names(genome.space), "searching")
        return measure, {"images": settings.images}, "accuracy measured directly"
    # Always the same first networks: searches with other goals and seeds share them.
    predictor, names, _ = learn(genome, lambda names: few(names, "measuring subnets"), costs, goal,
                                measured=settings.measured)
    return predictor, {"measured": len(names), "error": predictor.error,
                       "rank_correlation": predictor.rank_correlation}, predictor.summary()


class PointTable:
    """Networks with their accuracy on all validation images and their costs, as dicts."""

    def __init__(self, run: TrainedRun, costs: Costs) -> None:
        self._space, self._costs, self._measured = run.space, costs, MeasuredAccuracy(run)

    def of_front(self, front: Front, count: int) -> list[dict]:
        """At most `count` points of a front from the cheapest to the dearest, evenly apart."""
        last = len(front.names) - 1
        chosen = list(dict.fromkeys(np.linspace(0, last, count).round().astype(int)))[:last + 1]
        points = self.of_names([front.names[i] for i in chosen], "measuring the front")
        return [{"subnet": point.pop("subnet"), "top1": point.pop("top1"),
                 "predicted_top1": float(front.top1[i]), **point}
                for i, point in zip(chosen, points, strict=True)]

    def of_names(self, names: Sequence[str], what: str) -> list[dict]:
        """The points of networks, measured where they are not yet.

        Args:
          names: Names of the networks, as `candidate_name` writes them.
          what: What the progress bar says.
        """
        if not names:
            return []
        top1 = self._measured(names, what)
        cost = self._costs(Candidates.named(self._space, names))
        images = self._measured.images
        return [{"subnet": name, "top1": float(top1[i]), **ends("top1", float(top1[i]), images),
                 "images": images, **{key: float(values[i]) for key, values in cost.items()}}
                for i, name in enumerate(names)]


def _undominated(points: list[dict], goal: Goal) -> list[dict]:
    """Points that are a front as measured, too: a prediction may have put others there."""
    if not points:
        return []
    values = np.array([[-point["top1"], *(point[name] for name in goal.objectives)]
                       for point in points])
    keep = NonDominatedSorting().do(values, only_non_dominated_front=True)
    return [points[i] for i in sorted(keep)]


def _worst(genome: Genome, costs: Costs) -> dict[str, float]:
    """The most that any candidate costs, by name: the costs of the largest."""
    name = candidate_name(genome.space, largest(genome.space), genome.resolutions[-1])
    return {key: float(values[0])
            for key, values in costs(Candidates.named(genome.space, [name])).items()}


def _volume_of(points: list[dict], goal: Goal, worst: Mapping[str, float]) -> float:
    columns = {name: np.array([point[name] for point in points])
               for name in ("top1", *goal.objectives)}
    return hypervolume(columns["top1"], columns, goal, worst)


def _volumes_text(volumes: Mapping[str, float]) -> str:
    return (f"Hypervolume {volumes['searched']:.4f}, of random search with as many "
            f"{volumes['random search']:.4f}; of the points of each that were measured in the end "
            f"{volumes['searched, measured']:.4f} and {volumes['random search, measured']:.4f}, of "
            f"the uniform subnets {volumes['uniform subnets, measured']:.4f}.")


def _uniform_names(genome: Genome) -> list[str]:
    """The subnets that reports show."""
    return [candidate_name(genome.space, decode(genome.space, name), genome.resolutions[-1])
            for name in reported_subnets(genome.space)]


def best_within(points: Sequence[Mapping]) -> Mapping:
    """The point whose accuracy is surest to be high; of equals, the cheapest.

    By the lower ends of the intervals: among points of equally many images that is the order of
    their accuracies, but one of few images must be far ahead of one of many.

    Args:
      points: Points, the cheapest first. Those of a version that kept no intervals go by "top1".
    """
    return max(points, key=lambda point: point.get("top1_low", point["top1"]))


def about_choice(points: Sequence[Mapping]) -> str:
    """What the images do not tell about the best of some points; "" where they are not few."""
    best = best_within(points)
    told = warning(best["images"], "validation images")
    if not told:
        return ""
    alike = sum(point["top1_high"] >= best["top1_low"] for point in points) - 1
    others = (f"{alike} of the {len(points) - 1} other points of the front have intervals that "
              f"reach into that of the best, {best['subnet']}. " if len(points) > 1 else "")
    return (f"{told} {others}It was chosen on these images, which flatters it: test images have "
            f"not been looked at yet (launch.evaluate_subnets).")


def _text(points: list[dict], goal: Goal) -> str:
    shown = list(dict.fromkeys([*goal.objectives, *goal.limits, "macs"]))
    accuracies = [percent(point["top1"], point["images"]) for point in points]
    first, second = (max([least, *map(len, texts)]) for least, texts in (
        (6, [point["subnet"] for point in points]), (7, accuracies)))
    lines = [f"{'subnet':{first}}  {'top-1':>{second}}  predicted  "
             + "  ".join(f"{n:>16}" for n in shown)]
    lines += [f"{p['subnet']:{first}}  {accuracy:>{second}}  {p['predicted_top1']:9.2%}  "
              + "  ".join(f"{p[name]:16,.6g}" for name in shown)
              for p, accuracy in zip(points, accuracies, strict=True)]
    return "\n".join(lines)
