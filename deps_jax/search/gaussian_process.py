"""Regression on a few hundred points: straight lines, and what is left over by likeness.

A Gaussian process (Rasmussen and Williams, 2006) whose covariance is a sum of linear kernels, one
for each block of columns, and of one squared-exponential kernel with a relevance for each block.
How much of each is there, and how noisy the values are, is found by maximising the posterior
(equation 5.8 there plus wide log-normal priors), with exact gradients. scikit-learn's kernels see
all columns or one at a time, so that these two sums cannot be written with them.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

Blocks = Sequence[np.ndarray]
MOST_FITTED = 400  # points that the scales are found on; the cube of it is what a fit costs
STEPS = 60
# Before the data speaks, as shares of the variance of the values: half of it in every linear block,
# a third in the other kernel, a fiftieth noise.
LINEAR, SMOOTH, NOISE, RELEVANCE = 0.5, 0.3, 0.02, 0.5
SPREAD = 2.0  # standard deviation of the logarithms around these
LEAST_NOISE = 1e-6


@dataclasses.dataclass(frozen=True)
class GaussianProcess:
    """A fitted process; `process(linear, radial)` predicts.

    Attributes:
      mean, scale: Mean and standard deviation of the values it was fitted on.
      centers: Mean of the columns of every linear block, [f] each.
      factors: What every linear block is multiplied by, then every radial block.
      coefficients: Slope of the linear part by column, [sum of f].
      points: The radial blocks it was fitted on, joined and multiplied, [n, sum of g].
      smooth: Variance of the squared-exponential kernel, in `scale`s squared.
      weights: Weight of every point in a prediction, [n].
    """

    mean: float
    scale: float
    centers: tuple[np.ndarray, ...]
    factors: tuple[np.ndarray, np.ndarray]
    coefficients: np.ndarray
    points: np.ndarray
    smooth: float
    weights: np.ndarray

    @classmethod
    @threadpool_limits.wrap(limits=1, user_api="blas")  # see `search.search`
    def fit(cls, linear: Blocks, radial: Blocks, values: np.ndarray) -> GaussianProcess:
        """Learns from n points.

        Args:
          linear: Blocks of columns that act in straight lines, [n, f] each.
          radial: Blocks of columns whose points have like values where they are near, [n, g] each.
          values: Values of the points, [n].
        """
        mean, scale = float(values.mean()), float(values.std()) or 1.0
        targets = (values - mean) / scale
        centers = tuple(block.mean(0) for block in linear)
        straight = [_unit(block - center) for block, center in zip(linear, centers, strict=True)]
        near = [_unit(block, around=block.mean(0)) for block in radial]
        few = np.unique(np.linspace(0, len(values) - 1, MOST_FITTED).astype(int))
        scales = _most_likely([block[few] for block, _ in straight],
                              [block[few] for block, _ in near], targets[few])
        amounts, smooth, noise, relevance = scales
        roots = np.sqrt(amounts), np.sqrt(relevance)
        slanted = _joined([block for block, _ in straight], roots[0])
        points = _joined([block for block, _ in near], roots[1])
        alike = smooth * np.exp(-0.5 * _squared_distances(points, points))
        covariance = slanted @ slanted.T + alike + noise * np.eye(len(values))
        weights = cho_solve(cho_factor(covariance, lower=True), targets)
        factors = tuple(root * np.array([factor for _, factor in blocks])
                        for root, blocks in zip(roots, (straight, near), strict=True))
        return cls(mean, scale, centers, factors, slanted.T @ weights, points, smooth, weights)

    def __call__(self, linear: Blocks, radial: Blocks) -> np.ndarray:
        """Predictions for m points given by blocks as in `fit`, [m]."""
        slanted = _joined([block - center for block, center in zip(
            linear, self.centers, strict=True)], self.factors[0])
        points = _joined(radial, self.factors[1])
        near = np.exp(-0.5 * _squared_distances(points, self.points))
        return self.mean + self.scale * (
            slanted @ self.coefficients + self.smooth * (near @ self.weights))


def _unit(block: np.ndarray, around: np.ndarray | float = 0.0) -> tuple[np.ndarray, float]:
    """The block multiplied so that its rows have length 1 on average, and the factor.

    A block whose rows are all equal gets the factor 0: nothing can be learnt from it.
    """
    length = float(np.sqrt(np.mean(np.sum((block - around)**2, 1))))
    factor = 1 / length if length > 1e-9 else 0.0
    return block * factor, factor


def _joined(blocks: Blocks, factors: np.ndarray) -> np.ndarray:
    return np.concatenate([block * factor for block, factor in zip(blocks, factors, strict=True)],
                          axis=1)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances of rows, [len(a), len(b)]."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)


def _most_likely(linear: Blocks, radial: Blocks, targets: np.ndarray
                 ) -> tuple[np.ndarray, float, float, np.ndarray]:
    """(variance of every linear block, of the other kernel, of the noise, every relevance)."""
    count, n = len(linear), len(targets)
    products = [block @ block.T for block in linear]
    distances = [_squared_distances(block, block) for block in radial]
    start = np.log([*[LINEAR] * count, SMOOTH, NOISE, *[RELEVANCE / len(radial)] * len(radial)])

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log posterior without its constants, and its gradient."""
        amounts, smooth, noise, relevance = np.split(np.exp(logs), [count, count + 1, count + 2])
        near = smooth * np.exp(-0.5 * sum(w * d for w, d in zip(relevance, distances, strict=True)))
        covariance = near + (noise + LEAST_NOISE) * np.eye(n) + sum(
            amount * product for amount, product in zip(amounts, products, strict=True))
        factor = cho_factor(covariance, lower=True)
        weights = cho_solve(factor, targets)
        slope = cho_solve(factor, np.eye(n)) - np.outer(weights, weights)
        prior = (logs - start) / SPREAD
        value = 0.5 * targets @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * prior @ prior
        gradient = [
            *(0.5 * amount * np.vdot(slope, product)
              for amount, product in zip(amounts, products, strict=True)),
            0.5 * np.vdot(slope, near), 0.5 * noise[0] * np.trace(slope),
            *(-0.25 * w * np.vdot(slope * near, d)
              for w, d in zip(relevance, distances, strict=True))]
        return float(value), np.array(gradient) + prior / SPREAD

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    amounts, smooth, noise, relevance = np.split(np.exp(found.x), [count, count + 1, count + 2])
    return amounts, float(smooth[0]), float(noise[0]) + LEAST_NOISE, relevance
