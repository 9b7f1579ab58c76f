"""Proper scores: of known laws, and smallest where the spread is honest."""
import numpy as np
import pytest
from make_estimates import make_estimates, make_visits
from scipy import integrate, stats

from nurture_jax.evaluation.forecast import crps, forecasts, interval_score
from nurture_jax.evaluation.intervals import calibrate


@pytest.mark.parametrize("mean, scale, truth", [(0.0, 1.0, 0.3), (10.0, 2.5, 4.0), (5.0, 0.1, 5.0)])
def test_crps_is_the_integral_of_its_definition(mean, scale, truth):
    law = stats.laplace(mean, scale)
    below, _ = integrate.quad(lambda x: law.cdf(x) ** 2, mean - 60 * scale, truth)
    above, _ = integrate.quad(lambda x: law.sf(x) ** 2, truth, mean + 60 * scale)
    found = crps(np.array([mean]), np.array([scale]), np.array([truth]))
    np.testing.assert_allclose(found, below + above, rtol=1e-5)


def test_an_honest_spread_scores_best():
    error = np.random.default_rng(0).laplace(0, 1, 20_000)
    scores = {scale: crps(np.zeros(20_000), np.full(20_000, scale), error).mean()
              for scale in (0.5, 1.0, 2.0)}
    assert min(scores, key=scores.get) == 1.0 and scores[1.0] < np.abs(error).mean()


def test_interval_score_is_width_and_penalty():
    low, high = np.array([1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0])
    np.testing.assert_allclose(interval_score(low, high, np.array([1.5, 0.5, 2.1]), 0.9),
                               [1, 1 + 20 * 0.5, 1 + 20 * 0.1])


def test_forecasts_of_all_measures():
    estimates = make_estimates(make_visits(40, 3, missing=0.1))
    rows = forecasts(estimates, "model", calibrate(estimates))
    assert len(rows) == 5
    for column, row in enumerate(rows):
        known = np.isfinite(estimates.truth[:, column])
        assert row.visits == known.sum() and row.crps.low < row.crps.value < row.crps.high
        assert row.crps.value == pytest.approx(crps(
            estimates.mean[known, column], estimates.scale[known, column],
            estimates.truth[known, column]).mean())
        assert row.interval_score.value > row.crps.value
    assert all(np.isnan(row.interval_score.value) for row in forecasts(estimates, "table"))
