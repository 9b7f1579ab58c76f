"""What a search chooses between: a subnet together with the resolution of its images.

As text, "d2e3k7@24" is a subnet (see `subnet`) at 24 px; without "@" it is at the space's own
resolution.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, stack
from deps_jax.space.subnet_text import decode, encode


@dataclasses.dataclass(frozen=True)
class Candidates:
    """n subnets, each with the resolution of its images.

    Attributes:
      subnets: The subnets, stacked: NumPy arrays with a leading axis n.
      resolution: Side of the images of each subnet in pixels, [n] int32.
    """

    subnets: Subnet
    resolution: np.ndarray

    def __len__(self) -> int:
        return len(self.resolution)

    def __getitem__(self, index: np.ndarray) -> Candidates:
        """The candidates at some places, given by a boolean mask or an array of positions."""
        return Candidates(jax.tree.map(lambda leaf: leaf[index], self.subnets),
                          self.resolution[index])

    def names(self, space: SearchSpace) -> tuple[str, ...]:
        """Names of the n candidates, as `candidate_name` writes them."""
        return tuple(
            candidate_name(space, jax.tree.map(lambda leaf, i=i: leaf[i], self.subnets), resolution)
            for i, resolution in enumerate(self.resolution))

    @classmethod
    def named(cls, space: SearchSpace, names: Sequence[str]) -> Candidates:
        """The candidates of these names, in order; ValueError as in `parse_candidate`."""
        subnets, resolutions = zip(*(parse_candidate(space, name) for name in names), strict=True)
        return cls(stack(list(subnets)), np.array(resolutions, np.int32))


Costs = Callable[[Candidates], Mapping[str, np.ndarray]]


def candidate_name(space: SearchSpace, subnet: Subnet, resolution: int) -> str:
    """The name, one line of text, of a static subnet at a resolution in pixels."""
    name = encode(space, subnet)
    return name if resolution == space.resolution else f"{name}@{resolution}"


def parse_candidate(space: SearchSpace, text: str) -> tuple[Subnet, int]:
    """The static subnet and the resolution in pixels that a name stands for.

    Raises:
      ValueError: If the name is none of this space; the message says what is wrong with it.
    """
    name, at, pixels = text.partition("@")
    if at and not (pixels.isdigit() and int(pixels) > 0):
        raise ValueError(f"{text!r}, position {len(name) + 2}: {pixels!r} is no resolution; write "
                         f"pixels after the @, such as {name}@{space.resolution}")
    return decode(space, name), int(pixels) if at else space.resolution


def check_resolutions(resolutions: Sequence[int]) -> tuple[int, ...]:
    """The distinct resolutions, ascending; ValueError if there are none or one is below 1."""
    if not resolutions or min(resolutions) < 1:
        raise ValueError(f"resolutions {list(resolutions)} must be one or more numbers of pixels, "
                         f"such as 24,28,32")
    return tuple(sorted(set(resolutions)))


def by_resolution(costs: Mapping[int, Callable[[Subnet], Mapping[str, np.ndarray]]]) -> Costs:
    """A cost function of candidates, joined from one cost function for each resolution.

    Args:
      costs: For every resolution in pixels, a function from n stacked subnets to their costs,
        {name: [n]}.

    Returns:
      A function from n candidates to their costs, {name: [n] float64}.
    """
    def costs_of(candidates: Candidates) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for resolution in np.unique(candidates.resolution):
            places = np.flatnonzero(candidates.resolution == resolution)
            for name, values in costs[int(resolution)](candidates[places].subnets).items():
                found.setdefault(name, np.zeros(len(candidates)))[places] = values
        return found

    return costs_of
