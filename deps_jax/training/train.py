"""The training step. Reading for the first time? Start at `train_step`.

A run is the phases of its method, one after the other. All their steps are the same function with
other slots; `Trainer` compiles each once and does what stands between them.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.optim import Optimizer, base_optimizer, update_macs
from deps_jax.common.loop.parallel import first_index, mean_over_devices
from deps_jax.common.loop.state import TrainState
from deps_jax.common.nn.operations import PER_DEVICE, SYNCHRONISED
from deps_jax.data.augment import Augment
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.supernet import supernet
from deps_jax.supernet.masks import active_masks
from deps_jax.supernet.packing import Packed, Packing
from deps_jax.supernet.supernet import DTYPES
from deps_jax.supernet.zero_scales import zero_scales
from deps_jax.training.gradients import (
    draw,
    gradients_alone,
    gradients_of_slots,
    teach,
)
from deps_jax.training.method import Method
from deps_jax.training.phases import Phase, Plan, step_macs
from deps_jax.training.rates import Sizes
from deps_jax.training.shrink import epsilon_shrinking
from deps_jax.training.task import Classification, Inputs, Moment, Task, Tree


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All static settings of a run.

    Attributes:
      total, steps_per_epoch: Steps of the run and of an epoch, see `phases.Plan`.
      label_smoothing, dropout_rate, drop_connect_rate, dtype: See `task.Classification`; dtype is
        "float32", "bfloat16", or "float64" for checks.
      norm_momentum: Share of the new batch in the running statistics (0.1 as in OFA; biased
        variance). Subnets are recalibrated before use, so only those of a first slot that is
        always the same network are kept, such as the full model.
      subnet: Name of the network of plain training; another than the largest is fine-tuned.
      zero_scales: Whether residual blocks begin as the identity, see `zero_scales.zero_scales`.
      average_decay: Decay of the moving average of the parameters, which is then what is
        evaluated; 0 keeps none. At step t, counted from 0, it is (1 + t) / (10 + t) at most, so
        that a short run is no average of random weights.
      accumulation: Number of parts that a batch is cut in, which run one after the other to need
        less memory. Their images are the same on any number of devices. Their gradients are
        averaged, batch norm sees one part at a time, and a sampler that chooses subnets by their
        loss looks at the first part.
      resolutions: Sides of the images in pixels, of which one is drawn for every step
        (multi-resolution training of OFA); () is the space's own alone. Each is compiled once.
      rate_tables: Whether the steps read rates out of tables, see `trainer.tabled_step`, so that
        runs that differ in rates and lengths alone share their programs; by default rates are part
        of the program, and may differ from those of a table in the last bit.
      batch_norm: Whose batch statistics normalise, of `operations.NORMS`: those of all devices, or
        of each device's own share, which they then need not wait for; running statistics are the
        mean over devices. With the second, results depend on the number of devices.
      other_task: What the subnets are trained for where it is not classification; the settings of
        `task.Classification` are then not read.
    """

    space: SearchSpace
    method: Method
    total: int
    steps_per_epoch: int
    optimizer: Optimizer
    augment: Augment
    label_smoothing: float = 0.1
    dropout_rate: float = 0.0
    norm_momentum: float = 0.1
    dtype: str = "float32"
    subnet: str = "largest"
    drop_connect_rate: float = 0.0
    zero_scales: bool = False
    average_decay: float = 0.0
    accumulation: int = 1
    resolutions: tuple[int, ...] = ()
    rate_tables: bool = False
    batch_norm: str = SYNCHRONISED
    other_task: Task | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r} is unknown; use one of {DTYPES}")
        if self.dtype == "float64" and not jax.config.jax_enable_x64:
            raise ValueError("dtype 'float64' would compute in float32; set JAX_ENABLE_X64=1 or "
                             "use 'float32'")
        for field in ("label_smoothing", "dropout_rate", "drop_connect_rate", "average_decay"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field} {getattr(self, field)} is not in [0, 1); use 0 to leave "
                                 f"it out")
        if self.accumulation < 1:
            raise ValueError(f"accumulation {self.accumulation} is no number of parts; use 1 for "
                             f"the whole batch at once")
        self._check_resolutions()
        _check_phases(self.method.name, self.phases, self.total)
        # Refuses, before any compilation, sampling that the space does not allow.
        for slot in (slot for phase in self.phases for slot in phase.slots):
            jax.eval_shape(partial(slot.subnet.draw, space=self.space), jax.random.key(0))

    def _check_resolutions(self) -> None:
        given, most, least = self.resolutions, self.space.resolution, self.space.total_stride
        if any(size % 4 or not least <= size <= most for size in given):
            raise ValueError(f"resolutions {tuple(given)} must be multiples of 4 from the stride "
                             f"of the network, {least} px, to the space's {most} px, from which "
                             f"images are resized; raise space.resolution or leave others out")
        if len(set(given)) < len(given):
            raise ValueError(f"resolutions {tuple(given)} holds one twice; name each once")

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of the method, laid over the run."""
        return self.method.phases(Plan(self.space, self.optimizer, self.total,
                                       self.steps_per_epoch, self.subnet))

    @cached_property
    def task(self) -> Task:
        """The task that the subnets are trained for."""
        return self.other_task or Classification(
            self.space, self.augment, self.label_smoothing, self.dropout_rate, self.dtype,
            self.drop_connect_rate, self.batch_norm == SYNCHRONISED)

    @property
    def keeps_teacher(self) -> bool:
        """Whether a frozen full model is part of the state."""
        return any(phase.needs_teacher for phase in self.phases)

    def phase_of(self, step: int) -> Phase:
        """The phase that a step belongs to; the last one at the end of the run."""
        return next((phase for phase in self.phases if step < phase.stop), self.phases[-1])

    def schedule(self) -> optax.Schedule:
        """The base learning rate by step, over all phases."""
        *before, last = self.phases

        def rate(step: jax.Array | int) -> jax.Array:
            value = last.learning_rate(step)
            for phase in reversed(before):
                if phase.learning_rate is not last.learning_rate:
                    value = jnp.where(step < phase.stop, phase.learning_rate(step), value)
            return value

        return rate

    def rates(self) -> dict[str, optax.Schedule]:
        """The factor on the base rate by step, for every slot that any phase has."""
        return {slot.name: slot.rate for phase in self.phases for slot in phase.slots}

    def transform(self) -> optax.GradientTransformationExtraArgs:
        """The whole optimizer: epsilon-shrinking, then the base optimizer."""
        return optax.chain(epsilon_shrinking(self.rates(), self.method.aggregation),
                           base_optimizer(self.optimizer, self.schedule()))


def _check_phases(method: str, phases: tuple[Phase, ...], total: int) -> None:
    """Raises ValueError for phases of a user's own method that could not be told apart or met."""
    ends = [0, *(phase.stop for phase in phases)]
    if [phase.start for phase in phases] != ends[:-1] or ends[-1] != total:
        raise ValueError(f"the phases of method {method!r} are "
                         f"{[(phase.start, phase.stop) for phase in phases]}; let them follow each "
                         f"other from step 0 to {total}")
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names):
        raise ValueError(f"the phases of method {method!r} are called {names}; name each once")
    rates: dict[str, optax.Schedule] = {}
    for slot in (slot for phase in phases for slot in phase.slots):
        if rates.setdefault(slot.name, slot.rate) is not slot.rate:
            raise ValueError(f"slots of method {method!r} called {slot.name!r} have different "
                             f"rates; give them names of their own")


def init_state(key: jax.Array, recipe: Recipe) -> TrainState:
    """The state before the first step, with random weights."""
    params, batch_stats = supernet.init(key, recipe.space)
    if recipe.zero_scales:
        params = zero_scales(recipe.space, params)
    return state_of(recipe, params, batch_stats)


def state_of(recipe: Recipe, params: dict, batch_stats: dict) -> TrainState:
    """The state before the first step, with given weights."""
    def copy() -> dict:  # a step gives the memory of its state away, each array once
        return jax.tree.map(jnp.copy, params)

    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats,
                      recipe.transform().init(params), copy() if recipe.keeps_teacher else {},
                      copy() if recipe.average_decay else {})


def train_step(recipe: Recipe, phase: Phase, state: TrainState, batch: Tree, key: jax.Array, *,
               axis_name: str | None = None, resolution: int | None = None
               ) -> tuple[TrainState, dict[str, Mean]]:
    """One step from raw images, `(state, batch, key) -> (state, metrics)`.

    Args:
      batch: This device's share of a batch, part after part, as {"image": [b, h, w, 3] uint8,
        "label": [b] int, "example": [b] int}; the last is needed only where flips alternate.
      key: Key of the run, the same at every step; it is folded with the step number.
      axis_name: Mapped axis of the devices that share the batch; None on one device.
      resolution: Side of the images that the network sees, in pixels; None is the space's.

    Returns:
      What `update` returns, and the metric "macs": multiply-adds of the step for each image, see
      `phases.step_macs`, with the share of what the optimizer takes (`optim.update_macs`).
    """
    draw_key, augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step), 3)
    examples = len(jax.tree.leaves(batch)[0])
    size = examples // recipe.accumulation  # of this device's share of a part
    devices = jax.lax.psum(1, axis_name) if axis_name else 1

    def prepared(i: jax.Array | int, part: Tree) -> Inputs:
        # Of one part alone the key is that of the step, which results were made with.
        of_part = jax.random.fold_in(dropout_key, i) if recipe.accumulation > 1 else dropout_key
        with jax.named_scope("augment"):
            return recipe.task.prepare(Moment(
                epoch=state.step // recipe.steps_per_epoch,
                resolution=resolution or recipe.space.resolution,
                first=first_index(size, axis_name) + i * size * devices,
                run=key, augment=augment_key, dropout=of_part, teacher=state.teacher), part)

    parts = jax.tree.map(lambda leaf: leaf.reshape(-1, size, *leaf.shape[1:]), batch)
    first = prepared(0, jax.tree.map(lambda leaf: leaf[0], parts))
    subnets = draw(phase, recipe.space, recipe.task, state.params, first, draw_key, axis_name)
    if recipe.accumulation == 1:
        new_state, metrics = update(recipe, phase, state, first, subnets, axis_name)
    else:
        found = _learn_in_parts(recipe, phase, state, parts, prepared, subnets, axis_name)
        new_state, metrics = finish(recipe, phase, state, found, subnets, axis_name)
    macs = step_macs(phase, recipe.space, resolution or recipe.space.resolution, subnets)
    macs *= recipe.task.images
    macs += update_macs(recipe.optimizer, state.params) / (examples * devices)
    return new_state, {**metrics, "macs": Mean.of(macs[None])}


def _learn_in_parts(recipe: Recipe, phase: Phase, state: TrainState, parts: Tree,
                    prepared: Callable[[jax.Array, Tree], Inputs], subnets: Subnet | None,
                    axis_name: str | None) -> Learned:
    """What the parts of a batch have found, one after the other: the mean over them."""
    def learnt(numbered: tuple[jax.Array, Tree]) -> Learned:
        return learn(recipe, phase, state, prepared(*numbered), subnets, axis_name)

    numbered = jnp.arange(recipe.accumulation), parts
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
        jax.eval_shape(learnt, jax.tree.map(lambda leaf: leaf[0], numbered)))
    found, _ = jax.lax.scan(
        lambda total, one: (jax.tree.map(jnp.add, total, learnt(one)), None), zeros, numbered)
    slots, statistics = jax.tree.map(lambda leaf: leaf / recipe.accumulation,
                                     (found.slots, found.statistics))
    return found._replace(slots=slots, statistics=statistics)


def update(recipe: Recipe, phase: Phase, state: TrainState, inputs: Inputs,
           subnets: Subnet | None, axis_name: str | None = None
           ) -> tuple[TrainState, dict[str, Mean]]:
    """One optimizer step on given subnets.

    Args:
      subnets: Subnets of the phase's slots, stacked in their order; None where the only one is
        known before (`Phase.alone`).

    Returns:
      The next state, and metrics by name as Means: "loss", what the task tells ("top1") and
      "grad_norm" of the first slot, "subnet_loss" of the others where there are any,
      "update_norm" and "learning_rate".
    """
    found = learn(recipe, phase, state, inputs, subnets, axis_name)
    return finish(recipe, phase, state, found, subnets, axis_name)


class Learned(NamedTuple):
    """What a step has found on its images; what parts of a batch have found can be added.

    Attributes:
      slots: Gradient of each slot by its name, see `gradients.Gradients`.
      statistics: Batch statistics of the first slot, packed.
      metrics: Means by name, of the losses and of what the task tells.
    """

    slots: dict[str, Packed]
    statistics: Packed
    metrics: dict[str, Mean]


def learn(recipe: Recipe, phase: Phase, state: TrainState, inputs: Inputs, subnets: Subnet | None,
          axis_name: str | None = None) -> Learned:
    """Gradients and losses of all slots on this device's images."""
    task = recipe.task
    with jax.named_scope("teacher"):
        teacher = teach(phase, recipe.space, task, state.teacher, inputs, axis_name)
    found = (gradients_alone(phase, recipe.space, task, state.params, inputs, teacher, axis_name)
             if subnets is None else
             gradients_of_slots(phase, task, state.params, inputs, subnets, teacher, axis_name))
    metrics = {"loss": Mean.of(found.losses[0]), **task.metrics(found.outputs, inputs)}
    if len(found.losses) > 1:
        metrics["subnet_loss"] = Mean.of(found.losses[1:])
    return Learned(found.slots, found.statistics, metrics)


def finish(recipe: Recipe, phase: Phase, state: TrainState, found: Learned,
           subnets: Subnet | None, axis_name: str | None = None
           ) -> tuple[TrainState, dict[str, Mean]]:
    """The next state and the metrics, the same on all devices."""
    slots, statistics = found.slots, found.statistics
    if recipe.batch_norm == PER_DEVICE and phase.keeps_statistics:
        statistics = mean_over_devices(statistics, axis_name)
    found = found._replace(slots=mean_over_devices(slots, axis_name), statistics=statistics)
    with jax.named_scope("optimizer"):
        new_state, updates = apply_gradients(recipe, phase, state, found, subnets)
    first = phase.slots[0].name
    metrics = {
        **found.metrics,
        "grad_norm": Mean.of(optax.tree.norm(found.slots[first])[None]),
        "update_norm": Mean.of(optax.tree.norm(updates)[None]),
        "learning_rate": Mean.of(jnp.asarray(recipe.schedule()(state.step))[None]),
    }
    return new_state, mean_over_devices(metrics, axis_name)


def apply_gradients(recipe: Recipe, phase: Phase, state: TrainState, found: Learned,
                    subnets: Subnet | None) -> tuple[TrainState, Packed]:
    """The next state, from gradients that are the same on all devices.

    Returns:
      The next state, and what was added to the parameters, packed.
    """
    packing = Packing.of(state.params)
    old = packing.pack(state.params)
    updates, opt_state = recipe.transform().update(
        found.slots, packing.pack_all(state.opt_state), old,
        weights=_weights(recipe, phase, state.step, subnets),
        masks=_masks(recipe, phase, state.params, subnets, packing), packing=packing)
    new = optax.apply_updates(old, updates)
    batch_stats, momentum = state.batch_stats, recipe.norm_momentum
    if phase.keeps_statistics:
        running = Packing.of(batch_stats)
        batch_stats = running.unpack(jax.tree.map(
            lambda old, new: (1 - momentum) * old + momentum * new,
            running.pack(batch_stats), found.statistics))
    return state.replace(
        step=state.step + 1, params=packing.unpack(new), batch_stats=batch_stats,
        opt_state=packing.unpack_all(opt_state),
        average=_averaged(recipe, state, packing, new)), updates


def _averaged(recipe: Recipe, state: TrainState, packing: Packing, params: Packed) -> dict:
    """The moving average, with the parameters after this step."""
    if not recipe.average_decay:
        return state.average
    step = state.step.astype(float)
    decay = jnp.minimum(recipe.average_decay, (1 + step) / (10 + step))
    return packing.unpack(jax.tree.map(
        lambda old, new: (old + (1 - decay) * (new - old)).astype(old.dtype),
        packing.pack(state.average), params))


def _masks(recipe: Recipe, phase: Phase, params: Tree, subnets: Subnet | None,
           packing: Packing) -> dict | None:
    """The parameters that each slot uses, for the aggregations that ask for it."""
    if recipe.method.aggregation in ("sum", "mean") or subnets is None:
        return None
    return {slot.name: packing.pack(active_masks(
                recipe.space, params, jax.tree.map(lambda leaf, i=i: leaf[i], subnets)))
            for i, slot in enumerate(phase.slots)}


def _weights(recipe: Recipe, phase: Phase, step: jax.Array, subnets: Subnet | None
             ) -> dict | None:
    """Factors by what the drawn subnets cost, for the slots that have a weight."""
    weighed = {i: slot for i, slot in enumerate(phase.slots) if slot.weight}
    if not weighed or subnets is None:
        return None
    sizes = Sizes(recipe.space)(subnets)
    return {slot.name: slot.weight(step / recipe.total, sizes[i]) for i, slot in weighed.items()}
