"""The training step of NurtureNet. Reading for the first time? Start at `train_step`."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from deps_jax.common.loop.goodput import Spending
from deps_jax.common.loop.metrics import Mean, compute, merge
from deps_jax.common.loop.optim import Optimizer, base_optimizer, base_schedule
from deps_jax.common.loop.parallel import (
    Placed,
    Tree,
    data_parallel,
    first_index,
    mean_over_devices,
)
from deps_jax.common.loop.state import TrainState
from deps_jax.common.nn.operations import PER_DEVICE, SYNCHRONISED, Mode
from deps_jax.common.processes.together import all_devices
from nurture_jax.clips.clip_augment import Batch, ClipAugment, augment
from nurture_jax.evaluation.estimates import repeats
from nurture_jax.measures import LABELS, TABULAR, WEIGHT
from nurture_jax.network.model import NurtureNet, Outputs, forward, zero_inputs
from nurture_jax.training.distillation import (
    Teaching,
    lesson,
    lesson_terms,
    own,
    projected,
    projection,
)
from nurture_jax.training.losses import Losses, masked_mean, total_loss

TRAINING_ARRAYS = ("frames", "tabular", "tabular_mask", "reference_cm", "labels", "labels_mask",
                   "masks", "keypoints", "annotated")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All static settings of a step.

    Attributes:
      optimizer: Optimizer of everything but the backbone.
      backbone_rate: Learning rate of the backbone, as a part of the others'; 0 freezes its
        weights, not its batch statistics.
      total_steps, steps_per_epoch: Steps of the run and of an epoch.
      teacher: A network that is learnt from beside the records; its variables are `state.teacher`.
      teaching: What is learnt from it, and how it is weighed.
      batch_norm: Whose batch statistics normalise, see `deps_jax.training.train.Recipe`.

    Raises:
      ValueError: If `backbone_rate` is negative, or there are not as many weights of measures as
        the model has outputs.
    """

    model: NurtureNet
    losses: Losses
    augment: ClipAugment
    optimizer: Optimizer
    backbone_rate: float
    total_steps: int
    steps_per_epoch: int
    teacher: NurtureNet | None = None
    teaching: Teaching = dataclasses.field(default_factory=Teaching)
    batch_norm: str = SYNCHRONISED

    def __post_init__(self) -> None:
        if self.backbone_rate < 0:
            raise ValueError(f"backbone_rate {self.backbone_rate} is negative; use 0 to 1")
        if len(self.losses.measures) != len(labels := self.model.scaling.labels):
            raise ValueError(f"losses.measures {self.losses.measures} must be {len(labels)} "
                             f"weights, one for each measure of this run: {labels}")

    def schedule(self) -> optax.Schedule:
        """The learning rate of everything but the backbone, by step."""
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


def steps_of_an_epoch(clips: int, batch_size: int) -> int:
    """Number of whole batches in the training clips.

    Raises:
      ValueError: If there is none.
    """
    if clips < batch_size:
        raise ValueError(f"training.batch_size {batch_size} does not fit {clips} training clips; "
                         f"use 1 to {clips}")
    return clips // batch_size


def _groups(params: Tree) -> Tree:
    """The name of the optimizer of every weight, in a tree like the weights."""
    return {name: jax.tree.map(lambda _, name=name: "backbone" if name == "backbone" else "rest",
                               part) for name, part in params.items()}


def init_state(key: jax.Array, recipe: Recipe, frames: tuple[int, ...],
               start: Tree | None = None) -> TrainState:
    """The state before the first step.

    Args:
      frames: Number of frames of a clip, and their height and width in pixels.
      start: {"params", "batch_stats"} of the backbone to start from; None keeps the random ones.

    Returns:
      The state, but for the variables of a teacher, which `teacher` of it has to be set to.
    """
    variables = recipe.model.init(key, *zero_inputs(*frames))
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    if start and "backbone" in params:
        params = {**params, "backbone": start["params"]}
        batch_stats = {**batch_stats, "backbone": start["batch_stats"]}
    params = {**params, **projection(key, recipe.teaching, recipe.model, recipe.teacher, frames)}
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats,
                      recipe.transform().init(params))


def train_step(recipe: Recipe, state: TrainState, batch: Batch, key: jax.Array, *,
               axis_name: str | None = None) -> tuple[TrainState, dict[str, Mean]]:
    """One step from raw clips, `(state, batch, key) -> (state, metrics)`.

    Args:
      batch: This device's share of a batch, TRAINING_ARRAYS of `clip_batches`.
      key: Key of the run, the same at every step; it is folded with the step number.
      axis_name: Mapped axis of the devices that share the batch; None on one device.

    Returns:
      The next state, and metrics by name as Means: those of `total_loss`, "grad_norm" and
      "learning_rate"; with a teacher, "taught", what its losses add to the loss, and each of them
      as "taught_NAME".
    """
    augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
    first = first_index(batch["frames"].shape[0], axis_name)
    # A profile names the parts of a step; Linen names those of the network by its modules.
    with jax.named_scope("augment"):
        batch = augment(augment_key, batch, recipe.augment, first, recipe.model.settings.dtype)
    said = None if recipe.teacher is None else lesson(recipe.teacher, state.teacher, batch)

    mode = Mode(True, axis_name, recipe.batch_norm == SYNCHRONISED)

    def loss_fn(params: Tree) -> tuple[jax.Array, tuple[dict[str, Mean], Tree]]:
        outputs, updated = recipe.model.apply(
            {"params": own(params), "batch_stats": state.batch_stats}, batch["frames"],
            batch["tabular"], batch["tabular_mask"], mode,
            rngs={"dropout": dropout_key}, mutable=["batch_stats"],
            reference_cm=batch["reference_cm"])
        with jax.named_scope("losses"):
            loss, metrics = total_loss(recipe.losses, recipe.model.scaling, outputs, batch,
                                       axis_name)
            if said is not None:
                taught, found = _taught(recipe, projected(params, outputs), said, batch, axis_name)
                loss, metrics = loss + taught, metrics | found
                metrics["loss"] = Mean.of(loss[None])
        return loss, (metrics, updated.get("batch_stats", {}))

    gradient, (metrics, batch_stats) = jax.grad(loss_fn, has_aux=True)(state.params)
    gradient = mean_over_devices(gradient, axis_name)
    if recipe.batch_norm == PER_DEVICE:
        batch_stats = mean_over_devices(batch_stats, axis_name)
    with jax.named_scope("optimizer"):
        updates, opt_state = recipe.transform().update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
    metrics |= {"grad_norm": Mean.of(optax.tree.norm(gradient)[None]),
                "learning_rate": Mean.of(recipe.schedule()(state.step)[None])}
    new_state = TrainState(state.step + 1, params, {**state.batch_stats, **batch_stats}, opt_state,
                           state.teacher)
    return new_state, mean_over_devices(metrics, axis_name)


def _taught(recipe: Recipe, outputs: Outputs, said: Outputs, batch: Batch, axis_name: str | None
            ) -> tuple[jax.Array, dict[str, Mean]]:
    """What the losses against a teacher add to the loss, [], and each of them as a metric."""
    found = list(lesson_terms(recipe.teaching, recipe.losses, recipe.model.scaling,
                              recipe.teacher.scaling, outputs, said, batch))
    loss = sum(weight * masked_mean(values, mask, axis_name) for _, values, mask, weight in found)
    return loss, {"taught": Mean.of(loss[None]), **{
        f"taught_{name}": Mean.of(values, mask) for name, values, mask, _ in found}}


class Trainer:
    """The training step on all devices; it holds nothing but the compiled step."""

    def __init__(self, recipe: Recipe, key: jax.Array,
                 devices: Sequence[jax.Device] | None = None) -> None:
        self._key = key
        self._step = data_parallel(
            partial(train_step, recipe), devices=devices or all_devices(), donate=True,
            name="training step", made_of=(train_step, recipe))

    def compile(self, state: Tree, example: Batch, batch_size: int, spending: Spending) -> None:
        """Compiles the step, and prints how much memory it takes.

        Args:
          state: Shapes and types of the state.
          example: An example of `ClipSource`, for shapes and types.
          batch_size: Number of examples of a batch, those of other processes included.
          spending: Counts the time.

        Raises:
          ValueError: If the step needs more memory than a device has.
        """
        with ThreadPoolExecutor(1) as pool:
            own = batch_size // jax.process_count()
            ready = self._step.prepare(state, batch_shapes(example, own), self._key, spending, pool)
            with spending.on("compile"):
                ready.result()

    def trace(self, state: Tree, example: Batch, batch_size: int) -> jax.stages.Traced:
        """The step for arguments as `compile` takes them, neither compiled nor run."""
        return self._step.trace(state, batch_shapes(example, batch_size), self._key)

    def place(self, batch: Batch) -> Placed:
        """Brings what a step takes of a batch of `clip_batches` to the devices."""
        return self._step.share({name: batch[name] for name in TRAINING_ARRAYS})

    def __call__(self, step: int, state: TrainState, batch: Batch | Placed
                 ) -> tuple[TrainState, dict[str, Mean]]:
        """What `train_step` returns for a whole batch; `state` is used up.

        Args:
          batch: What `place` has returned or would take.
        """
        placed = batch if isinstance(batch, Placed) else self.place(batch)
        return self._step(state, placed, self._key)


def batch_shapes(example: Batch, batch_size: int) -> Batch:
    """Shapes and types of TRAINING_ARRAYS in a batch of examples like this one of `ClipSource`."""
    return {name: jax.ShapeDtypeStruct((batch_size, *example[name].shape), example[name].dtype)
            for name in TRAINING_ARRAYS}


def judged(batch: Batch) -> np.ndarray:
    """The labels that a network can be judged by, as `labels_mask`, [b, 5] float32.

    A weight that is the birth weight is none, see `evaluation.estimates.is_birth_weight`.

    Args:
      batch: "labels", "labels_mask", "tabular" and "tabular_mask" of `clip_batches`.
    """
    birth, age = (TABULAR.index(name) for name in ("birth_weight_g", "age_days"))
    tabular, weight, mask = batch["tabular"], LABELS.index(WEIGHT.name), batch["labels_mask"].copy()
    told = batch["tabular_mask"][:, [birth, age]].all(1)
    mask[told & repeats(batch["labels"][:, weight], tabular[:, birth], tabular[:, age]), weight] = 0
    return mask


class Validator:
    """Mean absolute errors of every measure: `validator(state, batches) -> {name: float}`."""

    def __init__(self, recipe: Recipe, devices: Sequence[jax.Device] | None = None) -> None:
        self._step = data_parallel(partial(_errors, recipe), devices=devices, name="validation",
                                   made_of=(_errors, recipe))

    def __call__(self, state: TrainState, batches: Iterable[Batch]) -> dict[str, float]:
        """Mean absolute errors in the units of LABELS, by "mae_LABEL".

        They are NaN where no visit has the measure; which do is for `judged` to say.

        Args:
          state: The state of a run, or anything with `params` and `batch_stats`.
          batches: Batches of `clip_batches.eval_batches`.
        """
        names = ("frames", "tabular", "tabular_mask", "reference_cm", "labels")
        totals = {}
        for batch in batches:
            arrays = {name: batch[name] for name in names} | {"labels_mask": judged(batch)}
            totals = merge(totals, self._step((state.params, state.batch_stats), arrays, None))
        return compute(totals)


def _errors(recipe: Recipe, variables: tuple[Tree, Tree], batch: Batch, _: None, *,
            axis_name: str | None) -> dict[str, Mean]:
    params, batch_stats = variables
    outputs = forward(recipe.model, {"params": params, "batch_stats": batch_stats},
                      recipe.augment.in_use, batch, heads=False)
    mean, _ = recipe.model.scaling.measures(outputs.mean, outputs.log_scale)
    mask = batch["labels_mask"]
    errors = jnp.where(mask > 0, jnp.abs(mean - batch["labels"]), 0)
    return mean_over_devices({f"mae_{name}": Mean.of(errors[:, i], mask[:, i])
                              for i, name in enumerate(LABELS)}, axis_name)
