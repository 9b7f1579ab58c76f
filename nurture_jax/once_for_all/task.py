"""Estimating measures as a task of the one training step of `deps_jax`.

The method's phases, subnets, rates and optimizer are those of classification; what a subnet says
are the outputs of NurtureNet, the labels are records, masks and keypoints, and in-place
distillation compares measures, masks and heatmaps with the full model's. The full model may have
a teacher of its own, a run: what is learnt from the records is then learnt from that beside them.
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
from nurture_jax.network.model import NurtureNet, Outputs
from nurture_jax.once_for_all.network import ElasticNurture
from nurture_jax.training.distillation import (
    Teaching,
    lesson,
    lesson_terms,
    own,
    projected,
    projection,
    taught_terms,
)
from nurture_jax.training.losses import Losses, Term, by_example, errors, terms

LESSON = "lesson"  # among the targets: what the teacher of the full model says of the clips


@dataclasses.dataclass(frozen=True)
class Anthropometry:
    """Measures, masks and keypoints of clips; outputs are `model.Outputs`.

    Attributes:
      losses: Which losses of measures and proxy tasks, and how they are weighed.
      images: Frames of a clip that a step sees.
      synchronised: Whether batch statistics are those of all devices; see `supernet.apply`.
      teacher: A network that networks with the loss `Hard` learn from beside the records; its
        variables are `state.teacher`.
      teaching: What is learnt from it, and how it is weighed.
    """

    network: ElasticNurture
    losses: Losses
    augment: ClipAugment
    images: int
    synchronised: bool = True
    teacher: NurtureNet | None = None
    teaching: Teaching = dataclasses.field(default_factory=Teaching)

    def prepare(self, moment: Moment, batch: Batch) -> Inputs:
        """Clips as the network takes them; everything that it is compared with moves along.

        Args:
          batch: TRAINING_ARRAYS of `nurture_jax.training.train`.
        """
        batch = dict(augment(moment.augment, batch, self.augment, moment.first,
                             self.network.settings.dtype))
        inputs = {name: batch[name] for name in (
            "frames", "tabular", "tabular_mask", "reference_cm")}
        if self.teacher is not None:
            batch[LESSON] = lesson(self.teacher, moment.teacher, batch)
        return Inputs(inputs, batch["labels"], batch, moment.dropout)

    def forward(self, params: Tree, inputs: Inputs, subnet: Subnet, *,
                dropout: bool | jax.Array, axis_name: str | None) -> tuple[Outputs, Tree]:
        """Outputs of a subnet in training mode, and its batch statistics.

        With a teacher the features are those that are compared with it, see `projected`.
        """
        rate = self.network.settings.dropout_rate
        outputs, statistics = self.network.apply(
            own(params), None, inputs.images, subnet, train=True, axis_name=axis_name,
            synchronised=self.synchronised, dropout_rate=rate * dropout,
            dropout_key=inputs.key if rate else None)
        return outputs if self.teacher is None else projected(params, outputs), statistics

    def target(self, inputs: Inputs, teacher: Outputs | None) -> Target:
        """The batch, and the teacher's outputs."""
        return Target(inputs.targets, teacher)

    def loss(self, kind: Loss, outputs: Outputs, target: Target, axis_name: str | None
             ) -> jax.Array:
        """The loss of each clip, [b]: against the records, or against the full model.

        A distillation with `label_weight` adds so much of the first to the second. Where there is a
        teacher, `Hard` is against the records and against it.

        Raises:
          ValueError: If the kind is one of classes alone.
        """
        settings, scaling = self.losses, self.network.scaling
        if isinstance(kind, Hard):
            found = [*terms(settings, scaling, outputs, target.labels),
                     *self._lesson(outputs, target.labels)]
            return by_example(found, axis_name)
        if not isinstance(kind, Distillation) or kind.temperature != 1:
            raise ValueError(f"method.loss {kind} is of classes; use 'soft', 'soft_and_hard' or "
                             f"'hard', with temperature 1, to learn measures")
        found = by_example(taught_terms(settings, scaling, outputs, target.teacher, target.labels),
                           axis_name)
        if not kind.label_weight:
            return found
        return found + kind.label_weight * self._against_records(outputs, target.labels, axis_name)

    def _against_records(self, outputs: Outputs, batch: Batch, axis_name: str | None) -> jax.Array:
        return by_example(terms(self.losses, self.network.scaling, outputs, batch), axis_name)

    def _lesson(self, outputs: Outputs, batch: Batch) -> list[Term]:
        """Losses against the teacher; none without one."""
        if LESSON not in batch:
            return []
        return list(lesson_terms(self.teaching, self.losses, self.network.scaling,
                                 self.teacher.scaling, outputs, batch[LESSON], batch))

    def judge(self, outputs: Outputs, inputs: Inputs) -> jax.Array:
        """The loss of each clip against its records, [b]; of this device's clips."""
        return self._against_records(outputs, inputs.targets, None)

    def no_outputs(self, inputs: Inputs) -> Outputs:
        """Zeros in the shape of a subnet's outputs."""
        network, side = self.network, inputs.images["frames"].shape[2]
        params, _ = jax.eval_shape(partial(network.init, frames=1, side=side), jax.random.key(0))
        if self.teacher is not None:
            params |= projection(jax.random.key(0), self.teaching, network.full_model, self.teacher,
                                 (1, side, side))
        run = partial(self.forward, subnet=largest(network.space), dropout=False, axis_name=None)
        shapes, _ = jax.eval_shape(run, params, inputs)
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def metrics(self, outputs: Outputs, inputs: Inputs) -> dict[str, Mean]:
        """Of the first slot: mean absolute errors as "mae_NAME", and what a teacher teaches it.

        The latter are the losses of `lesson_terms`, as "taught_NAME".
        """
        taught = {f"taught_{name}": Mean.of(values, mask) for name, values, mask, _ in
                  self._lesson(outputs, inputs.targets)}
        return errors(self.network.scaling, outputs, inputs.targets) | taught
