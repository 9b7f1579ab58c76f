"""Several runs on the same visits: how near each method is, with seeds, where all see something.

Reads `predictions.csv` and `evaluation.json` of evaluations of one data set (or of the runs' own
test infants, if they are the same) and trains and estimates nothing. Gates differ, and who refuses
what is hard has smaller errors on the rest. So errors and coverage are of the visits that every run
has accepted, and what each accepts stands beside them.
"""
from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from deps_jax.common.command.page import markdown_cell
from deps_jax.common.files import sealed
from deps_jax.common.statistics.intervals import Number
from nurture_jax.evaluation.baselines import TABULAR_ONLY
from nurture_jax.evaluation.estimates import measured
from nurture_jax.evaluation.quantiles import shares
from nurture_jax.evaluation.uncertainty import difference_of_means
from nurture_jax.measures import LABELS, MEASURES, WEIGHT
from nurture_jax.records.visit import Visit

EVERYBODY = "all"
FILES = ("predictions.csv", "evaluation.json")


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one run says of n visits.

    Attributes:
      run: Its folder.
      visits: Infant and visit of each row.
      part: The value of the column that divides the visits, [n]; EVERYBODY where nothing does.
      accepted: Whether the gate let it through, [n] bool.
      error: Estimate minus measured, [n, 5] in the order of LABELS, nan where either is not known.
      inside: Whether the interval holds what was measured, [n, 5] float, nan where not known.
      minus_table: Mean absolute error of the weight in g minus that of the table without video, on
        the visits that this run accepts; nan where the evaluation had no table.
    """

    run: Path
    visits: tuple[tuple[str, str], ...]
    part: np.ndarray
    accepted: np.ndarray
    error: np.ndarray
    inside: np.ndarray
    minus_table: Number


@dataclasses.dataclass(frozen=True)
class Row:
    """One method on one part of the visits.

    Attributes:
      method, part: Names; EVERYBODY is all visits.
      runs: Number of runs.
      visits, common: Number of visits, and of those that every run of every method accepts.
      accepted: Share of the visits that each run accepts, by run.
      mae: Mean absolute errors of the common visits by measure, one for each run.
      coverage: Share of the common visits, by infant, that intervals hold; the same.
      farther: Mean absolute error of the weight in g minus that of the first method, with an
        interval for other infants and other seeds; None for the first.
      minus_table: Of each run, see `Seen`; empty for parts of the visits.
    """

    method: str
    part: str
    runs: int
    visits: int
    common: int
    accepted: list[float]
    mae: dict[str, list[float]]
    coverage: dict[str, list[float]]
    farther: Number | None
    minus_table: list[Number]


def compare(methods: Mapping[str, Sequence[Path]], evaluation: str, by: str = "") -> list[Row]:
    """Rows for all visits, then for each value of a column, method by method.

    Args:
      methods: Folders of the runs of each method, its seeds.
      evaluation: Folder in the runs' `evaluation/`: "test", or "other_NAME".
      by: Column of `predictions.csv` that divides the visits, such as "body" or "site"; "" for
        none.

    Raises:
      ValueError: If a run was not evaluated so, on other visits than the first, or by is no column,
        or no visit was accepted by all.
    """
    seen = {name: [read(Path(run), evaluation, by) for run in runs]
            for name, runs in methods.items()}
    every = [each for runs in seen.values() for each in runs]
    for each in every:
        if each.visits != every[0].visits:
            raise ValueError(f"{each.run} and {every[0].run} were evaluated on different visits as "
                             f"{evaluation!r}; evaluate both on the same data set")
    common = np.all([each.accepted for each in every], axis=0)
    if not common.any():
        raise ValueError(f"of {len(common)} visits none was accepted by all {len(every)} runs; "
                         f"compare fewer of them")
    parts = {EVERYBODY: np.ones(len(common), bool)}
    if by:
        parts |= {name: every[0].part == name for name in dict.fromkeys(every[0].part.tolist())}
    infants = np.array([infant for infant, _ in every[0].visits])
    first = next(iter(seen))
    return [_row(name, part, seen[name], None if name == first else seen[first], rows, common,
                 infants) for part, rows in parts.items() for name in seen]


def read(run: Path, evaluation: str, by: str = "") -> Seen:
    """What one run says of the visits of one evaluation, in the order of their names.

    Raises:
      ValueError: If there is no such evaluation, it is damaged or of another version, or there is
        no such column.
    """
    folder = run / "evaluation" / evaluation
    again = f"evaluate the run: python -m launch.evaluate_nurture --workdir {run} (--data of " \
            f"another data set)"
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise ValueError(f"{folder / missing[0]} does not exist; {again}")
    try:
        with open(folder / FILES[0], newline="", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: (row["infant_id"], row["visit_id"]))
        if any(None in row.values() for row in rows):
            raise ValueError(f"a row of {FILES[0]} ends early")
        numbers = json.loads((folder / FILES[1]).read_text("utf-8"))
        seen = _seen(run, rows, numbers)
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{folder} is damaged or of another version ({error}); {again}") from error
    if not by:
        return seen
    if by not in rows[0]:
        raise ValueError(f"--by {by!r} is no column of {folder / FILES[0]}; use body, site, device "
                         f"or sex")
    return dataclasses.replace(seen, part=np.array([row[by] or "not known" for row in rows]))


def _seen(run: Path, rows: Sequence[Mapping[str, str]], numbers: Mapping) -> Seen:
    """What the rows of `predictions.csv` and the numbers of `evaluation.json` say."""
    number = lambda row, name: float(row[name] or "nan")
    column = lambda end: np.array([[number(row, f"{name}_{end}") for name in LABELS]
                                   for row in rows])
    # A weight that is the birth weight is no evidence here either, so `measured` judges.
    truth = measured(tuple(Visit(
        row["infant_id"], row["visit_id"], "", number(row, "age_days"), row["sex"],
        birth_weight_g=number(row, "birth_weight_g"),
        **{name: number(row, f"{name}_measured") for name in LABELS}) for row in rows))
    low, high = column("low"), column("high")
    known = np.isfinite(truth) & np.isfinite(low)
    return Seen(
        run, tuple((row["infant_id"], row["visit_id"]) for row in rows),
        np.full(len(rows), EVERYBODY),
        np.array([row["gate"] != "rejected" for row in rows]),
        column("estimated") - truth,
        np.where(known, (low <= truth) & (truth <= high), np.nan), _minus_table(numbers))


def table(rows: Sequence[Row]) -> str:
    """Markdown: means over runs, ± their standard deviation."""
    def several(values: Sequence[float], show: Callable[[float], str]) -> str:
        if not np.isfinite(values).all():  # a measure that none of these visits has
            return ""
        spread = f" ± {show(np.std(values, ddof=1))}" if len(values) > 1 else ""
        return show(np.mean(values)) + spread

    percent, grams, cm = ("{:.1f}".format, "{:z.0f}".format, "{:.2f}".format)
    short = [MEASURES[name].short for name in LABELS]
    lines = ["| visits | method | runs | accepted, % | weight, g | minus the first, g (95 % "
             "interval) | " + "".join(f"{name}, cm | " for name in short[1:])
             + "covered, % (" + ", ".join(short) + ") |", "| --- " * (7 + len(short) - 1) + "|"]
    for row in rows:
        farther = row.farther.text(grams, sign=True) if row.farther else ""
        lines.append(
            f"| {markdown_cell(row.part)} | {markdown_cell(row.method)} | {row.runs} | "
            f"{several([100 * each for each in row.accepted], percent)} | "
            f"{several(row.mae[WEIGHT.name], grams)} | {farther} | "
            + "".join(f"{several(row.mae[name], cm)} | " for name in LABELS[1:])
            + ", ".join(several([100 * np.mean(row.coverage[name])], grams) or "none"
                        for name in LABELS) + " |")
    of_all = [row for row in rows if row.part == EVERYBODY]
    beside = [f"{markdown_cell(row.method)}: the weight minus that of the {TABULAR_ONLY}, each run "
              f"on what it accepts: " + ", ".join(each.text(grams, sign=True, unit="g")
                                       for each in row.minus_table)
              for row in of_all if any(math.isfinite(each.value) for each in row.minus_table)]
    return "\n".join([
        f"Errors and coverage of the {of_all[0].common} of {of_all[0].visits} visits that all runs "
        f"accept.", "", *lines, "", *beside]).rstrip()


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Writes side_by_side.md, and .json with every number."""
    plain = [dataclasses.asdict(row) for row in rows]
    sealed.replace(folder / "side_by_side.json",
                   json.dumps(sealed.finite({"rows": plain}), indent=1, allow_nan=False) + "\n")
    sealed.replace(folder / "side_by_side.md", table(rows) + "\n")


def _row(name: str, part: str, runs: Sequence[Seen], first: Sequence[Seen] | None,
         rows: np.ndarray, common: np.ndarray, infants: np.ndarray) -> Row:
    inside = rows & common
    weight = LABELS.index(WEIGHT.name)
    farther = None
    if first is not None:
        ours, theirs = (np.abs([each.error[:, weight] for each in group])
                        for group in (runs, first))
        known = inside & np.isfinite(ours).all(0) & np.isfinite(theirs).all(0)
        if known.any():
            farther = difference_of_means(ours[:, known], theirs[:, known], infants[known])
    return Row(
        name, part, len(runs), int(rows.sum()), int(inside.sum()),
        [float(each.accepted[rows].mean()) for each in runs],
        {measure: [_mean(np.abs(each.error[inside, column])) for each in runs]
         for column, measure in enumerate(LABELS)},
        {measure: [_mean(each.inside[inside, column], infants[inside]) for each in runs]
         for column, measure in enumerate(LABELS)},
        farther, [each.minus_table for each in runs] if part == EVERYBODY else [])


def _mean(values: np.ndarray, infants: np.ndarray | None = None) -> float:
    """Mean of what is known, over visits or, where it is said whose they are, by infant."""
    known = np.isfinite(values)
    if not known.any():
        return math.nan
    weights = None if infants is None else shares(infants[known])
    return float(np.average(values[known], weights=weights))


def _minus_table(numbers: Mapping) -> Number:
    """Of the weight, as an evaluation has found it."""
    for row in numbers["differences"]:
        if row["measure"] == WEIGHT.name and row["baseline"] == TABULAR_ONLY:
            return Number(**{end: math.nan if value is None else value
                             for end, value in row["mae_difference"].items()})
    return Number(math.nan)
