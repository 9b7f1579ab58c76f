"""Sandwiches: the full model, the smallest subnet and sampled ones in one step.

DepS (arXiv 2407.06167, section 3) trains the full model alone first, and lets the subnets' rates
rise from 0; BigNAS (arXiv 2003.11142) and what follows it start with sandwiches at full rate.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from deps_jax.training.losses import Hard
from deps_jax.training.method import Method
from deps_jax.training.phases import Phase, Plan, Slot
from deps_jax.training.rates import ramp
from deps_jax.training.samplers import Choosing, Either, Named, Sampler


@dataclasses.dataclass(frozen=True)
class Sandwich(Method):
    """Full-model warm-up, then sandwiches whose subnets' rates rise from 0 over a ramp.

    With one subnet a step it is plain training, which never comes to sandwiches.

    Attributes:
      full_model_fraction: Part of the run after which subnets train at full rate, in [0, 1) (the
        paper's best is about half; its ImageNet run uses epoch 150 of 270, 0.556).
      ramp_epochs: Epochs before that point over which the subnets' rate rises from 0.
      ramp_target_epochs: The ramp ends at the base rate of so many epochs after it: with 0.0 at
        the base rate itself, so that nothing jumps; with 1.0 as in the reference (see `shrink`).
      sort_channels: Whether channels are reordered by importance when sandwiches start.
      smallest_weight, sampled_weight: Factor on the rate of the smallest and of sampled subnets
        during and after the ramp; 1 takes them to the base rate.
      warm_up: Names of the networks that are trained alone before sandwiches, one after the other,
        in equal parts: "largest" in DepS; to grow, "smallest", or others before it.
      full_model_share: Part of the sandwiches, drawn at random, whose first network is the full
        model. In the others it is a sampled one; it learns from labels and teaches, too.
    """

    full_model_fraction: float = 0.55
    ramp_epochs: float = 5.0
    ramp_target_epochs: float = 1.0
    sort_channels: bool = True
    smallest_weight: float = 1.0
    sampled_weight: float = 1.0
    warm_up: tuple[str, ...] = ("largest",)
    full_model_share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.full_model_fraction < 1:
            raise ValueError(f"full_model_fraction {self.full_model_fraction} is not in [0, 1); it "
                             f"is the part of the run before subnets train at full rate, e.g. 0.55")
        if not 0 <= self.ramp_target_epochs < math.inf:
            raise ValueError(f"ramp_target_epochs {self.ramp_target_epochs} is not 0 or more; use "
                             f"0 for a ramp that ends at the base rate, 1 for the reference's")
        if self.ramp_epochs < 0:
            raise ValueError(f"ramp_epochs {self.ramp_epochs} is below 0; use 5")
        object.__setattr__(self, "warm_up", tuple(self.warm_up))
        if not self.warm_up or len(set(self.warm_up)) < len(self.warm_up):
            raise ValueError(f"warm_up {self.warm_up} must name networks, each once; use "
                             f"('largest',) for the paper's")
        if self.sort_channels and self.trains_space and self.warm_up[-1] != "largest":
            raise ValueError(f"warm_up ends with {self.warm_up[-1]!r}, so channels that were never "
                             f"trained could be sorted before others; set sort_channels=False")
        if not 0 <= self.full_model_share <= 1:
            raise ValueError(f"full_model_share {self.full_model_share} is not in [0, 1]; use 1 "
                             f"for the full model in every sandwich")
        if self.full_model_share < 1 and isinstance(self.sampler, Choosing):
            raise ValueError(f"sampling {self.sampling!r} chooses among candidates, which cannot "
                             f"stand in for the full model; use 'uniform', or full_model_share 1")

    @property
    def fixed(self) -> tuple[str, ...]:
        """Where sandwiches start at once, at full rate, the fields that say so."""
        return () if self.full_model_fraction else ("full_model_fraction", "ramp_epochs")

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """The phases of networks alone, of the full model in DepS, then that of sandwiches.

        One that has no steps is left out.

        Raises:
          ValueError: As `ramp_steps`.
        """
        start, end = self.ramp_steps(plan)
        full = Slot("largest", Named(plan.subnet), Hard(), dropout=True)
        teacher = full if self.full_model_share == 1 else Slot(
            "teacher", Either(full.subnet, self.sampler, self.full_model_share), Hard(),
            dropout=True)
        found = (*self._alone(plan, start, full),
                 Phase("supernet step", start, plan.total,
                       (teacher, *self._subnets(plan, start, end)),
                       plan.learning_rate, sort_channels=self.sort_channels,
                       note=f"subnets at full rate from {end}"))
        return tuple(phase for phase in found if phase.start < phase.stop)

    def _alone(self, plan: Plan, stop: int, full: Slot) -> Iterator[Phase]:
        """Phases of one network each, up to step `stop`."""
        for i, name in enumerate(self.warm_up):
            ends = [round(part * stop / len(self.warm_up)) for part in (i, i + 1)]
            if name == "largest":
                yield Phase("full-model step", *ends, (full,), plan.learning_rate)
            else:
                own = Slot(f"{name} alone", Named(name), Hard(), dropout=True)
                yield Phase(f"{name} alone step", *ends, (own,), plan.learning_rate)

    def ramp_steps(self, plan: Plan) -> tuple[int, int]:
        """The first step that trains subnets, and the first at which they train at full rate.

        Both are the end of the run in plain training.

        Raises:
          ValueError: If the ramp is longer than `full_model_fraction` of the run.
        """
        if not self.trains_space:
            return plan.total, plan.total
        end = round(self.full_model_fraction * plan.total)
        start = end - round(self.ramp_epochs * plan.steps_per_epoch)
        if start < 0:
            raise ValueError(
                f"a ramp of {self.ramp_epochs} epochs ({end - start} steps) does not fit in "
                f"the first {self.full_model_fraction:.0%} of {plan.total} steps; shorten "
                f"method.ramp_epochs or train longer")
        return start, end

    def _subnets(self, plan: Plan, start: int, end: int) -> tuple[Slot, ...]:
        target = end + round(self.ramp_target_epochs * plan.steps_per_epoch)

        def slot(name: str, sampler: Sampler, weight: float) -> Slot:
            return Slot(name, sampler, self.subnet_loss,
                        ramp(plan.learning_rate, start, end, target, weight), self.subnet_weight)

        sampled = (slot(f"sampled_{i}", self.sampler, self.sampled_weight)
                   for i in range(1, self.subnets_per_step - 1))
        smallest = slot("smallest", Named("smallest"), self.smallest_weight)
        return (smallest, *sampled)[:self.subnets_per_step - 1]
