"""The best of the networks that a limit allows, measured on validation clips."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import jax

from deps_jax.space import cost
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, sample
from deps_jax.space.subnet_text import decode, encode
from nurture_jax.network.backbones import without_classifier
from nurture_jax.once_for_all.subnets import Measured, TrainedOnce

JUDGED_BY = "mae_weight_g"
MOST_DRAWS = 2000  # until so many were over the limit in vain
NEAR = 0.6  # part of the limit from which a drawn network is worth measuring; ours


@dataclasses.dataclass(frozen=True)
class Limit:
    """What a network may cost.

    Attributes:
      cost_of: Cost of a static subnet.
      most: The largest cost that is allowed.
      unit: What a cost is counted in, for messages.

    Raises:
      ValueError: If the limit is not above 0.
    """

    cost_of: Callable[[Subnet], float]
    most: float
    unit: str

    def __post_init__(self) -> None:
        if not self.most > 0:
            raise ValueError(f"a limit of {self.most:g} {self.unit} is not above 0; raise it")

    @classmethod
    def of_macs(cls, trained: TrainedOnce, most_millions: float) -> Limit:
        """A limit of the backbone's million multiply-adds for a frame."""
        space = trained.network.space
        return cls(lambda subnet: backbone_macs(space, subnet) / 1e6, most_millions,
                   "million multiply-adds a frame")


def best_within(trained: TrainedOnce, limit: Limit, candidates: int, seed: int = 0) -> Measured:
    """The network of the smallest error of the weight among some that a limit allows.

    Uniform networks within the limit are measured, and then drawn ones that come near it.

    Args:
      limit: What it may cost.
      candidates: Number of networks that are measured.

    Raises:
      ValueError: If no network is within; the message names the nearest.
    """
    space = trained.network.space
    costs = {name: limit.cost_of(decode(space, name)) for name in trained.names}
    within = [name for name, found in costs.items() if found <= limit.most]
    if not within:
        nearest = min(costs, key=costs.get)
        raise ValueError(f"no network costs {limit.most:g} {limit.unit} or less; the nearest, "
                         f"{nearest}, costs {costs[nearest]:.2f}: raise the limit above "
                         f"that")
    for name in _drawn(trained, limit, seed):
        if len(within) >= candidates:
            break
        if name not in within:
            within.append(name)
    measured = []
    for name in within[:candidates]:
        measured.append(trained.measure(name))
        print(f"{name}: {limit.cost_of(decode(space, name)):.2f} {limit.unit}, "
              f"{measured[-1].errors[JUDGED_BY]:.0f} g", flush=True)
    return min(measured, key=lambda one: one.errors[JUDGED_BY])


def backbone_macs(space: SearchSpace, subnet: Subnet) -> int:
    """Multiply-adds of a subnet's backbone for a frame."""
    return cost.macs(without_classifier(layers(space, subnet)))


def _drawn(trained: TrainedOnce, limit: Limit, seed: int) -> Iterator[str]:
    """Names of drawn subnets that come near the limit from below."""
    space = trained.network.space
    for key in jax.random.split(jax.random.key(seed), MOST_DRAWS):
        subnet = jax.device_get(sample(key, space))
        if NEAR * limit.most <= limit.cost_of(subnet) <= limit.most:
            yield encode(space, subnet)
