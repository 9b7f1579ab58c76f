"""Conformal intervals keep their promise on exchangeable infants (fabricated estimates)."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_estimates import make_estimates, make_visits

from nurture_jax.evaluation import intervals
from nurture_jax.evaluation.coverage import covered
from nurture_jax.evaluation.intervals import ALL_AGES, UNKNOWN_AGE, bands, calibrate
from nurture_jax.measures import LABELS


def test_bands():
    ages = np.array([0, 3.9, 4, 20, 21, 60.5, 61, np.nan])
    assert bands(ages) == ["0-3 days", "0-3 days", "4-10 days", "11-20 days", "21-35 days",
                           "36-60 days", UNKNOWN_AGE, UNKNOWN_AGE]


def test_one_visit_each_is_the_usual_conformal_quantile():
    scores = np.random.default_rng(0).permutation(99).astype(float)
    # The (n + 1) 0.9 = 90th smallest of 99.
    assert intervals.quantile_by_infant(scores, np.arange(99), 0.9) == 89
    assert intervals.quantile_by_infant(scores[:9], np.arange(9), 0.9) == scores[:9].max()
    assert intervals.quantile_by_infant(scores[:8], np.arange(8), 0.9) == np.inf


@settings(max_examples=25, deadline=None, derandomize=True)  # a statistical bound
@given(st.integers(9, 40), st.sampled_from([0.5, 0.8, 0.9]), st.integers(0, 2 ** 32 - 1))
def test_coverage_of_exchangeable_infants(infants, coverage, seed):
    """A random visit of a new infant is covered: at least as often as asked, a bit more at most.

    Infants have their own bias and 1 to 4 visits; so visits are not exchangeable.
    """
    random, rounds = np.random.default_rng(seed), 400
    hits = 0
    for _ in range(rounds):
        visits = random.integers(1, 5, infants + 1)
        owner = np.repeat(np.arange(infants + 1), visits)
        bias = random.standard_cauchy(infants + 1) * (visits > 2)
        scores = np.abs(bias[owner] + random.normal(size=len(owner)))
        known = owner < infants
        limit = intervals.quantile_by_infant(scores[known], owner[known], coverage)
        hits += random.choice(scores[~known]) <= limit
    deviation = np.sqrt(coverage * (1 - coverage) / rounds)
    assert hits / rounds > coverage - 4.5 * deviation
    assert hits / rounds < min(1, coverage + 2 / (infants + 1)) + 4.5 * deviation


def test_bands_get_their_own_factor_and_few_infants_that_of_all_ages():
    visits = make_visits(60, 3)
    estimates = make_estimates(visits)
    wide = np.array([visit.age_days == 14 for visit in visits])
    estimates = dataclasses.replace(estimates, scale=np.where(wide[:, None], estimates.scale / 4,
                                                              estimates.scale))
    found = calibrate(estimates)
    assert found.factor("11-20 days", "weight_g") > 2.5 * found.factor("0-3 days", "weight_g")
    assert found.infants["36-60 days"]["weight_g"] == 0
    assert found.factor("36-60 days", "head_cm") == found.factors[ALL_AGES]["head_cm"]
    assert found.factor(UNKNOWN_AGE, "head_cm") == found.factors[ALL_AGES]["head_cm"]
    assert ("36-60 days, weight_g: 0 calibration infants, 30 needed; the factor of all ages is "
            "used") in found.notes()
    low, high = found.bounds(estimates)
    assert (low >= 0).all()
    np.testing.assert_allclose((high - estimates.mean)[:, 0], [
        found.factor(band, "weight_g") * scale
        for band, scale in zip(bands(estimates.age_days), estimates.scale[:, 0], strict=True)])


def test_coverage_on_other_infants():
    found = calibrate(make_estimates(make_visits(80, 3, seed=1)))
    test = make_estimates(make_visits(200, 3, seed=2, missing=0.1), seed=3)
    results = covered(found, test)
    assert {result.measure for result in results} == set(LABELS)
    for result in results:
        if result.band == ALL_AGES:
            assert 0.82 < result.share.value < 0.97
            assert result.share.low < result.share.value < result.share.high
            assert result.by_infant.value == pytest.approx(result.share.value)
    weight = results[0]
    assert weight.visits == np.isfinite(test.truth[:, 0]).sum()
    by_band = [r for r in results if r.measure == "weight_g" and r.band != ALL_AGES]
    assert sum(result.visits for result in by_band) == weight.visits


def test_order_of_visits_does_not_matter():
    estimates = make_estimates(make_visits(50, 3, missing=0.2))
    shuffled = estimates.take(np.random.default_rng(0).permutation(len(estimates)))
    assert calibrate(estimates) == calibrate(shuffled)


def test_a_measure_that_nobody_measured_has_no_interval():
    visits = tuple(dataclasses.replace(visit, chest_cm=None) for visit in make_visits(40, 2))
    estimates = make_estimates(make_visits(40, 2))
    estimates = dataclasses.replace(estimates, visits=visits)
    found = calibrate(estimates)
    assert [note for note in found.notes() if "chest" in note] \
        == ["chest_cm: 0 calibration infants, 9 needed; no interval"]
    low, _ = found.bounds(estimates)
    assert np.isnan(low[:, 3]).all() and np.isfinite(low[:, :3]).all()
    assert all(result.measure != "chest_cm" for result in covered(found, estimates))


def test_refusals():
    with pytest.raises(ValueError, match=r"8 infants .* at least 9 are needed"):
        calibrate(make_estimates(make_visits(8, 5)))
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(make_estimates(make_visits(20, 1)), coverage=90)
