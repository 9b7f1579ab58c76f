"""The steps of a run, each compiled once, and what stands between its phases."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from deps_jax.common.compiled.machine import cores
from deps_jax.common.loop.goodput import Spending
from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.loop.parallel import Placed, data_parallel
from deps_jax.common.loop.state import TrainState
from deps_jax.common.processes.together import all_devices
from deps_jax.space.search_space import SearchSpace
from deps_jax.supernet.channel_sorting import sort_channels
from deps_jax.training.method import Method
from deps_jax.training.phases import FULL_RATE, Phase, Plan
from deps_jax.training.shrink import ShrinkingState
from deps_jax.training.task import Tree
from deps_jax.training.train import Recipe, train_step

_BY_STEP = optax.ScaleByScheduleState
TABLE_ROWS = 2**14  # of rate tables, at least
# Fields of an optimizer that its schedule alone depends on, and numbers that a step may be given.
RATES = ("learning_rate", "schedule", "min_learning_rate", "decay", "decay_epochs",
         "warmup_epochs", "warmup_learning_rate")
CONSTANTS = ("matrix_rate", "weight_decay")


class Trainer:
    """Runs the right step for each moment of the run: `(step, state, batch) -> (state, metrics)`.

    It holds only compiled functions; a run that stops at any step continues from its state.

    Args:
      recipe: Settings of the run.
      key: Key of the run, from which every step draws its random numbers.
      devices: Devices that share the batches; None takes all, those of other processes, too.

    Attributes:
      steps: Training steps, by the name of a phase and the side of the images in pixels.
      extra: What every step takes beside its state and batch: the key of the run, with its rates
        where the recipe has them in tables.
      entries: What happens to the state before the first step of a phase, by the phase's name.
    """

    def __init__(self, recipe: Recipe, key: jax.Array,
                 devices: Sequence[jax.Device] | None = None) -> None:
        self.recipe, self.key = recipe, key
        devices = devices or all_devices()
        self._sizes = recipe.resolutions or (recipe.space.resolution,)
        self._seed = np.asarray(jax.random.key_data(key)).tolist()
        step, shared, self.extra = train_step, recipe, key
        if recipe.rate_tables:
            step, shared, self.extra = tabled_step, without_rates(recipe), Run.of(recipe, key)
        self.steps = {(phase.name, size): data_parallel(
            partial(step, shared, same, resolution=size), devices=devices, donate=True,
            name=f"{phase.name} at {size} px" if len(self._sizes) > 1 else phase.name,
            made_of=(step, shared, phase.name, size))
            for phase, same in zip(recipe.phases, shared.phases, strict=True)
            for size in self._sizes}
        self.entries = {phase.name: jax.jit(partial(enter, recipe, phase), donate_argnums=0)
                        for phase in recipe.phases if phase.changes_state}
        self._devices = sum(one.process_index == jax.process_index() for one in devices)
        self._next_step = None

    def compile(self, state: TrainState, batch: Tree, start_step: int = 0,
                spending: Spending | None = None) -> None:
        """Makes ready what the run needs from `start_step` on; prints how much memory it takes.

        What does not compile or fit is known before training, not when subnets join. Programs are
        compiled side by side, each while the next is traced: XLA keeps one core busy with much of
        a program, and the trace another.

        Args:
          state, batch: Shapes and types, as arrays or jax.ShapeDtypeStruct.
          start_step: Step at which the run goes on; phases that are over are not compiled.
          spending: Counts the time; None counts nothing.

        Raises:
          ValueError: If a step needs more memory than a device has.
        """
        spending = spending or Spending()
        left = [phase for phase in self.recipe.phases if start_step < phase.stop]
        with ThreadPoolExecutor(cores()) as pool:
            ready = [self.steps[phase.name, size].prepare(state, batch, self.extra, spending, pool)
                     for phase in left for size in self._sizes]
            with spending.on("compile"):
                for phase in left:
                    if phase.changes_state and start_step <= phase.start:
                        shapes = self.steps[phase.name, self._sizes[0]].shapes(state)
                        self.entries[phase.name].lower(shapes).compile()
                for one in ready:
                    one.result()

    def resolution_of(self, step: int) -> int:
        """The side of the images at a step in pixels, drawn by the key of the run."""
        if len(self._sizes) == 1:
            return self._sizes[0]
        return int(np.random.default_rng([*self._seed, step]).choice(self._sizes))

    def place(self, batch: Tree) -> Placed:
        """Brings the examples that this process's devices take of a batch to those devices."""
        run = next(iter(self.steps.values()))  # all share batches in the same way
        return run.share(self._in_parts(batch))

    def __call__(self, step: int, state: TrainState, batch: Tree | Placed
                 ) -> tuple[TrainState, dict[str, Mean]]:
        """The state after the step, and the metrics of the step.

        Args:
          batch: What `place` has returned or would take.

        Raises:
          ValueError: If the state is at another step; this is asked at the first call, after a
            jump, and where a phase begins.
        """
        phase = self.recipe.phase_of(step)
        # Asking the state waits for the device: at the first step and where a phase begins.
        if step != self._next_step or step == phase.start:
            _check_step(step, state)
        self._next_step = step + 1
        run = self.steps[phase.name, self.resolution_of(step)]
        if step == phase.start and phase.changes_state:
            state = self.entries[phase.name](run.place(state))
        placed = batch if isinstance(batch, Placed) else self.place(batch)
        return run(state, placed, self.extra)

    def _in_parts(self, batch: Tree) -> Tree:
        """The batch in the order in which devices get their share of its first part, its second...

        Devices take neighbours, so without this the parts of two devices were other images than
        those of one.
        """
        parts, devices = self.recipe.accumulation, self._devices
        if parts == 1 or devices == 1:
            return batch
        return jax.tree.map(lambda leaf: leaf.reshape(parts, devices, -1, *leaf.shape[1:]).swapaxes(
            0, 1).reshape(leaf.shape), batch)


class Now(NamedTuple):
    """Numbers of a step that depend on schedules; of a whole run, with an axis of steps in front.

    Attributes:
      learning_rate: The base rate, [].
      progress: The part of the run that is over, [] from 0 to 1.
      slots: Factor on the base rate by the name of a slot, [] each.
    """

    learning_rate: jax.Array
    progress: jax.Array
    slots: dict[str, jax.Array]


class Run(NamedTuple):
    """What the steps of a run with rate tables share.

    Attributes:
      key: Key of the run.
      constants: Fields CONSTANTS of its optimizer by name, [] each.
      table: Its rates, [n] each, with n at least the number of its steps.
    """

    key: jax.Array
    constants: dict[str, jax.Array]
    table: Now

    @classmethod
    def of(cls, recipe: Recipe, key: jax.Array) -> Run:
        """The tables of a recipe, as long as those of other runs of similar length."""
        schedule, rates = recipe.schedule(), recipe.rates()

        def at(step: jax.Array) -> Now:
            numbers = Now(schedule(step), step / recipe.total,
                          {name: rate(step) for name, rate in rates.items()})
            return jax.tree.map(lambda number: jnp.asarray(number, float), numbers)

        rows = max(TABLE_ROWS, 1 << recipe.total.bit_length())
        constants = {name: jnp.asarray(getattr(recipe.optimizer, name), float)
                     for name in CONSTANTS}
        return cls(key, constants, jax.jit(jax.vmap(at))(jnp.arange(rows)))


@dataclasses.dataclass(frozen=True)
class _Given(Method):
    """A method whose phases are given."""

    found: tuple[Phase, ...] = ()

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Those, whatever the plan."""
        del plan
        return self.found


def without_rates(recipe: Recipe) -> Recipe:
    """The recipe with every rate 1 and every phase of one step: what `tabled_step` compiles.

    Equal ones are of runs whose programs are the same.
    """
    optimizer = dataclasses.replace(recipe.optimizer, **{
        field.name: field.default for field in dataclasses.fields(Optimizer)
        if field.name in (*RATES, *CONSTANTS)})
    return _replaced(recipe, dataclasses.replace(recipe, optimizer=optimizer), lambda _: FULL_RATE,
                     lambda weight: weight)


def tabled_step(recipe: Recipe, phase: Phase, state: TrainState, batch: Tree, run: Run, *,
                axis_name: str | None = None, resolution: int | None = None
                ) -> tuple[TrainState, dict[str, Mean]]:
    """`train_step` of a recipe that is `without_rates`, with those of the run's tables."""
    now = jax.tree.map(lambda column: column[state.step], run.table)
    constant = lambda number: lambda step: number
    rates = {name: constant(rate) for name, rate in now.slots.items()}
    optimizer = dataclasses.replace(recipe.optimizer, **run.constants)
    filled = _replaced(
        recipe, dataclasses.replace(recipe, optimizer=optimizer),
        {**rates, "": constant(now.learning_rate)}.get,
        lambda weight: weight and (lambda progress, size: weight(now.progress, size)))
    (own,) = (one for one in filled.phases if one.name == phase.name)
    return train_step(filled, own, state, batch, run.key, axis_name=axis_name,
                      resolution=resolution)


def _replaced(recipe: Recipe, base: Recipe, rate_of: Callable, weight_of: Callable) -> Recipe:
    """`base` with the phases of a recipe, one step each, and other rates and weights.

    Args:
      rate_of: Returns the rate of a slot by its name, and the base rate for "".
      weight_of: Returns what stands in for the weight of a slot.
    """
    phases = tuple(dataclasses.replace(
        phase, start=i, stop=i + 1, learning_rate=rate_of(""), note="", slots=tuple(
            dataclasses.replace(slot, rate=rate_of(slot.name), weight=weight_of(slot.weight))
            for slot in phase.slots)) for i, phase in enumerate(recipe.phases))
    method = _Given("given", aggregation=recipe.method.aggregation, found=phases)
    return dataclasses.replace(base, method=method, total=len(phases))


def _check_step(step: int, state: TrainState) -> None:
    """The loop's step chooses the phase, the state's the rates and random numbers: one number."""
    if step != int(state.step):
        raise ValueError(f"the loop is at step {step}, the state at step {int(state.step)}; "
                         f"continue at the step of the state")


def enter(recipe: Recipe, phase: Phase, state: TrainState) -> TrainState:
    """The state before the first step of a phase: frozen, sorted and restarted as `Phase` asks."""
    transform = recipe.transform()
    if phase.freeze and recipe.keeps_teacher:  # no loss may ask for it
        state = state.replace(teacher=jax.tree.map(jnp.copy, state.evaluated))
    if phase.sort_channels:
        state = sort_state(recipe.space, transform, state, phase.protected)
    if phase.restart:
        average = jax.tree.map(jnp.copy, state.params) if state.average else {}
        state = state.replace(opt_state=_restarted(transform, state), average=average)
    return state


def _restarted(transform: optax.GradientTransformation, state: TrainState) -> optax.OptState:
    """The optimizer before its first step, except that rates go on by the step of the run."""
    def step_of_run(part: Any) -> Any:
        if isinstance(part, ShrinkingState):
            return part._replace(step=state.step)
        return part._replace(count=state.step) if isinstance(part, _BY_STEP) else part

    return jax.tree.map(step_of_run, transform.init(state.params),
                        is_leaf=lambda part: isinstance(part, (ShrinkingState, _BY_STEP)))


def sort_state(space: SearchSpace, transform: optax.GradientTransformation, state: TrainState,
               protected: int | None = None) -> TrainState:
    """The state with channels sorted by importance, momenta and the average permuted along.

    Args:
      transform: The whole optimizer; it tells what in its state is shaped like the parameters.
      protected: See `channel_sorting.sort_channels`.
    """
    places = jax.tree.map(lambda leaf: jnp.arange(leaf.size).reshape(leaf.shape), state.params)
    average = [state.average] if state.average else []
    params, batch_stats, (places, *average) = sort_channels(
        space, state.params, state.batch_stats, [places, *average], protected=protected)

    def permute(leaf: Any, places: jax.Array) -> Any:
        return leaf if _is_masked(leaf) else leaf.reshape(-1)[places]

    def keep(leaf: Any) -> Any:
        assert jnp.ndim(leaf) == 0, f"an array {leaf.shape} of the optimizer would stay unsorted"
        return leaf

    opt_state = optax.tree_map_params(transform, permute, state.opt_state, places,
                                      transform_non_params=keep, is_leaf=_is_masked)
    return state.replace(params=params, batch_stats=batch_stats, opt_state=opt_state,
                         average=average[0] if average else {})


def _is_masked(leaf: Any) -> bool:
    """optax.masked leaves this node where a transformation has no parameter."""
    return isinstance(leaf, optax.MaskedNode)
