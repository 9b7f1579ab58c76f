"""Things that are no newborn, made of the same ellipsoids and capsules, on the same cloths.

A network that never saw the renderer draw anything else would take "drawn by our renderer" for "a
newborn". Each kind is a function (rng, length, t) -> `Thing`, with lengths in cm.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from nurture_jax.measures import BODY_POINTS
from nurture_jax.synthetic.ellipsoids.body import CAPSULES, ELLIPSOIDS, Parts, Shape, Traits
from nurture_jax.synthetic.ellipsoids.lying import LyingBody
from nurture_jax.synthetic.ellipsoids.parts import parts
from nurture_jax.synthetic.world.pose import Pose, draw_pose

AWAY = -1e4  # cm over the cloth, where nobody sees a part
# Parts that are painted in one colour; a face is painted on the parts of a head.
PLAIN = tuple(i for i, name in enumerate(ELLIPSOIDS)
              if name == "pelvis" or any(word in name for word in ("palm", "thumb", "foot", "big")))


@dataclasses.dataclass(frozen=True)
class Thing(LyingBody):
    """Parts that lie where a newborn would; see `scene.Placed`. The camera keeps a newborn's room.

    Attributes:
      skinned: Whether it has the skin of the scene; else it has a colour of its own.
    """

    skinned: bool = False

    @property
    def bounds(self) -> np.ndarray:
        """The room of a newborn, lowest and highest x, y, [2, 2]."""
        length = self.shape.length_cm
        return np.array([[-0.27, 0.0], [0.27, 1.0]]) * length


def empty(rng: np.random.Generator, length: float, pose: Pose) -> Thing:
    """Nothing."""
    return _Pile(rng, length, pose).thing()


def cups(rng: np.random.Generator, length: float, pose: Pose) -> Thing:
    """One to three cups or bottles with handles, standing or lying."""
    pile = _Pile(rng, length, pose)
    for _ in range(int(rng.integers(1, 4))):
        foot, radius, tall = pile.spot(), rng.uniform(0.05, 0.11), rng.uniform(0.1, 0.35)
        if rng.random() < 0.5:
            along = np.array([0.0, 0.0, 1.0])
        else:
            angle = rng.uniform(0, 2 * np.pi)
            along = np.array([np.cos(angle), np.sin(angle), 0.0])
        pile.capsule(foot, foot + tall * along, radius)
        side = np.cross(along, [0.6, 0.3, 0.74])
        side *= (radius + 0.03) / np.linalg.norm(side)
        pile.capsule(foot + side + 0.2 * tall * along, foot + side + 0.8 * tall * along, 0.015)
    return pile.thing()


def toys(rng: np.random.Generator, length: float, pose: Pose) -> Thing:
    """Balls, eggs and sticks, apart or in a heap."""
    pile = _Pile(rng, length, pose)
    heap, middle = rng.random() < 0.5, pile.spot()
    for _ in range(int(rng.integers(2, len(PLAIN)))):
        at = middle + rng.normal(0, 0.1, 3) * [1, 1, 0] if heap else pile.spot()
        pile.ellipsoid(at, np.exp(rng.uniform(np.log(0.02), np.log(0.12), 3)))
    for _ in range(int(rng.integers(0, len(CAPSULES)))):
        at = middle if heap else pile.spot()
        pile.capsule(at, at + rng.normal(0, 0.15, 3) * [1, 1, 0.2], rng.uniform(0.008, 0.05))
    return pile.thing()


def pets(rng: np.random.Generator, length: float, pose: Pose) -> Thing:
    """A cat or a dog that lies on its side: trunk, small head, ears, snout, four legs, a tail."""
    pile = _Pile(rng, length, pose)
    turn = rng.uniform(0, 2 * np.pi)
    axes = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    at = lambda x, y, z=0.0: np.array([0.0, 0.5, 0.0]) + axes @ np.array([x, y, z])
    long, thick = rng.uniform(0.2, 0.3), rng.uniform(0.09, 0.14)
    head = rng.uniform(0.06, 0.1)
    pile.ellipsoid(at(0, 0), [thick, long, 0.8 * thick], axes)
    neck = at(rng.uniform(-0.08, 0.12), long + 0.6 * head)
    pile.ellipsoid(neck, [head, head, 0.9 * head], axes)
    pile.ellipsoid(neck + axes @ [head, 0.2 * head, 0], [0.6 * head, 0.4 * head, 0.4 * head], axes)
    for side in (-0.5, 0.4):
        pile.ellipsoid(neck + axes @ [side * head, head, 0.3 * head],
                       [0.3 * head, 0.6 * head, 0.15 * head], axes)
    for along in (0.8 * long, 0.6 * long, -0.6 * long, -0.85 * long):
        bend = rng.normal(0, 0.06)
        pile.capsule(at(0.5 * thick, along), at(thick + rng.uniform(0.1, 0.2), along + bend),
                     rng.uniform(0.02, 0.035))
    pile.capsule(at(0, -long), at(rng.uniform(-0.15, 0.15), -long - rng.uniform(0.1, 0.25)),
                 rng.uniform(0.012, 0.03))
    return pile.thing()


def limbs(rng: np.random.Generator, length: float, pose: Pose) -> Thing:
    """Arms and hands, or legs, of grown people that reach into the picture."""
    pile = _Pile(rng, length, pose)
    for _ in range(int(rng.integers(1, 4))):
        hand, angle = pile.spot(), rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(angle), np.sin(angle), 0.15])
        across = np.array([-away[1], away[0], 0.0])
        radius = rng.uniform(0.055, 0.12)
        pile.capsule(hand, hand + rng.uniform(1.0, 1.6) * away, radius)
        pile.ellipsoid(hand - 0.06 * away, [0.9 * radius, 0.13, 0.05],
                       np.stack([across, -away / np.linalg.norm(away), [0, 0, 1]], -1))
        for finger in (-0.05, 0.0, 0.05)[:2 if rng.random() < 0.3 else 3]:
            start = hand - 0.15 * away + finger * across
            pile.capsule(start, start - 0.12 * away + 0.5 * finger * across, 0.016)
    return pile.thing(skinned=True)


def dolls(rng: np.random.Generator, length: float, pose: Pose) -> Thing:
    """A doll with a face: a grown person's small head, or a plush toy's huge one on stubs."""
    plush = rng.random() < 0.5
    head = rng.uniform(1.6, 2.1) if plush else rng.uniform(0.42, 0.58)
    wide = rng.uniform(0.9, 1.4) if plush else rng.uniform(0.6, 0.8)
    shape = _shape(length, head=head, chest=wide)
    body = parts(shape, draw_pose(rng, np.zeros(len(pose.bend))))  # it does not move
    size = rng.uniform(0.6, 1.0)  # over a newborn's
    middle = np.array([0, 0.5 * length, 0])
    scaled = lambda points: np.where(points[..., 2:] > AWAY / 2,
                                     size * (points - middle) + middle, points)
    body = dataclasses.replace(body, centre=scaled(body.centre), start=scaled(body.start),
                               end=scaled(body.end), radii=size * body.radii,
                               radius=size * body.radius)
    small = dataclasses.replace(shape, head=size * shape.head)
    return Thing(small, dataclasses.replace(body, joints=_nowhere(len(pose.bend))))


KINDS: dict[str, Callable[[np.random.Generator, float, Pose], Thing]] = {
    "empty": empty, "cups": cups, "toys": toys, "pets": pets, "limbs": limbs, "dolls": dolls}


class _Pile:
    """Parts put down one by one; lengths are given over a newborn's, z over the cloth."""

    def __init__(self, rng: np.random.Generator, length: float, pose: Pose) -> None:
        self._rng, self._length, self._frames = rng, length, len(pose.bend)
        self._centre = np.full((len(ELLIPSOIDS), 3), [0, 0, AWAY])
        self._radii = np.full((len(ELLIPSOIDS), 3), 1.0)
        self._axes = np.tile(np.eye(3), (len(ELLIPSOIDS), 1, 1))
        self._start = np.full((len(CAPSULES), 3), [0, 0, AWAY])
        self._span, self._radius = np.tile([0, 1.0, 0], (len(CAPSULES), 1)), np.ones(len(CAPSULES))
        self._plain, self._capsules = list(PLAIN), list(range(len(CAPSULES)))

    def spot(self) -> np.ndarray:
        """A place on the cloth that the camera sees, [3] over the length."""
        return np.array([self._rng.uniform(-0.25, 0.25), self._rng.uniform(0.1, 0.9), 0])

    def ellipsoid(self, at: np.ndarray, radii: np.ndarray, axes: np.ndarray | None = None) -> None:
        """Puts one down on the cloth, as long as there are any."""
        if not self._plain:
            return
        i = self._plain.pop(0)
        self._axes[i] = np.eye(3) if axes is None else axes
        self._radii[i] = self._length * np.asarray(radii)
        self._centre[i] = self._length * np.asarray(at)
        self._centre[i, 2] += self._radii[i, 2]

    def capsule(self, start: np.ndarray, end: np.ndarray, radius: float) -> None:
        """Puts one down on the cloth, as long as there are any."""
        if not self._capsules:
            return
        j = self._capsules.pop(0)
        raised = np.array([0, 0, radius])
        self._start[j] = self._length * (np.asarray(start) + raised)
        self._span[j] = self._length * (np.asarray(end) - np.asarray(start))
        self._radius[j] = self._length * radius

    def thing(self, *, skinned: bool = False) -> Thing:
        """What was put down, the same in all frames."""
        repeat = lambda value: np.tile(value, (self._frames, *[1] * value.ndim))
        body = Parts(centre=repeat(self._centre), axes=repeat(self._axes), radii=self._radii,
                     start=repeat(self._start), end=repeat(self._start + self._span),
                     radius=self._radius, joints=_nowhere(self._frames))
        return Thing(_shape(self._length), body, skinned)


def _nowhere(frames: int) -> dict[str, np.ndarray]:
    """Joints of what has none, [t, 3] each."""
    return {name: np.zeros((frames, 3)) for name in BODY_POINTS}


def _shape(length: float, head: float = 1.0, chest: float = 1.0) -> Shape:
    """About a newborn's shape with another head and trunk, both factors on a newborn's."""
    traits = Traits()
    depth, width = 0.122 * length * head, 0.116 * length * chest
    return Shape(length_cm=length, arm_radius=0.033 * length * chest, fullness=1.0, traits=traits,
                 head=depth * np.array([traits.head_width, traits.head_height, 1.0]),
                 chest=np.array([width, 0.145 * length, width * traits.chest_depth]))
