"""What a run costs, and how long one of a given cost is.

The cost is the number of multiply-adds of all forward and backward passes over all images of the
run: of every subnet that a step trains, of a frozen teacher, of subnets that were tried and not
kept, in all phases, so that of a teacher's own training, too; and of an optimizer's matrix products
(Muon). It does not depend on the machine.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from deps_jax.space.cost import macs
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import smallest
from deps_jax.training.phases import BACKWARD, Phase, expected_step_macs

TOLERANCE = 0.02  # of the budget: runs have whole steps


def run_macs(phases: Sequence[Phase], space: SearchSpace, resolutions: Sequence[int] = (),
             update: float = 0.0) -> float:
    """Multiply-adds of a run for each image of its batches, on average over the subnets it draws.

    Args:
      resolutions: Sides of the images in pixels, each as often as the others; () is the space's.
      update: Those of the optimizer in a step, for each image of its batch.
    """
    sizes = tuple(resolutions) or (space.resolution,)
    return sum((phase.stop - phase.start) * (update + float(
        np.mean([expected_step_macs(phase, space, size) for size in sizes]))) for phase in phases)


def equal_steps(budget: float, phases_of: Callable[[int], Sequence[Phase]], space: SearchSpace,
                resolutions: Sequence[int] = (), update: float = 0.0) -> int:
    """The number of steps of the run whose cost is the nearest to a budget.

    Args:
      budget: Multiply-adds for each image of a batch, as `run_macs` counts them.
      phases_of: Returns the phases of a run of so many steps; ValueError if it is too short.
      resolutions, update: See `run_macs`.

    Raises:
      ValueError: If no run costs that within TOLERANCE, because the phases need more steps; or if
        the method does not fit the space, whatever the length.
    """
    refusals: list[ValueError] = []

    def spent(total: int) -> float:
        try:
            return run_macs(phases_of(total), space, resolutions, update)
        except ValueError as error:
            refusals.append(error)
            return 0.0

    # No training of anything is cheaper than that of the smallest subnet alone.
    tiniest = dataclasses.replace(space, resolution=min(resolutions, default=space.resolution))
    most = 1 + budget / ((1 + BACKWARD) * macs(layers(tiniest, smallest(space))))
    low, high = 0, 1
    while spent(high) < budget:
        if high > most:
            raise refusals[-1]
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if spent(middle) < budget else (low, middle)
    trained = [total for total in (low, high) if spent(total)] if low else [high]
    found = min(trained, key=lambda total: abs(spent(total) - budget))
    if abs(spent(found) - budget) > TOLERANCE * budget:
        why = f": {refusals[-1]}" if refusals else ""
        raise ValueError(f"the nearest run has {found} steps and costs "
                         f"{spent(found) / budget:.2f} times the budget{why}")
    return found
