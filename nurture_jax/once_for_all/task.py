"""Estimating measures as a task of the one training step of `deps_jax`.

The method's phases, subnets, rates and optimizer are those of classification; what a subnet says
are the outputs of NurtureNet, the labels are records, masks and keypoints, and in-place
distillation compares measures, masks and heatmaps with the full model's.
"""
from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.parallel import Tree
from deps_jax.space.subnet import Subnet, largest
from deps_jax.training.losses import Distillation, Hard, Loss, Target
from deps_jax.training.task import Inputs, Moment
from nurture_jax.clips.clip_augment import Batch, ClipAugment, augment
from nurture_jax.network.model import Outputs
from nurture_jax.once_for_all.network import ElasticNurture
from nurture_jax.training.distillation import taught_terms
from nurture_jax.training.losses import Losses, by_example, errors, terms


@dataclasses.dataclass(frozen=True)
class Anthropometry:
    """Measures, masks and keypoints of clips; outputs are `model.Outputs`.

    Attributes:
      losses: Which losses of measures and proxy tasks, and how they are weighed.
      images: Frames of a clip that a step sees.
      synchronised: Whether batch statistics are those of all devices; see `supernet.apply`.
    """

    network: ElasticNurture
    losses: Losses
    augment: ClipAugment
    images: int
    synchronised: bool = True

    def prepare(self, moment: Moment, batch: Batch) -> Inputs:
        """Clips as the network takes them; everything that it is compared with moves along.

        Args:
          batch: TRAINING_ARRAYS of `nurture_jax.training.train`.
        """
        batch = dict(augment(moment.augment, batch, self.augment, moment.first))
        inputs = {name: batch[name] for name in (
            "frames", "tabular", "tabular_mask", "reference_cm")}
        return Inputs(inputs, batch["labels"], batch, moment.dropout)

    def forward(self, params: Tree, inputs: Inputs, subnet: Subnet, *,
                dropout: bool | jax.Array, axis_name: str | None) -> tuple[Outputs, Tree]:
        """Outputs of a subnet in training mode, and its batch statistics."""
        rate = self.network.settings.dropout_rate
        return self.network.apply(
            params, None, inputs.images, subnet, train=True, axis_name=axis_name,
            synchronised=self.synchronised, dropout_rate=rate * dropout,
            dropout_key=inputs.key if rate else None)

    def target(self, inputs: Inputs, teacher: Outputs | None) -> Target:
        """The batch, and the teacher's outputs."""
        return Target(inputs.targets, teacher)

    def loss(self, kind: Loss, outputs: Outputs, target: Target, axis_name: str | None
             ) -> jax.Array:
        """The loss of each clip, [b]: against the records, or against the teacher.

        A distillation with `label_weight` adds so much of the first to the second.

        Raises:
          ValueError: If the kind is one of classes alone.
        """
        settings, scaling = self.losses, self.network.scaling
        against_records = lambda: by_example(
            terms(settings, scaling, outputs, target.labels), axis_name)
        if isinstance(kind, Hard):
            return against_records()
        if not isinstance(kind, Distillation) or kind.temperature != 1:
            raise ValueError(f"method.loss {kind} is of classes; use 'soft', 'soft_and_hard' or "
                             f"'hard', with temperature 1, to learn measures")
        found = by_example(taught_terms(settings, scaling, outputs, target.teacher, target.labels),
                           axis_name)
        return found + kind.label_weight * against_records() if kind.label_weight else found

    def judge(self, outputs: Outputs, inputs: Inputs) -> jax.Array:
        """The loss of each clip against its records, [b]; of this device's clips."""
        return self.loss(Hard(), outputs, Target(inputs.targets), None)

    def no_outputs(self, inputs: Inputs) -> Outputs:
        """Zeros in the shape of a subnet's outputs."""
        network, side = self.network, inputs.images["frames"].shape[2]
        params, _ = jax.eval_shape(partial(network.init, frames=1, side=side), jax.random.key(0))
        run = partial(self.forward, subnet=largest(network.space), dropout=False, axis_name=None)
        shapes, _ = jax.eval_shape(run, params, inputs)
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def metrics(self, outputs: Outputs, inputs: Inputs) -> dict[str, Mean]:
        """Mean absolute errors of the measures of the first slot, as "mae_NAME"."""
        return errors(self.network.scaling, outputs, inputs.targets)
