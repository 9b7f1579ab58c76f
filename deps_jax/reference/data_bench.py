"""How many photographs a processor can decode, crop and bring to a device.

The photographs are made here: smooth patches with some noise, of ImageNet's usual 500 x 375 px and
about its 110 kB as JPEG. So what is measured is not what ImageNet itself would give.
"""
from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable

import cv2
import jax
import numpy as np

from deps_jax.common.compiled.machine import cores
from deps_jax.data.images import random_resized_crop
from deps_jax.data.pipeline import Change, StreamedBatches

WIDTH, HEIGHT, QUALITY = 500, 375, 92
PHOTOGRAPHS = 64
NOISE = 16.0  # standard deviation, of 255


@dataclasses.dataclass(frozen=True)
class Photographs:
    """A source of labelled JPEG files in memory, each decoded when it is asked for.

    Attributes:
      files: Contents of the files.
      length: Number of examples; files come again and again.
    """

    files: tuple[bytes, ...]
    length: int = 100_000

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        return {"image": decode(self.files[index % len(self.files)]), "label": index % 10}


def photographs(count: int = PHOTOGRAPHS, seed: int = 0) -> Photographs:
    """Made photographs, the same ones for the same seed."""
    generator, files = np.random.default_rng(seed), []
    for _ in range(count):
        patches = generator.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        image = cv2.resize(patches, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(float)
        image += generator.normal(0, NOISE, image.shape)
        written = cv2.imencode(".jpg", np.clip(image, 0, 255).astype(np.uint8),
                               [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        files.append(written.tobytes())
    return Photographs(tuple(files))


def decode(file: bytes) -> np.ndarray:
    """A JPEG file as [h, w, 3] uint8 RGB."""
    return np.ascontiguousarray(cv2.imdecode(np.frombuffer(file, np.uint8), 1)[..., ::-1])


def measure(resolution: int = 224, batch_size: int = 64, seconds: float = 5.0, workers: int = 0
            ) -> dict[str, float]:
    """Images a second of every part of the path, by name, and what they were measured with.

    Args:
      resolution: Side of the random crops in pixels.
      batch_size: Number of images of a batch of the whole path.
      seconds: Time of each measurement.
      workers: Processes of the whole path; 0 decodes in threads.
    """
    source, generator = photographs(), np.random.default_rng(0)
    images = [decode(file) for file in source.files]
    cv2.setNumThreads(1)
    place = lambda i: i % len(images)
    found = {
        "kB a file": sum(map(len, source.files)) / len(source.files) / 1000,
        "decoding, one core": _rate(lambda i: decode(source.files[place(i)]), seconds),
        "random crop, one core": _rate(lambda i: random_resized_crop(
            images[place(i)], resolution, generator), seconds)}
    batches = StreamedBatches(source, batch_size, 0, workers=workers, change=Change(resolution))
    with contextlib.closing(batches):
        take = lambda _: jax.block_until_ready(jax.device_put(next(batches)))
        take(0)  # starts the readers
        found["whole path, on the device"] = batch_size * _rate(take, 2 * seconds)
    return {**found, "cores": cores(), "workers": workers,
            "load": os.getloadavg()[0]}


def cores_for(found: dict[str, float], images_per_second: float) -> int:
    """Cores that decode and crop so many images a second, by what `measure` has found."""
    seconds = 1 / found["decoding, one core"] + 1 / found["random crop, one core"]
    return math.ceil(images_per_second * seconds)


def _rate(action: Callable[[int], object], seconds: float) -> float:
    """Calls a second."""
    start, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        action(count)
        count += 1
    return count / passed
