"""Decoded frames as 8-bit RGB of BT.709, whatever a phone recorded.

    untagged        BT.709 from 720 px on, BT.601 below, as browsers take it
    BT.2020, P3     primaries changed in linear light
    HLG, PQ         to light on a 1000 cd/m2 display, tone-mapped to 203 cd/m2, then BT.1886

203 cd/m2 is the reference white of HDR (BT.2408) and becomes the white of 8 bits, so that a scene
looks the same whether it was recorded in HDR or not; what is darker than about 87 cd/m2 stays as
it is, brighter parts roll off (BT.2390). FFmpeg's own conversion agrees below that, but takes
seconds of computing for each size of picture.
"""
from __future__ import annotations

from functools import cache

import av
import numpy as np

HD_SIDE = 720  # px; untagged video from here on is BT.709
# Numbers of ITU-T H.273, which FFmpeg uses as they are.
MATRIX_RGB, MATRICES = 0, (1, 4, 5, 6, 7, 9)  # 709, FCC, 601 (two), 240M, 2020
MATRICES_UNTAGGED = (0, 2, 3)  # 0 of what is not RGB
PQ, HLG = 16, 18
TRANSFERS_UNUSABLE = (8, 9, 10, 17)  # linear, two logarithmic, SMPTE 428
PRIMARIES_WIDE = {9: "bt2020", 12: "p3"}

HDR_PEAK_NITS = 1000.0  # of the display that HLG is shown on (BT.2100); PQ above it is cut
SDR_WHITE_NITS = 203.0  # BT.2408, section 2.2
HLG_GAMMA = 1.2  # of the whole system at 1000 cd/m2 (BT.2100, table 5)
SDR_GAMMA = 2.4  # BT.1886
# x and y of red, green and blue: BT.709, BT.2020, SMPTE EG 432-1; white is D65 in all.
CHROMATICITIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))}
WHITE_D65 = (0.3127, 0.3290)


def fault(frame: av.VideoFrame) -> str:
    """Why the colours of a frame cannot be read, or nothing."""
    if frame.colorspace not in (*MATRICES, *MATRICES_UNTAGGED):
        return f"colour matrix {frame.colorspace} of H.273"  # ICtCp or Dolby Vision, for example
    if frame.color_trc in TRANSFERS_UNUSABLE:
        return f"transfer function {frame.color_trc} of H.273"
    return ""


def to_rgb(frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
    """The frame resized while still YUV, then made RGB.

    Returns:
      [height, width, 3] uint8.

    Raises:
      av.error.FFmpegError: If FFmpeg cannot convert it.
    """
    hdr = frame.color_trc in (PQ, HLG)
    wide = PRIMARIES_WIDE.get(frame.color_primaries, "bt2020" if hdr else "")
    colours = {}
    if frame.colorspace in MATRICES_UNTAGGED and not frame.format.is_rgb:
        hd = min(frame.width, frame.height) >= HD_SIDE
        untagged = "ITU709" if hd else "ITU601"
        colours = {"src_colorspace": "BT2020" if hdr else untagged, "dst_colorspace": "ITU709"}
    pixels = frame.reformat(width, height, "rgb48le" if wide else "rgb24", interpolation="AREA",
                            **colours).to_ndarray()
    if not wide:
        return pixels
    light = {PQ: light_of_pq, HLG: light_of_hlg}.get(frame.color_trc, light_of_sdr)(pixels)
    light = np.maximum(light @ primaries_to_709(wide).T, 0)
    shown = (tone_mapped(light) if hdr else light) / SDR_WHITE_NITS
    return np.round(255 * np.clip(shown, 0, 1) ** (1 / SDR_GAMMA)).astype(np.uint8)


def light_of_hlg(pixels: np.ndarray) -> np.ndarray:
    """Light in cd/m2 of HLG signals [..., 3] uint16, in the primaries of the signal (BT.2100)."""
    scene = _hlg_scene()[pixels]
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    return HDR_PEAK_NITS * scene * (luminance ** (HLG_GAMMA - 1))[..., None]


def light_of_pq(pixels: np.ndarray) -> np.ndarray:
    """Light in cd/m2 of PQ signals [..., 3] uint16 (SMPTE ST 2084), cut at the peak."""
    return _pq_light()[pixels]


def light_of_sdr(pixels: np.ndarray) -> np.ndarray:
    """Light in cd/m2 of signals [..., 3] uint16 on a display of BT.1886."""
    return SDR_WHITE_NITS * (pixels.astype(np.float32) / 65535) ** np.float32(SDR_GAMMA)


def tone_mapped(light: np.ndarray) -> np.ndarray:
    """Light [..., 3] in cd/m2 with its peaks rolled off to 203 (BT.2390-11, section 5.4.1).

    The curve is applied to the largest of the three channels and the others keep their ratio to
    it, so that no hue turns.
    """
    largest = light.max(-1)
    source, target = pq_signal(HDR_PEAK_NITS), pq_signal(SDR_WHITE_NITS) / pq_signal(HDR_PEAK_NITS)
    knee = 1.5 * target - 0.5
    bright = largest > pq_light(knee * source)
    level = np.minimum(pq_signal(largest[bright]) / source, 1)
    t = (level - knee) / (1 - knee)
    rolled = ((2 * t ** 3 - 3 * t ** 2 + 1) * knee + (t ** 3 - 2 * t ** 2 + t) * (1 - knee)
              + (-2 * t ** 3 + 3 * t ** 2) * target)  # a Hermite spline
    scale = np.ones_like(largest)
    scale[bright] = pq_light(rolled * source) / largest[bright]
    return light * scale[..., None]


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def pq_signal(light: np.ndarray | float) -> np.ndarray:
    """The PQ signal, 0 to 1, of light in cd/m2."""
    power = (np.asarray(light) / 10000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def pq_light(signal: np.ndarray | float) -> np.ndarray:
    """Light in cd/m2 of a PQ signal, 0 to 1."""
    power = np.asarray(signal) ** (1 / _M2)
    return 10000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


@cache
def primaries_to_709(name: str) -> np.ndarray:
    """[3, 3] from linear RGB of these primaries to that of BT.709; white stays white."""
    to_xyz = lambda key: _rgb_to_xyz(CHROMATICITIES[key])
    return np.linalg.solve(to_xyz("bt709"), to_xyz(name)).astype(np.float32)


def _rgb_to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """[3, 3] of primaries whose sum is D65 (SMPTE RP 177)."""
    xyz = lambda x, y: np.array([x / y, 1, (1 - x - y) / y])
    columns = np.stack([xyz(*each) for each in primaries], 1)
    return columns * np.linalg.solve(columns, xyz(*WHITE_D65))


@cache
def _hlg_scene() -> np.ndarray:
    """Scene light, 0 to 1, of every 16-bit HLG signal: the inverse OETF of ARIB STD-B67."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    signal = np.arange(65536) / 65535
    return np.where(signal <= 0.5, signal ** 2 / 3,
                    (np.exp((signal - c) / a) + b) / 12).astype(np.float32)


@cache
def _pq_light() -> np.ndarray:
    """Light in cd/m2 of every 16-bit PQ signal, cut at the peak."""
    return np.minimum(pq_light(np.arange(65536) / 65535), HDR_PEAK_NITS).astype(np.float32)
