"""A subnet measured: recalibrated on training images, then evaluated on held-out ones."""
from __future__ import annotations

import dataclasses

import jax
import numpy as np

from deps_jax.data.augment import Augment
from deps_jax.data.load import Data, calibration, squares
from deps_jax.data.pipeline import eval_batches
from deps_jax.data.sources import Source, in_memory
from deps_jax.evaluation.recalibration import Evaluator
from deps_jax.space import cost
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.space.subnet_text import encode, reported_subnets
from deps_jax.supernet.supernet import DTYPES


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How subnets are measured.

    Attributes:
      subnets: Names of the subnets, as `encode` writes them; () takes `reported_subnets`.
      batch_size: Images of a batch in the evaluation; the last batch is padded.
      calibration_images, calibration_batch_size, calibration_seed: How many training images give
        a subnet its batch statistics, in which batches, and the seed that draws them (2000 in
        batches of 200 in the reference).
      dtype: Type of the computation, whatever the run has trained in: "float32", or "bfloat16",
        which is faster on accelerators and rounds. Exports are made and checked in float32.
    """

    subnets: tuple[str, ...] = ()
    batch_size: int = 200
    calibration_images: int = 2000
    calibration_batch_size: int = 200
    calibration_seed: int = 0
    dtype: str = "float32"

    def names(self, space: SearchSpace) -> tuple[str, ...]:
        """Names of the subnets of a space that are to be measured."""
        return self.subnets or reported_subnets(space)

    def calibration(self, data: Data, train: Source, resolution: int) -> jax.Array:
        """Images [n, b, r, r, 3] uint8, n batches that give every subnet its batch statistics.

        Args:
          data: How images of other sizes become squares.
          train: Source of the images.
          resolution: Side of the images in pixels.

        Raises:
          ValueError: If `train` has too few images.
        """
        return calibration(data, train, self.calibration_images, self.calibration_batch_size,
                           self.calibration_seed, resolution)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"evaluation.dtype {self.dtype!r} is unknown; use one of {DTYPES}")
        for field in ("batch_size", "calibration_images", "calibration_batch_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"evaluation.{field} {getattr(self, field)} must be 1 or more")
        if self.calibration_images % self.calibration_batch_size:
            raise ValueError(f"evaluation.calibration_images {self.calibration_images} must be a "
                             f"multiple of calibration_batch_size {self.calibration_batch_size}")


@dataclasses.dataclass(frozen=True)
class SubnetResult:
    """One subnet measured on one split.

    Attributes:
      subnet: Name of the subnet, as `encode` writes it.
      macs, params: Multiply-adds and learnable numbers of the network, for one image.
      images: Number of images that it was measured on.
      top1, top5: Share of the images whose class is the likeliest, or one of the five likeliest.
      loss: Mean cross entropy of the images.
    """

    subnet: str
    macs: int
    params: int
    images: int
    top1: float
    top5: float
    loss: float


class Meter:
    """Recalibrates and evaluates subnets of trained parameters: `meter(params, subnet)`.

    Args:
      space: Space of the supernet, at the resolution of the images.
      preprocess: Normalisation of the images; nothing else is applied to them.
      data: How images of other sizes become squares.
      settings: How many images are drawn, in which batches, and the type of the computation.
      train: Source of the calibration images.
      held_out: Source of the images to evaluate on.

    Attributes:
      calibration: Images [n, b, r, r, 3] uint8 as the network sees them, in n batches.
      held_out: Images [n, r, r, 3] uint8 as the network sees them, with their labels.

    Raises:
      ValueError: If `train` has too few images for the calibration.
    """

    def __init__(self, space: SearchSpace, preprocess: Augment, data: Data, settings: Evaluation,
                 train: Source, held_out: Source) -> None:
        self._space, self._batch_size = space, settings.batch_size
        self._evaluator = Evaluator(space, preprocess, dtype=settings.dtype)
        self._exact = self._evaluator if settings.dtype == "float32" else Evaluator(
            space, preprocess)
        self.calibration = settings.calibration(data, train, space.resolution)
        self.held_out = in_memory(squares(data, held_out, space.resolution), space.resolution)

    def __call__(self, params: dict, subnet: Subnet) -> tuple[SubnetResult, dict]:
        """The result of a static subnet, and the batch statistics it was measured with."""
        batch_stats = self._evaluator.recalibrate(params, subnet, self.calibration)
        batches = eval_batches(self.held_out, self._batch_size)
        metrics = self._evaluator.evaluate(params, batch_stats, subnet, batches)
        network = layers(self._space, subnet)
        return SubnetResult(
            subnet=encode(self._space, subnet), macs=cost.macs(network),
            params=cost.params(network), images=len(self.held_out), **metrics), batch_stats

    def logits(self, params: dict, subnet: Subnet) -> tuple[np.ndarray, dict]:
        """Logits [n, classes] of the held-out images, and batch statistics, always in float32."""
        batch_stats = self._exact.recalibrate(params, subnet, self.calibration)
        batches = eval_batches(self.held_out, self._batch_size)
        return self._exact.logits(params, batch_stats, subnet, batches), batch_stats
