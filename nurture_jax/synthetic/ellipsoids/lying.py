"""An infant of ellipsoids that lies on the cloth, as the scene and the renderer take it."""
from __future__ import annotations

import dataclasses

import numpy as np

from nurture_jax.synthetic.ellipsoids.body import ELLIPSOIDS, Parts, Shape
from nurture_jax.synthetic.ellipsoids.hits import look_at
from nurture_jax.synthetic.ellipsoids.parts import parts
from nurture_jax.synthetic.ellipsoids.skin import Solid
from nurture_jax.synthetic.world.paint import Look, Rays, Seen
from nurture_jax.synthetic.world.pose import Pose
from nurture_jax.synthetic.world.render import Frame
from nurture_jax.synthetic.world.scene import quadric

SHADOW_PARTS = tuple(i for i, name in enumerate(ELLIPSOIDS) if name not in (
    "left cheek", "right cheek", "nose", "left ear", "right ear", "left thumb", "right thumb",
    "left big toe", "right big toe", "left toes", "right toes"))


def lie(shape: Shape, pose: Pose) -> LyingBody:
    """The infant in the pose."""
    return LyingBody(shape, parts(shape, pose))


@dataclasses.dataclass(frozen=True)
class LyingBody:
    """An infant of ellipsoids in t frames; see `scene.Placed`."""

    shape: Shape
    body: Parts

    @property
    def length_cm(self) -> float:
        """Crown to heel."""
        return self.shape.length_cm

    @property
    def joints(self) -> dict[str, np.ndarray]:
        """Places of the body points, [t, 3] by name."""
        return self.body.joints

    @property
    def head_axes(self) -> np.ndarray:
        """Axes of the head as columns left, up, front, [t, 3, 3]."""
        return self.body.axes[:, 0]

    @property
    def depth_slack(self) -> dict[str, float]:
        """How far under the surface the points still count as seen, in cm."""
        shape = self.shape
        return {"hip": 2.2 * shape.pelvis[2], "knee": 1.5 * shape.thigh_radius,
                "shoulder": 1.9 * shape.arm_radius, "elbow": 1.5 * shape.arm_radius,
                "wrist": 1.7 * shape.arm_radius, "ankle": 2.0 * shape.shank_radius,
                "nose": 0.5, "eye": 0.4, "ear": 0.8}

    @property
    def bounds(self) -> np.ndarray:
        """The lowest and the highest x, y of the body over the frames, [2, 2]."""
        body = self.body
        reach = np.sqrt(np.square(body.axes * body.radii[:, None]).sum(-1))  # [t n 3]
        low = np.minimum((body.centre - reach).min((0, 1)),
                         (np.minimum(body.start, body.end) - body.radius[:, None]).min((0, 1)))
        high = np.maximum((body.centre + reach).max((0, 1)),
                          (np.maximum(body.start, body.end) + body.radius[:, None]).max((0, 1)))
        return np.stack([low[:2], high[:2]])

    def dressed(self, look: Look) -> Primitives:
        """The body with or without its nappy."""
        shape, body = self.shape, self.body
        centre = body.centre.copy()
        if look.nappy_colours.max() == 0:  # no nappy: far below the cloth
            centre[:, ELLIPSOIDS.index("nappy"), 2] = -1e4
        radii = body.radii
        span = body.end - body.start
        limb_axes, limb_radii = _as_ellipsoids(span, body.radius)
        melt = np.clip(0.45 * radii.min(-1), 0.003 * shape.length_cm, 0.02 * shape.length_cm)
        return Primitives(
            shade_centre=np.concatenate([centre[:, SHADOW_PARTS], body.start + span / 2], 1),
            shade_quadric=np.concatenate([
                quadric(body.axes[:, SHADOW_PARTS], radii[list(SHADOW_PARTS)]),
                quadric(limb_axes, limb_radii)], 1),
            moving=tuple(np.asarray(value, np.float32) for value in (
                centre, quadric(body.axes, radii), body.start, span)),
            fixed=tuple(np.asarray(value, np.float32) for value in (
                body.radius, melt, shape.head,
                body.centre[0, ELLIPSOIDS.index("belly")] + [0, 0.1 * shape.belly[1],
                                                             shape.belly[2]],
                body.centre[0, ELLIPSOIDS.index("chest")] + shape.chest * [
                    [0.5, 0.05, 0.86], [-0.5, 0.05, 0.86]])))


@dataclasses.dataclass(frozen=True)
class Primitives:
    """A dressed infant of ellipsoids in t frames; see `scene.Surface`.

    Attributes:
      moving: The fields of `Solid` that change from frame to frame, with a leading axis t.
      fixed: The others, in their order.
    """

    shade_centre: np.ndarray
    shade_quadric: np.ndarray
    moving: tuple[np.ndarray, ...]
    fixed: tuple[np.ndarray, ...]

    def look_at(self, index: int, frame: Frame, look: Look, rays: Rays) -> Seen:
        """What rays [p] from the frame's eye meet in frame `index`."""
        solid = Solid(*(value[index] for value in self.moving), *self.fixed)
        return look_at(solid, frame, look, rays)


def _as_ellipsoids(span: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes [t, m, 3, 3] and radii [t, m, 3] of ellipsoids with about the capsules' shadows."""
    length = np.linalg.norm(span, axis=-1, keepdims=True)
    along = span / length
    across = np.cross(along, [0.31, 0.17, 0.93])
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    axes = np.stack([across, along, np.cross(across, along)], -1)
    radius = np.broadcast_to(radius, length.shape[:-1])
    return axes, np.stack([1.1 * radius, length[..., 0] / 2 + 0.8 * radius, 1.1 * radius], -1)
