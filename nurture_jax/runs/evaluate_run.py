"""From a trained model and the clips of its splits to the files of a report.

    WORKDIR/intervals.json          calibrated on validation, read for prediction: `calibration`
    WORKDIR/evaluation/SPLIT/       the report, see `report`

The gate looks at every clip; intervals are calibrated on the accepted visits of validation and
everything is measured on those of test.
"""
from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.command.settings import build_settings
from deps_jax.common.files import workdir
from deps_jax.common.files.sealed import tell
from nurture_jax import records
from nurture_jax.clinic import familiarity
from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.familiarity import Familiarity
from nurture_jax.clinic.recording_gate import Gate, inspect, rejections
from nurture_jax.clips.clip_batches import ClipSource, eval_batches
from nurture_jax.clips.clip_cache import ClipCache
from nurture_jax.evaluation import intervals
from nurture_jax.evaluation.baselines import fit_baselines
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.measures import LABELS, MEASURES, WEIGHT
from nurture_jax.records.visit import Visit
from nurture_jax.report import report
from nurture_jax.report.content import Report, RunFacts
from nurture_jax.runs import calibration
from nurture_jax.runs.calibration import Calibration
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.training import experiment

SPLITS = ("test", "validation")
# What a model says of a batch of `clip_batches`: "mean", "scale" [b, 4] in the units of LABELS and,
# with the heads it has, "shares" [b, t, h', w', 3], "keypoints" [b, t, 19, 3]; with video,
# "features" [b, f]; padding left out.
Observe = Callable[[dict], Mapping[str, np.ndarray]]


def evaluate_run(folder: str | Path, *, split: str = "test", data_dir: str = "",
                 gate: Mapping[str, float] | None = None, seed: int = 0) -> Report:
    """Opens a finished run and writes the report of one split.

    Args:
      folder: Folder of the run.
      split: "test" or "validation"; intervals of the latter are too narrow, as it calibrates them.
      data_dir: Folder of the data set, where it has moved; "" takes the config's.
      gate: Limits by name that replace those in force, see `gate_limits`.
      seed: Seed of the bootstrap and the baselines.

    Raises:
      ValueError: If the run, its data or the split are not there, the visits that it was trained
        with have changed, or all visits are rejected.
    """
    folder, trained = Path(folder), TrainedNurture.open(folder)
    limits = gate_limits(folder, trained.experiment.gate, gate or {})
    data = trained.experiment.data
    data = dataclasses.replace(data, dir=data_dir or data.dir)
    parts, sources = experiment.open_data(data, folder)
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
      sources: Clips by split: "train" (only its table is read), "validation", and `split`.
      name: Name of the run.
      synthetic: Whether the recordings are rendered.
      model_sha256: Hash of the model; the intervals belong to it.
      split: Name of the split that is reported.
      batch_size: Clips that are estimated at a time.
      training: What the report should tell of the training.
      limits: Limits of the gate; None takes the defaults.
      seed: Seed of the bootstrap and the baselines.

    Raises:
      ValueError: If a split is not there, or the gate rejects all visits of one.
    """
    if missing := [part for part in ("train", "validation", split) if not len(
            sources.get(part, ()))]:
        raise ValueError(f"there are no visits of {', '.join(missing)}; use one of {SPLITS}, and "
                         f"train with data.{missing[0]}_fraction above 0")
    limits = limits or Limits()
    familiar = learn_familiar(observe, sources, batch_size, limits.familiar_recordings)
    accepted, _ = observe_split(observe, sources["validation"], batch_size, limits, familiar)
    factors = intervals.calibrate(accepted)
    estimates, gates = observe_split(observe, sources[split], batch_size, limits, familiar)
    left_out = _left_out(sources[split].cache)
    facts = RunFacts(name, synthetic, split, len(gates) + sum(left_out.values()), left_out, gates,
                     training or {}, limits)
    baselines = fit_baselines(sources["train"].cache.records.visits, estimates.visits, seed)
    written = report.write(folder / "evaluation" / split, estimates, baselines, factors, facts,
                           seed)
    calibration.save(Calibration(factors, model_sha256, limits, familiar), folder)
    return written


def learn_familiar(observe: Observe, sources: Mapping[str, ClipSource], batch_size: int,
                   share: float) -> Familiarity | None:
    """What the recordings of the training split look like, its limit set on those of validation.

    Args:
      observe: The model.
      sources: Clips by split: "train" and "validation".
      batch_size: Clips that are looked at at a time.
      share: Share of the recordings of validation that count as familiar.

    Returns:
      None for a model that gives no features.
    """
    found = {}
    for name in ("train", "validation"):
        # As they are seen in use, not with annotated frames in their places.
        source = dataclasses.replace(sources[name], exact=False)
        batches = tqdm(eval_batches(source, batch_size), total=-(-len(source) // batch_size),
                       desc=f"looking at {name}", unit="batch", leave=False)
        found[name] = []
        for batch in batches:
            if "features" not in (seen := observe(batch)):
                return None
            found[name].append(seen["features"])
    return familiarity.fit(*(np.concatenate(found[name]) for name in ("train", "validation")),
                           share)


def observe_split(observe: Observe, source: ClipSource, batch_size: int,
                  limits: Limits | None = None, familiar: Familiarity | None = None
                  ) -> tuple[Estimates, tuple[tuple[Visit, Gate], ...]]:
    """Estimates of the visits that pass the gate, and what it found of every visit.

    Args:
      observe: The model.
      source: Clips of the split.
      batch_size: Clips that are estimated at a time.
      limits: Limits of the gate; None takes the defaults.
      familiar: What the recordings of training look like; None compares nothing.

    Raises:
      ValueError: If no visit passes.
    """
    visits, gates, kept = source.cache.records.visits, [], []
    batches = tqdm(eval_batches(source, batch_size), total=-(-len(source) // batch_size),
                   desc="estimating", unit="batch", leave=False)
    for batch in batches:
        found = observe(batch)
        for row, mean in enumerate(found["mean"]):
            place = int(batch["index"][row])
            seen = {name: found[name][row] for name in found}
            gate = inspect(batch["frames"][row], source.cache[place].duration_s,
                           seen.get("shares"), seen.get("keypoints"), limits,
                           fit=source.cache.settings.fit, features=seen.get("features"),
                           familiarity=familiar)
            gates.append((visits[place], gate))
            if gate.accepted:
                kept.append((visits[place], mean, found["scale"][row]))
    if not kept:
        reasons = ", ".join(f"{check} {count}" for check, count in
                            rejections(gate for _, gate in gates).items())
        raise ValueError(f"the gate rejects all {len(gates)} recordings ({reasons}); train longer, "
                         f"or look at them")
    chosen, mean, scale = zip(*kept, strict=True)
    return Estimates(tuple(chosen), np.stack(mean), np.stack(scale)), tuple(gates)


def training_facts(trained: TrainedNurture, parts: Mapping[str, records.Records]) -> dict:
    """What the report and the card tell of the training."""
    settings = trained.experiment
    infants = lambda part: len({visit.infant_id for visit in part.visits})
    return {"data": Path(settings.data.dir).name, "backbone": settings.backbone.kind,
            "frames": settings.data.frames, "size_px": settings.data.size,
            "parameters": trained.parameters, "step": trained.step, "seed": settings.seed,
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
    page = Path(folder) / "evaluation" / found.facts.split / "report.html"
    return "\n".join([*lines, "", f"{flow.predicted} of {flow.captured} {kind} estimated, "
                      f"{flow.rejected} rejected by the gate", *_changed_limits(found, folder),
                      f"report: {page}"])


def _changed_limits(found: Report, folder: Path) -> list[str]:
    """A line about the limits that are not those of the run's config, if there are any."""
    if not experiment.is_begun(Path(folder)):
        return []
    config = build_settings(Limits, workdir.load(folder).get(experiment.GATE, {}))
    now = dataclasses.asdict(found.facts.limits)
    changed = [f"{name} {value:g} (config: {getattr(config, name):g})"
               for name, value in now.items() if value != getattr(config, name)]
    return [f"limits of the gate: {', '.join(changed)}"] if changed else []


def _left_out(cache: ClipCache) -> dict[str, int]:
    """Counts of the visits of a split whose video could not be used, by reason."""
    return dict(collections.Counter(out.reason for out in cache.records.left_out).most_common())
