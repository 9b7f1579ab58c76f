"""Colour jitter on the device: brightness, contrast, saturation and hue of every image."""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

GREY = (0.2989, 0.587, 0.114)  # luma of ITU-R BT.601, as in torchvision


def jitter(key: jax.Array, keys: jax.Array, images: jax.Array,
           strengths: tuple[float, float, float, float]) -> jax.Array:
    """Changes the colours of each image by factors of its own.

    As torchvision's ColorJitter, except that the order of the changes is drawn once a batch.

    Args:
      key: Key of the order, the same on all devices.
      keys: A key for each image, [b].
      images: Images, [b, h, w, 3] float in [0, 1].
      strengths: Strengths of brightness, contrast and saturation, whose factors are drawn from
        [max(0, 1 - strength), 1 + strength], and of hue, which turns by up to that share of the
        circle either way; 0 leaves a property as it is.

    Returns:
      Changed images, [b, h, w, 3] float in [0, 1].
    """
    *around_one, turn = strengths
    ranges = [(max(0.0, 1 - strength), 1 + strength) for strength in around_one] + [(-turn, turn)]
    changes = [partial(_drawn, change, *limits) for change, limits, strength in zip(
        (brightness, contrast, saturation, hue), ranges, strengths, strict=True) if strength]
    if not changes:
        return images
    shares = jax.vmap(lambda k: jax.random.uniform(k, (len(changes),), images.dtype))(keys)

    def change(images: jax.Array, i: jax.Array) -> tuple[jax.Array, None]:
        return jax.lax.switch(i, changes, images, shares[:, i]), None

    return jax.lax.scan(change, images, jax.random.permutation(key, len(changes)))[0]


def _drawn(change: Callable, low: float, high: float, images: jax.Array,
           shares: jax.Array) -> jax.Array:
    """Applies a change by the values at [b] shares of the way from `low` to `high`."""
    return change(images, low + (high - low) * shares)


def brightness(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Multiplies images [b, h, w, 3] by factors [b] and clips them to [0, 1]."""
    return jnp.clip(images * _each(factor), 0, 1)


def contrast(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Scales the distance of pixels to the mean grey of their image by [b], within [0, 1]."""
    return _blend(images, grey(images).mean((1, 2, 3), keepdims=True), factor)


def saturation(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Scales the distance of colours to the grey of their pixel by [b], within [0, 1]."""
    return _blend(images, grey(images), factor)


def hue(images: jax.Array, turn: jax.Array) -> jax.Array:
    """Turns the colours of every image by a share [b] of the circle of hues."""
    highest, lowest = images.max(-1), images.min(-1)
    spread = highest - lowest
    red, green, blue = (images[..., i] for i in range(3))
    safe = jnp.where(spread > 0, spread, 1)
    sixth = jnp.select([highest == red, highest == green],
                       [(green - blue) / safe, 2 + (blue - red) / safe],
                       4 + (red - green) / safe)
    place = sixth + 6 * _each(turn)[..., 0]

    def channel(offset: int) -> jax.Array:
        k = jnp.mod(offset + place, 6)
        return highest - spread * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)

    return jnp.stack([channel(offset) for offset in (5, 3, 1)], axis=-1)


def grey(images: jax.Array) -> jax.Array:
    """Luma of images [b, h, w, 3], [b, h, w, 1]."""
    return (images * jnp.array(GREY, images.dtype)[None, None, None]).sum(-1, keepdims=True)


def _blend(images: jax.Array, other: jax.Array, factor: jax.Array) -> jax.Array:
    factor = _each(factor)
    return jnp.clip(factor * images + (1 - factor) * other, 0, 1)


def _each(values: jax.Array) -> jax.Array:
    """A vector [b] as [b, 1, 1, 1]."""
    return values[:, None, None, None]
