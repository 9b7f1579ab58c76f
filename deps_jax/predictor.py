"""Accuracy of subnets that nobody has measured, from a few hundred that were.

Subnets are sampled, recalibrated and evaluated one after the other (a stopped measurement goes
on), then a small model learns accuracy from their choices.
"""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from scipy.stats import spearmanr
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from deps_jax.space import SearchSpace
from deps_jax.subnet import Subnet, canonical, decode, encode, sample, stack

_CANDIDATES: dict[str, Callable] = {
    "ridge": lambda: RidgeCV(alphas=np.logspace(-3, 3, 13)),
    "support vectors": lambda: TransformedTargetRegressor(
        SVR(C=3.0, epsilon=0.05), transformer=StandardScaler()),
    "gradient boosting": lambda: GradientBoostingRegressor(
        n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8, random_state=0),
}
FOLDS = 5


def features(space: SearchSpace, subnets: Subnet) -> np.ndarray:
    """[n, f] 0/1 choices of n stacked subnets: each depth, and (kernel, expand) of each block.

    A block that is left out has no choice, so its features are all 0.
    """
    depth, kernel, expand = (np.asarray(leaf) for leaf in (
        subnets.depth, subnets.kernel, subnets.expand))
    columns = []
    for s, stage in enumerate(space.stages):
        columns += [depth[:, s] == value for value in stage.depths]
        for d in range(stage.max_depth):
            active = depth[:, s] > d
            columns += [active & (kernel[:, s, d] == k) for k in range(len(stage.kernels))]
            columns += [active & (expand[:, s, d] == e) for e in range(len(stage.expands))]
    return np.stack(columns, 1).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class AccuracyPredictor:
    """Top-1 from choices: the best of a linear model, support vectors and boosted trees.

    Attributes:
      name: of the chosen model.
      error: root mean squared error on subnets it had not seen (cross-validation).
      rank_correlation: Spearman's, on the same.
      compared: {name: error} of all candidates.
    """

    space: SearchSpace
    name: str
    error: float
    rank_correlation: float
    compared: dict[str, float]
    model: object

    @classmethod
    def fit(cls, space: SearchSpace, names: Sequence[str], top1: Sequence[float]
            ) -> AccuracyPredictor:
        """Learns from measured subnets.

        Raises:
          ValueError: for fewer than 4 subnets in each of the five folds.
        """
        if len(names) < 4 * FOLDS:
            raise ValueError(f"{len(names)} measured subnets are too few for a predictor; measure "
                             f"{4 * FOLDS} or more")
        x = features(space, stack([decode(space, name) for name in names]))
        y = np.asarray(top1, np.float64)
        unseen = {name: cross_val_predict(make(), x, y, cv=FOLDS)
                  for name, make in _CANDIDATES.items()}
        errors = {name: float(np.sqrt(np.mean((guess - y) ** 2)))
                  for name, guess in unseen.items()}
        best = min(errors, key=errors.get)
        return cls(space, best, errors[best], float(spearmanr(unseen[best], y).statistic), errors,
                   _CANDIDATES[best]().fit(x, y))

    def __call__(self, subnets: Subnet) -> np.ndarray:
        """[n] predicted top-1 of n stacked subnets."""
        return self.model.predict(features(self.space, subnets))

    def summary(self) -> str:
        others = ", ".join(f"{name} {100 * error:.2f}" for name, error in self.compared.items())
        return (f"accuracy predictor: {self.name}, error {100 * self.error:.2f} points, rank "
                f"correlation {self.rank_correlation:.3f} on unseen subnets (all: {others})")


def sampled_names(space: SearchSpace, count: int, seed: int) -> list[str]:
    """Distinct subnets: smallest, largest, then uniform samples."""
    names = dict.fromkeys([encode(space, decode(space, name)) for name in ("smallest", "largest")])
    key = jax.random.key(seed)
    draw = jax.jit(lambda i: sample(jax.random.fold_in(key, i), space))
    for i in range(20 * count):
        if len(names) >= min(count, space.size()):
            break
        names.setdefault(encode(space, canonical(draw(i))))
    return list(names)[:count]


class Measurements:
    """Measured subnets in a JSON-lines file: what is there is not measured again.

    Args:
      path: of the file; made when the first subnet is measured.
      settings: of the measurement, kept with every line; lines of other settings do not count.
    """

    def __init__(self, path: Path, settings: dict):
        self.path, self.settings, self.top1 = path, json.loads(json.dumps(settings)), {}
        if path.is_file():
            for line in path.read_text().splitlines():
                record = _parsed(line)
                if record.get("settings") == self.settings:
                    self.top1[record["subnet"]] = record["top1"]

    def __call__(self, names: Sequence[str], measure: Callable[[str], float], progress=iter
                 ) -> np.ndarray:
        """[n] top-1 of subnets, measuring those that are missing."""
        missing = [name for name in dict.fromkeys(names) if name not in self.top1]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for name in progress(missing):
            self.top1[name] = float(measure(name))
            record = {"subnet": name, "top1": self.top1[name], "settings": self.settings}
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")
        return np.array([self.top1[name] for name in names])


def _parsed(line: str) -> dict:
    try:
        return json.loads(line)
    except json.JSONDecodeError:  # cut off by the crash after which we continue
        return {}
