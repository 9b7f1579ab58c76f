"""Batches: shuffled and resumable for training, in order and padded for evaluation.

Two placements give the same batches from the same seed:
  resident: all images lie on every device as uint8, an iterator of indices picks them;
  streamed: grain workers decode, crop and change images while the device computes.

A batch is {"image": [b, h, w, 3] uint8, "label": [b] int32, "example": [b] int32}; the last says
which examples of the source they are.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding

from deps_jax.common.loop.batches import Batches
from deps_jax.common.loop.parallel import shardings
from deps_jax.common.processes.together import all_devices
from deps_jax.data.images import random_resized_crop
from deps_jax.data.policies import Policy
from deps_jax.data.sources import ArraySource, Source

PLACEMENTS = ("resident", "streamed")


class ResidentBatches(Batches):
    """Shuffled batches gathered on the devices of this process, each of which holds all images.

    Only the numbers of the images are brought to the devices, and each picks its own share there.

    Args:
      source: The images, all of one size.
      batch_size: Number of images of a batch.
      seed: Seed of the shuffling, 0 or more.
    """

    def __init__(self, source: ArraySource, batch_size: int, seed: int) -> None:
        super().__init__(range(len(source)), batch_size, seed, threads=0)
        own = [one for one in all_devices() if one.process_index == jax.process_index()]
        whole, _ = shardings(own, alone=len(own) == 1)
        self._images, self._labels = jax.device_put((source.images, source.labels), whole)

    def __next__(self) -> dict:
        return self.take(lambda numbers: numbers)

    def take(self, place: Callable) -> Any:
        """The next batch, gathered where `place` brings the numbers of its images, [b] int32."""
        numbers = super().__next__().astype(np.int32)
        return jax.tree.map(lambda placed: _gather_to(getattr(placed, "sharding", None))(
            self._images, self._labels, placed), place(numbers))


@dataclasses.dataclass(frozen=True)
class Change:
    """What is done to a training image where it is decoded.

    Attributes:
      crop_resolution: Side in pixels of the square to which a random part of the image is resized,
        see `random_resized_crop`; 0 leaves the image whole.
      least_area: Least area of that part, as a share of the image.
      policy: Policy that changes the image after the crop; None is none.
    """

    crop_resolution: int = 0
    least_area: float = 0.08
    policy: Policy | None = None

    def __call__(self, example: dict, generator: np.random.Generator) -> dict:
        """The example with its image changed.

        Raises:
          ValueError: If the policy returns another shape or type than that of its image.
        """
        image = example["image"]
        if self.crop_resolution:
            image = random_resized_crop(image, self.crop_resolution, generator, self.least_area)
        if self.policy:
            changed = self.policy(image, generator)
            if changed.shape != image.shape or changed.dtype != np.uint8:
                raise ValueError(f"policy {self.policy} made {changed.dtype} {changed.shape} of an "
                                 f"image of uint8 {image.shape}; let it return the same")
            image = changed
        return {**example, "image": image}


@dataclasses.dataclass(frozen=True)
class _Numbered:
    """A source whose examples say which they are."""

    source: Source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict:
        return {**self.source[index], "example": index}


class StreamedBatches(Batches):
    """Shuffled batches, decoded while the device computes.

    Args:
      source: The images.
      batch_size: Number of images of a batch.
      seed: Seed of the shuffling and of the changes, 0 or more.
      workers: Number of processes that decode; 0 decodes in threads of this one.
      change: What is done to every image; None leaves them as they are.
    """

    def __init__(self, source: Source, batch_size: int, seed: int, *, workers: int,
                 change: Change | None = None) -> None:
        super().__init__(_Numbered(source), batch_size, seed, workers=workers,
                         threads=1 if workers else 4, change=change)

    def __next__(self) -> dict:
        batch = super().__next__()
        return {"image": batch["image"],
                **{name: batch[name].astype(np.int32) for name in ("label", "example")}}


def eval_batches(source: ArraySource, batch_size: int) -> Iterator[dict]:
    """Yields every example once, in order, as {"image", "label", "mask"} of NumPy arrays.

    The last batch is padded with zeros; "mask" [b] float32 is 1 for examples and 0 for padding.
    """
    for start in range(0, len(source), batch_size):
        images, labels = (x[start:start + batch_size] for x in (source.images, source.labels))
        pad = batch_size - len(labels)
        yield {
            "image": np.pad(images, ((0, pad), (0, 0), (0, 0), (0, 0))),
            "label": np.pad(labels, (0, pad)),
            "mask": (np.arange(batch_size) < batch_size - pad).astype(np.float32),
        }


def calibration_batches(source: Source, images: int, batch_size: int, seed: int) -> jax.Array:
    """`images` random examples as whole batches on the device, the same ones for every subnet.

    Returns:
      Images [images / batch_size, batch_size, r, r, 3] uint8.

    Raises:
      ValueError: If there are too few examples or the images do not fill whole batches.
    """
    check_calibration(len(source), images, batch_size)
    chosen = np.random.default_rng(seed).choice(len(source), images, replace=False)
    pixels = np.stack([source[int(i)]["image"] for i in chosen])
    return jnp.asarray(pixels.reshape(-1, batch_size, *pixels.shape[1:]))


def check_calibration(examples: int, images: int, batch_size: int) -> None:
    """Raises ValueError unless `images` of the `examples` can be drawn, in whole batches."""
    if not 0 < images <= examples or images % batch_size:
        raise ValueError(f"{images} calibration images in batches of {batch_size} cannot be drawn "
                         f"from {examples} training images; use a multiple of the batch size "
                         f"that is at most that many")


@lru_cache
def _gather_to(place: Sharding | None) -> Callable:
    """A function of (images, labels, numbers) that leaves its results where the numbers lie."""
    def gather(images: jax.Array, labels: jax.Array, numbers: jax.Array) -> dict:
        return {"image": images[numbers], "label": labels[numbers], "example": numbers}

    return jax.jit(gather, out_shardings=place)
