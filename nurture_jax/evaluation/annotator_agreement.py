"""How well two people agree who annotated the same frames.

    outlines    Dice and intersection over union of the filled masks
    points      distance in % of the size of what they are on, and OKS for the body (COCO)
    sizes       Bland-Altman of the length of the reference object and of the newborn's outline, in
                %: what a measure of the network would be off by

The size of a newborn is the root of its area in the first and the second outline together. Frames
of one video resemble each other, so intervals are drawn by video.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from deps_jax.common.statistics.intervals import Number
from nurture_jax.evaluation.uncertainty import bootstrap, limits_of_agreement, mean_of
from nurture_jax.measures import BODY_POINTS, CATEGORIES, KEYPOINTS, NEWBORN, REFERENCE_POINTS
from nurture_jax.records.annotations import Frame

# Standard deviations of the 17 points among annotators of COCO, as a share of the root of the
# area (cocodataset.org, keypoint evaluation).
COCO_SIGMAS = np.array([.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107,
                        .107, .087, .087, .089, .089])
Mean = Callable[[np.ndarray, np.ndarray], Number]  # of values [n], where a mask [n] says so
Frames = Mapping[str, Sequence[tuple[object, Frame]]]  # by video, as `annotations.read` gives them


@dataclasses.dataclass(frozen=True)
class MaskAgreement:
    """Of the outlines of one category: in how many frames both, or only one, drew it."""

    category: str
    both: int
    only_first: int
    only_second: int
    dice: Number
    iou: Number


@dataclasses.dataclass(frozen=True)
class PointAgreement:
    """Of one point: how often both, or only one, marked it, and how far apart in % of the size."""

    point: str
    both: int
    only_one: int
    visibility_differs: int
    mean_percent: Number
    median_percent: float


@dataclasses.dataclass(frozen=True)
class SizeAgreement:
    """Bland-Altman of a size: second against first in %, 100 x the difference of logarithms."""

    size: str
    frames: int
    mean_percent: Number
    lower_limit: Number
    upper_limit: Number


@dataclasses.dataclass(frozen=True)
class AnnotatorAgreement:
    """All of it.

    Attributes:
      frames, videos: How many both annotated.
      only_first, only_second: Frames that only one of them annotated; they count nowhere.
      masks, points, sizes: See the classes.
      oks: Mean object keypoint similarity of the newborn, over points that both marked.
    """

    frames: int
    videos: int
    only_first: int
    only_second: int
    masks: tuple[MaskAgreement, ...]
    points: tuple[PointAgreement, ...]
    sizes: tuple[SizeAgreement, ...]
    oks: Number


def compare(first: Frames, second: Frames, seed: int = 0) -> AnnotatorAgreement:
    """The agreement of two annotation files.

    Args:
      first, second: Frames of each annotator.
      seed: Seed of the bootstrap.

    Raises:
      ValueError: If they have no frame in common, or one in two sizes.
    """
    one, other = dict(_keyed(first)), dict(_keyed(second))
    common = [key for key in one if key in other]
    if not common:
        raise ValueError("the two files have no frame in common; give both annotators the same "
                         "pictures")
    for key in common:
        sizes = [(frame.width, frame.height) for frame in (one[key], other[key])]
        if sizes[0] != sizes[1]:
            raise ValueError(f"frame {key[1]} of {key[0]} is {sizes[0]} pixels in one file and "
                             f"{sizes[1]} in the other; annotate the same pictures")
    pairs = [(one[key], other[key]) for key in common]
    masks = [tuple(frame.mask() for frame in pair) for pair in pairs]
    points = np.array([[frame.keypoints for frame in pair] for pair in pairs], float)  # n 2 19 3
    videos = np.array([video for video, _ in common])
    areas = np.array([[(mask == NEWBORN).sum() for mask in pair] for pair in masks], float)
    mean = lambda values, inside: mean_of(videos[inside], values[inside], seed)
    newborn_px = np.sqrt(areas.mean(1))
    return AnnotatorAgreement(
        len(common), len(set(videos)), len(one) - len(common), len(other) - len(common),
        _masks(masks, mean), _points(points, newborn_px, mean),
        _sizes(points, areas, videos, seed), _oks(points, newborn_px, mean))


def _keyed(frames: Frames) -> Iterator[tuple[tuple[str, object], Frame]]:
    """Yields frames by their video and their number, or their time where that was given."""
    for video, group in frames.items():
        for _, frame in group:
            yield (video, frame.time_s if frame.frame_index is None else frame.frame_index), frame


def _masks(masks: list[tuple[np.ndarray, np.ndarray]], mean: Mean) -> tuple[MaskAgreement, ...]:
    rows = []
    for value, category in enumerate(CATEGORIES, start=1):
        inside = [[mask == value for mask in pair] for pair in masks]
        areas = np.array([[mask.sum() for mask in pair] for pair in inside], float)
        shared = np.array([(one & other).sum() for one, other in inside], float)
        drawn = areas > 0
        both = drawn.all(1)
        total = np.maximum(areas.sum(1), 1)
        rows.append(MaskAgreement(
            category, int(both.sum()), int((drawn[:, 0] & ~drawn[:, 1]).sum()),
            int((drawn[:, 1] & ~drawn[:, 0]).sum()), mean(2 * shared / total, both),
            mean(shared / np.maximum(total - shared, 1), both)))
    return tuple(rows)


def _distances(points: np.ndarray) -> np.ndarray:
    """Pixels between the first's and the second's points, [n, 19]; nan unless both marked one."""
    both = (points[..., 2] > 0).all(1)
    return np.where(both, np.hypot(*np.moveaxis(points[:, 0, :, :2] - points[:, 1, :, :2], -1, 0)),
                    np.nan)


def _reference_px(points: np.ndarray) -> np.ndarray:
    """Length of the reference object of each annotator, [n, 2]; nan without both ends."""
    ends = points[:, :, len(BODY_POINTS):]
    length = np.hypot(*np.moveaxis(ends[:, :, 1, :2] - ends[:, :, 0, :2], -1, 0))
    return np.where((ends[..., 2] > 0).all(2) & (length > 0), length, np.nan)


def _points(points: np.ndarray, newborn_px: np.ndarray, mean: Mean
            ) -> tuple[PointAgreement, ...]:
    distances, marked = _distances(points), points[..., 2] > 0
    with np.errstate(divide="ignore"):
        sizes = {True: _reference_px(points).mean(1), False: np.where(newborn_px > 0, newborn_px,
                                                                     np.nan)}
    rows = []
    for i, name in enumerate(KEYPOINTS):
        percent = 100 * distances[:, i] / sizes[name in REFERENCE_POINTS]
        known, both = np.isfinite(percent), marked[:, :, i].all(1)
        differs = both & (points[:, 0, i, 2] != points[:, 1, i, 2])
        rows.append(PointAgreement(
            name, int(both.sum()), int((marked[:, 0, i] != marked[:, 1, i]).sum()),
            int(differs.sum()), mean(percent, known),
            float(np.median(percent[known])) if known.any() else float("nan")))
    return tuple(rows)


def _oks(points: np.ndarray, newborn_px: np.ndarray, mean: Mean) -> Number:
    """exp(-d^2 / (2 s^2 k^2)) with k twice the sigma, a mean of points and then of frames."""
    distances = _distances(points)[:, :len(BODY_POINTS)]
    scale = np.maximum(newborn_px, 1)[:, None] * 2 * COCO_SIGMAS
    similar = np.exp(-distances ** 2 / (2 * scale ** 2))
    known = np.isfinite(similar) & (newborn_px > 0)[:, None]
    count = known.sum(1)
    per_frame = np.where(known, similar, 0).sum(1) / np.maximum(count, 1)
    return mean(per_frame, count > 0)


def _sizes(points: np.ndarray, areas: np.ndarray, videos: np.ndarray, seed: int
           ) -> tuple[SizeAgreement, ...]:
    rows, newborn = [], np.sqrt(np.where(areas > 0, areas, np.nan))
    for name, sizes in (("length of the reference object", _reference_px(points)),
                        ("newborn (root of the area)", newborn)):
        percent = 100 * np.log(sizes[:, 1] / sizes[:, 0])
        known = np.isfinite(percent)
        if known.sum() < 2:
            continue
        terms = np.stack([percent[known], percent[known] ** 2, np.ones(known.sum())], 1)
        rows.append(SizeAgreement(name, int(known.sum()),
                                  *bootstrap(videos[known], terms, limits_of_agreement, seed)))
    return tuple(rows)


def described(found: AnnotatorAgreement) -> str:
    """The agreement in lines; intervals are of 95 %, where there are 10 videos or more."""
    lines = [f"{found.frames} frames of {found.videos} videos were annotated by both; "
             f"{found.only_first} only by the first, {found.only_second} only by the second"]
    digits = lambda count: lambda value: f"{value:.{count}f}"
    lines += [f"{row.category}: outlined by both in {row.both} frames, by one alone in "
              f"{row.only_first + row.only_second}; Dice {row.dice.text(digits(3))}, IoU "
              f"{row.iou.text(digits(3))}" for row in found.masks]
    lines.append(f"OKS of the body {found.oks.text(digits(3))}")
    lines += [f"{row.point}: by both in {row.both} frames, by one alone in {row.only_one}, seen or "
              f"hidden differs in {row.visibility_differs}; apart "
              f"{row.mean_percent.text(digits(1), unit='%')}, median {row.median_percent:.1f} %"
              for row in found.points if row.both or row.only_one]
    lines += [f"{row.size}: second - first {row.mean_percent.text(digits(1), unit='%', sign=True)},"
              f" limits of agreement {row.lower_limit.text(digits(1), unit='%', sign=True)} and "
              f"{row.upper_limit.text(digits(1), unit='%', sign=True)}, {row.frames} frames"
              for row in found.sizes]
    return "\n".join(lines)
