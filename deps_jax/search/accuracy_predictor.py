"""Accuracy of networks that nobody has measured, from a few hundred that were (`measured`)."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.stats import spearmanr

from deps_jax.search.gaussian_process import GaussianProcess
from deps_jax.space.candidate import Candidates
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import width_choices

FOLDS = 5  # of the cross-validation
LEAST = 4 * FOLDS  # measured networks that a predictor needs


def features(space: SearchSpace, candidates: Candidates, resolutions: Sequence[int]) -> np.ndarray:
    """Choices of n candidates as zeros and ones, [n, features] float64.

    They are the resolution, then depth, kernels and expand ratios of every stage, then widths. A
    block that is left out has no choice, so its features are all 0.

    Args:
      resolutions: Resolutions in pixels that have a feature each.
    """
    depth, kernel, expand = (np.asarray(leaf) for leaf in (
        candidates.subnets.depth, candidates.subnets.kernel, candidates.subnets.expand))
    columns = [candidates.resolution == resolution for resolution in resolutions]
    for s, stage in enumerate(space.stages):
        columns += [depth[:, s] == value for value in stage.active_depths]
        for d in range(stage.max_depth):
            active = depth[:, s] > d
            columns += [active & (kernel[:, s, d] == k) for k in range(len(stage.kernels))]
            columns += [active & (expand[:, s, d] == e) for e in range(len(stage.expands))]
    for i, widths in enumerate(width_choices(space)):
        columns += [np.asarray(candidates.subnets.width)[:, i] == w for w in range(len(widths))]
    return np.stack(columns, 1).astype(np.float64)


def amounts(space: SearchSpace, candidates: Candidates) -> list[np.ndarray]:
    """Choices of n candidates as sizes, in blocks of columns that belong together.

    Returns:
      For every stage the kernel sizes of its blocks, [n, d] float64, then for every stage the
      expand ratios, in shares of the stage's largest, 0 for a block that is left out; then the
      widths of the space and the resolution, [n, widths + 1].
    """
    depth, kernel, expand = (np.asarray(leaf) for leaf in (
        candidates.subnets.depth, candidates.subnets.kernel, candidates.subnets.expand))
    kernels, expands = [], []
    for s, stage in enumerate(space.stages):
        active = np.arange(stage.max_depth) < depth[:, s, None]
        for found, values, positions in ((kernels, stage.kernels, kernel),
                                         (expands, stage.expands, expand)):
            sizes = np.array(values, np.float64) / values[-1]
            found.append(active * sizes[positions[:, s, :stage.max_depth]])
    widths = [np.array(choices)[np.asarray(candidates.subnets.width)[:, i]]
              for i, choices in enumerate(width_choices(space))]
    return [*kernels, *expands,
            np.stack([*widths, np.log(candidates.resolution / space.resolution)], 1)]


def _blocks(space: SearchSpace, candidates: Candidates, resolutions: Sequence[int]
            ) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the Gaussian process sees: every choice, and sums over stages; then `amounts`.

    Sums learn from all blocks of a stage at once, which is most of what fifty networks can tell;
    single choices are told apart when there are hundreds.
    """
    sizes = amounts(space, candidates)
    depth = np.asarray(candidates.subnets.depth, np.float64) / [
        stage.max_depth for stage in space.stages]
    sums = np.stack([block.sum(1) for block in sizes[:-1]], 1)
    return ([features(space, candidates, resolutions),
             np.concatenate([depth, sums, sizes[-1]], 1)], sizes)


@dataclasses.dataclass(frozen=True)
class AccuracyPredictor:
    """Top-1 from choices, by a Gaussian process.

    Attributes:
      space: Space of the networks.
      names: Names of the networks it has learnt from, as `candidate_name` writes them.
      top1: Measured top-1 of each, from 0 to 1, [n].
      resolutions: Resolutions in pixels among them, ascending.
      model: The process, fitted on all of them.
    """

    space: SearchSpace
    names: tuple[str, ...]
    top1: np.ndarray
    resolutions: tuple[int, ...]
    model: GaussianProcess

    @classmethod
    def fit(cls, space: SearchSpace, names: Sequence[str], top1: Sequence[float]
            ) -> AccuracyPredictor:
        """Learns from measured networks.

        Args:
          names: Names of the networks, as `candidate_name` writes them.
          top1: Measured top-1 of each, from 0 to 1.

        Raises:
          ValueError: If there are fewer than `LEAST` networks.
        """
        if len(names) < LEAST:
            raise ValueError(f"{len(names)} measured subnets are too few for a predictor; measure "
                             f"{LEAST} or more")
        candidates = Candidates.named(space, names)
        resolutions = tuple(int(pixels) for pixels in np.unique(candidates.resolution))
        y = np.asarray(top1, np.float64)
        return cls(space, tuple(names), y, resolutions, GaussianProcess.fit(
            *_blocks(space, candidates, resolutions), y))

    @cached_property
    def unseen(self) -> np.ndarray:
        """Top-1 of every network predicted from four fifths of the others, [n]."""
        blocks = _blocks(self.space, Candidates.named(self.space, self.names), self.resolutions)
        fold, found = np.arange(len(self.names)) % FOLDS, np.zeros(len(self.names))
        at = lambda places: ([block[places] for block in kind] for kind in blocks)
        for left_out in range(FOLDS):
            known = GaussianProcess.fit(*at(fold != left_out), self.top1[fold != left_out])
            found[fold == left_out] = known(*at(fold == left_out))
        return found

    @property
    def error(self) -> float:
        """Root mean squared error of `unseen`."""
        return float(np.sqrt(np.mean((self.unseen - self.top1)**2)))

    @property
    def rank_correlation(self) -> float:
        """Spearman's rank correlation of `unseen` with what was measured."""
        return float(spearmanr(self.unseen, self.top1).statistic)

    def __call__(self, candidates: Candidates) -> np.ndarray:
        """Predicted top-1 of n candidates, [n] float."""
        return self.model(*_blocks(self.space, candidates, self.resolutions))

    def summary(self) -> str:
        """Its errors, as a sentence for the terminal."""
        return (f"accuracy predictor: error {100 * self.error:.2f} points, rank correlation "
                f"{self.rank_correlation:.3f} on unseen subnets")
