"""Evaluation of a finished run: every asked subnet, its statistics kept, a report written."""
from __future__ import annotations

import datetime
from pathlib import Path

from tqdm import tqdm

from deps_jax.common.files import sealed
from deps_jax.common.loop import goodput
from deps_jax.common.loop.writer import read
from deps_jax.evaluation import report
from deps_jax.evaluation.certainty import about_guessing, percent, warning
from deps_jax.runs.trained import TrainedRun, file_name, save_statistics
from deps_jax.space.subnet_text import decode
from deps_jax.training.experiment import PROBE


def evaluate_run(folder: Path, *, subnets: tuple[str, ...] = (), split: str = "test",
                 data_dir: str | None = None) -> str:
    """Recalibrates and evaluates subnets of the run in `folder`.

    Writes `evaluation/<split>/` (CSV, JSON, plot, batch statistics of every subnet as npz) and
    `report.html`.

    Args:
      subnets: Names of the subnets; () takes those of the config.
      split: Name of the split, "test" or "validation".
      data_dir: Folder of the data, where it has moved; None takes the config's.

    Returns:
      The table as text, with the step of the checkpoint and the places of the files.

    Raises:
      ValueError: As `TrainedRun.open`; and if a name is no subnet of the run's space, or the split
        has no images.
    """
    run = TrainedRun.open(folder, data_dir)
    chosen = [decode(run.space, name)
              for name in subnets or run.experiment.evaluation.names(run.space)]
    for subnet in chosen if run.experiment.subnet else ():
        run.check_trained(subnet)  # the full model's subnets are measured, too: for comparison
    held_out = run.held_out(split)
    meter = run.meter(held_out)
    target = folder / "evaluation" / split
    results = []
    for subnet in tqdm(chosen, desc=f"evaluating on {split}", unit="subnet", leave=False):
        result, batch_stats = meter(run.params, subnet)
        results.append(result)
        save_statistics(target / "batch_stats" / f"{file_name(result.subnet)}.npz", batch_stats)
    details = {**run.details, "split": split, "images": len(held_out),
               "date": datetime.date.today().isoformat(), **classifier_alone(folder)}
    report.write_results(target, results, details)
    told = " ".join(part for part in (
        warning(len(held_out), f"{split} images"),
        about_guessing([result.top1 for result in results], len(held_out), run.space.num_classes))
        if part)
    goodput.leave()  # a process of a comparison goes on with other runs
    spent = goodput.read(folder)
    report.write_html(folder / "report.html", results, details | ({"time": spent} if spent else {}),
                      read(folder), run.config, told)
    places = f"{run.origin}\nfiles: {target}/  report: {folder / 'report.html'}"
    return "\n\n".join(part for part in (report.table(results), told, places) if part)


def classifier_alone(folder: Path) -> dict[str, str]:
    """What a run knows of the classifier that it has fitted before its first step, for reports."""
    path = folder / PROBE
    if not path.is_file():
        return {}
    found = sealed.read(path, f"it is about the start of the run alone, so remove {path}")
    return {"classifier_alone": f"top-1 {percent(found['top1'], found['images'])} of "
                                f"{found['images']} training images, each left out of its fit"}
