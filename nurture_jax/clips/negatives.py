"""Clips that show no newborn, or no whole reference object, mixed into those that are trained on.

A network that has only seen newborns beside rulers finds both in anything. So some of the clips of
an epoch are of other things, with empty masks and heatmaps and without labels, which moves no
measure:

    noise, leaves, things, patterns   drawn anew each time (textures.py)
    cut                               a newborn so near that an end of the ruler has left the crop
    pieces                            a newborn and a ruler cut into tiles that changed places
    the folders of a data set's `negatives/` and of `data.negatives`: videos and photographs

Start at `MixedSource`.
"""
from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from nurture_jax.clips import clip_cache, textures
from nurture_jax.clips.clip_batches import ClipSource, fill
from nurture_jax.clips.panning import film, read_picture
from nurture_jax.measures import LABELS, REFERENCE_POINTS, TABULAR
from nurture_jax.records import negatives
from nurture_jax.records.video import ClipSettings

_TRIES = 20
CANVAS = 1.6  # side of a drawn picture over that of a clip
CUT, PIECES = "cut", "pieces"
MADE = (*textures.KINDS, CUT, PIECES)  # kinds that need no file
Example = dict[str, np.ndarray]
Maker = Callable[[np.random.Generator], Example]


@dataclasses.dataclass(frozen=True)
class Negatives:
    """How many of the training clips show no newborn, or no whole reference object.

    Attributes:
      share: Number of them over that of the clips of newborns; 0 leaves them out.
      leave_out: Kinds that are left out, such as to see whether they are refused all the same.

    Raises:
      ValueError: If the share is out of its range.
    """

    share: float = 0.0
    leave_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 4:
            raise ValueError(f"negatives.share {self.share} is not 0 to 4; 0.5 makes a third of "
                             f"all training clips")


@dataclasses.dataclass(frozen=True)
class MixedSource:
    """Clips of newborns and, behind them, places for other ones that `change` fills anew each time.

    Attributes:
      clips: Clips of newborns.
      makers: What makes a clip without them, by kind.
      places: Number of places.
    """

    clips: ClipSource
    makers: Mapping[str, Maker]
    places: int

    def __len__(self) -> int:
        return len(self.clips) + self.places

    def __getitem__(self, index: int) -> Example:
        return self.clips[index] if index < len(self.clips) else {"index": np.int32(index)}

    def change(self, example: Example, rng: np.random.Generator) -> Example:
        """The example, or a new one where it is a place; for `ClipBatches`."""
        if "frames" in example:
            return example
        kinds = list(self.makers)
        made = self.makers[kinds[rng.integers(len(kinds))]](rng)
        return {**made, "index": example["index"]}


def clips_of_an_epoch(settings: Negatives, newborns: int) -> int:
    """Number of clips of an epoch beside so many of newborns, those included."""
    return newborns + round(settings.share * newborns)


def mixed(clips: ClipSource, settings: Negatives, folders: Mapping[str, Maker]) -> MixedSource:
    """The source that a training takes.

    Args:
      clips: Clips of newborns.
      folders: What makes clips of the files there are, by kind, see `of_videos`, `of_pictures`.

    Raises:
      ValueError: If a kind to leave out is unknown, or no kind is left.
    """
    frames, size = clips.cache.settings.frames, clips.cache.settings.size
    makers = {**{name: _drawn(draw, frames, size, clips.mask_stride)
                 for name, draw in textures.KINDS.items()},
              CUT: lambda rng: cut(rng, clips[int(rng.integers(len(clips)))], clips.mask_stride),
              PIECES: lambda rng: pieces(rng, clips[int(rng.integers(len(clips)))]), **folders}
    if unknown := [name for name in settings.leave_out if name not in makers]:
        raise ValueError(f"negatives.leave_out {unknown[0]!r} is no kind; there are "
                         f"{', '.join(makers)}")
    kept = {name: make for name, make in makers.items() if name not in settings.leave_out}
    if settings.share and not kept:
        raise ValueError("negatives.leave_out leaves out every kind; set negatives.share to 0")
    return MixedSource(clips, kept, clips_of_an_epoch(settings, len(clips)) - len(clips))


def nothing(frames: np.ndarray, mask_stride: int) -> Example:
    """An example of frames [t, h, w, 3] that show neither newborn nor reference object."""
    marks = fill([], *frames.shape[:2], mask_stride)
    return {"frames": frames, **unlabelled(), **marks,
            "annotated": np.ones(len(frames), np.float32), "example_mask": np.float32(1)}


def unlabelled() -> Example:
    """Inputs and labels of nobody, none of them known."""
    sizes = {"tabular": len(TABULAR), "labels": len(LABELS)}
    return {"reference_cm": np.float32(0), **{
        f"{name}{end}": np.zeros(size, np.float32) for name, size in sizes.items()
        for end in ("", "_mask")}}


def of_folders(folders: Sequence[Path], cache: Path, settings: ClipSettings, mask_stride: int, *,
               workers: int = 0) -> dict[str, Maker]:
    """What makes clips of the files in some folders, by kind; videos are decoded into the cache.

    Args:
      folders: Folders as `records.negatives` reads them.
      cache: Folder of decoded clips.
      settings: How clips are cut.
      workers: Number of processes that decode; 0 decodes in this one.

    Raises:
      ValueError: If a folder cannot be used.
    """
    makers: dict[str, list[Maker]] = collections.defaultdict(list)
    for folder in folders:
        found = negatives.read(folder, settings.minimum_s)
        if len(found.videos):
            clips = ClipSource(clip_cache.build(found.videos, cache, settings, workers=workers),
                               mask_stride, exact=True)
            for kind in dict.fromkeys(visit.infant_id for visit in clips.cache.records.visits):
                makers[kind].append(of_videos(clips, [
                    row for row, visit in enumerate(clips.cache.records.visits)
                    if visit.infant_id == kind]))
        for kind, paths in found.pictures.items():
            pictures = [read_picture(path, settings.size) for path in paths]
            makers[kind].append(of_pictures(pictures, settings.frames, settings.size, mask_stride))
    return {kind: _any_of(made) for kind, made in makers.items()}


def _any_of(makers: Sequence[Maker]) -> Maker:
    return lambda rng: makers[int(rng.integers(len(makers)))](rng)


def of_videos(clips: ClipSource, rows: Sequence[int]) -> Maker:
    """Makes clips out of some of a source's: one of them as it is."""
    def make(rng: np.random.Generator) -> Example:
        example = clips[rows[int(rng.integers(len(rows)))]]
        if not clips.cache.records.visits[int(example["index"])].frames:
            example["annotated"] = np.ones_like(example["annotated"])
        return example
    return make


def of_pictures(pictures: Sequence[np.ndarray], frames: int, size: int, mask_stride: int) -> Maker:
    """Makes clips out of photographs [h, w, 3] uint8: panned and zoomed, sometimes mirrored."""
    def make(rng: np.random.Generator) -> Example:
        picture = pictures[int(rng.integers(len(pictures)))]
        return nothing(film(rng, picture, frames, size), mask_stride)
    return make


def cut(rng: np.random.Generator, example: Example, mask_stride: int) -> Example:
    """A clip so near that an end of the reference object is out of it in all annotated frames.

    The frames without annotation stay without. What is seen of the newborn keeps its mask.
    """
    frames, points = example["frames"], example["keypoints"].copy()
    size = frames.shape[1]
    ends = points[example["annotated"] > 0, -len(REFERENCE_POINTS):]  # t 2 3
    for _ in range(_TRIES):  # windows of the picture, until one is without an end
        zoom = rng.uniform(1.15, 1.9)
        centre = size * (0.5 + (0.5 - 0.5 / zoom) * rng.uniform(-1, 1, 2))
        seen = (ends[..., 2] > 0) & (np.abs(ends[..., :2] - centre) < 0.5 * size / zoom).all(-1)
        if not seen.all(-1).any():
            break
    affine = np.column_stack([np.eye(2) * zoom, size / 2 - zoom * centre])
    moved = np.stack([_warped(frame, affine, cv2.INTER_LINEAR) for frame in frames])
    cells = affine.copy()
    cells[:, 2] /= mask_stride
    masks = np.stack([_warped(mask, cells, cv2.INTER_NEAREST) for mask in example["masks"]])
    at = points[..., :2] * zoom + affine[:, 2]
    inside = (points[..., 2] > 0) & ((at >= 0) & (at < size)).all(-1)
    points = np.where(inside[..., None], np.concatenate([at, points[..., 2:]], -1), 0)
    return {**example, **unlabelled(), "frames": moved, "masks": masks,
            "keypoints": points.astype(np.float32)}


def _warped(picture: np.ndarray, affine: np.ndarray, interpolation: int) -> np.ndarray:
    """A picture under an affine of continuous coordinates (pixel i covers [i, i + 1))."""
    shift = affine[:, :2] @ (0.5, 0.5) + affine[:, 2] - 0.5
    return cv2.warpAffine(picture, np.column_stack([affine[:, :2], shift]), picture.shape[1::-1],
                          flags=interpolation)


def pieces(rng: np.random.Generator, example: Example) -> Example:
    """A clip whose tiles have changed places: all the parts and colours, and nobody."""
    frames = example["frames"]
    size, count = frames.shape[1], int(rng.integers(3, 7))
    side = -(-size // count)
    whole = np.pad(frames, ((0, 0), *[(0, count * side - size)] * 2, (0, 0)), mode="edge")
    tiles = whole.reshape(len(frames), count, side, count, side, 3).swapaxes(2, 3)
    order, places = rng.permutation(count**2), np.empty(count**2, int)
    places[order] = np.roll(order, 1)  # one round through all of them: none stays
    tiles = tiles.reshape(len(frames), count * count, side, side, 3)[:, places]
    moved = tiles.reshape(len(frames), count, count, side, side, 3).swapaxes(2, 3)
    moved = moved.reshape(len(frames), count * side, count * side, 3)[:, :size, :size]
    masks = example["masks"]
    return nothing(np.ascontiguousarray(moved), size // masks.shape[1])


def _drawn(draw: Callable[[np.random.Generator, int], np.ndarray], frames: int, size: int,
           mask_stride: int) -> Maker:
    return lambda rng: nothing(film(rng, draw(rng, round(CANVAS * size)), frames, size),
                               mask_stride)
