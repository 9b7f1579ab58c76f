"""From a trained model and the clips of its splits to the files of a report.

The model is two functions, so that a network or an exported file can stand behind them:

    predict(batches) -> "mean", "scale" [n, 4] in the units of LABELS, "index" [n] of the clips
    look(frames [t, h, w, 3] uint8) -> "shares" [t, h', w', 3], "keypoints" [t, 19, 3], each only
        where the model has that head

The gate looks at every clip; intervals are calibrated on the accepted visits of validation and
everything is measured on those of test.
"""
from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nurture_jax import report
from nurture_jax.clip_batches import ClipSource, eval_batches
from nurture_jax.estimates import Estimates
from nurture_jax.intervals import calibrate
from nurture_jax.quality import Gate, Limits, inspect
from nurture_jax.records import Visit
from nurture_jax.report_content import Report, RunFacts, fit_baselines

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Model:
    """What is evaluated; see the head of this file. `look` is None without proxy heads."""

    predict: Callable
    look: Callable | None = None


def evaluate_run(folder: str | Path, model: Model, sources: Mapping[str, ClipSource], *, name: str,
                 synthetic: bool, training: Mapping[str, object] | None = None,
                 batch_size: int = 4, limits: Limits | None = None, seed: int = 0) -> Report:
    """Writes the report of the test split into `folder`; baselines are fitted on the way.

    Args:
      sources: clips by split: "train" (only its table is read), "validation", "test".
      training: what the report should tell of the training.

    Raises:
      ValueError: for a missing split, or too few accepted visits.
    """
    if missing := [split for split in SPLITS if split not in sources]:
        raise ValueError(f"there are no clips of {', '.join(missing)}; give all of "
                         f"{', '.join(SPLITS)}")
    gated = {split: gate(sources[split], model.look, limits) for split in SPLITS[1:]}
    accepted = {split: estimate(sources[split], model.predict, batch_size).take(
        np.array([found.accepted for _, found in gated[split]], bool)) for split in gated}
    for split, estimates in accepted.items():
        if not len(estimates):
            first = next((str(found.failures[0]) for _, found in gated[split]), "it is empty")
            raise ValueError(f"the gate rejected all {len(gated[split])} recordings of {split}; "
                             f"the first: {first}")
    test = sources["test"].cache
    left_out = _left_out(test)
    facts = RunFacts(name, synthetic, "test", len(test) + sum(left_out.values()), left_out,
                     gated["test"], training or {})
    baselines = fit_baselines(sources["train"].cache.records.visits, accepted["test"].visits, seed)
    return report.write(Path(folder), accepted["test"], baselines,
                        calibrate(accepted["validation"]), facts, seed)


def estimate(source: ClipSource, predict: Callable, batch_size: int) -> Estimates:
    """Every visit of the source, in its order."""
    batches = tqdm(eval_batches(source, batch_size), total=-(-len(source) // batch_size),
                   desc="estimating", unit="batch", leave=False)
    found = predict(batches)
    order = np.argsort(found["index"])
    visits = source.cache.records.visits
    if not np.array_equal(np.asarray(found["index"])[order], np.arange(len(visits))):
        raise ValueError(f"{len(found['index'])} estimates do not belong to {len(visits)} visits, "
                         f"one each; predict every batch once")
    return Estimates(visits, np.asarray(found["mean"])[order], np.asarray(found["scale"])[order])


def gate(source: ClipSource, look: Callable | None, limits: Limits | None = None
         ) -> tuple[tuple[Visit, Gate], ...]:
    """What the gate says of every visit of the source."""
    gated = []
    for i in tqdm(range(len(source)), desc="quality gate", unit="visit", leave=False):
        clip = source.cache[i]
        seen = look(clip.images) if look else {}
        # Frames are the middles of equal parts, so the ends are as far from both.
        duration_s = float(clip.times_s[0] + clip.times_s[-1])
        gated.append((source.cache.records.visits[i], inspect(
            clip.images, duration_s, seen.get("shares"), seen.get("keypoints"), limits)))
    return tuple(gated)


def _left_out(cache) -> dict[str, int]:
    """Visits of these infants whose video could not be used, by reason."""
    infants = tuple({f"{visit.infant_id}/" for visit in cache.records.visits})
    return dict(collections.Counter(out.reason for out in cache.records.left_out
                                    if out.visit.startswith(infants)).most_common())
