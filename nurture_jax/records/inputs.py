"""A visit as the numbers that a network is told, and is asked for."""
from __future__ import annotations

import numpy as np

from nurture_jax.measures import LABELS, SEXES, TABULAR
from nurture_jax.records.visit import Visit


def tabular_of(visit: Visit) -> dict[str, np.ndarray]:
    """Inputs and labels of one visit with their masks, [4] each."""
    inputs = [getattr(visit, name) for name in TABULAR[:-1]] + [SEXES.get(visit.sex)]
    labels = [getattr(visit, name) for name in LABELS]
    arrays = {}
    for name, values in (("tabular", inputs), ("labels", labels)):
        arrays[name] = np.array([0 if value is None else value for value in values], np.float32)
        arrays[f"{name}_mask"] = np.array([value is not None for value in values], np.float32)
    return arrays
