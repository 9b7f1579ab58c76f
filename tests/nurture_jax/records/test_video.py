"""Frames at the right times, upright, in the right colours; a reason for what cannot be used."""
import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
from make_videos import SQUARE, picture, step_of, write_raw, write_sound, write_video

from nurture_jax.records.video import ClipSettings, on_exact_frames, probe, sample_clip
from nurture_jax.records.video_file import VideoError


def red_square(image):
    """(left, top, right, bottom) of the red pixels, in continuous coordinates."""
    red = (image[..., 0].astype(int) - image[..., 1] > 80)
    rows, columns = np.where(red.any(1))[0], np.where(red.any(0))[0]
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def test_frames_are_evenly_spaced(tmp_path):
    path = write_video(tmp_path / "a.mp4")
    clip = sample_clip(path, 5, 32)
    assert clip.images.shape == (5, 32, 32, 3) and clip.images.dtype == np.uint8
    expected = np.floor((np.arange(5) + 0.5) * 2 / 5 * 15 + 1e-6)
    np.testing.assert_allclose(clip.times_s, expected / 15, atol=2e-3)
    assert [step_of(image, 30) for image in clip.images] == expected.tolist()


def test_more_frames_than_the_video_has_repeats_them(tmp_path):
    path = write_video(tmp_path / "a.mp4", times_s=np.arange(4) / 2)
    clip = sample_clip(path, 8, 32)
    assert [step_of(image, 4) for image in clip.images] == [0, 0, 1, 1, 2, 2, 3, 3]


def test_variable_frame_rate_by_time_not_by_index(tmp_path):
    times = np.concatenate([np.arange(30) / 30, 1 + np.arange(5) / 5])
    clip = sample_clip(write_video(tmp_path / "a.mp4", times_s=times), 4, 32)
    np.testing.assert_allclose(clip.times_s, [0.2333, 0.7333, 1.2, 1.6], atol=4e-3)
    steps = [step_of(image, 35) for image in clip.images]
    assert np.abs(np.array(steps) - [7, 22, 31, 33]).max() <= 1


@pytest.mark.parametrize("fps", [6, 30])
def test_duration_is_to_the_end_of_the_last_frame(tmp_path, fps):
    path = write_video(tmp_path / "a.mp4", times_s=np.arange(int(1.5 * fps)) / fps)
    assert sample_clip(path, 4, 32, exact_times_s=[0.0]).duration_s == 1.5


def test_last_frame_held_long_is_not_truncated(tmp_path):
    path = write_video(tmp_path / "a.mp4", times_s=np.arange(10) / 10, end_s=4.0)
    assert probe(path).duration_s == pytest.approx(4, abs=0.01)
    assert step_of(sample_clip(path, 3, 32).images[-1], 10) == 9


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
@pytest.mark.parametrize("fit", ["crop", "letterbox"])
def test_rotation_and_affine(tmp_path, rotation, fit):
    # Portrait, with a pattern of its own in the part that a centre crop keeps.
    image = picture(64, 96, 0, 1)
    image[20:36, 12:28] = 128
    image[40:60, 10:34] = (220, 30, 30)
    path = write_video(tmp_path / "a.mp4", width=64, height=96, rotation=rotation,
                       images=[image] * 30)
    clip = sample_clip(path, 2, 48, fit=fit)
    assert (clip.width, clip.height) == (64, 96)
    corners = clip.affine @ np.array([[10, 34], [40, 60], [1, 1]])
    expected = np.array([corners[0, 0], corners[1, 0], corners[0, 1], corners[1, 1]])
    np.testing.assert_allclose(red_square(clip.images[0]), expected, atol=1)
    if fit == "letterbox":
        assert clip.images[:, :, :7].max() == 0 and clip.images[:, 5, 10].min() > 20


def test_opencv_shows_the_same_upright_picture(tmp_path):
    path = write_video(tmp_path / "a.mp4", width=64, height=64, rotation=90)
    ok, shown = cv2.VideoCapture(str(path)).read()
    assert ok
    ours = sample_clip(path, 30, 64).images[0]
    assert np.abs(ours.astype(int) - shown[..., ::-1]).mean() < 3
    assert np.abs(red_square(ours) - [12, 20, 28, 36]).max() <= 1


@pytest.mark.parametrize("colorspace, width, height", [(1, 1280, 720), (5, 1280, 720),
                                                       (None, 640, 360)])
def test_colours(tmp_path, colorspace, width, height):
    path = write_video(tmp_path / "a.mp4", width=width, height=height, colorspace=colorspace,
                       images=[np.full((height, width, 3), (200, 60, 40), np.uint8)] * 2,
                       times_s=[0, 0.5])
    image = sample_clip(path, 1, 32).images[0]
    assert np.abs(image.astype(int).mean((0, 1)) - (200, 60, 40)).max() <= 3


def test_untagged_hd_is_bt709(tmp_path):
    """Encoded with BT.601 numbers and no tag: an HD file is then read with the others."""
    colour = (200, 60, 40)
    images = lambda h, w: [np.full((h, w, 3), colour, np.uint8)] * 2
    hd = write_video(tmp_path / "a.mp4", width=1280, height=720, images=images(720, 1280),
                     times_s=[0, 0.5])
    read = sample_clip(hd, 1, 32).images[0].astype(int).mean((0, 1))
    assert np.abs(read - colour).max() > 8
    # BT.601 luma and differences, taken back with the BT.709 weights.
    luma = 0.299 * 200 + 0.587 * 60 + 0.114 * 40
    assert read[0] == pytest.approx(luma + (200 - luma) / 0.701 * 0.7874, abs=5)
    assert read[2] == pytest.approx(luma + (40 - luma) / 0.886 * 0.9278, abs=5)


def test_long_videos_are_sought(tmp_path):
    times = np.arange(120) / 2  # one minute
    path = write_video(tmp_path / "a.mp4", times_s=times, gop=4)
    clip = sample_clip(path, 4, 32)
    np.testing.assert_allclose(clip.times_s, [7.5, 22.5, 37.5, 52.5], atol=2e-3)
    assert [abs(step_of(image, 120) - 2 * t) <= 1 for image, t in
            zip(clip.images, clip.times_s, strict=True)] == [True] * 4


def test_annotated_frames_are_met_exactly(tmp_path):
    path = write_video(tmp_path / "a.mp4")
    clip = sample_clip(path, 4, 32, exact_times_s=[9 / 15])
    moved = on_exact_frames(clip)
    np.testing.assert_allclose(moved.times_s, [3 / 15, 9 / 15, 18 / 15, 26 / 15], atol=2e-3)
    assert [step_of(image, 30) for image in moved.images] == [3, 9, 18, 26]
    plain = sample_clip(path, 4, 32)  # what an estimate sees does not depend on annotations
    np.testing.assert_array_equal(clip.images, plain.images)
    np.testing.assert_array_equal(clip.times_s, plain.times_s)
    assert on_exact_frames(plain) is plain


@pytest.mark.parametrize(("steps", "expected"), [
    ([11, 9], [9, 11, 18, 26]),  # both nearest to frame 11, and to 9 / 15 s
    ([9, 9, 10, 11, 12], [9, 10, 11, 12]),
    ([0, 1, 2], [0, 1, 2, 26]),
    ([29], [3, 11, 18, 29]),
    (range(30), [4, 11, 19, 26]),  # more than there is room for: spread evenly
])
def test_no_annotated_frame_is_lost_to_another(tmp_path, steps, expected):
    path = write_video(tmp_path / "a.mp4")
    clip = on_exact_frames(sample_clip(path, 4, 32, exact_times_s=[step / 15 for step in steps]))
    np.testing.assert_allclose(clip.times_s, np.array(expected) / 15, atol=2e-3)
    shown = np.array([step_of(image, 30) for image in clip.images])
    assert np.abs(shown - expected).max() <= 1  # grey values are rounded


def bad_file(folder, reason):
    path = folder / "bad.mp4"
    if reason == "not_a_video":
        path.write_bytes(b"this is a text" * 100)
    elif reason == "picture":
        cv2.imwrite(str(folder / "a.jpg"), picture(64, 64, 0, 1))
        (folder / "a.jpg").rename(path)
    elif reason == "audio_only":
        write_sound(folder / "a.wav").rename(path)
    elif reason == "truncated":
        write_video(path, faststart=True, times_s=np.arange(90) / 15)
        path.write_bytes(path.read_bytes()[:int(0.6 * path.stat().st_size)])
    elif reason == "too_short":
        write_video(path, times_s=np.arange(6) / 30)
    return path


@pytest.mark.parametrize("reason, sentence", [
    ("missing", "bad.mp4 does not exist; check the path"),
    ("not_a_video", "bad.mp4 cannot be read as a video"),
    ("picture", "bad.mp4 is a picture"),
    ("audio_only", "bad.mp4 holds sound but no picture; record a video"),
    ("truncated", r"bad.mp4 ends at .* s of 6.0 s; it is cut off"),
    ("too_short", r"bad.mp4 lasts 0.20 s; record at least 1 s"),
])
def test_reasons(tmp_path, reason, sentence):
    path = bad_file(tmp_path, reason)
    for read in (probe, sample_clip):
        with pytest.raises(VideoError, match=sentence) as caught:
            read(path)
        assert caught.value.reason == reason


def test_cut_before_the_index_is_not_a_video(tmp_path):
    path = write_video(tmp_path / "bad.mp4", times_s=np.arange(90) / 15)
    path.write_bytes(path.read_bytes()[:int(0.6 * path.stat().st_size)])
    with pytest.raises(VideoError, match="it may be cut off") as caught:
        sample_clip(path)
    assert caught.value.reason == "not_a_video"


def test_a_raw_stream_has_no_index(tmp_path):
    path = write_raw(write_video(tmp_path / "a.mp4"), tmp_path / "bad.h264")
    for read in (probe, sample_clip):
        with pytest.raises(VideoError, match=r"bad.h264 holds no index.* convert it to mp4$") \
                as caught:
            read(path)
        assert caught.value.reason == "no_index"


def test_damaged_inside_is_not_a_stack_trace(tmp_path):
    path = write_video(tmp_path / "bad.mp4", times_s=np.arange(90) / 15)
    data = bytearray(path.read_bytes())
    data[200:len(data) // 2] = bytes(len(data) // 2 - 200)
    path.write_bytes(bytes(data))
    with pytest.raises(VideoError) as caught:
        sample_clip(path)
    assert caught.value.reason in ("damaged", "no_frames", "truncated")


@pytest.mark.parametrize("fields, sentence", [
    (dict(frames=0), "frames 0 and size 224 px are too small"),
    (dict(fit="squeeze"), r"fit 'squeeze' is unknown; use one of \('crop', 'letterbox'\)"),
])
def test_settings_are_checked(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        ClipSettings(**fields)


def test_square_is_where_it_was_drawn():
    x, y, side = SQUARE
    assert red_square(picture(64, 64, 0, 1)).tolist() == [x, y, x + side, y + side]
