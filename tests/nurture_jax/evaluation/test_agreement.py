"""Limits of agreement that grow with size, and intraclass correlations that are published."""
import dataclasses

import numpy as np
import pytest
from make_estimates import make_visits

from nurture_jax.evaluation import agreement
from nurture_jax.evaluation.agreement import WITH_REFERENCE, proportional, reliability
from nurture_jax.evaluation.estimates import Estimates, measured

VISITS = make_visits(150, 2)
# Shrout and Fleiss 1979, doi 10.1037/0033-2909.86.2.420, table 2: six targets, four judges.
JUDGED = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9],
                   [6, 2, 4, 7]], float)
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


def test_the_coefficient_is_the_published_one():
    """Their ICC(2,1) is 0.29; beside it ICC(1,1) is 0.17 and ICC(3,1) 0.71."""
    found = agreement._icc(JUDGED, np.arange(6), 0)
    assert found.value == pytest.approx(0.29, abs=0.005)
    for scale, shift in ((1000, 0), (1, 1e6)):
        moved = agreement._icc(scale * JUDGED + shift, np.arange(6), 0)
        assert moved.value == pytest.approx(found.value, abs=1e-9)


def test_reliability_of_estimate_and_reference_by_variances():
    """Of large samples: variance of infants over that and the variance of errors and of bias."""
    random, n = np.random.default_rng(0), 20_000
    truth = random.normal(3000, 400, n)
    pairs = np.stack([truth + 100 + random.normal(0, 200, n), truth], 1)
    # ICC(A,1) = infants / (infants + bias^2 / 2 + errors / 2), infants being the covariance.
    expected = 400 ** 2 / (400 ** 2 + 100 ** 2 / 2 + 200 ** 2 / 2)
    assert agreement._icc(pairs, np.zeros(n), 0).value == pytest.approx(expected, abs=0.005)


def test_reliability_by_measure_and_of_repeated_days():
    mean = TRUTH + np.random.default_rng(1).normal(0, [100, 0.7, 0.5, 0.5, 0.3], TRUTH.shape)
    visits = tuple(dataclasses.replace(visit, age_days=3 + visit.age_days // 100) if
                   int(visit.infant_id[1:]) < 40 else visit for visit in VISITS)
    rows = reliability(Estimates(visits, mean, np.ones(mean.shape)))
    assert [(row.measure, row.what) for row in rows[:3]] == [
        ("weight_g", WITH_REFERENCE), ("weight_g", "two estimates of a day"),
        ("weight_g", "two references of a day")]
    whole, estimates, references = rows[:3]
    assert (whole.pairs, estimates.pairs, references.pairs) == (300, 40, 40)
    assert 0 < whole.icc.low < whole.icc.value < whole.icc.high < 1
    of_a_day = agreement._icc(mean[:80, 0].reshape(40, 2), np.arange(40), 0)
    assert estimates.icc.value == of_a_day.value
    assert references.icc.value > estimates.icc.value


def test_what_has_no_reliability_is_left_out():
    few = VISITS[:2]
    assert reliability(Estimates(few, measured(few) + 1, np.ones((2, 5)))) == ()
    alike = tuple(dataclasses.replace(visit, weight_g=3000, birth_weight_g=None)
                  for visit in VISITS[:5])
    mean = measured(alike) + np.array([0, 1, 1, 1, 1])
    rows = reliability(Estimates(alike, mean, np.ones((5, 5))))
    assert "weight_g" not in [row.measure for row in rows] and rows
