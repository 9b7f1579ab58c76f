"""Random rectangles in images, on the device: what is erased, cut out, or taken from another."""
from __future__ import annotations

import jax
import jax.numpy as jnp

TRIES = 10  # rectangles that are drawn until one fits, as in torchvision


def squares(keys: jax.Array, shape: tuple[int, ...], size: int) -> jax.Array:
    """Where a square around a random pixel lies, cut off at the border, [b, h, w, 1] booleans.

    Args:
      keys: A key for each image, [b].
      shape: Shape of the images, (b, h, w, c).
      size: Side of the squares in pixels.
    """
    _, height, width, _ = shape
    centres = jax.vmap(lambda key: jax.random.uniform(key, (2,)))(keys)
    top = jnp.floor(centres[:, 0] * height) - size // 2
    left = jnp.floor(centres[:, 1] * width) - size // 2
    return inside(shape, top, left, jnp.full_like(top, size), jnp.full_like(left, size))


def random_boxes(keys: jax.Array, shape: tuple[int, ...], probability: float,
                 area: tuple[float, float] = (0.02, 0.33),
                 aspect: tuple[float, float] = (0.3, 3.3)) -> jax.Array:
    """Where a rectangle lies in some of the images, [b, h, w, 1] booleans.

    As in random erasing (arXiv 1708.04896). A rectangle that does not fit is drawn again; where
    none of TRIES fits, the image has none.

    Args:
      keys: A key for each image, [b].
      shape: Shape of the images, (b, h, w, c).
      probability: Probability that an image has a rectangle.
      area: Least and largest share of the image that it covers.
      aspect: Least and largest height by width; it is drawn evenly in its logarithm.
    """
    _, height, width, _ = shape

    def draw(key: jax.Array) -> tuple[jax.Array, ...]:
        chosen, *keys = jax.random.split(key, 5)
        size = height * width * jax.random.uniform(keys[0], (TRIES,), minval=area[0],
                                                   maxval=area[1])
        ratio = jnp.exp(jax.random.uniform(keys[1], (TRIES,), minval=jnp.log(aspect[0]),
                                           maxval=jnp.log(aspect[1])))
        tall, wide = jnp.round(jnp.sqrt(size * ratio)), jnp.round(jnp.sqrt(size / ratio))
        fits = (tall < height) & (wide < width)
        tall, wide = tall[fits.argmax()], wide[fits.argmax()]
        there = jax.random.bernoulli(chosen, probability) & fits.any()
        top = jnp.floor(jax.random.uniform(keys[2]) * (height - tall + 1))
        left = jnp.floor(jax.random.uniform(keys[3]) * (width - wide + 1))
        return top, left, tall * there, wide * there

    return inside(shape, *jax.vmap(draw)(keys))


def inside(shape: tuple[int, ...], top: jax.Array, left: jax.Array, tall: jax.Array,
           wide: jax.Array) -> jax.Array:
    """Where rectangles lie, [b, h, w, 1] booleans; places and sizes are in pixels, [b] each."""
    def within(count: int, start: jax.Array, length: jax.Array) -> jax.Array:
        places = jnp.arange(count)[None]
        return (places >= start[:, None]) & (places < (start + length)[:, None])

    rows, columns = within(shape[1], top, tall), within(shape[2], left, wide)
    return (rows[:, :, None] & columns[:, None, :])[..., None]
