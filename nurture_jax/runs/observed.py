"""What a model says of the clips of a split, with the birth weights and without, and the gate."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence, Sized

import numpy as np
from tqdm import tqdm

from nurture_jax.clinic import familiarity, scale
from nurture_jax.clinic.checks import NO_SCALE, Limits
from nurture_jax.clinic.familiarity import Familiarity
from nurture_jax.clinic.recording_gate import Gate, inspect, likeness, rejections
from nurture_jax.clinic.scale import Scale
from nurture_jax.clips.clip_batches import ClipSource, timed_batches
from nurture_jax.evaluation.estimates import Estimates, without_birth_weight
from nurture_jax.measures import LABELS, TABULAR
from nurture_jax.records.visit import Visit

# What a model says of a batch of `clip_batches`: "mean", "scale" [b, 5] in the units of LABELS and,
# with the heads it has, "shares" [b, t, h', w', 3], "keypoints" [b, t, 19, 3]; with
# video, "features" [b, f]; padding left out.
Observe = Callable[[dict], Mapping[str, np.ndarray]]
CALIBRATION = "calibration"  # a split that calibrates and does nothing else


@dataclasses.dataclass(frozen=True)
class Observed:
    """What is known of a split after a model has looked at it.

    Attributes:
      estimates: Estimates of the visits that pass the gate.
      withheld: The same without the birth weights, of visits that have none.
      gates: What the gate found of every visit.
    """

    estimates: Estimates
    withheld: Estimates
    gates: tuple[tuple[Visit, Gate], ...]


def calibrating(sources: Mapping[str, Sized]) -> str:
    """Name of the split that calibrates, of visits or clips: CALIBRATION, else validation."""
    return CALIBRATION if len(sources.get(CALIBRATION, ())) else "validation"


def learn(observe: Observe, sources: Mapping[str, ClipSource], batch_size: int, limits: Limits
          ) -> tuple[Familiarity | None, Scale]:
    """What the recordings of the training split look like, its limits set on those of validation.

    Args:
      observe: The model.
      sources: Clips by split: "train" and "validation".
      batch_size: Clips that are looked at at a time.
      limits: Shares of the recordings of validation that are on the right side of a limit.

    Returns:
      What is familiar, None for a model that shows nothing of the frames or with too few
      recordings of either split; and how long reference objects are, which compares nothing for a
      model without keypoints.
    """
    looks, told = {}, {}
    for name in ("train", "validation"):
        # As they are seen in use, not with annotated frames in their places.
        source = dataclasses.replace(sources[name], exact=False)
        batches = tqdm(timed_batches(source, batch_size), total=-(-len(source) // batch_size),
                       desc=f"looking at {name}", unit="batch", leave=False)
        visits, looks[name], told[name] = source.cache.records.visits, [], []
        for batch, durations_s in batches:
            seen = observe(batch)
            rows = batch["index"][np.asarray(batch["example_mask"]) > 0]
            # A ruler that was not found has no length: what the other checks refuse teaches none.
            told[name] += [
                (_measured(seen, row, batch), visits[int(place)]) for row, place in enumerate(rows)
                if _look(seen, row, batch, durations_s[row], source, limits).accepted]
            looks[name] += [likeness(
                *(seen[part][row] if part in seen else None
                  for part in ("features", "keypoints", "shares")), batch["frames"].shape[2])
                for row in range(len(rows))]
    familiar = None
    if looks["train"][0]:
        stacked = ({group: np.stack([each[group] for each in looks[name]])
                    for group in looks["train"][0]} for name in looks)
        familiar = familiarity.fit(*stacked, limits.familiar_recordings)
    return familiar, scale.fit(*told.values(), limits.rightly_told)


def _measured(seen: Mapping[str, np.ndarray], row: int, batch: Mapping[str, np.ndarray]
              ) -> np.ndarray:
    """`scale.measure` of one clip; nan for a model without keypoints."""
    if "keypoints" not in seen:
        return np.array([np.nan])
    shares = seen["shares"][row] if "shares" in seen else None
    return scale.measure(seen["keypoints"][row], shares, batch["frames"].shape[2])


def observe_split(observe: Observe, source: ClipSource, batch_size: int,
                  limits: Limits | None = None, familiar: Familiarity | None = None,
                  lengths: Scale = NO_SCALE, *, may_be_empty: bool = False) -> Observed:
    """Asks the model twice about every clip, the second time without the birth weight.

    Args:
      observe: The model.
      source: Clips of the split.
      batch_size: Clips that are estimated at a time.
      limits: Limits of the gate; None takes the defaults.
      familiar: What the recordings of training look like; None compares nothing.
      lengths: What is known of lengths of reference objects.
      may_be_empty: Whether there are estimates of no visit where none passes, as for a split that
        calibrates: there is then no interval.

    Raises:
      ValueError: If no visit passes and one has to.
    """
    visits, gates, kept = source.cache.records.visits, [], []
    batches = tqdm(timed_batches(source, batch_size), total=-(-len(source) // batch_size),
                   desc="estimating", unit="batch", leave=False)
    for batch, durations_s in batches:
        found, untold = observe(batch), observe(withhold(batch))
        for row, mean in enumerate(found["mean"]):
            place = int(batch["index"][row])
            gate = _look(found, row, batch, durations_s[row], source, limits,
                         familiarity=familiar, scale=lengths, visit=visits[place])
            gates.append((visits[place], gate))
            if gate.accepted:
                kept.append((visits[place], mean, found["scale"][row], untold["mean"][row],
                             untold["scale"][row]))
    if not kept and may_be_empty:
        nothing = Estimates((), np.zeros((0, len(LABELS))), np.zeros((0, len(LABELS))))
        return Observed(nothing, nothing, tuple(gates))
    if not kept:
        raise ValueError(f"{all_rejected(gates)}; train longer, or look at them")
    chosen, mean, scale, untold_mean, untold_scale = zip(*kept, strict=True)
    return Observed(
        Estimates(tuple(chosen), np.stack(mean), np.stack(scale)),
        Estimates(tuple(map(without_birth_weight, chosen)), np.stack(untold_mean),
                  np.stack(untold_scale)), tuple(gates))


def all_rejected(gates: Sequence[tuple[Visit, Gate]]) -> str:
    """In words that none of the recordings passes, with the reasons."""
    reasons = ", ".join(f"{check} {count}" for check, count in
                        rejections(gate for _, gate in gates).items())
    return f"the gate rejects all {len(gates)} recordings ({reasons})"


def _look(found: Mapping[str, np.ndarray], row: int, batch: Mapping[str, np.ndarray],
          duration_s: float, source: ClipSource, limits: Limits | None, **known: object) -> Gate:
    """What the gate says of one clip of a batch; `known` as for `recording_gate.inspect`."""
    seen = {name: found[name][row] for name in found}
    return inspect(batch["frames"][row], duration_s, seen.get("shares"), seen.get("keypoints"),
                   limits, fit=source.cache.settings.fit, features=seen.get("features"), **known)


def withhold(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The batch as of infants whose birth weight is not known."""
    kept = (np.array(TABULAR) != "birth_weight_g").astype(np.float32)[None]
    return {**batch, "tabular": batch["tabular"] * kept,
            "tabular_mask": batch["tabular_mask"] * kept}
