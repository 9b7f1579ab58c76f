"""The compressed rows of an ablation: the files of its networks beside the networks themselves.

    FOLDER/VARIANT/seed_N/compressed.json      what was measured of one run
    FOLDER/compressed.csv, .md                 all of them, also at the end of FOLDER/ablation.md

As in the rest of an ablation all test visits count, also those that a gate would refuse; intervals
are calibrated on what each file says itself.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from deps_jax.common.files import locks, sealed
from deps_jax.common.statistics.intervals import Number
from deps_jax.export.device_timer import session
from nurture_jax.clips.clip_batches import ClipSource, eval_batches
from nurture_jax.deploy import graph
from nurture_jax.deploy.export import PRECISIONS, blank_clip, fastest_ms
from nurture_jax.deploy.file_model import answers
from nurture_jax.evaluation import intervals, uncertainty
from nurture_jax.evaluation.coverage import EVERYBODY, covered
from nurture_jax.evaluation.estimates import Estimates, without_birth_weight
from nurture_jax.measures import WEIGHT
from nurture_jax.runs.ablation import VARIANTS, folder_of
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.runs.observed import Observe, calibrating, withhold
from nurture_jax.training import run_data

NETWORK = "network"
FILE, NAME, HEAD = "compressed.json", "compressed", "Files of"
FULL = list(VARIANTS)[-1]  # the network that would be used


@dataclasses.dataclass(frozen=True)
class Row:
    """What one network, or one file of it, does on the test visits.

    Attributes:
      form: NETWORK, or the precision of the file.
      seed: Seed of its training.
      mae_weight_g: Mean absolute error of the weight.
      coverage: Share of infants whose weight lies in its 90 % interval; nan where too few infants
        calibrate for one.
      megabytes: Size of the file in 10^6 bytes; nan for the network.
      clip_ms: Milliseconds for a clip on this machine, one thread, without decoding; nan as above.
      visits: A row for each: family, infant_id, visit_id and the absolute error of the weight in g.
    """

    form: str
    seed: int
    mae_weight_g: float
    coverage: float
    megabytes: float
    clip_ms: float
    visits: list[dict] = dataclasses.field(default_factory=list, repr=False)


def compress(folder: Path, seeds: Sequence[int], variant: str = FULL) -> list[Row]:
    """Measures every run of a variant and its files, unless that was done, and writes the table.

    Args:
      folder: Folder of a finished ablation.
      seeds: Seeds of the runs.
      variant: Name of the variant.

    Raises:
      ValueError: If a run is not there.
    """
    folder, rows = Path(folder), []
    for seed in seeds:
        run = folder / folder_of(variant) / f"seed_{seed}"
        if not run.is_dir():
            raise ValueError(f"{folder} has no run of {variant!r} with seed {seed}; train it with "
                             f"the same command without --compressed")
        with locks.alone(run, f"waiting for another process in {run}"):
            rows += _measured(run, seed)
    sealed.replace(folder / f"{NAME}.md", table(rows) + "\n")
    if (whole := folder / "ablation.md").is_file():
        before = whole.read_text("utf-8").split(HEAD)[0].rstrip()
        sealed.replace(whole, f"{before}\n\n{HEAD} {variant!r}:\n\n{table(rows)}\n")
    sealed.replace(folder / f"{NAME}.csv", sealed.rows([
        {name: value for name, value in dataclasses.asdict(row).items() if name != "visits"}
        for row in rows]))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Markdown with a row for each form: means over seeds."""
    lines = ["| | weight, g | minus the network's, g (95 % interval) | coverage, weight | MB | "
             "ms a clip |", "| --- " * 6 + "|"]
    forms = dict.fromkeys(row.form for row in rows)
    for form in forms:
        own = [row for row in rows if row.form == form]
        mean = lambda name, own=own: float(np.mean([getattr(row, name) for row in own]))
        show = lambda value, digits: "" if math.isnan(value) else f"{value:.{digits}f}"
        covering = "" if math.isnan(mean("coverage")) else f"{mean('coverage'):.1%}"
        apart = "" if form == NETWORK else difference(rows, form).text("{:+.2f}".format)
        lines.append(f"| {form if form == NETWORK else f'{form} file'} | "
                     f"{mean('mae_weight_g'):.1f} | {apart} | {covering} | "
                     f"{show(mean('megabytes'), 2)} | {show(mean('clip_ms'), 0)} |")
    return "\n".join(lines)


def difference(rows: Sequence[Row], form: str) -> Number:
    """Error of the weight of a form minus the network's, of the same visits and the same runs."""
    own, network = ([uncertainty.errors_by_visit(row.visits, "weight_g") for row in rows
                     if row.form == each] for each in (form, NETWORK))
    return uncertainty.difference_of_runs(own, network, same_runs=True)


def _measured(run: Path, seed: int) -> list[Row]:
    """The rows of a run, as they were written of the weights that it has, or measured now."""
    trained = TrainedNurture.open(run)
    if (run / FILE).is_file():
        found = sealed.read(run / FILE, "delete it, and the run is measured again")
        number = lambda value: math.nan if value is None else value  # JSON has no nan
        if found.get("network_sha256") == trained.sha256:
            return [Row(**{name: number(value) for name, value in row.items()})
                    for row in found["rows"]]
    sources = run_data.open_data(trained.experiment.data, run)[1]
    contents = {precision: graph.write(
        trained.model, trained.variables, trained.experiment.augment.in_use, trained.clip.size,
        precision).SerializeToString() for precision in PRECISIONS}
    calls = {name: partial(answers, session(content)) for name, content in contents.items()}
    blank = blank_clip(trained.clip)
    times = fastest_ms({name: partial(call, blank) for name, call in calls.items()})
    size = trained.experiment.training.eval_batch_size
    rows = [_row(form, seed, observe, sources, size, len(contents.get(form, "")) / 1e6 or math.nan,
                 times.get(form, math.nan))
            for form, observe in ({NETWORK: trained.observe} | calls).items()]
    sealed.write(run / FILE, sealed.finite({
        "network_sha256": trained.sha256, "rows": [dataclasses.asdict(row) for row in rows]}),
        indent=None)
    return rows


def _row(form: str, seed: int, observe: Observe, sources: dict[str, ClipSource], batch_size: int,
         megabytes: float, clip_ms: float) -> Row:
    factors = intervals.calibrate(*_estimates(observe, sources[calibrating(sources)], batch_size))
    seen, _ = _estimates(observe, sources["test"], batch_size)
    weight = seen.of(WEIGHT.name)
    visits = [{"family": family, "infant_id": visit.infant_id, "visit_id": visit.visit_id,
               "weight_g": float(error)}
              for family, visit, error in zip(seen.families.tolist(), seen.visits,
                                              np.abs(weight.error), strict=True)
              if np.isfinite(error)]
    coverage = next((row.by_infant.value for row in covered(factors, seen)
                     if row.measure == WEIGHT.name and row.by == EVERYBODY), math.nan)
    return Row(form, seed, float(np.mean([visit["weight_g"] for visit in visits])), coverage,
               megabytes, clip_ms, visits)


def _estimates(observe: Observe, source: ClipSource, batch_size: int
               ) -> tuple[Estimates, Estimates]:
    """Estimates of all visits of a split, and those without the birth weight."""
    told, untold = [], []
    for batch in eval_batches(source, batch_size):
        told.append(observe(batch))
        untold.append(observe(withhold(batch)))
    visits = source.cache.records.visits
    joined = lambda found, name: np.concatenate([each[name] for each in found])
    return (Estimates(visits, joined(told, "mean"), joined(told, "scale")),
            Estimates(tuple(map(without_birth_weight, visits)), joined(untold, "mean"),
                      joined(untold, "scale")))
