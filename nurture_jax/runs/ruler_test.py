"""Every pair of a true and a told length of the reference object, on rendered recordings of a run.

    WORKDIR/gate_test/ruler_test.md, ruler_test.json

The same infants, poses, cameras and lights are rendered with each ruler, and each recording is
told with each length: rightly told, the error should be that with the usual ruler; wrongly told,
the gate should refuse. Start at `try_rulers`.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.files import sealed
from nurture_jax.clinic.recording_gate import Gate, inspect
from nurture_jax.clips.clip_batches import tabular_of
from nurture_jax.measures import LABELS, MEASURES
from nurture_jax.records.visit import Visit
from nurture_jax.runs import calibration
from nurture_jax.runs.gate_test import BATCH, OUT, SEED, middle_square
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.synthetic.visit import Settings, draw_visit, even_indices, pictures
from nurture_jax.synthetic.world.rulers import RULERS

PAIRS = ("15", "20", "30", "60")
NUMBERS = ("age_days", "gestational_age_days", "birth_weight_g")


@dataclasses.dataclass(frozen=True)
class Pair:
    """What is said of recordings with one ruler that is told to be as long as another.

    Attributes:
      true, told: Names of RULERS.
      error: Estimate - measured in the units of LABELS, [n, m].
      refused: Whether the gate refuses each recording, [n].
      by_length: Whether it does by the told length alone or among others, [n].
    """

    true: str
    told: str
    error: np.ndarray
    refused: np.ndarray
    by_length: np.ndarray

    def error_over(self, usual: Pair) -> list[float]:
        """Mean absolute errors over those with another ruler, of the same infants, by measure."""
        mean = lambda pair: np.nanmean(np.abs(pair.error), 0)
        return (mean(self) / mean(usual)).tolist()


def try_rulers(workdir: str | Path, infants: int, rulers: Sequence[str] = PAIRS) -> list[Pair]:
    """Renders infants with each ruler, tells each length, and writes what came of it.

    Args:
      workdir: Folder of an evaluated run.
      infants: Number of infants, none of whom is in a data set of seed 0.
      rulers: Names of RULERS; the usual one, which the others are compared with, joins them.

    Raises:
      ValueError: If the run was not evaluated, or a ruler is unknown.
    """
    names = [name for name in RULERS if name in {*rulers, "30"}]
    if unknown := [name for name in rulers if name not in RULERS]:
        raise ValueError(f"{unknown[0]!r} is none of the rulers {', '.join(RULERS)}")
    workdir = Path(workdir)
    trained, calibrated = TrainedNurture.open(workdir), calibration.load(workdir)
    calibrated.check(trained.sha256, workdir)
    pairs = []
    for true in tqdm(names, desc="rulers", leave=False):
        clips = [_clip(trained, true, index) for index in tqdm(range(infants), desc="rendering",
                                                               unit="video", leave=False)]
        pairs += [_look(trained, calibrated, true, told, clips) for told in names]
    folder = workdir / OUT
    folder.mkdir(exist_ok=True)
    sealed.replace(folder / "ruler_test.json", json.dumps(
        {"model_sha256": calibrated.model_sha256, "infants": infants, "pairs": [
            {"true": pair.true, "told": pair.told, "refused": float(pair.refused.mean()),
             "refused_by_length": float(pair.by_length.mean()),
             "mae": dict(zip(LABELS, np.nanmean(np.abs(pair.error), 0).tolist(), strict=True))}
            for pair in pairs]}, indent=1))
    sealed.replace(folder / "ruler_test.md", table(pairs) + "\n")
    return pairs


def _clip(trained: TrainedNurture, ruler: str, index: int
          ) -> tuple[np.ndarray, float, Visit, np.ndarray]:
    """A rendered recording that is not encoded: frames, duration, what is known, and the truth."""
    data = trained.experiment.data
    settings = Settings(infants=1, visits_per_infant=1, seconds=2.4, fps=6.0, seed=SEED,
                        annotated_frames=1, short_sides_px=(2 * round(max(data.size, 64) / 2),),
                        rulers=ruler)
    drawn = draw_visit(settings, index, 1)
    shown = even_indices(drawn, data.frames)
    frames = np.stack([np.asarray(picture) for picture, _, _ in pictures(drawn, shown)])
    known = {name: float(drawn.row[name]) if drawn.row[name] else None for name in NUMBERS}
    visit = Visit(f"n{index}", "1", "", sex=drawn.row["sex"], **known)
    return (middle_square(frames), drawn.end_s, visit,
            drawn.truth[[list(MEASURES).index(name) for name in LABELS]])


def _look(trained: TrainedNurture, calibrated: calibration.Calibration, true: str, told: str,
          clips: Sequence[tuple]) -> Pair:
    """What is said of all clips with one told length."""
    errors, gates = [], []
    scale = calibrated.scale_of(trained.model.scaling.reference_cm)
    for start in range(0, len(clips), BATCH):
        some = [(frames, seconds, dataclasses.replace(
            visit, reference_cm=RULERS[told].length_cm), truth)
            for frames, seconds, visit, truth in clips[start:start + BATCH]]
        rows = [{"frames": frames, **tabular_of(visit), "example_mask": np.float32(1)}
                for frames, _, visit, _ in some]
        rows += [{name: np.zeros_like(value) for name, value in rows[0].items()}
                 ] * (BATCH - len(rows))
        found = trained.observe({name: np.stack([row[name] for row in rows]) for name in rows[0]})
        for row, (frames, seconds, visit, truth) in enumerate(some):
            seen = {name: value[row] for name, value in found.items()}
            errors.append(seen["mean"] - truth)
            gates.append(inspect(
                frames, seconds, seen.get("shares"), seen.get("keypoints"), calibrated.limits,
                fit=trained.experiment.data.fit, features=seen.get("features"),
                familiarity=calibrated.familiarity, scale=scale, visit=visit))
    return Pair(true, told, np.stack(errors), np.array([not gate.accepted for gate in gates]),
                np.array([_by_length(gate) for gate in gates]))


def _by_length(gate: Gate) -> bool:
    return any(failure.check in ("reference_wrongly_told", "reference_length_new")
               for failure in gate.failures)


def table(pairs: Sequence[Pair]) -> str:
    """Two tables as Markdown: errors of what is rightly told, and what is refused of each pair."""
    by = {(pair.true, pair.told): pair for pair in pairs}
    names = list(dict.fromkeys(pair.true for pair in pairs))
    usual = by["30", "30"]
    shown = [MEASURES[name] for name in LABELS]
    lines = ["| reference object | " + " | ".join(measure.label for measure in shown) + " |",
             "| --- |" + " --- |" * len(shown)]
    for name in names:
        pair = by[name, name]
        errors = np.nanmean(np.abs(pair.error), 0)
        cells = [f"{measure.error(value)} ({100 * (over - 1):+.0f} %)" for measure, value, over in
                 zip(shown, errors, pair.error_over(usual), strict=True)]
        lines.append(f"| {_label(name)} | " + " | ".join(cells) + " |")
    told = " | ".join(map(_label, names))
    lines += ["", f"| true, told: refused (by the length) | {told} |",
              "| --- |" + " --- |" * len(names)]
    for true in names:
        cells = [f"{100 * by[true, told].refused.mean():.0f} % "
                 f"({100 * by[true, told].by_length.mean():.0f} %)" for told in names]
        lines.append(f"| {_label(true)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _label(name: str) -> str:
    words = "" if name.isdigit() else f"{name.replace('_', ' ')} "
    return f"{words}{RULERS[name].length_cm:g} cm"
