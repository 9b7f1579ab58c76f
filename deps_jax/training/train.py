"""The training step. Reading for the first time? Start at `train_step`.

A run is the phases of its method, one after the other. All their steps are the same function with
other slots; `Trainer` compiles each once and does what stands between them.
"""
from __future__ import annotations

import dataclasses
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import optax

from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.optim import Optimizer, base_optimizer
from deps_jax.common.loop.parallel import mean_over_devices
from deps_jax.common.loop.state import TrainState
from deps_jax.data.augment import Augment
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.supernet import supernet
from deps_jax.supernet.masks import active_masks
from deps_jax.supernet.supernet import DTYPES
from deps_jax.training.gradients import (
    Gradients,
    draw,
    gradients_alone,
    gradients_of_slots,
    teach,
)
from deps_jax.training.method import Method
from deps_jax.training.phases import Phase, Plan
from deps_jax.training.rates import Sizes
from deps_jax.training.shrink import epsilon_shrinking
from deps_jax.training.task import Classification, Inputs


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All static settings of a run.

    Attributes:
      total, steps_per_epoch: see `phases.Plan`.
      label_smoothing, dropout_rate, dtype: see `task.Classification`; dtype is "float32",
        "bfloat16", or "float64" for checks.
      norm_momentum: share of the new batch in the running statistics (0.1 as in OFA; biased
        variance). Subnets are recalibrated before use, so only the full model's are kept.
      subnet: name of the network of plain training; another than the largest is fine-tuned.
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

    def __post_init__(self):
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r} is unknown; use one of {DTYPES}")
        if self.dtype == "float64" and not jax.config.jax_enable_x64:
            raise ValueError("dtype 'float64' would compute in float32; set JAX_ENABLE_X64=1 or "
                             "use 'float32'")
        for field in ("label_smoothing", "dropout_rate"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field} {getattr(self, field)} is not in [0, 1)")
        _check_phases(self.method.name, self.phases, self.total)
        # Refuses, before any compilation, sampling that the space does not allow.
        for slot in (slot for phase in self.phases for slot in phase.slots):
            jax.eval_shape(partial(slot.subnet.draw, space=self.space), jax.random.key(0))

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """Those of the method, laid over the run."""
        return self.method.phases(Plan(self.space, self.optimizer, self.total,
                                       self.steps_per_epoch, self.subnet))

    @cached_property
    def task(self) -> Classification:
        """What is trained."""
        return Classification(self.space, self.augment, self.label_smoothing, self.dropout_rate,
                              self.dtype)

    @property
    def keeps_teacher(self) -> bool:
        """Whether a frozen full model is part of the state."""
        return any(phase.needs_teacher for phase in self.phases)

    def phase_of(self, step: int) -> Phase:
        """The phase that a step belongs to; the last one at the end of the run."""
        return next((phase for phase in self.phases if step < phase.stop), self.phases[-1])

    def schedule(self) -> optax.Schedule:
        """Base learning rate by step, over all phases."""
        *before, last = self.phases

        def rate(step):
            value = last.learning_rate(step)
            for phase in reversed(before):
                if phase.learning_rate is not last.learning_rate:
                    value = jnp.where(step < phase.stop, phase.learning_rate(step), value)
            return value

        return rate

    def rates(self) -> dict[str, optax.Schedule]:
        """Factor on the base rate by step, of every slot that any phase has."""
        return {slot.name: slot.rate for phase in self.phases for slot in phase.slots}

    def transform(self) -> optax.GradientTransformationExtraArgs:
        """Epsilon-shrinking, then the base optimizer."""
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
    """The state before the first step."""
    params, batch_stats = supernet.init(key, recipe.space)
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats,
                      recipe.transform().init(params), params if recipe.keeps_teacher else {})


def train_step(recipe: Recipe, phase: Phase, state: TrainState, batch, key, *, axis_name=None):
    """One step from raw images, `(state, batch, key) -> (state, metrics)`.

    Args:
      batch: {"image": [b, h, w, 3] uint8, "label": [b] int}, this device's share.
      key: the same at every step; folded with the step number.

    Returns:
      What `update` returns.
    """
    draw_key, *input_keys = jax.random.split(jax.random.fold_in(key, state.step), 3)
    inputs = recipe.task.prepare(input_keys, batch, axis_name)
    subnets = draw(phase, recipe.space, recipe.task, state.params, inputs, draw_key, axis_name)
    return update(recipe, phase, state, inputs, subnets, axis_name)


def update(recipe: Recipe, phase: Phase, state: TrainState, inputs: Inputs,
           subnets: Subnet | None, axis_name=None):
    """One optimizer step on given subnets.

    Args:
      subnets: stacked in the order of the phase's slots; None where the one of the phase is known.

    Returns:
      The next state, and Means: loss, top1 and grad_norm of the first slot, subnet_loss of the
      others, update_norm, learning_rate.
    """
    teacher = teach(phase, recipe.space, recipe.task, state.teacher, inputs, axis_name)
    found = (gradients_alone(phase, recipe.space, recipe.task, state.params, inputs, teacher,
                             axis_name) if subnets is None else
             gradients_of_slots(phase, recipe.task, state.params, inputs, subnets, teacher,
                                axis_name))
    found = found._replace(slots=mean_over_devices(found.slots, axis_name))
    new_state, updates = apply_gradients(recipe, phase, state, found, subnets)
    first = phase.slots[0].name
    metrics = {
        "loss": Mean.of(found.losses[0]),
        **recipe.task.metrics(found.outputs, inputs),
        "grad_norm": Mean.of(optax.tree.norm(found.slots[first])[None]),
        "update_norm": Mean.of(optax.tree.norm(updates)[None]),
        "learning_rate": Mean.of(jnp.asarray(recipe.schedule()(state.step))[None]),
    }
    if len(found.losses) > 1:
        metrics["subnet_loss"] = Mean.of(found.losses[1:])
    return new_state, mean_over_devices(metrics, axis_name)


def apply_gradients(recipe: Recipe, phase: Phase, state: TrainState, found: Gradients,
                    subnets: Subnet | None) -> tuple[TrainState, dict]:
    """The next state, from gradients that are the same on all devices.

    Returns:
      (next state, what was added to the parameters).
    """
    updates, opt_state = recipe.transform().update(
        found.slots, state.opt_state, state.params,
        weights=_weights(recipe, phase, state.step, subnets),
        masks=_masks(recipe, phase, state.params, subnets))
    batch_stats, momentum = state.batch_stats, recipe.norm_momentum
    if phase.keeps_statistics:
        batch_stats = jax.tree.map(lambda old, new: (1 - momentum) * old + momentum * new,
                                   batch_stats, found.statistics)
    return state.replace(step=state.step + 1, params=optax.apply_updates(state.params, updates),
                         batch_stats=batch_stats, opt_state=opt_state), updates


def _masks(recipe: Recipe, phase: Phase, params, subnets: Subnet | None) -> dict | None:
    """What each slot uses, for the aggregations that ask it."""
    if recipe.method.aggregation in ("sum", "mean") or subnets is None:
        return None
    return {slot.name: active_masks(recipe.space, params,
                                    jax.tree.map(lambda leaf, i=i: leaf[i], subnets))
            for i, slot in enumerate(phase.slots)}


def _weights(recipe: Recipe, phase: Phase, step, subnets: Subnet | None) -> dict | None:
    """Factors by what the drawn subnets cost, of the slots that have one."""
    weighed = {i: slot for i, slot in enumerate(phase.slots) if slot.weight}
    if not weighed or subnets is None:
        return None
    sizes = Sizes(recipe.space)(subnets)
    return {slot.name: slot.weight(step / recipe.total, sizes[i]) for i, slot in weighed.items()}
