"""Candidates of a search as vectors of small integers, and those that differ in one of them."""
from __future__ import annotations

import dataclasses

import numpy as np

from deps_jax.space.candidate import Candidates
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, canonical, width_choices

SCATTER = 0.15  # of the genes of one candidate around its level, in shares of their range


@dataclasses.dataclass(frozen=True)
class Genome:
    """Candidates as vectors of small integers.

    The integers are positions of every depth, kernel, expand ratio and width and of the
    resolution, all from small to large.

    Attributes:
      space: The search space.
      resolutions: Resolutions in pixels to choose from, ascending.
    """

    space: SearchSpace
    resolutions: tuple[int, ...]

    @property
    def counts(self) -> np.ndarray:
        """Number of values that each gene has, [genes] integers."""
        stages, deep = self.space.stages, range(self.space.max_depth)
        return np.array([*(len(stage.depths) for stage in stages),
                         *(len(stage.kernels) for stage in stages for _ in deep),
                         *(len(stage.expands) for stage in stages for _ in deep),
                         *(len(widths) for widths in width_choices(self.space)),
                         len(self.resolutions)])

    def decode(self, genes: np.ndarray) -> Candidates:
        """The n candidates of genes [n, genes]; genes of inactive blocks are ignored."""
        positions, kernel, expand, width, resolution = self._split(np.asarray(genes, np.int32))
        s, d = len(self.space.stages), self.space.max_depth
        depth = np.stack([np.array(stage.active_depths, np.int32)[positions[:, i]]
                          for i, stage in enumerate(self.space.stages)], 1)
        subnets = canonical(Subnet(depth, kernel.reshape(-1, s, d), expand.reshape(-1, s, d),
                                   width if width.size else None))
        return Candidates(subnets, np.array(self.resolutions, np.int32)[resolution[:, 0]])

    def canonical(self, genes: np.ndarray) -> np.ndarray:
        """Genes [n, genes] with those of inactive blocks 0: equal for equal candidates."""
        positions, _, _, width, resolution = self._split(np.asarray(genes, np.int32))
        subnets = self.decode(genes).subnets
        return np.concatenate([positions, subnets.kernel.reshape(len(genes), -1),
                               subnets.expand.reshape(len(genes), -1), width, resolution], 1)

    def spread(self, count: int, seed: int) -> np.ndarray:
        """Genes of candidates from the smallest to the largest, [count, genes].

        Uniform draws are all of about one size; here each has a level of its own that its genes
        scatter around, and both ends are there.
        """
        noise = np.random.default_rng(seed).standard_normal((count, len(self.counts)))
        level = np.linspace(0, 1, count)[:, None] + SCATTER * noise
        genes = np.clip((level * self.counts).astype(int), 0, self.counts - 1)
        genes[0], genes[-1] = 0, self.counts - 1
        return genes

    def _split(self, genes: np.ndarray) -> list[np.ndarray]:
        """The genes of depths, kernels, expand ratios, widths and the resolution."""
        s, d = len(self.space.stages), self.space.max_depth
        return np.split(genes, [s, s + s * d, s + 2 * s * d, genes.shape[1] - 1], axis=1)


def neighbours(genes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """All genes that differ in one place from one of [n, genes], [n * sum(counts - 1), genes]."""
    rows = []
    for place, count in enumerate(counts):
        for step in range(1, count):
            moved = genes.copy()
            moved[:, place] = (moved[:, place] + step) % count
            rows.append(moved)
    return np.concatenate(rows) if rows else genes[:0]
