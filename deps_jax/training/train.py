"""The training step. Reading for the first time? Start at `train_step`.

A run is full-model steps, then supernet steps (see `methods`). Both are the same function with
other slots; `Trainer` compiles each once and sorts the channels between them.
"""
from __future__ import annotations

import dataclasses
import time
from functools import partial

import jax
import jax.numpy as jnp
import optax

from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.optim import Optimizer, base_optimizer, cosine
from deps_jax.common.loop.parallel import (
    data_parallel,
    first_index,
    mean_over_devices,
    memory_bytes,
)
from deps_jax.common.loop.state import TrainState
from deps_jax.data.augment import Augment, augment
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.space.subnet_text import decode
from deps_jax.supernet import supernet
from deps_jax.supernet.masks import active_masks
from deps_jax.supernet.sort import sort_channels
from deps_jax.supernet.supernet import DTYPES
from deps_jax.training.distill import hard_loss, in_place_distillation
from deps_jax.training.methods import Method, Timeline, sandwich
from deps_jax.training.shrink import epsilon_shrinking


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
        if self.dtype == "float64" and not jax.config.jax_enable_x64:
            raise ValueError("dtype 'float64' would compute in float32; set JAX_ENABLE_X64=1 or "
                             "use 'float32'")
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
    new_state, updates = apply_gradients(recipe, state, gradients, statistics, subnets)
    metrics = {
        "loss": Mean.of(losses[0]),
        "top1": Mean.of(logits.argmax(-1) == inputs[1]),
        "grad_norm": Mean.of(optax.tree.norm(gradients["largest"])[None]),
        "update_norm": Mean.of(optax.tree.norm(updates)[None]),
        "learning_rate": Mean.of(recipe.schedule()(state.step)[None]),
    }
    if len(losses) > 1:
        metrics["subnet_loss"] = Mean.of(losses[1:])
    return new_state, mean_over_devices(metrics, axis_name)


def apply_gradients(recipe: Recipe, state: TrainState, gradients: dict, statistics: dict,
                    subnets: Subnet | None) -> tuple[TrainState, dict]:
    """The next state, from gradients that are the same on all devices.

    Args:
      gradients: a tree for each slot that was trained.
      statistics: batch statistics of the full model.
      subnets: stacked in the order of `recipe.method.slots`; None when only the full model was
        trained.

    Returns:
      (next state, what was added to the parameters).
    """
    masks = None
    if recipe.method.aggregation != "sum" and subnets is not None:
        # By position in `slots`: JAX sorts the keys of a dict that has been through a function.
        masks = {slot: active_masks(recipe.space, state.params,
                                    jax.tree.map(lambda leaf, i=i: leaf[i], subnets))
                 for i, slot in enumerate(recipe.method.slots)}
    updates, opt_state = recipe.transform().update(gradients, state.opt_state, state.params,
                                                   masks=masks)
    momentum = recipe.norm_momentum
    batch_stats = jax.tree.map(lambda old, new: (1 - momentum) * old + momentum * new,
                               state.batch_stats, statistics)
    return TrainState(state.step + 1, optax.apply_updates(state.params, updates), batch_stats,
                      opt_state), updates


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
    return {"largest": gradient}, losses[None], statistics, logits


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


class Trainer:
    """Runs the right step for each moment of the run: `(step, state, batch) -> (state, metrics)`.

    Holds only compiled functions; a run that stops at any step continues from its state.
    """

    def __init__(self, recipe: Recipe, key: jax.Array, devices=None):
        self.recipe, self.key = recipe, key
        compiled = partial(data_parallel, devices=devices, donate=True)
        self.full_step = compiled(partial(train_step, recipe, False))
        self.supernet_step = compiled(partial(train_step, recipe, True))
        self.sort = jax.jit(partial(sort_state, recipe.space, recipe.transform()),
                            donate_argnums=0)
        self._next_step = None

    def compile(self, state, batch, start_step: int = 0) -> None:
        """Compiles what the run needs from `start_step` on, and prints how much memory it takes.

        What does not compile or fit is known before training, not when subnets join. (One after
        the other: XLA shares the work on one program among the cores, two at once are no faster.)

        Args:
          state, batch: shapes and types, as arrays or jax.ShapeDtypeStruct.

        Raises:
          ValueError: when a step needs more memory than a device has.
        """
        timeline = self.recipe.timeline
        steps = {"full-model step": (self.full_step, timeline.supernet_start),
                 "supernet step": (self.supernet_step, timeline.total)}
        joining = timeline.supernet_start < timeline.total
        for name, (step, end) in steps.items():
            if start_step >= end or (step is self.supernet_step and not joining):
                continue
            started = time.monotonic()
            needed = memory_bytes(step.compile(state, batch, self.key))
            print(f"{name}: compiled in {time.monotonic() - started:.0f} s, takes "
                  f"{needed / 1e6:.0f} MB", flush=True)
        if self.recipe.method.sort_channels and start_step <= timeline.supernet_start and joining:
            self.sort.lower(self.supernet_step.shapes(state)).compile()

    def __call__(self, step: int, state: TrainState, batch):
        timeline = self.recipe.timeline
        # Asking the state waits for the device: at the first step and where subnets join.
        if step != self._next_step or step == timeline.supernet_start:
            _check_step(step, state)
        self._next_step = step + 1
        if step < timeline.supernet_start:
            return self.full_step(state, batch, self.key)
        if step == timeline.supernet_start and self.recipe.method.sort_channels:
            state = self.sort(self.supernet_step.place(state))
        return self.supernet_step(state, batch, self.key)


def _check_step(step: int, state: TrainState) -> None:
    """The loop's step chooses the phase, the state's the rates and random numbers: one number."""
    if step != int(state.step):
        raise ValueError(f"the loop is at step {step}, the state at step {int(state.step)}; "
                         f"continue at the step of the state")


def sort_state(space: SearchSpace, transform: optax.GradientTransformation,
               state: TrainState) -> TrainState:
    """The state with channels sorted by importance, every momentum permuted along.

    Args:
      transform: whose state the optimizer state is; it tells what there is shaped like parameters.
    """
    places = jax.tree.map(lambda leaf: jnp.arange(leaf.size).reshape(leaf.shape), state.params)
    params, batch_stats, (places,) = sort_channels(space, state.params, state.batch_stats, [places])

    def permute(leaf, places):
        # optax.masked leaves this node where a transformation has no parameter.
        return leaf if isinstance(leaf, optax.MaskedNode) else leaf.reshape(-1)[places]

    def keep(leaf):
        assert jnp.ndim(leaf) == 0, f"an array {leaf.shape} of the optimizer would stay unsorted"
        return leaf

    opt_state = optax.tree_map_params(
        transform, permute, state.opt_state, places, transform_non_params=keep,
        is_leaf=lambda leaf: isinstance(leaf, optax.MaskedNode))
    return state.replace(params=params, batch_stats=batch_stats, opt_state=opt_state)
