"""Augmentation on the device, part of the jitted step: uint8 images in, normalised floats out.

Random numbers are drawn for each example from its place in the global batch, so that the same
images come out however many devices share the batch. What changes an image alone is here; `mix`
puts two together, and what is done where images are decoded is in `policies` and `images`.
"""
from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from deps_jax.common.loop.parallel import keys_of
from deps_jax.data.boxes import random_boxes, squares
from deps_jax.data.colour import jitter

# Mean and standard deviation of the channels of ImageNet's photos, for values in [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# What keys of a whole step or run are for, counted from the end: places of images are counted from
# 0, and keys are made of them the same way.
COLOURS, MIXING, MIRRORING, DROPPING = (2**32 - i for i in range(1, 5))


@dataclasses.dataclass(frozen=True)
class Augment:
    """What happens to a training image; evaluation normalises only.

    Attributes:
      mean, std: Mean and standard deviation of each channel, for values in [0, 1].
      flip: Whether half of the images are mirrored left to right.
      alternating: Whether, with `flip`, one half of the images is mirrored in even epochs and the
        other in odd ones, so that no image is seen the same way twice running (airbench,
        arXiv 2404.00498, section 3.6).
      crop_padding: Number of mirrored pixels added on every side, before the original size is
        cropped at random; 0 leaves both out.
      cutout_size: Side in pixels of a square at a random place that is set to the mean; 0 is none.
      colour: Strengths of brightness, contrast, saturation and hue, see `colour.jitter`.
      erase_probability: Probability that a random rectangle is set to the mean, see
        `boxes.random_boxes`.
      mixup, cutmix: Alphas of mixup and CutMix, see `mix.mix`; 0 is off. They need an even batch
        on every device.

    Raises:
      ValueError: If a setting is out of its range.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool = False
    alternating: bool = False
    crop_padding: int = 0
    cutout_size: int = 0
    colour: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    erase_probability: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for field in ("mean", "std", "colour"):
            object.__setattr__(self, field, tuple(float(v) for v in getattr(self, field)))
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"mean {self.mean} and std {self.std} must be 3 numbers each, std "
                             f"above 0; give one for every colour channel")
        if self.crop_padding < 0 or self.cutout_size < 0:
            raise ValueError(f"crop_padding {self.crop_padding} and cutout_size "
                             f"{self.cutout_size} are pixels; use 0 to leave them out")
        if len(self.colour) != 4 or min(self.colour) < 0 or self.colour[3] > 0.5:
            raise ValueError(f"colour {self.colour} must be the strengths of brightness, contrast, "
                             f"saturation and hue, 0 or more, hue at most 0.5; use (0.4, 0.4, 0.4, "
                             f"0.1), or zeros to leave colours as they are")
        if not 0 <= self.erase_probability <= 1:
            raise ValueError(f"erase_probability {self.erase_probability} is not in [0, 1]; use 0 "
                             f"to erase nothing")
        if self.mixup < 0 or self.cutmix < 0:
            raise ValueError(f"mixup {self.mixup} and cutmix {self.cutmix} are alphas of a Beta "
                             f"distribution; use 0 to leave them out")
        if self.alternating and not self.flip:
            raise ValueError("alternating=True says when images are mirrored, but flip=False; set "
                             "flip=True, too")

    @property
    def mixes(self) -> bool:
        """Whether images are mixed in pairs, by mixup or CutMix."""
        return bool(self.mixup or self.cutmix)


def normalise(images: jax.Array, settings: Augment) -> jax.Array:
    """(images / 255 - mean) / std of each channel: [b, h, w, 3] uint8 -> float32."""
    mean, std = (jnp.array(value)[None, None, None] for value in (settings.mean, settings.std))
    return images * (1 / (255 * std)) - mean / std


def augment(key: jax.Array, images: jax.Array, first: jax.Array | int, settings: Augment,
            mirrored: jax.Array | None = None) -> jax.Array:
    """Random crop, flip, colours, cut-out and erasing of each image, and `normalise`.

    Args:
      key: Key of the step, the same on all devices.
      images: Images, [b, h, w, 3] uint8.
      first: Position of the first image in the global batch.
      mirrored: Which images to mirror, [b] booleans; read only where `settings.alternating`.

    Returns:
      Normalised images, [b, h, w, 3] float32.
    """
    keys = keys_of(key, first, images.shape[0])
    crop_key, flip_key, cutout_key = _split(keys, 3)
    # 3 is none of those three: `split` and `fold_in` count the same keys.
    colour_key, erase_key = _split(jax.vmap(lambda k: jax.random.fold_in(k, 3))(keys), 2)
    if settings.crop_padding:
        images = _random_crop(crop_key, images, settings.crop_padding)
    if settings.flip:
        if not settings.alternating:
            mirrored = jax.vmap(jax.random.bernoulli)(flip_key)
        images = jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
    if any(settings.colour):
        images = 255 * jitter(jax.random.fold_in(key, COLOURS), colour_key, images / 255,
                              settings.colour)
    images = normalise(images, settings)
    if settings.cutout_size:
        images = jnp.where(squares(cutout_key, images.shape, settings.cutout_size), 0, images)
    if settings.erase_probability:
        boxes = random_boxes(erase_key, images.shape, settings.erase_probability)
        images = jnp.where(boxes, 0, images)
    return images


def mirrored_in(key: jax.Array, examples: jax.Array, epoch: jax.Array | int) -> jax.Array:
    """Which images alternating flips mirror in an epoch, [b] booleans.

    Args:
      key: A key that is the same at every step of the run.
      examples: Which examples of the data the images are, [b] integers.
      epoch: Number of the epoch.
    """
    half = jax.vmap(lambda i: jax.random.bernoulli(jax.random.fold_in(key, i)))(examples)
    return half ^ (epoch % 2 == 1)


def _split(keys: jax.Array, count: int) -> tuple[jax.Array, ...]:
    return tuple(jnp.unstack(jax.vmap(lambda k: jax.random.split(k, count))(keys), axis=1))


def _random_crop(keys: jax.Array, images: jax.Array, padding: int) -> jax.Array:
    """Pads by reflection, as in the reference, and cuts the original size out at random."""
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(images, sides, mode="reflect")
    corners = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, 2 * padding + 1))(keys)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), images.shape[1:])

    return jax.vmap(crop)(padded, corners)
