"""A clip of evenly spaced frames out of a phone video, upright, in the right colours.

PyAV decodes in one pass and picks frames by presentation time, so variable frame rates come out
right; where the wanted frames are far apart it seeks. Rotation is applied. An HD file without a
colour tag is BT.709, as browsers take it; FFmpeg alone would take it for BT.601.

Coordinates are continuous: pixel i covers [i, i + 1). "Shown" pixels are those of the upright
picture a player shows, in which masks and keypoints are drawn.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from scipy.optimize import linear_sum_assignment

REASONS = ("missing", "not_a_video", "picture", "audio_only", "no_frames", "no_index", "truncated",
           "damaged", "too_short")
FITS = ("crop", "letterbox")
MINIMUM_S = 1.0  # a shorter video cannot show the newborn from several sides
SEEK_GAP_S = 8.0  # wanted frames further apart are sought; phones write a key frame every 1-2 s
HD_SIDE = 720  # px; untagged video from here on is BT.709
WHOLE_FRACTION = 0.95  # of the declared duration must be there
_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED


class VideoError(ValueError):
    """A video that cannot be used; `reason` is one of REASONS."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        assert reason in REASONS, reason
        self.reason = reason

    # It travels from worker processes.
    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str]]:
        return VideoError, (self.reason, str(self))


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
    info = probe(path, minimum_s)
    even = (np.arange(frames) + 0.5) * info.duration_s / frames  # the middles of equal parts
    # The annotated frame itself, not one before it by rounding.
    exact = np.unique([frame_time(info, time_s) for time_s in exact_times_s])
    exact = exact[_pairs(exact, even)[0]]
    wanted = np.concatenate([even, exact])
    images = np.empty((len(wanted), size, size, 3), np.uint8)
    times = np.empty(len(wanted), np.float32)
    order = np.argsort(wanted, kind="stable")
    with av.open(str(path)) as container:
        last, before = None, 0
        for i, (time_s, frame) in zip(order, _frames_at(container, wanted[order], path),
                                      strict=True):
            images[i] = images[before] if frame is last else _to_image(frame, settings)
            times[i], last, before = time_s, frame, i
    return Clip(images[:frames], times[:frames], info.width, info.height,
                fit_affine(info.width, info.height, size, fit), info.duration_s, images[frames:],
                times[frames:])


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
    rows, columns = linear_sum_assignment(np.abs(exact[:, None] - even[None, :]))
    return rows, np.sort(columns)


def probe(path: str | Path, minimum_s: float = MINIMUM_S) -> VideoInfo:
    """What a file holds, by its packets; nothing but one frame is decoded.

    Raises:
      VideoError: If the file cannot be used, with the reason.
    """
    name = Path(path).name
    if not Path(path).is_file():
        raise VideoError("missing", f"{name} does not exist; check the path in visits.csv")
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container, name)
            first = _first_frame(container, stream, name)
            times, ends = _packet_times(container, stream)
            declared = _declared_duration(container, stream)
    except av.error.FFmpegError as error:
        raise VideoError("not_a_video", f"{name} cannot be read as a video ({error.strerror}); it "
                                        f"may be cut off, or not a video") from error
    duration = float(ends.max())
    if duration < WHOLE_FRACTION * declared:
        raise VideoError("truncated", f"{name} ends at {duration:.1f} s of {declared:.1f} s; it is "
                                      f"cut off, copy it again from the phone")
    if duration < minimum_s:
        raise VideoError("too_short", f"{name} lasts {duration:.2f} s; record at least "
                                      f"{minimum_s:g} s")
    turned = round(first.rotation / 90) % 2 == 1
    width, height = (first.height, first.width) if turned else (first.width, first.height)
    return VideoInfo(width, height, times, duration)


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


def _video_stream(container: InputContainer, name: str) -> av.VideoStream:
    """The stream of pictures, not a cover in a sound file.

    Raises:
      VideoError: If there is none, or the file is a picture.
    """
    if container.format.name.endswith("_pipe") or container.format.name == "image2":
        raise VideoError("picture", f"{name} is a picture ({container.format.name}), not a video; "
                                    f"record a video")
    streams = [stream for stream in container.streams.video
               if not stream.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        if container.streams.audio:
            raise VideoError("audio_only", f"{name} holds sound but no picture; record a video")
        raise VideoError("no_frames", f"{name} holds no video stream; record it again")
    streams[0].thread_type = "AUTO"
    return streams[0]


def _first_frame(container: InputContainer, stream: av.VideoStream, name: str) -> av.VideoFrame:
    """The first frame; the container stands at its start again.

    Raises:
      VideoError: If no frame can be decoded, or none can be sought.
    """
    try:
        frame = next(container.decode(stream), None)
    except av.error.FFmpegError as error:
        raise VideoError("damaged", f"{name} cannot be decoded ({error.strerror}); copy it again "
                                    f"from the phone") from error
    if frame is None:
        raise VideoError("no_frames", f"{name} holds no frames; record it again")
    try:
        container.seek(0)
    except av.error.FFmpegError as error:
        raise VideoError("no_index", f"{name} holds no index, so no frame has a time (raw H.264, "
                                     f"for example); convert it to mp4") from error
    return frame


def _packet_times(container: InputContainer, stream: av.VideoStream
                  ) -> tuple[np.ndarray, np.ndarray]:
    """Ascending start times and the ends of all frames, in seconds from the first."""
    found = sorted((packet.pts, packet.duration or 0) for packet in _packets(container, stream))
    pts, lengths = np.array(found, np.float64).T
    if not lengths[-1]:  # some containers leave the last one out
        lengths[-1] = np.median(np.diff(pts)) if len(pts) > 1 else 0
    # Whole ticks divided once: 1.5 s are 1.5, not 1.5 and a rounding error.
    tick = stream.time_base
    seconds = lambda ticks: ticks * tick.numerator / tick.denominator
    return seconds(pts - pts[0]), seconds(pts - pts[0] + lengths)


def _packets(container: InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """Yields whole packets up to where the file breaks off; the duration tells what is missing."""
    try:
        for packet in container.demux(stream):
            if packet.pts is not None and not packet.is_corrupt and packet.size:
                yield packet
    except av.error.FFmpegError:
        return


def _declared_duration(container: InputContainer, stream: av.VideoStream) -> float:
    """The length in seconds that the file says, or 0."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _frames_at(container: InputContainer, wanted: np.ndarray, path: str | Path
               ) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yields the frames on show at ascending times, with their own times in seconds.

    Args:
      wanted: Times in seconds from the first frame, [n].
      path: Path of the file, for errors.
    """
    name = Path(path).name
    stream = _video_stream(container, name)
    frames, start, shown, coming = container.decode(stream), None, None, None
    try:
        for want in wanted:
            if start is not None and coming and want - (coming.time - start) > SEEK_GAP_S:
                # Half a tick more, for a time that was rounded down.
                container.seek(int((want + start) / stream.time_base + 0.5), stream=stream)
                frames, shown, coming = container.decode(stream), None, None
            while shown is None or (coming and coming.time - start <= want + 1e-6):
                shown, coming = coming, next((f for f in frames if f.time is not None), None)
                if shown is None and coming is None:
                    raise VideoError("truncated", f"{name} has no frame at {want:.1f} s; copy it "
                                                  f"again from the phone")
                start = coming.time if start is None else start
            yield shown.time - start, shown
    except av.error.FFmpegError as error:
        raise VideoError("damaged", f"{name} cannot be decoded after {0 if not shown else want:.1f}"
                                    f" s ({error.strerror}); copy it again") from error


def _to_image(frame: av.VideoFrame, settings: ClipSettings) -> np.ndarray:
    """The frame resized while still YUV, turned upright, cropped or padded.

    Returns:
      [size, size, 3] uint8 RGB.
    """
    size = settings.size
    wide, tall = _resized(frame.width, frame.height, size, settings.fit)
    colours = {}
    if frame.colorspace == _UNTAGGED:
        hd = min(frame.width, frame.height) >= HD_SIDE
        colours = dict(src_colorspace="ITU709" if hd else "ITU601", dst_colorspace="ITU709")
    image = frame.reformat(wide, tall, "rgb24", interpolation="AREA", **colours).to_ndarray()
    image = np.rot90(image, round(frame.rotation / 90) % 4)
    vertical, horizontal = ((length - size) // 2 for length in image.shape[:2])
    image = image[max(vertical, 0):max(vertical, 0) + size,
                  max(horizontal, 0):max(horizontal, 0) + size]
    rows, columns = max(-vertical, 0), max(-horizontal, 0)
    return np.pad(image, ((rows, rows), (columns, columns), (0, 0)))
