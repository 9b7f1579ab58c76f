"""Colours of HDR and wide-gamut recordings, against formulas written out here a second time.

A scene of known colours is put into HLG or PQ as BT.2408 puts graphics there (white at 203 cd/m2)
and read back. Colours darker than the knee (87 cd/m2) must come back as they were; brighter ones
as BT.2390 rolls them off.
"""
import math

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
from phone_videos import HLG, PQ, SDR709, SDR2020, ten_bits, write_hevc10, write_phone

from nurture_jax.records import colour, video

# BT.2087, table 2, turned round: linear BT.709 to BT.2020.
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
# Of skin from light to dark, a towel, a cloth, a ruler's red, grey of a shadow; below the knee.
DARK = [(170, 130, 110), (110, 75, 60), (60, 40, 30), (128, 128, 128), (30, 90, 60), (175, 50, 40),
        (30, 30, 30)]
BRIGHT = [(255, 255, 255), (235, 190, 165), (220, 220, 220)]
ERROR = 4  # of 255, of 10 bits, 4:2:0 and a coarse encoder in all


def light_of(rgb):
    """cd/m2 in BT.2020 primaries of 8-bit BT.709, white at 203."""
    return 203 * TO_2020 @ (np.array(rgb) / 255) ** 2.4


def hlg(light):
    """Signal of light in cd/m2 on a display of 1000 (BT.2100: inverse OOTF, then OETF)."""
    display = light / 1000
    luminance = display @ (0.2627, 0.6780, 0.0593)
    scene = display * luminance ** ((1 - 1.2) / 1.2)
    oetf = lambda e: math.sqrt(3 * e) if e <= 1 / 12 else (
        0.17883277 * math.log(12 * e - 0.28466892) + 0.55991073)
    return np.array([oetf(e) for e in scene])


def pq(light):
    power = (np.asarray(light) / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def of_pq(signal):
    power = signal ** (1 / 78.84375)
    return 10000 * (max(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.15930176)


def rolled_off(rgb):
    """8-bit colour after the EETF of BT.2390 from 1000 to 203 cd/m2 on the largest channel."""
    light = 203 * (np.array(rgb) / 255) ** 2.4
    most = float(pq(203) / pq(1000))
    knee, level = 1.5 * most - 0.5, float(pq(light.max()) / pq(1000))
    if level > knee:
        t = (level - knee) / (1 - knee)
        level = ((2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
                 + (3 * t**2 - 2 * t**3) * most)
        light = light * of_pq(level * float(pq(1000))) / light.max()
    return np.round(255 * (light / 203) ** (1 / 2.4))


def patches(colours, signal):
    """A row of squares of 16 px in R'G'B' from 0 to 1."""
    row = np.concatenate([np.broadcast_to(signal(each), (16, 16, 3)) for each in colours], 1)
    return np.tile(row, (2, 1, 1))


def read(path, count):
    """The middle of every square."""
    image = next(video.full_frames(path, 1))[2].astype(int)
    return [image[8, 16 * i + 8] for i in range(count)]


@pytest.mark.parametrize("name, tags, signal", [("hlg", HLG, hlg), ("pq", PQ, pq)])
def test_hdr_of_ten_bits(tmp_path, name, tags, signal):
    scene = DARK + BRIGHT
    path = write_hevc10(tmp_path / f"{name}.mp4", patches(scene, lambda c: signal(light_of(c))),
                        tags)
    found = read(path, len(scene))
    np.testing.assert_allclose(found[:len(DARK)], DARK, atol=ERROR)
    np.testing.assert_allclose(found[len(DARK):], [rolled_off(c) for c in BRIGHT], atol=ERROR)
    clip = video.sample_clip(path, 2, 32)
    assert clip.images.shape == (2, 32, 32, 3)


def test_brighter_light_stays_in_order(tmp_path):
    """203 cd/m2 is not yet white, and 1000 is: highlights keep their texture."""
    nits = [50, 87, 203, 300, 500, 1000]
    grey_of = lambda light: hlg(np.full(3, float(light)))
    path = write_hevc10(tmp_path / "a.mp4", patches(nits, grey_of), HLG)
    grey = np.array(read(path, len(nits)))[:, 1]
    assert (np.diff(grey) > 0).all() and grey[-1] >= 253
    assert grey[1] == pytest.approx(255 * (87 / 203) ** (1 / 2.4), abs=ERROR)


@pytest.mark.parametrize("name, tags, to_wide", [
    ("bt2020", SDR2020, TO_2020),
    ("p3", (9, 1, 12), np.array([[0.8225, 0.1774, 0], [0.0332, 0.9669, 0],
                                 [0.0171, 0.0724, 0.9108]])),
])
def test_wide_primaries_of_sdr(tmp_path, name, tags, to_wide):
    signal = lambda c: (to_wide @ (np.array(c) / 255) ** 2.4) ** (1 / 2.4)
    path = write_hevc10(tmp_path / f"{name}.mp4", patches(DARK + BRIGHT, signal), tags)
    np.testing.assert_allclose(read(path, 10), DARK + BRIGHT, atol=ERROR)


def test_ten_bits_without_hdr(tmp_path):
    path = write_hevc10(tmp_path / "a.mp4", patches(DARK + BRIGHT, lambda c: np.array(c) / 255),
                        SDR709)
    np.testing.assert_allclose(read(path, 10), DARK + BRIGHT, atol=ERROR)


@pytest.mark.parametrize("full_range", [False, True])
def test_untouched_where_colours_are_ordinary(tmp_path, full_range):
    """8 bits of BT.709 go straight through, in both ranges."""
    scene = np.round(255 * patches(DARK + BRIGHT, lambda c: np.array(c) / 255)).astype(np.uint8)
    path = write_phone(tmp_path / "a.mp4", [scene] * 4, fps=2, colours=SDR709,
                       full_range=full_range, options={"preset": "ultrafast", "crf": "4"})
    np.testing.assert_allclose(read(path, 10), DARK + BRIGHT, atol=ERROR)


@pytest.mark.parametrize("tags, what", [((14, 16, 9), "colour matrix 14"),  # ICtCp
                                        ((15, 2, 2), "colour matrix 15"),  # Dolby Vision 5
                                        ((1, 9, 1), "transfer function 9")])
def test_colours_that_cannot_be_read_are_named(tmp_path, tags, what):
    path = write_phone(tmp_path / "a.mkv", [np.full((32, 32, 3), 90, np.uint8)] * 4, fps=2,
                       colours=tags, options={"preset": "ultrafast"})
    for look in (video.probe, video.sample_clip):
        with pytest.raises(video.VideoError, match=f"a.mkv has colours .*{what}") as caught:
            look(path)
        assert caught.value.reason == "colours"


def test_matrices_of_primaries_are_those_of_the_standards():
    np.testing.assert_allclose(np.linalg.inv(colour.primaries_to_709("bt2020")), TO_2020, atol=2e-4)
    for name in ("bt2020", "p3", "bt709"):
        np.testing.assert_allclose(colour.primaries_to_709(name).sum(1), 1, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("tags, signal", [(HLG, hlg), (PQ, pq)])
def test_ffmpeg_makes_the_same_of_it(tags, signal):
    """The conversion of libswscale, which agrees below the knee and cuts off what is above."""
    for rgb in DARK:
        frame = ten_bits(np.broadcast_to(signal(light_of(rgb)), (32, 32, 3)))
        frame.colorspace, frame.color_trc, frame.color_primaries = tags
        theirs = _reformatter().reformat(frame, 16, 16, "rgb24", dst_color_trc=1,
                                         dst_color_primaries=1).to_ndarray()[8, 8]
        ours = colour.to_rgb(frame, 16, 16)[8, 8]
        assert np.abs(ours.astype(int) - theirs).max() <= 10, (rgb, ours, theirs)


_REFORMATTERS = []


def _reformatter():
    """One for all, because its table takes seconds."""
    from av.video.reformatter import VideoReformatter
    if not _REFORMATTERS:
        _REFORMATTERS.append(VideoReformatter())
    return _REFORMATTERS[0]
