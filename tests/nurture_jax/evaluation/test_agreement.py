"""Limits of agreement that grow with size, on errors of a known law."""
import numpy as np
import pytest
from make_estimates import make_visits

from nurture_jax.evaluation.agreement import proportional
from nurture_jax.evaluation.estimates import Estimates, measured

VISITS = make_visits(150, 2)
TRUTH = measured(VISITS)


def of(mean):
    return proportional(Estimates(VISITS, mean, np.ones(mean.shape)))


def test_errors_by_a_factor_grow_and_their_limits_are_percent():
    factor = np.exp(np.random.default_rng(0).normal(0.02, 0.05, TRUTH.shape))
    weight = of(TRUTH * factor)[0]
    assert weight.grows and weight.spread_slope.low > 0
    spread = np.log(factor[:, 0])
    for number, value in ((weight.mean_percent, spread.mean()),
                          (weight.lower_percent, spread.mean() - 1.96 * spread.std(ddof=1)),
                          (weight.upper_percent, spread.mean() + 1.96 * spread.std(ddof=1))):
        assert number.value == pytest.approx(100 * np.expm1(value))
        assert number.low < number.value < number.high


def test_errors_of_one_size_do_not_grow():
    found = of(TRUTH + np.random.default_rng(1).normal(0, [100, 0.7, 0.5, 0.5, 0.3], TRUTH.shape))
    assert not found[0].grows and found[0].spread_slope.low < 0


def test_the_slope_is_that_of_least_squares():
    mean = TRUTH.mean(0) + 0.8 * (TRUTH - TRUTH.mean(0))  # drawn to the middle
    weight = of(mean)[0]
    size, error = (mean + TRUTH)[:, 0] / 2, (mean - TRUTH)[:, 0]
    assert weight.slope.value == pytest.approx(100 * np.polyfit(size, error, 1)[0])
    assert weight.slope.high < 0


def test_two_visits_have_no_line():
    few = VISITS[:2]
    assert proportional(Estimates(few, measured(few) + 1, np.ones((2, 5)))) == ()
