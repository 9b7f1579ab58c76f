"""What each input and each proxy task is worth: the same training with parts switched off.

    FOLDER/config.json         of all runs; another one is refused
    FOLDER/VARIANT/seed_N/     a run each, and test_errors.json: its errors on the test infants
    FOLDER/ablation.csv, .json, .md, .png

A stopped ablation goes on where it was: finished runs are not repeated. Several processes may
share the folder, each with seeds (or variants) of its own; each writes the table of what it was
asked for, so at the end one call with all of them, which trains nothing, collects the whole:

    python -m launch.nurture_ablation ... --seeds 0,1 &
    python -m launch.nurture_ablation ... --seeds 2
    wait; python -m launch.nurture_ablation ... --seeds 0,1,2

A process that comes to a run another one is at work on waits for it.
"""
from __future__ import annotations

import copy
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.compiled.freed import free_programs
from deps_jax.common.files import locks, sealed, workdir
from deps_jax.common.statistics.intervals import Number
from nurture_jax.clips.clip_batches import eval_batches
from nurture_jax.evaluation import uncertainty
from nurture_jax.evaluation.baselines import CARRY_FORWARD, TABULAR_ONLY, fit_baselines
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.measures import LABELS, MEASURES, WEIGHT
from nurture_jax.report import plots
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.training import experiment, run_data

_NO_PROXIES = {"segmentation": False, "keypoints": False}
# The rows of nurture.md, and video with both proxy tasks but without the table.
VARIANTS: dict[str, dict[str, bool]] = {
    "tabular only": {"use_video": False, **_NO_PROXIES},
    "video only": {"use_tabular": False, **_NO_PROXIES},
    "video only + both": {"use_tabular": False},
    "fused": _NO_PROXIES,
    "fused + segmentation": {"keypoints": False},
    "fused + keypoints": {"segmentation": False},
    "fused + both": {},
}
REFERENCE = "tabular only"  # a variant is worth what it is nearer than this
ERRORS = "test_errors.json"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Errors of one run, or of a baseline, on the test infants.

    Attributes:
      variant: One of VARIANTS, or the name of a baseline.
      seed: Seed of the run; None for a baseline.
      mae: Mean absolute errors by measure, each in its unit; nan for one that was never taken.
      relative_error_percent: Mean relative error of the weight.
      visits: A row for each: family (`Estimates.families`), infant_id, visit_id, and the absolute
        error of every measure in its unit, None where it is not known.
    """

    variant: str
    seed: int | None
    mae: dict[str, float]
    relative_error_percent: float
    visits: list[dict] = dataclasses.field(default_factory=list, repr=False)


def ablate(config: Mapping, folder: Path, *, seeds: Sequence[int] = (0, 1, 2),
           variants: Sequence[str] = tuple(VARIANTS)) -> list[Outcome]:
    """Trains and tests every variant with every seed; writes the table and the figure.

    Args:
      config: Config of the training, as `experiment.Experiment.from_dict` takes it.
      folder: Folder of all runs and of the table.
      seeds: Seeds of the runs of every variant.
      variants: Names out of VARIANTS.

    Returns:
      An outcome for each run, seed by seed, and then for each baseline.

    Raises:
      ValueError: If a variant is unknown, there are none, or the folder is of another config,
        before anything is trained.
    """
    if not (variants and seeds):
        raise ValueError(f"there are {len(variants)} variants and {len(seeds)} seeds; give at "
                         f"least one of each, variants out of {tuple(VARIANTS)}")
    for name in variants:
        if name not in VARIANTS:
            raise ValueError(f"variant {name!r} is unknown; use some of {tuple(VARIANTS)}")
    plans = [(name, seed) for seed in seeds for name in variants]
    for name, seed in plans:  # what can be refused is refused before the first training
        experiment.Experiment.from_dict(_changed(config, name, seed))
    folder, outcomes = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    with locks.alone(folder, f"waiting for another process in {folder}"):
        # Every run has a seed of its own, so that of the config says nothing.
        workdir.claim(folder, dict(config), may_differ=(*experiment.MAY_DIFFER, "seed"),
                      meaning=experiment.meaning)
    for name, seed in tqdm(plans, desc="ablation", unit="run"):
        run = folder / folder_of(name) / f"seed_{seed}"
        outcomes.append(_outcome(name, seed, run, _changed(config, name, seed)))
    outcomes += _baselines(Path(run), config)
    write(folder, outcomes)
    return outcomes


def folder_of(variant: str) -> str:
    """Name of the folder of a variant's runs."""
    return variant.replace(" + ", "_").replace(" ", "_")


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown with a row for each variant: means over seeds, for the weight with their spread."""
    lines = [f"| | weight, g | weight, % | weight minus {REFERENCE}, g (95 % interval) | "
             + "".join(f"{MEASURES[name].short}, cm | " for name in LABELS[1:]).rstrip(),
             "| --- " * (3 + len(LABELS)) + "|"]
    farther = differences(outcomes)
    for name, group in _groups(outcomes).items():
        column = lambda measure, group=group: np.array(
            [each.mae.get(measure, math.nan) for each in group])  # older runs have no arm
        weights = column("weight_g")
        spread = f" ± {weights.std(ddof=1):.0f}" if len(weights) > 1 else ""
        relative = np.mean([each.relative_error_percent for each in group])
        rest = " | ".join("" if math.isnan(column(measure).mean()) else
                          f"{column(measure).mean():.2f}" for measure in LABELS[1:])
        nearer = farther[name].text("{:+.0f}".format) if name in farther else ""
        lines.append(f"| {name} | {weights.mean():.0f}{spread} | {relative:.1f} | {nearer} | "
                     f"{rest} |")
    return "\n".join(lines)


def differences(outcomes: Sequence[Outcome]) -> dict[str, Number]:
    """How much nearer than REFERENCE each variant is in weight; negative is nearer.

    Absolute errors in g of the same visits, with an interval for other infants and other seeds,
    see `uncertainty.difference_of_means`. Empty without REFERENCE.

    Raises:
      ValueError: If runs were tested on different visits.
    """
    groups = _groups(outcomes)
    reference = groups.pop(REFERENCE, None)
    return {name: minus(group, reference) for name, group in groups.items()} if reference else {}


def minus(group: Sequence[Outcome], reference: Sequence[Outcome], *, same_runs: bool = False
          ) -> Number:
    """Absolute error of the weight in g of one variant minus that of another, see `differences`.

    Args:
      same_runs: Whether both are of the same trainings, see `uncertainty.difference_of_means`.
    """
    ours, theirs = ([uncertainty.errors_by_visit(each.visits, WEIGHT.name) for each in runs]
                    for runs in (group, reference))
    check_same([*ours, *theirs], f"{group[0].variant!r} and {reference[0].variant!r}")
    return uncertainty.difference_of_runs(ours, theirs, same_runs=same_runs)


def write(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes the table as Markdown, every run as CSV and JSON, and the figure."""
    rows = [{"variant": each.variant, "seed": "" if each.seed is None else each.seed,
             **{f"mae_{name}": value for name, value in each.mae.items()},
             "relative_error_percent": each.relative_error_percent} for each in outcomes]
    runs = [{name: value for name, value in dataclasses.asdict(each).items() if name != "visits"}
            for each in outcomes]
    farther = {name: dataclasses.asdict(number) for name, number in differences(outcomes).items()}
    content = sealed.finite({"runs": runs, "weight_g_minus_tabular_only": farther})
    for name, data in (("ablation.csv", sealed.rows(rows)),
                       ("ablation.json", json.dumps(content, indent=1, allow_nan=False) + "\n"),
                       ("ablation.md", table(outcomes) + "\n"),
                       ("ablation.png", _picture(outcomes))):
        sealed.replace(folder / name, data)


def _picture(outcomes: Sequence[Outcome]) -> bytes:
    """The figure as a PNG file."""
    weights = {name: [each.mae["weight_g"] for each in group]
               for name, group in _groups(outcomes).items()}
    file = io.BytesIO()
    plots.ablation(weights).savefig(file, format="png", dpi=150)
    return file.getvalue()


def _groups(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Outcomes by variant, in the order in which the variants first come."""
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault(each.variant, []).append(each)
    return groups


def check_same(runs: Sequence[uncertainty.ByVisit], what: str) -> None:
    """Raises ValueError unless all runs were tested on the same visits."""
    for run in runs:
        if different := run.keys() ^ runs[0].keys():
            infant, visit = min(different)
            raise ValueError(f"visit {infant}/{visit} was tested in some runs of {what}, not in "
                             f"all; the data set has changed, so use another --workdir")


def _changed(config: Mapping, name: str, seed: int) -> dict:
    """The config of one run of a variant."""
    config = copy.deepcopy(dict(config))
    config["model"] = {**config["model"], **VARIANTS[name]}
    return config | {"seed": seed}


def _outcome(name: str, seed: int, run: Path, config: dict) -> Outcome:
    """Trains and tests one run in the folder `run`, or reads what was found before."""
    run.mkdir(parents=True, exist_ok=True)
    with locks.alone(run, f"waiting for another process in {run}"):
        workdir.check(run, config, may_differ=experiment.MAY_DIFFER, meaning=experiment.meaning)
        if (before := tested_before(run)) is not None:
            return before
        experiment.train(experiment.Experiment.from_dict(config), run, config)
        found = errors_of(name, seed, estimates_on_test(run))
        free_programs()
        sealed.write(run / ERRORS, sealed.finite(dataclasses.asdict(found)), indent=None)
        return found


def tested_before(run: Path) -> Outcome | None:
    """What was found before, by a version that kept the errors of every visit, or None."""
    path = run / ERRORS
    if not path.is_file():
        return None
    found = sealed.read(path, "delete it, and the run is tested again")
    return outcome_of(found) if "visits" in found else None


def outcome_of(found: Mapping) -> Outcome:
    """An outcome as it was written, `dataclasses.asdict` through `sealed.finite`."""
    number = lambda value: math.nan if value is None else value  # JSON has no nan
    return Outcome(**{**found, "mae": {name: number(value) for name, value in found["mae"].items()},
                      "relative_error_percent": number(found["relative_error_percent"])})


def estimates_on_test(run: Path) -> Estimates:
    """Estimates of all test visits, without the gate: it would judge by masks of some variants."""
    trained = TrainedNurture.open(run)
    source = run_data.open_data(trained.experiment.data, run)[1]["test"]
    seen = [trained.observe(batch) for batch in
            eval_batches(source, trained.experiment.training.eval_batch_size)]
    mean, scale = (np.concatenate([each[name] for each in seen]) for name in ("mean", "scale"))
    return Estimates(source.cache.records.visits, mean, scale)


def _baselines(run: Path, config: Mapping) -> list[Outcome]:
    """Outcomes of both baselines on the test infants of `run`."""
    _, sources = run_data.open_data(experiment.Experiment.from_dict(dict(config)).data, run)
    train, test = (sources[part].cache.records.visits for part in ("train", "test"))
    fitted = fit_baselines(train, test)
    return [errors_of(name, None, fitted[name].estimates) for name in (CARRY_FORWARD, TABULAR_ONLY)]


def errors_of(name: str, seed: int | None, estimates: Estimates) -> Outcome:
    """The outcome that estimates of the test visits are."""
    errors, weight = np.abs(estimates.mean - estimates.truth), estimates.of(WEIGHT.name)
    mae = {measure: float(np.nanmean(column)) if np.isfinite(column).any() else math.nan
           for measure, column in zip(LABELS, errors.T, strict=True)}
    visits = [{"family": family, "infant_id": visit.infant_id, "visit_id": visit.visit_id,
               **{measure: float(error) if np.isfinite(error) else None
                  for measure, error in zip(LABELS, row, strict=True)}}
              for family, visit, row in zip(estimates.families.tolist(), estimates.visits, errors,
                                            strict=True)]
    relative = np.abs(weight.error) / weight.truth
    return Outcome(name, seed, mae, float(100 * np.mean(relative[weight.known])), visits)
