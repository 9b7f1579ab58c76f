"""The skin of the ellipsoids: face, hands, feet, navel and nipples."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nurture_jax.synthetic.ellipsoids.body import CAPSULES, ELLIPSOIDS
from nurture_jax.synthetic.world.paint import (
    Head,
    Look,
    Rays,
    bump,
    hair_and_cap,
    linen,
    mix,
    painted,
    sine,
    step,
)

NAPPY = ELLIPSOIDS.index("nappy")
HEAD = tuple(ELLIPSOIDS.index(name) for name in
             ("cranium", "jaw", "left cheek", "right cheek", "nose"))
EARS = tuple(ELLIPSOIDS.index(name) for name in ("left ear", "right ear"))
ENDS = tuple(i for i, name in enumerate(ELLIPSOIDS)
             if any(word in name for word in ("palm", "fingers", "thumb", "foot", "toe")))
FINGERS = tuple(i for i, name in enumerate(ELLIPSOIDS) if "fingers" in name or "toes" in name)
CHEST, BELLY = ELLIPSOIDS.index("chest"), ELLIPSOIDS.index("belly")


class Solid(NamedTuple):
    """The parts of the body in one frame; lengths in cm. With a leading axis t it is a video.

    A quadric is the symmetric matrix Q of an ellipsoid with centre c, as xx yy zz xy xz yz;
    (x-c)'Q(x-c) = 1 is the surface.
    """

    centre: jax.Array  # [n 3] ellipsoids
    quadric: jax.Array  # [n 6]
    start: jax.Array  # [m 3] capsules
    span: jax.Array  # [m 3] to the other end
    radius: jax.Array  # [m] of the capsules
    melt: jax.Array  # [n] distance over which an ellipsoid blends into its neighbours
    head: jax.Array  # [3] radii of the cranium
    navel: jax.Array  # [3] point of the belly
    nipples: jax.Array  # [2 3]


def albedo(solid: Solid, head_axes: jax.Array, look: Look, at: Rays, normal: jax.Array,
           owner: jax.Array) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
    """What the points `at` are painted with; see `paint.painted`.

    Args:
      head_axes: Axes [3, 3] of the head as columns left, up, front.
      normal: Unit normals, [3, p].
      owner: The part that each point is on, or CLOTH or RULER, [p].
    """
    body, wet = _infant(solid, head_axes, look, at, owner)
    return painted(look, at, normal, owner, body, wet, owner == NAPPY)


def _one_of(owner: jax.Array, parts: tuple[int, ...]) -> jax.Array:
    """Whether the owners are any of these parts, [p]."""
    found = owner == parts[0]
    for part in parts[1:]:
        found |= owner == part
    return found


def _infant(solid: Solid, head_axes: jax.Array, look: Look, at: Rays, owner: jax.Array
            ) -> tuple[list[jax.Array], jax.Array]:
    """Colours and sheen of skin with the face painted on it, hair or cap, nappy."""
    scale = look.scale
    ripple = (sine(at.x * (31 / scale) + 2 * sine(at.y * (23 / scale)))
              * sine(at.y * (37 / scale) + at.z * (29 / scale)))
    red = 0.10 + 0.12 * ripple + 0.38 * _one_of(owner, ENDS) + 0.35 * _one_of(owner, EARS)
    stripes = sine(at.x * (260 / scale)) * sine(at.y * (260 / scale))
    dark = jnp.where(_one_of(owner, FINGERS), 0.12 + 0.12 * stripes, 0.0)
    near = lambda p: jnp.square(at.x - p[0]) + jnp.square(at.y - p[1]) + jnp.square(at.z - p[2])
    trunk = (owner == CHEST) | (owner == BELLY)
    for i in range(2):
        spot = bump(near(solid.nipples[i]) / (0.00012 * scale * scale))
        red, dark = red + trunk * 0.9 * spot, dark + trunk * 0.25 * spot
    dark += trunk * 0.65 * bump(near(solid.navel) / (0.00016 * scale * scale))

    p = [sum(head_axes[k, i] * (at[k] - solid.centre[0, k]) for k in range(3)) / solid.head[i]
         for i in range(3)]
    on_face = _one_of(owner, HEAD)
    features = _face(p, on_face, owner)
    skin = mix(look.skin, look.blush, jnp.clip(red + features.red, 0, 1))
    skin = [c * (1 - jnp.clip(dark + features.dark, 0, 0.92)) for c in skin]
    skin = mix(skin, look.blush * 0.62, features.lips)
    skin, hair, cap = hair_and_cap(look, Head(p, on_face, _one_of(owner, EARS)), skin)
    nappy = owner == NAPPY
    cloth = linen(look, at)
    colours = [jnp.where(nappy, cloth[k], skin[k]) for k in range(3)]
    return colours, 0.05 * (1 - cap) * (1 - hair) * (1 - nappy)


class _Features(NamedTuple):
    """How dark, how red and how much lip the points of the face are, [p] each."""

    dark: jax.Array
    red: jax.Array
    lips: jax.Array


def _face(p: Sequence[jax.Array], on_face: jax.Array, owner: jax.Array) -> _Features:
    """Closed eyes, brows, nostrils, mouth and red cheeks, at p (over the cranium's radii)."""
    front = on_face * step(p[2] - 0.25, 0.2)
    side = jnp.abs(p[0])
    dx = side - 0.37
    lash = jnp.abs(p[1] + 0.155 - 1.6 * dx * dx)  # a curve that hangs: the eye is closed
    reach = step(0.17 - jnp.abs(dx), 0.05)
    eyes = reach * step(0.026 - lash, 0.03)
    lid = bump(jnp.square(dx / 0.17) + jnp.square((p[1] + 0.09) / 0.11))
    brow = step(0.20 - jnp.abs(dx), 0.1) * step(0.03 - jnp.abs(p[1] - 0.13 + 1.2 * dx * dx), 0.05)
    nostril = bump((jnp.square(side - 0.065) + jnp.square(p[1] + 0.475)) / 0.0012)
    beside = bump(jnp.square(side - 0.17) / 0.004 + jnp.square(p[1] + 0.40) / 0.02)
    lips = step(1 - jnp.square(p[0] / 0.21) - jnp.square((p[1] + 0.715) / 0.075), 0.5)
    line = step(0.18 - side, 0.06) * step(0.018 - jnp.abs(p[1] + 0.71 - 0.8 * p[0] ** 2), 0.025)
    cheek = bump(jnp.square((side - 0.5) / 0.26) + jnp.square((p[1] + 0.45) / 0.24))
    chin = bump(jnp.square(p[0] / 0.3) + jnp.square((p[1] + 0.86) / 0.05))
    dark = 0.80 * eyes + 0.13 * lid + 0.25 * brow + 0.65 * nostril + 0.10 * beside + 0.6 * line
    return _Features(front * (dark + 0.12 * chin), front * (0.55 * cheek + 0.35 * lid),
                     front * 0.75 * lips)


assert len(ELLIPSOIDS) + len(CAPSULES) < 64  # owners fit the masks
