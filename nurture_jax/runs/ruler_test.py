"""Reference objects and told lengths in every pair, on rendered recordings of a run.

    WORKDIR/gate_test/ruler_test.md, ruler_test.json

The same infants, poses and lights are rendered with each object, and each recording is told each
length: rightly told, the error should be that with the usual ruler; wrongly told, the gate should
refuse. Start at `try_rulers`.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.files import sealed
from deps_jax.common.statistics.intervals import Number
from nurture_jax.clinic.recording_gate import Gate, inspect
from nurture_jax.clips.clip_batches import tabular_of
from nurture_jax.evaluation.uncertainty import bootstrap
from nurture_jax.measures import LABELS, MEASURES
from nurture_jax.records.visit import Visit
from nurture_jax.runs import calibration
from nurture_jax.runs.gate_test import BATCH, OUT, SEED, middle_square
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.synthetic.visit import Settings, draw_visit, even_indices, pictures
from nurture_jax.synthetic.world.rulers import RULERS

USUAL = "30"
NUMBERS = ("age_days", "gestational_age_days", "birth_weight_g")


@dataclasses.dataclass(frozen=True)
class Told:
    """What is said of recordings of one reference object that is told to be so long.

    Attributes:
      true: Name of it in RULERS.
      told_cm: The length that is told.
      error: Estimate - measured in the units of LABELS, [n, m], nan where nothing was measured.
      refused: Whether the gate refuses each recording, [n].
      by_length: Whether it does by the told length alone or among others, [n].
    """

    true: str
    told_cm: float
    error: np.ndarray
    refused: np.ndarray
    by_length: np.ndarray

    @property
    def rightly(self) -> bool:
        return self.told_cm == RULERS[self.true].length_cm

    @property
    def mean_error(self) -> dict[str, float]:
        """Mean absolute errors of the measures that the network knows, whatever the gate says."""
        sizes = np.abs(self.error)
        return {name: float(np.nanmean(sizes[:, column])) for column, name in enumerate(LABELS)
                if np.isfinite(sizes[:, column]).any()}

    def error_over(self, usual: Told) -> dict[str, Number]:
        """Those of `mean_error` over those of another object beside the same infants.

        Intervals are of drawing infants.
        """
        found = {}
        for name in self.mean_error:
            both = np.abs([each.error[:, LABELS.index(name)] for each in (self, usual)])
            known = np.isfinite(both).all(0)
            found[name], = bootstrap(np.flatnonzero(known), both[:, known].T,
                                     lambda here, there: (here / there,))
        return found


def try_rulers(workdir: str | Path, infants: int, objects: Sequence[str] = tuple(RULERS)
               ) -> list[Told]:
    """Renders infants beside each object, tells each length, and writes what came of it.

    Args:
      workdir: Folder of an evaluated run.
      infants: Number of infants, none of whom is in a data set of seed 0.
      objects: Names of RULERS; the usual ruler, which the others are compared with, joins them.

    Raises:
      ValueError: If the run was not evaluated, or an object is unknown.
    """
    if unknown := [name for name in objects if name not in RULERS]:
        raise ValueError(f"{unknown[0]!r} is none of the reference objects {', '.join(RULERS)}; "
                         f"give some of them")
    names = [name for name in RULERS if name in {*objects, USUAL}]
    lengths = sorted({RULERS[name].length_cm for name in names})
    workdir = Path(workdir)
    trained, calibrated = TrainedNurture.open(workdir), calibration.load(workdir)
    calibrated.check(trained.sha256, workdir)
    found = []
    for true in tqdm(names, desc="reference objects", leave=False):
        clips = [_clip(trained, true, index) for index in tqdm(range(infants), desc="rendering",
                                                               unit="video", leave=False)]
        found += [_look(trained, calibrated, true, told_cm, clips) for told_cm in lengths]
    folder = workdir / OUT
    folder.mkdir(exist_ok=True)
    sealed.replace(folder / "ruler_test.json", json.dumps(
        {"model_sha256": calibrated.model_sha256, "infants": infants, "pairs": [
            {"true": each.true, "true_cm": RULERS[each.true].length_cm, "told_cm": each.told_cm,
             "refused": float(each.refused.mean()),
             "refused_by_length": float(each.by_length.mean()),
             "mae": each.mean_error}
            for each in found]}, indent=1))
    sealed.replace(folder / "ruler_test.md", table(found) + "\n")
    return found


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


def _look(trained: TrainedNurture, calibrated: calibration.Calibration, true: str, told_cm: float,
          clips: Sequence[tuple]) -> Told:
    """What is said of all clips with one told length."""
    errors, gates = [], []
    scale = calibrated.scale_of(trained.model.scaling.reference_cm)
    for start in range(0, len(clips), BATCH):
        some = [(frames, seconds, dataclasses.replace(visit, reference_cm=told_cm), truth)
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
    return Told(true, told_cm, np.stack(errors), np.array([not gate.accepted for gate in gates]),
                np.array([_by_length(gate) for gate in gates]))


def _by_length(gate: Gate) -> bool:
    return any(failure.check in ("reference_wrongly_told", "reference_length_new")
               for failure in gate.failures)


def table(found: Sequence[Told]) -> str:
    """Two tables as Markdown: errors of what is rightly told, and what is refused of each pair."""
    rightly = {each.true: each for each in found if each.rightly}
    usual = rightly[USUAL]
    shown = [MEASURES[name] for name in LABELS if name in usual.mean_error]
    lines = ["| reference object | " + " | ".join(measure.label for measure in shown) + " |",
             "| --- |" + " --- |" * len(shown)]
    for true, each in rightly.items():
        over = each.error_over(usual)
        cells = [measure.error(each.mean_error[measure.name])
                 + ("" if each is usual else f" ({_percent(over[measure.name])})")
                 for measure in shown]
        lines.append(f"| {_label(true)} | " + " | ".join(cells) + " |")
    lengths = sorted({each.told_cm for each in found})
    lines += ["", "| refused (by the length) | "
              + " | ".join(f"told {length:g} cm" for length in lengths) + " |",
              "| --- |" + " --- |" * len(lengths)]
    for true in rightly:
        by = {each.told_cm: each for each in found if each.true == true}
        cells = [f"{100 * by[length].refused.mean():.0f} % "
                 f"({100 * by[length].by_length.mean():.0f} %)" for length in lengths]
        lines.append(f"| {_label(true)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _percent(over: Number) -> str:
    """How much larger, as "+3 %, -2 to +8"."""
    value, low, high = (100 * (part - 1) for part in (over.value, over.low, over.high))
    return f"{value:+.0f} %" + ("" if np.isnan(low) else f", {low:+.0f} to {high:+.0f}")


def _label(name: str) -> str:
    words = "" if name.isdigit() else f"{name.replace('_', ' ')} "
    return f"{words}{RULERS[name].length_cm:g} cm"
