"""What a supernet is trained for. Methods know of it only what `Task` says."""
from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.parallel import keys_of
from deps_jax.data.augment import DROPPING, MIRRORING, MIXING, Augment, augment, mirrored_in
from deps_jax.data.mix import mix
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.supernet import supernet
from deps_jax.training.losses import Hard, Loss, Target, smoothed

Tree = Any


class Moment(NamedTuple):
    """When a step is, and what it draws its random numbers from.

    Attributes:
      epoch: Epoch of the step, [] integer counted from 0.
      resolution: Side of the images that the network sees, in pixels.
      first: Position in the global batch of the first example of this device.
      run: Key of the run, the same at every step.
      augment: Key of this step's augmentation.
      dropout: Key of drop-out in this step, or in one part of its batch (`Recipe.accumulation`).
      teacher: `TrainState.teacher`, for a task that learns from a network of another run as well.
    """

    epoch: jax.Array
    resolution: int
    first: jax.Array | int
    run: jax.Array
    augment: jax.Array
    dropout: jax.Array
    teacher: Tree = None


class Inputs(NamedTuple):
    """A batch as a step sees it, this device's share.

    Attributes:
      images: Images as the network takes them, [b, h, w, 3] float for classes.
      labels: What the outputs are measured by; [b] integers for classes.
      targets: What the outputs are compared with in training; [b, classes] float for classes.
      key: Key of drop-out and drop-connect.
    """

    images: Tree
    labels: Tree
    targets: Tree
    key: jax.Array


class Task(Protocol):
    """Inputs from a batch, outputs of a subnet, what they are compared with and measured by.

    Outputs may be any tree. The slots of a method have losses of classification; what stands for
    them in another task, the task says.

    Attributes:
      images: Number of images of an example, for what a step costs.
    """

    images: int

    def prepare(self, moment: Moment, batch: Tree) -> Inputs:
        """The inputs of a step, from this device's share of a batch."""

    def forward(self, params: Tree, inputs: Inputs, subnet: Subnet, *,
                dropout: bool | jax.Array, axis_name: str | None) -> tuple[Tree, Tree]:
        """Outputs of a subnet in training mode, and its batch statistics.

        Args:
          dropout: Whether drop-out is on; may be traced.
          axis_name: Mapped axis of the devices that share the batch; None on one device.
        """

    def target(self, inputs: Inputs, teacher: Tree | None) -> Target:
        """What losses compare outputs with.

        Args:
          teacher: Outputs of the teacher; None where nobody teaches.
        """

    def loss(self, kind: Loss, outputs: Tree, target: Target, axis_name: str | None) -> jax.Array:
        """The loss of each example, [b], whose mean over all devices is the loss of the step.

        Args:
          kind: The loss of a slot.
          axis_name: Mapped axis of the devices that share the batch; None on one device.

        Raises:
          ValueError: If the task has nothing that stands for this kind.
        """

    def judge(self, outputs: Tree, inputs: Inputs) -> jax.Array:
        """How bad the outputs of each example are, [b]; sampling that chooses by loss asks it."""

    def no_outputs(self, inputs: Inputs) -> Tree:
        """Zeros in the shape of a subnet's outputs for these inputs."""

    def metrics(self, outputs: Tree, inputs: Inputs) -> dict[str, Mean]:
        """Metrics by name that are told of the first slot's outputs, beside the loss."""


@dataclasses.dataclass(frozen=True)
class Classification:
    """Classification of images; outputs are logits [b, classes] float32.

    Attributes:
      label_smoothing: Share of every label that is spread over all classes; 0.1 in every DepS
        recipe.
      dropout_rate: Drop-out rate of the features before the classifier, in slots that ask for it.
      dtype: Type in which the network is computed, one of `supernet.DTYPES`.
      drop_connect_rate: Drop-connect rate of the last block that adds its input, in slots that ask
        for drop-out; see `supernet.apply`.
      synchronised: Whether batch statistics are those of all devices; see `supernet.apply`.
    """

    space: SearchSpace
    augment: Augment
    label_smoothing: float = 0.1
    dropout_rate: float = 0.0
    dtype: str = "float32"
    drop_connect_rate: float = 0.0
    synchronised: bool = True
    images = 1  # of an example

    def prepare(self, moment: Moment, batch: Tree) -> Inputs:
        """Augments, resizes and mixes the images of a batch, as far as the settings ask for it.

        Args:
          batch: {"image": [b, h, w, 3] uint8, "label": [b] int, "example": [b] int}. The last says
            which examples of the data they are, and is read only where flips alternate.
        """
        mirrored = None
        if self.augment.alternating:
            mirrored = mirrored_in(jax.random.fold_in(moment.run, MIRRORING), batch["example"],
                                   moment.epoch)
        images = augment(moment.augment, batch["image"], moment.first, self.augment, mirrored)
        inputs = self.inputs(images, batch["label"], moment.dropout)
        size = moment.resolution
        if size != inputs.images.shape[1]:
            shape = (*inputs.labels.shape, size, size, 3)
            inputs = inputs._replace(images=jax.image.resize(inputs.images, shape, "linear"))
        if self.augment.mixes:
            keys = keys_of(jax.random.fold_in(moment.augment, MIXING), moment.first,
                           batch["label"].shape[0])
            images, targets = mix(keys, inputs.images, inputs.targets, mixup=self.augment.mixup,
                                  cutmix=self.augment.cutmix)
            inputs = inputs._replace(images=images, targets=targets)
        return inputs

    def inputs(self, images: jax.Array, labels: jax.Array, key: jax.Array) -> Inputs:
        """Inputs with smoothed labels, from images that are ready for the network.

        Args:
          images: [b, h, w, 3] float.
          labels: [b] integers.
          key: Key of drop-out and drop-connect.
        """
        return Inputs(images, labels,
                      smoothed(labels, self.space.num_classes, self.label_smoothing), key)

    def forward(self, params: Tree, inputs: Inputs, subnet: Subnet, *,
                dropout: bool | jax.Array, axis_name: str | None) -> tuple[Tree, Tree]:
        """Logits [b, classes] of a subnet in training mode, and its batch statistics."""
        return supernet.apply(
            self.space, params, None, inputs.images, subnet, train=True, axis_name=axis_name,
            synchronised=self.synchronised,
            dropout_rate=self.dropout_rate * dropout, dtype=self.dtype,
            dropout_key=inputs.key if self.dropout_rate else None,
            drop_connect_rate=self.drop_connect_rate * dropout,
            drop_connect_key=(jax.random.fold_in(inputs.key, DROPPING)
                              if self.drop_connect_rate else None))

    def target(self, inputs: Inputs, teacher: Tree | None) -> Target:
        """The targets of the inputs, and the teacher's logits."""
        return Target(inputs.targets, teacher)

    def loss(self, kind: Loss, outputs: Tree, target: Target, axis_name: str | None) -> jax.Array:
        """The loss of each example, [b] float; on any number of devices it is the same."""
        del axis_name
        return kind(outputs, target)

    def judge(self, outputs: Tree, inputs: Inputs) -> jax.Array:
        """The cross entropy of each example with its target, [b] float."""
        return Hard()(outputs, Target(inputs.targets))

    def no_outputs(self, inputs: Inputs) -> Tree:
        """Zeros in the shape of the logits, [b, classes] float."""
        return jnp.zeros((inputs.labels.shape[0], self.space.num_classes))

    def metrics(self, outputs: Tree, inputs: Inputs) -> dict[str, Mean]:
        """The share of examples whose likeliest class is the right one, as "top1"."""
        return {"top1": Mean.of(outputs.argmax(-1) == inputs.labels)}
