"""Pictures to H.264 in mp4, with the habits of phones: turned storage, uneven times, colours."""
from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer

from deps_jax.common.files import sealed
from nurture_jax.records.colour import HD_SIDE

TICKS = 90_000  # of the time base, in a second
_BT709 = 1  # AVCOL_SPC_BT709


def write_video(path: Path, pictures: Iterable[np.ndarray], times_s: np.ndarray, end_s: float, *,
                rotation: int = 0, crf: int = 23, colour_tag: bool = True) -> None:
    """Encodes pictures as they come; the file appears under its name when it is whole.

    Args:
      pictures: Upright pictures, [h, w, 3] uint8 RGB, with h and w even.
      times_s: Presentation times, [t] ascending from 0.
      end_s: Time of the end of the last frame.
      rotation: Degrees that a player turns the stored picture counter-clockwise to show it
        upright: -90, 0, 90 or 180.
      crf: Rate factor of H.264; higher is coarser.
      colour_tag: Whether colours are BT.709 and said to be; otherwise they are what players assume
        by the size.
    """
    starts = np.round(np.asarray(times_s) * TICKS).astype(int).tolist()
    lengths = np.diff([*starts, round(end_s * TICKS)]).tolist()
    assert min(lengths) > 0, f"times {times_s} do not ascend"
    lasts = dict(zip(starts, lengths, strict=True))
    part = path.with_name(path.name + ".part")
    try:
        with sealed.told_if_full(path, "videos that are complete are kept"):
            _encode(part, pictures, starts, lasts, rotation, crf, colour_tag, len(starts) / end_s)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)


def _encode(part: Path, pictures: Iterable[np.ndarray], starts: list[int], lasts: dict[int, int],
            rotation: int, crf: int, colour_tag: bool, fps: float) -> None:
    """Writes the file; times are in TICKS, `lasts` how long each frame lasts by its start."""
    with av.open(str(part), "w", format="mp4") as container:
        stream = None
        for start, picture in zip(starts, pictures, strict=True):
            stored = np.ascontiguousarray(np.rot90(picture, -round(rotation / 90) % 4))
            stream = stream or _stream(container, stored.shape, rotation, crf, colour_tag, fps)
            frame = av.VideoFrame.from_ndarray(stored, "rgb24").reformat(
                format="yuv420p", dst_colorspace=_colours(stored.shape, colour_tag))
            frame.pts, frame.time_base = start, Fraction(1, TICKS)
            _write(container, stream.encode(frame), lasts)
        _write(container, stream.encode(), lasts)


def _stream(container: OutputContainer, shape: tuple[int, ...], rotation: int, crf: int,
            colour_tag: bool, fps: float) -> av.VideoStream:
    # One thread, for visits are encoded side by side and the bytes must not depend on the machine.
    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={
        "crf": str(crf), "preset": "superfast", "bf": "0", "g": str(max(round(fps), 1)),
        "threads": "1"})
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
    if rotation:
        stream.set_display_rotation(rotation)
    if colour_tag:
        stream.codec_context.colorspace = _BT709
    return stream


def _colours(shape: tuple[int, ...], colour_tag: bool) -> str:
    return "ITU709" if colour_tag or min(shape[:2]) >= HD_SIDE else "ITU601"


def _write(container: OutputContainer, packets: Iterable[av.Packet], lasts: dict[int, int]) -> None:
    for packet in packets:
        packet.duration = lasts[packet.pts]  # libx264 forgets that of the last frame
        container.mux(packet)
