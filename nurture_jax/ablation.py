"""What each input and each proxy task is worth: the same training with parts switched off.

    FOLDER/VARIANT/seed_N/     a run each, and its errors on the test infants
    FOLDER/ablation.csv, .json, .md, .png

A stopped ablation goes on where it was: finished runs are not repeated.
"""
from __future__ import annotations

import copy
import csv
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nurture_jax import experiment, plots, records, splits
from nurture_jax.baselines import CarryForward, Tabular
from nurture_jax.clip_batches import LABELS, eval_batches
from nurture_jax.estimates import Estimates
from nurture_jax.inference import TrainedNurture

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
ERRORS = "test_errors.json"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Mean absolute errors on the test infants, by measure in its unit; seed is None for baselines.

    Attributes:
      relative_error_percent: of the weight.
    """

    variant: str
    seed: int | None
    mae: dict[str, float]
    relative_error_percent: float


def ablate(config: Mapping, folder: Path, *, seeds: Sequence[int] = (0, 1, 2),
           variants: Sequence[str] = tuple(VARIANTS)) -> list[Outcome]:
    """Trains and tests every variant with every seed; writes the table and the figure.

    Args:
      config: of the training, as `experiment.Experiment.from_dict` takes it.

    Raises:
      ValueError: for an unknown variant, before anything is trained.
    """
    for name in variants:
        if name not in VARIANTS:
            raise ValueError(f"variant {name!r} is unknown; use some of {tuple(VARIANTS)}")
    plans = [(name, seed) for seed in seeds for name in variants]
    for name, seed in plans:  # what can be refused is refused before the first training
        experiment.Experiment.from_dict(_changed(config, name, seed))
    folder, outcomes = Path(folder), []
    for name, seed in tqdm(plans, desc="ablation", unit="run"):
        run = folder / name.replace(" + ", "_").replace(" ", "_") / f"seed_{seed}"
        outcomes.append(_outcome(name, seed, run, _changed(config, name, seed)))
    outcomes += _baselines(Path(run), config)
    write(folder, outcomes)
    return outcomes


def table(outcomes: Sequence[Outcome]) -> str:
    """One row a variant: means over seeds, with the standard deviation for the weight."""
    lines = ["| | weight, g | weight, % | length, cm | head, cm | chest, cm |",
             "| --- | --- | --- | --- | --- | --- |"]
    for name, group in _groups(outcomes).items():
        column = lambda measure, group=group: np.array([each.mae[measure] for each in group])
        weights = column("weight_g")
        spread = f" ± {weights.std(ddof=1):.0f}" if len(weights) > 1 else ""
        relative = np.mean([each.relative_error_percent for each in group])
        rest = " | ".join("" if math.isnan(column(measure).mean()) else
                          f"{column(measure).mean():.2f}" for measure in LABELS[1:])
        lines.append(f"| {name} | {weights.mean():.0f}{spread} | {relative:.1f} | {rest} |")
    return "\n".join(lines)


def write(folder: Path, outcomes: Sequence[Outcome]) -> None:
    """The table as Markdown, every run as CSV and JSON, and the figure."""
    rows = [{"variant": each.variant, "seed": "" if each.seed is None else each.seed,
             **{f"mae_{name}": value for name, value in each.mae.items()},
             "relative_error_percent": each.relative_error_percent} for each in outcomes]
    with (folder / "ablation.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "ablation.json").write_text(json.dumps(
        [dataclasses.asdict(each) for each in outcomes], indent=1) + "\n")
    (folder / "ablation.md").write_text(table(outcomes) + "\n")
    plots.ablation({name: [each.mae["weight_g"] for each in group]
                    for name, group in _groups(outcomes).items()}).savefig(
        folder / "ablation.png", dpi=150)


def _groups(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault(each.variant, []).append(each)
    return groups


def _changed(config: Mapping, name: str, seed: int) -> dict:
    config = copy.deepcopy(dict(config))
    config["model"] = {**config["model"], **VARIANTS[name]}
    return config | {"seed": seed}


def _outcome(name: str, seed: int, run: Path, config: dict) -> Outcome:
    if not (run / ERRORS).is_file():
        experiment.train(experiment.Experiment.from_dict(config), run, config)
        errors = dataclasses.asdict(_errors(name, seed, _test_estimates(run)))
        (run / ERRORS).write_text(json.dumps(errors) + "\n")
    return Outcome(**json.loads((run / ERRORS).read_text()))


def _test_estimates(run: Path) -> Estimates:
    """Of every test visit; the gate is off, since it would judge by the masks of some variants."""
    trained = TrainedNurture.open(run)
    data = trained.experiment.data
    found = records.load(data.dir, minimum_s=data.minimum_s)
    source = experiment.open_sources(data, found, splits.read(found, run))["test"]
    seen = [trained.observe(batch) for batch in
            eval_batches(source, trained.experiment.training.eval_batch_size)]
    mean, scale = (np.concatenate([each[name] for each in seen]) for name in ("mean", "scale"))
    return Estimates(source.cache.records.visits, mean, scale)


def _baselines(run: Path, config: Mapping) -> list[Outcome]:
    """Both baselines on the same infants."""
    data = experiment.Experiment.from_dict(dict(config)).data
    parts = splits.read(records.load(data.dir, minimum_s=data.minimum_s), run)
    train, test = parts["train"].visits, parts["test"].visits
    return [_errors("birth weight carried forward", None, CarryForward.fit(train).estimate(test)),
            _errors("scikit-learn, tabular", None, Tabular.fit(train).estimate(test))]


def _errors(name: str, seed: int | None, estimates: Estimates) -> Outcome:
    errors, truth = np.abs(estimates.mean - estimates.truth), estimates.truth
    known = np.isfinite(errors[:, 0])
    mae = {measure: float(np.nanmean(column)) if np.isfinite(column).any() else math.nan
           for measure, column in zip(LABELS, errors.T, strict=True)}
    return Outcome(name, seed, mae,
                   float(100 * np.mean(errors[known, 0] / truth[known, 0])))
