"""A method laid over a run: phases one after the other, each with the slots of its steps.

A slot says which subnet, which loss, which rate; a step trains the subnets of all slots on the same
images and joins their gradients. A method is a function that makes phases of a `Plan`.
"""
from __future__ import annotations

import dataclasses
from functools import cache, cached_property

import jax
import jax.numpy as jnp
import numpy as np
import optax

from deps_jax.common.loop.optim import Optimizer, base_schedule
from deps_jax.space.cost import BlockTable, macs
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, largest, stack, traced
from deps_jax.space.subnet_text import decode
from deps_jax.training.losses import Loss
from deps_jax.training.rates import Weight
from deps_jax.training.samplers import Choosing, Named, Sampler

FIRST_SLOT, FROZEN = "first slot", "frozen"  # who teaches
FULL_RATE = optax.constant_schedule(1.0)  # the base rate
BACKWARD = 2  # a backward pass counts as two forward passes: one for inputs, one for weights
DRAWS = 2000  # of a sampler, for its mean cost: 0.5 % of it with a spread of a fifth


@dataclasses.dataclass(frozen=True)
class Slot:
    """One subnet of a step.

    Attributes:
      name: Key of its gradients; slots of the same name have the same rate in all phases.
      subnet: What draws the subnet.
      loss: Loss of the subnet's outputs.
      rate: Factor on the base rate, by step of the run.
      weight: Further factor, by what the subnet costs; None is 1.
      dropout: Whether the recipe's drop-out and drop-connect are on.
    """

    name: str
    subnet: Sampler
    loss: Loss
    rate: optax.Schedule = FULL_RATE
    weight: Weight | None = None
    dropout: bool = False


@dataclasses.dataclass(frozen=True)
class Phase:
    """Steps with the same slots, which are compiled once.

    Attributes:
      name: Name in logs, another one for each phase of a run.
      start, stop: First step, and the step after the last one.
      slots: Subnets of a step, in order; the first one teaches where `teacher` says so.
      learning_rate: Base rate, by step of the run.
      teacher: Whose logits the slots' losses see: FIRST_SLOT's of the same step, or those of the
        FROZEN full model that the state keeps.
      sort_channels: Whether channels are sorted before the first step.
      protected: Argument of `channel_sorting.sort_channels`, where channels are sorted.
      freeze: Whether the full model (its average, where one is kept) becomes the frozen teacher
        before the first step.
      restart: Whether, before the first step, the optimizer forgets its momentum and the average
        begins anew with the parameters, as in a run of its own.
      note: What the plan that a run prints says beside the first step.
    """

    name: str
    start: int
    stop: int
    slots: tuple[Slot, ...]
    learning_rate: optax.Schedule
    teacher: str = FIRST_SLOT
    sort_channels: bool = False
    protected: int | None = None
    freeze: bool = False
    restart: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        first = self.slots[0]
        if self.teacher == FIRST_SLOT and first.loss.teacher:
            raise ValueError(f"the first slot {first.name!r} of phase {self.name!r} teaches, but "
                             f"its loss {first.loss} asks for a teacher; give it the loss 'hard'")

    @property
    def alone(self) -> Named | None:
        """The only network of its steps, where it is known before; otherwise None."""
        only = self.slots[0].subnet if len(self.slots) == 1 else None
        return only if isinstance(only, Named) else None

    @property
    def keeps_statistics(self) -> bool:
        """Whether the first slot is always the same network, whose statistics may be kept."""
        return isinstance(self.slots[0].subnet, Named)

    @property
    def changes_state(self) -> bool:
        """Whether anything happens before its first step."""
        return self.sort_channels or self.freeze or self.restart

    @property
    def needs_teacher(self) -> bool:
        """Whether the frozen teacher runs in its steps."""
        return self.teacher == FROZEN and any(slot.loss.teacher for slot in self.slots)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a method makes phases of.

    Attributes:
      total: Steps of the run.
      steps_per_epoch: Steps of one pass over the training data.
      subnet: Name of the network that is trained where no others are; another than the largest is
        fine-tuned.
    """

    space: SearchSpace
    optimizer: Optimizer
    total: int
    steps_per_epoch: int
    subnet: str = "largest"

    @cached_property
    def learning_rate(self) -> optax.Schedule:
        """The run's base rate, by step."""
        return base_schedule(self.optimizer, self.total, self.steps_per_epoch)


def step_macs(phase: Phase, space: SearchSpace, resolution: int, subnets: Subnet | None
              ) -> jax.Array:
    """Multiply-adds of a step for each image of its batch, [] float32.

    Forward and backward passes of all slots, forward passes of a frozen teacher, and of subnets
    that were tried and not kept (each counted as what was kept in their place). What is computed
    again in a backward pass to save memory is not counted.

    Args:
      resolution: Side of the images in pixels.
      subnets: Subnets of the slots, stacked; None where the only one of the phase is known before.
    """
    table = _table(space, resolution)
    if subnets is None:
        subnets = traced(stack([decode(space, phase.alone.name)]))
    costs = table.look_up(table.places(subnets, jnp), jnp)
    return _of_slots(phase, space, resolution, costs).astype(jnp.float32)


def expected_step_macs(phase: Phase, space: SearchSpace, resolution: int) -> float:
    """What `step_macs` is on average over the subnets that a phase draws.

    Args:
      resolution: Side of the images in pixels.
    """
    costs = np.array([_mean_macs(slot.subnet, space, resolution) for slot in phase.slots])
    return float(_of_slots(phase, space, resolution, costs))


def _of_slots(phase: Phase, space: SearchSpace, resolution: int, costs: jax.Array | np.ndarray
              ) -> jax.Array | np.ndarray:
    """Multiply-adds of a step, from those of one forward pass of every slot, [n]."""
    total = (costs * passes(phase)).sum()
    if phase.needs_teacher:
        total = total + float(_table(space, resolution)(stack([largest(space)]))[0])
    return total


def passes(phase: Phase) -> np.ndarray:
    """What each slot of a step takes, in forward passes of its subnet, [n]: both ways, and trials.

    Those of a frozen teacher are not among them.
    """
    trials = [slot.subnet.candidates if isinstance(slot.subnet, Choosing) else 0
              for slot in phase.slots]
    return 1 + BACKWARD + np.array(trials)


@cache
def _mean_macs(sampler: Sampler, space: SearchSpace, resolution: int) -> float:
    """Mean multiply-adds of the subnets that a sampler draws: of DRAWS of them, always the same."""
    def one(key: jax.Array) -> Subnet:
        drawn = traced(sampler.draw(key, space))
        # Candidates cost about the same, and which is kept depends on the weights.
        return jax.tree.map(lambda leaf: leaf[0], drawn) if isinstance(sampler, Choosing) else drawn

    drawn = jax.device_get(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), DRAWS)))
    return float(_table(space, resolution)(drawn).mean())


@cache
def _table(space: SearchSpace, resolution: int) -> BlockTable:
    return BlockTable.build(space, macs, resolution=resolution)
