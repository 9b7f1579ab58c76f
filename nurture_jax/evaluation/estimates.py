"""What a model says about some visits, beside what was measured: the border to evaluation.

Whatever estimates (the network, a baseline, an exported file) returns `Estimates`; intervals,
evaluation and report read nothing else of it.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from nurture_jax.measures import LABELS, WEIGHT
from nurture_jax.records.visit import Visit, families

# A scale is read twice to within this, and nobody weighs an infant twice in its first day for
# nothing: such a weight is the birth weight, written down once more (our choice).
SAME_WEIGHT_G, SAME_WEIGHT_DAYS = 10, 1


@dataclasses.dataclass(frozen=True)
class Column:
    """One measure of n visits, in its unit.

    Attributes:
      truth: What was measured, [n] float64; nan where nothing was.
      mean: What was estimated, [n] float64; all nan where the measure is not estimated.
    """

    truth: np.ndarray
    mean: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Estimate - measured, [n] float64."""
        return self.mean - self.truth

    @property
    def known(self) -> np.ndarray:
        """Which visits are both measured and estimated, [n] bool."""
        return np.isfinite(self.error)


@dataclasses.dataclass(frozen=True)
class Estimates:
    """Estimates of n visits in the units of LABELS: grams, then centimetres.

    Attributes:
      visits: The visits, in the order of the rows.
      mean: The estimates, [n, 5] float64; a column of nan is a measure that is not estimated.
      scale: The predicted spread, [n, 5] float64 above 0: a Laplace scale, the expected absolute
        error if the model is right about itself.

    Raises:
      ValueError: If shapes do not fit the visits, or values are not numbers.
    """

    visits: tuple[Visit, ...]
    mean: np.ndarray
    scale: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.visits), len(LABELS))
        for name in ("mean", "scale"):
            value = np.asarray(getattr(self, name), np.float64)
            if value.shape != shape:
                raise ValueError(f"{name} has shape {value.shape}; {len(self.visits)} visits and "
                                 f"the measures {', '.join(LABELS)} ask for {shape}")
            broken = ~np.isfinite(value) & ~np.isnan(value).all(0)
            if broken.any():
                row, column = np.argwhere(broken)[0]
                raise ValueError(f"{name} of {LABELS[column]} of visit {self.visits[row].key} is "
                                 f"{value[row, column]}; the training has diverged?")
            object.__setattr__(self, name, value)
        if (self.scale <= 0).any():
            row, column = np.argwhere(self.scale <= 0)[0]
            raise ValueError(f"scale of {LABELS[column]} of visit {self.visits[row].key} is "
                             f"{self.scale[row, column]:g}; a spread is above 0")

    def __len__(self) -> int:
        return len(self.visits)

    @property
    def truth(self) -> np.ndarray:
        """What was measured, [n, 5] float64; nan where nothing was."""
        return measured(self.visits)

    @property
    def infants(self) -> np.ndarray:
        """Whose visit it is, [n] str."""
        return np.array([visit.infant_id for visit in self.visits], str)

    @property
    def families(self) -> np.ndarray:
        """Whose visits are alike, [n] str: those of a mother's infants, or of an infant."""
        return np.array(families(self.visits), str)

    @property
    def age_days(self) -> np.ndarray:
        """Ages, [n] float64; nan where the age is not known."""
        return numbers(self.visits, "age_days")

    def of(self, measure: str) -> Column:
        """The column of one of LABELS."""
        return Column(truths(self.visits, measure), self.mean[:, LABELS.index(measure)])

    def take(self, rows: slice | np.ndarray | Sequence[int]) -> Estimates:
        """The visits at `rows` (integers, a mask or a slice), in that order."""
        rows = np.arange(len(self))[rows]
        return Estimates(tuple(self.visits[row] for row in rows), self.mean[rows],
                         self.scale[rows])


def is_birth_weight(visit: Visit) -> bool:
    """Whether the weight of a visit is the birth weight that the visit comes with.

    Then whoever is told the one knows the other, and the visit is no evidence about the weight.
    """
    return (visit.weight_g is not None and visit.birth_weight_g is not None
            and visit.age_days is not None
            and bool(repeats(visit.weight_g, visit.birth_weight_g, visit.age_days)))


def repeats(weight_g: float | np.ndarray, birth_weight_g: float | np.ndarray,
            age_days: float | np.ndarray) -> bool | np.ndarray:
    """The rule of `is_birth_weight` for numbers that are known, or arrays of them."""
    return (age_days < SAME_WEIGHT_DAYS) & (abs(weight_g - birth_weight_g) <= SAME_WEIGHT_G)


def without_birth_weight(visit: Visit) -> Visit:
    """The visit as of an infant whose birth weight is not known."""
    return dataclasses.replace(visit, birth_weight_g=None)


def measured(visits: Sequence[Visit]) -> np.ndarray:
    """What was measured, [n, 5] float64 in the order of LABELS; nan where nothing was."""
    return np.stack([truths(visits, name) for name in LABELS], axis=1)


def truths(visits: Sequence[Visit], measure: str) -> np.ndarray:
    """What an estimate of one of LABELS is compared with, [n] float64; nan where there is nothing.

    A weight that is the birth weight is nothing, see `is_birth_weight`.
    """
    values = numbers(visits, measure)
    if measure == WEIGHT.name:
        values[[is_birth_weight(visit) for visit in visits]] = np.nan
    return values


def numbers(visits: Sequence[Visit], name: str) -> np.ndarray:
    """One numeric field of the visits, [n] float64; nan where it is not known."""
    values = (getattr(visit, name) for visit in visits)
    return np.array([np.nan if value is None else value for value in values], np.float64)
