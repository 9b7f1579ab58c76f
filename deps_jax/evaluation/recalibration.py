"""How good a subnet is: batch statistics of its own, then accuracy on held-out images.

A subnet cut out of a supernet has never had running statistics: the full model's are wrong for
it. `recalibrate` measures them on a few training images, without touching a weight.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from optax.losses import softmax_cross_entropy_with_integer_labels as cross_entropy

from deps_jax.common.loop.metrics import Mean, compute, merge
from deps_jax.common.loop.parallel import DataParallel, data_parallel, mean_over_devices
from deps_jax.common.nn.precision import full_precision
from deps_jax.data.augment import Augment, normalise
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, traced
from deps_jax.supernet import supernet
from deps_jax.supernet.tensors import Tree


class Evaluator:
    """Recalibration and evaluation of any subnet of a space, each compiled once.

    Args:
      space: Space of the supernet.
      preprocess: Normalisation of the images; nothing else is applied to them.
      dtype: Type of the computation, "float32" (in full precision on every device) or "bfloat16".
      devices: Devices that share the batches; None takes all local ones.
    """

    def __init__(self, space: SearchSpace, preprocess: Augment, *, dtype: str = "float32",
                 devices: Sequence[jax.Device] | None = None) -> None:
        def compiled(fn: Callable, name: str, devices: Sequence[jax.Device] | None = devices
                     ) -> DataParallel:
            return data_parallel(partial(fn, space, preprocess, dtype), devices=devices, name=name,
                                 made_of=(fn, space, preprocess, dtype))

        self._statistics = compiled(_mean_statistics, "recalibration")
        self._metrics = compiled(_batch_metrics, "evaluation")
        self._logits = compiled(_logits_alone, "logits", jax.local_devices()[:1])

    def recalibrate(self, params: Tree, subnet: Subnet, images: jax.Array) -> Tree:
        """Batch statistics of one subnet: mean over the batches of mean and biased variance.

        One call runs all batches, one after the other.

        Args:
          params: Parameters of the supernet.
          images: Images [n, b, h, w, 3] uint8, in n batches.

        Returns:
          A tree like the supernet's `batch_stats`; zeros where the subnet has no channel.

        Raises:
          ValueError: If there is no batch.
        """
        if not len(images):
            raise ValueError("there is no calibration batch; give at least one")
        # Devices share every batch, which therefore comes first.
        return self._statistics((params, traced(subnet)), {"image": images.swapaxes(0, 1)}, None)

    def evaluate(self, params: Tree, batch_stats: Tree, subnet: Subnet,
                 batches: Iterable[dict]) -> dict[str, float]:
        """Means of loss (cross entropy), top1 and top5 over examples whose mask is 1.

        Args:
          params: Parameters of the supernet.
          batch_stats: The subnet's own, from `recalibrate`.
          batches: Batches {"image": [b, h, w, 3] uint8, "label": [b] int, "mask": [b]}.

        Returns:
          {"loss", "top1", "top5"}; an example with equal logits for its class and another one
          counts as if the other were likelier.
        """
        subnet, totals = traced(subnet), {}
        for batch in batches:
            totals = merge(totals, self._metrics((params, batch_stats, subnet), batch, None))
        return compute(totals)

    def logits(self, params: Tree, batch_stats: Tree, subnet: Subnet,
               batches: Iterable[dict]) -> np.ndarray:
        """Logits [n, classes] float32 of the n examples whose mask is 1; computed on one device.

        Args:
          batches: Batches {"image": [b, h, w, 3] uint8, "mask": [b]}.
        """
        state = self._logits.place((params, batch_stats, traced(subnet)))
        return np.concatenate([
            np.asarray(self._logits(state, batch["image"], None))[np.asarray(batch["mask"]) > 0]
            for batch in batches])


@full_precision
def _mean_statistics(space: SearchSpace, preprocess: Augment, dtype: str,
                     state: tuple[Tree, Subnet], batch: dict[str, jax.Array], _: None, *,
                     axis_name: str | None) -> Tree:
    """The mean over n batches of the statistics of each; images are [b, n, h, w, 3]."""
    params, subnet = state

    def statistics_of(images: jax.Array) -> Tree:
        return supernet.apply(space, params, None, normalise(images, preprocess), subnet,
                              train=True, axis_name=axis_name, dtype=dtype)[1]

    batches = batch["image"].swapaxes(0, 1)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
                         jax.eval_shape(statistics_of, batches[0]))
    total, _ = jax.lax.scan(
        lambda total, images: (jax.tree.map(jnp.add, total, statistics_of(images)), None),
        zeros, batches)
    return jax.tree.map(lambda leaf: leaf / batches.shape[0], total)


def _batch_metrics(space: SearchSpace, preprocess: Augment, dtype: str,
                   state: tuple[Tree, Tree, Subnet], batch: dict[str, jax.Array], _: None, *,
                   axis_name: str | None) -> dict[str, Mean]:
    labels, mask = batch["label"], batch["mask"]
    logits = _batch_logits(space, preprocess, dtype, state, batch["image"])
    # Classes strictly below the label's: ties, and logits that are not numbers, count as wrong.
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    below, classes = (logits < own).sum(1), logits.shape[-1]
    return mean_over_devices({
        "loss": Mean.of(cross_entropy(logits, labels), mask),
        "top1": Mean.of(below >= classes - 1, mask),
        "top5": Mean.of((below >= classes - 5) & ~jnp.isnan(own[:, 0]), mask),
    }, axis_name)


@full_precision
def _batch_logits(space: SearchSpace, preprocess: Augment, dtype: str,
                  state: tuple[Tree, Tree, Subnet], images: jax.Array) -> jax.Array:
    params, batch_stats, subnet = state
    return supernet.apply(space, params, batch_stats, normalise(images, preprocess), subnet,
                          train=False, dtype=dtype)[0]


def _logits_alone(space: SearchSpace, preprocess: Augment, dtype: str,
                  state: tuple[Tree, Tree, Subnet], images: jax.Array, _: None, *,
                  axis_name: None) -> jax.Array:
    assert axis_name is None, "on one device"
    return _batch_logits(space, preprocess, dtype, state, images)
