"""The gate before an estimate: what is wrong with a recording, in words, and how to do it better.

Light, sharpness and duration are read from the pictures alone. Whether the newborn and the
reference object are there needs the model's masks; a model without mask head (a compressed one)
cannot tell, and the gate then says which checks were not done.

Limits are our choice. Those of light, sharpness and size were set on synthetic recordings
(docs/nurture_evaluation.md has the numbers), so they must be set again on real ones: section
`gate` of a config.
"""
from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from nurture_jax.measures import KEYPOINTS, NEWBORN, REFERENCE, REFERENCE_POINTS
from nurture_jax.rules import TABLE

SMOOTHING_PX = 1.0
_CUT_OFF = {"letterbox": "newborn_cut_off", "crop": "newborn_cut_off_by_crop"}  # its sentences
_ENDS = [KEYPOINTS.index(name) for name in REFERENCE_POINTS]


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a recording is refused; each with its reason.

    Attributes:
      least_duration_s: Duration; walking from one side to the other takes longer.
      least_brightness, most_brightness: Median grey value 0-255 of the whole clip; outside,
        skin and cloth lie where phones clip or drown in noise.
      least_sharpness: Sharpness, see `sharpness`; below, edges are spread over several pixels of
        the clip.
      least_newborn_share: Share of a frame's area for the newborn to count as found; smaller, a
        newborn has fewer pixels than any in training.
      least_reference_share: Share of a frame's area for the reference object to count as seen
        when no keypoints are given.
      least_found_frames: Share of frames in which the newborn must be found.
      least_reference_frames: The same of the reference object; it may be hidden now and then.
      most_cut_frames: Share of the found frames in which the newborn may reach the border.
      least_contact: Share of a side of the picture that the mask must touch to count as reaching
        it; single cells are noise.
      least_end_confidence: Confidence of both ends of the reference object, when keypoints are
        given.

    Raises:
      ValueError: If no recording, or every one, could be on the right side of a limit.
    """

    least_duration_s: float = 1.5
    least_brightness: float = 40.0
    most_brightness: float = 225.0
    least_sharpness: float = 0.005
    least_newborn_share: float = 0.03
    least_reference_share: float = 0.003
    least_found_frames: float = 0.5
    least_reference_frames: float = 0.5
    most_cut_frames: float = 0.5
    least_contact: float = 0.05
    least_end_confidence: float = 0.4

    def __post_init__(self) -> None:
        highest = {"least_duration_s": np.inf, "least_brightness": 255, "most_brightness": 255,
                   "least_sharpness": np.inf}
        for name, value in dataclasses.asdict(self).items():
            most = highest.get(name, 1)
            if not 0 <= value <= most:
                raise ValueError(f"gate.{name} {value!r} is not a number from 0 to {most:g}; set "
                                 f"it to one")
        if self.least_brightness >= self.most_brightness:
            raise ValueError(f"gate.least_brightness {self.least_brightness:g} is not below "
                             f"gate.most_brightness {self.most_brightness:g}; set it so")


@dataclasses.dataclass(frozen=True)
class Failure:
    """One check that a recording has not passed.

    Attributes:
      check: Short name for counting, such as "too_dark".
      reason: What is wrong, in plain words.
      measured, limit: What was found, and the limit that it is on the wrong side of, in `unit`.
      unit: Unit of both, in words.
      advice: What to do about it.
    """

    check: str
    reason: str
    measured: float
    limit: float
    unit: str
    advice: str

    def __str__(self) -> str:
        return (f"{self.reason} ({self.measured:.3g} {self.unit}, limit {self.limit:g}): "
                f"{self.advice}")


@dataclasses.dataclass(frozen=True)
class Gate:
    """What the gate found.

    Attributes:
      failures: Checks that were not passed; none is a recording that may be estimated.
      not_done: Names of the checks that could not be done.
      measured: What was compared with the limits, of passed checks too: "duration_s",
        "brightness", "sharpness" and, with masks, shares of the frames: "found_frames",
        "cut_frames" (of those found, so absent where none is), "reference_frames".
    """

    failures: tuple[Failure, ...]
    not_done: tuple[str, ...] = ()
    measured: Mapping[str, float] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def accepted(self) -> bool:
        """Whether the recording may be estimated."""
        return not self.failures


def inspect(frames: np.ndarray, duration_s: float, mask_probabilities: np.ndarray | None = None,
            keypoints: np.ndarray | None = None, limits: Limits | None = None, *,
            fit: str = "letterbox") -> Gate:
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
    grey = np.stack([cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
                     for frame in frames[:, top:bottom, left:right]])
    measured = {"duration_s": float(duration_s), "brightness": float(np.median(grey)),
                "sharpness": sharpness(grey)}
    if mask_probabilities is None:
        return Gate(_failures(measured, limits, fit), ("newborn_not_found", "newborn_cut_off",
                                                       "reference_not_seen"), measured)
    rows, columns = np.array(mask_probabilities.shape[1:3]) / frames.shape[1:3]
    owner = np.asarray(mask_probabilities).argmax(-1)[:, round(top * rows):round(bottom * rows),
                                                      round(left * columns):round(right * columns)]
    measured |= _newborn(owner == NEWBORN, limits)
    measured |= _reference(owner == REFERENCE, keypoints, limits)
    return Gate(_failures(measured, limits, fit), (), measured)


def rejections(gates: Iterable[Gate]) -> dict[str, int]:
    """Counts of refused recordings by check, most frequent first; one may fail several checks."""
    counts = collections.Counter(
        failure.check for gate in gates for failure in gate.failures)
    return dict(counts.most_common())


def sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian (Pech-Pacheco 2000) over that of the grey values.

    Divided by the contrast, so that a dim scene does not pass for a blurred one; smoothed by one
    pixel first, so that the noise of a dim one does not pass for edges.

    Args:
      grey: Grey values at the size of the clip, [t h w] uint8.

    Returns:
      The median over frames; 0 for frames without any contrast.
    """
    ratios = []
    for frame in grey.astype(np.float32):
        contrast = frame.var()
        edges = cv2.Laplacian(cv2.GaussianBlur(frame, (0, 0), SMOOTHING_PX), cv2.CV_32F)
        ratios.append(edges.var() / contrast if contrast > 0 else 0)
    return float(np.median(ratios))


def _picture(frames: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what was filmed: a letterbox is exactly black all the time."""
    lit = frames.any((0, 3))
    rows, columns = np.nonzero(lit.any(1))[0], np.nonzero(lit.any(0))[0]
    if not len(rows):
        return 0, frames.shape[1], 0, frames.shape[2]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _newborn(mask: np.ndarray, limits: Limits) -> dict[str, float]:
    """Shares of the frames that show the newborn, and that cut it off; `mask` [t h' w'] bool."""
    found = mask.mean((1, 2)) >= limits.least_newborn_share
    measured = {"found_frames": float(found.mean())}
    if found.any():
        contact = np.stack([mask[:, 0].mean(1), mask[:, -1].mean(1), mask[:, :, 0].mean(1),
                            mask[:, :, -1].mean(1)])
        cut = contact.max(0) >= limits.least_contact
        measured["cut_frames"] = float(cut[found].mean())
    return measured


def _reference(mask: np.ndarray, keypoints: np.ndarray | None, limits: Limits) -> dict[str, float]:
    """Share of the frames that show the reference object; `mask` [t h' w'] bool.

    It is seen by both its ends, or by its area where a model has no keypoints. A mask head that
    has never seen a recording without a reference object finds one in the pattern of a cloth; the
    ends it finds there are faint (docs/nurture_evaluation.md has the numbers).
    """
    if keypoints is None:
        seen = mask.mean((1, 2)) >= limits.least_reference_share
    else:
        seen = np.asarray(keypoints)[:, _ENDS, 2].min(1) >= limits.least_end_confidence
    return {"reference_frames": float(seen.mean())}


def _failures(measured: Mapping[str, float], limits: Limits, fit: str) -> tuple[Failure, ...]:
    """The checks that were done and not passed."""
    in_view = functools.partial(_in_view, sentences=_CUT_OFF[fit])
    return tuple(failure for check in (_duration, _light, _sharp, in_view, _beside)
                 for failure in check(measured, limits))


def _failure(check: str, measured: float, limit: float, sentences: str = "") -> list[Failure]:
    """A failure in the words of `rules.json`, under the name of the check or another."""
    words = TABLE["gate"][sentences or check]
    return [Failure(check, words["reason"], measured, limit, words["unit"], words["advice"])]


def _duration(measured: Mapping[str, float], limits: Limits) -> list[Failure]:
    # Some containers count milliseconds and round each frame.
    if round(measured["duration_s"], 2) >= limits.least_duration_s:
        return []
    return _failure("too_short", measured["duration_s"], limits.least_duration_s)


def _light(measured: Mapping[str, float], limits: Limits) -> list[Failure]:
    brightness = measured["brightness"]
    if brightness < limits.least_brightness:
        return _failure("too_dark", brightness, limits.least_brightness)
    if brightness > limits.most_brightness:
        return _failure("too_bright", brightness, limits.most_brightness)
    return []


def _sharp(measured: Mapping[str, float], limits: Limits) -> list[Failure]:
    if measured["sharpness"] >= limits.least_sharpness:
        return []
    return _failure("too_blurred", measured["sharpness"], limits.least_sharpness)


def _in_view(measured: Mapping[str, float], limits: Limits, sentences: str) -> list[Failure]:
    found, cut = measured.get("found_frames", 1), measured.get("cut_frames", 0)
    if found < limits.least_found_frames:
        return _failure("newborn_not_found", 100 * found, 100 * limits.least_found_frames)
    if cut <= limits.most_cut_frames:
        return []
    return _failure("newborn_cut_off", 100 * cut, 100 * limits.most_cut_frames, sentences)


def _beside(measured: Mapping[str, float], limits: Limits) -> list[Failure]:
    seen = measured.get("reference_frames", 1)
    if seen >= limits.least_reference_frames:
        return []
    return _failure("reference_not_seen", 100 * seen, 100 * limits.least_reference_frames)
