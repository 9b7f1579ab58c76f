"""One visit as a scene: the infant's movements, the camera's path, light and things around.

Everything but the ruler is drawn in units of the infant's length (distance of the camera, pattern
of the cloth, nappy, cap), so that a picture without the ruler tells nothing of absolute size
beyond the proportions of the body.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np

from nurture_jax.measures import BODY_POINTS
from nurture_jax.synthetic.world.dress import (
    SURROUNDINGS,
    USUAL,
    Device,
    Surroundings,
    draw_look,
    weaken,
)
from nurture_jax.synthetic.world.paint import Look, Rays, Seen
from nurture_jax.synthetic.world.pose import Pose, draw_pose
from nurture_jax.synthetic.world.render import NOISE_ROOM, Frame
from nurture_jax.synthetic.world.rulers import RULERS, Ruler

RulerAt = tuple[np.ndarray, np.ndarray, float]  # centre [2], unit axis [2], half width in cm


_USUAL = RULERS["30"]
_IN_VIEW = 0.6  # of the length of a longer one to either side: the camera slants


class Surface(Protocol):
    """A body that is dressed for a video of t frames.

    Attributes:
      shade_centre, shade_quadric: Ellipsoids that cast its shadows, [t, s, 3] and [t, s, 6]; see
        `Frame`.
    """

    shade_centre: np.ndarray
    shade_quadric: np.ndarray

    def look_at(self, index: int, frame: Frame, look: Look, rays: Rays) -> Seen:
        """What rays [p] from the frame's eye meet in frame `index`."""


class Placed(Protocol):
    """A body of any kind that lies on the cloth in t frames.

    Attributes:
      length_cm: Crown to heel.
      joints: Places of BODY_POINTS in cm, [t, 3] by name.
      depth_slack: How far under the surface each still counts as seen, in cm, by the last word of
        its name.
      head_axes: Axes of the head as columns left, up, front, [t, 3, 3].
      bounds: The lowest and the highest x, y over the frames, [2, 2].
    """

    length_cm: float
    joints: dict[str, np.ndarray]
    depth_slack: dict[str, float]
    head_axes: np.ndarray
    bounds: np.ndarray

    def dressed(self, look: Look) -> Surface:
        """The body with skin and clothes, of which `look` tells whether there is a nappy."""


@dataclasses.dataclass(frozen=True)
class Scene:
    """A video before it is rendered.

    Attributes:
      frames: The t frames as NumPy arrays with a leading axis.
      look: What they look like.
      surface: The body in them.
      times_s: Their times, [t].
      device: What they are filmed with.
      keypoints: Places of KEYPOINTS in cm, [t, 19, 3].
      depth_slack: How far under the surface a visible point may be, in cm, [19].
    """

    frames: Frame
    look: Look
    surface: Surface
    times_s: np.ndarray
    device: Device
    keypoints: np.ndarray
    depth_slack: np.ndarray


def draw_scene(rng: np.random.Generator, place: Callable[[Pose], Placed], device: Device,
               times_s: np.ndarray, height: int, width: int, ruler: bool = True,
               kind: Ruler = RULERS["30"], own: np.random.Generator | None = None,
               around: Surroundings = SURROUNDINGS[USUAL]) -> Scene:
    """A scene for pictures of height x width pixels as they are shown.

    The same generator state gives the same scene with and without the ruler, with any kind of it,
    and for any kind of body: all is drawn in the same order.

    Args:
      place: Makes an infant lie in a pose.
      times_s: Times of the frames, [t].
      ruler: Whether the ruler is shown.
      kind: What it is.
      own: What is drawn of it alone comes from here.
      around: Where it is filmed.
    """
    body = place(draw_pose(rng, times_s))
    length = body.length_cm
    ruler_at = _place_ruler(rng, length, body.bounds, kind)
    tangents = np.tan(np.radians(device.view_degrees) / 2) * np.array([width / height, 1.0])
    eye, view = _camera(rng, length, body.bounds, ruler_at, kind, tangents, times_s)
    pixel_cm = float(np.linalg.norm(eye[0]) * 2 * tangents[1] / height)
    look = draw_look(rng, length, device, pixel_cm, kind, own, around)
    look = look._replace(
        ruler_shown=np.float32(ruler), ruler_centre=ruler_at[0],
        ruler_axis=ruler_at[1], ruler_half=np.array([kind.length_cm / 2, ruler_at[2]]))
    keypoints, slack = _keypoints(body, ruler_at, kind.length_cm, look)
    surface = body.dressed(look)
    frames = _frames(rng, body, surface, eye, view, device)
    moved = project(frames, keypoints, height, width)[0][:, 0]  # [t 2] the nose
    frames = frames._replace(blur=weaken(rng, device, moved, times_s))
    return Scene(frames=frames, look=look, surface=surface, times_s=times_s, device=device,
                 keypoints=keypoints, depth_slack=slack)


def project(frames: Frame, points: np.ndarray, height: int, width: int
            ) -> tuple[np.ndarray, np.ndarray]:
    """Where points are seen, in pixels (x right, y down; centres at .5), and their distances in cm.

    Args:
      points: Points in cm, [t, k, 3].

    Returns:
      Pixels [t, k, 2] and distances [t, k].
    """
    offset = points - frames.eye[:, None]
    scale = np.square(frames.view).sum(-1)  # rows are not unit vectors
    u, v, depth = np.moveaxis(np.einsum("tkc,trc->tkr", offset, frames.view) / scale[:, None], -1,
                              0)
    pixels = np.stack([(1 + u / depth) * width / 2, (1 - v / depth) * height / 2], -1)
    return pixels, np.linalg.norm(offset, axis=-1)


def _place_ruler(rng: np.random.Generator, length: float, bounds: np.ndarray, kind: Ruler
                 ) -> RulerAt:
    """A place left or right of the infant."""
    side = rng.choice([-1.0, 1.0])
    half_width = rng.uniform(*kind.half_width_cm)
    angle = rng.normal(0, np.radians(4))
    gap = length * rng.uniform(0.03, 0.10) + abs(np.sin(angle)) * kind.length_cm / 2 + half_width
    edge = bounds[1, 0] if side > 0 else bounds[0, 0]
    middle = bounds[:, 1].mean() + length * rng.uniform(-0.08, 0.08)
    axis = rng.choice([-1.0, 1.0]) * np.array([np.sin(angle), np.cos(angle)])
    return np.array([edge + side * gap, middle]), axis, half_width


def _camera(rng: np.random.Generator, length: float, bounds: np.ndarray, ruler_at: RulerAt,
            kind: Ruler, tangents: np.ndarray, times_s: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray]:
    """Camera positions [t, 3] on an arc from left to right, and rows [t, 3, 3] of `Frame.view`.

    Room for a ruler of 30 cm or less is reserved in units of the infant's length, not by its size;
    a longer or wider one has to be wholly in view.

    Args:
      bounds: Lowest and highest x, y of the body, [2, 2].
      tangents: Tangents of half the angles of view, across and down, [2].
    """
    side = np.sign(ruler_at[0][0] - bounds[:, 0].mean())
    low, high = bounds[0].copy(), bounds[1].copy()
    (high if side > 0 else low)[0] += side * (
        0.19 * length + 2 * max(0.0, ruler_at[2] - _USUAL.half_width_cm[1]))
    if kind.length_cm > _USUAL.length_cm:
        low[1] = min(low[1], ruler_at[0][1] - _IN_VIEW * kind.length_cm)
        high[1] = max(high[1], ruler_at[0][1] + _IN_VIEW * kind.length_cm)
    target = np.append((low + high) / 2 + length * rng.uniform(-0.03, 0.03, 2), 0.06 * length)
    needed = np.max((high - low) / 2) / tangents.min()  # within the central square
    distance = needed * rng.uniform(0.94, 1.34) + 0.10 * length
    share = np.clip(times_s / max(times_s[-1], 1e-6), 0, 1)
    share = share + rng.uniform(-0.1, 0.1) * np.sin(2 * np.pi * share)
    half_arc = np.radians(rng.uniform(15, 34))
    angle = half_arc * (2 * share - 1) + rng.normal(0, 0.05)
    slant = np.radians(rng.uniform(10, 34)) + _sway(rng, times_s, 0.012)
    direction = np.stack([np.cos(slant) * np.sin(angle), -np.sin(slant),
                          np.cos(slant) * np.cos(angle)], -1)
    eye = target + distance * direction * (1 + _sway(rng, times_s, 0.012))[:, None]
    aim = target + length * np.stack([_sway(rng, times_s, 0.012) for _ in range(3)], -1)
    forward = aim - eye
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    roll = np.clip(rng.normal(0, np.radians(6)), -0.25, 0.25) + _sway(rng, times_s, 0.012)
    upward = np.stack([np.sin(roll), np.cos(roll), np.zeros_like(roll)], -1)
    right = np.cross(forward, upward)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    up = np.cross(right, forward)
    return eye, np.stack([right * tangents[0], up * tangents[1], forward], 1)


def _sway(rng: np.random.Generator, times_s: np.ndarray, amplitude: float) -> np.ndarray:
    """The tremble of a hand: four slow waves, [t]."""
    rate, phase = rng.uniform(0.3, 2.5, 4), rng.uniform(0, 2 * np.pi, 4)
    return amplitude / 2 * np.sin(2 * np.pi * rate * times_s[:, None] + phase).sum(-1)


def _keypoints(body: Placed, ruler_at: RulerAt, ruler_cm: float, look: Look
               ) -> tuple[np.ndarray, np.ndarray]:
    """Points [t, 19, 3] and the depth [19] under the surface at which they still count as seen."""
    centre, axis, _ = ruler_at
    ends = np.stack([np.append(centre + sign * ruler_cm / 2 * 0.995 * axis, look.ruler_thickness)
                     for sign in (-1, 1)])
    points = np.stack([body.joints[name] for name in BODY_POINTS], 1)
    ends = np.broadcast_to(ends, (len(points), 2, 3))
    slack = [body.depth_slack[name.split("_")[-1]] for name in BODY_POINTS] + [0.15, 0.15]
    return np.concatenate([points, ends], 1), np.array(slack)


def _frames(rng: np.random.Generator, body: Placed, surface: Surface, eye: np.ndarray,
            view: np.ndarray, device: Device) -> Frame:
    """The arrays the renderer takes, float32 but for the offsets of the noise."""
    count = len(eye)
    flicker = 1 + _sway(rng, np.arange(count) / 30, 0.02)
    frames = Frame(
        shade_centre=surface.shade_centre, shade_quadric=surface.shade_quadric,
        head_axes=body.head_axes, eye=eye, view=view, blur=np.zeros((count, 3)),
        exposure=device.exposure * np.exp(0.16 * rng.standard_normal()) * flicker,
        noise_at=rng.integers(0, NOISE_ROOM, (count, 2)))
    return Frame(*(np.asarray(value, np.int32 if name == "noise_at" else np.float32)
                   for name, value in frames._asdict().items()))


def quadric(axes: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """xx yy zz xy xz yz of the matrices whose unit form is the ellipsoid, [t, n, 6]."""
    form = np.einsum("...ik,...k,...jk->...ij", axes, 1 / radii ** 2, axes)
    return np.stack([form[..., 0, 0], form[..., 1, 1], form[..., 2, 2],
                     form[..., 0, 1], form[..., 0, 2], form[..., 1, 2]], -1)
