"""The optimizer, from plain settings: one optax chain."""
from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import contrib

OPTIMIZERS = ("sgd", "muon", "rmsprop", "adamw")
SCHEDULES = ("cosine", "linear", "exponential")
NEWTON_SCHULZ = 3  # iterations of Muon, as airbench takes on CIFAR-10
Path = tuple[jax.tree_util.DictKey, ...]


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Settings of the base optimizer (defaults: DepS on CIFAR, docs/reference.md).

    Attributes:
      name: Name of the optimizer: "sgd" (Nesterov), "muon" (the same, but of matrices, see
        `matrices`, the step is made orthogonal), "rmsprop" or "adamw".
      learning_rate: Peak of the learning rate, for the global batch.
      matrix_rate: Rate of matrices under muon, as a factor on the learning rate.
      schedule: How the rate falls: "cosine", "linear", or "exponential" as in BigNAS, which ends
        constant at the floor.
      min_learning_rate: Floor of the schedule, the peak at most.
      decay, decay_epochs: Factor by which the exponential rate falls, and in how many epochs.
      warmup_epochs, warmup_learning_rate: Number of epochs of a linear rise before the schedule,
        counted in the run, and the rate that it rises from.
      momentum: Momentum of sgd, muon and rmsprop.
      weight_decay: Factor of the L2 penalty; coupled for sgd and rmsprop, decoupled for muon and
        adamw, never on batch norm or biases.
      clip_norm: Largest global norm of the joined gradient; 0 does not clip.
      clip_value: Largest absolute value of any number of it (AttentiveNAS, AlphaNet: 1); 0 does
        not clip.

    Raises:
      ValueError: If a setting is unknown or out of its range.
    """

    name: str = "sgd"
    learning_rate: float = 0.1
    matrix_rate: float = 0.2
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
        for field in ("learning_rate", "matrix_rate", "min_learning_rate", "warmup_epochs",
                      "weight_decay", "clip_norm", "clip_value"):
            value = getattr(self, field)  # a traced one was checked before it was traced
            if not isinstance(value, jax.Array) and value < 0:
                raise ValueError(f"{field} {value} is negative; use 0 or more")
        if not (0 < self.decay <= 1 and self.decay_epochs > 0):
            raise ValueError(f"decay {self.decay} in decay_epochs {self.decay_epochs} is no decay; "
                             f"use 0.97 and 2.4")


def base_schedule(optimizer: Optimizer, total_steps: int, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate as a function of the step: linear warm-up, then down to the floor.

    cosine: max(floor, lr (1 + cos(pi t / T)) / 2), t counted from the end of the warm-up.
    linear: max(floor, lr (1 - t / T)), counted from there, too.
    exponential: max(floor, lr decay^(epochs / decay_epochs)), counted from there, too.

    Raises:
      ValueError: If the warm-up does not end in the run, or the peak is below the floor.
    """
    check_floor(optimizer)
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
        if optimizer.schedule == "linear":
            return peak * (1 - jnp.clip(t, 0, 1))
        return 0.5 * peak * (1 + jnp.cos(math.pi * jnp.clip(t, 0, 1)))

    def schedule(step: jax.typing.ArrayLike) -> jax.Array:
        rising = start + (peak - start) * (step + 1) / max(1, warmup_steps)
        return jnp.where(step < warmup_steps, rising,
                         jnp.maximum(optimizer.min_learning_rate, falling(step)))

    return schedule


def check_floor(optimizer: Optimizer) -> None:
    """Raises ValueError if the floor would take the place of the whole schedule.

    It is asked here, not of the settings alone: runs of earlier versions, which trained at the
    floor, can still be evaluated.
    """
    peak, floor = optimizer.learning_rate, optimizer.min_learning_rate
    if not isinstance(peak, jax.Array) and not isinstance(floor, jax.Array) and peak < floor:
        raise ValueError(f"learning_rate {peak:g} is below min_learning_rate {floor:g}, at which "
                         f"all steps would train; raise the first or lower the second, such as "
                         f"to 0")


def base_optimizer(optimizer: Optimizer, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optax chain: clipping, decay, momentum, learning rate.

    The rate stays outside the momentum, as in PyTorch. For adamw and muon the decay comes after the
    moments.
    """
    clip = [optax.clip_by_global_norm(optimizer.clip_norm)] if optimizer.clip_norm else []
    clip += [optax.clip(optimizer.clip_value)] if optimizer.clip_value else []
    decay = optax.add_decayed_weights(optimizer.weight_decay, decayed)
    if optimizer.name == "adamw":
        direction = [optax.scale_by_adam(), decay]
    elif optimizer.name == "muon":
        direction = [optax.trace(optimizer.momentum, nesterov=True),
                     orthogonalise(optimizer.matrix_rate), decay]
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


def orthogonalise(rate: float) -> optax.GradientTransformationExtraArgs:
    """Muon: of every matrix of the update the nearest orthogonal one, times rate sqrt(out / in).

    Keller Jordan's Muon (optax.contrib.muon); the root is 1 where a matrix has more inputs than
    outputs. A matrix that subnets share by taking its leading rows and columns is made orthogonal
    as a whole: no subnet's part then moves further than the whole (a part of an orthogonal matrix
    has no singular value above 1), and rows that few subnets use, whose gradients are small, move
    as fast as those that all use. What no subnet of the step has used stays where it is.

    `update(updates, state, params, packing=...)` takes updates as trees of parameters, or packed in
    vectors with what unpacks them (`pack` and `unpack`).
    """
    def update_fn(updates: optax.Updates, state: optax.EmptyState,
                  params: optax.Params | None = None, *, packing: Any = None, **extra: Any
                  ) -> tuple[optax.Updates, optax.EmptyState]:
        del params, extra
        leaves, structure = jax.tree.flatten_with_path(
            packing.unpack(updates) if packing else updates)
        values = [leaf for _, leaf in leaves]
        places = [i for i, (path, leaf) in enumerate(leaves) if is_matrix(path, leaf)]
        stacks = [_stack(path, leaf) for path, leaf in (leaves[i] for i in places)]
        for i, one in zip(places, _orthogonal(stacks), strict=True):
            scale = rate * math.sqrt(max(1, one.shape[2] / one.shape[1]))
            values[i] = (scale * one).reshape(values[i].shape).astype(values[i].dtype)
        tree = structure.unflatten(values)
        return (packing.pack(tree) if packing else tree), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update_fn)


def is_matrix(path: Path, leaf: jax.Array | jax.ShapeDtypeStruct) -> bool:
    """Whether a parameter is the kernel of a layer that mixes channels, the classifier excepted.

    These are dense layers and 1x1 convolutions [in, out] and convolutions [k, k, in, out], not
    depthwise ones [k, k, c] or [k, k, 1, c]; kernels of equal blocks are stacked under "rest".
    """
    names = [entry.key for entry in path]
    dims = leaf.ndim - ("rest" in names)
    mixes = dims == 2 or (dims == 4 and leaf.shape[-2] > 1)
    return mixes and names[-1] == "kernel" and "classifier" not in names


def update_macs(optimizer: Optimizer, params: optax.Params) -> int:
    """Multiply-adds of the matrix products that an optimizer makes in a step; 0 but for muon.

    Args:
      params: Parameters, or their shapes.
    """
    if optimizer.name != "muon":
        return 0
    total = 0
    for path, leaf in jax.tree.leaves_with_path(params):
        if is_matrix(path, leaf):
            count, a, b = jax.eval_shape(lambda one, path=path: _stack(path, one), leaf).shape
            short, long = sorted((a, b))
            total += count * NEWTON_SCHULZ * (2 * short * short * long + short**3)
    return total


def _stack(path: Path, leaf: jax.Array) -> jax.Array:
    """The kernels of a parameter as matrices, [n, in, out]; n is 1 but for stacked blocks."""
    count = leaf.shape[0] if "rest" in [entry.key for entry in path] else 1
    return leaf.reshape(count, -1, leaf.shape[-1])


def _orthogonal(stacks: Sequence[jax.Array]) -> list[jax.Array]:
    """The orthogonal matrices nearest to those of some stacks [n, in, out].

    They are computed together, filled up with zeros to sides that are powers of two: zeros stay
    zeros, and few products of many matrices are faster, and faster to compile, than many of one.
    """
    groups = defaultdict(list)
    for i, stack in enumerate(stacks):
        lying = stack if stack.shape[1] <= stack.shape[2] else stack.swapaxes(1, 2)
        sides = tuple(1 << (side - 1).bit_length() for side in lying.shape[1:])
        short, long = (most - own for most, own in zip(sides, lying.shape[1:], strict=True))
        groups[sides].append((i, jnp.pad(lying, ((0, 0), (0, short), (0, long)))))
    found: list[jax.Array] = [None] * len(stacks)
    muon = contrib.scale_by_muon(
        ns_steps=NEWTON_SCHULZ, beta=0.0, nesterov=False,  # the momentum is already in
        weight_dimension_numbers=contrib.MuonDimensionNumbers(1, 2))
    for members in groups.values():
        joined = jnp.concatenate([matrices for _, matrices in members])
        joined, _ = muon.update(joined, muon.init(joined))
        start = 0
        for i, matrices in members:
            own, shape = joined[start:start + len(matrices)], stacks[i].shape
            own = own if shape[1] <= shape[2] else own.swapaxes(1, 2)
            found[i], start = own[:, :shape[1], :shape[2]], start + len(matrices)
    return found
