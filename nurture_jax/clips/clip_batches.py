"""Batches of clips with what is known of the infants, as dicts of numpy arrays.

    frames         [b, t, h, w, 3] uint8
    tabular        [b, 4] float32, TABULAR; 0 where tabular_mask [b, 4] is 0
    reference_cm   [b] float32, length of the reference object; 0 is not told
    labels         [b, 5] float32, LABELS; 0 where labels_mask [b, 5] is 0
    masks          [b, t, h', w'] uint8: 0 neither, 1 newborn, 2 reference object
    keypoints      [b, t, 19, 3] float32: x, y in clip pixels, visibility 0, 1 or 2
    annotated      [b, t] float32: 1 where masks and keypoints were drawn on the frame
    example_mask   [b] float32: 0 for the padding of the last evaluation batch
    index          [b] int32: place of the visit in the cache

Units are grams, centimetres and days; sex is 0 for F and 1 for M. Standardising is the model's.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from deps_jax.common.loop.batches import Batches, Examples
from nurture_jax.clips.clip_cache import ClipCache
from nurture_jax.measures import CATEGORIES, KEYPOINTS
from nurture_jax.records.annotations import Frame
from nurture_jax.records.video import SAME_FRAME_S, Clip, on_exact_frames
from nurture_jax.records.visit import tabular_of

MASK_STRIDE = 4  # clip pixels to one of the finest features that a head predicts from
# Number of the frame in its clip, mask [h', w'] uint8, keypoints [19, 3] in clip pixels.
Drawn = tuple[int, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ClipSource:
    """Random access to the visits of a cache; one example is a dict of arrays without the b.

    Attributes:
      cache: The clips.
      mask_stride: Clip pixels to one of the masks; it divides the clip size.
      exact: Whether annotated frames are put in the place of evenly spaced ones, to train on them.
        Without, frames are the very ones that a prediction sees, and few of them are annotated.
      drawn: What has been drawn already, by the place of the visit, see `drawn_on`.

    Raises:
      ValueError: If the mask stride does not divide the clip size.
    """

    cache: ClipCache
    mask_stride: int = MASK_STRIDE
    exact: bool = False
    # Drawn frames by visit: masks of full HD frames take longer to decode than a clip to read. A
    # source with other settings (`dataclasses.replace`) has other frames, so its own.
    drawn: dict[int, list[Drawn]] = dataclasses.field(default_factory=dict, init=False, repr=False,
                                                      compare=False)

    def __post_init__(self) -> None:
        if self.mask_stride < 1 or self.cache.settings.size % self.mask_stride:
            raise ValueError(f"mask stride {self.mask_stride} does not divide the clip size "
                             f"{self.cache.settings.size} px; use 4")

    def __len__(self) -> int:
        return len(self.cache)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.timed(index)[0]

    def timed(self, index: int) -> tuple[dict[str, np.ndarray], float]:
        """The example, and the duration of its recording in seconds: the clip is read once."""
        clip, visit = self.cache[index], self.cache.records.visits[index]
        clip = on_exact_frames(clip) if self.exact else clip
        if index not in self.drawn:
            self.drawn[index] = drawn_on(clip, visit.frames, self.mask_stride)
        example = {"frames": clip.images, **tabular_of(visit),
                   **fill(self.drawn[index], *clip.images.shape[:2], self.mask_stride),
                   "example_mask": np.float32(1), "index": np.int32(index)}
        return example, clip.duration_s


class ClipBatches(Batches):
    """Endless shuffled batches of visits; one of 16 clips of 25 frames and 224 px has 60 MB."""

    def __init__(self, source: Examples, batch_size: int, seed: int, *, workers: int = 0,
                 threads: int = 2, change: Callable | None = None) -> None:
        super().__init__(source, batch_size, seed, workers=workers, threads=threads,
                         change=change, unit="visits")


def eval_batches(source: ClipSource, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Yields every visit once, in order; the last batch is padded with `example_mask` 0."""
    return (batch for batch, _ in timed_batches(source, batch_size))


def timed_batches(source: ClipSource, batch_size: int
                  ) -> Iterator[tuple[dict[str, np.ndarray], tuple[float, ...]]]:
    """As `eval_batches`, each with the durations of its recordings in seconds, without padding.

    They are no part of the batch: no network is told, and compiled programs stay what they are.
    """
    for start in range(0, len(source), batch_size):
        examples, durations_s = zip(*(
            source.timed(i) for i in range(start, min(start + batch_size, len(source)))),
            strict=True)
        nothing = {name: np.zeros_like(value) for name, value in examples[0].items()}
        examples += (nothing,) * (batch_size - len(examples))
        yield ({name: np.stack([example[name] for example in examples]) for name in nothing},
               durations_s)


def drawn_on(clip: Clip, frames: tuple[Frame, ...], mask_stride: int) -> list[Drawn]:
    """What is drawn on the annotated frames of a clip, moved to clip pixels."""
    size = clip.images.shape[1]
    return [(int(i), clip_mask(frame.mask(), clip.affine, size, mask_stride),
             clip_keypoints(frame.keypoints, clip.affine, size))
            for frame in frames
            for i in np.nonzero(np.abs(clip.times_s - frame.time_s) < SAME_FRAME_S)[0]]


def fill(drawn: list[Drawn], frames: int, size: int, mask_stride: int) -> dict[str, np.ndarray]:
    """The drawn frames among those without annotation, as arrays over t.

    Args:
      frames, size: Number of frames of the clip, and their side in pixels.

    Returns:
      "masks" [t, h', w'] uint8, "keypoints" [t, 19, 3] and "annotated" [t] float32.
    """
    side = size // mask_stride
    arrays = {"masks": np.zeros((frames, side, side), np.uint8),
              "keypoints": np.zeros((frames, len(KEYPOINTS), 3), np.float32),
              "annotated": np.zeros(frames, np.float32)}
    for i, mask, keypoints in drawn:
        arrays["masks"][i], arrays["keypoints"][i], arrays["annotated"][i] = mask, keypoints, 1
    return arrays


def clip_mask(mask: np.ndarray, affine: np.ndarray, size: int, stride: int) -> np.ndarray:
    """A mask of shown pixels as one of the clip's cells; a cell takes what covers half of it.

    Args:
      mask: Categories in the shown picture, [h, w] uint8.
      affine: From shown pixels to clip pixels, [2, 3].
      size: Side of the clip in pixels.
      stride: Side of a cell in clip pixels.

    Returns:
      Categories, [size / stride, size / stride] uint8.
    """
    # OpenCV counts from pixel centres: x + 0.5 is the continuous coordinate.
    shift = affine[:, :2] @ (0.5, 0.5) + affine[:, 2] - 0.5
    centred = np.concatenate([affine[:, :2], shift[:, None]], 1)
    cells = size // stride
    small = np.zeros((cells, cells), np.uint8)
    for value in range(1, len(CATEGORIES) + 1):
        share = cv2.warpAffine((mask == value).astype(np.float32), centred, (size, size))
        share = share.reshape(cells, stride, cells, stride).mean((1, 3))
        small[share >= 0.5] = value
    return small


def clip_keypoints(keypoints: Sequence[Sequence[float]], affine: np.ndarray, size: int
                   ) -> np.ndarray:
    """Points in clip pixels, [19, 3] float32; one outside the clip is not labelled.

    Args:
      keypoints: x, y in shown pixels and visibility, [19, 3].
      affine: From shown pixels to clip pixels, [2, 3].
      size: Side of the clip in pixels.
    """
    points = np.array(keypoints, np.float32)
    moved = points[:, :2] @ affine[:, :2].T + affine[:, 2]
    inside = ((moved >= 0) & (moved < size)).all(1) & (points[:, 2] > 0)
    return np.where(inside[:, None], np.concatenate([moved, points[:, 2:]], 1), 0)
