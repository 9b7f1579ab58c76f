"""The training step of NurtureNet. Reading for the first time? Start at `train_step`."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import optax

from deps_jax.common.loop.metrics import Mean, compute, merge
from deps_jax.common.loop.optim import Optimizer, base_optimizer, base_schedule
from deps_jax.common.loop.parallel import data_parallel, first_index, mean_over_devices
from deps_jax.common.loop.state import TrainState
from deps_jax.common.nn.operations import Mode
from nurture_jax.clips.clip_augment import ClipAugment, augment, normalise
from nurture_jax.measures import LABELS
from nurture_jax.network.model import NurtureNet, zero_inputs
from nurture_jax.training.losses import Losses, total_loss

TRAINING_ARRAYS = ("frames", "tabular", "tabular_mask", "labels", "labels_mask", "masks",
                   "keypoints", "annotated")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All static settings of a step.

    Attributes:
      optimizer: of everything but the backbone.
      backbone_rate: learning rate of the backbone, as a part of the others'; 0 freezes its
        weights, not its batch statistics.
    """

    model: NurtureNet
    losses: Losses
    augment: ClipAugment
    optimizer: Optimizer
    backbone_rate: float
    total_steps: int
    steps_per_epoch: int

    def __post_init__(self):
        if self.backbone_rate < 0:
            raise ValueError(f"backbone_rate {self.backbone_rate} is negative; use 0 to 1")

    @property
    def preprocess(self) -> ClipAugment:
        """What frames go through in use: normalising alone."""
        return ClipAugment(mean=self.augment.mean, std=self.augment.std)

    def schedule(self) -> optax.Schedule:
        """Learning rate by step, of everything but the backbone."""
        return base_schedule(self.optimizer, self.total_steps, self.steps_per_epoch)

    def transform(self) -> optax.GradientTransformation:
        """Clipping over all weights, then one optimizer each for the backbone and the rest."""
        schedule, clip_norm = self.schedule(), self.optimizer.clip_norm
        own = dataclasses.replace(self.optimizer, clip_norm=0.0)
        rates = {"backbone": lambda step: self.backbone_rate * schedule(step), "rest": schedule}
        return optax.chain(
            *([optax.clip_by_global_norm(clip_norm)] if clip_norm else []),
            optax.multi_transform({name: base_optimizer(own, rate)
                                   for name, rate in rates.items()}, _groups))


def _groups(params):
    """The optimizer of every weight, by name."""
    return {name: jax.tree.map(lambda _, name=name: "backbone" if name == "backbone" else "rest",
                               part) for name, part in params.items()}


def init_state(key: jax.Array, recipe: Recipe, frames: tuple[int, ...],
               start: dict | None = None) -> TrainState:
    """The state before the first step.

    Args:
      frames: (t, h, w) of a clip.
      start: {"params", "batch_stats"} of the backbone; None keeps the random ones.
    """
    variables = recipe.model.init(key, *zero_inputs(*frames))
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    if start and "backbone" in params:
        params = {**params, "backbone": start["params"]}
        batch_stats = {**batch_stats, "backbone": start["batch_stats"]}
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats,
                      recipe.transform().init(params))


def train_step(recipe: Recipe, state: TrainState, batch, key, *, axis_name=None):
    """One step from raw clips, `(state, batch, key) -> (state, metrics)`.

    Args:
      batch: TRAINING_ARRAYS of `clip_batches`, this device's share.
      key: the same at every step; folded with the step number.

    Returns:
      The next state, and Means: loss, the part of every measure and proxy task in it, mean
      absolute errors in the units of the measures, grad_norm, learning_rate.
    """
    augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
    first = first_index(batch["frames"].shape[0], axis_name)
    batch = augment(augment_key, batch, recipe.augment, first)

    def loss_fn(params):
        outputs, updated = recipe.model.apply(
            {"params": params, "batch_stats": state.batch_stats}, batch["frames"],
            batch["tabular"], batch["tabular_mask"], Mode(True, axis_name),
            rngs={"dropout": dropout_key}, mutable=["batch_stats"])
        loss, metrics = total_loss(recipe.losses, recipe.model.scaling, outputs, batch, axis_name)
        return loss, (metrics, updated.get("batch_stats", {}))

    gradient, (metrics, batch_stats) = jax.grad(loss_fn, has_aux=True)(state.params)
    gradient = mean_over_devices(gradient, axis_name)
    updates, opt_state = recipe.transform().update(gradient, state.opt_state, state.params)
    metrics |= {"grad_norm": Mean.of(optax.tree.norm(gradient)[None]),
                "learning_rate": Mean.of(recipe.schedule()(state.step)[None])}
    new_state = TrainState(state.step + 1, optax.apply_updates(state.params, updates),
                           {**state.batch_stats, **batch_stats}, opt_state)
    return new_state, mean_over_devices(metrics, axis_name)


class Trainer:
    """`(step, state, batch) -> (state, metrics)`; holds nothing but the compiled step."""

    def __init__(self, recipe: Recipe, key: jax.Array, devices=None):
        self._key = key
        self._step = data_parallel(partial(train_step, recipe), devices=devices, donate=True)

    def __call__(self, step: int, state: TrainState, batch):
        return self._step(state, {name: batch[name] for name in TRAINING_ARRAYS}, self._key)


class Validator:
    """Mean absolute errors of every measure: `validator(state, batches) -> {name: float}`."""

    def __init__(self, recipe: Recipe, devices=None):
        self._step = data_parallel(partial(_errors, recipe), devices=devices)

    def __call__(self, state, batches: Iterable) -> dict[str, float]:
        """NaN where no visit has the measure.

        Args:
          state: anything with `params` and `batch_stats`.
          batches: of `clip_batches.eval_batches`.
        """
        names = ("frames", "tabular", "tabular_mask", "labels", "labels_mask")
        totals = {}
        for batch in batches:
            arrays = {name: batch[name] for name in names}
            totals = merge(totals, self._step((state.params, state.batch_stats), arrays, None))
        return compute(totals)


def _errors(recipe: Recipe, variables, batch, _, *, axis_name):
    params, batch_stats = variables
    mean, _ = estimate(recipe.model, {"params": params, "batch_stats": batch_stats},
                       recipe.preprocess, batch)
    mask = batch["labels_mask"]
    errors = jnp.where(mask > 0, jnp.abs(mean - batch["labels"]), 0)
    return mean_over_devices({f"mae_{name}": Mean.of(errors[:, i], mask[:, i])
                              for i, name in enumerate(LABELS)}, axis_name)


def estimate(model: NurtureNet, variables, preprocess: ClipAugment, batch):
    """Means and scales [b, 4] in the units of LABELS, for raw clips; pure."""
    frames = normalise(batch["frames"], preprocess)
    outputs = model.apply(variables, frames, batch["tabular"], batch["tabular_mask"], Mode(False),
                          heads=False)
    return model.scaling.measures(outputs["mean"], outputs["log_scale"])
