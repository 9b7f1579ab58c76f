"""Batches: shuffled and resumable for training, in order and padded for evaluation.

Two placements give the same batches from the same seed:
  resident: all images lie on the device as uint8, an iterator of indices picks them;
  streamed: grain workers decode (and crop) images while the device computes.
"""
from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import grain
import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.data.images import random_resized_crop
from deps_jax.data.sources import ArraySource, Source

PLACEMENTS = ("resident", "streamed")


class ResidentBatches:
    """Endless shuffled batches gathered on the device; `state()` and `restore()` for resuming."""

    def __init__(self, source: ArraySource, batch_size: int, seed: int):
        self._images, self._labels = jnp.asarray(source.images), jnp.asarray(source.labels)
        self.iterator = iter(_shuffled(grain.MapDataset.range(len(source)), batch_size, seed)
                             .to_iter_dataset(grain.ReadOptions(num_threads=0)))

    def __next__(self) -> dict:
        return _gather(self._images, self._labels, next(self.iterator))


class StreamedBatches:
    """Endless shuffled batches decoded by `workers` processes (0: in this one)."""

    def __init__(self, source: Source, batch_size: int, seed: int, *, workers: int,
                 crop_resolution: int = 0):
        examples = grain.MapDataset.source(source)
        order = _shuffled_examples(examples, batch_size, seed)
        if crop_resolution:
            order = order.random_map(partial(_crop, crop_resolution))
        batches = order.batch(batch_size, drop_remainder=True).to_iter_dataset()
        if workers:
            batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
        self.iterator = iter(batches)

    def __next__(self) -> dict:
        batch = next(self.iterator)
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
    if images > len(source) or images % batch_size or not images:
        raise ValueError(f"{images} calibration images in batches of {batch_size} cannot be drawn "
                         f"from {len(source)} training images; use a multiple of the batch size "
                         f"that is at most that many")
    chosen = np.random.default_rng(seed).choice(len(source), images, replace=False)
    pixels = np.stack([source[int(i)]["image"] for i in chosen])
    return [{"image": jnp.asarray(part)} for part in np.split(pixels, images // batch_size)]


def check_batch_fits(examples: int, batch_size: int) -> int:
    """Steps of one epoch; ValueError when there are fewer examples than one batch takes."""
    if batch_size < 1 or examples < batch_size:
        raise ValueError(f"batch size {batch_size} does not fit {examples} training images; use "
                         f"1 to {examples}")
    return examples // batch_size


def _shuffled(examples: grain.MapDataset, batch_size: int, seed: int) -> grain.MapDataset:
    return _shuffled_examples(examples, batch_size, seed).batch(batch_size, drop_remainder=True)


def _shuffled_examples(examples: grain.MapDataset, batch_size: int, seed: int):
    """A new order in every epoch, cut to whole batches before it repeats."""
    steps = check_batch_fits(len(examples), batch_size)
    return examples.seed(seed).shuffle()[: steps * batch_size].repeat()


def _crop(resolution: int, example: dict, generator: np.random.Generator) -> dict:
    return {**example, "image": random_resized_crop(example["image"], resolution, generator)}


@jax.jit
def _gather(images, labels, indices) -> dict:
    return {"image": images[indices], "label": labels[indices]}
