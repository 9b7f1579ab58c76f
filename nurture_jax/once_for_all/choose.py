"""The best of the networks that a limit allows, measured on validation clips."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import jax
import numpy as np

from deps_jax.search.genome import Genome, neighbours
from deps_jax.space import cost
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, largest
from deps_jax.space.subnet_text import decode, encode
from nurture_jax.network.backbones import without_classifier
from nurture_jax.once_for_all.subnets import Measured, TrainedOnce

JUDGED_BY = "mae_weight_g"
DRAWS, MOST = 500, 2000  # networks drawn at first, and whose cost is asked for in all; ours
NEAR = 0.8  # part of the limit from which a network is worth measuring; ours


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

    Those are measured that come near the limit from below, or near the largest network where that
    is within: first the ones that a report shows, then drawn ones. Where too few are near, those
    further below follow. Each is printed, and that there are fewer than `candidates`.

    Args:
      limit: What it may cost.
      candidates: Number of networks that are measured, at least 1.
      seed: Of the draws.

    Raises:
      ValueError: If no network is within; the message names the nearest.
    """
    space = trained.network.space
    named = {name: limit.cost_of(decode(space, name)) for name in trained.names}
    within = {name: found for name, found in named.items() if found <= limit.most}
    if not within:
        nearest = min(named, key=named.get)
        raise ValueError(f"no network costs {limit.most:g} {limit.unit} or less; the nearest, "
                         f"{nearest}, costs {named[nearest]:.2f}: raise the limit above "
                         f"that")
    least_near = NEAR * min(limit.most, limit.cost_of(largest(space)))
    drawn = _drawn(space, limit, seed)
    while sum(found >= least_near for found in within.values()) < candidates and (
            more := next(drawn, None)) is not None:
        within = more | within
    order = sorted(within, key=lambda name: (
        name not in named or within[name] < least_near, -within[name]))
    measured = []
    for name in order[:candidates]:
        measured.append(trained.measure(name))
        print(f"{name}: {within[name]:.2f} {limit.unit}, "
              f"{measured[-1].errors[JUDGED_BY]:.0f} g", flush=True)
    if len(measured) < candidates:
        print(f"{len(measured)} of {candidates} networks were measured; no more were found within "
              f"{limit.most:g} {limit.unit}", flush=True)
    return min(measured, key=lambda one: one.errors[JUDGED_BY])


def backbone_macs(space: SearchSpace, subnet: Subnet) -> int:
    """Multiply-adds of a subnet's backbone for a frame."""
    return cost.macs(without_classifier(layers(space, subnet)))


def _drawn(space: SearchSpace, limit: Limit, seed: int) -> Iterator[dict[str, float]]:
    """Costs of ever more networks within the limit, by name.

    Uniform draws are all of about one size, so the first are drawn at every size. Near the
    smallest few of them are within; there all change one choice of the costliest that is, and of
    the next one, until MOST costs were asked for.
    """
    genome = Genome(space, (space.resolution,))
    genes = genome.spread(DRAWS, seed)
    within, costs, seen, tried = genes[:0], np.zeros(0), set(), set()
    while len(seen) < MOST:
        genes = np.unique(genome.canonical(genes), axis=0)
        genes = np.array([row for row in genes if row.tobytes() not in seen]).reshape(
            -1, len(genome.counts))[:MOST - len(seen)]
        seen |= {row.tobytes() for row in genes}
        subnets = [jax.tree.map(lambda leaf, i=i: leaf[i], genome.decode(genes).subnets)
                   for i in range(len(genes))]
        found = np.array([limit.cost_of(subnet) for subnet in subnets])
        kept = found <= limit.most
        yield {encode(space, subnets[i]): float(found[i]) for i in np.flatnonzero(kept)}
        within, costs = np.concatenate([within, genes[kept]]), np.append(costs, found[kept])
        left = [i for i in np.argsort(-costs, kind="stable") if within[i].tobytes() not in tried]
        if not left:
            return
        tried.add(within[left[0]].tobytes())
        genes = neighbours(within[left[:1]], genome.counts)
