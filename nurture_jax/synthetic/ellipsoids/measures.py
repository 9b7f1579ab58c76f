"""Measures of the body, and the body that has given measures.

What is exact, and how. Head, chest and arm circumference fix the parts they are measured on; the
legs take what the length leaves. Weight is volume x density: belly, pelvis and legs are thickened
or thinned together (`fullness`) until the volume is the one asked for. Where fullness would leave
FULLNESS the weight gives way: `Shape.volume_cm3` is the truth, and `measures` reads all five off
the geometry. The volume is that of the straightened body; a bent joint overlaps a little more.
"""
from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np

from nurture_jax.synthetic.ellipsoids.body import CAPSULES, ELLIPSOIDS, Parts, Shape, Traits
from nurture_jax.synthetic.ellipsoids.parts import parts, straight_pose

FULLNESS = (0.75, 1.25)  # plausible thickness of belly and legs, against the average infant
VOLUME_TOLERANCE = 2e-4  # relative, of the solved volume
SAMPLES_PER_PART = 512


def ellipse_perimeter(a: float, b: float) -> float:
    """The perimeter of an ellipse with these semi-axes, by Ramanujan's second approximation.

    Its relative error is below 1e-6 for axes within a factor 2.
    """
    h = ((a - b) / (a + b)) ** 2
    return float(np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h))))


def solve_shape(measures: np.ndarray, density_g_cm3: float, traits: Traits) -> Shape:
    """The body with these measures: [5] weight_g, length_cm, head_cm, chest_cm, arm_cm.

    Weight is met by `fullness`, to VOLUME_TOLERANCE, unless that would leave FULLNESS.
    """
    weight, length, head, chest, arm = (float(value) for value in measures)
    depth = head / ellipse_perimeter(1.0, traits.head_width)
    width = chest / ellipse_perimeter(1.0, traits.chest_depth)
    shape = Shape(
        length_cm=length, arm_radius=arm / (2 * np.pi), fullness=1.0, traits=traits,
        head=depth * np.array([traits.head_width, traits.head_height, 1.0]),
        chest=width * np.array([1.0, 0.145 * length / width, traits.chest_depth]))
    wanted = weight / density_g_cm3
    at = lambda fullness: dataclasses.replace(shape, fullness=fullness)
    low, high = FULLNESS
    fullness = 1.0
    for _ in range(20):  # regula falsi in the square: the volume is nearly linear in it
        found = volume(at(fullness))
        if abs(found / wanted - 1) < VOLUME_TOLERANCE:
            break
        low, high = (fullness, high) if found < wanted else (low, fullness)
        slope = 0.52 * found / fullness ** 2
        step = float(np.sqrt(max(fullness ** 2 + (wanted - found) / slope, 0.01)))
        fullness = step if low < step < high else (low + high) / 2
        if high - low < 1e-4:
            break
    fullness = float(np.clip(fullness, *FULLNESS))
    return dataclasses.replace(at(fullness), volume_cm3=volume(at(fullness)))


def measures(shape: Shape, density_g_cm3: float) -> np.ndarray:
    """What the straightened body measures: [5] weight_g, length_cm, head_cm, chest_cm, arm_cm."""
    body = parts(shape, straight_pose(shape))
    flesh = slice(0, ELLIPSOIDS.index("nappy"))
    reach = np.linalg.norm(body.axes[0, flesh, 1] * body.radii[flesh], axis=-1)  # along y
    along = body.centre[0, flesh, 1]
    ends = np.stack([body.start[0, :, 1], body.end[0, :, 1]])
    crown = max((along + reach).max(), (ends + body.radius).max())
    heel = min((along - reach).min(), (ends - body.radius).min())
    return np.array([shape.volume_cm3 * density_g_cm3, crown - heel,
                     ellipse_perimeter(shape.head[0], shape.head[2]),
                     ellipse_perimeter(shape.chest[0], shape.chest[2]),
                     2 * np.pi * shape.arm_radius])


def volume(shape: Shape) -> float:
    """Volume in cm3 of the union of the parts of the straightened body, without the nappy.

    Each part counts by the share of fixed points in it that no earlier part contains.
    """
    body = parts(shape, straight_pose(shape))
    flesh = range(ELLIPSOIDS.index("nappy"))
    ball, cylinder = _unit_points()
    total = 0.0
    for i in flesh:
        points = body.centre[0, i] + (ball * body.radii[i]) @ body.axes[0, i].T
        free = ~_inside(body, points, i, 0)
        total += 4 / 3 * np.pi * body.radii[i].prod() * free.mean()
    for j in range(len(CAPSULES)):
        start, end, radius = body.start[0, j], body.end[0, j], body.radius[j]
        length = np.linalg.norm(end - start)
        frame = _frame((end - start) / length)
        tube = start + (cylinder * [radius, radius, length]) @ frame.T
        side = np.where(ball @ frame[:, 2] < 0, 0.0, 1.0)[:, None]
        caps = start + side * (end - start) + radius * ball
        for points, size in ((tube, np.pi * radius**2 * length), (caps, 4/3*np.pi * radius**3)):
            total += size * (~_inside(body, points, len(flesh), j)).mean()
    return float(total)


def inside(body: Parts, points: np.ndarray) -> np.ndarray:
    """Whether points [p, 3] are in the body of the first frame without its clothes, [p]."""
    return _inside(body, points, ELLIPSOIDS.index("nappy"), len(CAPSULES))


def _inside(body: Parts, points: np.ndarray, ellipsoids: int, capsules: int) -> np.ndarray:
    """Whether points [p, 3] are in one of the first so many parts, [p]."""
    to_ball = body.axes[0, :ellipsoids] / body.radii[:ellipsoids, None]  # [n 3 3]
    local = points @ to_ball - body.centre[0, :ellipsoids, None] @ to_ball  # [n p 3]
    hit = (np.einsum("npk,npk->np", local, local) < 1).any(0)
    start = body.start[0, :capsules, None]
    span = body.end[0, :capsules, None] - start  # [m 1 3]
    offset = points - start
    share = (offset @ span[:, 0, :, None])[..., 0] / np.square(span).sum(-1)
    offset -= np.clip(share, 0, 1)[..., None] * span
    distance = np.einsum("mpk,mpk->mp", offset, offset)
    return hit | (distance < body.radius[:capsules, None] ** 2).any(0)


@cache
def _unit_points() -> tuple[np.ndarray, np.ndarray]:
    """Evenly spread points [n, 3] in the unit ball and in the cylinder of radius and height 1."""
    root = 1.2207440846057596  # the R3 sequence (Roberts 2018): x^4 = x + 1
    uniform = (0.5 + np.arange(1, SAMPLES_PER_PART + 1)[:, None]
               * np.array([root ** -1, root ** -2, root ** -3])) % 1
    cosine, angle = 2 * uniform[:, 0] - 1, 2 * np.pi * uniform[:, 1]
    sine = np.sqrt(1 - cosine ** 2)
    sphere = np.stack([sine * np.cos(angle), sine * np.sin(angle), cosine], 1)
    disc = np.sqrt(uniform[:, :1]) * np.stack([np.cos(angle), np.sin(angle)], 1)
    return sphere * np.cbrt(uniform[:, 2:]), np.concatenate([disc, uniform[:, 2:]], 1)


def _frame(direction: np.ndarray) -> np.ndarray:
    """Orthonormal columns [3, 3], the last one along the unit vector `direction`."""
    helper = np.eye(3)[np.abs(direction).argmin()]
    first = np.cross(direction, helper)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(direction, first), direction], 1)
