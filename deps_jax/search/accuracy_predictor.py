"""Accuracy of networks that nobody has measured, from a few hundred that were (`measured`)."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np
from scipy.stats import spearmanr
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from deps_jax.space.candidate import Candidates, candidate_name
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import canonical, largest, sample, smallest, width_choices

_CANDIDATES: dict[str, Callable] = {
    "ridge": lambda: RidgeCV(alphas=np.logspace(-3, 3, 13)),
    "support vectors": lambda: TransformedTargetRegressor(
        SVR(C=3.0, epsilon=0.05), transformer=StandardScaler()),
    "gradient boosting": lambda: GradientBoostingRegressor(
        n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8, random_state=0),
}
FOLDS = 5


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


@dataclasses.dataclass(frozen=True)
class AccuracyPredictor:
    """Top-1 from choices: the best of a linear model, support vectors and boosted trees.

    Attributes:
      space: Space of the networks.
      resolutions: Resolutions in pixels of the networks it has learnt from, ascending.
      name: Name of the chosen model.
      error: Root mean squared error of top-1 on networks it had not seen (cross-validation).
      rank_correlation: Spearman's rank correlation on the same networks.
      compared: Error of every model that was tried, by its name.
      model: The chosen model, fitted on all networks.
    """

    space: SearchSpace
    resolutions: tuple[int, ...]
    name: str
    error: float
    rank_correlation: float
    compared: dict[str, float]
    model: object

    @classmethod
    def fit(cls, space: SearchSpace, names: Sequence[str], top1: Sequence[float]
            ) -> AccuracyPredictor:
        """Learns from measured networks.

        Args:
          names: Names of the networks, as `candidate_name` writes them.
          top1: Measured top-1 of each, from 0 to 1.

        Raises:
          ValueError: If there are fewer than 4 networks in each of the five folds.
        """
        if len(names) < 4 * FOLDS:
            raise ValueError(f"{len(names)} measured subnets are too few for a predictor; measure "
                             f"{4 * FOLDS} or more")
        candidates = Candidates.named(space, names)
        resolutions = tuple(int(pixels) for pixels in np.unique(candidates.resolution))
        x = features(space, candidates, resolutions)
        y = np.asarray(top1, np.float64)
        unseen = {name: cross_val_predict(make(), x, y, cv=FOLDS)
                  for name, make in _CANDIDATES.items()}
        errors = {name: float(np.sqrt(np.mean((guess - y) ** 2)))
                  for name, guess in unseen.items()}
        best = min(errors, key=errors.get)
        return cls(space, resolutions, best, errors[best],
                   float(spearmanr(unseen[best], y).statistic), errors,
                   _CANDIDATES[best]().fit(x, y))

    def __call__(self, candidates: Candidates) -> np.ndarray:
        """Predicted top-1 of n candidates, [n] float."""
        return self.model.predict(features(self.space, candidates, self.resolutions))

    def summary(self) -> str:
        """The chosen model and its errors, as a sentence for the terminal."""
        others = ", ".join(f"{name} {100 * error:.2f}" for name, error in self.compared.items())
        return (f"accuracy predictor: {self.name}, error {100 * self.error:.2f} points, rank "
                f"correlation {self.rank_correlation:.3f} on unseen subnets (all: {others})")


def sampled_names(space: SearchSpace, count: int, seed: int,
                  resolutions: Sequence[int] = ()) -> list[str]:
    """Names of distinct networks: the smallest, the largest, then uniform samples.

    Args:
      count: Number of networks; a small space gives fewer.
      seed: Seed of the samples.
      resolutions: Resolutions in pixels to draw from, ascending; () takes the space's own.
    """
    resolutions = tuple(resolutions) or (space.resolution,)
    names = dict.fromkeys([candidate_name(space, smallest(space), resolutions[0]),
                           candidate_name(space, largest(space), resolutions[-1])])
    key = jax.random.key(seed)
    draw = jax.jit(lambda i: sample(jax.random.fold_in(key, i), space))
    pixels = np.random.default_rng(seed).choice(resolutions, 20 * count)
    for i in range(20 * count):
        if len(names) >= min(count, space.size() * len(resolutions)):
            break
        names.setdefault(candidate_name(space, canonical(draw(i)), int(pixels[i])))
    return list(names)[:count]
