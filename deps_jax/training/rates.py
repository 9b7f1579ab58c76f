"""Learning rates of slots, as factors on the base rate.

Two kinds: schedules, the same for every subnet of a slot (epsilon-shrinking's ramp is one), and
weights, which see what the drawn subnet costs, too.
"""
from __future__ import annotations

import abc
import dataclasses
import math

import jax
import jax.numpy as jnp
import optax

from deps_jax.space.cost import BlockTable, macs
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, largest, smallest, stack


def ramp(learning_rate: optax.Schedule, start: int, end: int, target: int,
         weight: float = 1.0) -> optax.Schedule:
    """beta(step) of epsilon-shrinking, computed from the live base schedule.

    It is 0 before step `start` and `weight` from step `end` on. Between them it is
    weight * L * tau / lr(step), where tau rises to 1 at the last of these steps and L is the base
    rate at step `target`. (DepS deps.py, adjust_beta_value, whose target is one epoch after the
    end.)
    """
    def schedule(step: jax.typing.ArrayLike) -> jax.Array:
        tau = (step - start + 1) / max(1, end - start)
        rising = learning_rate(target) * tau / jnp.maximum(learning_rate(step), 1e-30)
        beta = jnp.where(step < end, rising, 1.0)
        return weight * jnp.where(step < start, 0.0, beta)

    return schedule


class Weight(abc.ABC):
    """A factor on a slot's rate that depends on what the drawn subnet costs."""

    @abc.abstractmethod
    def __call__(self, progress: jax.Array, size: jax.Array) -> jax.Array:
        """The factor, [] float.

        Args:
          progress: The part of the run that is over, [] from 0 to 1.
          size: Size of the subnet on a scale of log MACs, [] from 0 (the smallest) to 1 (the
            largest).
        """


@dataclasses.dataclass(frozen=True)
class ByComplexity(Weight):
    """CaLR (Subnet-Aware Dynamic Supernet Training, CVPR 2025): small subnets slow down earlier.

    In the paper the rate of a subnet is (1 - t/T)^gamma, with gamma falling linearly in its log
    cost. Here it is the base rate times (1 - t/T)^(gamma - gamma of the largest), so that the full
    model keeps the base rate; the cost is MACs (in the paper, parameters).

    Attributes:
      smallest, largest: Gamma of the smallest and of the largest subnet (4 and 1/4 in the paper).
    """

    smallest: float = 4.0
    largest: float = 0.25

    def __call__(self, progress: jax.Array, size: jax.Array) -> jax.Array:
        """The factor, [] float in [0, 1]."""
        return (1 - progress) ** ((self.smallest - self.largest) * (1 - size))


WEIGHTS: dict[str, Weight] = {"complexity": ByComplexity()}


class Sizes:
    """Where a traced subnet stands between the smallest and the largest, by log MACs."""

    def __init__(self, space: SearchSpace) -> None:
        self._table = BlockTable.build(space, macs)
        least, most = self._table(stack([smallest(space), largest(space)]))
        self._least, self._range = math.log(least), math.log(most) - math.log(least)

    def __call__(self, subnets: Subnet) -> jax.Array:
        """Places of n stacked subnets, [n] float32 from 0 (the smallest) to 1 (the largest).

        In a space of one size they are all 1.
        """
        cost = self._table.look_up(self._table.places(subnets, jnp), jnp)
        return (jnp.log(cost) - self._least) / self._range if self._range else jnp.ones_like(cost)
