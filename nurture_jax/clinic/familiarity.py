"""How like the recordings of training a recording is: a score of what is not known.

The features of a recording (`model.Seen.features`) are compared with those of the training split by
the Mahalanobis distance (Lee et al. 2018, arXiv 1807.03888): in the leading directions of their
spread each by its own variance, in all others by one. The limit is calibrated on recordings that
trained nothing, with room for a newborn of another kind. Pure NumPy.
"""
from __future__ import annotations

import dataclasses

import numpy as np

KEPT = 16  # leading directions; of what lies outside them there is one variance
# The limit over the calibrated quantile: newborns of another kind than those of training must pass.
ROOM = 2.0


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """The features of the training recordings as a normal distribution.

    Attributes:
      mean, scale: Mean and standard deviation of each feature, [f].
      directions: The leading directions of the standardised features, [k, f] orthonormal.
      variances: Variances in them, [k].
      rest: The mean variance of the directions outside of them.
      limit: Highest score that is accepted.

    Raises:
      ValueError: If the sizes do not go together.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    directions: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    rest: float
    limit: float

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.scale) or len(self.directions) != len(self.variances) or any(
                len(direction) != len(self.mean) for direction in self.directions):
            raise ValueError("the familiarity of a run has parts of different sizes; evaluate the "
                             "run again")

    def score(self, features: np.ndarray) -> np.ndarray:
        """How unlike recordings are, [n]: about 1 for those of training, more is less like them.

        Args:
          features: Their features, [n, f].
        """
        return _distance((np.asarray(features, np.float64) - self.mean) / self.scale,
                         np.array(self.directions), np.array(self.variances), self.rest)


def fit(training: np.ndarray, calibration: np.ndarray, share: float) -> Familiarity:
    """What the training recordings look like, with a limit.

    Args:
      training: Features of the recordings of training, [n, f].
      calibration: Features of recordings that trained nothing, [m, f].
      share: Share of these that count as familiar before there is ROOM.

    Raises:
      ValueError: If there are fewer than 2 recordings of either.
    """
    if min(len(training), len(calibration)) < 2:
        raise ValueError(f"{len(training)} recordings of training and {len(calibration)} of "
                         f"calibration are too few to say what is familiar; record more")
    training = np.asarray(training, np.float64)
    mean, scale = training.mean(0), training.std(0) + 1e-6
    standard = (training - mean) / scale
    _, singular, rows = np.linalg.svd(standard, full_matrices=False)
    variances = singular**2 / (len(training) - 1)
    kept = min(KEPT, len(variances) - 1)
    # What is left over is spread over all directions outside, those without any variance too.
    rest = max(variances[kept:].sum() / max(training.shape[1] - kept, 1), 1e-6)
    parts = rows[:kept], np.maximum(variances[:kept], rest), rest
    score = _distance((np.asarray(calibration, np.float64) - mean) / scale, *parts)
    plain = lambda array: tuple(np.round(array, 7).tolist())
    return Familiarity(plain(mean), plain(scale), tuple(plain(row) for row in parts[0]),
                       plain(parts[1]), float(rest),
                       float(ROOM * np.quantile(score, share, method="higher")))


def _distance(standard: np.ndarray, directions: np.ndarray, variances: np.ndarray, rest: float
              ) -> np.ndarray:
    """Mean square of the standardised features over their variances, [n]."""
    along = standard @ directions.T
    outside = np.square(standard).sum(1) - np.square(along).sum(1)
    return (np.square(along) / variances).sum(1) / standard.shape[1] + \
        np.maximum(outside, 0) / rest / standard.shape[1]
