"""How like the recordings of training a recording is: a score of what is not known.

Three groups of numbers of a recording are each compared with those of the training split by the
Mahalanobis distance (Lee et al. 2018, arXiv 1807.03888): what the backbone says of the frames, how
sure the points of the body are, and the lengths between them. What is no newborn is often near in
one of them, rarely in all. The limit is calibrated on recordings that trained nothing, with room
for a newborn of another kind. Pure NumPy.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np

FEATURES, SURENESS, BUILD = "features", "sureness", "build"
KEPT = 16  # leading directions of the features; of what lies outside them there is one variance
# A newborn of another make than those of training may be so much less sure, and so differently
# built; in logarithms, ours.
LESS_SURE, OTHERWISE_BUILT = 0.05, 0.2
# The limit is the quantile of a log-normal with the median of the recordings that calibrate and
# this spread. Of 76 newborns the median is known to 4 %, their 98 % quantile to 20 % and more; the
# spread was 0.24 to 0.34 in five sets. The room lets newborns of another kind pass. Ours, see
# docs/nurture_evaluation.md.
SPREAD, ROOM = 0.3, 1.5
FEWEST = 2  # recordings of training and of calibration, below which nothing is compared
_LEAST = 1e-3  # distance that is typical of a group that never changes


@dataclasses.dataclass(frozen=True)
class Usual:
    """A group of numbers in the recordings of training as a normal distribution.

    Attributes:
      mean, scale: Mean of each number and what it is divided by, [f].
      directions: Directions of the standardised numbers with variances of their own, [k, f]
        orthonormal.
      variances: Variances in them, [k].
      rest: The mean variance of the directions outside of them.
      typical: Distance of the recordings of training, root of the mean square.
      below: Whether only what lies below the mean counts.

    Raises:
      ValueError: If the sizes do not go together.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    directions: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    rest: float
    typical: float = 1.0
    below: bool = False

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale) or len(self.directions) != len(self.variances) or any(
                len(direction) != len(self.mean) for direction in self.directions):
            raise ValueError("the familiarity of a run has parts of different sizes; evaluate the "
                             "run again")

    def distance(self, numbers: np.ndarray) -> np.ndarray:
        """How far recordings are, [n]: about 1 for those of training.

        Args:
          numbers: Their numbers, [n, f].
        """
        standard = (np.asarray(numbers, np.float64) - self.mean) / self.scale
        if self.below:
            standard = np.minimum(standard, 0)
        along = standard @ np.reshape(self.directions, (len(self.directions), len(self.mean))).T
        outside = np.square(standard).sum(1) - np.square(along).sum(1)
        squares = (np.square(along) / self.variances).sum(1) + np.maximum(outside, 0) / self.rest
        return np.sqrt(squares / len(self.mean)) / self.typical


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """What the recordings of training look like.

    Attributes:
      groups: What is usual by FEATURES, SURENESS and BUILD, or fewer for a model with fewer heads.
      limit: Highest score that is accepted.
    """

    groups: Mapping[str, Usual]
    limit: float

    def score(self, seen: Mapping[str, np.ndarray]) -> np.ndarray:
        """How unlike recordings are, [n]: about 1 for those of training, more is less like them.

        Args:
          seen: Their numbers by group, [n, f] each.
        """
        return np.mean([usual.distance(seen[name]) for name, usual in self.groups.items()], 0)


def fit(training: Mapping[str, np.ndarray], calibration: Mapping[str, np.ndarray], share: float
        ) -> Familiarity | None:
    """What the training recordings look like, with a limit.

    Args:
      training: Numbers of the recordings of training by group, [n, f] each.
      calibration: The same of recordings that trained nothing, [m, f] each.
      share: Share of these that count as familiar before there is ROOM.

    Returns:
      None, which compares nothing, where there are fewer than FEWEST recordings of either.
    """
    if min(len(numbers) for each in (training, calibration) for numbers in each.values()) < FEWEST:
        return None
    known = Familiarity({name: _FITS[name](np.asarray(numbers, np.float64))
                         for name, numbers in training.items()}, 0.0)
    room = ROOM * np.exp(SPREAD * NormalDist().inv_cdf(min(max(share, 0.01), 0.999)))
    return dataclasses.replace(known, limit=float(room * np.median(known.score(calibration))))


def _leading(numbers: np.ndarray) -> Usual:
    """Standardised, with variances in the KEPT leading directions."""
    mean, scale = numbers.mean(0), numbers.std(0) + 1e-6
    _, singular, rows = np.linalg.svd((numbers - mean) / scale, full_matrices=False)
    variances = singular**2 / (len(numbers) - 1)
    kept = min(KEPT, len(variances) - 1)
    # What is left over is spread over all directions outside, those without any variance too.
    rest = max(variances[kept:].sum() / max(numbers.shape[1] - kept, 1), 1e-6)
    return _usual(numbers, mean, scale, rows[:kept], np.maximum(variances[:kept], rest), rest)


def _below(numbers: np.ndarray) -> Usual:
    """Each number for itself; more than the mean is as good as the mean."""
    scale = np.sqrt(numbers.var(0) + LESS_SURE**2)
    return _usual(numbers, numbers.mean(0), scale, np.zeros((0, numbers.shape[1])), np.zeros(0),
                  1.0, below=True)


def _built(numbers: np.ndarray) -> Usual:
    """All directions with their variances, and what another build may differ by."""
    mean = numbers.mean(0)
    variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(numbers.T)))
    return _usual(numbers, mean, np.ones_like(mean), directions.T,
                  variances.clip(0) + OTHERWISE_BUILT**2, 1.0)


_FITS = {FEATURES: _leading, SURENESS: _below, BUILD: _built}


def _usual(numbers: np.ndarray, mean: np.ndarray, scale: np.ndarray, directions: np.ndarray,
           variances: np.ndarray, rest: float, *, below: bool = False) -> Usual:
    """`Usual` in plain numbers, with the distance that is typical of these."""
    plain = lambda array: tuple(np.round(array, 7).tolist())
    found = Usual(plain(mean), plain(scale), tuple(map(plain, directions)), plain(variances),
                  float(rest), below=below)
    typical = float(np.sqrt(np.square(found.distance(numbers)).mean()))
    return dataclasses.replace(found, typical=max(typical, _LEAST))
