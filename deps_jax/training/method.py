"""What every method of training a supernet chooses, whatever its phases are."""
from __future__ import annotations

import abc
import dataclasses

from deps_jax.common.command.named import named
from deps_jax.training.losses import LOSSES, Distillation, Loss
from deps_jax.training.phases import Phase, Plan
from deps_jax.training.rates import WEIGHTS, Weight
from deps_jax.training.samplers import SAMPLERS, Sampler

# How the gradients of a step are joined: their sum is `subnets_per_step` times the rate of their
# mean. "avg" and "avg_sqrt" divide by how many subnets use a parameter, and by its root.
AGGREGATIONS = ("sum", "mean", "avg", "avg_sqrt")
NO_WEIGHT = "constant"


@dataclasses.dataclass(frozen=True)
class Method(abc.ABC):
    """What all methods choose.

    Sampling, loss and weight are names of ours, or "module:NAME" of values of the user's own.

    Attributes:
      name: Name in logs and reports.
      subnets_per_step: Number of networks that a step trains; 1 is one network alone.
      sampling: How subnets are drawn, a name of `samplers.SAMPLERS`.
      loss: Loss of the subnets, a name of `losses.LOSSES`.
      temperature: Temperature of a loss that is a `losses.Distillation`, such as "soft".
      weight: Further factor on the subnets' rate, "constant" or a name of `rates.WEIGHTS`.
      aggregation: How the gradients of a step are joined, one of AGGREGATIONS.
    """

    name: str
    subnets_per_step: int = 4
    sampling: str = "uniform"
    loss: str = "soft"
    temperature: float = 1.0
    weight: str = NO_WEIGHT
    aggregation: str = "sum"

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"temperature {self.temperature} is not above 0; use 1")
        if self.subnets_per_step < 1:
            raise ValueError(f"subnets_per_step {self.subnets_per_step} is below 1; use 1 for "
                             f"plain training, 4 for the paper's sandwich")
        if self.aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation {self.aggregation!r} is unknown; use one of "
                             f"{AGGREGATIONS}")
        self.sampler, self.subnet_loss, self.subnet_weight  # noqa: B018 - refused if unknown

    @abc.abstractmethod
    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """The phases of a run, in order, from step 0 to `plan.total` without a gap.

        Raises:
          ValueError: If the run is too short for them, or the space does not allow them.
        """

    @property
    def fixed(self) -> tuple[str, ...]:
        """Fields whose values the name of the method means: no config may give them others."""
        return ()

    @property
    def trains_space(self) -> bool:
        """Whether a step trains more than one network."""
        return self.subnets_per_step > 1

    @property
    def sampler(self) -> Sampler:
        """The sampler that `sampling` names."""
        return named("method.sampling", self.sampling, SAMPLERS, Sampler)

    @property
    def subnet_loss(self) -> Loss:
        """The loss that `loss` names, with the temperature."""
        loss = named("method.loss", self.loss, LOSSES, Loss)
        if isinstance(loss, Distillation):
            return dataclasses.replace(loss, temperature=self.temperature)
        return loss

    @property
    def subnet_weight(self) -> Weight | None:
        """The weight that `weight` names; None for "constant"."""
        return None if self.weight == NO_WEIGHT else named(
            "method.weight", self.weight, WEIGHTS, Weight)
