"""The optimizer, from plain settings: one optax chain."""
from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import optax

OPTIMIZERS = ("sgd", "rmsprop", "adamw")
SCHEDULES = ("cosine", "exponential")


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Settings of the base optimizer (defaults: DepS on CIFAR, docs/reference.md).

    Attributes:
      name: Name of the optimizer: "sgd" (Nesterov), "rmsprop" or "adamw".
      learning_rate: Peak of the learning rate, for the global batch.
      schedule: How the rate falls: "cosine", or "exponential" as in BigNAS, which ends constant at
        the floor.
      min_learning_rate: Floor of the schedule.
      decay, decay_epochs: Factor by which the exponential rate falls, and in how many epochs.
      warmup_epochs, warmup_learning_rate: Number of epochs of a linear rise before the schedule,
        counted in the run, and the rate that it rises from.
      momentum: Momentum of sgd and rmsprop.
      weight_decay: Factor of the L2 penalty; coupled for sgd and rmsprop, decoupled for adamw,
        never on batch norm or biases.
      clip_norm: Largest global norm of the joined gradient; 0 does not clip.
      clip_value: Largest absolute value of any number of it (AttentiveNAS, AlphaNet: 1); 0 does
        not clip.

    Raises:
      ValueError: If a setting is unknown or out of its range.
    """

    name: str = "sgd"
    learning_rate: float = 0.1
    schedule: str = "cosine"
    min_learning_rate: float = 2.5e-3
    decay: float = 0.97
    decay_epochs: float = 2.4
    warmup_epochs: float = 0.0
    warmup_learning_rate: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 3e-5
    clip_norm: float = 0.0
    clip_value: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise ValueError(f"optimizer {self.name!r} is unknown; use one of {OPTIMIZERS}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule {self.schedule!r} is unknown; use one of {SCHEDULES}")
        for field in ("learning_rate", "min_learning_rate", "warmup_epochs", "weight_decay",
                      "clip_norm", "clip_value"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} {getattr(self, field)} is negative; use 0 or more")
        if not (0 < self.decay <= 1 and self.decay_epochs > 0):
            raise ValueError(f"decay {self.decay} in decay_epochs {self.decay_epochs} is no decay; "
                             f"use 0.97 and 2.4")


def base_schedule(optimizer: Optimizer, total_steps: int, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate as a function of the step: linear warm-up, then down to the floor.

    cosine: max(floor, lr (1 + cos(pi t / T)) / 2), t counted from the end of the warm-up.
    exponential: max(floor, lr decay^(epochs / decay_epochs)), counted from there, too.

    Raises:
      ValueError: If the warm-up does not end in the run.
    """
    warmup_steps = round(optimizer.warmup_epochs * steps_per_epoch)
    if warmup_steps >= total_steps:
        raise ValueError(f"warmup_epochs {optimizer.warmup_epochs} take {warmup_steps} of "
                         f"{total_steps} steps; shorten the warm-up or train longer")
    peak, start = optimizer.learning_rate, optimizer.warmup_learning_rate

    def falling(step: jax.typing.ArrayLike) -> jax.Array:
        if optimizer.schedule == "exponential":
            epochs = jnp.maximum(jnp.asarray(step, float) - warmup_steps, 0) / steps_per_epoch
            return peak * optimizer.decay ** (epochs / optimizer.decay_epochs)
        t = (jnp.asarray(step, float) - warmup_steps) / (total_steps - warmup_steps)
        return 0.5 * peak * (1 + jnp.cos(math.pi * jnp.clip(t, 0, 1)))

    def schedule(step: jax.typing.ArrayLike) -> jax.Array:
        rising = start + (peak - start) * (step + 1) / max(1, warmup_steps)
        return jnp.where(step < warmup_steps, rising,
                         jnp.maximum(optimizer.min_learning_rate, falling(step)))

    return schedule


def base_optimizer(optimizer: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optax chain: clipping, decay, momentum, learning rate.

    The rate stays outside the momentum, as in PyTorch. For adamw the decay comes after the moments.
    """
    clip = [optax.clip_by_global_norm(optimizer.clip_norm)] if optimizer.clip_norm else []
    clip += [optax.clip(optimizer.clip_value)] if optimizer.clip_value else []
    decay = optax.add_decayed_weights(optimizer.weight_decay, decayed)
    if optimizer.name == "adamw":
        direction = [optax.scale_by_adam(), decay]
    elif optimizer.name == "rmsprop":
        # alpha and eps of the reference (docs/reference.md)
        direction = [decay, optax.scale_by_rms(decay=0.9, eps=0.0316227766, eps_in_sqrt=False),
                     optax.trace(optimizer.momentum)]
    else:
        direction = [decay, optax.trace(optimizer.momentum, nesterov=True)]
    return optax.chain(*clip, *direction, optax.scale_by_learning_rate(schedule))


def decayed(params: optax.Params) -> optax.Params:
    """A tree of booleans: False for batch norm and biases, which weight decay spares."""
    def is_decayed(path: tuple[jax.tree_util.DictKey, ...], _: jax.Array) -> bool:
        names = [entry.key for entry in path]
        return "norm" not in names and names[-1] != "bias"

    return jax.tree_util.tree_map_with_path(is_decayed, params)
