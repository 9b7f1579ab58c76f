"""How many photographs a processor can decode, crop, change and bring to a device.

The photographs are made here: smooth patches with some noise, of ImageNet's usual 500 x 375 px and
about its 110 kB as JPEG. So what is measured is not what ImageNet itself would give.

Two rates are told of everything: by the clock, and by the time that the system has counted for this
process. Beside other work the second alone says what a core can do, and even that is less than on a
quiet machine, as caches are shared.
"""
from __future__ import annotations

import contextlib
import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping

import cv2
import jax
import numpy as np

from deps_jax.common.command.named import named
from deps_jax.common.compiled.machine import busy_s, cores
from deps_jax.data.images import random_resized_crop
from deps_jax.data.pipeline import Change, StreamedBatches
from deps_jax.data.policies import POLICIES, Policy

WIDTH, HEIGHT, QUALITY = 500, 375, 92
PHOTOGRAPHS = 64
NOISE = 16.0  # standard deviation, of 255
ROUNDS = 5  # in which everything takes its turn, so that what disturbs one disturbs all
QUIET = 0.95  # share of the time by the clock that a busy process has on a core of its own
DECODING, CROP, WHOLE = "decoding", "random crop", "whole path, on the device"


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


@dataclasses.dataclass(frozen=True)
class Rate:
    """How fast something is done: calls, or images, a second.

    Attributes:
      by_clock: Of the time that has passed.
      by_core: Of the time that cores have worked for this process; nan where that is not counted,
        as of worker processes.
    """

    by_clock: float
    by_core: float

    def times(self, count: int) -> Rate:
        """So many at every call."""
        return Rate(count * self.by_clock, count * self.by_core)


@dataclasses.dataclass(frozen=True)
class Found:
    """What `measure` has found.

    Attributes:
      parts: Images a second of what one core does, one after the other, by name.
      whole: Of all together on all cores, batches and copies to the device included.
      kilobytes: Mean size of a file in kB.
      others: Cores that other programs used while one thing was done after the other; nan where
        the system does not tell.
      cores: Number of cores that this process may use.
      workers: Processes of the whole path.
    """

    parts: Mapping[str, Rate]
    whole: Rate
    kilobytes: float
    others: float
    cores: int
    workers: int

    @property
    def images_per_core(self) -> float:
        """Images a second that a core makes ready: of the whole path, or of its parts if fewer."""
        parts = 1 / sum(1 / rate.by_core for rate in self.parts.values())
        return parts if math.isnan(self.whole.by_core) else min(parts, self.whole.by_core)

    @property
    def share(self) -> float:
        """Least share of a core that this process had while it did one thing after the other."""
        return min(rate.by_clock / rate.by_core for rate in self.parts.values())

    @property
    def quiet(self) -> bool:
        """Whether nothing else seems to have run beside it."""
        return self.share >= QUIET and not self.others > 1 - QUIET

    def cores_for(self, images_per_second: float) -> int:
        """Cores that make so many images a second ready."""
        return math.ceil(images_per_second / self.images_per_core)

    def __str__(self) -> str:
        rows = [f"{'images a second':26} {'of a core':>9} {'by the clock':>13}", *(
            f"{name:26} {rate.by_core:9.0f} {rate.by_clock:13.0f}"
            for name, rate in {**self.parts, WHOLE: self.whole}.items())]
        others = "" if math.isnan(self.others) else f"; others used {self.others:.0%} of a core"
        about = (f"made photographs of {self.kilobytes:.0f} kB; {self.cores} cores, "
                 f"{self.workers} workers{others}")
        verdict = ("the machine was quiet" if self.quiet else
                   f"the machine was NOT QUIET: a core worked for this process {self.share:.0%} of "
                   f"the time; by the clock nothing here is worth keeping, and a core does more "
                   f"when it is quiet")
        return "\n".join([*rows, about, verdict])


def measure(resolution: int = 224, batch_size: int = 64, seconds: float = 5.0, workers: int = 0,
            policy: str = "auto_imagenet") -> Found:
    """How fast every part of the path is.

    Args:
      resolution: Side of the random crops in pixels.
      batch_size: Number of images of a batch of the whole path.
      seconds: Time of each measurement, of the whole path twice that.
      workers: Processes of the whole path; 0 decodes in threads.
      policy: Name of what changes every crop, as data.policy; "" leaves it as it is.

    Raises:
      ValueError: If the policy is unknown.
    """
    changes = named("policy", policy, POLICIES, Policy) if policy else None
    source, generator = photographs(), np.random.default_rng(0)
    images = [decode(file) for file in source.files]
    crops = [random_resized_crop(image, resolution, generator) for image in images]
    cv2.setNumThreads(1)
    place = lambda i: i % len(images)
    actions = {
        DECODING: lambda i: decode(source.files[place(i)]),
        CROP: lambda i: random_resized_crop(images[place(i)], resolution, generator)}
    if changes:
        actions[policy] = lambda i: changes(crops[place(i)], generator)
    batches = StreamedBatches(source, batch_size, 0, workers=workers,
                              change=Change(resolution, policy=changes))
    start, busy = time.perf_counter(), busy_s() - time.process_time()
    parts = rates(actions, seconds)
    others = (busy_s() - time.process_time() - busy) / (time.perf_counter() - start)
    with contextlib.closing(batches):
        take = lambda _: jax.block_until_ready(jax.device_put(next(batches)))
        take(0)  # starts the readers
        whole = rates({WHOLE: take}, 2 * seconds)[WHOLE].times(batch_size)
    if workers:
        whole = dataclasses.replace(whole, by_core=math.nan)
    return Found(parts, whole, sum(map(len, source.files)) / len(source.files) / 1000,
                 others, cores(), workers)


def rates(actions: Mapping[str, Callable[[int], object]], seconds: float) -> dict[str, Rate]:
    """Calls a second of every action, medians of ROUNDS in which they take turns.

    Args:
      actions: Called with a number that counts up, by name.
      seconds: Time of each in all.
    """
    found: dict[str, list[Rate]] = {name: [] for name in actions}
    for number in range(ROUNDS):
        for name, action in actions.items():
            found[name].append(_rate(action, seconds / ROUNDS, 1000 * number))
    middle = statistics.median
    return {name: Rate(middle([rate.by_clock for rate in each]),
                       middle([rate.by_core for rate in each])) for name, each in found.items()}


def _rate(action: Callable[[int], object], seconds: float, first: int) -> Rate:
    """Calls a second, counted from `first` on."""
    start, worked, count = time.perf_counter(), time.process_time(), 0
    while (passed := time.perf_counter() - start) < seconds or not count:
        action(first + count)
        count += 1
    return Rate(count / passed, count / max(time.process_time() - worked, 1e-9))
