"""Evaluation of a finished run: every asked subnet, its statistics kept, a report written."""
from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from deps_jax import report
from deps_jax.common import workdir
from deps_jax.common.writer import read
from deps_jax.experiment import Experiment, Meter, build, check_batches, load_trained
from deps_jax.subnet import decode


def evaluate_run(folder: Path, *, subnets: tuple[str, ...] = (), split: str = "test",
                 data_dir: str | None = None) -> str:
    """Recalibrates and evaluates subnets of the run in `folder`.

    Writes `evaluation/<split>/` (CSV, JSON, plot, batch statistics of every subnet as npz) and
    `report.html`.

    Args:
      subnets: names; empty takes those of the config.
      split: "test" or "validation".
      data_dir: replaces the config's folder.

    Returns:
      The table, with the places of the files.
    """
    config = workdir.load(folder)
    experiment = Experiment.from_dict(config)
    if data_dir is not None:
        experiment = dataclasses.replace(
            experiment, data=dataclasses.replace(experiment.data, dir=data_dir))
    check_batches(experiment)
    space, splits = build(experiment)
    chosen = [decode(space, name) for name in subnets or experiment.evaluation.subnets]
    held_out = getattr(splits, split)
    if not len(held_out):
        raise ValueError(f"the run has no {split} images; train with "
                         f"--config.data.validation_images above 0")
    state = load_trained(experiment, space, len(splits.train), folder)
    meter = Meter(experiment, space, splits.train, held_out)
    target = folder / "evaluation" / split
    results = []
    for subnet in tqdm(chosen, desc=f"evaluating on {split}", unit="subnet", leave=False):
        result, batch_stats = meter(state.params, subnet)
        results.append(result)
        _save_statistics(target / "batch_stats" / f"{_file_name(result.subnet)}.npz", batch_stats)
    details = {
        "method": experiment.method.name, "data": experiment.data.name, "split": split,
        "images": len(held_out), "step": int(state.step), "seed": experiment.seed,
        "calibration_images": experiment.evaluation.calibration_images,
        "calibration_batch_size": experiment.evaluation.calibration_batch_size,
        "calibration_seed": experiment.evaluation.calibration_seed,
        "date": datetime.date.today().isoformat()}
    report.write_results(target, results, details)
    report.write_html(folder / "report.html", results, details, read(folder), config)
    return f"{report.table(results)}\n\nfiles: {target}/  report: {folder / 'report.html'}"


def _save_statistics(path: Path, batch_stats) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{
        jax.tree_util.keystr(key, simple=True, separator="/"): np.asarray(leaf)
        for key, leaf in jax.tree_util.tree_leaves_with_path(batch_stats)})


def _file_name(subnet: str) -> str:
    return subnet.replace("/", "_")
