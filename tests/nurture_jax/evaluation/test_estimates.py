"""The border between models and evaluation (fabricated estimates)."""
import dataclasses

import numpy as np
import pytest
from make_estimates import make_estimates, make_visits

from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.measures import LABELS

VISITS = make_visits(4, 2)


def test_truth_has_nan_where_nothing_was_measured():
    visits = (dataclasses.replace(VISITS[0], chest_cm=None), VISITS[1])
    truth = make_estimates(visits).truth
    assert truth.shape == (2, len(LABELS))
    np.testing.assert_array_equal(np.isnan(truth), [[0, 0, 0, 1, 0], [0, 0, 0, 0, 0]])
    assert truth[1].tolist() == [getattr(VISITS[1], name) for name in LABELS]


def test_take_keeps_rows_together():
    estimates = make_estimates(VISITS)
    for rows in (np.array([5, 0, 3]), np.arange(8) % 2 == 0):
        part = estimates.take(rows)
        np.testing.assert_array_equal(part.mean, estimates.mean[rows])
        np.testing.assert_array_equal(part.truth, estimates.truth[rows])
        np.testing.assert_array_equal(part.infants, estimates.infants[rows])


def test_refusals():
    good = make_estimates(VISITS)
    with pytest.raises(ValueError, match="mean has shape"):
        Estimates(VISITS, good.mean[:, :3], good.scale)
    broken = good.mean.copy()
    broken[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"mean of length_cm of visit n001/0 is nan"):
        Estimates(VISITS, broken, good.scale)
    with pytest.raises(ValueError, match="above 0"):
        Estimates(VISITS, good.mean, 0 * good.scale)
