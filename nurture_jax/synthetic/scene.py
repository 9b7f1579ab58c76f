"""One visit as a scene: the infant's movements, the camera's path, light and things around.

Everything but the ruler is drawn in units of the infant's length (distance of the camera, pattern
of the cloth, nappy, cap), so that a picture without the ruler tells nothing of absolute size
beyond the proportions of the body.
"""
from __future__ import annotations

import dataclasses

import numpy as np

from nurture_jax.measures import BODY_POINTS
from nurture_jax.synthetic.body import ELLIPSOIDS, Parts, Pose, Shape
from nurture_jax.synthetic.dress import Device, draw_look, weaken
from nurture_jax.synthetic.paint import Look
from nurture_jax.synthetic.pose import parts
from nurture_jax.synthetic.render import NOISE_ROOM, Frame

RulerAt = tuple[np.ndarray, np.ndarray, float]  # centre [2], unit axis [2], half width in cm
RULER_CM = 30.0
SHADOW_PARTS = tuple(i for i, name in enumerate(ELLIPSOIDS) if name not in (
    "left cheek", "right cheek", "nose", "left ear", "right ear", "left thumb", "right thumb",
    "left big toe", "right big toe", "left toes", "right toes"))


@dataclasses.dataclass(frozen=True)
class Scene:
    """A video before it is rendered.

    Attributes:
      frames: The t frames as NumPy arrays with a leading axis.
      look: What they look like.
      parts: The body in them.
      times_s: Their times, [t].
      device: What they are filmed with.
      keypoints: Places of KEYPOINTS in cm, [t, 19, 3].
      depth_slack: How far under the surface a visible point may be, in cm, [19].
    """

    frames: Frame
    look: Look
    parts: Parts
    times_s: np.ndarray
    device: Device
    keypoints: np.ndarray
    depth_slack: np.ndarray


def draw_scene(rng: np.random.Generator, shape: Shape, device: Device, times_s: np.ndarray,
               height: int, width: int, ruler: bool = True) -> Scene:
    """A scene for pictures of height x width pixels as they are shown.

    The same generator state gives the same scene with and without the ruler.

    Args:
      times_s: Times of the frames, [t].
      ruler: Whether the ruler is shown.
    """
    body = parts(shape, draw_pose(rng, shape, times_s))
    bounds = _bounds(body)  # [2 2] low and high x, y
    ruler_at = _place_ruler(rng, shape, bounds)
    tangents = np.tan(np.radians(device.view_degrees) / 2) * np.array([width / height, 1.0])
    eye, view = _camera(rng, shape, bounds, ruler_at, tangents, times_s)
    pixel_cm = float(np.linalg.norm(eye[0]) * 2 * tangents[1] / height)
    look = draw_look(rng, shape, device, pixel_cm)
    melt = np.clip(0.45 * body.radii.min(-1), 0.003 * shape.length_cm, 0.02 * shape.length_cm)
    look = look._replace(
        radius=body.radius, melt=melt, ruler_shown=np.float32(ruler), ruler_centre=ruler_at[0],
        ruler_axis=ruler_at[1], ruler_half=np.array([RULER_CM / 2, ruler_at[2]]),
        navel=body.centre[0, ELLIPSOIDS.index("belly")] + [0, 0.1 * shape.belly[1],
                                                           shape.belly[2]],
        nipples=body.centre[0, ELLIPSOIDS.index("chest")] + shape.chest * [
            [0.5, 0.05, 0.86], [-0.5, 0.05, 0.86]])
    keypoints, slack = _keypoints(shape, body, ruler_at, look)
    frames = _frames(rng, body, shape, eye, view, device, height, width, look)
    moved = project(frames, keypoints, height, width)[0][:, 0]  # [t 2] the nose
    frames = frames._replace(blur=weaken(rng, device, moved, times_s))
    return Scene(frames=frames, look=look, parts=body, times_s=times_s, device=device,
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


def draw_pose(rng: np.random.Generator, shape: Shape, times_s: np.ndarray) -> Pose:
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


def _bounds(body: Parts) -> np.ndarray:
    """The lowest and the highest x, y of the body over the frames, [2, 2]."""
    reach = np.sqrt(np.square(body.axes * body.radii[:, None]).sum(-1))  # [t n 3]
    low = np.minimum((body.centre - reach).min((0, 1)),
                     (np.minimum(body.start, body.end) - body.radius[:, None]).min((0, 1)))
    high = np.maximum((body.centre + reach).max((0, 1)),
                      (np.maximum(body.start, body.end) + body.radius[:, None]).max((0, 1)))
    return np.stack([low[:2], high[:2]])


def _place_ruler(rng: np.random.Generator, shape: Shape, bounds: np.ndarray) -> RulerAt:
    """A place left or right of the infant."""
    length = shape.length_cm
    side = rng.choice([-1.0, 1.0])
    half_width = rng.uniform(1.2, 2.0)
    angle = rng.normal(0, np.radians(4))
    gap = length * rng.uniform(0.03, 0.10) + abs(np.sin(angle)) * RULER_CM / 2 + half_width
    edge = bounds[1, 0] if side > 0 else bounds[0, 0]
    middle = bounds[:, 1].mean() + length * rng.uniform(-0.08, 0.08)
    axis = rng.choice([-1.0, 1.0]) * np.array([np.sin(angle), np.cos(angle)])
    return np.array([edge + side * gap, middle]), axis, half_width


def _camera(rng: np.random.Generator, shape: Shape, bounds: np.ndarray, ruler_at: RulerAt,
            tangents: np.ndarray, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Camera positions [t, 3] on an arc from left to right, and rows [t, 3, 3] of `Frame.view`.

    Room for the ruler is reserved in units of the infant's length, not by the ruler's size.

    Args:
      bounds: Lowest and highest x, y of the body, [2, 2].
      tangents: Tangents of half the angles of view, across and down, [2].
    """
    length = shape.length_cm
    side = np.sign(ruler_at[0][0] - bounds[:, 0].mean())
    low, high = bounds[0].copy(), bounds[1].copy()
    (high if side > 0 else low)[0] += side * 0.19 * length
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


def _keypoints(shape: Shape, body: Parts, ruler_at: RulerAt, look: Look
               ) -> tuple[np.ndarray, np.ndarray]:
    """Points [t, 19, 3] and the depth [19] under the surface at which they still count as seen."""
    centre, axis, _ = ruler_at
    ends = np.stack([np.append(centre + sign * RULER_CM / 2 * 0.995 * axis, look.ruler_thickness)
                     for sign in (-1, 1)])
    points = np.stack([body.joints[name] for name in BODY_POINTS], 1)
    ends = np.broadcast_to(ends, (len(points), 2, 3))
    thick = {"hip": 2.2 * shape.pelvis[2], "knee": 1.5 * shape.thigh_radius,
             "shoulder": 1.9 * shape.arm_radius, "elbow": 1.5 * shape.arm_radius,
             "wrist": 1.7 * shape.arm_radius, "ankle": 2.0 * shape.shank_radius,
             "nose": 0.5, "eye": 0.4, "ear": 0.8}
    slack = [thick[name.split("_")[-1]] for name in BODY_POINTS] + [0.15, 0.15]
    return np.concatenate([points, ends], 1), np.array(slack)


def _frames(rng: np.random.Generator, body: Parts, shape: Shape, eye: np.ndarray, view: np.ndarray,
            device: Device, height: int, width: int, look: Look) -> Frame:
    """The arrays the ray caster takes, float32 but for the offsets of the noise."""
    count = len(eye)
    centre = body.centre.copy()
    if look.nappy_colours.max() == 0:  # no nappy: far below the cloth
        centre[:, ELLIPSOIDS.index("nappy"), 2] = -1e4
    radii = body.radii
    span = body.end - body.start
    limb_axes, limb_radii = _as_ellipsoids(span, body.radius)
    shade_centre = np.concatenate([centre[:, SHADOW_PARTS], body.start + span / 2], 1)
    shade = np.concatenate([_quadric(body.axes[:, SHADOW_PARTS], radii[list(SHADOW_PARTS)]),
                            _quadric(limb_axes, limb_radii)], 1)
    flicker = 1 + _sway(rng, np.arange(count) / 30, 0.02)
    frames = Frame(
        centre=centre, quadric=_quadric(body.axes, radii), start=body.start, span=span,
        shade_centre=shade_centre, shade_quadric=shade,
        head_axes=body.axes[:, 0], eye=eye, view=view, blur=np.zeros((count, 3)),
        exposure=device.exposure * np.exp(0.16 * rng.standard_normal()) * flicker,
        noise_at=rng.integers(0, NOISE_ROOM, (count, 2)))
    return Frame(*(np.asarray(value, np.int32 if name == "noise_at" else np.float32)
                   for name, value in frames._asdict().items()))


def _as_ellipsoids(span: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes [t, m, 3, 3] and radii [t, m, 3] of ellipsoids with about the capsules' shadows."""
    length = np.linalg.norm(span, axis=-1, keepdims=True)
    along = span / length
    across = np.cross(along, [0.31, 0.17, 0.93])
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    axes = np.stack([across, along, np.cross(across, along)], -1)
    radius = np.broadcast_to(radius, length.shape[:-1])
    return axes, np.stack([1.1 * radius, length[..., 0] / 2 + 0.8 * radius, 1.1 * radius], -1)


def _quadric(axes: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """xx yy zz xy xz yz of the matrices whose unit form is the ellipsoid, [t, n, 6]."""
    form = np.einsum("...ik,...k,...jk->...ij", axes, 1 / radii ** 2, axes)
    return np.stack([form[..., 0, 0], form[..., 1, 1], form[..., 2, 2],
                     form[..., 0, 1], form[..., 0, 2], form[..., 1, 2]], -1)
