"""What differs between training methods, as values: which subnets, which losses, from which step.

Every method is full-model warm-up, then supernet steps whose subnets' learning rates rise over a
ramp. DepS has all three; BigNAS starts supernet steps at once; plain training never does.
"""
from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp

from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, largest, sample, sample_compound, smallest

SAMPLERS = {"uniform": sample, "compound": sample_compound}
AGGREGATIONS = ("sum", "avg", "avg_sqrt")


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to train a supernet (DepS, section 3 of the paper; deps_reference 4).

    Attributes:
      name: for logs and reports.
      full_model_fraction: part of the run after which subnets train at full rate (the paper's
        best is about half; its ImageNet run uses epoch 150 of 270, 0.556).
      ramp_epochs: epochs before that point over which the subnets' rate rises from 0 (5).
      ramp_target_epochs: the ramp ends at the base rate of so many epochs after it: 0.0 at the
        base rate itself, so that nothing jumps; 1.0 as the reference does (see `shrink`).
      subnets_per_step: the full model, the smallest and n - 2 sampled ones (4); 1 is plain
        training of the full model.
      sampling: "uniform" or "compound" (CompOFA).
      distill: subnets learn from the full model of the same step instead of from the labels.
      temperature: of that distillation.
      sort_channels: reorder channels by importance when supernet steps start.
      aggregation: how gradients of the subnets are joined, "sum", "avg" or "avg_sqrt".
      smallest_weight, sampled_weight: final multiplier on the subnets' learning rate (1).
    """

    name: str
    full_model_fraction: float = 0.55
    ramp_epochs: float = 5.0
    ramp_target_epochs: float = 1.0
    subnets_per_step: int = 4
    sampling: str = "uniform"
    distill: bool = True
    temperature: float = 1.0
    sort_channels: bool = True
    aggregation: str = "sum"
    smallest_weight: float = 1.0
    sampled_weight: float = 1.0

    def __post_init__(self):
        if not 0 <= self.full_model_fraction < 1:
            raise ValueError(f"full_model_fraction {self.full_model_fraction} is not in [0, 1); it "
                             f"is the part of the run before subnets train at full rate, e.g. 0.55")
        if not 0 <= self.ramp_target_epochs < math.inf:
            raise ValueError(f"ramp_target_epochs {self.ramp_target_epochs} is not 0 or more; use "
                             f"0 for a ramp that ends at the base rate, 1 for the reference's")
        if self.ramp_epochs < 0 or self.temperature <= 0:
            raise ValueError(f"ramp_epochs {self.ramp_epochs} and temperature {self.temperature} "
                             f"must be >= 0 and > 0; use 5 and 1")
        if self.subnets_per_step < 1:
            raise ValueError(f"subnets_per_step {self.subnets_per_step} is below 1; use 1 for "
                             f"plain training, 4 for the paper's sandwich")
        for field, allowed in (("sampling", tuple(SAMPLERS)), ("aggregation", AGGREGATIONS)):
            value = getattr(self, field)
            if value not in allowed:
                raise ValueError(f"{field} {value!r} is unknown; use one of {allowed}")

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the subnets of one supernet step; keys of the gradient trees."""
        sampled = tuple(f"sampled_{i}" for i in range(1, self.subnets_per_step - 1))
        return ("largest", "smallest", *sampled)[: self.subnets_per_step]


DEPS = Method("deps")
BIGNAS = Method("bignas", full_model_fraction=0.0, ramp_epochs=0.0, sort_channels=False)
PLAIN = Method("plain", subnets_per_step=1, full_model_fraction=0.0, ramp_epochs=0.0,
               sort_channels=False)
METHODS = {method.name: method for method in (DEPS, BIGNAS, PLAIN)}


@dataclasses.dataclass(frozen=True)
class Timeline:
    """A method laid over a run, in steps.

    Attributes:
      supernet_start: first step that trains subnets.
      ramp_end: first step at which they train at full rate.
      total: steps of the run.
      steps_per_epoch: of the training data.
    """

    supernet_start: int
    ramp_end: int
    total: int
    steps_per_epoch: int

    @classmethod
    def of(cls, method: Method, total_steps: int, steps_per_epoch: int) -> Timeline:
        """Raises ValueError when the ramp does not fit before the warm-up's end."""
        if method.subnets_per_step == 1:
            return cls(total_steps, total_steps, total_steps, steps_per_epoch)
        ramp_end = round(method.full_model_fraction * total_steps)
        start = ramp_end - round(method.ramp_epochs * steps_per_epoch)
        if start < 0:
            raise ValueError(
                f"a ramp of {method.ramp_epochs} epochs ({ramp_end - start} steps) does not fit in "
                f"the first {method.full_model_fraction:.0%} of {total_steps} steps; shorten "
                f"method.ramp_epochs or train longer"
            )
        return cls(start, ramp_end, total_steps, steps_per_epoch)


def sandwich(key: jax.Array, space: SearchSpace, method: Method) -> Subnet:
    """The subnets of one step stacked on a leading axis: largest, smallest, then sampled ones."""
    fixed = [largest(space), smallest(space)][: method.subnets_per_step]
    keys = jax.random.split(key, len(method.slots))
    sampled = [SAMPLERS[method.sampling](k, space) for k in keys[2:]]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *fixed, *sampled)
