"""The renderer: rays of the camera, shadows and light on what they meet, a phone's picture.

What the rays meet is the business of each kind of body. Compiled once per picture size: all that
varies is data. Reading for the first time? Start at `render`. Pixels are kept as flat [p] arrays of
one coordinate each, so that XLA fuses the whole of a pass into one loop.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from deps_jax.common.nn.precision import full_precision
from nurture_jax.measures import NEWBORN, REFERENCE
from nurture_jax.synthetic.world.paint import CLOTH, RULER, Look, Rays, Seen

BLUR_RADIUS = 2  # of the blur kernel, pixels
FAR = 1e6
BAND_PIXELS = 120_000  # at 720p twice as fast as the whole picture at once
NOISE_ROOM = 32  # pixels, the offsets of the noise are below
Band = tuple[jax.Array, jax.Array, jax.Array]  # linear light [p, 3], owner [p], depth [p]
LookAt = Callable[["Frame", Look, Rays], Seen]  # what rays from the frame's eye meet


class Frame(NamedTuple):
    """What changes from frame to frame beside the body; lengths in cm.

    With a leading axis t it is a video.

    A quadric is the symmetric matrix Q of an ellipsoid with centre c, as xx yy zz xy xz yz;
    (x-c)'Q(x-c) = 1 is the surface.
    """

    shade_centre: jax.Array  # [s 3] ellipsoids that cast shadows
    shade_quadric: jax.Array  # [s 6]
    head_axes: jax.Array  # [3 3] columns left, up, front
    eye: jax.Array  # [3] camera
    view: jax.Array  # [3 3] rows right, up, forward; right and up times the tangent of half a view
    blur: jax.Array  # [3] xx, xy, yy of the blur's covariance in pixels
    exposure: jax.Array  # []
    noise_at: jax.Array  # [2] int32 offset into the noise, below NOISE_ROOM


def render(frame: Frame, look: Look, look_at: LookAt, noise: jax.Array, *, height: int, width: int
           ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One frame as a picture, with what every pixel shows and how far away it is.

    The passes are compiled one by one: in a single program XLA:CPU fuses them and computes the
    first again for every use of its result, a thousand times slower (no barrier holds there).
    A large picture is made in bands, so that what lies between the passes stays in the caches.

    Args:
      look_at: What rays from the frame's eye meet.
      noise: Standard normal noise of the sensor, [h + NOISE_ROOM, w + NOISE_ROOM, 3].
      height, width: Size of the picture in pixels.

    Returns:
      RGB [h, w, 3] uint8; ids [h, w] uint8, 0 neither, NEWBORN or REFERENCE; depth [h, w] float32,
      in cm along the ray.
    """
    size = (height, width)
    rows = -(-height // -(-height * width // BAND_PIXELS))
    bands = [_band(size, rows, first, frame, look, look_at) for first in range(0, height, rows)]
    return _picture_pass(size, frame, look, noise, bands)


def _band(size: tuple[int, int], rows: int, first: int, frame: Frame, look: Look, look_at: LookAt
          ) -> Band:
    """Linear light [p 3], owner [p] and depth [p] of `rows` rows from row `first` on."""
    rays = _ray_pass(size, rows, first, frame)
    seen = look_at(frame, look, rays)
    key, sky = _shadow_pass(frame, look.light, seen.at)
    return _light_pass(look, rays, seen, key, sky), seen.owner, seen.depth


@partial(jax.jit, static_argnums=(0, 1))
def _ray_pass(size: tuple[int, int], rows: int, first: jax.Array | int, frame: Frame) -> Rays:
    return _camera_rays(frame, *size, rows, first)


@jax.jit
def point_pass(eye: jax.Array, rays: Rays, depth: jax.Array) -> Rays:
    """The points at these distances, [p]."""
    return Rays(*(eye[i] + depth * rays[i] for i in range(3)))


# Looked up late: the functions stand below, in the order of the passes.
ground_pass = jax.jit(lambda *arrays: ground(*arrays))
_shadow_pass = jax.jit(lambda *arrays: _shadows(*arrays))
_light_pass = jax.jit(lambda *arrays: _shade(*arrays))


@partial(jax.jit, static_argnums=0)
def _picture_pass(size: tuple[int, int], frame: Frame, look: Look, noise: jax.Array,
                  bands: list[Band]) -> tuple[jax.Array, jax.Array, jax.Array]:
    height, width = size
    linear, owner, depth = (jnp.concatenate(parts)[:height * width]
                            for parts in zip(*bands, strict=True))
    ids = jnp.where(owner >= 0, NEWBORN, jnp.where(owner == RULER, REFERENCE, 0))
    picture = _develop(linear.reshape(*size, 3), frame, look, noise)
    return picture, ids.astype(jnp.uint8).reshape(size), depth.reshape(size)


def _camera_rays(frame: Frame, height: int, width: int, rows: int, first: jax.Array | int) -> Rays:
    """Rays through the pixel centres of some rows, which may lie below the picture."""
    v, u = jnp.meshgrid(1 - (2 * (first + jnp.arange(rows)) + 1.0) / height,
                        (2 * jnp.arange(width) + 1.0) / width - 1, indexing="ij")
    u, v = u.reshape(-1), v.reshape(-1)
    right, up, forward = frame.view
    x, y, z = (forward[i] + u * right[i] + v * up[i] for i in range(3))
    scale = jax.lax.rsqrt(x * x + y * y + z * z)
    return Rays(x * scale, y * scale, z * scale)


def quadratic(q: jax.Array, x: jax.Array, y: jax.Array, z: jax.Array
              ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Coordinates of Q (x, y, z)."""
    return (q[0] * x + q[3] * y + q[4] * z, q[3] * x + q[1] * y + q[5] * z,
            q[4] * x + q[5] * y + q[2] * z)


def ground(eye: jax.Array, look: Look, d: Rays) -> tuple[jax.Array, jax.Array]:
    """Distance [p] and owner [p] of what lies under the infant: CLOTH or RULER."""
    t = jnp.minimum(-eye[2] / jnp.minimum(d.z, -1e-4), FAR)
    owner = jnp.full(t.shape, CLOTH, jnp.int32)
    for plane, name in ((look.ruler_thickness, RULER),):
        to = (plane - eye[2]) / jnp.minimum(d.z, -1e-4)
        x, y = (eye[i] + to * d[i] - look.ruler_centre[i] for i in range(2))
        along = x * look.ruler_axis[0] + y * look.ruler_axis[1]
        across = y * look.ruler_axis[0] - x * look.ruler_axis[1]
        on = (jnp.abs(along) < look.ruler_half[0]) & (jnp.abs(across) < look.ruler_half[1])
        on &= look.ruler_shown > 0
        t, owner = jnp.where(on, to, t), jnp.where(on, name, owner)
    return t, owner


@full_precision
def _shadows(frame: Frame, light: jax.Array, at: Rays) -> tuple[jax.Array, jax.Array]:
    """Shares [p] of the key light and of the sky that reach the points.

    A part hides a direction as far as the line from the point passes near it; with the sky the line
    goes straight up and "near" is wide, which darkens the cloth beside the body.
    """
    key, sky = jnp.ones_like(at.x), jnp.ones_like(at.x)
    for i in range(frame.shade_centre.shape[0]):
        p = [at[k] - frame.shade_centre[i, k] for k in range(3)]
        q = frame.shade_quadric[i]
        g = quadratic(q, *p)
        c = p[0] * g[0] + p[1] * g[1] + p[2] * g[2]
        a = light @ jnp.stack(quadratic(q, *light))
        b = (light[0] * g[0] + light[1] * g[1] + light[2] * g[2]) * jax.lax.rsqrt(a)
        near = jnp.sqrt(jnp.maximum(c - b * b, 0))  # 1 touches the surface
        ahead = jnp.clip(-1.6 * b, 0, 1)
        key *= 1 - ahead * jnp.clip((1.22 - near) / 0.44, 0, 1)
        b = g[2] * jax.lax.rsqrt(q[2])
        near = jnp.sqrt(jnp.maximum(c - b * b, 0))
        sky *= 1 - 0.62 * jnp.clip(-1.2 * b, 0, 1) * jnp.clip((1.75 - near) / 1.3, 0, 1) ** 2
    return key, sky


def _shade(look: Look, d: Rays, seen: Seen, key: jax.Array, sky: jax.Array) -> jax.Array:
    """Linear light [p, 3] of the three colours: sky, key light with a soft edge on skin, a sheen.

    Args:
      key, sky: Shares of the key light and of the sky that reach the points, [p] each.
    """
    n, base, wet, owner = seen.normal, seen.colours, seen.wet, seen.owner
    light = look.light
    facing = n[0] * light[0] + n[1] * light[1] + n[2] * light[2]
    skin = owner >= 0
    wrap = jnp.where(skin, 0.22, 0.0)
    lambert = jnp.clip((facing + wrap) / (1 + wrap), 0, 1) * (0.25 * skin + (1 - 0.25 * skin) * key)
    lambert = jnp.where(skin, lambert, facing.clip(0) * key)
    half = [light[k] - d[k] for k in range(3)]
    inverse = jax.lax.rsqrt(half[0] ** 2 + half[1] ** 2 + half[2] ** 2)
    shine = jnp.clip((n[0] * half[0] + n[1] * half[1] + n[2] * half[2]) * inverse, 0, 1)
    shine = wet * shine ** 16 * key
    upward = 0.5 + 0.5 * n[2]
    ambient = sky * (0.30 + 0.70 * upward)
    bounce = jnp.where(skin, 0.35 * (1 - upward), 0.0)
    return jnp.stack([base[k] * (look.sky_colour[k] * ambient + look.key_colour[k] * lambert
                                 + look.bounce_colour[k] * bounce) + look.key_colour[k] * shine
                      for k in range(3)], -1)


def _develop(picture: jax.Array, frame: Frame, look: Look, noise: jax.Array) -> jax.Array:
    """Lens blur and shake, vignette, exposure, sensor noise, tone curve: [h w 3] to uint8."""
    height, width, _ = picture.shape
    xx, xy, yy = frame.blur
    taps = jnp.arange(-BLUR_RADIUS, BLUR_RADIUS + 1.0)
    y, x = taps[:, None], taps[None]
    kernel = jnp.exp(-0.5 * (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy))
    kernel /= kernel.sum()
    padded = jnp.pad(picture, ((BLUR_RADIUS,) * 2, (BLUR_RADIUS,) * 2, (0, 0)), mode="edge")
    shifted = lambda i, j: jax.lax.slice(padded, (i, j, 0), (i + height, j + width, 3))
    size = 2 * BLUR_RADIUS + 1
    picture = sum(kernel[i, j] * shifted(i, j) for i in range(size) for j in range(size))
    v = jnp.linspace(-1, 1, height)[:, None, None]
    u = jnp.linspace(-1, 1, width)[None, :, None] * (width / height)
    vignette = 1 - look.vignette * (u * u + v * v)
    picture = picture * frame.exposure * vignette * look.white[None, None]
    grain = jax.lax.dynamic_slice(noise, (frame.noise_at[0], frame.noise_at[1], 0),
                                  (height, width, 3))
    picture += grain * jnp.sqrt(look.noise[0] ** 2 + look.noise[1] ** 2 * picture)
    picture = jnp.clip(picture, 0, None)
    picture = picture * (1 + 0.15 * picture) / (1 + picture * 0.35 * picture)  # soft highlights
    return (255 * jnp.clip(picture, 0, 1) ** (1 / 2.2) + 0.5).astype(jnp.uint8)
