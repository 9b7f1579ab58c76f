"""Colours of the scene: hair, cap and nappy, cloth and ruler; each kind of body has its own skin.

Everything is a function of the point where a ray ends; nothing but the ruler has a known size, for
all lengths of the cloth and the clothes are drawn in proportion to the infant.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

PATTERNS = ("plain", "stripes", "gingham", "dots", "plaid", "flowers")
CLOTH, RULER = -1, -2  # owners that are not parts
Colour = jax.Array | Sequence[jax.Array]  # three channels


class Look(NamedTuple):
    """What one video looks like; lengths in cm, colours linear RGB [3].

    The shape of the infant is not in it.
    """

    scale: jax.Array  # [] the infant's length: the unit of every texture but the ruler's
    skin: jax.Array
    blush: jax.Array
    hair: jax.Array
    hair_amount: jax.Array  # [] 0..1
    cap: jax.Array  # [] 1 with a cap
    cap_colours: jax.Array  # [2 3]
    cap_stripes: jax.Array  # [] stripes over the head's height, 0 for none
    nappy_colours: jax.Array  # [2 3]
    pattern: jax.Array  # [6] one-hot over PATTERNS
    cloth_colours: jax.Array  # [3 3]
    cloth_turn: jax.Array  # [2] cosine and sine of the pattern's direction
    cloth_period: jax.Array  # []
    cloth_fill: jax.Array  # [] share of a period in the second colour
    cloth_half: jax.Array  # [2] half sides of the cloth
    cloth_soft: jax.Array  # [] width of a pixel on the cloth
    floor_colour: jax.Array
    waves: jax.Array  # [6 4] wrinkles: wave vector x y, phase, slope
    ruler_shown: jax.Array  # [] 1 or 0
    ruler_centre: jax.Array  # [2]
    ruler_axis: jax.Array  # [2] unit, from its 0 to its 30 cm end
    ruler_half: jax.Array  # [2] half length and half width
    ruler_thickness: jax.Array  # []
    ruler_colours: jax.Array  # [2 3] body and ink
    ruler_ink: jax.Array  # [rows columns] 0..1
    light: jax.Array  # [3] unit vector to the key light
    key_colour: jax.Array
    sky_colour: jax.Array
    bounce_colour: jax.Array
    white: jax.Array  # [3] white balance
    vignette: jax.Array
    noise: jax.Array  # [2] of reading, of photons


class Rays(NamedTuple):
    """Coordinates [p] of unit directions, or of the points where rays end, in cm."""

    x: jax.Array
    y: jax.Array
    z: jax.Array


class Seen(NamedTuple):
    """What the rays of a picture meet, [p] each.

    Attributes:
      depth: Distance from the eye in cm.
      owner: A number from 0 up on the infant, CLOTH or RULER.
      at: The points.
      colours: Three channels, linear.
      normal: Coordinates of the unit normals, wrinkles included.
      wet: Sheen.
    """

    depth: jax.Array
    owner: jax.Array
    at: Rays
    colours: list[jax.Array]
    normal: list[jax.Array]
    wet: jax.Array


def painted(look: Look, at: Rays, normal: Colour, owner: jax.Array, body: Colour, wet: jax.Array,
            nappy: jax.Array) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
    """What the points `at` are painted with, the infant and what is around.

    Args:
      normal: Coordinates of the unit normals, three [p].
      owner: What each point is on, see `Seen`.
      body, wet: Colours and sheen of the points that are on the infant.
      nappy: Whether the points are on the nappy, [p].

    Returns:
      Colours (three [p]), normals with wrinkles (three [p]) and sheen [p].
    """
    ground, slope_x, slope_y = _cloth(look, at)
    shadowless = _ruler(look, at)
    is_ruler, is_cloth = owner == RULER, owner == CLOTH
    colours = [jnp.where(is_cloth, ground[k], jnp.where(is_ruler, shadowless[k], body[k]))
               for k in range(3)]
    tilt = jnp.where(is_cloth, 1.0, jnp.where(nappy, 1.5, 0.0))
    x, y = normal[0] - tilt * slope_x, normal[1] - tilt * slope_y
    inverse = jax.lax.rsqrt(x * x + y * y + normal[2] ** 2)
    normal = [x * inverse, y * inverse, normal[2] * inverse]
    return colours, normal, jnp.where(is_cloth, 0.0, jnp.where(is_ruler, 0.05, wet))


class Head(NamedTuple):
    """Where the points are on the head, [p] each.

    Attributes:
      place: Left, up, front from its middle, over its radii.
      skin: Whether they are on the head without the ears.
      ears: Whether they are on the ears.
    """

    place: Sequence[jax.Array]
    skin: jax.Array
    ears: jax.Array


def hair_and_cap(look: Look, head: Head, skin: Colour
                 ) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    """Skin of the head with hair on it or a cap over it; how much of either hides it, [p]."""
    p = head.place
    covered = head.skin | head.ears
    crown = p[1] - 0.75 * p[2] + 0.08 * sine(9 * p[0]) * (1 - look.cap)
    strands = 0.75 + 0.25 * sine(50 * p[0] + 6 * sine(7 * p[1]))
    hair = head.skin * (1 - look.cap) * look.hair_amount * step(crown - 0.12, 0.35) * strands
    skin = mix(skin, look.hair, hair)
    edge = crown + 0.16
    cap = covered * look.cap * step(edge, 0.03)
    band = jnp.where(look.cap_stripes > 0, step(sine(look.cap_stripes * crown), 0.4), 0.0)
    band = jnp.maximum(band, step(0.13 - edge, 0.03))
    knit = 0.90 + 0.10 * sine(60 * p[0]) * sine(45 * crown)
    wool = [c * knit for c in mix(look.cap_colours[0], look.cap_colours[1], band)]
    return mix(skin, wool, cap), hair, cap


def linen(look: Look, at: Rays) -> list[jax.Array]:
    """The nappy's colours at the points."""
    scale = look.scale
    hem = step(sine(at.y * (55 / scale)) * sine(at.x * (55 / scale)) - 0.55, 0.3)
    return mix(look.nappy_colours[0], look.nappy_colours[1], hem)


def step(x: jax.Array, soft: jax.Array | float) -> jax.Array:
    """Rises from 0 to 1 around x = 0, over `soft`."""
    return jnp.clip(0.5 + x / soft, 0, 1)


def sine(x: jax.Array) -> jax.Array:
    """About sin x, error below 0.06; a few operations, where the exact one costs forty."""
    turns = x * 0.15915494
    turns -= jnp.round(turns)
    return turns * (8 - 16 * jnp.abs(turns))


def bump(square: jax.Array) -> jax.Array:
    """About exp(-square), 0 from 3 on."""
    rest = jnp.clip(1 - square / 3, 0, 1)
    return rest * rest * rest


def mix(a: Colour, b: Colour, share: jax.Array) -> list[jax.Array]:
    """From `a` to `b` by `share`, in each of the three channels."""
    return [a[k] + share * (b[k] - a[k]) for k in range(3)]


def _cloth(look: Look, at: Rays) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    """Colours and slopes of the cloth, and of the floor beyond its edge."""
    turn = look.cloth_turn
    u, v = turn[0] * at.x + turn[1] * at.y, turn[0] * at.y - turn[1] * at.x
    period, fill = look.cloth_period, look.cloth_fill
    soft = look.cloth_soft / period + 0.02
    a, b = u / period, v / period
    tooth = lambda x: jnp.abs(x - jnp.round(x))  # 0 at a whole number, 0.5 between two
    bar_a, bar_b = step(0.5 * fill - tooth(a), soft), step(0.5 * fill - tooth(b), soft)
    radius = jnp.sqrt(tooth(a) ** 2 + tooth(b) ** 2)
    dots = step(0.36 * fill + 0.08 - radius, soft)
    cosine = (a - jnp.round(a)) / jnp.maximum(radius, 1e-3)
    five_fold = cosine * (5 + cosine * cosine * (16 * cosine * cosine - 20))  # cos 5 x of cos x
    petals = step(0.30 * (0.65 + 0.35 * five_fold) - radius, soft)
    heart = step(0.09 - radius, soft)
    thin = jnp.maximum(step(0.05 - jnp.abs(tooth(a) - 0.3), soft),
                       step(0.05 - jnp.abs(tooth(b) - 0.3), soft))
    one, two, three, four, five = look.pattern[1:]
    second = one * bar_a + two * 0.5 * (bar_a + bar_b) + three * dots + four * 0.5 * (
        bar_a + bar_b) + five * petals
    third = four * thin + five * heart
    ground = mix(mix(look.cloth_colours[0], look.cloth_colours[1], second),
                  look.cloth_colours[2], third)
    phase = [look.waves[i, 0] * at.x + look.waves[i, 1] * at.y + look.waves[i, 2] for i in range(6)]
    bent = [phase[i] + 1.1 * sine(0.6 * phase[(i + 1) % 6]) for i in range(6)]
    crest = [look.waves[i, 3] * sine(bent[i] + 1.5708) for i in range(6)]
    slope_x = sum(look.waves[i, 0] * crest[i] for i in range(6))
    slope_y = sum(look.waves[i, 1] * crest[i] for i in range(6))
    weave = 1 + 0.05 * sine(at.x * (170 / look.scale)) * sine(at.y * (170 / look.scale))
    inside = jnp.minimum(look.cloth_half[0] - jnp.abs(u), look.cloth_half[1] - jnp.abs(v))
    share = step(inside, look.cloth_soft * 1.5)
    seam = 1 - 0.35 * step(0.012 * look.scale - jnp.abs(inside + 0.01 * look.scale),
                            0.02 * look.scale)
    ground = [(look.floor_colour[k] + share * (weave * ground[k] - look.floor_colour[k])) * seam
              for k in range(3)]
    return ground, share * slope_x, share * slope_y


def _ruler(look: Look, at: Rays) -> list[jax.Array]:
    """Colours of the ruler from its ink, drawn on the host and blurred to the pixel's size there.

    The ink is looked up without interpolation: it has at least four columns a pixel.
    """
    rows, columns = look.ruler_ink.shape
    x, y = at.x - look.ruler_centre[0], at.y - look.ruler_centre[1]
    along = x * look.ruler_axis[0] + y * look.ruler_axis[1]
    across = y * look.ruler_axis[0] - x * look.ruler_axis[1]
    column = (0.5 + 0.5 * along / look.ruler_half[0]) * columns
    row = (0.5 - 0.5 * across / look.ruler_half[1]) * rows
    column = jnp.clip(column.astype(jnp.int32), 0, columns - 1)
    row = jnp.clip(row.astype(jnp.int32), 0, rows - 1)
    ink = look.ruler_ink.reshape(-1)[row * columns + column]
    return mix(look.ruler_colours[0], look.ruler_colours[1], ink)

