"""The checks of the gate: from what was measured of a recording to what is wrong with it, in words.

Every check is a function (measured, limits) -> failures, of the names in `Gate.measured`; what was
not measured is not checked. Sentences are those of `rules.json`.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

import numpy as np

from nurture_jax.clinic.scale import Scale
from nurture_jax.rules import TABLE

CUT_OFF = {"letterbox": "newborn_cut_off", "crop": "newborn_cut_off_by_crop"}  # its sentences
# What has to be measured for a check that needs a network.
NEEDED = {"newborn_not_found": "found_frames", "newborn_cut_off": "mask",
          "reference_not_seen": "reference_frames", "newborn_disagrees": "on_mask",
          "newborn_out_of_proportion": "proportions", "newborn_unsteady": "size_change",
          "unfamiliar": "unfamiliarity", "reference_wrongly_told": "reference_looks_cm"}
NO_SCALE = Scale()  # compares nothing


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a recording is refused; each with its reason.

    Attributes:
      least_duration_s: Duration; walking from one side to the other takes longer.
      least_brightness, most_brightness: Median grey value 0-255 of the whole clip; outside,
        skin and cloth lie where phones clip or drown in noise.
      least_sharpness: Sharpness, see `recording_gate.sharpness`; below, edges are spread over
        several hundredths of the side of the picture.
      least_newborn_share: Share of a frame's area for the newborn to count as found; smaller, a
        newborn has fewer pixels than any in training.
      least_reference_share: Share of a frame's area for the reference object to count as seen
        when no keypoints are given.
      least_body_confidence: Mean confidence of the points of the body for the newborn to count as
        found, when keypoints are given.
      least_found_frames: Share of frames in which the newborn must be found.
      least_on_mask: Share of the points of the body that must lie on the newborn; for this and the
        next two see `evidence`. Medians over the frames.
      least_proportions: Share of the lengths between the points that must be a newborn's.
      most_size_change: Spread of the newborn's size over the frames, as a part of it.
      familiar_recordings: Share of the recordings of calibration that must count as like those of
        training; it sets the limit of `familiarity`.
      rightly_told: Least share of the recordings of calibration whose reference object must count
        as of the length that was told; it sets the limit of `scale`.
      least_reference_frames: The same of the reference object; it may be hidden now and then.
      most_cut_frames: Share of the found frames in which the newborn may reach the border.
      least_contact: Share of a side of the picture that the mask must touch to count as reaching
        it; single cells are noise.
      least_end_confidence: Confidence of both ends of the reference object, when keypoints are
        given.
      least_on_reference: Share of the line between these that must lie on the reference object,
        when masks are given, too; a hand may cover the rest.

    Raises:
      ValueError: If no recording, or every one, could be on the right side of a limit.
    """

    least_duration_s: float = 1.5
    least_brightness: float = 40.0
    most_brightness: float = 225.0
    least_sharpness: float = 0.005
    least_newborn_share: float = 0.03
    least_reference_share: float = 0.003
    least_body_confidence: float = 0.4
    least_found_frames: float = 0.5
    least_on_mask: float = 0.7
    least_proportions: float = 0.7
    most_size_change: float = 0.25
    familiar_recordings: float = 0.98
    rightly_told: float = 0.95
    least_reference_frames: float = 0.5
    most_cut_frames: float = 0.5
    least_contact: float = 0.05
    least_end_confidence: float = 0.35
    least_on_reference: float = 0.7

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
        bound = "at least" if self.measured < self.limit else "at most"
        return (f"{self.reason} ({self.measured:.3g} {self.unit}, {bound} {self.limit:g}): "
                f"{self.advice}")


def failures(measured: Mapping[str, float], limits: Limits, fit: str, highest: float | None,
             scale: Scale = NO_SCALE) -> tuple[Failure, ...]:
    """The checks that were not passed; of a newborn that is not there no more is said.

    Args:
      measured: See `recording_gate.Gate`.
      fit: How the frames were cut, see `video.ClipSettings`; the advice depends on it.
      highest: The calibrated limit of the unfamiliarity; None where it was not looked at.
      scale: What is known of lengths of reference objects.
    """
    about = _found(measured, limits) or [
        *_agrees(measured, limits), *_proportioned(measured, limits), *_steady(measured, limits),
        *_cut_off(measured, limits, CUT_OFF[fit])]
    return (*_duration(measured, limits), *_light(measured, limits), *_sharp(measured, limits),
            *about, *_beside(measured, limits), *told_length(measured, scale),
            *_familiar(measured, highest))


def failing(measured: Mapping[str, float], limits: Limits, highest: float | None,
            scale: Scale = NO_SCALE) -> set[str]:
    """Names of the checks that are not passed, each looked at for itself; as `failures`."""
    checks = (_duration, _light, _sharp, _found, _agrees, _proportioned, _steady, _cut_off, _beside)
    found = {failure.check for check in checks for failure in check(measured, limits)}
    return found | {failure.check for failure in (*told_length(measured, scale),
                                                  *_familiar(measured, highest))}


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


def _share(check: str, measure: str, limit: str, measured: Mapping[str, float], limits: Limits
           ) -> list[Failure]:
    """A check of a share, reported in %: of at least a limit, or of at most one by its name."""
    value, bound = measured.get(measure), getattr(limits, limit)
    if value is None or (value <= bound if limit.startswith("most_") else value >= bound):
        return []
    return _failure(check, 100 * value, 100 * bound)


_found = partial(_share, "newborn_not_found", "found_frames", "least_found_frames")
_agrees = partial(_share, "newborn_disagrees", "on_mask", "least_on_mask")
_proportioned = partial(_share, "newborn_out_of_proportion", "proportions", "least_proportions")
_steady = partial(_share, "newborn_unsteady", "size_change", "most_size_change")
_beside = partial(_share, "reference_not_seen", "reference_frames", "least_reference_frames")


def _cut_off(measured: Mapping[str, float], limits: Limits, sentences: str = "") -> list[Failure]:
    cut = measured.get("cut_frames", 0)
    if cut <= limits.most_cut_frames:
        return []
    return _failure("newborn_cut_off", 100 * cut, 100 * limits.most_cut_frames, sentences)


def _familiar(measured: Mapping[str, float], highest: float | None) -> list[Failure]:
    score = measured.get("unfamiliarity", -np.inf)
    if highest is None or score <= highest:
        return []
    return _failure("unfamiliar", score, highest)


def told_length(measured: Mapping[str, float], scale: Scale) -> list[Failure]:
    """A length that training had nothing like, or that the reference object does not look like."""
    if (told := measured.get("reference_cm")) is None:
        return []
    low, high = scale.range_cm
    if not low <= told <= high:
        return _failure("reference_length_new", told, round(low if told < low else high, 1))
    if (looks := measured.get("reference_looks_cm")) is None:
        return []
    low, high = told * np.exp(-scale.limit), told * np.exp(scale.limit)
    if low <= looks <= high:
        return []
    return _failure("reference_wrongly_told", looks, round(low if looks < low else high, 1))
