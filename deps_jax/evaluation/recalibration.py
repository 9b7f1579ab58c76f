"""How good a subnet is: batch statistics of its own, then accuracy on held-out images.

A subnet cut out of a supernet has never had running statistics: the full model's are wrong for
it. `recalibrate` measures them on a few training images, without touching a weight.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from optax.losses import softmax_cross_entropy_with_integer_labels as cross_entropy

from deps_jax.common.loop.metrics import Mean, compute, merge
from deps_jax.common.loop.parallel import data_parallel, mean_over_devices
from deps_jax.data.augment import Augment, normalise
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.supernet import supernet
from deps_jax.supernet.tensors import Tree

# As a decorator: products of float32 matrices in float32. The default rounds their numbers to TF32
# on GPUs and to bfloat16 on TPUs, and no exported file would agree with what is measured here.
full_precision = jax.default_matmul_precision("highest")


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
        compiled = partial(data_parallel, devices=devices)
        self._statistics = compiled(partial(_batch_statistics, space, preprocess, dtype))
        self._metrics = compiled(partial(_batch_metrics, space, preprocess, dtype))
        self._logits = jax.jit(partial(_batch_logits, space, preprocess, dtype))

    def recalibrate(self, params: Tree, subnet: Subnet, batches: Iterable[dict]) -> Tree:
        """Batch statistics of one subnet: mean over the batches of mean and biased variance.

        Args:
          params: Parameters of the supernet.
          batches: Batches {"image": [b, h, w, 3] uint8, ...}, all of one size.

        Returns:
          A tree like the supernet's `batch_stats`; zeros where the subnet has no channel.

        Raises:
          ValueError: If there is no batch.
        """
        subnet, total, count = _traced(subnet), None, 0
        for batch in batches:
            statistics = self._statistics((params, subnet), {"image": batch["image"]}, None)
            total = statistics if total is None else jax.tree.map(jnp.add, total, statistics)
            count += 1
        if not count:
            raise ValueError("there is no calibration batch; give at least one")
        return jax.tree.map(lambda leaf: leaf / count, total)

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
        subnet, totals = _traced(subnet), {}
        for batch in batches:
            totals = merge(totals, self._metrics((params, batch_stats, subnet), batch, None))
        return compute(totals)

    def logits(self, params: Tree, batch_stats: Tree, subnet: Subnet,
               batches: Iterable[dict]) -> np.ndarray:
        """Logits [n, classes] float32 of the n examples whose mask is 1; computed on one device.

        Args:
          batches: Batches {"image": [b, h, w, 3] uint8, "mask": [b]}.
        """
        state = jax.device_put((params, batch_stats, _traced(subnet)), jax.local_devices()[0])
        return np.concatenate([
            np.asarray(self._logits(state, batch["image"]))[np.asarray(batch["mask"]) > 0]
            for batch in batches])


@full_precision
def _batch_statistics(space: SearchSpace, preprocess: Augment, dtype: str,
                      state: tuple[Tree, Subnet], batch: dict[str, jax.Array], _: None, *,
                      axis_name: str | None) -> Tree:
    params, subnet = state
    images = normalise(batch["image"], preprocess)
    _, statistics = supernet.apply(space, params, None, images, subnet, train=True,
                                   axis_name=axis_name, dtype=dtype)
    return statistics


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


def _traced(subnet: Subnet) -> Subnet:
    """The subnet as JAX arrays, so that every one runs in the same compiled program."""
    return jax.tree.map(jnp.asarray, subnet)
