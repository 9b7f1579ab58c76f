"""Looks: phones, skin, clothes, cloth, light and the print of the ruler, drawn at random."""
from __future__ import annotations

import colorsys
import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from nurture_jax.synthetic.world import rulers
from nurture_jax.synthetic.world.paint import PATTERNS, Look
from nurture_jax.synthetic.world.rulers import RULERS, Ruler

Value = np.ndarray | float  # of a field of `Look`
# sRGB from light to dark; a newborn's skin is drawn between two neighbours, then reddened.
SKINS = ((240, 196, 178), (232, 180, 156), (214, 158, 130), (188, 128, 100), (150, 98, 74),
         (112, 72, 54), (84, 54, 42))
HAIRS = ((30, 22, 18), (46, 32, 24), (78, 54, 36), (120, 90, 60))
RULER_COLOURS = (((222, 180, 120), (50, 30, 20)), ((240, 240, 236), (20, 20, 24)),
                 ((176, 180, 184), (24, 24, 28)), ((244, 206, 60), (20, 20, 20)),
                 ((120, 176, 220), (250, 250, 250)), ((226, 120, 90), (255, 250, 240)))


@dataclasses.dataclass(frozen=True)
class Device:
    """A phone: what its camera does to a picture, and its videos.

    Attributes:
      view_degrees: Angle of view along the longer side of the picture.
      fps: Frames in a second.
      defocus_px: Standard deviation of the blur of a still scene, in pixels of the rendered
        picture.
      noise: Noise of reading and of photons, in linear light.
      exposure: Factor on the light.
      crf: Rate factor of H.264; higher is coarser.
      rotation: Degrees that a player must turn the stored picture counter-clockwise.
      variable_rate: Whether frames are late or dropped.
      colour_tag: Whether the file says that it is BT.709; without, players go by the size.
    """

    name: str
    view_degrees: float
    fps: float
    defocus_px: float
    noise: tuple[float, float]
    exposure: float
    crf: int
    rotation: int
    variable_rate: bool
    colour_tag: bool


DEVICES = (
    Device("phone_a", 66.0, 30.0, 0.50, (0.004, 0.020), 1.00, 22, -90, False, True),
    Device("phone_b", 58.0, 30.0, 0.65, (0.007, 0.030), 1.08, 25, -90, True, False),
    Device("phone_c", 71.0, 24.0, 0.80, (0.010, 0.040), 0.92, 28, 90, False, True),
    Device("phone_d", 62.0, 25.0, 0.55, (0.006, 0.024), 0.97, 24, 0, True, False),
)


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """Phones, sites and light of a population.

    Attributes:
      devices: As many as DEVICES, so that the same one is drawn of each.
      sites: As many as those of the usual ones.
      lamp_degrees: Least and largest height of the window or lamp above the cloth.
      warmth: Mean and standard deviation of how much redder and less blue its light is.
      level: Of all light; 1.15 is well exposed by a phone whose `exposure` is 1.
      key_share: Least and largest share of the window or lamp; the rest comes from the room.
    """

    devices: tuple[Device, ...]
    sites: tuple[str, ...]
    lamp_degrees: tuple[float, float] = (38.0, 74.0)
    warmth: tuple[float, float] = (0.0, 0.10)
    level: float = 1.15
    key_share: tuple[float, float] = (0.35, 0.62)


USUAL, OTHER = "usual", "other"
# OTHER is the second hospital: cheaper phones with wider lenses, fewer frames, more noise and
# coarser videos, and lamps that are lower, warmer, dimmer and cast harder shadows. Ours.
SURROUNDINGS = {
    USUAL: Surroundings(DEVICES, ("clinic_north", "clinic_south", "home_east", "home_west")),
    OTHER: Surroundings(
        (Device("phone_e", 77.0, 25.0, 0.90, (0.012, 0.048), 1.00, 30, 90, True, False),
         Device("phone_f", 54.0, 30.0, 0.70, (0.009, 0.036), 0.86, 27, -90, False, True),
         Device("phone_g", 68.0, 20.0, 0.95, (0.014, 0.052), 1.14, 31, -90, True, False),
         Device("phone_h", 74.0, 24.0, 0.60, (0.008, 0.030), 0.94, 26, 0, False, False)),
        ("ward_one", "ward_two", "village_north", "village_south"),
        lamp_degrees=(26.0, 60.0), warmth=(0.10, 0.08), level=0.95, key_share=(0.50, 0.72)),
}


def linear(rgb: Sequence[float] | np.ndarray) -> np.ndarray:
    """Linear light of sRGB colours 0..255 (the 2.2 power; the ray caster's inverse is the same)."""
    return (np.asarray(rgb, float) / 255) ** 2.2


def frame_count(seconds: float, fps: float) -> int:
    """The number of frames of a video that lasts at least `seconds`."""
    return max(1, math.ceil(seconds * fps - 1e-6))


def frame_times(rng: np.random.Generator, device: Device, seconds: float) -> np.ndarray:
    """Presentation times in s, [t] from 0; on some phones frames come late or not at all."""
    count = frame_count(seconds, device.fps)
    steps = np.ones(count)
    if device.variable_rate:
        steps += rng.uniform(-0.12, 0.12, count) + (rng.random(count) < 0.06)
        steps *= count / steps.sum()
    times = np.concatenate([[0.0], np.cumsum(steps)[:-1]]) / device.fps
    return np.round(times, 4)


def weaken(rng: np.random.Generator, device: Device, moved: np.ndarray, times_s: np.ndarray
           ) -> np.ndarray:
    """The blur that the lens and the picture's motion leave.

    Args:
      moved: Place of a fixed point in pixels, [t, 2].
      times_s: Times of the frames, [t].

    Returns:
      xx, xy and yy of the blur's covariance in pixels, [t, 3] float32.
    """
    still = (device.defocus_px * np.exp(0.15 * rng.standard_normal())) ** 2
    open_s = rng.uniform(0.15, 0.7) / 30  # of the shutter
    step = np.gradient(moved, times_s, axis=0) * open_s if len(moved) > 1 else 0 * moved
    step = np.clip(step, -4, 4)
    return np.stack([still + step[:, 0] ** 2 / 12, step[:, 0] * step[:, 1] / 12,
                     still + step[:, 1] ** 2 / 12], -1).astype(np.float32)


def draw_look(rng: np.random.Generator, length: float, device: Device, pixel_cm: float,
              ruler: Ruler = RULERS["30"], own: np.random.Generator | None = None,
              around: Surroundings = SURROUNDINGS[USUAL]) -> Look:
    """Colours, patterns and light of a scene; what depends on the pose is filled in by the scene.

    Args:
      length: Of the infant, in cm.
      pixel_cm: About the size of a pixel on the cloth, so that fine things are blurred, not
        aliased.
      ruler: What lies beside the infant.
      own: What else is drawn of it comes from here.
      around: Where it is filmed.
    """
    usual = RULER_COLOURS[rng.integers(len(RULER_COLOURS))]
    body, ink = rulers.colours(own, ruler, usual)
    empty = np.zeros(2)
    look = Look(
        scale=length, **_infant_colours(rng),
        **_cloth(rng, length, pixel_cm), **_light(rng, around),
        ruler_shown=1.0, ruler_centre=empty, ruler_axis=empty, ruler_half=empty,
        ruler_thickness=ruler.thickness_cm, ruler_colours=np.stack([linear(body), linear(ink)]),
        ruler_ink=rulers.draw_ink(rng, pixel_cm, ruler),
        vignette=rng.uniform(0.0, 0.14), noise=np.array(device.noise) * rng.uniform(0.6, 1.5))
    return Look(*(np.asarray(value, np.float32) for value in look))


def _infant_colours(rng: np.random.Generator) -> dict[str, Value]:
    """Skin, hair, cap and nappy, as fields of `Look`."""
    tone = rng.uniform(0, len(SKINS) - 1.001)
    low = int(tone)
    skin = linear(SKINS[low]) * (1 - tone + low) + linear(SKINS[low + 1]) * (tone - low)
    skin = skin * np.array([1.04, 0.93, 0.92]) * np.exp(0.04 * rng.standard_normal(3))
    cap = float(rng.random() < 0.45)
    nappy = linear(draw_colour(rng, 0.02, 0.12, 0.9, 1.0)) if rng.random() < 0.9 else np.zeros(3)
    return {
        "skin": skin, "blush": skin * np.array([1.02, 0.62, 0.60]),
        "hair": linear(HAIRS[rng.integers(len(HAIRS))]), "hair_amount": rng.uniform(0.35, 0.95),
        "cap": cap, "cap_stripes": rng.choice([0.0, rng.uniform(12, 30)]),
        "cap_colours": np.stack([linear(draw_colour(rng, 0.1, 0.6, 0.6, 1.0)) for _ in range(2)]),
        "nappy_colours": np.stack([nappy, nappy * rng.uniform(0.5, 0.95, 3)])}


def _cloth(rng: np.random.Generator, length: float, pixel_cm: float) -> dict[str, Value]:
    """Pattern, colours and wrinkles; all lengths are drawn over the infant's `length`."""
    pattern = np.zeros(len(PATTERNS))
    pattern[rng.choice(len(PATTERNS), p=(0.15, 0.17, 0.17, 0.17, 0.17, 0.17))] = 1
    strong = rng.random() < 0.5
    most = 0.75 if strong else 0.3
    colours = [linear(draw_colour(rng, 0.05, most, 0.45, 0.98)) for _ in range(3)]
    turn = rng.uniform(0, np.pi)
    wave = length * np.exp(rng.uniform(np.log(0.12), np.log(0.9), 6))
    angle = rng.uniform(0, np.pi, 6)
    number = 2 * np.pi / wave
    slope = rng.gamma(2.0, 0.022, 6)
    return {
        "pattern": pattern, "cloth_colours": np.stack(colours),
        "cloth_turn": np.array([np.cos(turn), np.sin(turn)]),
        "cloth_period": max(length * np.exp(rng.uniform(np.log(0.03), np.log(0.28))), 4 * pixel_cm),
        "cloth_fill": rng.uniform(0.25, 0.6), "cloth_soft": pixel_cm,
        "cloth_half": length * rng.uniform(0.62, 1.6, 2),
        "floor_colour": linear(draw_colour(rng, 0.05, 0.5, 0.2, 0.7)),
        "waves": np.stack([number * np.cos(angle), number * np.sin(angle),
                           rng.uniform(0, 2 * np.pi, 6), slope / number], -1)}


def _light(rng: np.random.Generator, around: Surroundings) -> dict[str, Value]:
    """A window or lamp and the light of the room, from dim and warm to bright and cold."""
    height = np.radians(rng.uniform(*around.lamp_degrees))
    azimuth = rng.uniform(0, 2 * np.pi)
    warm = rng.normal(*around.warmth)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    share = rng.uniform(*around.key_share)
    level = around.level
    colour = np.array([0.9, 0.75, 0.65]) * level * (1 - share)
    return {
        "light": np.array([np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth),
                           np.sin(height)]),
        "key_colour": level * share * tint * 1.25, "sky_colour": level * (1 - share) / tint,
        "bounce_colour": colour, "white": np.exp(0.04 * rng.standard_normal(3))}


def draw_colour(rng: np.random.Generator, low_saturation: float, high_saturation: float,
            low_value: float, high_value: float) -> np.ndarray:
    """A colour of any hue, sRGB [3] 0..255."""
    return 255 * np.array(colorsys.hsv_to_rgb(
        rng.random(), rng.uniform(low_saturation, high_saturation),
        rng.uniform(low_value, high_value)))
