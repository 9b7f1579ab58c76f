"""What phones write is read at the right times, upright and whole, or refused by name.

Not made here, because PyAV cannot write them: Dolby Vision, and a stream of which packets have no
time of any kind; the first is told by its colour matrix, the second is `test_video.py`'s raw
stream.
"""
import contextlib
import itertools
import socket
import struct
import threading

import av
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
from make_records import write_records
from make_videos import picture, step_of, write_video
from phone_videos import (
    SDR709,
    replace_bytes,
    set_edit_list,
    steps,
    write_phone,
    write_two_sizes,
)

from nurture_jax import records
from nurture_jax.clips import clip_cache
from nurture_jax.records import video, video_file

QUICK = {"preset": "ultrafast", "crf": "8"}
X265 = {"preset": "ultrafast", "crf": "8", "x265-params": "log-level=none:pools=1:bframes=3"}


def refused(path, reason, sentence, **settings):
    """Refused by both readers with the same words."""
    for read in (video.probe, video.sample_clip):
        with pytest.raises(video.VideoError, match=sentence) as caught:
            read(path, **settings)
        assert caught.value.reason == reason


@pytest.mark.parametrize("name, settings", [
    ("b_frames.mp4", dict(options={**QUICK, "bf": "3", "g": "10"})),
    ("sound.mov", dict(options={**QUICK, "bf": "2"}, sound="aac")),
    ("hevc.mp4", dict(codec="libx265", options=X265)),
    ("vp9.webm", dict(codec="libvpx-vp9", options={"crf": "10", "b": "0", "cpu-used": "8"},
                      sound="libopus")),
    ("av1.mp4", dict(codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"})),
    ("sound.mkv", dict(options=QUICK, sound="aac")),
    ("mpeg4.3gp", dict(codec="mpeg4", options={"q": "2"}, sound="libopencore_amrnb")),
    ("stream.ts", dict(options={**QUICK, "bf": "2"})),
    ("late_start.flv", dict(options={**QUICK, "bf": "2"})),
    # Packets of AVI have decoding times only; what FFmpeg makes of them is out of order.
    ("b_frames.avi", dict(options={**QUICK, "bf": "2"})),
    ("mpeg4.avi", dict(codec="mpeg4", options={"bf": "2", "qmin": "1", "qmax": "3"})),
])
def test_containers_and_codecs(tmp_path, name, settings):
    path = write_phone(tmp_path / name, **settings)
    info = video.probe(path)
    assert (info.width, info.height) == (96, 64)
    np.testing.assert_allclose(info.times_s, np.arange(20) / 15, atol=1e-3)
    assert info.duration_s == pytest.approx(20 / 15, abs=1e-3)
    clip = video.sample_clip(path, 4, 64, fit="letterbox", exact_times_s=[7 / 15, 13 / 15])
    np.testing.assert_allclose(clip.times_s, np.array([2, 7, 12, 17]) / 15, atol=1.1e-3)
    assert [step_of(image, 20) for image in clip.images] == [2, 7, 12, 17]
    assert [step_of(image, 20) for image in clip.exact_images] == [7, 13]
    assert [number for number, _, _ in video.full_frames(path, [0.0, 7 / 15 + 0.01])] == [0, 7]


def test_packets_without_pts_are_counted(tmp_path, monkeypatch):
    path = write_phone(tmp_path / "a.mp4", options=QUICK)
    found = video_file._packets

    class WithoutPts:
        def __init__(self, packet):
            self.pts, self.dts, self.duration = None, packet.dts, packet.duration

    monkeypatch.setattr(video_file, "_packets", lambda *open: map(WithoutPts, found(*open)))
    clip = video.sample_clip(path, 4, 64, fit="letterbox", exact_times_s=[13 / 15])
    np.testing.assert_allclose(clip.times_s, np.array([2, 7, 12, 17]) / 15, atol=1e-3)
    assert [step_of(image, 20) for image in (*clip.images, *clip.exact_images)] == [
        2, 7, 12, 17, 13]
    monkeypatch.setattr(WithoutPts, "__init__", lambda self, packet: vars(self).update(
        pts=None, dts=None, duration=None))
    refused(path, "no_index", r"a.mp4 holds no index")
    monkeypatch.setattr(video_file, "_packets", lambda *_: iter(()))
    refused(path, "no_frames", r"a.mp4 holds no frames")


@pytest.mark.parametrize("start, count", [(0, 9), (6, 12), (13, 14)])
def test_a_trimmed_clip_is_what_is_shown(tmp_path, start, count):
    """The pre-roll before the first shown frame is decoded, but has no number and no time."""
    path = write_phone(tmp_path / "a.mp4", steps(30), options={**QUICK, "bf": "2", "g": "12"})
    set_edit_list(path, start / 15, count / 15)
    info = video.probe(path, minimum_s=0.5)
    np.testing.assert_allclose(info.times_s, np.arange(count) / 15, atol=2e-3)
    assert info.duration_s == pytest.approx(count / 15, abs=2e-3)
    asked = [info.times_s[1], info.times_s[-1]]
    clip = video.sample_clip(path, 3, 64, fit="letterbox", minimum_s=0.5, exact_times_s=asked)
    assert [step_of(image, 30) for image in clip.exact_images] == [start + 1, start + count - 1]
    middles = start + np.floor((np.arange(3) + 0.5) * count / 3)
    assert np.abs([step_of(image, 30) for image in clip.images] - middles).max() <= 1
    np.testing.assert_allclose(clip.exact_times_s, asked, atol=1e-3)


def test_an_annotated_frame_that_is_not_met_is_told(tmp_path, monkeypatch):
    """Where the decoder drops a frame, its annotation would lie on another."""
    path = write_video(tmp_path / "a.mp4")
    decoded = av.container.InputContainer.decode
    monkeypatch.setattr(video.VideoFile, "_decoded", lambda self: (
        (frame.time, frame) for i, frame in enumerate(decoded(self.container, self.stream))
        if i != 9))
    with pytest.raises(video.VideoError, match=r"no frame of its own at 0.600 s, which is anno") \
            as caught:
        video.sample_clip(path, 4, 32, exact_times_s=[0.6])
    assert caught.value.reason == "unmet_annotation"
    video.sample_clip(path, 4, 32, exact_times_s=[0.2])


MATRICES = [(a, b, c, d) for s, t in itertools.product((1, -1), repeat=2)
            for a, b, c, d in ((s, 0, 0, t), (0, s, t, 0))]


@pytest.mark.parametrize("matrix", MATRICES)
def test_every_turn_and_every_mirror(tmp_path, matrix):
    """Pixel by pixel as ISO 14496-12 says: (p, q) is shown at (a p + c q, b p + d q)."""
    a, b, c, d = matrix
    stored = picture(96, 64, 0, 1)
    stored[:16, :16] = (30, 30, 220)  # so that no two of the eight look alike
    path = write_phone(tmp_path / "a.mp4", [stored] * 8, fps=5, options=QUICK,
                       matrix=[a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30])
    q, p = np.indices((64, 96))
    x, y = a * p + c * q, b * p + d * q
    shown = np.zeros((np.ptp(y) + 1, np.ptp(x) + 1, 3), np.uint8)
    shown[y - y.min(), x - x.min()] = stored
    info = video.probe(path)
    assert (info.width, info.height) == shown.shape[1::-1]
    image = next(video.full_frames(path, 1))[2]
    assert np.abs(image.astype(int) - shown).mean() < 3


def test_an_empty_matrix_is_none(tmp_path):
    path = write_phone(tmp_path / "a.mp4", fps=10, options=QUICK, matrix=[0] * 9)
    assert video.probe(path).width == 96


def test_a_tilted_matrix_is_refused(tmp_path):
    tilted = [46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30]  # 45 degrees
    path = write_phone(tmp_path / "a.mp4", fps=10, options=QUICK, matrix=tilted)
    refused(path, "tilted", r"a.mp4 is shown tilted .* turn it upright")


@pytest.mark.parametrize("name, settings, stored, aspect", [
    ("a.3gp", dict(codec="h263", options={"q": "2"}), (176, 144), 12 / 11),  # H.263's own
    ("a.mp4", dict(options={**QUICK, "x264-params": "sar=4/3"}), (96, 64), 4 / 3),
    ("t.mp4", dict(options={**QUICK, "x264-params": "sar=4/3"},
                   matrix=[0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]), (96, 64), 4 / 3)])
def test_pixels_that_are_not_square(tmp_path, name, settings, stored, aspect):
    path = write_phone(tmp_path / name, steps(20, *stored), **settings)
    info = video.probe(path)
    size = (round(stored[0] * aspect), stored[1])
    assert (info.width, info.height) == (size[::-1] if name == "t.mp4" else size)
    image = next(video.full_frames(path, 1))[2]
    assert image.shape[:2] == (info.height, info.width)
    red = image[..., 0].astype(int) - image[..., 1] > 95  # half of the square's
    tall, wide = (np.ptp(np.nonzero(red.any(axis))[0]) + 1 for axis in (1, 0))
    if name == "t.mp4":
        tall, wide = wide, tall
    assert (wide, tall) == (pytest.approx(16 * aspect, abs=3), pytest.approx(16, abs=3))


@pytest.mark.parametrize("tag", [b"\xc2\xe8\xe4\xe5\xee Handle", b"\x93\xae\x89\xe6 Handler"])
def test_tags_in_other_encodings(tmp_path, tag):
    """Windows-1251 and Shift-JIS in the place of the name of the handler."""
    path = replace_bytes(write_video(tmp_path / "a.mp4"), b"VideoHandler", tag.ljust(12))
    with pytest.raises(UnicodeDecodeError), av.open(str(path)):
        pass
    assert len(video.probe(path).times_s) == 30
    assert step_of(video.sample_clip(path, 5, 32).images[-1], 30) == 27


def test_a_change_of_size_in_mid_stream(tmp_path):
    path = write_two_sizes(tmp_path / "a.ts", [(96, 64), (48, 32)])
    clip = video.sample_clip(path, 4, 64, fit="letterbox")
    assert (clip.width, clip.height) == (96, 64)
    assert [step_of(image, 15) for image in clip.images] == [3, 11, 3, 11]
    changed = write_two_sizes(tmp_path / "b.ts", [(96, 64), (64, 96)])
    with pytest.raises(video.VideoError, match=r"b.ts changes from 96 x 64 to 64 x 96") as caught:
        video.sample_clip(changed, 4, 64)
    assert caught.value.reason == "changing_shape"


def test_4k(tmp_path):
    path = write_phone(tmp_path / "a.mp4", steps(2, 3840, 2160), fps=2, options=QUICK,
                       colours=SDR709)
    clip = video.sample_clip(path, 2, 64, fit="letterbox")
    assert (clip.width, clip.height) == (3840, 2160)
    assert [step_of(image, 2) for image in clip.images] == [0, 1]


def test_what_a_decoder_has_no_memory_for(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4")
    monkeypatch.setattr("nurture_jax.records.video_file.MAX_SIDE_PX", 90)
    refused(path, "too_large", r"a.mp4 has 96 x 64 pixels; at most 90 a side")
    monkeypatch.undo()
    monkeypatch.setattr("nurture_jax.records.video_file.MAX_S", 1.5)
    refused(path, "too_long", r"a.mp4 lasts 2 s, more than")


def test_a_frame_that_cannot_be_converted_is_a_reason(tmp_path, monkeypatch):
    """Not an exception that ends the shard, or the data set."""
    path = write_video(tmp_path / "a.mp4")

    def fail(*_):
        raise av.error.FFmpegError(95, "Operation not supported")

    monkeypatch.setattr("nurture_jax.records.colour.to_rgb", fail)
    with pytest.raises(video.VideoError, match=r"a.mp4 has a frame that cannot be conv") as caught:
        video.sample_clip(path, 2, 32)
    assert caught.value.reason == "damaged"


def test_no_file_ends_a_data_set(tmp_path):
    """All that is refused is counted under its name, and the rest is decoded."""
    folder = write_records(tmp_path / "set", marks=False)
    place = lambda visit: folder / f"videos/{visit}.mp4"
    write_phone(place("n0_1"), fps=10, options=QUICK, colours=(14, 16, 9), format="matroska")
    write_phone(place("n1_0"), fps=10, options=QUICK,
                matrix=[46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30])
    replace_bytes(write_video(place("n1_1")), b"VideoHandler", b"\xc2\xe8\xe4\xe5\xee Handle")
    write_two_sizes(place("n2_0"), [(96, 64), (64, 96)])
    data = bytearray(place("n2_1").read_bytes())
    data[len(data) // 3:] = bytes(len(data) - len(data) // 3)
    place("n2_1").write_bytes(data)
    found = records.load(folder)
    cache = clip_cache.build(found, tmp_path / "cache", video.ClipSettings(4, 32))
    reasons = {out.visit: out.reason for out in cache.records.left_out}
    assert {visit: reasons[visit] for visit in ("n0/1", "n1/0", "n2/0")} == {
        "n0/1": "colours", "n1/0": "tilted", "n2/0": "changing_shape"}
    assert "n2/1" in reasons and len(reasons) == 4
    assert [visit.key for visit in cache.records.visits] == ["n0/0", "n1/1", "n3/0", "n3/1"]


@pytest.mark.parametrize("error", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
                                   RuntimeError("odd"), OSError(5, "odd")])
def test_whatever_goes_wrong_at_opening_is_a_reason(tmp_path, monkeypatch, error):
    path = write_video(tmp_path / "a.mp4")

    def fail(*_):
        raise error

    monkeypatch.setattr(video_file, "_packet_times", fail)
    refused(path, "not_a_video", r"a.mp4 cannot be read as a video \(.*odd")


PLAYLIST = ("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n"
            "#EXT-X-ENDLIST\n")
SESSION = ("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
           "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n")


@pytest.mark.parametrize("name, text", [("a.m3u8", PLAYLIST), ("a.sdp", SESSION)])
def test_a_list_of_what_is_elsewhere_reaches_nobody(tmp_path, name, text):
    """A playlist would be fetched from the network, a session description listened for."""
    asked = []

    def answer(server):
        with contextlib.suppress(OSError):  # the server is closed
            while True:
                asked.append(server.accept()[0])
                asked[-1].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=[server], daemon=True).start()
        (tmp_path / name).write_text(text.format(port=server.getsockname()[1]))
        refused(tmp_path / name, "not_a_video", "cannot be read as a video")
    assert not asked


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A minute of 60 key frames that do not compress, with their index behind them."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 96, 128, 3)).astype(np.uint8)
    folder = tmp_path_factory.mktemp("noisy")
    return [write_phone(folder / name, images, fps=1, options={**QUICK, "g": "4", **more},
                        sound="aac")
            for name, more in (("a.mp4", {}), ("b.mov", {"bf": "2"}))]


@pytest.mark.parametrize("which", [0, 1])
def test_a_probe_reads_little_and_spoils_nothing(noisy, which, monkeypatch):
    """Zeros stand for the packets while times are read, never while frames are decoded."""
    path = noisy[which]
    opened = []
    kept = video_file.SkippingFile
    monkeypatch.setattr(video_file, "SkippingFile",
                        lambda path: opened.append(kept(path)) or opened[-1])
    info = video.probe(path)
    assert len(opened) == 1 and path.stat().st_size > 1_000_000
    # The header, and what decoding threads take before the first frame comes out.
    assert opened[0].bytes_read < 0.3 * path.stat().st_size
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.reformat(format="rgb24").to_ndarray())
                  for frame in container.decode(video=0)]
    np.testing.assert_allclose(info.times_s, [time - frames[0][0] for time, _ in frames])
    for wanted in ([59.0], [0.0, 1.0, 58.0, 59.0], info.times_s):  # sought or in a row
        for number, _, image in video.full_frames(path, wanted):
            assert np.abs(image.astype(int) - frames[number][1]).mean() < 2
    assert len(opened) == 4


def test_a_fragmented_file_is_read_whole(tmp_path):
    """Its packets have no table in the header, so nothing may be skipped."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=15, options={**QUICK, "g": "5"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for image in steps():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    clip = video.sample_clip(path, 4, 64, fit="letterbox")
    np.testing.assert_allclose(clip.times_s, np.array([2, 7, 12, 17]) / 15, atol=2e-3)
    assert [step_of(image, 20) for image in clip.images] == [2, 7, 12, 17]


def test_a_reserved_colour_tag_is_taken_as_none(tmp_path):
    path = write_phone(tmp_path / "a.mp4", options=QUICK, colours=SDR709)
    tag = struct.pack(">HHH", *SDR709)
    replace_bytes(path, b"nclx" + tag, b"nclx" + struct.pack(">HHH", 3, 3, 3))
    assert step_of(video.sample_clip(path, 4, 64, fit="letterbox").images[1], 20) == 7
