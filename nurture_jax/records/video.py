"""A clip of evenly spaced frames out of a phone video, upright, in the right colours.

PyAV decodes in one pass and picks frames by presentation time, so variable frame rates come out
right; where the wanted frames are far apart it seeks. `video_file` opens what phones write,
`orientation` and `colour` make its frames what a player shows.

Coordinates are continuous: pixel i covers [i, i + 1). "Shown" pixels are those of the upright
picture a player shows, in which masks and keypoints are drawn.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from nurture_jax.records.video_file import VideoError, VideoFile, open_video

FITS = ("crop", "letterbox")
MINIMUM_S = 1.0  # a shorter video cannot show the newborn from several sides
SAME_FRAME_S = 1e-3  # an annotation belongs to the frame of its very time


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a file holds, found without decoding.

    Attributes:
      width, height: Size of the upright picture in pixels.
      times_s: Presentation time of every frame, [n] ascending from 0.
      duration_s: Time of the end of the last frame.
    """

    width: int
    height: int
    times_s: np.ndarray
    duration_s: float


@dataclasses.dataclass(frozen=True)
class Clip:
    """Frames of one video.

    Attributes:
      images: Frames evenly spaced over the video, [t, size, size, 3] uint8 RGB.
      times_s: Their presentation times, counted from the first frame of the video, [t] float32.
      width, height: Size of the shown picture in pixels.
      affine: Clip pixel = affine @ (x, y, 1) of a shown pixel, [2, 3] float32.
      duration_s: Length of the whole video.
      exact_images, exact_times_s: Frames that were asked for by their times, [k, size, size, 3] and
        [k]; k is at most t.
    """

    images: np.ndarray
    times_s: np.ndarray
    width: int
    height: int
    affine: np.ndarray
    duration_s: float
    exact_images: np.ndarray
    exact_times_s: np.ndarray


@dataclasses.dataclass(frozen=True)
class ClipSettings:
    """How a clip is cut from a video.

    Attributes:
      frames: Number of frames, evenly spaced over the whole video.
      size: Side of the square images in pixels.
      fit: How a picture becomes square: "crop" resizes the short side and takes the centre,
        "letterbox" keeps the whole picture, black at the sides.
      minimum_s: Length in seconds below which a video is refused.

    Raises:
      ValueError: If a setting is out of its range.
    """

    frames: int = 25
    size: int = 224
    fit: str = "crop"
    minimum_s: float = MINIMUM_S

    def __post_init__(self) -> None:
        if self.frames < 1 or self.size < 8:
            raise ValueError(f"frames {self.frames} and size {self.size} px are too small; use at "
                             f"least 1 frame and 8 px")
        if self.fit not in FITS:
            raise ValueError(f"fit {self.fit!r} is unknown; use one of {FITS}")


def sample_clip(path: str | Path, frames: int = 25, size: int = 224, *, fit: str = "crop",
                minimum_s: float = MINIMUM_S, exact_times_s: Sequence[float] = ()) -> Clip:
    """`frames` evenly spaced frames of a video as small square images.

    Args:
      frames, size, fit, minimum_s: See `ClipSettings`.
      exact_times_s: Times of annotated frames that are wanted beside those; of more than `frames`
        the ones nearest to them.

    Raises:
      VideoError: If the file cannot be used, with the reason.
    """
    settings = ClipSettings(frames, size, fit, minimum_s)
    with open_video(path, minimum_s) as video:
        info = _info(video)
        even = (np.arange(frames) + 0.5) * info.duration_s / frames  # the middles of equal parts
        # The annotated frame itself, not one before it by rounding.
        exact = np.unique([frame_time(info, time_s) for time_s in exact_times_s])
        exact = exact[_pairs(exact, even)[0]]
        images, times = _images_at(video, np.concatenate([even, exact]), settings)
    _check_met(exact, times[frames:], Path(path).name)
    return Clip(images[:frames], times[:frames], info.width, info.height,
                fit_affine(info.width, info.height, size, fit), info.duration_s, images[frames:],
                times[frames:])


def _images_at(video: VideoFile, wanted: np.ndarray, settings: ClipSettings
               ) -> tuple[np.ndarray, np.ndarray]:
    """Frames on show at these times [n]: images [n, size, size, 3] and their times [n] float32."""
    size = settings.size
    images = np.empty((len(wanted), size, size, 3), np.uint8)
    times = np.empty(len(wanted), np.float32)
    order = np.argsort(wanted, kind="stable")
    last, before = None, 0
    for i, (time_s, frame) in zip(order, video.frames_at(wanted[order]), strict=True):
        images[i] = images[before] if frame is last else _to_image(video, frame, settings)
        times[i], last, before = time_s, frame, i
    return images, times


def _check_met(wanted: np.ndarray, times: np.ndarray, name: str) -> None:
    """Raises VideoError where another frame was decoded than the annotated one."""
    missed = wanted[np.abs(wanted - times) > SAME_FRAME_S]
    if len(missed):
        raise VideoError("unmet_annotation", f"{name} shows no frame of its own at "
                                             f"{missed[0]:.3f} s, which is annotated ({len(missed)}"
                                             f" such); copy it again from the phone")


def full_frames(path: str | Path, wanted: Sequence[float] | int, *, minimum_s: float = MINIMUM_S
                ) -> Iterator[tuple[int, float, np.ndarray]]:
    """Yields upright frames in full size, to be annotated.

    Args:
      wanted: Their times in seconds, ascending, or the number of evenly spaced frames.

    Yields:
      The frame's number from 0, its time in seconds and its picture [h, w, 3] uint8 RGB; a frame
      that is on show at several of the times comes once.

    Raises:
      VideoError: If the file cannot be used, with the reason.
    """
    with open_video(path, minimum_s) as video:
        if isinstance(wanted, int):
            wanted = (np.arange(wanted) + 0.5) * video.duration_s / wanted
        last = None
        for time_s, frame in video.frames_at(np.asarray(wanted, float)):
            if frame is not last:
                number = int(np.argmin(np.abs(video.times_s - time_s)))
                yield number, time_s, video.image(frame, video.width, video.height)
            last = frame


def on_exact_frames(clip: Clip) -> Clip:
    """The clip with every exact frame in the place of an evenly spaced one near it."""
    if not len(clip.exact_times_s):
        return clip
    images, times = clip.images.copy(), clip.times_s.copy()
    _, slots = _pairs(clip.exact_times_s, clip.times_s)
    images[slots], times[slots] = clip.exact_images, clip.exact_times_s
    return dataclasses.replace(clip, images=images, times_s=times)


def _pairs(exact: np.ndarray, even: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in two ascending lists of times, paired so that the distances are least in sum.

    Returns:
      Places in each, ascending, as many as the shorter list has: every slot is taken once, and
      times stay in order.
    """
    if not len(exact):
        return np.array([], int), np.array([], int)
    from scipy.optimize import linear_sum_assignment  # trains only; a file has no scipy

    rows, columns = linear_sum_assignment(np.abs(exact[:, None] - even[None, :]))
    return rows, np.sort(columns)


def probe(path: str | Path, minimum_s: float = MINIMUM_S) -> VideoInfo:
    """What a file holds, by its packets; nothing but one frame is decoded.

    Raises:
      VideoError: If the file cannot be used, with the reason.
    """
    with open_video(path, minimum_s) as video:
        return _info(video)


def _info(video: VideoFile) -> VideoInfo:
    return VideoInfo(video.width, video.height, video.times_s, video.duration_s)


def frame_time(info: VideoInfo, time_s: float) -> float:
    """Presentation time of the frame nearest to `time_s`."""
    return float(info.times_s[np.argmin(np.abs(info.times_s - time_s))])


def fit_affine(width: int, height: int, size: int, fit: str) -> np.ndarray:
    """The resize and crop of `sample_clip`, from shown pixels to clip pixels; [2, 3] float32."""
    wide, tall = _resized(width, height, size, fit)
    return np.array([[wide / width, 0, (size - wide) // 2],
                     [0, tall / height, (size - tall) // 2]], np.float32)


def _resized(width: int, height: int, size: int, fit: str) -> tuple[int, int]:
    """Width and height of a picture before it is cut or padded to `size`."""
    side = min(width, height) if fit == "crop" else max(width, height)
    # An even margin, so that it is the same on both sides.
    even = lambda length: size + 2 * round((length * size / side - size) / 2)
    return even(width), even(height)


def _to_image(video: VideoFile, frame: av.VideoFrame, settings: ClipSettings) -> np.ndarray:
    """The frame upright, resized, cropped or padded; [size, size, 3] uint8 RGB."""
    size = settings.size
    image = video.image(frame, *_resized(video.width, video.height, size, settings.fit))
    vertical, horizontal = ((length - size) // 2 for length in image.shape[:2])
    image = image[max(vertical, 0):max(vertical, 0) + size,
                  max(horizontal, 0):max(horizontal, 0) + size]
    rows, columns = max(-vertical, 0), max(-horizontal, 0)
    return np.pad(image, ((rows, rows), (columns, columns), (0, 0)))
