"""What a training step takes on many chips: a model of it, and what is known of two kinds of chip.

A step is computed, its batch statistics and gradients are exchanged, and meanwhile the next batch
is decoded; whichever takes longer is what a step takes:

    fixed      = what a step takes whatever its batch, such as starting thousands of kernels
    images     = images a chip * time of an image
    statistics = exchanges one after the other * time that a small exchange takes
    gradients  = 2 (n - 1) / n * bytes / bandwidth            (n chips)
    input      = images a chip / (cores a chip * images a second and core)

Nothing of it overlaps here but the input. `scaling_check` compares the model with processes.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache

import jax
import numpy as np

from deps_jax.reference import bench
from deps_jax.space.layers import Layer, layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, largest, sample, smallest
from deps_jax.supernet import supernet
from deps_jax.training.phases import expected_step_macs

FULL, SANDWICH = STEPS = ("full-model step", "sandwich step")
CHIPS = (8, 16, 32, 64, 128, 256)
DRAWS = 20  # of sampled subnets, whose exchanges are averaged
BYTES = 4  # gradients are float32


@dataclasses.dataclass(frozen=True)
class Pace:
    """What a step takes on one chip.

    Attributes:
      fixed_s: What it takes whatever the batch, in seconds.
      image_s: What every image of the chip's share adds.
    """

    fixed_s: float
    image_s: float

    @classmethod
    def fitted(cls, seconds: Mapping[int, float]) -> Pace:
        """The line through the seconds of steps by images a chip; of two, through both."""
        image_s, fixed_s = np.polyfit(list(seconds), list(seconds.values()), 1)
        return cls(float(fixed_s), float(image_s))

    def __call__(self, images: float) -> float:
        """Seconds of a step on so many images."""
        return self.fixed_s + images * self.image_s


@dataclasses.dataclass(frozen=True)
class Links:
    """How chips exchange numbers.

    Attributes:
      small_s: Seconds of an exchange of a few hundred numbers.
      bytes_per_s: What a chip sends, and at the same time receives, of large arrays.
    """

    small_s: float
    bytes_per_s: float


@dataclasses.dataclass(frozen=True)
class Work:
    """What the chips of a step exchange.

    Attributes:
      exchanges: Small exchanges that wait for each other.
      gradient_bytes: Bytes of gradients on each chip.
    """

    exchanges: float
    gradient_bytes: float


@dataclasses.dataclass(frozen=True)
class Step:
    """Seconds of a step on one of several chips; attributes as in the head of this file."""

    fixed: float
    images: float
    statistics: float
    gradients: float
    input: float = 0.0

    @property
    def total(self) -> float:
        """Seconds from one step to the next."""
        return max(self.computed, self.input)

    @property
    def computed(self) -> float:
        """Seconds of all but the input."""
        return self.fixed + self.images + self.statistics + self.gradients

    @property
    def limit(self) -> str:
        """Which of its parts takes longest."""
        parts = dataclasses.asdict(self)
        if self.input >= self.total:
            return "input"
        return max((name for name in parts if name != "input"), key=parts.get)


def predicted(pace: Pace, links: Links, work: Work, chips: int, images: float,
              input_images_per_s: float = np.inf) -> Step:
    """A step on several chips.

    Args:
      images: Images of each chip.
      input_images_per_s: Images a second that are decoded for each chip.
    """
    together = chips > 1
    return Step(pace.fixed_s, images * pace.image_s, together * work.exchanges * links.small_s,
                2 * (chips - 1) / chips * work.gradient_bytes / links.bytes_per_s,
                images / input_images_per_s)


def statistics_exchanges(space: SearchSpace, subnet: Subnet) -> int:
    """Exchanges of batch statistics in a step of one static subnet, which wait for each other.

    A batch norm exchanges once forward and once backward; that of a 1x1 convolution which widens
    takes two exchanges each time (`operations.pointwise_norm`). What a stage has computed is
    computed again in the backward pass. The stem's input has no gradient.
    """
    return sum(_exchanges(layer) for layer in layers(space, subnet))


def _exchanges(layer: Layer) -> int:
    if not layer.batch_norm:
        return 0
    if layer.part == "stem":
        return 2
    widens = layer.kernel == layer.groups == 1 and layer.out_channels > layer.in_channels
    return (2 if widens else 1) * (3 if layer.block else 2)


@cache
def macs_of(space: SearchSpace, step: str) -> float:
    """Multiply-adds of a step of DepS for each image, forward and backward; see `step_macs`."""
    phases = bench.recipe_of(space).phases
    return expected_step_macs(phases[0 if step == FULL else -1], space, space.resolution)


def work_of(space: SearchSpace, step: str, synchronised: bool) -> Work:
    """What chips exchange in a step of DepS, one of STEPS.

    Args:
      synchronised: Whether batch statistics are those of all chips. Otherwise only their running
        averages are exchanged, with the metrics and the gradients: three exchanges a step.
    """
    shapes = jax.eval_shape(lambda key: supernet.init(key, space)[0], jax.random.key(0))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    slots = 1 if step == FULL else 4
    exchanges = 3.0
    if synchronised:
        exchanges = 2 + statistics_exchanges(space, largest(space))
        if step == SANDWICH:
            drawn = [statistics_exchanges(space, jax.device_get(
                sample(jax.random.key(i), space))) for i in range(DRAWS)]
            exchanges += statistics_exchanges(space, smallest(space)) + 2 * float(np.mean(drawn))
    return Work(exchanges, slots * BYTES * parameters)


@dataclasses.dataclass(frozen=True)
class Chip:
    """A kind of chip.

    Attributes:
      paces: What steps of `configs/deps_imagenet.py` take on one, by name.
      bytes_per_s: Of large exchanges, see `Links`.
      cores: Processor cores beside each.
      peak: Multiply-adds a second, in bfloat16, that its data sheet promises.
      sources: Where the numbers are from.
    """

    name: str
    paces: Mapping[str, Pace]
    bytes_per_s: float
    cores: float
    peak: float
    sources: tuple[str, ...]

    def links(self, chips: int) -> Links:
        """How so many of them exchange numbers."""
        return Links(SMALL_S[self.name](chips), self.bytes_per_s)


def _hops(chips: int) -> int:
    """Links from one end of a v5e slice to the other: a grid, which is closed at 16 x 16 only."""
    sides = {4: (2, 2), 8: (2, 4), 16: (4, 4), 32: (4, 8), 64: (8, 8), 128: (8, 16),
             256: (16, 16)}[chips]
    return sum(side // 2 if side == 16 else side - 1 for side in sides)


# Seconds of a small exchange among so many chips: there and back through all links of a v5e slice,
# a microsecond each (our assumption); of H100s with NVLink in one machine and beyond it.
SMALL_S = {"v5e": lambda chips: 2e-6 * _hops(chips),
           "h100": lambda chips: 3.5e-6 if chips <= 8 else 25e-6}
# One H100, PyTorch, 224 px, bfloat16, batch 128 (docs/results.md), as our own steps were not timed
# at 224 px; and what a step of a network too small for the chip takes, 128 images at 6000 a second,
# times what a sandwich takes of a full-model step (163 / 63 ms).
_H100 = {FULL: (0.066, 0.021), SANDWICH: (0.206, 0.021 * 163 / 63)}
_MEASURED_IMAGES = 128
# By memory: depthwise convolutions wait for it, not for products. Never measured.
_V5E_SLOWER = 3350 / 819
V5E = Chip("v5e", {step: Pace(0.0, whole * _V5E_SLOWER / _MEASURED_IMAGES)
                   for step, (whole, _) in _H100.items()}, 200e9, 28, 98.5e12, (
    "peak: 197 TFLOP/s (bfloat16), two for a multiply-add; 16 GB at 819 GB/s, 400 GB/s to other "
    "chips both ways together, 8 chips a machine, 256 a pod: docs.cloud.google.com/tpu/docs/v5e",
    "cores: 224 vCPUs of ct5lp-hightpu-8t for 8 chips, not looked up again",
    "time of an image: the H100's, times 3350 / 819 GB/s of memory (assumed)"))
H100 = Chip("h100", {step: Pace(fixed, (whole - fixed) / _MEASURED_IMAGES)
                     for step, (whole, fixed) in _H100.items()}, 50e9, 14, 494.5e12, (
    "peak: 989 TFLOP/s (bfloat16, dense), two for a multiply-add; 80 GB at 3350 GB/s, NVLink 900 "
    "GB/s both ways together: NVIDIA's datasheet of the H100 SXM",
    "between machines 400 Gbit/s a chip, 112 cores for 8 chips: NVIDIA's DGX H100",
    "small exchanges: 3.5 us among 4 H800 (github.com/NVIDIA/nccl/issues/1984), 25 us between "
    "machines (github.com/NVIDIA/nccl/issues/1453, NCCL's own estimate)"))
KINDS = {chip.name: chip for chip in (V5E, H100)}


def plan(chip: Chip, space: SearchSpace, step: str, batch: int, images_per_s_core: float,
         synchronised: bool, chips: tuple[int, ...] = CHIPS) -> list[dict]:
    """Rows of a table: a step of `batch` images in all, on more and more chips.

    Returns:
      For each number of chips the images of one, milliseconds of every part and of the step, images
      a second, "of_linear" (the share of what the first number of chips would do if every other did
      as well, and exchanged nothing), "macs_per_s" of a chip, "of_peak" (their share of what its
      data sheet promises), "cores" (of a chip, with which its input would take as long as all
      else) and "limit".
    """
    work, pace, rows = work_of(space, step, synchronised), chip.paces[step], []
    first = batch / chips[0]
    for count in chips:
        images = batch / count
        found = predicted(pace, chip.links(count), work, count, images,
                          chip.cores * images_per_s_core)
        macs_per_s = images * macs_of(space, step) / found.total
        rows.append({
            "chips": count, "images": images,
            **{f"{name}_ms": 1e3 * seconds for name, seconds in dataclasses.asdict(found).items()},
            "step_ms": 1e3 * found.total, "images_per_s": batch / found.total,
            "of_linear": batch / found.total / (count * first / pace(first)),
            "macs_per_s": macs_per_s, "of_peak": macs_per_s / chip.peak,
            "cores": images / images_per_s_core / found.computed, "limit": found.limit})
    return rows
