"""Evaluation of a finished run: every visit of a split, gate first, intervals from validation.

    WORKDIR/intervals.json          the calibrated factors, read again for prediction
    WORKDIR/evaluation/SPLIT/       the report, see `report`
"""
from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nurture_jax import experiment, intervals, quality, records, report, splits
from nurture_jax.clip_batches import ClipSource, eval_batches
from nurture_jax.estimates import Estimates
from nurture_jax.inference import TrainedNurture
from nurture_jax.report_content import Report, RunFacts, fit_baselines

SPLITS = ("test", "validation")


def evaluate_run(folder: Path, *, split: str = "test", data_dir: str = "",
                 limits: quality.Limits | None = None, seed: int = 0) -> Report:
    """Estimates every visit of a split that passes the gate, and writes the report.

    Args:
      split: "test" or "validation"; intervals of the latter are too narrow, as it calibrates them.
      data_dir: where the data set lies now, if it has moved.
      limits: of the gate.

    Raises:
      ValueError: when the run, its data or the split are not there, or all are rejected.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown; use one of {SPLITS}")
    trained = TrainedNurture.open(folder)
    data = trained.experiment.data
    data = dataclasses.replace(data, dir=data_dir or data.dir)
    found = records.load(data.dir, minimum_s=data.minimum_s)
    parts = splits.read(found, folder)
    if not len(parts.get(split, ())):
        raise ValueError(f"the run in {folder} has no {split} infants; train with "
                         f"--config.data.{split}_fraction above 0")
    sources = experiment.open_sources(data, found, parts)
    calibration, _ = observe_split(trained, sources["validation"], limits)
    factors = intervals.calibrate(calibration)
    intervals.save(factors, Path(folder))
    estimates, gates = observe_split(trained, sources[split], limits)
    left_out = [out for out in sources[split].cache.records.left_out
                if out.visit.split("/")[0] in _infants(parts[split])]
    facts = RunFacts(
        name=Path(folder).name, synthetic=records.is_synthetic(data.dir), split=split,
        eligible=len(sources[split]) + len(left_out),
        left_out=Counter(out.reason for out in left_out), gates=gates,
        training=training_facts(trained, parts))
    baselines = fit_baselines(parts["train"].visits, estimates.visits, seed)
    return report.write(Path(folder) / "evaluation" / split, estimates, baselines, factors, facts,
                        seed)


def observe_split(trained: TrainedNurture, source: ClipSource,
                  limits: quality.Limits | None = None
                  ) -> tuple[Estimates, dict[str, quality.Gate]]:
    """Estimates of the visits that pass the gate, and what it found of every visit.

    Raises:
      ValueError: when no visit passes.
    """
    visits, gates, kept = source.cache.records.visits, {}, []
    size = trained.experiment.training.eval_batch_size
    batches = tqdm(eval_batches(source, size), total=-(-len(source) // size), desc="estimating",
                   unit="batch", leave=False)
    for batch in batches:
        found = trained.observe(batch)
        for row, mean in enumerate(found["mean"]):
            place = int(batch["index"][row])
            seen = {name: found[name][row] for name in ("shares", "keypoints") if name in found}
            gate = quality.inspect(batch["frames"][row], _duration_s(source, place),
                                   seen.get("shares"), seen.get("keypoints"), limits)
            gates[visits[place].key] = gate
            if gate.accepted:
                kept.append((visits[place], mean, found["scale"][row]))
    if not kept:
        reasons = ", ".join(f"{check} {count}" for check, count in
                            quality.rejections(gates.values()).items())
        raise ValueError(f"the gate rejects all {len(gates)} visits ({reasons}); train longer, or "
                         f"look at the recordings")
    chosen, mean, scale = zip(*kept, strict=True)
    return Estimates(tuple(chosen), np.stack(mean), np.stack(scale)), gates


def training_facts(trained: TrainedNurture, parts: dict[str, records.Records]) -> dict:
    """What the report and the card tell of the training."""
    settings = trained.experiment
    return {
        "data": Path(settings.data.dir).name, "backbone": settings.backbone.kind,
        "frames": settings.data.frames, "size_px": settings.data.size,
        "parameters": trained.parameters, "step": trained.step, "seed": settings.seed,
        **{f"{name}_infants": len(_infants(part)) for name, part in parts.items()},
        **{f"{name}_visits": len(part) for name, part in parts.items()}}


def summary(found: Report, folder: Path) -> str:
    """The headline of a report for the terminal: errors beside both baselines."""
    unit = {"weight_g": ("g", 0), "length_cm": ("cm", 2), "head_cm": ("cm", 2),
            "chest_cm": ("cm", 2)}
    columns = {"NurtureNet": found.evaluation, **found.of_baselines}
    lines = [f"{'mean absolute error':<22}" + "".join(f"{name:>24}" for name in columns)]
    for measure, (name, digits) in unit.items():
        cells = (each.overall(measure) for each in columns.values())
        lines.append(f"{measure:<22}" + "".join(
            f"{'':>24}" if cell is None else f"{f'{cell.mae.value:.{digits}f} {name}':>24}"
            for cell in cells))
    flow = found.flow
    kind = "synthetic recordings" if found.facts.synthetic else "recordings"
    return "\n".join([*lines, "", f"{flow.predicted} of {flow.captured} {kind} estimated, "
                      f"{flow.rejected} rejected by the gate",
                      f"report: {Path(folder) / 'evaluation' / found.facts.split / 'report.html'}"])


def _infants(part: records.Records) -> set[str]:
    return {visit.infant_id for visit in part.visits}


def _duration_s(source: ClipSource, place: int) -> float:
    """Of the recording: its frames are the middles of equal parts."""
    times_s = source.cache[place].times_s
    return float(times_s[-1] + times_s[0])
