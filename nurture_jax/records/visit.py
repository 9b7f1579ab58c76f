"""One visit of one infant, as plain values: what evaluation and advice read of a data set."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nurture_jax.measures import DEFAULT_REFERENCE_CM, LABELS, SEXES, TABULAR

if TYPE_CHECKING:
    from nurture_jax.records.annotations import Frame
    from nurture_jax.records.problems import LeftOut


@dataclasses.dataclass(frozen=True)
class Visit:
    """One video with what is known of the infant; None (or "" for text) where it is not."""

    infant_id: str
    visit_id: str
    video: str
    age_days: float | None = None
    sex: str = ""
    gestational_age_days: float | None = None
    birth_weight_g: float | None = None
    site: str = ""
    device: str = ""
    weight_g: float | None = None
    length_cm: float | None = None
    head_cm: float | None = None
    chest_cm: float | None = None
    arm_cm: float | None = None
    frames: tuple[Frame, ...] = ()
    reference_cm: float | None = None  # between the ends of the reference object; None: 30
    body: str = ""  # of a rendered newborn: what it is made of
    mother_id: str = ""

    @property
    def key(self) -> str:
        """Infant and visit, which together are the visit's own."""
        return f"{self.infant_id}/{self.visit_id}"


def families(seen: Sequence[Visit | LeftOut]) -> list[str]:
    """Of each visit the mother, or the infant where she is told at none of its visits.

    Twins and other siblings are alike, as visits of one infant are.
    """
    mothers = {each.infant_id: each.mother_id for each in seen if each.mother_id}
    return [f"mother/{mothers[each.infant_id]}" if each.infant_id in mothers
            else f"infant/{each.infant_id}" for each in seen]


def tabular_of(visit: Visit) -> dict[str, np.ndarray]:
    """Inputs [4] and labels [5] of one visit with their masks, and "reference_cm" []."""
    inputs = [getattr(visit, name) for name in TABULAR[:-1]] + [SEXES.get(visit.sex)]
    labels = [getattr(visit, name) for name in LABELS]
    arrays = {"reference_cm": np.float32(visit.reference_cm or DEFAULT_REFERENCE_CM)}
    for name, values in (("tabular", inputs), ("labels", labels)):
        arrays[name] = np.array([0 if value is None else value for value in values], np.float32)
        arrays[f"{name}_mask"] = np.array([value is not None for value in values], np.float32)
    return arrays
