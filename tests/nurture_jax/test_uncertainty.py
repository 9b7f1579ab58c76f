"""Bootstrap by infant and Wilson intervals."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nurture_jax.uncertainty import MINIMUM_INFANTS, Number, bootstrap, wilson

mean_of = lambda total, count: (total / count,)


def terms(values):
    return np.stack([values, np.ones(len(values))], 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=40, max_size=80), st.integers(0, 99))
def test_the_interval_holds_the_mean(values, seed):
    values = np.array(values)
    mean, = bootstrap(np.arange(len(values)) % 20, terms(values), mean_of, seed)
    assert mean.value == pytest.approx(values.mean(), abs=1e-9)
    assert mean.low - 1e-9 <= mean.value <= mean.high + 1e-9


def test_width_is_that_of_infants_not_of_visits():
    random = np.random.default_rng(0)
    of_infant = random.normal(size=100)
    alike = np.repeat(of_infant, 5)
    owner = np.repeat(np.arange(100), 5)
    mean, = bootstrap(owner, terms(alike), mean_of)
    expected = 2 * stats.norm.ppf(0.975) * of_infant.std() / 10
    assert mean.high - mean.low == pytest.approx(expected, rel=0.1)
    naive, = bootstrap(np.arange(500), terms(alike), mean_of)
    assert naive.high - naive.low == pytest.approx(expected / np.sqrt(5), rel=0.1)


def test_same_seed_same_interval_and_the_order_does_not_matter():
    random = np.random.default_rng(0)
    values, owner = random.normal(size=60), np.repeat(np.arange(20), 3)
    order = random.permutation(60)
    first = bootstrap(owner, terms(values), mean_of, seed=5)
    again = bootstrap(owner[order], terms(values[order]), mean_of, seed=5)
    np.testing.assert_allclose([first[0].low, first[0].high], [again[0].low, again[0].high])
    other, = bootstrap(owner, terms(values), mean_of, seed=6)
    assert other.low != first[0].low


def test_too_few_infants_have_no_interval():
    few = np.arange(MINIMUM_INFANTS - 1.0)
    number, = bootstrap(few, terms(few), mean_of)
    assert number.value == few.mean() and np.isnan([number.low, number.high]).all()
    nothing, = bootstrap(np.zeros(0), np.zeros((0, 2)), mean_of)
    assert np.isnan(nothing.value)


@given(st.integers(0, 300), st.integers(1, 300))
def test_wilson_equals_scipy(hits, total):
    hits = min(hits, total)
    number = wilson(hits, total)
    ours = stats.binomtest(hits, total).proportion_ci(method="wilson")
    np.testing.assert_allclose((number.low, number.high), (ours.low, ours.high), atol=1e-12)
    assert number.low <= number.value <= number.high


def test_wilson_of_nothing_and_refusal():
    assert isinstance(wilson(0, 0), Number) and np.isnan(wilson(0, 0).value)
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)
