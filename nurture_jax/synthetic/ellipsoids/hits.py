"""What rays meet on ellipsoids and capsules, in closed form.

Every infant has the same number of primitives. Start at `look_at`.
"""
from __future__ import annotations

import jax
import jax.numpy as jnp

from deps_jax.common.nn.precision import full_precision
from nurture_jax.synthetic.ellipsoids.body import CAPSULES, ELLIPSOIDS
from nurture_jax.synthetic.ellipsoids.skin import Solid, albedo
from nurture_jax.synthetic.world.paint import Look, Rays, Seen
from nurture_jax.synthetic.world.render import FAR, Frame, ground, point_pass, quadratic

FLESH = ELLIPSOIDS.index("nappy")  # ellipsoids before it are the body; the nappy is the last


def look_at(solid: Solid, frame: Frame, look: Look, rays: Rays) -> Seen:
    """What the rays [p] from the frame's eye meet; the passes are apart for `render`'s reason."""
    depth, owner = _hit_pass(frame.eye, solid, look, rays)
    at = point_pass(frame.eye, rays, depth)
    weights = _ellipsoid_pass(solid, at), _capsule_pass(solid, at)
    normal = _normal_pass(solid, at, owner, weights)
    base, normal, wet = _paint_pass(solid, frame.head_axes, look, at, normal, owner)
    return Seen(depth, owner, at, base, normal, wet)


# Looked up late: the functions stand below, in the order of the passes.
_hit_pass = jax.jit(lambda *arrays: _first_hit(*arrays))
_ellipsoid_pass = jax.jit(lambda *arrays: _ellipsoid_weights(*arrays))
_capsule_pass = jax.jit(lambda *arrays: _capsule_weights(*arrays))
_normal_pass = jax.jit(lambda *arrays: _normals(*arrays))
_paint_pass = jax.jit(albedo)


def _first_hit(eye: jax.Array, solid: Solid, look: Look, d: Rays) -> tuple[jax.Array, jax.Array]:
    """Distance [p] and owner [p] of the nearest surface: a part, CLOTH or RULER."""
    t, owner = ground(eye, look, d)
    for i in range(len(ELLIPSOIDS)):
        q, o = solid.quadric[i], eye - solid.centre[i]
        f = quadratic(q, *o)
        c = o[0] * f[0] + o[1] * f[1] + o[2] * f[2] - 1
        g = quadratic(q, *d)
        a = d.x * g[0] + d.y * g[1] + d.z * g[2]
        b = d.x * f[0] + d.y * f[1] + d.z * f[2]
        root = b * b - a * c
        to = (-b - jnp.sqrt(jnp.maximum(root, 0))) / a
        hit = (root > 0) & (to < t) & (to > 0)
        t, owner = jnp.where(hit, to, t), jnp.where(hit, i, owner)
    for j in range(len(CAPSULES)):
        to = _capsule_hit(eye - solid.start[j], solid.span[j], solid.radius[j], d)
        hit = to < t
        t, owner = jnp.where(hit, to, t), jnp.where(hit, len(ELLIPSOIDS) + j, owner)
    return t, owner


def _capsule_hit(o: jax.Array, span: jax.Array, radius: jax.Array, d: Rays) -> jax.Array:
    """Distance [p] to a capsule from o (relative to its start), FAR where it is missed."""
    dot = lambda a, b: a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    ss, sd, so, do, oo = dot(span, span), dot(span, d), dot(span, o), dot(o, d), dot(o, o)
    a, b, c = ss - sd * sd, ss * do - so * sd, ss * oo - so * so - radius * radius * ss
    root = b * b - a * c
    tube = (-b - jnp.sqrt(jnp.maximum(root, 0))) / jnp.maximum(a, 1e-6)
    y = so + tube * sd
    # Past an end of the tube: the sphere there.
    far = y > 0.5 * ss
    b = do - jnp.where(far, sd, 0.0)
    c = oo - jnp.where(far, 2 * so - ss, 0.0) - radius * radius
    cap_root = b * b - c
    cap = -b - jnp.sqrt(jnp.maximum(cap_root, 0))
    on_tube = (y > 0) & (y < ss)
    to = jnp.where(on_tube, tube, cap)
    return jnp.where((root > 0) & (on_tube | (cap_root > 0)) & (to > 0), to, FAR)


def _ellipsoid_weights(solid: Solid, at: Rays) -> jax.Array:
    """Shares [FLESH, p] of the ellipsoids' gradients in the normals at the points.

    Where two parts of the body meet their normals are blended, as skin is smooth.
    """
    c, q = _columns(solid.centre[:FLESH]), _columns(solid.quadric[:FLESH])
    p = [at[k][None] - c[k] for k in range(3)]
    g = quadratic(q, *p)
    inverse = jax.lax.rsqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2] + 1e-12)
    above = 0.5 * (p[0] * g[0] + p[1] * g[1] + p[2] * g[2] - 1) * inverse  # about the distance
    return jnp.square(jnp.clip(1 - above / solid.melt[:FLESH, None], 0, 1)) * inverse


def _capsule_weights(solid: Solid, at: Rays) -> tuple[jax.Array, jax.Array]:
    """Shares [m, p] of the capsules, and those times the place along each that is nearest."""
    c, span = _columns(solid.start), _columns(solid.span)
    radius = solid.radius[:, None]
    p = [at[k][None] - c[k] for k in range(3)]
    square = span[0] ** 2 + span[1] ** 2 + span[2] ** 2
    share = jnp.clip((p[0] * span[0] + p[1] * span[1] + p[2] * span[2]) / square, 0, 1)
    p = [p[k] - share * span[k] for k in range(3)]
    square = p[0] * p[0] + p[1] * p[1] + p[2] * p[2] + 1e-12
    inverse = jax.lax.rsqrt(square)
    above = square * inverse - radius
    weight = jnp.square(jnp.clip(1 - above / (0.45 * radius), 0, 1)) * inverse
    return weight, weight * share


def _columns(table: jax.Array) -> list[jax.Array]:
    """Columns [n 1] of a table [n k]."""
    return [table[:, k, None] for k in range(table.shape[1])]


@full_precision
def _normals(solid: Solid, at: Rays, owner: jax.Array,
             weights: tuple[jax.Array, tuple[jax.Array, jax.Array]]) -> jax.Array:
    """Unit normals [3, p]: the weighted gradients Q(x - c) and x - a - share * span, summed.

    Both are linear in the weights, so that the sum over the parts is one matrix product; in full
    precision, since a gradient is a small difference of large numbers.
    """
    q, c = solid.quadric[:FLESH], solid.centre[:FLESH]
    offset = -jnp.stack(quadratic(q.T, *c.T), 1)  # [FLESH 3]
    ones, none = jnp.ones((len(CAPSULES), 3)), jnp.zeros((len(CAPSULES), 3))
    skin, (limb, place) = weights
    summed = (jnp.concatenate([q, offset], 1).T @ skin
              + jnp.concatenate([ones, none, -solid.start], 1).T @ limb
              + jnp.concatenate([none, none, -solid.span], 1).T @ place)  # [9 p]
    flesh = quadratic(summed[:6], *at)
    nappy = quadratic(solid.quadric[FLESH], *(at[k] - solid.centre[FLESH, k] for k in range(3)))
    flat = (0.0, 0.0, 1.0)
    g = [jnp.where(owner < 0, flat[k],
                   jnp.where(owner == FLESH, nappy[k], flesh[k] + summed[6 + k]))
         for k in range(3)]
    return jnp.stack(g) * jax.lax.rsqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2 + 1e-12)[None]
