"""Augmentation on the device, part of the jitted step: uint8 images in, normalised floats out.

Random numbers are drawn for each example from its place in the global batch, so that the same
images come out however many devices share the batch.
"""
from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Augment:
    """What happens to a training image; evaluation normalises only.

    Attributes:
      mean, std: of each channel, for values in [0, 1].
      flip: mirror half of the images left to right.
      crop_padding: pad by so many mirrored pixels, then crop the original size at random.
      cutout_size: side of a square set to the mean at a random place, in pixels; 0 is none.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool = False
    crop_padding: int = 0
    cutout_size: int = 0

    def __post_init__(self):
        for field in ("mean", "std"):
            object.__setattr__(self, field, tuple(float(v) for v in getattr(self, field)))
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"mean {self.mean} and std {self.std} must be 3 numbers each, std "
                             f"above 0; give one for every colour channel")
        if self.crop_padding < 0 or self.cutout_size < 0:
            raise ValueError(f"crop_padding {self.crop_padding} and cutout_size "
                             f"{self.cutout_size} are pixels; use 0 to leave them out")


def normalise(images: jax.Array, settings: Augment) -> jax.Array:
    """[b, h, w, 3] uint8 to float32 with mean 0 and standard deviation 1 by channel."""
    mean, std = (jnp.array(value)[None, None, None] for value in (settings.mean, settings.std))
    return images * (1 / (255 * std)) - mean / std


def augment(key: jax.Array, images: jax.Array, first: jax.Array | int, settings: Augment):
    """Random crop, flip and cut-out of each image, then `normalise`.

    Args:
      images: [b, h, w, 3] uint8.
      first: position of the first image in the global batch.

    Returns:
      [b, h, w, 3] float32.
    """
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(images.shape[0]))
    crop_key, flip_key, cutout_key = jnp.unstack(jax.vmap(lambda k: jax.random.split(k, 3))(keys),
                                                 axis=1)
    if settings.crop_padding:
        images = _random_crop(crop_key, images, settings.crop_padding)
    if settings.flip:
        mirrored = jax.vmap(jax.random.bernoulli)(flip_key)[:, None, None, None]
        images = jnp.where(mirrored, images[:, :, ::-1], images)
    images = normalise(images, settings)
    if settings.cutout_size:
        images = jnp.where(_squares(cutout_key, images.shape, settings.cutout_size), 0, images)
    return images


def _random_crop(keys, images, padding: int):
    """Pads by reflection, as in the reference, and cuts the original size out."""
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(images, sides, mode="reflect")
    corners = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, 2 * padding + 1))(keys)

    def crop(image, corner):
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), images.shape[1:])

    return jax.vmap(crop)(padded, corners)


def _squares(keys, shape, size: int):
    """[b, h, w, 1] booleans: a square around a random pixel, cut off at the border."""
    _, height, width, _ = shape
    centres = jax.vmap(lambda key: jax.random.uniform(key, (2,)))(keys)
    rows = jnp.floor(centres[:, 0] * height)[:, None] - size // 2
    columns = jnp.floor(centres[:, 1] * width)[:, None] - size // 2
    inside = lambda positions, start: (positions >= start) & (positions < start + size)
    tall, wide = inside(jnp.arange(height)[None], rows), inside(jnp.arange(width)[None], columns)
    return (tall[:, :, None] & wide[:, None, :])[..., None]
