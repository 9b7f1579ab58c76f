"""Small files as phones write them: other codecs, containers, colours, matrices and edit lists."""
from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from make_videos import picture

# Numbers of ITU-T H.273: matrix, transfer function, primaries.
SDR709, HLG, PQ, SDR2020 = (1, 1, 1), (9, 18, 9), (9, 16, 9), (9, 14, 9)
LUMA_709 = np.array([0.2126, 0.7152, 0.0722])
LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])


def steps(count: int = 20, width: int = 96, height: int = 64) -> list[np.ndarray]:
    """Pictures that tell the frame they are on, see `make_videos.step_of`."""
    return [picture(width, height, i, count) for i in range(count)]


def write_phone(path: Path, images=None, *, codec: str = "libx264", fps: int = 15,
                pix_fmt: str = "yuv420p", full_range: bool = False,
                colours: tuple[int, int, int] | None = None, options: dict | None = None,
                sound: str = "", matrix: list[int] | None = None, format: str | None = None
                ) -> Path:
    """Pictures [h, w, 3] as stored, RGB of 8 bits, or frames that are ready, in any container.

    Args:
      full_range: Whether values take the whole of their bits, and say so.
      colours: Tags of the stream; pictures are converted with the matrix of `colours`.
      sound: Codec of a silent track beside the picture, or none.
      matrix: Nine whole numbers of the display matrix.
      format: Name of the container; None takes it from the ending.
    """
    images = steps() if images is None else images
    frames = [image if isinstance(image, av.VideoFrame) else
              av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(
                  format=pix_fmt, dst_colorspace={(1, 1, 1): "ITU709"}.get(colours, "ITU601"),
                  dst_color_range=2 if full_range else 1)
              for image in images]
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height = frames[0].width, frames[0].height
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.thread_count = 1
        if colours:
            context.colorspace, context.color_trc, context.color_primaries = colours
        if full_range:
            context.color_range = 2
        if matrix:
            stream.set_display_matrix(matrix)
        track = container.add_stream(sound, rate=8000 if "amr" in sound else 48000,
                                     layout="mono") if sound else None
        for i, frame in enumerate(frames):
            frame.pts, frame.time_base = i, Fraction(1, fps)
            if colours:
                frame.colorspace, frame.color_trc, frame.color_primaries = colours
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track:
            _write_silence(container, track, len(frames) / fps)
    return path


def _write_silence(container, track, seconds: float) -> None:
    rate = track.codec_context.sample_rate
    layout = track.codec_context.format.name
    count = track.codec_context.frame_size or 1024
    for start in range(0, int(seconds * rate), count):
        frame = av.AudioFrame(layout, "mono", count)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        container.mux(track.encode(frame))
    container.mux(track.encode())


def ten_bits(signal: np.ndarray, weights: np.ndarray = LUMA_2020) -> av.VideoFrame:
    """R'G'B' [h, w, 3] from 0 to 1 as 10-bit 4:2:0 in limited range (BT.2100, table 9)."""
    luma = signal @ weights
    blue = (signal[..., 2] - luma) / (2 * (1 - weights[2]))
    red = (signal[..., 0] - luma) / (2 * (1 - weights[0]))
    frame = av.VideoFrame(signal.shape[1], signal.shape[0], "yuv420p10le")
    for plane, values in zip(frame.planes, (219 * luma + 16, 224 * blue[::2, ::2] + 128,
                                            224 * red[::2, ::2] + 128), strict=True):
        padded = np.zeros((values.shape[0], plane.line_size // 2), np.uint16)
        padded[:, :values.shape[1]] = np.round(4 * values)
        plane.update(padded.tobytes())
    return frame


def write_hevc10(path: Path, signal: np.ndarray, colours: tuple[int, int, int], frames: int = 8
                 ) -> Path:
    """One picture, repeated, as a 10-bit HEVC file at 5 frames a second."""
    matrix, transfer, primaries = colours
    params = (f"log-level=none:pools=1:frame-threads=1:colormatrix={matrix}:transfer={transfer}:"
              f"colorprim={primaries}")
    weights = LUMA_709 if matrix == 1 else LUMA_2020
    return write_phone(path, [ten_bits(signal, weights) for _ in range(frames)], codec="libx265",
                       fps=5, pix_fmt="yuv420p10le", colours=colours,
                       options={"preset": "ultrafast", "crf": "5", "x265-params": params,
                                "tag": "hvc1"})


def set_edit_list(path: Path, start_s: float, length_s: float) -> Path:
    """Makes an mp4 with an edit list begin later and last shorter, as a gallery's "trim" does."""
    data = bytearray(path.read_bytes())
    movie = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    media = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    place = data.index(b"elst")
    count, _, first = struct.unpack_from(">IIi", data, place + 8)
    assert data[place + 4] == 0 and count == 1
    struct.pack_into(">Ii", data, place + 12, round(length_s * movie),
                     first + round(start_s * media))
    path.write_bytes(data)
    return path


def replace_bytes(path: Path, old: bytes, new: bytes) -> Path:
    """Exchanges bytes of a file for as many others."""
    data = path.read_bytes()
    assert len(old) == len(new) and old in data
    path.write_bytes(data.replace(old, new))
    return path


def write_two_sizes(path: Path, sizes: list[tuple[int, int]], seconds: float = 1,
                    pictures=steps) -> Path:
    """Whole streams of several sizes one after the other: VP8 as WebM by its ending, else H.264
    as MPEG-TS.

    Args:
      pictures: Of a count, a width and a height it gives that many.
    """
    count = int(15 * seconds)
    format, codec, options = ("mpegts", "libx264", {
        "preset": "ultrafast", "bf": "0", "threads": "1", "x264-params": "repeat-headers=1"})
    if path.suffix == ".webm":
        format, codec, options = "webm", "libvpx", {"deadline": "realtime"}
    with av.open(str(path), "w", format=format) as container:
        target, done = None, 0
        for width, height in sizes:
            encoder = av.CodecContext.create(codec, "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base = Fraction(1, 15)
            encoder.options = options
            if target is None:
                target = container.add_stream(codec, rate=15)
                target.width, target.height, target.pix_fmt = width, height, "yuv420p"
            for i, image in enumerate([*pictures(count, width, height), None]):
                frame = None
                if image is not None:
                    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
                    frame.pts, frame.time_base = done + i, Fraction(1, 15)
                for packet in encoder.encode(frame):
                    packet.stream = target
                    packet.time_base = Fraction(1, 15)
                    container.mux(packet)
            done += count
    return path
