"""How a newborn lies: the pose of every frame, the same for every kind of body.

World axes, in cm: x to infant's left, y from heel to crown, z up (the cloth is z = 0; the infant
lies on the back).
"""
from __future__ import annotations

import dataclasses

import numpy as np

SIDES = np.array([1.0, -1.0])  # left is +x


@dataclasses.dataclass(frozen=True)
class Pose:
    """Where the limbs are in each of t frames; angles in radians, [t, 2, 2] is side x segment.

    Azimuths are in the plane of the cloth, from the feet outwards; heights are those of the far end
    of a segment above where it would touch the cloth, over length.
    """

    head_yaw: np.ndarray  # [t] turned to the left
    head_tilt: np.ndarray  # [t] towards the left shoulder
    bend: np.ndarray  # [t] sideways bend of the trunk
    arm_azimuth: np.ndarray  # [t 2 2]
    arm_height: np.ndarray  # [t 2 2]
    leg_azimuth: np.ndarray  # [t 2 2]
    leg_height: np.ndarray  # [t 2 2]
    foot_azimuth: np.ndarray  # [t 2]
    foot_rise: np.ndarray  # [t 2] of the toes, from lying along the cloth to pointing up


def segment(start: np.ndarray, length: float, side: float, azimuth: np.ndarray,
            height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Far end and direction, [t, 3] each, of a segment that ends `height` above the cloth."""
    climb = np.clip((height - start[:, 2]) / length, -0.97, 0.97)
    flat = np.sqrt(1 - climb ** 2)
    along = np.stack([side * flat * np.sin(azimuth), -flat * np.cos(azimuth), climb], -1)
    return start + length * along, along


def head_axes(pose: Pose) -> np.ndarray:
    """Axes [t, 3, 3] of the head as columns left, up (crown), front."""
    yaw = pose.head_yaw
    zero, one = np.zeros_like(yaw), np.ones_like(yaw)
    turn = _matrix([np.cos(yaw), zero, np.sin(yaw)], [zero, one, zero],
                   [-np.sin(yaw), zero, np.cos(yaw)])
    return lean(pose) @ turn


def lean(pose: Pose) -> np.ndarray:
    """The head's tilt as rotations [t, 3, 3]."""
    tilt = pose.head_tilt
    zero, one = np.zeros_like(tilt), np.ones_like(tilt)
    return _matrix([np.cos(tilt), np.sin(tilt), zero], [-np.sin(tilt), np.cos(tilt), zero],
                   [zero, zero, one])


def toes(pose: Pose, side: int) -> np.ndarray:
    """Directions [t, 3] from the heel to the toes of the foot of one side, 0 or 1."""
    rise, out = pose.foot_rise[:, side], SIDES[side] * pose.foot_azimuth[:, side]
    return np.stack([np.cos(rise) * np.sin(out), -np.cos(rise) * np.cos(out), np.sin(rise)], -1)


def _matrix(first: list[np.ndarray], second: list[np.ndarray], third: list[np.ndarray]
            ) -> np.ndarray:
    """Matrices [t, 3, 3] from rows of three [t] each."""
    return np.stack([np.stack(row, -1) for row in (first, second, third)], -2)


def draw_pose(rng: np.random.Generator, times_s: np.ndarray) -> Pose:
    """On the back, head turned, arms up, down or out, legs bent; every joint moves a little.

    Args:
      times_s: Times of the frames, [t].
    """
    degrees = lambda low, high, size=None: np.radians(rng.uniform(low, high, size))
    arms = np.stack([_arm(rng) for _ in range(2)])
    legs = np.stack([degrees(18, 62, 2), degrees(-42, 8, 2)], -1)
    lively = rng.gamma(2.0, 0.5)
    count = len(times_s)

    def moving(value: np.ndarray | float, amplitude: float) -> np.ndarray:
        """The value [...] with two slow waves of its own, [t, ...]."""
        value = np.asarray(value, float)
        phase = rng.uniform(0, 2 * np.pi, (2, *value.shape))
        rate = rng.uniform(0.1, 0.7, (2, *value.shape))
        time = times_s.reshape(-1, *[1] * value.ndim)
        waves = sum(np.sin(2 * np.pi * rate[i] * time + phase[i]) for i in range(2))
        return value + lively * amplitude * waves / 2

    turn = np.clip(rng.normal(0, np.radians(28)), -1.05, 1.05)
    return Pose(
        head_yaw=moving(turn, 0.05), head_tilt=moving(rng.normal(0, 0.09), 0.02),
        bend=moving(rng.normal(0, 0.10), 0.01) * np.ones(count),
        arm_azimuth=moving(arms, 0.10),
        arm_height=np.maximum(0, moving(rng.uniform(0, [[0.02, 0.06]] * 2), 0.015)),
        leg_azimuth=moving(legs, 0.06),
        leg_height=np.maximum(0, moving(rng.uniform(0, [[0.12, 0.012]] * 2), 0.012)),
        foot_azimuth=moving(degrees(8, 45, 2), 0.08),
        foot_rise=moving(degrees(35, 80, 2), 0.08))


def _arm(rng: np.random.Generator) -> np.ndarray:
    """Azimuths of upper arm and forearm, [2]: beside the head, along the body, or spread."""
    ranges = ([(42, 85), (158, 200)], [(15, 40), (5, 45)], [(35, 70), (70, 150)])
    low, high = np.array(ranges[rng.choice(3, p=(0.45, 0.30, 0.25))]).T
    return np.radians(rng.uniform(low, high))
