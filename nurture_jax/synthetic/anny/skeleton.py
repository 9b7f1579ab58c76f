"""Lays a standing infant of Anny down: how limbs turn for a pose, and carry the skin with them.

The body is cut into SEGMENTS, each with the part of the skin that follows it (linear blend
skinning). They are turned as little as the pose asks, but that elbows and knees bend the way they
do: an upper segment also rolls until the joint below it is a hinge.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.spatial.transform import Rotation

from nurture_jax.synthetic.anny.shape import Shape, follow, parts
from nurture_jax.synthetic.world.pose import SIDES, Pose, head_axes, segment, toes

SEGMENTS = ("trunk", "neck", "head", *(f"{name}.{side}" for side in "LR" for name in (
    "shoulder", "upper arm", "forearm", "hand", "thigh", "shank", "foot")))
InTrunk = Callable[[np.ndarray], np.ndarray]
SetSegment = Callable[[str, np.ndarray, np.ndarray, np.ndarray], None]
SHOULDER_SHARE = 0.3  # of the turn of the upper arm
NECK_SHARE = 0.5  # of the turn of the head
SINK_CM = 0.15  # of the back and the head into the cloth
ROLL = 1.7  # radians; how far an upper segment rolls at most
HINGE = (0.15, 0.8)  # bend in radians from which it begins to roll, and where it does so wholly
FOOT_TURN = 0.9  # radians; how far a foot turns against the shank at most


@dataclasses.dataclass(frozen=True)
class Lying:
    """Where each segment is in t frames.

    Attributes:
      turn: Rotations, [t, g, 3, 3].
      shift: What is added after it, in cm, [t, g, 3].
      sway: Sideways shift of the trunk's skin in cm at a bend of 1, [v].
      bend: See `Pose`, [t].
      joints: Places of the joints that the pose moves, [t, 3] by name.
    """

    turn: np.ndarray
    shift: np.ndarray
    sway: np.ndarray
    bend: np.ndarray
    joints: dict[str, np.ndarray]

    def place(self, index: int, vertices: np.ndarray) -> np.ndarray:
        """Where frame `index` has the vertices [v, 3] of the standing infant, float32."""
        maps = np.concatenate([self.turn[index], self.shift[index, :, :, None]], -1)
        maps = (skin() @ maps.reshape(len(SEGMENTS), 12).astype(np.float32)).reshape(-1, 3, 4)
        placed = np.einsum("nij,nj->ni", maps[..., :3], vertices) + maps[..., 3]
        placed[:, 0] += self.bend[index] * self.sway
        return placed

    def carry(self, name: str, points: np.ndarray) -> np.ndarray:
        """Where a segment carries points [n, 3] as a stiff thing, [t, n, 3]."""
        at = SEGMENTS.index(name)
        return points @ np.swapaxes(self.turn[:, at], 1, 2) + self.shift[:, at, None]


@cache
def skin() -> np.ndarray:
    """How far each vertex follows each segment, [v, g] float32; rows sum to 1."""
    on = parts()
    shoulder = [follow(f"clavicle.{side}") - on.arm[k] for k, side in enumerate("LR")]
    limbs = []
    for k in range(2):
        limbs += [shoulder[k], on.upper_arm[k], on.forearm[k],
                  on.arm[k] - on.upper_arm[k] - on.forearm[k],
                  on.thigh[k], on.shank[k], on.leg[k] - on.thigh[k] - on.shank[k]]
    trunk = 1 - on.neck - on.head - sum(limbs)
    return np.stack([trunk, on.neck, on.head, *limbs], 1).astype(np.float32)


def lie_down(shape: Shape, pose: Pose) -> Lying:
    """The segments of the infant in every frame of the pose."""
    count, length = len(pose.bend), shape.length_cm
    heel = shape.vertices[:, 1].min()
    up = (shape.vertices[:, 1] - shape.joint("upperleg01.L")[1]) / length
    sway = (up * np.abs(up) * length).astype(np.float32)
    back = np.percentile(shape.vertices[skin()[:, 0] > 0.8, 2], 1)
    ground = np.array([0, -heel, -back - SINK_CM])
    still = np.broadcast_to(np.eye(3), (count, 3, 3))
    segments: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # turn, and what is added after it

    def set_segment(name: str, turn: np.ndarray, rest: np.ndarray, now: np.ndarray) -> None:
        segments[name] = turn, now - turn @ rest

    def in_trunk(joint: np.ndarray) -> np.ndarray:
        """Where the trunk carries a joint [3], [t, 3]."""
        lift = (joint[1] - shape.joint("upperleg01.L")[1]) / length
        x = pose.bend * lift * abs(lift) * length
        return joint + ground + np.stack([x, 0 * x, 0 * x], -1)

    set_segment("trunk", still, np.zeros(3), np.broadcast_to(ground, (count, 3)))
    _lay_head(shape, pose, in_trunk, set_segment)
    joints = {}
    for side in range(2):
        joints |= _lay_arm(shape, pose, side, in_trunk, set_segment)
        joints |= _lay_leg(shape, pose, side, in_trunk, set_segment)
    turn, shift = (np.stack([segments[name][i] for name in SEGMENTS], 1) for i in range(2))
    return Lying(turn, shift, sway * skin()[:, 0], pose.bend, joints)


def _lay_head(shape: Shape, pose: Pose, in_trunk: InTrunk, set_segment: SetSegment) -> None:
    """Head and neck; the head turns about its joint and rests on the cloth."""
    turn = head_axes(pose)
    half = _share(turn, NECK_SHARE)
    joint, base = shape.joint("head"), shape.joint("neck01")
    now = in_trunk(base) + (half @ (joint - base))
    skull = shape.vertices[skin()[:, 2] > 0.95][::5] - joint
    now[:, 2] = -(turn[:, 2] @ skull.T).min(1) - SINK_CM
    set_segment("head", turn, joint, now)
    set_segment("neck", half, base, in_trunk(base))


def _lay_arm(shape: Shape, pose: Pose, side: int, in_trunk: InTrunk, set_segment: SetSegment
             ) -> dict[str, np.ndarray]:
    """Shoulder, upper arm, forearm and hand of a side."""
    name = "LR"[side]
    pivot, shoulder, elbow, wrist = (shape.joint(f"{bone}.{name}") for bone in (
        "clavicle", "upperarm01", "lowerarm01", "wrist"))
    thick = np.linalg.norm(elbow - shoulder) * 0.17  # about the radius of the arm
    start = in_trunk(shoulder)
    for _ in range(2):  # the shoulder follows the arm, whose direction follows the shoulder
        _, upper = _toward(start, elbow - shoulder, side, pose.arm_azimuth[:, side, 0],
                           thick + shape.length_cm * pose.arm_height[:, side, 0])
        lifted = _share(_align(elbow - shoulder, upper), SHOULDER_SHARE)
        start = in_trunk(pivot) + lifted @ (shoulder - pivot)
    bent, upper = _toward(start, elbow - shoulder, side, pose.arm_azimuth[:, side, 0],
                          thick + shape.length_cm * pose.arm_height[:, side, 0])
    end, lower = _toward(bent, wrist - elbow, side, pose.arm_azimuth[:, side, 1],
                         thick + shape.length_cm * pose.arm_height[:, side, 1])
    upper_turn, lower_turn = _hinged(elbow - shoulder, wrist - elbow, upper, lower)
    set_segment(f"shoulder.{name}", lifted, pivot, in_trunk(pivot))
    set_segment(f"upper arm.{name}", upper_turn, shoulder, start)
    set_segment(f"forearm.{name}", lower_turn, elbow, bent)
    set_segment(f"hand.{name}", lower_turn, wrist, end)
    word = ("left", "right")[side]
    return {f"{word}_shoulder": start, f"{word}_elbow": bent, f"{word}_wrist": end}


def _lay_leg(shape: Shape, pose: Pose, side: int, in_trunk: InTrunk, set_segment: SetSegment
             ) -> dict[str, np.ndarray]:
    """Thigh, shank and foot of a side."""
    name = "LR"[side]
    hip, knee, ankle, toe = (shape.joint(f"{bone}.{name}") for bone in (
        "upperleg01", "lowerleg01", "foot", "toe2-1"))
    thick = np.linalg.norm(knee - hip) * 0.19
    start = in_trunk(hip)
    bent, upper = _toward(start, knee - hip, side, pose.leg_azimuth[:, side, 0],
                          thick + shape.length_cm * pose.leg_height[:, side, 0])
    end, lower = _toward(bent, ankle - knee, side, pose.leg_azimuth[:, side, 1],
                         0.7 * thick + shape.length_cm * pose.leg_height[:, side, 1])
    upper_turn, lower_turn = _hinged(knee - hip, ankle - knee, upper, lower)
    ahead = lower_turn @ _unit(toe - ankle)
    extra = Rotation.from_matrix(_align(ahead, toes(pose, side))).as_rotvec()
    size = np.linalg.norm(extra, axis=-1, keepdims=True)
    extra *= np.minimum(1, FOOT_TURN / np.maximum(size, 1e-9))
    set_segment(f"thigh.{name}", upper_turn, hip, start)
    set_segment(f"shank.{name}", lower_turn, knee, bent)
    set_segment(f"foot.{name}", Rotation.from_rotvec(extra).as_matrix() @ lower_turn, ankle, end)
    word = ("left", "right")[side]
    return {f"{word}_hip": start, f"{word}_knee": bent, f"{word}_ankle": end}


def _toward(start: np.ndarray, bone: np.ndarray, side: int, azimuth: np.ndarray,
            height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Far end and direction, [t, 3] each, of a bone [3] that ends `height` above the cloth."""
    return segment(start, float(np.linalg.norm(bone)), SIDES[side], azimuth, height)


def _hinged(rest_upper: np.ndarray, rest_lower: np.ndarray, upper: np.ndarray, lower: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray]:
    """Turns [t, 3, 3] of two bones that meet in a hinge.

    Args:
      rest_upper, rest_lower: The bones as they stand, [3] each.
      upper, lower: Their directions as they lie, [t, 3] each.
    """
    turn = _align(rest_upper, upper)
    axis = _unit(np.cross(_unit(rest_upper), _unit(rest_lower)))
    wanted = np.cross(upper, lower)
    carried = turn @ axis
    roll = np.arctan2((np.cross(carried, wanted) * upper).sum(-1), (carried * wanted).sum(-1))
    bend = np.arccos(np.clip((upper * lower).sum(-1), -1, 1))
    share = np.clip((bend - HINGE[0]) / (HINGE[1] - HINGE[0]), 0, 1)
    roll = np.clip(roll, -ROLL, ROLL) * share ** 2 * (3 - 2 * share)
    turn = Rotation.from_rotvec(roll[:, None] * upper).as_matrix() @ turn
    return turn, _align(turn @ _unit(rest_lower), lower) @ turn


def _align(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The least turns [t, 3, 3] from directions [3] or [t, 3] to others [t, 3]."""
    a, b = _unit(np.broadcast_to(a, b.shape)), _unit(b)
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (a * b).sum(-1, keepdims=True))
    return Rotation.from_rotvec(axis / np.maximum(sine, 1e-9) * angle).as_matrix()


def _share(turn: np.ndarray, share: float) -> np.ndarray:
    """The turns [t, 3, 3] gone through in part."""
    return Rotation.from_rotvec(share * Rotation.from_matrix(turn).as_rotvec()).as_matrix()


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] at unit length."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
