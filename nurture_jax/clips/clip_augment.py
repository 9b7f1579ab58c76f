"""Augmentation of clips on the device: one draw for all frames of a clip, labels moved along.

Random numbers are drawn for each clip from its place in the global batch, so that the same clips
come out however many devices share the batch. Pure: (key, batch) -> batch.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from deps_jax.common.loop.parallel import keys_of
from deps_jax.data.augment import IMAGENET_MEAN, IMAGENET_STD
from deps_jax.data.colour import hue, saturation
from nurture_jax.measures import KEYPOINTS, TABULAR

Batch = Mapping[str, jax.Array]  # arrays of `clip_batches` by name
# Set the draws of what came later apart from the others of a clip, which are as they were.
_FORGET, _HUE = 0x666F7267, 0x687565


def _mirrored_order() -> tuple[int, ...]:
    """Where each keypoint's mirror image stands: left and right change places.

    The ends of the reference object are marks on it, not sides of a body, and keep theirs.
    """
    swap = lambda name: {"left": "right", "right": "left"}.get(name.split("_")[0])
    return tuple(
        KEYPOINTS.index(f"{swap(name)}_{name.split('_', 1)[1]}") if swap(name) else i
        for i, name in enumerate(KEYPOINTS))


MIRRORED = _mirrored_order()


@dataclasses.dataclass(frozen=True)
class ClipAugment:
    """What happens to a training clip; evaluation only normalises (`ClipAugment()`).

    Weight and length do not change: the reference object is scaled with the newborn.

    Attributes:
      mean, std: Mean and standard deviation of each channel, for values in [0, 1].
      flip: Whether half of the clips are mirrored left to right; off where text must stay legible.
      zoom: Smallest and largest factor, drawn on a logarithmic scale; below 1 the border is black.
      shift: Largest move of the centre, as a part of the side.
      brightness: Largest change of all values, which are in [0, 1].
      contrast, colour: Largest relative change of the contrast, and of one channel.
      saturation: Largest relative change of the distance of colours to grey.
      hue: Largest turn of the colours, as a part of their circle.
      frames: Number of a clip's frames in a step, drawn anew; 0 takes all. An estimate sees all.
      annotated_first: How much sooner an annotated frame is drawn, 0 (as any other) to 1 (always).
      forget: Probability of each number of the table to be taken for unknown, whatever the others
        are, so that an estimate without it is learnt also where every table is full.
      forget_all: Probability of all of them to be unknown, beside that.

    Raises:
      ValueError: If a setting is out of its range.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    flip: bool = False
    zoom: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    colour: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    frames: int = 0
    annotated_first: float = 0.5
    forget: float = 0.0
    forget_all: float = 0.0

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"mean {self.mean} and std {self.std} must be 3 numbers each, std "
                             f"above 0; give one for every colour channel")
        if len(self.zoom) != 2 or not 0.25 <= self.zoom[0] <= self.zoom[1] <= 4:
            raise ValueError(f"zoom {self.zoom} is not (smallest, largest) between 0.25 and 4; use "
                             f"(1.0, 1.0) to leave it out")
        if not (0 <= self.forget < 1 and 0 <= self.forget_all < 1):
            raise ValueError(f"forget {self.forget} and forget_all {self.forget_all} must be 0 or "
                             f"more and below 1; use 0 to train on the table as it is")
        if self.frames < 0:
            raise ValueError(f"frames {self.frames} is negative; use 0 to take all of a clip")
        for name, limit in (("shift", 0.5), ("brightness", 1), ("contrast", 0.9), ("colour", 0.9),
                            ("saturation", 1), ("hue", 0.5), ("annotated_first", 1)):
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} {getattr(self, name)} is not 0 to {limit}; use 0 to "
                                 f"leave it out")

    @property
    def moves(self) -> bool:
        """Whether clips are mirrored, zoomed or shifted, and their labels with them."""
        return self.flip or tuple(self.zoom) != (1, 1) or self.shift > 0

    @property
    def recolours(self) -> bool:
        """Whether clips get other colours."""
        return max(self.brightness, self.contrast, self.colour, self.saturation, self.hue) > 0

    @property
    def forgets(self) -> bool:
        """Whether numbers of the table are taken for unknown at all."""
        return self.forget > 0 or self.forget_all > 0

    @property
    def in_use(self) -> ClipAugment:
        """What happens to a clip that is estimated from: it is normalised, and nothing else."""
        return ClipAugment(mean=self.mean, std=self.std)


def augment(key: jax.Array, batch: Batch, settings: ClipAugment, first: jax.Array | int = 0,
            dtype: str = "float32") -> Batch:
    """A batch with other frames, masks and keypoints; everything else is passed on.

    Args:
      key: Key of the step, the same on all devices.
      batch: Arrays of `clip_batches`: "frames" [b, t, h, w, 3] uint8, and if there, "masks"
        [b, t, h', w'], "keypoints" [b, t, 19, 3] in pixels of the frames, "annotated" [b, t],
        and "tabular" and "tabular_mask" [b, 4].
      first: Position of the first clip in the global batch.
      dtype: Type of the network that takes them.

    Returns:
      The batch with "frames" float32, or float64 for such a network, normalised; t is
      `settings.frames` where that is fewer.
    """
    keys = keys_of(key, first, batch["frames"].shape[0])
    if settings.frames and settings.frames < batch["frames"].shape[1]:
        batch = {**batch, **_some_frames(keys, batch, settings)}
    move_keys, colour_keys = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
    # Integers would round twice.
    frames = batch["frames"].astype(jnp.promote_types(dtype, jnp.float32)) / 255
    frames = jax.vmap(lambda k, x: _recolour(k, x, settings))(colour_keys, frames)
    changed = {"frames": frames}
    if settings.moves:
        scale, offset = jax.vmap(lambda k: _draw_move(k, settings))(move_keys)  # b 2, b 2
        changed = {"frames": jax.vmap(_move_frames)(frames, scale, offset)}
        if "masks" in batch:
            changed["masks"] = jax.vmap(_move_masks)(batch["masks"], scale, offset)
        if "keypoints" in batch:
            move = lambda points, s, o: _move_points(points, s, o, frames.shape[2:4])
            changed["keypoints"] = jax.vmap(move)(batch["keypoints"], scale, offset)
    changed["frames"] = _unit_scale(changed["frames"], settings)
    return {**batch, **changed, **(forget(keys, batch, settings) if settings.forgets else {})}


def forget(keys: jax.Array, batch: Batch, settings: ClipAugment) -> Batch:
    """"tabular" and "tabular_mask" [b, 4] with some of what is known taken for unknown.

    Args:
      keys: A key of every example, [b].
      batch: Both as of `clip_batches`, and anything else.
    """
    chance = jnp.array([settings.forget] * len(TABULAR) + [settings.forget_all])
    # Folded, not split off: frames of runs that forget nothing are those they have always been.
    draw = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, _FORGET), chance.shape))
    kept = draw(keys) >= chance[None]
    kept = (kept[:, :-1] & kept[:, -1:]).astype(jnp.float32)
    return {name: batch[name] * kept for name in ("tabular", "tabular_mask")}


def normalise(frames: jax.Array, settings: ClipAugment, dtype: str = "float32") -> jax.Array:
    """Frames as the network sees them in use, [b, t, h, w, 3] uint8 -> float32, or float64.

    Args:
      dtype: As of `augment`.
    """
    return _unit_scale(frames.astype(jnp.promote_types(dtype, jnp.float32)) / 255, settings)


def _unit_scale(frames: jax.Array, settings: ClipAugment) -> jax.Array:
    """(values - mean) / std of each channel, for values in [0, 1]; [b, t, h, w, 3]."""
    mean, std = (jnp.array(value)[(None,) * 4] for value in (settings.mean, settings.std))
    return (frames - mean) / std


def _some_frames(keys: jax.Array, batch: Batch, settings: ClipAugment) -> Batch:
    """What clips have by frame, for `settings.frames` of them in their order."""
    own = {name: batch[name] for name in ("frames", "masks", "keypoints", "annotated")
           if name in batch}
    b, t = batch["frames"].shape[:2]
    annotated = batch.get("annotated", jnp.zeros((b, t)))
    draw = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, t), (t,)))(keys)
    _, chosen = jax.lax.top_k(draw + settings.annotated_first * annotated, settings.frames)
    chosen = jnp.sort(chosen, axis=1)  # b t'
    return {name: jax.vmap(lambda x, at: x[at])(value, chosen) for name, value in own.items()}


def _draw_move(key: jax.Array, settings: ClipAugment) -> tuple[jax.Array, jax.Array]:
    """Scale and offset, [2] each as (y, x): output = scale * input + offset, for sides of 1.

    A negative x scale mirrors.
    """
    zoom_key, shift_key, flip_key = jax.random.split(key, 3)
    low, high = (jnp.log(factor) for factor in settings.zoom)
    zoom = jnp.exp(jax.random.uniform(zoom_key, minval=low, maxval=high))
    centre = 0.5 + jax.random.uniform(shift_key, (2,), minval=-settings.shift,
                                      maxval=settings.shift)
    mirrored = jax.random.bernoulli(flip_key) & settings.flip
    scale = zoom * jnp.array([1.0, 1.0]) * jnp.where(mirrored, jnp.array([1.0, -1.0]), 1.0)
    return scale, centre - 0.5 * scale


def _move_frames(frames: jax.Array, scale: jax.Array, offset: jax.Array) -> jax.Array:
    """Frames [t, h, w, 3] moved, bilinear; black outside.

    Bilinear interpolation is separable, so it is two matrix products.
    """
    rows = _weights(frames.shape[1], scale[0], offset[0])
    columns = _weights(frames.shape[2], scale[1], offset[1])
    return jnp.einsum("yh,thwc,xw->tyxc", rows, frames, columns)


def _weights(size: int, scale: jax.Array, offset: jax.Array) -> jax.Array:
    """Weights [out, in] of bilinear interpolation, a wider tent where the picture shrinks."""
    centres = (jnp.arange(size) + 0.5) / size
    source = (centres - offset) / scale  # where each output pixel looks
    width = jnp.maximum(1, 1 / jnp.abs(scale))
    distance = jnp.abs(source[:, None] - centres[None, :]) * size / width
    tent = jnp.maximum(0, 1 - distance)
    # Rows near the border keep their sum; rows outside of it are black.
    inside = ((source > 0) & (source < 1))[:, None]
    return jnp.where(inside, tent / jnp.maximum(tent.sum(1, keepdims=True), 1e-6), 0)


def _move_masks(masks: jax.Array, scale: jax.Array, offset: jax.Array) -> jax.Array:
    """Masks [t, h, w] moved, each cell taking the nearest value; 0 outside."""
    for axis, s, o in ((1, scale[0], offset[0]), (2, scale[1], offset[1])):
        size = masks.shape[axis]
        source = jnp.floor(((jnp.arange(size) + 0.5) / size - o) / s * size).astype(jnp.int32)
        inside = (source >= 0) & (source < size)
        masks = jnp.take(masks, jnp.clip(source, 0, size - 1), axis=axis)
        masks = masks * jnp.expand_dims(inside, (0, 3 - axis)).astype(masks.dtype)
    return masks


def _move_points(points: jax.Array, scale: jax.Array, offset: jax.Array, size: tuple[int, int]
                 ) -> jax.Array:
    """Keypoints [t, 19, 3] moved; one that leaves the frame is no longer labelled.

    Args:
      size: Height and width of the frames in pixels.
    """
    height, width = size
    y = (points[..., 1] / height * scale[0] + offset[0]) * height
    x = (points[..., 0] / width * scale[1] + offset[1]) * width
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (points[..., 2] > 0)
    moved = jnp.where(inside[..., None], jnp.stack([x, y, points[..., 2]], -1), 0)
    return jnp.where(scale[1] < 0, moved[:, jnp.array(MIRRORED)], moved)


def _recolour(key: jax.Array, frames: jax.Array, settings: ClipAugment) -> jax.Array:
    """Frames [t, h, w, 3] in [0, 1] after one draw of all changes of colour for all of them.

    Bars beside a picture, black in all frames, stay as black as they are in use.
    """
    if not settings.recolours:
        return frames
    keys = jax.random.split(key, 3)
    spread = lambda k, width, shape=(): jax.random.uniform(k, shape, minval=-width, maxval=width)
    inside = frames.any((0, 3))[None, :, :, None]  # 1 h w 1
    mean = frames.mean() / jnp.maximum(inside.mean(), 1e-6)  # of the picture alone
    frames = mean + (frames - mean) * (1 + spread(keys[0], settings.contrast))
    frames = frames * (1 + spread(keys[1], settings.colour, (1, 1, 1, 3)))
    frames = jnp.clip(frames + spread(keys[2], settings.brightness), 0, 1)
    if settings.saturation or settings.hue:
        stretch, turn = spread(jax.random.fold_in(key, _HUE), 1.0, (2, 1))
        frames = saturation(frames, 1 + settings.saturation * stretch)
        frames = hue(frames, settings.hue * turn)
    return jnp.where(inside, frames, 0)
