"""The parametric newborn: a shape whose measures come out as drawn, and a pose that places it.

World axes, in cm: x to infant's left, y from heel to crown, z up (the cloth is z = 0; the infant
lies on the back). Every part is an ellipsoid or a capsule, so that the ray caster intersects it in
closed form.

`pose` turns both into primitives; `measures` solves a shape for its measures.
"""
from __future__ import annotations

import dataclasses

import numpy as np

ELLIPSOIDS = ("cranium", "jaw", "left cheek", "right cheek", "nose", "left ear", "right ear",
              "chest", "belly", "pelvis",
              "left palm", "left fingers", "left thumb", "right palm", "right fingers",
              "right thumb", "left foot", "left toes", "left big toe", "right foot", "right toes",
              "right big toe", "nappy")
CAPSULES = ("neck", "left upper arm", "right upper arm", "left forearm", "right forearm",
            "left thigh", "right thigh", "left shank", "right shank")


@dataclasses.dataclass(frozen=True)
class Traits:
    """What makes infants differ beyond their measures; ratios. The standard deviation is ours."""

    head_width: float = 0.82  # over head depth (cephalic index)
    head_height: float = 0.88  # over head depth
    chest_depth: float = 0.80  # over chest width
    belly_width: float = 1.00  # over chest width
    belly_depth: float = 0.98  # over chest depth
    hip_width: float = 0.86  # pelvis over chest width
    hip_joint: float = 0.360  # height above the heel over length
    thigh: float = 0.535  # share of the leg
    upper_arm: float = 0.150  # over length
    forearm: float = 0.125  # over length
    thigh_radius: float = 0.0475  # over length
    shank_taper: float = 0.70  # shank over thigh radius
    wrist_taper: float = 0.84  # forearm over upper arm radius
    foot: float = 0.150  # length of the foot over length
    cheeks: float = 1.00
    nose: float = 1.00

    SPREAD = 0.03  # relative, of every trait but the hip joint


def draw_traits(rng: np.random.Generator) -> Traits:
    """Traits of one infant, at most 2.5 standard deviations off the average."""
    fields = [field.name for field in dataclasses.fields(Traits)]
    scores = np.clip(rng.standard_normal(len(fields)), -2.5, 2.5)
    spread = {"hip_joint": 0.012, "cheeks": 0.08, "nose": 0.12, "belly_depth": 0.04}
    return Traits(**{name: getattr(Traits, name) * (1 + spread.get(name, Traits.SPREAD) * score)
                     for name, score in zip(fields, scores, strict=True)})


@dataclasses.dataclass(frozen=True)
class Shape:
    """One infant's body in cm. Radii are semi-axes (width x, length y, depth z)."""

    length_cm: float
    head: np.ndarray  # [3] cranium
    chest: np.ndarray  # [3]
    arm_radius: float
    fullness: float
    traits: Traits
    volume_cm3: float = float("nan")

    @property
    def shoulder_y(self) -> float:
        """Height of the shoulders."""
        return self.length_cm - 2.10 * self.head[1] - 0.030 * self.length_cm

    @property
    def hip_y(self) -> float:
        """Height of the hip joints."""
        return self.traits.hip_joint * self.length_cm

    @property
    def chest_y(self) -> float:
        """Height of the nipple line, where the chest is measured."""
        return self.shoulder_y - 0.085 * self.length_cm

    @property
    def belly_y(self) -> float:
        """Height of the middle of the belly."""
        return self.hip_y + 0.42 * (self.shoulder_y - self.hip_y)

    @property
    def belly(self) -> np.ndarray:
        """Semi-axes [3]; it ends below the nipples, so that the chest alone is measured there."""
        half_length = min(0.14 * self.length_cm, self.chest_y - self.belly_y - 0.1)
        return np.array([self.chest[0] * self.traits.belly_width * self.fullness, half_length,
                         self.chest[2] * self.traits.belly_depth * self.fullness])

    @property
    def pelvis(self) -> np.ndarray:
        """Semi-axes [3]."""
        width = self.chest[0] * self.traits.hip_width * self.fullness
        return np.array([width, 0.085 * self.length_cm, 0.80 * width])

    @property
    def thigh_radius(self) -> float:
        """Radius of the thigh."""
        return self.traits.thigh_radius * self.length_cm * self.fullness

    @property
    def shank_radius(self) -> float:
        """Radius of the shank."""
        return self.traits.shank_taper * self.thigh_radius

    @property
    def leg(self) -> tuple[float, float]:
        """Lengths of thigh and shank, joint to joint; the heel is the shank's round end, y = 0."""
        whole = self.hip_y - self.shank_radius
        return self.traits.thigh * whole, (1 - self.traits.thigh) * whole


@dataclasses.dataclass(frozen=True)
class Parts:
    """The body as primitives, in cm, for t frames; the order is ELLIPSOIDS and CAPSULES."""

    centre: np.ndarray  # [t n 3]
    axes: np.ndarray  # [t n 3 3], columns are unit axes
    radii: np.ndarray  # [n 3]
    start: np.ndarray  # [t m 3]
    end: np.ndarray  # [t m 3]
    radius: np.ndarray  # [m]
    joints: dict[str, np.ndarray]  # name -> [t 3]
