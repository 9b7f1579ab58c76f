"""A finished run on the infants of another hospital: evaluated, and calibrated again, not trained.

    WORKDIR/evaluation/other_NAME/                   the report, NAME the folder of the data set
    WORKDIR/evaluation/other_NAME/data_set.json      digests of its videos
    WORKDIR/evaluation/other_NAME/intervals.json     where they were calibrated again, for
                                                     predictions of infants of that place

Many data sets are called "data". Another one of that name has a folder of its own, other_NAME_2, so
that intervals of one place are not taken for those of another.
"""
from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

from deps_jax.common.files import sealed
from deps_jax.common.files.sealed import tell
from nurture_jax import records
from nurture_jax.clips import clip_cache
from nurture_jax.clips.clip_batches import ClipSource
from nurture_jax.evaluation.baselines import Baseline, fit_baselines
from nurture_jax.evaluation.intervals import recalibrate
from nurture_jax.measures import DEFAULT_REFERENCE_CM
from nurture_jax.records import splits, visit_table
from nurture_jax.records.visit import Visit
from nurture_jax.report import report
from nurture_jax.report.content import Report
from nurture_jax.report.facts import RunFacts
from nurture_jax.runs import calibration
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.runs.observed import CALIBRATION, observe_split

TEST = "test"
DATA_SET = "data_set.json"
_PREFIX = "other_"


def evaluate_other(trained: TrainedNurture, data_dir: str | Path, *, share: float = 0.0,
                   seed: int = 0) -> Report:
    """Writes the report of a run on all infants of another data set, or on those of a part.

    Args:
      trained: The run, which has been evaluated on its own infants.
      data_dir: Folder of the other data set.
      share: Part of its infants that calibrate the intervals again, and are in no number of the
        report; 0 keeps the intervals.
      seed: Seed of the bootstrap and the baselines, and that says which infants calibrate.

    Raises:
      ValueError: If the run was not evaluated, the data set has problems, or all visits are
        rejected.
    """
    if not 0 <= share < 1:
        raise ValueError(f"--recalibrate {share:g} is not 0 to below 1; give the part of the "
                         f"infants that calibrate, such as 0.2")
    folder = trained.folder
    calibrated = calibration.load(folder)
    calibrated.check(trained.sha256, folder)
    whole, parts = _open(trained, Path(data_dir), share, seed)
    look = lambda part: observe_split(
        trained.observe, part, trained.experiment.training.eval_batch_size, calibrated.limits,
        calibrated.familiarity, calibrated.scale_of(trained.model.scaling.reference_cm))
    seen, found = look(parts[TEST]), calibrated.intervals
    recalibrated = 0
    if share:
        some = look(parts[CALIBRATION])
        found = recalibrate(found, some.estimates, some.withheld)
        recalibrated = len(set(some.estimates.infants.tolist()))
    table, place = parts[TEST].cache.records, report_folder(folder, whole)
    facts = RunFacts(
        folder.name, records.is_synthetic(data_dir), place.name.removeprefix(_PREFIX),
        tuple(visit.infant_id for visit in (*table.visits, *table.left_out)), table.left_out,
        seen.gates, {"trained on": Path(trained.experiment.data.dir).name, "step": trained.step},
        calibrated.limits, calibrated.calibrated_limits, other=True, recalibrated=recalibrated)
    written = report.write(
        place, seen.estimates, _baselines(trained, seen.estimates.visits, seed), found, facts,
        seed, withheld=seen.withheld, before=calibrated.intervals if share else None)
    if share:
        calibration.save(dataclasses.replace(calibrated, intervals=found), place)
    elif (place / calibration.FILE).is_file():
        tell(f"{place / calibration.FILE} is of an earlier --recalibrate; this report is of the "
             f"run's own intervals")
    return written


def report_folder(folder: Path, found: records.Records) -> Path:
    """Makes the folder for the report of a data set, or finds that of an earlier report of it.

    Two are the same data set if they have a video in common, as for the run's own. A folder that
    does not say whose it is, of an older version, is nobody's and stays as it is.

    Args:
      folder: Folder of the run.
      found: All visits of the data set.
    """
    name, videos = found.folder.resolve().name, clip_cache.fingerprints(found)
    for number in itertools.count(1):
        place = Path(folder) / "evaluation" / (
            f"{_PREFIX}{name}" + (f"_{number}" if number > 1 else ""))
        kept, before = place / DATA_SET, []
        if kept.is_file():
            before = sealed.read(kept, f"move {place} away")["videos"]
        if not place.exists() or {*videos} & {*before}:
            sealed.write(kept, {"videos": videos})
            return place


def _open(trained: TrainedNurture, data_dir: Path, share: float, seed: int
          ) -> tuple[records.Records, dict[str, ClipSource]]:
    """The visits of the data set, and clips of both parts."""
    settings = trained.experiment.data
    found = records.load(data_dir, minimum_s=settings.minimum_s, workdir=trained.folder)
    tell_lengths(found, trained.reference_cm)
    parts = {TEST: found}
    if share:
        parts = splits.split(found, seed, {CALIBRATION: share, TEST: 1 - share})
    cache = clip_cache.build(found, data_dir / "cache", settings.clip, workers=settings.workers)
    return found, {name: ClipSource(cache.of_infants(part.infants))
                   for name, part in parts.items()}


def tell_lengths(found: records.Records, trained_cm: tuple[float, ...]) -> None:
    """Tells that a length is taken for reference objects of which none is told.

    Raises:
      ValueError: If the run was trained with others than that; then nobody can know which it is, as
        for a prediction.
    """
    for line in records.assumed(found.visits):
        if trained_cm != (DEFAULT_REFERENCE_CM,):
            empty = line.partition(";")[0]
            raise ValueError(f"{found.folder}: {empty}, and the run was trained with reference "
                             f"objects of {', '.join(f'{cm:g}' for cm in trained_cm)} cm; write "
                             f"the length of each into {visit_table.FILE}")
        print(line, flush=True)


def _baselines(trained: TrainedNurture, visits: tuple[Visit, ...], seed: int
               ) -> dict[str, Baseline]:
    """Baselines fitted to the run's own table; none where that is not here."""
    home, train = Path(trained.experiment.data.dir), set(splits.infants(trained.folder)["train"])
    rows, problems = visit_table.read(home) if home.is_dir() else ([], ["gone"])
    training = tuple(Visit(**row) for _, row in rows if row["infant_id"] in train)
    if problems or not training:
        tell(f"{home} is not here as the run was trained on it, so the report has no baselines")
        return {}
    return fit_baselines(training, visits, seed)
