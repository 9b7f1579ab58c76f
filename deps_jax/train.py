"""The training step. Reading for the first time? Start at `train_step`.

A run is full-model steps, then supernet steps (see `methods`). Both are the same function with
other slots; `Trainer` compiles each once and sorts the channels between them.
"""
from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import struct

from deps_jax import supernet
from deps_jax.common.metrics import Mean
from deps_jax.common.parallel import data_parallel, first_index, mean_over_devices
from deps_jax.data.augment import Augment, augment
from deps_jax.distill import hard_loss, in_place_distillation
from deps_jax.masks import active_masks
from deps_jax.methods import Method, Timeline, sandwich
from deps_jax.optim import Optimizer, base_optimizer, cosine
from deps_jax.shrink import ABSENT, epsilon_shrinking
from deps_jax.sort import sort_channels
from deps_jax.space import SearchSpace
from deps_jax.subnet import Subnet, decode

DTYPES = ("float32", "bfloat16", "float64")


@struct.dataclass
class TrainState:
    """Everything that must survive: a checkpoint of it continues to bit-identical parameters."""

    step: jax.Array  # [] int32
    params: dict
    batch_stats: dict  # running statistics of the full model
    opt_state: optax.OptState


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All static settings of a step.

    Attributes:
      label_smoothing: of the hard loss (0.1 in every DepS recipe).
      dropout_rate: on the features, full model only.
      norm_momentum: share of the new batch in the running statistics (0.1 as in OFA; biased
        variance). Subnets are recalibrated before use, so only the full model's are kept.
      dtype: of the computation, "float32", "bfloat16", or "float64" for checks.
      subnet: name of the network of full-model steps; another than the largest is fine-tuned.
    """

    space: SearchSpace
    method: Method
    timeline: Timeline
    optimizer: Optimizer
    augment: Augment
    label_smoothing: float = 0.1
    dropout_rate: float = 0.0
    norm_momentum: float = 0.1
    dtype: str = "float32"
    subnet: str = "largest"

    def __post_init__(self):
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r} is unknown; use one of {DTYPES}")
        for field in ("label_smoothing", "dropout_rate"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field} {getattr(self, field)} is not in [0, 1)")
        # Refuses, before any compilation, a way of sampling that the space does not allow.
        jax.eval_shape(lambda key: sandwich(key, self.space, self.method), jax.random.key(0))

    def schedule(self) -> optax.Schedule:
        """Base learning rate by step."""
        return cosine(self.optimizer, self.timeline.total, self.timeline.steps_per_epoch)

    def transform(self) -> optax.GradientTransformationExtraArgs:
        """Epsilon-shrinking, then the base optimizer."""
        schedule = self.schedule()
        return optax.chain(epsilon_shrinking(self.method, schedule, self.timeline),
                           base_optimizer(self.optimizer, schedule))


def init_state(key: jax.Array, recipe: Recipe) -> TrainState:
    """The state before the first step."""
    params, batch_stats = supernet.init(key, recipe.space)
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats,
                      recipe.transform().init(params))


def train_step(recipe: Recipe, trains_subnets: bool, state: TrainState, batch, key, *,
               axis_name=None):
    """One step from raw images, `(state, batch, key) -> (state, metrics)`.

    Args:
      trains_subnets: a supernet step; otherwise the full model alone.
      batch: {"image": [b, h, w, 3] uint8, "label": [b] int}, this device's share.
      key: the same at every step; folded with the step number.

    Returns:
      What `update` returns.
    """
    subnet_key, augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step), 3)
    offset = first_index(batch["label"].shape[0], axis_name)
    images = augment(augment_key, batch["image"], offset, recipe.augment)
    subnets = sandwich(subnet_key, recipe.space, recipe.method) if trains_subnets else None
    return update(recipe, state, (images, batch["label"], dropout_key), subnets, axis_name)


def update(recipe: Recipe, state: TrainState, inputs, subnets: Subnet | None, axis_name=None):
    """One optimizer step on given subnets.

    Args:
      inputs: (images [b, h, w, 3] float, labels [b] int, drop-out key).
      subnets: stacked, the full model first; None trains the full model alone.

    Returns:
      The next state, and Means: loss and top1 of the full model, subnet_loss, grad_norm (of the
      full model), update_norm, learning_rate.
    """
    gradients_of = full_gradients if subnets is None else partial(sandwich_gradients,
                                                                  subnets=subnets)
    gradients, losses, statistics, logits = gradients_of(recipe, state.params, inputs,
                                                         axis_name=axis_name)
    gradients = mean_over_devices(gradients, axis_name)
    updates, opt_state = recipe.transform().update(
        gradients, state.opt_state, state.params,
        masks=_slot_masks(recipe, state.params, gradients, subnets))
    momentum = recipe.norm_momentum
    batch_stats = jax.tree.map(lambda old, new: (1 - momentum) * old + momentum * new,
                               state.batch_stats, statistics)
    metrics = {
        "loss": Mean.of(losses[0]),
        "top1": Mean.of(logits.argmax(-1) == inputs[1]),
        "grad_norm": Mean.of(optax.tree.norm(gradients["largest"])[None]),
        "update_norm": Mean.of(optax.tree.norm(updates)[None]),
        "learning_rate": Mean.of(recipe.schedule()(state.step)[None]),
    }
    if len(losses) > 1:
        metrics["subnet_loss"] = Mean.of(losses[1:])
    new_state = TrainState(state.step + 1, optax.apply_updates(state.params, updates), batch_stats,
                           opt_state)
    return new_state, mean_over_devices(metrics, axis_name)


def full_gradients(recipe: Recipe, params, inputs, *, axis_name):
    """Gradient of the full model's hard loss, in the form of `sandwich_gradients`."""
    images, labels, dropout_key = inputs
    subnet = decode(recipe.space, recipe.subnet)

    def loss_fn(params):
        logits, statistics = supernet.apply(
            recipe.space, params, None, images, subnet, train=True, axis_name=axis_name,
            dropout_rate=recipe.dropout_rate, dtype=recipe.dtype,
            dropout_key=dropout_key if recipe.dropout_rate else None)
        losses = hard_loss(logits, labels, recipe.label_smoothing)
        return losses.mean(), (losses, statistics, logits)

    gradient, (losses, statistics, logits) = jax.grad(loss_fn, has_aux=True)(params)
    slots = dict.fromkeys(recipe.method.slots, ABSENT) | {"largest": gradient}
    return slots, losses[None], statistics, logits


def sandwich_gradients(recipe: Recipe, params, inputs, *, subnets: Subnet, axis_name):
    """Gradients of all subnets of a step, one tree for each slot.

    The slots run one after the other in a scan, so one compiled network serves them all; the
    first is the full model, whose logits the others learn from.

    Args:
      subnets: stacked, the full model first.

    Returns:
      (dict slot -> gradient tree, losses [n, b], batch statistics and logits of the full model).
    """
    images, labels, dropout_key = inputs
    method, n = recipe.method, len(recipe.method.slots)

    def run_slot(teacher_logits, slot):
        subnet, is_full = slot

        def loss_fn(params):
            logits, statistics = supernet.apply(
                recipe.space, params, None, images, subnet, train=True, axis_name=axis_name,
                dropout_rate=jnp.where(is_full, recipe.dropout_rate, 0.0), dtype=recipe.dtype,
                dropout_key=dropout_key if recipe.dropout_rate else None)
            losses = hard_loss(logits, labels, recipe.label_smoothing)
            if method.distill:
                soft = in_place_distillation(logits, teacher_logits, method.temperature)
                losses = jnp.where(is_full, losses, soft)
            return losses.mean(), (losses, statistics, logits)

        gradient, (losses, statistics, logits) = jax.grad(loss_fn, has_aux=True)(params)
        teacher_logits = jnp.where(is_full, logits, teacher_logits)
        return teacher_logits, (gradient, losses, statistics)

    no_logits = jnp.zeros((labels.shape[0], recipe.space.num_classes))
    logits, (gradients, losses, statistics) = jax.lax.scan(
        run_slot, no_logits, (subnets, jnp.arange(n) == 0))
    slots = {name: jax.tree.map(lambda leaf, i=i: leaf[i], gradients)
             for i, name in enumerate(method.slots)}
    return slots, losses, jax.tree.map(lambda leaf: leaf[0], statistics), logits


def _slot_masks(recipe: Recipe, params, gradients, subnets: Subnet | None):
    """Masks for the aggregation; None when it needs none."""
    if recipe.method.aggregation == "sum" or subnets is None:
        return None
    return {
        slot: active_masks(recipe.space, params, jax.tree.map(lambda leaf, i=i: leaf[i], subnets))
        for i, slot in enumerate(gradients)
    }


class Trainer:
    """Runs the right step for each moment of the run: `(step, state, batch) -> (state, metrics)`.

    Holds only compiled functions; a run that stops at any step continues from its state.
    """

    def __init__(self, recipe: Recipe, key: jax.Array, devices=None):
        self.recipe, self.key = recipe, key
        compiled = partial(data_parallel, devices=devices, donate=True)
        self.full_step = compiled(partial(train_step, recipe, False))
        self.supernet_step = compiled(partial(train_step, recipe, True))
        self.sort = jax.jit(partial(sort_state, recipe.space), donate_argnums=0)

    def __call__(self, step: int, state: TrainState, batch):
        timeline = self.recipe.timeline
        if step < timeline.supernet_start:
            return self.full_step(state, batch, self.key)
        if step == timeline.supernet_start and self.recipe.method.sort_channels:
            state = self.sort(state)
        return self.supernet_step(state, batch, self.key)


def sort_state(space: SearchSpace, state: TrainState) -> TrainState:
    """The state with channels sorted by importance, every momentum permuted along."""
    structure = jax.tree.structure(state.params)
    is_momentum = lambda node: jax.tree.structure(node) == structure
    leaves, tree = jax.tree.flatten(state.opt_state, is_leaf=is_momentum)
    momenta = [leaf for leaf in leaves if is_momentum(leaf)]
    params, batch_stats, momenta = sort_channels(space, state.params, state.batch_stats, momenta)
    momenta = iter(momenta)
    leaves = [next(momenta) if is_momentum(leaf) else leaf for leaf in leaves]
    return state.replace(params=params, batch_stats=batch_stats,
                         opt_state=jax.tree.unflatten(tree, leaves))
