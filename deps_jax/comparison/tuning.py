"""The best of the trials of each method, and the comparison of those with fresh seeds.

Trials are runs of a comparison that is measured on validation images. "deps_0", "deps_1" and so on
are trials of "deps": other settings of the same method.
"""
from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

from deps_jax.common.files import workdir
from deps_jax.comparison.one_run import read_records
from deps_jax.comparison.plan import Comparison


def best_trials(folder: Path) -> dict[str, str]:
    """The name of the best trial of each method, by the method's name.

    The best one has the highest mean top-1 over the measured subnets (and over seeds, where there
    are several). Of every method as many trials count as of the one of which the fewest are
    finished, the first ones by number. One that diverged counts as a trial that is worse than all.

    Raises:
      ValueError: If the folder holds no comparison that is measured on validation images, or a
        method in it has no finished trial.
    """
    comparison = workdir.understood(folder, Comparison.from_dict)
    if comparison.measured_on != "validation":
        raise ValueError(f"{folder} was measured on {comparison.measured_on} images, which must "
                         f"not choose settings; give a folder of trials on validation images")
    found: dict[str, dict[str, list[float]]] = {method_of(name): {} for name in comparison.chosen}
    for record in read_records(folder):
        if record["name"] in comparison.chosen:
            trials = found[method_of(record["name"])]
            trials.setdefault(record["name"], []).append(
                statistics.fmean(one["top1"] for one in record["subnets"])
                if record["subnets"] else 0.0)
    if nothing := [method for method, trials in found.items() if not trials]:
        raise ValueError(f"method {nothing[0]!r} has no finished trial in {folder}; start the "
                         f"trials again to go on with them")
    count = min(map(len, found.values()))
    return {method: max(sorted(trials, key=_number)[:count],
                        key=lambda name, trials=trials: statistics.fmean(trials[name]))
            for method, trials in found.items()}


def with_best(config: Mapping, folder: Path) -> dict:
    """The config of a comparison whose runs are the best trials in a folder, by their methods.

    Args:
      config: Config of a comparison; its own runs are left out.

    Raises:
      ValueError: As `best_trials`.
    """
    trials = workdir.understood(folder, Comparison.from_dict)
    best = best_trials(folder)
    print("best trials: " + ", ".join(best.values()), flush=True)
    return {**config, "runs": {method: trials.runs[name] for method, name in best.items()},
            "chosen": tuple(best)}


def method_of(name: str) -> str:
    """The method of a trial: "deps" of "deps_3"; a name without a number is one of its own."""
    method, _, number = name.rpartition("_")
    return method if number.isdigit() else name


def _number(name: str) -> int:
    number = name.rpartition("_")[2]
    return int(number) if number.isdigit() else 0
