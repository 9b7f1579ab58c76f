"""From a trained model and the clips of its splits to the files of a report.

    WORKDIR/intervals.json          calibrated on a split of its own, read for prediction
    WORKDIR/evaluation/SPLIT/       the report, see `report`

The gate looks at every clip; intervals are calibrated on the accepted visits of the calibration
split and everything is measured on those of test. Another data set is in `other_data`.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from deps_jax.common.command.settings import build_settings
from deps_jax.common.files import workdir
from deps_jax.common.files.sealed import tell
from nurture_jax import records
from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.scale import Scale
from nurture_jax.clips.clip_batches import ClipSource
from nurture_jax.evaluation import intervals
from nurture_jax.evaluation.baselines import fit_baselines
from nurture_jax.evaluation.coverage import EVERYBODY
from nurture_jax.measures import LABELS, MEASURES, WEIGHT
from nurture_jax.report import report
from nurture_jax.report.content import Report
from nurture_jax.report.facts import RunFacts
from nurture_jax.runs import calibration
from nurture_jax.runs.calibration import Calibration
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.runs.observed import Observe, all_rejected, calibrating, learn, observe_split
from nurture_jax.runs.other_data import evaluate_other
from nurture_jax.training import experiment, run_data, training_data

SPLITS = ("test", "validation")


def evaluate_run(folder: str | Path, *, split: str = "test", data_dir: str = "",
                 gate: Mapping[str, float] | None = None, seed: int = 0,
                 recalibrate: float = 0.0) -> Report:
    """Opens a finished run and writes the report of one split, or of another data set.

    Args:
      folder: Folder of the run.
      split: "test" or "validation", whose errors are too small, as it has chosen the weights.
      data_dir: Folder of the data set, where it has moved, or of another one; "" takes that of
        the config.
      gate: Limits by name that replace those in force, see `gate_limits`.
      seed: Seed of the bootstrap and the baselines.
      recalibrate: Part of the infants of another data set that calibrate the intervals again.

    Raises:
      ValueError: If the run, its data or the split are not there, the visits that it was trained
        with have changed, or all visits are rejected.
    """
    folder, trained = Path(folder), TrainedNurture.open(folder)
    other = bool(data_dir) and not training_data.is_of(Path(data_dir), folder)
    if other and (gate or split != "test"):
        raise ValueError(f"{data_dir} is another data set than that of {folder}; it has no "
                         f"--split, and its --gate is that of the run's own evaluation")
    if other:
        return evaluate_other(trained, data_dir, share=recalibrate, seed=seed)
    if recalibrate:
        raise ValueError("--recalibrate is for another data set: give its folder as --data; a "
                         "run's own intervals are calibrated at every evaluation")
    limits = gate_limits(folder, trained.experiment.gate, gate or {})
    data = trained.experiment.data
    data = dataclasses.replace(data, dir=data_dir or data.dir)
    parts, sources = run_data.open_data(data, folder)
    return evaluate_model(
        folder, trained.observe, sources, split=split, name=folder.name,
        synthetic=records.is_synthetic(data.dir), seed=seed, limits=limits,
        model_sha256=trained.sha256, batch_size=trained.experiment.training.eval_batch_size,
        training=training_facts(trained, parts))


def gate_limits(folder: Path, config: Limits, changes: Mapping[str, float]) -> Limits:
    """Limits of the gate that are in force: those of the last evaluation, else of the run's config.

    Args:
      folder: Folder of the run.
      config: Limits of its config.
      changes: Limits by name that replace those in force.

    Raises:
      ValueError: If a limit is unknown or impossible; the message names it.
    """
    limits = config
    if (folder / calibration.FILE).is_file():
        try:
            limits = calibration.load(folder).limits
        except ValueError as error:  # it is written anew
            tell(f"{error}; meanwhile the gate has the limits of the run's config")
    return build_settings(Limits, {**dataclasses.asdict(limits), **changes}, experiment.GATE)


def parse_gate(texts: Sequence[str]) -> dict[str, float]:
    """Limits by name from texts NAME=NUMBER; raises ValueError for others."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise ValueError(f"--gate holds {text!r}; write NAME=NUMBER, such as "
                             f"least_sharpness=0.004") from None
    return found


def evaluate_model(folder: Path, observe: Observe, sources: Mapping[str, ClipSource], *, name: str,
                   synthetic: bool, model_sha256: str, split: str = "test", batch_size: int = 4,
                   training: Mapping[str, object] | None = None, limits: Limits | None = None,
                   seed: int = 0) -> Report:
    """Calibrates intervals and writes the report of one split; baselines are fitted on the way.

    Args:
      folder: Folder that the report and the intervals are written to.
      observe: The model, a network or an exported file.
      sources: Clips by split: "train", "validation", "calibration", and `split`; without a split
        for calibration, that of validation calibrates, and the report says so.
      name: Name of the run.
      synthetic: Whether the recordings are rendered.
      model_sha256: Hash of the model; the intervals belong to it.
      split: Name of the split that is reported.
      batch_size: Clips that are estimated at a time.
      training: What the report should tell of the training.
      limits: Limits of the gate; None takes the defaults.
      seed: Seed of the bootstrap and the baselines.

    Raises:
      ValueError: If a split is not there, or the gate rejects all visits of the one that is
        reported. Where it rejects all that calibrate, the report says so and has no interval.
    """
    calibrates = calibrating(sources)
    if missing := [part for part in dict.fromkeys(("train", "validation", calibrates, split))
                   if not len(sources.get(part, ()))]:
        raise ValueError(f"there are no visits of {', '.join(missing)}; use one of {SPLITS}, and "
                         f"train with data.{missing[0]}_fraction above 0")
    limits = limits or Limits()
    familiar, lengths = learn(observe, sources, batch_size, limits)
    look = lambda part, **options: observe_split(
        observe, sources[part], batch_size, limits, familiar, lengths, **options)
    accepted = look(calibrates, may_be_empty=True)
    factors = intervals.calibrate(accepted.estimates, accepted.withheld)
    seen, found = look(split), Calibration(factors, model_sha256, limits, familiar, lengths)
    table = sources[split].cache.records
    facts = RunFacts(
        name, synthetic, split,
        tuple(visit.infant_id for visit in (*table.visits, *table.left_out)), table.left_out,
        seen.gates, {**(training or {}), "intervals calibrated on": calibrates,
                     **({} if len(accepted.estimates) else
                        {"no interval": all_rejected(accepted.gates)}),
                     "reference_cm": _listed(lengths)}, limits, found.calibrated_limits)
    baselines = fit_baselines(sources["train"].cache.records.visits, seen.estimates.visits, seed)
    written = report.write(folder / "evaluation" / split, seen.estimates, baselines, factors, facts,
                           seed, withheld=seen.withheld)
    calibration.save(found, folder)
    return written


def _listed(lengths: Scale) -> str:
    """The lengths of reference objects of the training for people."""
    return ", ".join(f"{length:g}" for length in lengths.lengths_cm)


def training_facts(trained: TrainedNurture, parts: Mapping[str, records.Records]) -> dict:
    """What the report and the card tell of the training."""
    settings = trained.experiment
    infants = lambda part: len({visit.infant_id for visit in part.visits})
    return {"data": Path(settings.data.dir).name, "backbone": settings.backbone.kind,
            "frames": settings.data.frames, "size_px": settings.data.size,
            "parameters": trained.parameters, "step": trained.step, "seed": settings.seed,
            **({"teacher": Path(settings.teacher.run).name} if settings.teacher.run else {}),
            **{f"{name}_infants": infants(part) for name, part in parts.items()},
            **{f"{name}_visits": len(part) for name, part in parts.items()}}


def summary(found: Report, folder: Path) -> str:
    """The headline of a report for the terminal: errors beside those of both baselines.

    Args:
      found: The report.
      folder: Folder of the run.
    """
    columns = {"NurtureNet": found.evaluation, **found.of_baselines}
    lines = [f"{'mean absolute error':<22}" + "".join(f"{name:>30}" for name in columns)]
    for name in LABELS:
        show, unit = MEASURES[name].error_text, MEASURES[name].unit
        rows = (each.overall(name) for each in columns.values())
        cells = (row.mae.text(show, unit=unit) if row else "no label" for row in rows)
        lines.append(f"{name:<22}" + "".join(f"{cell:>30}" for cell in cells))
    lines += [f"{row.measure} minus {row.baseline}: "
              + row.mae_difference.text("{:+.0f}".format, unit=row.unit)
              for row in found.differences if row.measure == WEIGHT.name]
    flow, kind = found.flow, "synthetic recordings" if found.facts.synthetic else "recordings"
    name = f"other_{found.facts.split}" if found.facts.other else found.facts.split
    page = Path(folder) / "evaluation" / name / "report.html"
    lines += _covered(found)
    return "\n".join([*lines, "", f"{flow.predicted} of {flow.captured} {kind} estimated, "
                      f"{flow.rejected} rejected by the gate", *_changed_limits(found, folder),
                      f"report: {page}"])


def _covered(found: Report) -> list[str]:
    """A line with the coverage of every measure, and one with that before a recalibration."""
    after = f" after {found.facts.recalibrated} infants calibrated again"
    tables = {"before": found.coverage_before,
              after.strip() if found.coverage_before else "": found.coverage}
    shares = {when: ", ".join(f"{row.measure} {100 * row.by_infant.value:.1f} %"
                              for row in rows if row.by == EVERYBODY)
              for when, rows in tables.items()}
    return [f"{found.intervals.coverage:.0%} intervals cover{when and f', {when}'}: {told}"
            for when, told in shares.items() if told]


def _changed_limits(found: Report, folder: Path) -> list[str]:
    """A line about the limits that are not those of the run's config, if there are any."""
    if not run_data.is_begun(Path(folder)):
        return []
    config = build_settings(Limits, workdir.load(folder).get(experiment.GATE, {}))
    now = dataclasses.asdict(found.facts.limits)
    changed = [f"{name} {value:g} (config: {getattr(config, name):g})"
               for name, value in now.items() if value != getattr(config, name)]
    return [f"limits of the gate: {', '.join(changed)}"] if changed else []
