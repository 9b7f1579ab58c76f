"""A video file, opened once: what it holds, when its frames are shown, and the frames themselves.

Times come from the packets. In mp4, mov and 3gp what stands in the packets is not read for it: the
demuxer gets zeros in its place, since the tables in the header already say all about time. Other
containers (mkv, webm, avi) have no such tables and are read through.
"""
from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from nurture_jax.records import colour
from nurture_jax.records.orientation import Orientation

REASONS = ("missing", "not_a_video", "picture", "audio_only", "no_frames", "no_index", "truncated",
           "damaged", "too_short", "too_large", "too_long", "colours", "tilted", "changing_shape",
           "unmet_annotation")
SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp")  # of files in a folder
WHOLE_FRACTION = 0.95  # of the declared duration must be there
SEEK_GAP_S = 8.0  # wanted frames further apart are sought; phones write a key frame every 1-2 s
MAX_SIDE_PX = 8192  # 8K is 7680; more would take gigabytes in the decoder
MAX_S = 3600.0  # our choice; a recording of a newborn takes seconds
NO_PROTOCOL = "none"  # of those by which FFmpeg opens what a file speaks of
SAME_SHAPE = 0.02  # of the ratio of the sides, by which frames may differ within a video
# What PyAV raises: its own errors, and others where a tag or an argument is odd.
ERRORS = (av.error.FFmpegError, OSError, ValueError, RuntimeError)


class VideoError(ValueError):
    """A video that cannot be used; `reason` is one of REASONS."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        assert reason in REASONS, reason
        self.reason = reason

    # It travels from worker processes.
    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str]]:
        return VideoError, (self.reason, str(self))


class SkippingFile:
    """A file for the demuxer that can give zeros for what nobody will look at.

    Attributes:
      name: Path of the file.
      skipped: First byte of the part that is not read, and the byte behind its last.
      bytes_read: How many have been read from the disk.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self.skipped = (0, 0)
        self.bytes_read = 0
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._size = os.fstat(self._file.fileno()).st_size

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; zeros for what lies wholly in `skipped`."""
        start = self._file.tell()
        if self.skipped[0] <= start and start + count <= self.skipped[1]:
            count = max(min(count, self._size - start), 0)
            self._file.seek(count, os.SEEK_CUR)
            return bytes(count)
        data = self._file.read(count)
        self.bytes_read += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a byte, as `io.IOBase.seek`; returns its place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Place of the byte that is read next."""
        return self._file.tell()

    def close(self) -> None:
        """Closes the file on the disk."""
        self._file.close()


@dataclasses.dataclass(frozen=True)
class VideoFile:
    """An open video.

    Attributes:
      name: Name of the file, for errors.
      container, stream: As PyAV opened them.
      orientation: How frames are turned to be shown.
      width, height: Size of the shown picture in pixels.
      times_s: Presentation time of every frame, [n] ascending from 0.
      duration_s: Time of the end of the last frame.
      start_s: Time of the first frame as the container counts.
      counted: Whether frames have no times of their own and are counted instead.
    """

    name: str
    container: InputContainer
    stream: av.VideoStream
    orientation: Orientation
    width: int
    height: int
    times_s: np.ndarray
    duration_s: float
    start_s: float
    counted: bool

    def frames_at(self, wanted: np.ndarray) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yields the frames on show at ascending times, with their own times in seconds.

        Args:
          wanted: Times in seconds from the first frame, [n].

        Raises:
          VideoError: If there is none, or it cannot be decoded or shown.
        """
        frames, shown, coming, want = self._decoded(), None, None, 0.0
        try:
            for want in wanted:
                if coming and not self.counted and want - coming[0] > SEEK_GAP_S:
                    # Half a tick more, for a time that was rounded down.
                    ticks = int((want + self.start_s) / self.stream.time_base + 0.5)
                    self.container.seek(ticks, stream=self.stream)
                    frames, shown, coming = self._decoded(), None, None
                while shown is None or (coming and coming[0] <= want + 1e-6):
                    shown, coming = coming, next(frames, None)
                    if shown is None and coming is None:
                        raise VideoError("truncated", f"{self.name} has no frame at {want:.1f} s; "
                                                      f"copy it again from the phone")
                yield shown
        except VideoError:
            raise
        except ERRORS as error:
            raise VideoError("damaged", f"{self.name} cannot be decoded after "
                                        f"{0 if not shown else want:.1f} s ({_words(error)}); "
                                        f"copy it again") from error

    def _decoded(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Yields frames from where the container stands, with their times in seconds."""
        for number, frame in enumerate(self.container.decode(self.stream)):
            if self.counted and number == len(self.times_s):
                return
            if self.counted:
                yield float(self.times_s[number]), frame
            elif frame.time is not None:
                yield frame.time - self.start_s, frame

    def image(self, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
        """A frame as it is shown, resized; [height, width, 3] uint8 RGB.

        Raises:
          VideoError: If it has other colours or another shape than can be read.
        """
        _check_colours(frame, self.name)
        shown = self.orientation.shown_size(frame.width, frame.height)
        if abs(shown[0] * self.height / (shown[1] * self.width) - 1) > SAME_SHAPE:
            raise VideoError("changing_shape", f"{self.name} changes from {self.width} x "
                                               f"{self.height} to {shown[0]} x {shown[1]} pixels; "
                                               f"record without turning the phone")
        try:
            stored = colour.to_rgb(frame, *self.orientation.stored_size(width, height))
        except ERRORS as error:
            raise VideoError("damaged", f"{self.name} has a frame that cannot be converted "
                                        f"({error}); copy it again") from error
        return self.orientation.upright(stored)


@contextlib.contextmanager
def open_video(path: str | Path, minimum_s: float) -> Iterator[VideoFile]:
    """Opens a video and looks at its first frame and at the times of all.

    Args:
      minimum_s: Length in seconds below which it is refused.

    Raises:
      VideoError: If the file cannot be used, with the reason.
    """
    name = Path(path).name
    if not Path(path).is_file():
        raise VideoError("missing", f"{name} does not exist; check the path in visits.csv")
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(contextlib.closing(SkippingFile(path)))
            container = stack.enter_context(_open(file))
            video = _look(file, container, name)
        except VideoError:
            raise
        except ERRORS as error:
            raise VideoError("not_a_video", f"{name} cannot be read as a video "
                                            f"({_words(error)}); it may be cut off, or not a "
                                            f"video") from error
        if video.duration_s < minimum_s:
            raise VideoError("too_short", f"{name} lasts {video.duration_s:.2f} s; record at least "
                                          f"{minimum_s:g} s")
        yield video


def _open(file: SkippingFile) -> InputContainer:
    """Opened with tags in any encoding (a phone's need not be UTF-8), and this one file alone.

    A list of pieces in the place of a video, such as an HLS playlist, would have FFmpeg fetch them:
    it keeps away from the network by itself only where it opens the file by its path.
    """
    alone = {"protocol_whitelist": NO_PROTOCOL}
    try:
        return av.open(file, options=alone, metadata_errors="replace")
    except TypeError:  # a PyAV without the option replaces by itself
        return av.open(file, options=alone)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _look(file: SkippingFile, container: InputContainer, name: str) -> VideoFile:
    stream = _video_stream(container, name)
    first = _first_frame(container, stream, name)
    try:
        orientation = Orientation.of(first, stream)
    except ValueError as error:
        raise VideoError("tilted", f"{name} is shown tilted ({error}); turn it upright and save it "
                                   f"again") from error
    width, height = orientation.shown_size(first.width, first.height)
    _check_size(width, height, name)
    _check_colours(first, name)
    file.skipped = _packets_in(container, stream)
    starts, ends, counted = _packet_times(container, stream, name)
    file.skipped = (0, 0)
    # The buffer may hold zeros; what is read next is the first packet, so it is filled anew.
    container.seek(0)
    duration, declared = float(ends.max() - starts[0]), _declared_duration(container, stream)
    # Some containers declare the time of the end, counted from before the first frame.
    if max(duration, ends.max()) < WHOLE_FRACTION * declared:
        raise VideoError("truncated", f"{name} ends at {duration:.1f} s of {declared:.1f} s; it is "
                                      f"cut off, copy it again from the phone")
    if duration > MAX_S:
        raise VideoError("too_long", f"{name} lasts {duration:.0f} s, more than {MAX_S:.0f} s; cut "
                                     f"out the part with the newborn")
    return VideoFile(name, container, stream, orientation, width, height, starts - starts[0],
                     duration, float(starts[0]), counted)


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
    if streams[0].codec_context is None:
        raise VideoError("damaged", f"{name} holds pictures in a code that is not known; copy it "
                                    f"again, or convert it to H.264 in mp4")
    # Before a decoder takes memory for it.
    _check_size(streams[0].codec_context.width, streams[0].codec_context.height, name)
    streams[0].thread_type = "AUTO"
    return streams[0]


def _check_size(width: int, height: int, name: str) -> None:
    if max(width, height) > MAX_SIDE_PX:
        raise VideoError("too_large", f"{name} has {width} x {height} pixels; at most "
                                      f"{MAX_SIDE_PX} a side can be read")


def _check_colours(frame: av.VideoFrame, name: str) -> None:
    if what := colour.fault(frame):
        raise VideoError("colours", f"{name} has colours that cannot be read ({what}); record or "
                                    f"export it in standard colours (SDR)")


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
        raise _no_index(name) from error
    return frame


def _no_index(name: str) -> VideoError:
    return VideoError("no_index", f"{name} holds no index, so no frame has a time (raw H.264, for "
                                  f"example); convert it to mp4")


def _packets_in(container: InputContainer, stream: av.VideoStream) -> tuple[int, int]:
    """Where the packets stand in an mp4 with a table of them, from byte to byte."""
    entries = stream.index_entries
    # In fragments there is more between them, and no number of frames in the header.
    if not container.format.name.startswith("mov") or not stream.frames or not len(entries):
        return 0, 0
    starts, sizes = np.array([(entry.pos, entry.size) for entry in entries], np.int64).T
    return int(starts.min()), int((starts + sizes).max())


def _packet_times(container: InputContainer, stream: av.VideoStream, name: str
                  ) -> tuple[np.ndarray, np.ndarray, bool]:
    """Ascending start times and the ends of all frames, in seconds as the container counts.

    Returns:
      Starts and ends, [n] each, and whether frames have to be counted, because only the times at
      which they are decoded are known.

    Raises:
      VideoError: If there are none.
    """
    packets = [(packet.pts, packet.dts, packet.duration or 0)
               for packet in _packets(container, stream)]
    # AVI says only when a frame is decoded; what FFmpeg makes of it for B-frames is out of order.
    counted = container.format.name == "avi" or any(pts is None for pts, _, _ in packets)
    found = [(dts if counted else pts, length) for pts, dts, length in packets]
    if not found:
        raise VideoError("no_frames", f"{name} holds no frames; record it again")
    if any(start is None for start, _ in found):
        raise _no_index(name)
    starts, lengths = np.array(sorted(found), np.float64).T
    if not lengths[-1]:  # some containers leave the last one out
        lengths[-1] = np.median(np.diff(starts)) if len(starts) > 1 else 0
    tick: Fraction = stream.time_base
    # Whole ticks divided once: 1.5 s are 1.5, not 1.5 and a rounding error.
    seconds = lambda ticks: ticks * tick.numerator / tick.denominator
    return seconds(starts), seconds(starts + lengths), counted


def _packets(container: InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """Yields whole packets of frames on show up to where the file breaks off.

    What an edit list cuts off is decoded, because later frames need it, but never shown.
    """
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_corrupt and not packet.is_discard:
                yield packet
    except av.error.FFmpegError:
        return


def _declared_duration(container: InputContainer, stream: av.VideoStream) -> float:
    """The length in seconds that the file says, or 0."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base
