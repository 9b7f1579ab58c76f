"""Numbers out of the records of finished runs: rows, means over seeds, paired differences."""
from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import stats

from deps_jax.evaluation.certainty import ends

LEVEL = 0.95  # of intervals
ALL = "mean of all"  # in the place of a subnet: the mean over those that a run has trained


@dataclasses.dataclass(frozen=True)
class Spread:
    """A number of several runs.

    Attributes:
      mean: Mean over the runs.
      sd: Standard deviation of single runs (n - 1 in the denominator); nan of one.
      count: Number of runs.
    """

    mean: float
    sd: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of some numbers, of which there must be one at least."""
        values = list(values)
        sd = statistics.stdev(values) if len(values) > 1 else float("nan")
        return cls(statistics.fmean(values), sd, len(values))

    @property
    def interval(self) -> tuple[float, float]:
        """Of the mean, at LEVEL, by Student's t with count - 1 degrees of freedom; nan of one run.

        It takes runs of other seeds as normally distributed around the mean.
        """
        if self.count < 2:
            return float("nan"), float("nan")
        half = stats.t.ppf((1 + LEVEL) / 2, self.count - 1) * self.sd / np.sqrt(self.count)
        return self.mean - float(half), self.mean + float(half)


def rows(records: Sequence[Mapping], measured_on: str = "test") -> list[dict]:
    """A line for each subnet of each run, and one without a subnet for a run that diverged.

    Args:
      measured_on: Split of the images that the records' results are of; "test_images" is empty
        where it is another one.
    """
    found = []
    for record in records:
        own = {name: record[name] for name in (
            "steps", "epochs", "budget_macs", "planned_macs", "measured_macs", "seconds",
            "step_seconds", "version", "commit", "diverged")}
        own["devices"] = record.get("devices", "")  # records of before have none
        nothing = dict.fromkeys(("subnet", "macs", "params", "top1", "top5", "loss", "images"), "")
        for result in record["subnets"] or [nothing]:
            measured = {name: result[name] for name in nothing if name != "images"}
            if record["subnets"]:
                measured |= ends("top1", result["top1"], result["images"])
            else:
                measured |= {"top1_low": "", "top1_high": ""}
            found.append({"run": record["name"], "method": record["method"],
                          "seed": record["seed"], **measured,
                          "test_images": result["images"] if measured_on == "test" else "",
                          **own, "measured_on": measured_on, "images": result["images"]})
    return found


def by_devices(records: Sequence[Mapping]) -> dict[str, list[str]]:
    """Runs, as NAME (seed N), by the devices that they were made on; seconds compare within one."""
    found: dict[str, list[str]] = {}
    for record in records:
        found.setdefault(record.get("devices", ""), []).append(
            f"{record['name']} (seed {record['seed']})")
    return found


def names(records: Sequence[Mapping], reference: str = "") -> list[str]:
    """Names of the runs: the reference first, then as they come."""
    found = dict.fromkeys(record["name"] for record in records)
    return sorted(found, key=lambda name: name != reference)


def subnets(records: Sequence[Mapping]) -> dict[str, int]:
    """Multiply-adds of every subnet that any run has measured, from the smallest on."""
    found = {result["subnet"]: result["macs"] for record in records for result in record["subnets"]}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def top1(records: Sequence[Mapping], name: str) -> dict[str, dict[int, float]]:
    """Top-1 of a run's subnets by seed; where it has trained all of them, their mean as ALL."""
    found: dict[str, dict[int, float]] = {}
    every = set(subnets(records))
    for record in records:
        if record["name"] != name:
            continue
        own = {result["subnet"]: result["top1"] for result in record["subnets"]}
        if set(own) == every and len(every) > 1:
            own[ALL] = statistics.fmean(own.values())
        for subnet, value in own.items():
            found.setdefault(subnet, {})[record["seed"]] = value
    return found


def differences(records: Sequence[Mapping], name: str, reference: str) -> dict[str, Spread]:
    """Top-1 of a run less that of the reference with the same seed, by subnet.

    Subnets and seeds that only one of them has are left out.
    """
    own, other, found = top1(records, name), top1(records, reference), {}
    for subnet in own:
        shared = [seed for seed in own[subnet] if seed in other.get(subnet, {})]
        if shared:
            found[subnet] = Spread.of(own[subnet][seed] - other[subnet][seed] for seed in shared)
    return found
