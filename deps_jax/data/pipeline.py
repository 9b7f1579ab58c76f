"""Batches: shuffled and resumable for training, in order and padded for evaluation.

Two placements give the same batches from the same seed:
  resident: all images lie on the device as uint8, an iterator of indices picks them;
  streamed: grain workers decode (and crop) images while the device computes.
"""
from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.loop.batches import Batches
from deps_jax.data.images import random_resized_crop
from deps_jax.data.sources import ArraySource, Source

PLACEMENTS = ("resident", "streamed")


class ResidentBatches(Batches):
    """Shuffled batches gathered on the device, which holds all images."""

    def __init__(self, source: ArraySource, batch_size: int, seed: int):
        super().__init__(range(len(source)), batch_size, seed, threads=0)
        self._images, self._labels = jnp.asarray(source.images), jnp.asarray(source.labels)

    def __next__(self) -> dict:
        return _gather(self._images, self._labels, super().__next__())


class StreamedBatches(Batches):
    """Shuffled batches decoded by `workers` processes (0: by threads of this one)."""

    def __init__(self, source: Source, batch_size: int, seed: int, *, workers: int,
                 crop_resolution: int = 0):
        super().__init__(source, batch_size, seed, workers=workers, threads=1 if workers else 4,
                         change=partial(_crop, crop_resolution) if crop_resolution else None)

    def __next__(self) -> dict:
        batch = super().__next__()
        return {"image": batch["image"], "label": batch["label"].astype(np.int32)}


def eval_batches(source: ArraySource, batch_size: int) -> Iterator[dict]:
    """Every example once, in order; the last batch is padded and "mask" [b] is 0 there."""
    for start in range(0, len(source), batch_size):
        images, labels = (x[start:start + batch_size] for x in (source.images, source.labels))
        pad = batch_size - len(labels)
        yield {
            "image": np.pad(images, ((0, pad), (0, 0), (0, 0), (0, 0))),
            "label": np.pad(labels, (0, pad)),
            "mask": (np.arange(batch_size) < batch_size - pad).astype(np.float32),
        }


def calibration_batches(source: Source, images: int, batch_size: int, seed: int) -> list[dict]:
    """`images` random examples as whole batches on the device, the same ones for every subnet.

    Raises:
      ValueError: when there are too few examples or they do not fill whole batches.
    """
    check_calibration(len(source), images, batch_size)
    chosen = np.random.default_rng(seed).choice(len(source), images, replace=False)
    pixels = np.stack([source[int(i)]["image"] for i in chosen])
    return [{"image": jnp.asarray(part)} for part in np.split(pixels, images // batch_size)]


def check_calibration(examples: int, images: int, batch_size: int) -> None:
    """Raises ValueError unless so many images can be drawn from so many examples."""
    if not 0 < images <= examples or images % batch_size:
        raise ValueError(f"{images} calibration images in batches of {batch_size} cannot be drawn "
                         f"from {examples} training images; use a multiple of the batch size "
                         f"that is at most that many")


def _crop(resolution: int, example: dict, generator: np.random.Generator) -> dict:
    return {**example, "image": random_resized_crop(example["image"], resolution, generator)}


@jax.jit
def _gather(images, labels, indices) -> dict:
    return {"image": images[indices], "label": labels[indices]}
