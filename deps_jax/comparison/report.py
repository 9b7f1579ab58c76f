"""What a comparison has found, for people: one CSV file, one figure, one page."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from deps_jax.common.command.page import inline, render
from deps_jax.common.files import sealed, workdir
from deps_jax.comparison.one_run import read_records
from deps_jax.comparison.picture import picture
from deps_jax.comparison.plan import Comparison
from deps_jax.comparison.summary import (
    ALL,
    LEVEL,
    Spread,
    by_devices,
    differences,
    names,
    rows,
    subnets,
    top1,
)
from deps_jax.evaluation.certainty import FEW_IMAGES, interval, warning

CSV, FIGURE, PAGE = "comparison.csv", "comparison.png", "comparison.html"
NOT_TRAINED, DIVERGED = "not trained", "diverged"


def write_report(folder: Path) -> str:
    """Writes the CSV file, the figure and the page of all finished runs in a folder.

    Returns:
      The table of accuracies as text, with what is missing and the places of the files.

    Raises:
      ValueError: If the folder holds no comparison, no run of it is finished, or a record is
        damaged.
    """
    comparison = workdir.understood(folder, Comparison.from_dict)
    records = [record for record in read_records(folder) if record["name"] in comparison.runs]
    if not any(record["subnets"] for record in records):
        raise ValueError(f"no run in {folder} has finished with a result yet; start the "
                         f"comparison, and ask for its report later")
    reference = comparison.reference
    order = names(records, reference)
    records.sort(key=lambda record: (order.index(record["name"]), record["seed"]))
    image = picture(records, reference, comparison.measured_on)
    missing = _missing(comparison, records)
    sealed.replace(folder / CSV, sealed.rows(rows(records, comparison.measured_on)))
    sealed.replace(folder / FIGURE, image)
    sealed.replace(folder / PAGE, render(
        __package__, "comparison.html.j2", title="Methods at equal cost",
        budget=_power(records[0]["budget_macs"]), budget_epochs=f"{comparison.budget_epochs:g}",
        data=comparison.base["data"]["name"], measured_on=comparison.measured_on,
        images=_images(records), level=f"{LEVEL:.0%}",
        few=warning(_least_images(records), f"{comparison.measured_on} images"),
        reference=reference, missing=missing, accuracies=accuracies(records, reference),
        minus=minus(records, reference), costs=costs(records, reference), factor=_factor(records),
        devices={device: ", ".join(runs) for device, runs in by_devices(records).items()},
        changes=[(name, own_settings(comparison.runs[name], comparison.base)) for name in order],
        figure=inline(image),
        versions=_versions(records),
        base=shared_settings(comparison.base),
        diverged=[(f"{record['name']}, seed {record['seed']}", record["diverged"])
                  for record in records if record["diverged"]]))
    left = f"\nnot finished: {', '.join(missing)}" if missing else ""
    return f"{_text(*accuracies(records, reference))}{left}\n\nfiles: {folder}/{CSV}, .png, .html"


def accuracies(records: Sequence[Mapping], reference: str) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table of top-1, %: mean and standard deviation over seeds.

    Of few test images, the mean has the interval that one run would have.
    """
    columns, images = subnets(records), _least_images(records)
    table = []
    for name in names(records, reference):
        found = {subnet: Spread.of(seeds.values()) for subnet, seeds in top1(records, name).items()}
        seeds = sorted(record["seed"] for record in records if record["name"] == name)
        table.append([name, ", ".join(map(str, seeds)), *(
            _spread(found[subnet], images) if subnet in found
            else NOT_TRAINED if found else DIVERGED for subnet in (*columns, ALL))])
    heads = (f"{subnet} ({macs / 1e6:.3g} M)" for subnet, macs in columns.items())
    return ["run", "seeds", *heads, ALL], table


def minus(records: Sequence[Mapping], reference: str) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table of differences to the reference, in points of top-1."""
    columns = (*subnets(records), ALL)
    table = []
    for name in names(records, reference):
        found = differences(records, name, reference) if name != reference else {}
        if found:
            most = max(spread.count for spread in found.values())
            table.append([name, str(most), *(_difference(found[subnet]) if subnet in found else ""
                                             for subnet in columns)])
    return ["run", "pairs", *columns], table


def costs(records: Sequence[Mapping], reference: str) -> tuple[list[str], list[list[str]]]:
    """Head and lines of the table of costs, means over seeds."""
    table = []
    for name in names(records, reference):
        own = [record for record in records if record["name"] == name]
        mean = lambda field, own=own: Spread.of(record[field] for record in own).mean
        budget = own[0]["budget_macs"]
        table.append([name, f"{mean('epochs'):.3g}", f"{mean('steps'):.0f}",
                      f"{mean('planned_macs') / budget:.2%}",
                      f"{mean('measured_macs') / budget:.2%}",
                      f"{mean('seconds') / 60:.3g}", f"{mean('step_seconds') / 60:.3g}"])
    return ["run", "epochs", "steps", "planned cost", "measured cost", "minutes",
            "of these in steps"], table


def own_settings(changes: Mapping, base: Mapping) -> str:
    """What a run has of its own, as text: its method, and where its other fields differ."""
    flat, shared = workdir.flatten(dict(changes)), workdir.flatten(dict(base))
    return "; ".join(f"{field} {value}" for field, value in flat.items() if value is not None
                     and (field.startswith("method.") or shared.get(field) != value))


def shared_settings(base: Mapping) -> list[tuple[str, object]]:
    """What all runs share: neither the method, nor the epochs, nor the seed."""
    return [(field, value) for field, value in workdir.flatten(dict(base)).items()
            if not field.startswith("method.") and field not in ("seed", "training.epochs")]


def _missing(comparison: Comparison, records: Sequence[Mapping]) -> list[str]:
    """Runs that were asked for and have no record yet."""
    finished = {(record["name"], record["seed"]) for record in records}
    return [f"{name} (seed {seed})" for seed in comparison.seeds for name in comparison.chosen
            if (name, seed) not in finished]


def _least_images(records: Sequence[Mapping]) -> int:
    return min(result["images"] for record in records for result in record["subnets"])


def _images(records: Sequence[Mapping]) -> str:
    numbers = sorted({result["images"] for record in records for result in record["subnets"]})
    return " or ".join(f"{number:,}" for number in numbers)


def _versions(records: Sequence[Mapping]) -> str:
    """Which states of the code have made the records."""
    found = sorted({(record["version"], record["commit"]) for record in records})
    return "; ".join(f"version {version or 'not installed'}" + (commit and f", commit {commit}")
                     for version, commit in found)


def _factor(records: Sequence[Mapping]) -> str:
    """What an interval is, in units of a standard error, for the most seeds that any run has."""
    counts = [len(seeds) for name in names(records) for seeds in top1(records, name).values()]
    one = Spread(0.0, math.sqrt(max(counts)), max(counts)).interval[1]
    return "" if math.isnan(one) else f"with {max(counts)} seeds {one:.2f} standard errors"


def _power(number: float) -> str:
    """A large number for people: 2.1e11 is "2.1 x 10^11"."""
    digits, power = f"{number:.2e}".split("e")
    return f"{digits} x 10^{int(power)}"


def _spread(found: Spread, images: int) -> str:
    spread = "" if math.isnan(found.sd) else f" ± {100 * found.sd:.2f}"
    if not images < FEW_IMAGES:
        return f"{100 * found.mean:.2f}{spread}"
    number = interval(found.mean, images)
    return f"{100 * found.mean:.2f}{spread} ({100 * number.low:.1f} to {100 * number.high:.1f})"


def _difference(found: Spread) -> str:
    low, high = found.interval
    within = "" if math.isnan(low) else f" ({100 * low:+.2f} to {100 * high:+.2f})"
    return f"{100 * found.mean:+.2f}{within}"


def _text(header: Sequence[str], table: Sequence[Sequence[str]]) -> str:
    """A table as text of fixed width."""
    lines = [header, *table]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(
        line, widths, strict=True)).rstrip() for line in lines)
