"""From a shape and a pose to primitives in space: the forward kinematics of the newborn."""
from __future__ import annotations

import numpy as np

from nurture_jax.synthetic.ellipsoids.body import CAPSULES, ELLIPSOIDS, Parts, Shape
from nurture_jax.synthetic.world.pose import SIDES, Pose, head_axes, lean, segment, toes

# Parts and joints by name, over t frames, in cm.
Ellipsoids = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]  # centre [t 3], axes, radii [3]
Capsule = tuple[np.ndarray, np.ndarray, float]  # both ends [t 3], radius
Capsules = dict[str, Capsule]
Joints = dict[str, np.ndarray]  # [t 3]
EYE = np.array([0.36, -0.10, 0.90])  # of the left eye on the cranium, over its radii


def straight_pose(shape: Shape) -> Pose:
    """The measured position, one frame: legs along y, head straight, arms along the body."""
    length = shape.length_cm
    level = shape.pelvis[2] / length
    legs = np.array([level - shape.thigh_radius / length, level - shape.shank_radius / length])
    arms = np.full(2, (0.9 * shape.chest[2] - shape.arm_radius) / length)
    zero = np.zeros(1)
    return Pose(head_yaw=zero, head_tilt=zero, bend=zero, arm_azimuth=np.full((1, 2, 2), 0.15),
                arm_height=np.broadcast_to(arms, (1, 2, 2)), leg_azimuth=np.zeros((1, 2, 2)),
                leg_height=np.broadcast_to(legs, (1, 2, 2)), foot_azimuth=np.zeros((1, 2)),
                foot_rise=np.full((1, 2), np.pi / 2))


def parts(shape: Shape, pose: Pose) -> Parts:
    """Primitives and joints of every frame of the pose."""
    head, head_joints = _head(shape, pose)
    trunk = _trunk(shape, pose)
    arms, hands, arm_joints = _arms(shape, pose)
    legs, feet, leg_joints = _legs(shape, pose)
    ellipsoids = head | trunk | hands | feet
    capsules = {"neck": _neck(shape, pose, head["cranium"][0])} | arms | legs
    stack = lambda table, names, i: np.stack([table[name][i] for name in names], 1)
    fixed = lambda table, names: np.array([table[name][2] for name in names])
    return Parts(
        centre=stack(ellipsoids, ELLIPSOIDS, 0), axes=stack(ellipsoids, ELLIPSOIDS, 1),
        radii=fixed(ellipsoids, ELLIPSOIDS),
        start=stack(capsules, CAPSULES, 0), end=stack(capsules, CAPSULES, 1),
        radius=fixed(capsules, CAPSULES), joints=head_joints | arm_joints | leg_joints)


def _head(shape: Shape, pose: Pose) -> tuple[Ellipsoids, Joints]:
    """The parts of the head, and its joints; axes are left, up (crown), front."""
    width, height, depth = shape.head
    yaw, axes = pose.head_yaw, head_axes(pose)
    neck_to_centre = shape.length_cm - height - shape.shoulder_y
    base = _spine(shape, pose, shape.shoulder_y)
    rest = np.sqrt((depth * np.cos(yaw)) ** 2 + (width * np.sin(yaw)) ** 2)  # lies on the cloth
    centre = base + neck_to_centre * lean(pose)[..., 1]
    centre = np.concatenate([centre[:, :2], rest[:, None]], 1)
    at = lambda x, y, z: centre + axes @ np.array([x * width, y * height, z * depth])
    radii = lambda x, y, z: np.array([x * width, y * height, z * depth])
    cheek, nose = shape.traits.cheeks, shape.traits.nose
    parts = {
        "cranium": (centre, axes, shape.head),
        "jaw": (at(0, -0.60, 0.34), axes, radii(0.70, 0.50, 0.58)),
        "left cheek": (at(0.40, -0.52, 0.58), axes, cheek * radii(0.34, 0.30, 0.24)),
        "right cheek": (at(-0.40, -0.52, 0.58), axes, cheek * radii(0.34, 0.30, 0.24)),
        "nose": (at(0, -0.36, 0.95), axes, nose * radii(0.145, 0.15, 0.15)),
        "left ear": (at(0.97, -0.22, -0.05), axes, radii(0.10, 0.27, 0.19)),
        "right ear": (at(-0.97, -0.22, -0.05), axes, radii(0.10, 0.27, 0.19)),
    }
    joints = {"nose": at(0, -0.36, 1.06), "left_eye": at(*EYE),
              "right_eye": at(-EYE[0], EYE[1], EYE[2]),
              "left_ear": at(1.02, -0.22, -0.05), "right_ear": at(-1.02, -0.22, -0.05)}
    return parts, joints


def _trunk(shape: Shape, pose: Pose) -> Ellipsoids:
    upright = np.broadcast_to(np.eye(3), (len(pose.bend), 3, 3))
    lying = lambda y, radii: (np.add(_spine(shape, pose, y), [0, 0, radii[2]]), upright, radii)
    pelvis = shape.pelvis
    nappy = pelvis * [1.09, 0.98, 1.12] + shape.length_cm * np.array([0.005, 0.007, 0.005])
    return {"chest": lying(shape.chest_y, shape.chest), "belly": lying(shape.belly_y, shape.belly),
            "pelvis": lying(shape.hip_y + 0.02 * shape.length_cm, pelvis),
            "nappy": lying(shape.hip_y + 0.012 * shape.length_cm, nappy)}


def _neck(shape: Shape, pose: Pose, head: np.ndarray) -> Capsule:
    """The neck, up into the cranium with centre `head` [t, 3]."""
    radius = 0.50 * shape.head[0]
    base = _spine(shape, pose, shape.shoulder_y - 0.03 * shape.length_cm)
    return np.add(base, [0, 0, shape.chest[2]]), head - [0, 0.35 * shape.head[1], 0], radius


def _arms(shape: Shape, pose: Pose) -> tuple[Capsules, Ellipsoids, Joints]:
    """Arms, hands and their joints."""
    length, radius = shape.length_cm, shape.arm_radius
    thin = shape.traits.wrist_taper * radius
    capsules, hands, joints = {}, {}, {}
    for side, name in enumerate(("left", "right")):
        shoulder = np.add(_spine(shape, pose, shape.shoulder_y - 0.4 * radius),
                          [SIDES[side] * 0.93 * shape.chest[0], 0, 0.9 * shape.chest[2]])
        elbow, _ = segment(shoulder, shape.traits.upper_arm * length, SIDES[side],
                           pose.arm_azimuth[:, side, 0],
                           radius + length * pose.arm_height[:, side, 0])
        wrist, along = segment(elbow, shape.traits.forearm * length, SIDES[side],
                               pose.arm_azimuth[:, side, 1],
                               thin + length * pose.arm_height[:, side, 1])
        capsules[f"{name} upper arm"] = shoulder, elbow, radius
        capsules[f"{name} forearm"] = elbow, wrist, thin
        hands |= _hand(name, SIDES[side], wrist, along, length)
        joints |= {f"{name}_shoulder": shoulder, f"{name}_elbow": elbow, f"{name}_wrist": wrist}
    return capsules, hands, joints


def _hand(name: str, side: float, wrist: np.ndarray, along: np.ndarray, length: float
          ) -> Ellipsoids:
    """A loose fist: palm, curled fingers and thumb, along the forearm."""
    axes = _limb_axes(along)
    at = lambda x, y, z: wrist + length * (axes @ np.array([side * x, y, z]))
    return {f"{name} palm": (at(0, 0.028, 0.002), axes, length * np.array([.030, .036, .023])),
            f"{name} fingers": (at(0, 0.058, -0.006), axes, length * np.array([.030, .024, .022])),
            f"{name} thumb": (at(-0.026, 0.040, 0.012), axes,
                              length * np.array([.012, .026, .012]))}


def _legs(shape: Shape, pose: Pose) -> tuple[Capsules, Ellipsoids, Joints]:
    """Legs, feet and their joints."""
    length, thick, thin = shape.length_cm, shape.thigh_radius, shape.shank_radius
    thigh, shank = shape.leg
    capsules, feet, joints = {}, {}, {}
    for side, name in enumerate(("left", "right")):
        hip = np.add(_spine(shape, pose, shape.hip_y),
                     [SIDES[side] * (shape.pelvis[0] - 0.95 * thick), 0, shape.pelvis[2]])
        knee, _ = segment(hip, thigh, SIDES[side], pose.leg_azimuth[:, side, 0],
                          thick + length * pose.leg_height[:, side, 0])
        ankle, along = segment(knee, shank, SIDES[side], pose.leg_azimuth[:, side, 1],
                               thin + length * pose.leg_height[:, side, 1])
        capsules[f"{name} thigh"] = hip, knee, thick
        capsules[f"{name} shank"] = knee, ankle, thin
        feet |= _foot(name, side, ankle, along, shape, pose)
        joints |= {f"{name}_hip": hip, f"{name}_knee": knee, f"{name}_ankle": ankle}
    return capsules, feet, joints


def _foot(name: str, side: int, ankle: np.ndarray, along: np.ndarray, shape: Shape,
          pose: Pose) -> Ellipsoids:
    """Foot, toes and big toe: the toes rise from the shank's direction towards z, turned out."""
    half, thin = 0.5 * shape.traits.foot * shape.length_cm, shape.shank_radius
    ahead = toes(pose, side)
    sole = along - ahead * (along * ahead).sum(-1, keepdims=True)  # away from the shank
    norm = np.linalg.norm(sole, axis=-1, keepdims=True)
    sole = np.where(norm > 0.2, sole / np.maximum(norm, 1e-6), _perpendicular(ahead))
    axes = np.stack([np.cross(-sole, ahead), ahead, -sole], -1)  # to the left, along, upper side
    at = lambda x, y, z: ankle + axes @ np.array([SIDES[side] * x, y, z])
    return {f"{name} foot": (at(0, half - 0.9 * thin, -0.12 * thin), axes,
                             np.array([0.36 * half, half, 0.72 * thin])),
            f"{name} toes": (at(0.08 * half, 1.78 * half - 0.9 * thin, 0), axes,
                             np.array([0.34 * half, 0.20 * half, 0.40 * thin])),
            f"{name} big toe": (at(-0.24 * half, 1.80 * half - 0.9 * thin, 0.05 * thin), axes,
                                np.array([0.15 * half, 0.24 * half, 0.36 * thin]))}


def _spine(shape: Shape, pose: Pose, y: float) -> np.ndarray:
    """Points [t, 3] of the back at height y, on the cloth; it is bent from the hips up."""
    up = (y - shape.hip_y) / shape.length_cm
    x = pose.bend * up * abs(up) * shape.length_cm
    return np.stack([x, np.full_like(x, y), np.zeros_like(x)], -1)


def _limb_axes(along: np.ndarray) -> np.ndarray:
    """Axes [t, 3, 3] as columns: across (+x at a limb along +y), along, out of the cloth."""
    across = np.cross(along, [0.0, 0.0, 1.0])
    across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
    return np.stack([across, along, np.cross(across, along)], -1)


def _perpendicular(direction: np.ndarray) -> np.ndarray:
    """A horizontal unit vector across the direction, [t, 3]."""
    across = np.cross(direction, [0.0, 0.0, 1.0])
    return across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
