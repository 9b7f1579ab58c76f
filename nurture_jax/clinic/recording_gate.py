"""The gate before an estimate: what is wrong with a recording, in words, and how to do it better.

Light, sharpness and duration are read from the pictures alone. Whether the newborn and the
reference object are there needs the model's masks and points; what a model has no head for is
named as not done. Masks, points and time must agree (evidence.py), and the recording must be like
those of training (familiarity.py).

Limits are our choice. They were set on synthetic recordings (docs/nurture_evaluation.md has the
numbers), so they must be set again on real ones: section `gate` of a config. None depends on the
size of the clip: areas are shares of the frame, and sharpness is measured at SHARPNESS_PX.
"""
from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from nurture_jax.clinic import checks, evidence, pictures
from nurture_jax.clinic.checks import Failure, Limits
from nurture_jax.clinic.familiarity import BUILD, FEATURES, SURENESS, Familiarity
from nurture_jax.clinic.scale import Scale, measure, told_cm
from nurture_jax.measures import KEYPOINTS, NEWBORN, REFERENCE, REFERENCE_POINTS
from nurture_jax.records.visit import Visit

SHARPNESS_PX = 96  # side that a larger clip is brought to first: one limit for one width of a blur
SMOOTHING_PX = 1.0
_ENDS = [KEYPOINTS.index(name) for name in REFERENCE_POINTS]


@dataclasses.dataclass(frozen=True)
class Gate:
    """What the gate found.

    Attributes:
      failures: Checks that were not passed; none is a recording that may be estimated.
      not_done: Names of the checks that could not be done.
      measured: What was compared with the limits, of passed checks too: "duration_s",
        "brightness", "sharpness" and, with masks or keypoints, shares of the frames:
        "found_frames", "cut_frames" (of those found, so absent where none is),
        "reference_frames"; then "proportions", "size_change", "on_mask", "unfamiliarity" and, of
        the reference object, "reference_cm" that was told and "reference_looks_cm".
      limit_unfamiliarity: The calibrated limit of that; None where nothing was compared.
    """

    failures: tuple[Failure, ...]
    not_done: tuple[str, ...] = ()
    measured: Mapping[str, float] = dataclasses.field(default_factory=dict, compare=False)
    limit_unfamiliarity: float | None = dataclasses.field(default=None, compare=False)

    @property
    def accepted(self) -> bool:
        """Whether the recording may be estimated."""
        return not self.failures


def inspect(frames: np.ndarray, duration_s: float, mask_probabilities: np.ndarray | None = None,
            keypoints: np.ndarray | None = None, limits: Limits | None = None, *,
            fit: str = "letterbox", features: np.ndarray | None = None,
            familiarity: Familiarity | None = None, scale: Scale = checks.NO_SCALE,
            visit: Visit | None = None) -> Gate:
    """Does every check that can be done, and tells all failures at once.

    Args:
      frames: The clip, [t h w 3] uint8 RGB.
      duration_s: Duration of the recording.
      mask_probabilities: Shares of neither, newborn and reference object, [t h' w' 3]; None
        without mask head.
      keypoints: Places x, y and confidence 0-1, [t 19 3]; None without keypoint head.
      limits: Limits of the checks; None takes the defaults.
      fit: How the frames were cut from the picture, see `video.ClipSettings`; with "crop" a baby
        may be cut off that is wholly in the picture.
      features: What the recording looks like, [f], see `model.Seen`.
      familiarity: What the recordings of training look like; None compares nothing, as does the
        lack of anything that it knows.
      scale: What is known of lengths of reference objects.
      visit: What was told of the infant and the reference object; None compares nothing with it.

    Raises:
      ValueError: If an array has another shape.
    """
    limits, frames = limits or Limits(), np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"frames have shape {frames.shape} and dtype {frames.dtype}; give "
                         f"[t, h, w, 3] of uint8 with at least one frame")
    for name, array, shape in (("mask_probabilities", mask_probabilities, (4, 3)),
                               ("keypoints", keypoints, (3, 3))):
        if array is not None and ((array.ndim, array.shape[-1]) != shape
                                  or len(array) != len(frames)):
            raise ValueError(f"{name} have shape {array.shape}; {len(frames)} frames ask for "
                             f"{shape[0]} axes, first {len(frames)}, last {shape[1]}")
    top, bottom, left, right = _picture(frames)
    grey = pictures.grey(frames[:, top:bottom, left:right])
    measured = {"duration_s": float(duration_s), "brightness": float(np.median(grey)),
                "sharpness": sharpness(grey)}
    owner = None
    if mask_probabilities is not None:
        rows, columns = np.array(mask_probabilities.shape[1:3]) / frames.shape[1:3]
        owner = np.asarray(mask_probabilities).argmax(-1)[
            :, round(top * rows):round(bottom * rows), round(left * columns):round(right * columns)]
    measured |= _newborn(owner, keypoints, limits)
    measured |= _reference(owner, keypoints, mask_probabilities, frames.shape[1], limits)
    measured |= _agreement(mask_probabilities, keypoints, frames.shape[1])
    highest = None
    looks = likeness(features, keypoints, mask_probabilities, frames.shape[1])
    if familiarity is not None and familiarity.groups.keys() <= looks.keys():
        highest = familiarity.limit
        measured["unfamiliarity"] = float(
            familiarity.score({name: numbers[None] for name, numbers in looks.items()})[0])
    measured |= _told(keypoints, mask_probabilities, frames.shape[1], scale, visit)
    told_nothing = visit is None and keypoints is not None  # then there is nothing to check
    there = {*measured, *(["mask"] if owner is not None else []),
             *([checks.NEEDED["reference_wrongly_told"]] if told_nothing else [])}
    not_done = tuple(check for check, name in checks.NEEDED.items() if name not in there)
    return Gate(checks.failures(measured, limits, fit, highest, scale), not_done, measured, highest)


def likeness(features: np.ndarray | None, keypoints: np.ndarray | None,
             shares: np.ndarray | None, size: int) -> dict[str, np.ndarray]:
    """What of a recording is compared with those of training, by the groups of `familiarity`.

    Args:
      features, keypoints: As of `inspect`; None is left out.
      shares: The `mask_probabilities` there.
      size: Side of the frames in clip pixels.
    """
    found = {} if features is None else {FEATURES: np.asarray(features)}
    if keypoints is not None:
        found |= {SURENESS: evidence.sureness(keypoints),
                  BUILD: evidence.build(keypoints, shares, size)}
    return found


def rejections(gates: Iterable[Gate]) -> dict[str, int]:
    """Counts of refused recordings by check, most frequent first; one may fail several checks."""
    counts = collections.Counter(
        failure.check for gate in gates for failure in gate.failures)
    return dict(counts.most_common())


def sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian (Pech-Pacheco 2000) over that of the grey values.

    Divided by the contrast, so that a dim scene does not pass for a blurred one; smoothed by one
    pixel first, so that the noise of a dim one does not pass for edges. A larger clip is brought to
    SHARPNESS_PX before that, so that the limit does not depend on the size of clips.

    Args:
      grey: Grey values of the clip, [t h w] uint8.

    Returns:
      The median over frames; 0 for frames without any contrast.
    """
    ratios = []
    for frame in grey.astype(np.float32):
        if (shrink := max(frame.shape) / SHARPNESS_PX) > 1:
            frame = pictures.shrunk(frame, *(max(1, round(side / shrink)) for side in frame.shape))
        contrast = frame.var()
        edges = pictures.laplacian(pictures.smoothed(frame, SMOOTHING_PX))
        ratios.append(edges.var() / contrast if contrast > 0 else 0)
    return float(np.median(ratios))


def _picture(frames: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what was filmed: a letterbox is exactly black all the time."""
    lit = frames.any((0, 3))
    rows, columns = np.nonzero(lit.any(1))[0], np.nonzero(lit.any(0))[0]
    if not len(rows):
        return 0, frames.shape[1], 0, frames.shape[2]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _newborn(owner: np.ndarray | None, keypoints: np.ndarray | None, limits: Limits
             ) -> dict[str, float]:
    """Shares of the frames that show the newborn, and that cut it off.

    Args:
      owner: What each cell shows, [t h' w'].
      keypoints: As of `inspect`; where there are both, both have to find it.
    """
    if owner is None and keypoints is None:
        return {}
    found = True
    if keypoints is not None:
        found = evidence.of_points(keypoints)["confidence"] >= limits.least_body_confidence
    if owner is None:
        return {"found_frames": float(found.mean())}
    mask = owner == NEWBORN
    found = found & (mask.mean((1, 2)) >= limits.least_newborn_share)
    measured = {"found_frames": float(found.mean())}
    if found.any():
        contact = np.stack([mask[:, 0].mean(1), mask[:, -1].mean(1), mask[:, :, 0].mean(1),
                            mask[:, :, -1].mean(1)])
        cut = contact.max(0) >= limits.least_contact
        measured["cut_frames"] = float(cut[found].mean())
    return measured


def _reference(owner: np.ndarray | None, keypoints: np.ndarray | None, shares: np.ndarray | None,
               size: int, limits: Limits) -> dict[str, float]:
    """Share of the frames that show the reference object; arguments as of `_newborn`.

    It is seen by both its ends, with itself between them, or by its area where a model has no
    keypoints: the ends are what sizes are made of, and a mask alone may be of a ruler that has left
    the picture.

    Args:
      shares: The `mask_probabilities` of `inspect`.
      size: Side of the frames in clip pixels.
    """
    if keypoints is not None:
        seen = np.asarray(keypoints)[:, _ENDS, 2].min(1) >= limits.least_end_confidence
        if shares is not None:
            seen &= evidence.on_reference(keypoints, shares, size) >= limits.least_on_reference
    elif owner is not None:
        seen = (owner == REFERENCE).mean((1, 2)) >= limits.least_reference_share
    else:
        return {}
    return {"reference_frames": float(seen.mean())}


def _told(keypoints: np.ndarray | None, shares: np.ndarray | None, size: int, scale: Scale,
          visit: Visit | None) -> dict[str, float]:
    """The length of the reference object as it was told, and as it looks."""
    if visit is None:
        return {}
    told = {"reference_cm": float(told_cm(visit))}
    if keypoints is None:
        return told
    looks = scale.looks_cm(measure(keypoints, shares, size), visit)
    return told if looks is None else {**told, "reference_looks_cm": looks}


def _agreement(shares: np.ndarray | None, keypoints: np.ndarray | None, size: int
               ) -> dict[str, float]:
    """Whether points, mask and frames agree; medians over the frames."""
    if keypoints is None:
        return {}
    points = evidence.of_points(keypoints)
    measured = {"proportions": float(np.median(points["proportions"])),
                "size_change": evidence.change(points["trunk"])}
    if shares is not None:
        measured["on_mask"] = float(np.median(evidence.on_mask(keypoints, shares, size)))
    return measured
