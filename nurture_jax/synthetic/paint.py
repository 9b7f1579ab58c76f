"""Colours of the scene: skin and face, cap and hair, nappy, cloth and ruler.

Everything is a function of the point where a ray ends; nothing but the ruler has a known size, for
all lengths of the cloth and the clothes are drawn in proportion to the infant.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nurture_jax.synthetic.body import CAPSULES, ELLIPSOIDS

NAPPY = ELLIPSOIDS.index("nappy")
HEAD = tuple(ELLIPSOIDS.index(name) for name in
             ("cranium", "jaw", "left cheek", "right cheek", "nose"))
EARS = tuple(ELLIPSOIDS.index(name) for name in ("left ear", "right ear"))
ENDS = tuple(i for i, name in enumerate(ELLIPSOIDS)
             if any(word in name for word in ("palm", "fingers", "thumb", "foot", "toe")))
FINGERS = tuple(i for i, name in enumerate(ELLIPSOIDS) if "fingers" in name or "toes" in name)
CHEST, BELLY = ELLIPSOIDS.index("chest"), ELLIPSOIDS.index("belly")
PATTERNS = ("plain", "stripes", "gingham", "dots", "plaid", "flowers")
CLOTH, RULER = -1, -2  # owners that are not parts
Colour = jax.Array | Sequence[jax.Array]  # three channels


class Look(NamedTuple):
    """What one video looks like; lengths in cm, colours linear RGB [3].

    `radius` and `melt` are the infant's; the rest is the scene's.
    """

    radius: jax.Array  # [m] of the capsules
    melt: jax.Array  # [n] distance over which an ellipsoid blends into its neighbours
    head: jax.Array  # [3] radii of the cranium
    scale: jax.Array  # [] the infant's length: the unit of every texture but the ruler's
    skin: jax.Array
    blush: jax.Array
    hair: jax.Array
    hair_amount: jax.Array  # [] 0..1
    cap: jax.Array  # [] 1 with a cap
    cap_colours: jax.Array  # [2 3]
    cap_stripes: jax.Array  # [] stripes over the head's height, 0 for none
    nappy_colours: jax.Array  # [2 3]
    navel: jax.Array  # [3] point of the belly
    nipples: jax.Array  # [2 3]
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


def albedo(head_centre: jax.Array, head_axes: jax.Array, look: Look, at: Rays, normal: jax.Array,
           owner: jax.Array) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
    """What the points `at` are painted with.

    Args:
      head_centre, head_axes: Centre [3] of the cranium, and its axes [3, 3] as columns left, up,
        front.
      normal: Unit normals, [3, p].
      owner: The part that each point is on, or CLOTH or RULER, [p].

    Returns:
      Colours (three [p]), normals with wrinkles (three [p]) and sheen [p].
    """
    ground, slope_x, slope_y = _cloth(look, at)
    shadowless = _ruler(look, at)
    body, wet = _infant(head_centre, head_axes, look, at, owner)
    is_ruler, is_cloth = owner == RULER, owner == CLOTH
    colours = [jnp.where(is_cloth, ground[k], jnp.where(is_ruler, shadowless[k], body[k]))
               for k in range(3)]
    nappy = owner == NAPPY
    tilt = jnp.where(is_cloth, 1.0, jnp.where(nappy, 1.5, 0.0))
    x, y = normal[0] - tilt * slope_x, normal[1] - tilt * slope_y
    inverse = jax.lax.rsqrt(x * x + y * y + normal[2] ** 2)
    normal = [x * inverse, y * inverse, normal[2] * inverse]
    return colours, normal, jnp.where(is_cloth, 0.0, jnp.where(is_ruler, 0.05, wet))


def _step(x: jax.Array, soft: jax.Array | float) -> jax.Array:
    """Rises from 0 to 1 around x = 0, over `soft`."""
    return jnp.clip(0.5 + x / soft, 0, 1)


def _sine(x: jax.Array) -> jax.Array:
    """About sin x, error below 0.06; a few operations, where the exact one costs forty."""
    turns = x * 0.15915494
    turns -= jnp.round(turns)
    return turns * (8 - 16 * jnp.abs(turns))


def _bump(square: jax.Array) -> jax.Array:
    """About exp(-square), 0 from 3 on."""
    rest = jnp.clip(1 - square / 3, 0, 1)
    return rest * rest * rest


def _mix(a: Colour, b: Colour, share: jax.Array) -> list[jax.Array]:
    """From `a` to `b` by `share`, in each of the three channels."""
    return [a[k] + share * (b[k] - a[k]) for k in range(3)]


def _one_of(owner: jax.Array, parts: tuple[int, ...]) -> jax.Array:
    """Whether the owners are any of these parts, [p]."""
    found = owner == parts[0]
    for part in parts[1:]:
        found |= owner == part
    return found


def _infant(head_centre: jax.Array, head_axes: jax.Array, look: Look, at: Rays, owner: jax.Array
            ) -> tuple[list[jax.Array], jax.Array]:
    """Colours and sheen of skin with the face painted on it, hair or cap, nappy."""
    scale = look.scale
    ripple = (_sine(at.x * (31 / scale) + 2 * _sine(at.y * (23 / scale)))
              * _sine(at.y * (37 / scale) + at.z * (29 / scale)))
    red = 0.10 + 0.12 * ripple + 0.38 * _one_of(owner, ENDS) + 0.35 * _one_of(owner, EARS)
    stripes = _sine(at.x * (260 / scale)) * _sine(at.y * (260 / scale))
    dark = jnp.where(_one_of(owner, FINGERS), 0.12 + 0.12 * stripes, 0.0)
    near = lambda p: jnp.square(at.x - p[0]) + jnp.square(at.y - p[1]) + jnp.square(at.z - p[2])
    trunk = (owner == CHEST) | (owner == BELLY)
    for i in range(2):
        spot = _bump(near(look.nipples[i]) / (0.00012 * scale * scale))
        red, dark = red + trunk * 0.9 * spot, dark + trunk * 0.25 * spot
    dark += trunk * 0.65 * _bump(near(look.navel) / (0.00016 * scale * scale))

    p = [sum(head_axes[k, i] * (at[k] - head_centre[k]) for k in range(3)) / look.head[i]
         for i in range(3)]
    on_face = _one_of(owner, HEAD)
    features = _face(p, on_face, owner)
    skin = _mix(look.skin, look.blush, jnp.clip(red + features.red, 0, 1))
    skin = [c * (1 - jnp.clip(dark + features.dark, 0, 0.92)) for c in skin]
    skin = _mix(skin, look.blush * 0.62, features.lips)
    covered = on_face | _one_of(owner, EARS)
    crown = p[1] - 0.75 * p[2] + 0.08 * _sine(9 * p[0]) * (1 - look.cap)
    strands = 0.75 + 0.25 * _sine(50 * p[0] + 6 * _sine(7 * p[1]))
    hair = on_face * (1 - look.cap) * look.hair_amount * _step(crown - 0.12, 0.35) * strands
    skin = _mix(skin, look.hair, hair)
    edge = crown + 0.16
    cap = covered * look.cap * _step(edge, 0.03)
    band = jnp.where(look.cap_stripes > 0, _step(_sine(look.cap_stripes * crown), 0.4), 0.0)
    band = jnp.maximum(band, _step(0.13 - edge, 0.03))
    knit = 0.90 + 0.10 * _sine(60 * p[0]) * _sine(45 * crown)
    wool = [c * knit for c in _mix(look.cap_colours[0], look.cap_colours[1], band)]
    skin = _mix(skin, wool, cap)
    nappy = owner == NAPPY
    hem = _step(_sine(at.y * (55 / scale)) * _sine(at.x * (55 / scale)) - 0.55, 0.3)
    linen = _mix(look.nappy_colours[0], look.nappy_colours[1], hem)
    colours = [jnp.where(nappy, linen[k], skin[k]) for k in range(3)]
    return colours, 0.05 * (1 - cap) * (1 - hair) * (1 - nappy)


class _Features(NamedTuple):
    """How dark, how red and how much lip the points of the face are, [p] each."""

    dark: jax.Array
    red: jax.Array
    lips: jax.Array


def _face(p: Sequence[jax.Array], on_face: jax.Array, owner: jax.Array) -> _Features:
    """Closed eyes, brows, nostrils, mouth and red cheeks, at p (over the cranium's radii)."""
    front = on_face * _step(p[2] - 0.25, 0.2)
    side = jnp.abs(p[0])
    dx = side - 0.37
    lash = jnp.abs(p[1] + 0.155 - 1.6 * dx * dx)  # a curve that hangs: the eye is closed
    reach = _step(0.17 - jnp.abs(dx), 0.05)
    eyes = reach * _step(0.026 - lash, 0.03)
    lid = _bump(jnp.square(dx / 0.17) + jnp.square((p[1] + 0.09) / 0.11))
    brow = _step(0.20 - jnp.abs(dx), 0.1) * _step(0.03 - jnp.abs(p[1] - 0.13 + 1.2 * dx * dx), 0.05)
    nostril = _bump((jnp.square(side - 0.065) + jnp.square(p[1] + 0.475)) / 0.0012)
    beside = _bump(jnp.square(side - 0.17) / 0.004 + jnp.square(p[1] + 0.40) / 0.02)
    lips = _step(1 - jnp.square(p[0] / 0.21) - jnp.square((p[1] + 0.715) / 0.075), 0.5)
    line = _step(0.18 - side, 0.06) * _step(0.018 - jnp.abs(p[1] + 0.71 - 0.8 * p[0] ** 2), 0.025)
    cheek = _bump(jnp.square((side - 0.5) / 0.26) + jnp.square((p[1] + 0.45) / 0.24))
    chin = _bump(jnp.square(p[0] / 0.3) + jnp.square((p[1] + 0.86) / 0.05))
    dark = 0.80 * eyes + 0.13 * lid + 0.25 * brow + 0.65 * nostril + 0.10 * beside + 0.6 * line
    return _Features(front * (dark + 0.12 * chin), front * (0.55 * cheek + 0.35 * lid),
                     front * 0.75 * lips)


def _cloth(look: Look, at: Rays) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    """Colours and slopes of the cloth, and of the floor beyond its edge."""
    cosine, sine = look.cloth_turn
    u, v = cosine * at.x + sine * at.y, cosine * at.y - sine * at.x
    period, fill = look.cloth_period, look.cloth_fill
    soft = look.cloth_soft / period + 0.02
    a, b = u / period, v / period
    tooth = lambda x: jnp.abs(x - jnp.round(x))  # 0 at a whole number, 0.5 between two
    bar_a, bar_b = _step(0.5 * fill - tooth(a), soft), _step(0.5 * fill - tooth(b), soft)
    radius = jnp.sqrt(tooth(a) ** 2 + tooth(b) ** 2)
    dots = _step(0.36 * fill + 0.08 - radius, soft)
    cosine = (a - jnp.round(a)) / jnp.maximum(radius, 1e-3)
    five_fold = cosine * (5 + cosine * cosine * (16 * cosine * cosine - 20))  # cos 5 x of cos x
    petals = _step(0.30 * (0.65 + 0.35 * five_fold) - radius, soft)
    heart = _step(0.09 - radius, soft)
    thin = jnp.maximum(_step(0.05 - jnp.abs(tooth(a) - 0.3), soft),
                       _step(0.05 - jnp.abs(tooth(b) - 0.3), soft))
    one, two, three, four, five = look.pattern[1:]
    second = one * bar_a + two * 0.5 * (bar_a + bar_b) + three * dots + four * 0.5 * (
        bar_a + bar_b) + five * petals
    third = four * thin + five * heart
    ground = _mix(_mix(look.cloth_colours[0], look.cloth_colours[1], second),
                  look.cloth_colours[2], third)
    phase = [look.waves[i, 0] * at.x + look.waves[i, 1] * at.y + look.waves[i, 2] for i in range(6)]
    bent = [phase[i] + 1.1 * _sine(0.6 * phase[(i + 1) % 6]) for i in range(6)]
    crest = [look.waves[i, 3] * _sine(bent[i] + 1.5708) for i in range(6)]
    slope_x = sum(look.waves[i, 0] * crest[i] for i in range(6))
    slope_y = sum(look.waves[i, 1] * crest[i] for i in range(6))
    weave = 1 + 0.05 * _sine(at.x * (170 / look.scale)) * _sine(at.y * (170 / look.scale))
    inside = jnp.minimum(look.cloth_half[0] - jnp.abs(u), look.cloth_half[1] - jnp.abs(v))
    share = _step(inside, look.cloth_soft * 1.5)
    seam = 1 - 0.35 * _step(0.012 * look.scale - jnp.abs(inside + 0.01 * look.scale),
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
    return _mix(look.ruler_colours[0], look.ruler_colours[1], ink)


assert len(ELLIPSOIDS) + len(CAPSULES) < 64  # owners fit the masks
