"""One run of a comparison: trained, evaluated, and its record written.

    FOLDER/runs/NAME-seedN/        an ordinary run, which `launch.train_supernet` could have made
    FOLDER/runs/NAME-seedN.json    what the comparison needs of it, once it is finished
"""
from __future__ import annotations

import dataclasses
from pathlib import Path

from deps_jax.common.command.source import git_commit, package_version
from deps_jax.common.compiled.freed import free_programs
from deps_jax.common.compiled.machine import devices
from deps_jax.common.files import locks, sealed
from deps_jax.common.loop import goodput, writer
from deps_jax.common.loop.fit import Diverged
from deps_jax.comparison.plan import PlannedRun
from deps_jax.evaluation import report
from deps_jax.runs.evaluate_run import evaluate_run
from deps_jax.runs.trained import read_space
from deps_jax.space.subnet import largest
from deps_jax.space.subnet_text import encode
from deps_jax.training.experiment import Experiment, train

RUNS = "runs"  # folder of all runs in that of the comparison
VALIDATED = "validation/largest"


def finish(run: PlannedRun, folder: Path) -> bool:
    """Trains and evaluates a run where that is left to do, and writes its record.

    Args:
      folder: Folder of the comparison.

    Returns:
      Whether it is finished; False where another process is at work on it.

    Raises:
      ValueError: As `experiment.train` and `evaluate_run`; that it has diverged is a result and
        goes into the record.
    """
    place, record = folder / RUNS / run.label, _record(folder, run.label)
    if record.is_file():
        return True
    place.mkdir(parents=True, exist_ok=True)
    with locks.if_free(place) as free:
        if not free:
            return False
        if not record.is_file():  # nobody has finished it since
            print(f"{run.label}: {run.steps} steps", flush=True)
            sealed.write(record, _made(run, place))
            free_programs()
    return True


def read_records(folder: Path) -> list[dict]:
    """The records of all finished runs of a comparison, in the order of their names.

    Raises:
      ValueError: If one is damaged or was edited by hand.
    """
    return [sealed.read(path, "delete it, and the run is evaluated again")
            for path in sorted((folder / RUNS).glob("*.json"))]


def measured_macs(place: Path, batch_size: int) -> float:
    """Multiply-adds of the steps of a run, over all images, as its metrics have them."""
    total, before = 0.0, 0
    for line in writer.read(place):
        if "macs" in line:  # the mean over the steps since the line before
            total += line["macs"] * (line["step"] - before) * batch_size
            before = line["step"]
    return total


def _record(folder: Path, label: str) -> Path:
    return folder / RUNS / f"{label}.json"


def _made(run: PlannedRun, place: Path) -> dict:
    """What the record of a run says, when it was trained and evaluated."""
    experiment, diverged, subnets = Experiment.from_dict(run.config), "", []
    try:
        train(experiment, place, run.config)
    except Diverged as error:
        diverged = str(error)
    else:
        subnets = _evaluated(experiment, place, run.measured_on)
    spent = goodput.read(place)
    seconds = dict(spent.seconds) if spent else {}
    return {"name": run.name, "seed": run.seed, "method": experiment.method.name,
            "config": run.config, "steps": run.steps, "epochs": run.config["training"]["epochs"],
            "budget_macs": run.budget_macs, "planned_macs": run.macs,
            "measured_macs": measured_macs(place, experiment.training.batch_size),
            "seconds": sum(seconds.values()), "step_seconds": seconds.get("steps", 0.0),
            "devices": devices(), "version": package_version(), "commit": git_commit(),
            "diverged": diverged,
            "largest_on_validation": [[line["step"], line[VALIDATED]]
                                      for line in writer.read(place) if VALIDATED in line],
            "subnets": subnets}


def _evaluated(experiment: Experiment, place: Path, split: str) -> list[dict]:
    """Results on the images of a split: of a run that has trained one network, of that one."""
    space = read_space(place)
    names = [encode(space, largest(space))]
    if experiment.method.trains_space:
        names = list(dict.fromkeys((*experiment.evaluation.names(space), *names)))
    evaluate_run(place, subnets=tuple(names), split=split, data_dir=experiment.data.dir)
    return [dataclasses.asdict(result) for result in report.read_results(place, split)["subnets"]]
