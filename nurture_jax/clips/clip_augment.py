"""Augmentation of clips on the device: one draw for all frames of a clip, labels moved along.

Random numbers are drawn for each clip from its place in the global batch, so that the same clips
come out however many devices share the batch. Pure: (key, batch) -> batch.
"""
from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from nurture_jax.measures import KEYPOINTS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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
      mean, std: of each channel, for values in [0, 1].
      flip: mirror half of the clips left to right. Off where text must stay legible.
      zoom: (smallest, largest) factor, drawn on a logarithmic scale; below 1 the border is black.
      shift: largest move of the centre, as a part of the side.
      brightness: largest change of all values, of 1.
      contrast, colour: largest relative change of the contrast, and of one channel.
      frames: so many of a clip's frames in a step, drawn anew; 0 takes all. An estimate sees all.
      annotated_first: how much sooner an annotated frame is drawn, 0 (as any other) to 1 (always).
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    flip: bool = False
    zoom: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    colour: float = 0.0
    frames: int = 0
    annotated_first: float = 0.5

    def __post_init__(self):
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"mean {self.mean} and std {self.std} must be 3 numbers each, std "
                             f"above 0; give one for every colour channel")
        if len(self.zoom) != 2 or not 0.25 <= self.zoom[0] <= self.zoom[1] <= 4:
            raise ValueError(f"zoom {self.zoom} is not (smallest, largest) between 0.25 and 4; use "
                             f"(1.0, 1.0) to leave it out")
        if self.frames < 0:
            raise ValueError(f"frames {self.frames} is negative; use 0 to take all of a clip")
        for name, limit in (("shift", 0.5), ("brightness", 1), ("contrast", 0.9), ("colour", 0.9),
                            ("annotated_first", 1)):
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} {getattr(self, name)} is not 0 to {limit}; use 0 to "
                                 f"leave it out")

    @property
    def moves(self) -> bool:
        return self.flip or tuple(self.zoom) != (1, 1) or self.shift > 0


# Strengths of our own choice; the paper gives none.
TRAINING = ClipAugment(flip=True, zoom=(0.85, 1.2), shift=0.08, brightness=0.15, contrast=0.2,
                       colour=0.1)


def augment(key: jax.Array, batch: dict, settings: ClipAugment, first: jax.Array | int = 0) -> dict:
    """A batch with other frames, masks and keypoints; everything else is passed on.

    Args:
      batch: of `clip_batches`; "frames" [b, t, h, w, 3] uint8, and if there, "masks"
        [b, t, h', w'] and "keypoints" [b, t, 19, 3] in pixels of the frames.
      first: position of the first clip in the global batch.

    Returns:
      The batch with "frames" float32, normalised.
    """
    size = batch["frames"].shape[0]
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(size))
    if settings.frames and settings.frames < batch["frames"].shape[1]:
        batch = {**batch, **_some_frames(keys, batch, settings)}
    move_keys, colour_keys = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
    # Integers would round twice.
    frames = batch["frames"].astype(jnp.float32) / 255
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
    return {**batch, **changed, "frames": _unit_scale(changed["frames"], settings)}


def normalise(frames: jax.Array, settings: ClipAugment) -> jax.Array:
    """[b, t, h, w, 3] uint8 as the network sees them in a prediction: nothing else is changed."""
    return _unit_scale(frames.astype(jnp.float32) / 255, settings)


def _unit_scale(frames: jax.Array, settings: ClipAugment) -> jax.Array:
    """Values in [0, 1] with mean 0 and standard deviation 1 by channel."""
    mean, std = (jnp.array(value)[(None,) * 4] for value in (settings.mean, settings.std))
    return (frames - mean) / std


def _some_frames(keys, batch, settings: ClipAugment) -> dict:
    """What a clip has by frame, for `settings.frames` of them in their order."""
    own = {name: batch[name] for name in ("frames", "masks", "keypoints", "annotated")
           if name in batch}
    b, t = batch["frames"].shape[:2]
    annotated = batch.get("annotated", jnp.zeros((b, t)))
    draw = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, t), (t,)))(keys)
    _, chosen = jax.lax.top_k(draw + settings.annotated_first * annotated, settings.frames)
    chosen = jnp.sort(chosen, axis=1)  # b t'
    return {name: jax.vmap(lambda x, at: x[at])(value, chosen) for name, value in own.items()}


def _draw_move(key, settings: ClipAugment):
    """(scale, offset), [2] each as (y, x): output = scale * input + offset, side length 1.

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


def _move_frames(frames, scale, offset):
    """t h w 3, bilinear; black outside. Separable, so it is two matrix products."""
    rows = _weights(frames.shape[1], scale[0], offset[0])
    columns = _weights(frames.shape[2], scale[1], offset[1])
    return jnp.einsum("yh,thwc,xw->tyxc", rows, frames, columns)


def _weights(size: int, scale, offset):
    """[out, in] of bilinear interpolation, widened (a tent) where the picture shrinks."""
    centres = (jnp.arange(size) + 0.5) / size
    source = (centres - offset) / scale  # where each output pixel looks
    width = jnp.maximum(1, 1 / jnp.abs(scale))
    distance = jnp.abs(source[:, None] - centres[None, :]) * size / width
    tent = jnp.maximum(0, 1 - distance)
    # Rows near the border keep their sum; rows outside of it are black.
    inside = ((source > 0) & (source < 1))[:, None]
    return jnp.where(inside, tent / jnp.maximum(tent.sum(1, keepdims=True), 1e-6), 0)


def _move_masks(masks, scale, offset):
    """t h w, nearest; 0 outside."""
    for axis, s, o in ((1, scale[0], offset[0]), (2, scale[1], offset[1])):
        size = masks.shape[axis]
        source = jnp.floor(((jnp.arange(size) + 0.5) / size - o) / s * size).astype(jnp.int32)
        inside = (source >= 0) & (source < size)
        masks = jnp.take(masks, jnp.clip(source, 0, size - 1), axis=axis)
        masks = masks * jnp.expand_dims(inside, (0, 3 - axis)).astype(masks.dtype)
    return masks


def _move_points(points, scale, offset, size):
    """t 19 3; a point that leaves the frame is no longer labelled."""
    height, width = size
    y = (points[..., 1] / height * scale[0] + offset[0]) * height
    x = (points[..., 0] / width * scale[1] + offset[1]) * width
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (points[..., 2] > 0)
    moved = jnp.where(inside[..., None], jnp.stack([x, y, points[..., 2]], -1), 0)
    return jnp.where(scale[1] < 0, moved[:, jnp.array(MIRRORED)], moved)


def _recolour(key, frames, settings: ClipAugment):
    """t h w 3 in [0, 1]: one draw of brightness, contrast and colour for the whole clip."""
    if not (settings.brightness or settings.contrast or settings.colour):
        return frames
    keys = jax.random.split(key, 3)
    spread = lambda k, width, shape=(): jax.random.uniform(k, shape, minval=-width, maxval=width)
    mean = frames.mean()
    frames = mean + (frames - mean) * (1 + spread(keys[0], settings.contrast))
    frames = frames * (1 + spread(keys[1], settings.colour, (1, 1, 1, 3)))
    return jnp.clip(frames + spread(keys[2], settings.brightness), 0, 1)
