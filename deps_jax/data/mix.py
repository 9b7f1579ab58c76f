"""Mixup and CutMix on the device: neighbours in a batch are mixed, and their targets with them.

Images 0 and 1 of the global batch mix with each other, 2 and 3, and so on. Batches are shuffled, so
this pairs images at random, and no image of another device is needed.
"""
from __future__ import annotations

import jax
import jax.numpy as jnp

from deps_jax.data.boxes import inside


def mix(keys: jax.Array, images: jax.Array, targets: jax.Array, *, mixup: float,
        cutmix: float) -> tuple[jax.Array, jax.Array]:
    """Mixes every image with its neighbour, and its target in the same shares.

    Mixup (arXiv 1710.09412) adds both, CutMix (arXiv 1905.04899) takes a rectangle of the
    neighbour. The share of the neighbour is drawn from Beta(alpha, alpha) for each pair, and either
    way is as likely where both are on.

    Args:
      keys: A key for each image, [b]; those at even places draw for the pair.
      images: Images, [b, h, w, 3] float; b is even.
      targets: Distributions over the classes, [b, classes].
      mixup, cutmix: Alpha of each; 0 is off, and one at least is on.

    Returns:
      (images, targets) of the same shapes.
    """
    assert len(images) % 2 == 0, "pairs need an even batch on every device"
    by_mixup, by_cutmix = (_shares(keys[::2], alpha, i) if alpha else None
                           for i, alpha in enumerate((mixup, cutmix)))
    if by_cutmix is not None:
        # Both of a pair take the same rectangle of the other.
        boxes = jnp.repeat(_rectangles(keys[::2], images.shape, by_cutmix), 2, axis=0)
        by_area = boxes.mean((1, 2, 3), dtype=targets.dtype)
        cut = jnp.where(boxes, swapped(images), images), _blend(targets, by_area)
        if by_mixup is None:
            return cut
    share = jnp.repeat(by_mixup, 2).astype(targets.dtype)
    added = _blend(images, share), _blend(targets, share)
    if by_cutmix is None:
        return added
    adds = jnp.repeat(jax.vmap(lambda key: jax.random.bernoulli(jax.random.fold_in(key, 2)))(
        keys[::2]), 2)
    return tuple(jnp.where(_along(adds, one), one, other)
                 for one, other in zip(added, cut, strict=True))


def swapped(values: jax.Array) -> jax.Array:
    """Values [b, ...] with the two of each pair exchanged."""
    pairs = values.reshape(-1, 2, *values.shape[1:])
    return pairs[:, ::-1].reshape(values.shape)


def _shares(keys: jax.Array, alpha: float, way: int) -> jax.Array:
    """Shares [pairs], drawn from Beta(alpha, alpha)."""
    return jax.vmap(lambda key: jax.random.beta(jax.random.fold_in(key, way), alpha, alpha))(keys)


def _rectangles(keys: jax.Array, shape: tuple[int, ...], shares: jax.Array) -> jax.Array:
    """Rectangles around random pixels, [pairs, h, w, 1] booleans.

    Before the border cuts them off, they cover the given shares of the image.
    """
    _, height, width, channels = shape
    centres = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, 3), (2,)))(keys)
    tall, wide = (jnp.floor(side * jnp.sqrt(shares)) for side in (height, width))
    top = jnp.floor(centres[:, 0] * height) - jnp.floor(tall / 2)
    left = jnp.floor(centres[:, 1] * width) - jnp.floor(wide / 2)
    return inside((len(keys), height, width, channels), top, left, tall, wide)


def _blend(values: jax.Array, share: jax.Array) -> jax.Array:
    """Values [b, ...] with shares [b] of the neighbour in them."""
    share = _along(share, values).astype(values.dtype)
    return (1 - share) * values + share * swapped(values)


def _along(vector: jax.Array, values: jax.Array) -> jax.Array:
    """A vector [b] as [b, 1, ...], of the rank of `values`."""
    return vector.reshape(-1, *[1] * (values.ndim - 1))
