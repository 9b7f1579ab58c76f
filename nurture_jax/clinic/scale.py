"""Whether the length told of the reference object fits the newborn beside it and its own look.

A ruler of 30 cm that is told to be 60 makes a newborn of a metre. So lengths between the points of
the body, in told centimetres, are compared with what those of the training split were for such an
infant (birth weight, age, gestation), and the reference object's width with its length. All are
joined to the one factor by which the told length is most likely wrong (generalized least squares);
its limit is calibrated on recordings that trained nothing. Pure NumPy; our design.
"""
from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from nurture_jax.clinic import evidence
from nurture_jax.clinic.evidence import SPANS
from nurture_jax.measures import DEFAULT_REFERENCE_CM, REFERENCE, REFERENCE_POINTS
from nurture_jax.records.visit import Visit

_ENDS = tuple((name,) for name in REFERENCE_POINTS)
LEAST_CLEAR = 0.3  # of both ends, for a frame to be measured in
# What is known of an infant, with about what it is and how much it differs.
KNOWN = (("birth_weight_g", np.log(3000.0), 0.2), ("age_days", 15.0, 15.0),
          ("gestational_age_days", 275.0, 14.0))
_RIDGE = 1.0  # of the expected lengths, in visits
_SHRINK = 0.05  # of the covariance, towards its diagonal
_ROUNDS, _OUTLIER = 4, 6.0  # of the fit; differences of so many medians are left out, about 4 sigma
# Lengths within such a factor count as one: common rulers differ by a third (15, 20, 30 cm), and
# recordings that look a tenth off are estimated like others. docs/nurture_evaluation.md; ours.
ALIKE = 1.15
FEWEST = 40  # recordings of training, below which nothing is compared


@dataclasses.dataclass(frozen=True)
class Scale:
    """What a run knows of lengths of reference objects.

    Attributes:
      lengths_cm: Those of the training split, ascending.
      expected: Coefficients of every measured logarithm, [k, m]; empty where nothing is compared.
      weights: Weights of their differences in the logarithm of the factor, [k].
      limit: Largest logarithm that is accepted, either way; at least that of ALIKE.

    Raises:
      ValueError: If the sizes do not go together.
    """

    lengths_cm: tuple[float, ...] = (DEFAULT_REFERENCE_CM,)
    expected: tuple[tuple[float, ...], ...] = ()
    weights: tuple[float, ...] = ()
    limit: float = 0.0

    def __post_init__(self) -> None:
        if not self.lengths_cm or len(self.expected) != len(self.weights):
            raise ValueError("the scale of a run has parts of different sizes; evaluate the run "
                             "again")

    @property
    def range_cm(self) -> tuple[float, float]:
        """The shortest and the longest reference object that may be told."""
        return self.lengths_cm[0] / ALIKE, self.lengths_cm[-1] * ALIKE

    def looks_cm(self, measured: np.ndarray, visit: Visit) -> float | None:
        """How long the reference object is by the newborn beside it; None without an answer.

        Args:
          measured: What `measure` gives of the recording.
          visit: What was told.
        """
        if not self.weights or len(measured) != len(self.weights) or not np.isfinite(
                measured).all():
            return None
        told = told_cm(visit)
        known = _known(visit)
        factor = np.array(self.weights) @ (_told(measured, told) - np.array(self.expected) @ known)
        return float(told * np.exp(-factor))


def told_cm(visit: Visit) -> float:
    """The length that was told, or the usual one."""
    return visit.reference_cm or DEFAULT_REFERENCE_CM


def measure(keypoints: np.ndarray, shares: np.ndarray | None, size: int) -> np.ndarray:
    """Logarithms of SPANS over the length of the reference object, and of its own width, [k].

    They are medians over the frames in which both its ends are clear, nan where fewer than half
    are.

    Args:
      keypoints: Places x, y in clip pixels and confidence 0-1, [t, 19, 3].
      shares: Shares of nothing, newborn and reference object, [t, h', w', 3]; without them there
        is no width.
      size: Side of the frames in clip pixels.
    """
    points = np.asarray(keypoints, np.float64)
    clear = points[:, -len(REFERENCE_POINTS):, 2].min(1) >= LEAST_CLEAR
    length = lambda ends: np.log(evidence.length(points[clear], ends) + 1.0)
    count = len(SPANS) + (shares is not None)
    if clear.mean() < 0.5:
        return np.full(count, np.nan)
    found, own = [length(ends) for ends in SPANS], length(_ENDS)
    if shares is not None:
        share = np.asarray(shares, np.float64)[clear]
        area = share[..., REFERENCE].sum((1, 2)) * (size / share.shape[1]) ** 2
        found.append(np.log(area + 1.0) - own)  # the width
    return np.median(np.stack(found) - own, 1)


def fit(training: Sequence[tuple[np.ndarray, Visit]], held_out: Sequence[tuple[np.ndarray, Visit]],
        share: float) -> Scale:
    """What reference objects and newborns look like together, with a limit.

    Args:
      training: What `measure` gives of the recordings of training, and what is known of each.
      held_out: The same of recordings that trained nothing.
      share: Share of these that count as rightly told, at least.

    Returns:
      One that compares nothing where there are fewer than FEWEST recordings of training.
    """
    lengths = tuple(sorted({round(told_cm(visit), 3) for _, visit in training}))
    usable = [(row, visit) for row, visit in training if np.isfinite(row).all()]
    if len(usable) < FEWEST:
        return Scale(lengths or (DEFAULT_REFERENCE_CM,))
    rows = np.stack([_told(row, told_cm(visit)) for row, visit in usable])
    known = np.stack([_known(visit) for _, visit in usable])
    kept = np.ones(len(rows), bool)
    for _ in range(_ROUNDS):  # a ruler that was found in the wrong place teaches nothing
        expected, weights = _solve(rows[kept], known[kept])
        off = np.abs((rows - known @ expected.T) @ weights)
        kept = off <= _OUTLIER * np.median(off)
    plain = lambda array: tuple(np.round(array, 7).tolist())
    scale = Scale(lengths, tuple(map(plain, expected)), plain(weights))
    off = [abs(np.log(looks / told_cm(visit))) for row, visit in held_out
           if (looks := scale.looks_cm(row, visit)) is not None]
    if not off:
        return Scale(lengths)
    limit = max(float(np.quantile(off, share, method="higher")), math.log(ALIKE))
    return dataclasses.replace(scale, limit=limit)


def _solve(rows: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [k, m] and weights [k] of `Scale`.

    Args:
      rows: What `_told` gives, [n, k].
      known: What `_known` gives, [n, m].
    """
    ridge = _RIDGE * np.eye(known.shape[1])
    ridge[0, 0] = 1e-6
    expected = np.linalg.solve(known.T @ known + ridge, known.T @ rows).T
    rest = rows - known @ expected.T
    covariance = rest.T @ rest / len(rest)
    covariance = (1 - _SHRINK) * covariance + _SHRINK * np.diag(np.diag(covariance)) \
        + 1e-8 * np.eye(len(covariance))
    # A length that is told too long by a factor moves spans by it, the width not, and what is
    # expected of such a reference object too.
    moves = _told(np.zeros(rows.shape[1]), np.e * DEFAULT_REFERENCE_CM) - expected[:, -1]
    weights = np.linalg.solve(covariance, moves)
    return expected, weights / (weights @ moves)


def _told(measured: np.ndarray, reference_cm: float) -> np.ndarray:
    """Spans in told lengths of 30 cm; the width, which comes last where there is one, as it is."""
    spans = np.arange(len(measured)) < len(SPANS)
    return measured + spans * np.log(reference_cm / DEFAULT_REFERENCE_CM)


def _known(visit: Visit) -> np.ndarray:
    """What the expected lengths follow from, [m]: 1, each known number or 0, and the told length.

    A number that is not known has a 1 of its own.
    """
    numbers = []
    for name, usual, spread in KNOWN:
        value = getattr(visit, name)
        if value is None:
            numbers += [0.0, 1.0]
            continue
        value = np.log(value) if name == "birth_weight_g" else value
        numbers += [(value - usual) / spread, 0.0]
    return np.array([1.0, *numbers, np.log(told_cm(visit) / DEFAULT_REFERENCE_CM)])
