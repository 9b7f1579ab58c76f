"""Predictor and search on measurements that others have published.

Three parts: how well the accuracy predictor orders networks that it has not seen; how many
accuracies a search asks for until it is near the best; what is found under latency limits of a
phone. The files are those of DyNAS-T (subnets of OFA-MobileNetV3 measured on ImageNet) and of OFA
(its accuracy predictor and latency tables of a Galaxy Note10).
"""
from __future__ import annotations

import ast
import bisect
import csv
import dataclasses
import datetime
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize
from scipy.stats import kendalltau
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from deps_jax.reference.bench_report import machine
from deps_jax.search.accuracy_predictor import AccuracyPredictor, features
from deps_jax.search.genome import Genome
from deps_jax.search.learning import learn
from deps_jax.search.ofa_files import LEAST_RESOLUTION, RESOLUTION_STEP, OfaAccuracy, latency_costs
from deps_jax.search.search import Accuracy, Goal, SearchProblem, random_search, search
from deps_jax.space.candidate import Candidates, Costs, by_resolution
from deps_jax.space.cost import CostModel
from deps_jax.space.families import MOBILENET_V3
from deps_jax.space.ofa import from_ofa
from deps_jax.space.subnet import stack

PARTS = ("predictor", "search", "device")
SPACE = MOBILENET_V3.with_choices(kernels=(3, 5, 7))
SIZES = (100, 200, 500, 1000)  # measured networks that a predictor learns from
EVALUATIONS = 20_000  # accuracies that a search may ask for
LEARNT = 400  # the same of the search that learns from them
SHARE = 0.99  # of the best hypervolume, which counts as found
CORNER = (0.70, 500e6)  # top-1 and MACs at which an area ends
LIMITS_MS = (15, 20, 25, 30)
# The network that OFA's tutorial finds at 25 ms, with what it says of it: 81.71 % and 24.73 ms.
TUTORIAL = "k5e3-k3e3/k5e4-k3e4/k7e6-k7e3-k3e4/k5e4x2-k7e4-k3e3/k3e6x2-k5e6@192"


@dataclasses.dataclass(frozen=True)
class Published:
    """Measured subnets of OFA-MobileNetV3 at 224 px.

    Attributes:
      candidates: The n different networks.
      top1: Top-1 of each, from 0 to 1, the mean where it was measured more than once, [n].
      traces: Networks in the order in which a published search asked for them, by file.
    """

    candidates: Candidates
    top1: np.ndarray
    traces: dict[str, Candidates]

    @classmethod
    def read(cls, folder: Path) -> Published:
        """Reads the tables of a folder.

        Raises:
          ValueError: If there is none, or one lacks a column or holds no subnet.
        """
        files = sorted(folder.glob("*.csv"))
        if not files:
            raise ValueError(f"{folder} holds no tables of measured subnets (*.csv); give the "
                             f"folder above it with --data_dir, or set DEPS_SHARED")
        traces, measured = {}, {}
        for file in files:
            traces[file.stem], top1 = _read_table(file)
            for name, value in zip(traces[file.stem].names(SPACE), top1, strict=True):
                measured.setdefault(name, []).append(value)
        return cls(Candidates.named(SPACE, list(measured)),
                   np.array([np.mean(values) for values in measured.values()]), traces)


def _read_table(file: Path) -> tuple[Candidates, list[float]]:
    with open(file, newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    try:
        subnets = [from_ofa(SPACE, ast.literal_eval(row["Sub-network"])) for row in rows]
        top1 = [float(row["Top-1 Acc (%)"]) / 100 for row in rows]
    except (KeyError, TypeError, SyntaxError, ValueError) as error:
        raise ValueError(f"{file} is no table of measured subnets ({error}); it needs the columns "
                         f"'Sub-network' and 'Top-1 Acc (%)'") from None
    if not rows:
        raise ValueError(f"{file} has no rows; give a table of measured subnets")
    return Candidates(stack(subnets), np.full(len(rows), SPACE.resolution, np.int32)), top1


def benchmark(folder: Path, parts: Sequence[str], seeds: int) -> dict:
    """Runs the chosen parts.

    Args:
      folder: Holds ofa_imagenet/*.csv and ofa_note10/.
      parts: Names of PARTS.
      seeds: Number of seeds of everything that is random, from 0.

    Returns:
      A report of "date", "machine", "seeds" and a section for each part.

    Raises:
      ValueError: If a part is unknown, or a file is missing or damaged.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise ValueError(f"part {unknown[0]!r} is unknown; choose from {', '.join(PARTS)}")
    report = {"date": datetime.date.today().isoformat(), "machine": machine(False),
              "seeds": seeds}
    if {"predictor", "search"} & set(parts):
        published = Published.read(folder / "ofa_imagenet")
    if "predictor" in parts:
        report["predictor"] = predictor_part(published, seeds)
    if "search" in parts:
        report["search"] = {name: search_part(published, truth, seeds)
                            for name, truth in _truths(published).items()}
    if "device" in parts:
        report["device"] = device_part(folder / "ofa_note10", seeds)
    return report


def predictor_part(published: Published, seeds: int, sizes: Sequence[int] = SIZES) -> dict:
    """Errors on all networks that were not learnt from, by method and number of those that were.

    Returns:
      {"networks": count, "methods": {method: {size: {"tau", "error_points", "fit_s"}}}}, the last
      three lists over seeds: Kendall's tau, the mean absolute error in points of top-1, seconds.
    """
    count, methods = len(published.top1), {}
    if max(sizes) >= count:
        raise ValueError(f"{count} measured networks are too few to learn from {max(sizes)} and "
                         f"test on others; give the whole tables")
    for method, fit in {"ours": _ours, "ridge on choices": _ridge}.items():
        methods[method] = {size: {"tau": [], "error_points": [], "fit_s": []} for size in sizes}
        for size in sizes:
            for seed in range(seeds):
                order = np.random.default_rng(seed).permutation(count)
                known, unseen = order[:size], order[size:]
                start = time.perf_counter()
                predict = fit(published.candidates[known], published.top1[known])
                seconds = time.perf_counter() - start
                guess, true = predict(published.candidates[unseen]), published.top1[unseen]
                for name, value in (("tau", kendalltau(guess, true).statistic), ("fit_s", seconds),
                                    ("error_points", 100 * np.abs(guess - true).mean())):
                    methods[method][size][name].append(float(value))
    macs = CostModel(SPACE)(published.candidates.subnets)["macs"]
    return {"networks": count, "methods": methods,
            "tau of MACs alone": float(kendalltau(macs, published.top1).statistic)}


def _ours(candidates: Candidates, top1: np.ndarray) -> Accuracy:
    return AccuracyPredictor.fit(SPACE, candidates.names(SPACE), top1)


def _ridge(candidates: Candidates, top1: np.ndarray) -> Accuracy:
    return _on_choices(RidgeCV(alphas=np.logspace(-3, 3, 13)), candidates, top1)


def _on_choices(model: object, candidates: Candidates, top1: np.ndarray) -> Accuracy:
    """A model of scikit-learn on every choice as zeros and ones."""
    inputs = lambda of: features(SPACE, of, (SPACE.resolution,))
    model.fit(inputs(candidates), top1)
    return lambda of: model.predict(inputs(of))


def _truths(published: Published) -> dict[str, Accuracy]:
    """Accuracies of the whole space, learnt from all rows: by our predictor and by another model.

    The search that learns uses our predictor itself, so the second is the fairer judge of it.
    """
    vectors = TransformedTargetRegressor(SVR(C=3.0, epsilon=0.05), transformer=StandardScaler())
    return {"our predictor": _ours(published.candidates, published.top1),
            "support vectors": _on_choices(vectors, published.candidates, published.top1)}


class Recorded:
    """An accuracy that remembers what it was asked, in order: top-1 and MACs."""

    def __init__(self, accuracy: Accuracy, costs: Costs) -> None:
        self._accuracy, self._costs = accuracy, costs
        self.top1, self.macs = np.zeros(0), np.zeros(0)

    def __call__(self, candidates: Candidates) -> np.ndarray:
        top1 = self._accuracy(candidates)
        self.top1 = np.append(self.top1, top1)
        self.macs = np.append(self.macs, self._costs(candidates)["macs"])
        return top1


def search_part(published: Published, truth: Accuracy, seeds: int,
                evaluations: int = EVALUATIONS, learnt: int = LEARNT) -> dict:
    """Accuracies that searches ask for until they cover SHARE of the best area.

    Args:
      truth: The accuracy that is searched.
      evaluations: Accuracies that a search may ask for.
      learnt: The same of the search that learns from them.

    Returns:
      {"best": largest area in million MACs times points, "methods": {method: {"evaluations": by
      seed, or None where it never came there, "asked": how many it asked for, "share": of the best
      area at the end, "seconds"}}}.
    """
    genome = Genome(SPACE, (SPACE.resolution,))
    costs = by_resolution({SPACE.resolution: CostModel(SPACE)})
    runs = {"ours, learning": partial(_learning, learnt), "ours": partial(_own, evaluations),
            "NSGA-II of pymoo": partial(_pymoo, evaluations),
            "random": lambda *a: random_search(*a[:-1], evaluations=evaluations, seed=a[-1])}
    curves, seconds = {}, {}
    for method, run in runs.items():
        for seed in range(seeds):
            asked, start = Recorded(truth, costs), time.perf_counter()
            run(genome, asked, costs, Goal(("macs",)), seed)
            seconds.setdefault(method, []).append(time.perf_counter() - start)
            curves.setdefault(method, []).append(areas(asked, evaluations))
    for name, trace in published.traces.items():
        asked = Recorded(truth, costs)
        asked(trace)
        curves[name] = [areas(asked, evaluations)]
    best = max(curve[-1] for found in curves.values() for curve in found)
    return {"best": best, "methods": {method: {
        "evaluations": [first_place(curve, SHARE * best) for curve in found],
        "asked": [len(curve) for curve in found],
        "share": [float(curve[-1] / best) for curve in found],
        "seconds": seconds.get(method, [])} for method, found in curves.items()}}


def _learning(learnt: int, genome: Genome, accuracy: Accuracy, costs: Costs, goal: Goal,
              seed: int) -> None:
    measure = lambda names: accuracy(Candidates.named(genome.space, names))
    learn(genome, measure, costs, goal, measured=learnt, seed=seed)


def _own(evaluations: int, genome: Genome, accuracy: Accuracy, costs: Costs, goal: Goal,
         seed: int) -> None:
    """Evolution and local search, about half of the accuracies each."""
    search(genome, accuracy, costs, goal, population=100, generations=evaluations // 200,
           sweeps=2, seed=seed)


def _pymoo(evaluations: int, genome: Genome, accuracy: Accuracy, costs: Costs, goal: Goal,
           seed: int) -> None:
    """NSGA-II with the operators that pymoo's documentation has for integers."""
    operator = {"prob": 1.0, "eta": 3.0, "vtype": float, "repair": RoundingRepair()}
    algorithm = NSGA2(pop_size=100, sampling=IntegerRandomSampling(), crossover=SBX(**operator),
                      mutation=PM(**operator), eliminate_duplicates=True)
    minimize(SearchProblem(genome, accuracy, costs, goal), algorithm, ("n_eval", evaluations),
             seed=seed, verbose=False)


def areas(asked: Recorded, most: int) -> np.ndarray:
    """Hypervolume after each of the first accuracies, in million MACs times points of top-1."""
    found, cost, top1 = np.zeros(min(len(asked.top1), most)), [], []  # a front, cheapest first
    area = 0.0
    for i in range(len(found)):
        macs, accuracy = asked.macs[i], asked.top1[i]
        place = bisect.bisect_right(cost, macs)
        if macs < CORNER[1] and accuracy > (top1[place - 1] if place else CORNER[0]):
            first = bisect.bisect_left(cost, macs)
            last = bisect.bisect_right(top1, accuracy)
            cost[first:max(first, last)], top1[first:max(first, last)] = [macs], [accuracy]
            heights = np.diff([CORNER[0], *top1])
            area = float(heights @ (CORNER[1] - np.array(cost)))
        found[i] = area / 1e6 * 100
    return found


def first_place(curve: np.ndarray, target: float) -> int | None:
    """Number of accuracies until a curve that never falls reaches a target; None if it does not."""
    place = int(np.searchsorted(curve, target))
    return place + 1 if place < len(curve) else None


def device_part(folder: Path, seeds: int, limits_ms: Sequence[float] = LIMITS_MS) -> dict:
    """The best predicted accuracy under limits of latency, by OFA's own predictor and tables.

    Returns:
      {"tutorial": {"top1", "latency_ms"} of the network of OFA's tutorial, "limits": {limit:
      {"top1", "latency_ms", "subnet", "seconds"}, lists over seeds}}.
    """
    space = MOBILENET_V3.with_choices(kernels=(3, 5, 7), width_mult=1.2)
    accuracy = OfaAccuracy.load(folder / "accuracy_predictor.npz", space)
    resolutions, costs = latency_costs(folder, space)
    # Of resolutions that the predictor cannot tell apart, the smallest.
    apart = {(pixels - LEAST_RESOLUTION) // RESOLUTION_STEP: pixels for pixels in resolutions[::-1]}
    genome = Genome(space, tuple(sorted(apart.values())))
    known = Candidates.named(space, [TUTORIAL])
    found = {limit: _under_limit(genome, accuracy, costs, limit, seeds) for limit in limits_ms}
    return {"tutorial": {"top1": float(accuracy(known)[0]),
                         "latency_ms": float(costs(known)["latency_ms"][0])},
            "resolutions": list(genome.resolutions), "limits": found}


def _under_limit(genome: Genome, accuracy: Callable, costs: Costs, limit_ms: float, seeds: int
                 ) -> dict[str, list]:
    found = {"top1": [], "latency_ms": [], "subnet": [], "seconds": []}
    for seed in range(seeds):
        start = time.perf_counter()
        front = search(genome, accuracy, costs, Goal(("latency_ms",), {"latency_ms": limit_ms}),
                       seed=seed)
        for name, value in (("top1", float(front.top1[-1])), ("subnet", front.names[-1]),
                            ("latency_ms", float(front.costs["latency_ms"][-1])),
                            ("seconds", time.perf_counter() - start)):
            found[name].append(value)
    return found


def text(report: dict) -> str:
    """The report as tables."""
    sections = {"predictor": _predictor_text, "search": _search_text, "device": _device_text}
    return "\n\n".join(write(report[part]) for part, write in sections.items() if part in report)


def _predictor_text(part: dict) -> str:
    lines = [f"accuracy predictor, on the others of {part['networks']} measured networks; "
             f"Kendall's tau of MACs alone {part['tau of MACs alone']:.3f}",
             f"{'learnt from':>16}  {'method':18}  {'tau, mean':>9}  {'least':>6}  error, points"
             f"  fit, s"]
    lines += [f"{size:16}  {method:18}  {np.mean(r['tau']):9.4f}  {min(r['tau']):6.4f}  "
              f"{np.mean(r['error_points']):13.3f}  {np.mean(r['fit_s']):6.2f}"
              for method, sizes in part["methods"].items() for size, r in sizes.items()]
    return "\n".join(lines)


def _search_text(part: dict) -> str:
    lines = []
    for truth, found in part.items():
        lines += [f"accuracies asked for until {SHARE:.0%} of the best area, {found['best']:.1f} "
                  f"million MACs times points; truth: {truth}",
                  f"{'method':36}  {'by seed':36}  {'share in the end':>16}  seconds"]
        for method, r in found["methods"].items():
            counts = ", ".join("-" if n is None else str(n) for n in r["evaluations"])
            seconds = f"{np.mean(r['seconds']):7.1f}" if r["seconds"] else ""
            lines.append(f"{method:36}  {counts:36}  {np.mean(r['share']):16.4f}  {seconds}")
    return "\n".join(lines)


def _device_text(part: dict) -> str:
    known = part["tutorial"]
    lines = [f"network of OFA's tutorial: {known['top1']:.2%}, {known['latency_ms']:.2f} ms",
             "limit, ms   best top-1, by seed                     latency, ms  most seconds"]
    lines += [f"{limit:9}   {', '.join(f'{value:.2%}' for value in r['top1']):38}  "
              f"{max(r['latency_ms']):11.2f}  {max(r['seconds']):12.1f}"
              for limit, r in part["limits"].items()]
    return "\n".join(lines)
