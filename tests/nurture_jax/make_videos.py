"""Small real videos for the tests: a coloured square that tells the frame it is on."""
from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TICKS = 600  # of the time base
SQUARE = (12, 20, 16)  # x, y, side of the red square, of a shown picture


def picture(width: int, height: int, step: int, steps: int) -> np.ndarray:
    """[height, width, 3]: grey that brightens with `step`, a red square, a green right border."""
    image = np.full((height, width, 3), 40 + 160 * step // max(steps, 1), np.uint8)
    x, y, side = SQUARE
    image[y:y + side, x:x + side] = (220, 30, 30)
    image[:, -8:] = (30, 200, 30)
    return image


def step_of(image: np.ndarray, steps: int, width_fraction: float = 0.5) -> int:
    """The step that `picture` drew, read from its grey middle."""
    middle = image[image.shape[0] // 2, int(image.shape[1] * width_fraction)].mean()
    return round((middle - 40) * steps / 160)


def write_video(path: Path, *, times_s=None, width: int = 96, height: int = 64, rotation: int = 0,
                images=None, colorspace: int | None = None, faststart: bool = False,
                end_s: float | None = None, gop: int = 12) -> Path:
    """H.264 in mp4. `rotation` is the metadata of a phone held upright: the stored pixels lie.

    Args:
      times_s: presentation time of each frame; 30 at 15 frames a second if not given.
      images: [n] pictures as shown; those of `picture` if not given.
    """
    times_s = np.arange(30) / 15 if times_s is None else np.asarray(times_s)
    options = {"movflags": "faststart"} if faststart else {}
    end_s = times_s[-1] + (times_s[-1] - times_s[-2] if len(times_s) > 1 else 1 / 15) \
        if end_s is None else end_s
    lengths = np.append(np.diff(times_s), end_s - times_s[-1])
    with av.open(str(path), "w", options=options) as container:
        turned = rotation % 180 != 0
        stream = container.add_stream("libx264", rate=30, options={
            "crf": "12", "preset": "ultrafast", "bf": "0", "g": str(gop), "threads": "1"})
        stream.width, stream.height = (height, width) if turned else (width, height)
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        if rotation:
            stream.set_display_rotation(rotation)
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        ticks = {round(time_s * TICKS): round(length * TICKS)
                 for time_s, length in zip(times_s, lengths, strict=True)}

        def write(packets):
            for packet in packets:
                packet.duration = ticks[packet.pts]  # libx264 forgets that of the last frame
                container.mux(packet)

        for i, pts in enumerate(ticks):
            image = picture(width, height, i, len(times_s)) if images is None else images[i]
            # Shown = stored turned by k quarters, so stored = shown turned back.
            stored = np.ascontiguousarray(np.rot90(image, -round(rotation / 90) % 4))
            frame = av.VideoFrame.from_ndarray(stored, "rgb24")
            colours = {1: "ITU709", None: "ITU601"}.get(colorspace, "ITU601")
            frame = frame.reformat(format="yuv420p", dst_colorspace=colours)
            frame.pts, frame.time_base = pts, Fraction(1, TICKS)
            write(stream.encode(frame))
        write(stream.encode())
    return path


def write_raw(video: Path, path: Path) -> Path:
    """The H.264 of a video without a container, as some cameras write it."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return path


def write_sound(path: Path, seconds: float = 2.0) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * int(8000 * seconds)))
    return path
