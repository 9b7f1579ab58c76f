"""Net benefit by threshold, beside another implementation and two rules that need no model."""
import numpy as np
import pytest
from make_estimates import make_estimates, make_visits
from scipy import stats

from nurture_jax.evaluation import decisions
from nurture_jax.evaluation.decisions import THRESHOLDS, decision_curve, probability_low
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.records.visit import Visit

# Of the package dcurves 1.1.7 (PyPI), given the probabilities and outcomes of ESTIMATES.
OF_DCURVES = (0.134764, 0.129252, 0.114474, 0.089815, 0.072059, 0.068750, 0.069444, 0.060714,
              0.040385, 0.033333, 0.026515, 0.016667)
OF_DCURVES_ALL = (0.132997, 0.124150, 0.096491, 0.046296, -0.009804, -0.072917, -0.144444,
                  -0.226190, -0.320513, -0.430556, -0.560606, -0.716667)
ESTIMATES = make_estimates(make_visits(60, 2, seed=7), seed=3, error=3)


def test_net_benefits_are_those_of_another_implementation():
    found = decision_curve(ESTIMATES, "model")
    assert (found.visits, found.low, found.thresholds) == (120, 17, THRESHOLDS)
    for numbers, theirs in ((found.benefit, OF_DCURVES), (found.everybody, OF_DCURVES_ALL)):
        np.testing.assert_allclose([each.value for each in numbers], theirs, atol=6e-7)
    assert np.all(np.diff(found.sent) <= 0)
    for number in found.benefit:
        assert number.low <= number.value <= number.high


def test_the_probability_is_that_of_the_predicted_law():
    law = stats.laplace(ESTIMATES.mean[:, 0], ESTIMATES.scale[:, 0])
    np.testing.assert_allclose(probability_low(ESTIMATES), law.cdf(2500), rtol=1e-12)


def estimates_of(truth, mean, scale):
    visits = tuple(Visit(str(i), "0", "", weight_g=weight) for i, weight in enumerate(truth))
    values = np.full((len(visits), 5), np.nan)
    column = lambda values_, numbers: np.concatenate(
        [np.asarray(numbers, float)[:, None], values_[:, 1:]], 1)
    return Estimates(visits, column(values, mean), column(values, scale))


def test_whoever_knows_finds_all_and_whoever_does_not_is_no_better_than_sending_everybody():
    truth = [2300, 2450, *[3000] * 8, None]
    for mean, scale, expected in (
            ([*truth[:-1], 3000], 1, lambda everybody: np.full(2, 0.2)),
            ([2500] * 11, 500, lambda everybody: everybody)):
        found = decision_curve(estimates_of(truth, mean, [scale] * 11), "", thresholds=(0.1, 0.4))
        everybody = [each.value for each in found.everybody]
        np.testing.assert_allclose(everybody, [0.2 - 0.8 / 9, 0.2 - 0.8 * 4 / 6])
        np.testing.assert_allclose([each.value for each in found.benefit], expected(
            np.array(everybody)))
        assert (found.visits, found.low) == (10, 2)


def test_at_the_threshold_itself_an_infant_is_sent():
    found = decision_curve(estimates_of([2400, 3000], [2500, 4000], [10, 10]), "",
                           thresholds=(0.5,))
    assert found.sent == (0.5,) and found.benefit[0].value == 0.5


def test_without_a_weight_there_is_nothing():
    found = decision_curve(estimates_of([None], [2500], [10]), "")
    assert found.low == 0 and np.isnan([each.value for each in found.benefit]).all()
    assert len(found.benefit) == len(decisions.THRESHOLDS)


@pytest.mark.parametrize("at", (0.05, 0.5))
def test_intervals_are_of_infants(at):
    """An infant seen four times is no more evidence than once."""
    once = make_estimates(make_visits(60, 1, seed=7), seed=3, error=3)
    again = once.take(np.repeat(np.arange(60), 4))
    first, second = (decision_curve(each, "", thresholds=(at,)).benefit[0]
                     for each in (once, again))
    assert first.value == pytest.approx(second.value)
    assert second.high - second.low == pytest.approx(first.high - first.low, rel=0.05)
