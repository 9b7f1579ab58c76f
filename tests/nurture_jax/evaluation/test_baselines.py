"""Baselines on fabricated visits, and on real infants where they are."""
import dataclasses

import numpy as np
import pytest
from make_estimates import make_visits
from make_life import life_visits

from nurture_jax.evaluation.baselines import CarryForward, Tabular
from nurture_jax.evaluation.estimates import measured
from nurture_jax.records.visit import Visit

TRAIN, TEST = make_visits(60, 3, seed=0, missing=0.1), make_visits(30, 3, seed=1, missing=0.1)


@pytest.fixture(scope="module")
def tabular():
    return Tabular.fit(TRAIN)


def error(estimates):
    """Mean absolute error of the measures that were taken."""
    taken = np.isfinite(estimates.truth).any(0)
    return np.nanmean(np.abs(estimates.mean - estimates.truth)[:, taken], axis=0)


def median_error(train, test):
    taken = np.isfinite(measured(test)).any(0)
    median = np.nanmedian(measured(train)[:, taken], axis=0)
    return np.nanmean(np.abs(median - measured(test)[:, taken]), axis=0)


def test_carry_forward_and_the_median_where_nothing_can_be_carried():
    visits = (dataclasses.replace(TEST[0], birth_weight_g=None),
              dataclasses.replace(TEST[1], birth_weight_g=2345.0))
    baseline = CarryForward.fit(TRAIN)
    estimates = baseline.estimate(visits)
    median = np.nanmedian(measured(TRAIN), axis=0)
    np.testing.assert_allclose(estimates.mean, [median, [2345, *median[1:]]])
    assert estimates.scale[1, 0] < estimates.scale[0, 0]  # birth weight says more than a median
    assert f"not known at 1 of 2 visits, there the training median of {median[0]:.0f} g" \
        in baseline.describe(visits)
    assert "not known" not in baseline.describe(visits[1:])


def test_tabular_beats_the_median_with_missing_inputs(tabular):
    estimates = tabular.estimate(TEST)
    assert (error(estimates) < 0.9 * median_error(TRAIN, TEST)).all()
    assert error(estimates)[0] < 0.5 * median_error(TRAIN, TEST)[0]
    for name, errors in zip(tabular.names, tabular.errors, strict=True):
        assert errors[name] == min(errors.values()) and len(errors) == 2
        assert name in tabular.describe(TEST)
    # Out-of-fold errors are an honest scale.
    ratio = estimates.scale[0] / error(estimates)
    assert (ratio > 0.5).all() and (ratio < 2).all()


def test_cross_validation_never_sees_the_infant_that_it_estimates():
    """Weights that only the infant explains: by visit, boosting would know them by heart."""
    random, visits = np.random.default_rng(0), []
    for infant, birth_g in enumerate(random.permutation(np.linspace(2000, 4000, 12))):
        weight_g = random.normal(3000, 300)
        visits += [Visit(f"n{infant:02}", str(j), "", 7.0, "F", 270.0, birth_g, weight_g=weight_g)
                   for j in range(30)]
    found = Tabular.fit(tuple(visits)).errors[0]
    weights = measured(tuple(visits))[:, 0]
    spread = np.abs(weights - np.median(weights)).mean()
    assert min(found.values()) > 0.8 * spread


def test_same_seed_same_estimates_and_no_row_looks_at_another(tabular):
    estimates = tabular.estimate(TEST)
    again = Tabular.fit(TRAIN).estimate(TEST[::-1])
    np.testing.assert_allclose(again.mean[::-1], estimates.mean, rtol=1e-12)


def test_a_measure_that_was_never_taken_is_not_estimated():
    without = tuple(dataclasses.replace(visit, chest_cm=None) for visit in TRAIN)
    for baseline in (CarryForward.fit(without), Tabular.fit(without, folds=2)):
        estimates = baseline.estimate(TEST)
        assert np.isnan(estimates.mean[:, 3]).all() and np.isnan(estimates.scale[:, 3]).all()
        assert np.isfinite(estimates.mean[:, :3]).all()


def test_a_measure_of_too_few_infants_is_not_estimated_either():
    """Three chests in a pilot stop no report."""
    few = tuple(visit if visit.infant_id < "n004" else dataclasses.replace(visit, chest_cm=None)
                for visit in make_visits(20, 3))
    found = Tabular.fit(few)
    assert found.names[3] == "measured in 4 infants of training, 5 needed"
    estimates = found.estimate(TEST)
    assert np.isnan(estimates.mean[:, 3]).all() and np.isfinite(estimates.mean[:, :3]).all()
    assert np.isnan(Tabular.fit(make_visits(4, 3)).estimate(TEST).mean).all()


def test_a_weight_that_is_the_birth_weight_teaches_nothing():
    newborn = tuple(dataclasses.replace(visit, age_days=0.0, weight_g=visit.birth_weight_g)
                    if visit.birth_weight_g else visit for visit in TRAIN)
    assert CarryForward.fit(newborn + TRAIN).carried_scale == CarryForward.fit(TRAIN).carried_scale


def test_infants_of_a_known_law_are_estimated_as_far_as_the_law_goes():
    """Weight by birth weight and age, lengths by the weight, each with an error of its own.

    No regression can be nearer than the errors that were added; one that reads only the birth
    weight, or only the age, is far from it.
    """
    random, visits = np.random.default_rng(0), []
    for infant in range(200):
        birth_g = random.normal(2200, 250)
        for age in random.choice([5.0, 9.0, 15.0, 22.0, 31.0, 45.0], 4, replace=False):
            weight_g = birth_g * (0.93 + 0.016 * age) + random.normal(0, 80)
            cm = np.array([47.0, 32.5]) * (weight_g / 2500) ** (1 / 3) + random.normal(0, 0.4, 2)
            visits.append(Visit(f"n{infant:03}", f"{age:g}", "", age, "FM"[infant % 2], 255.0,
                                birth_g, weight_g=weight_g, length_cm=cm[0], head_cm=cm[1]))
    train, test = tuple(visits[:400]), tuple(visits[400:])  # 100 infants each
    least = np.sqrt(2 / np.pi) * 80  # g: mean absolute value of the normal error
    tabular = error(Tabular.fit(train).estimate(test))
    carried = error(CarryForward.fit(train).estimate(test))
    assert least * 0.9 < tabular[0] < least * 1.15
    assert (tabular < np.array([0.2, 0.55, 0.6]) * median_error(train, test)).all()
    assert tabular[0] < 0.2 * carried[0]


def test_life_cohort(shared):
    """Real infants: twice as near as the median, with infants unseen in training."""
    visits = life_visits(shared)
    infants = np.random.default_rng(0).permutation(sorted({v.infant_id for v in visits}))
    held_out = set(infants[:100])
    train = tuple(visit for visit in visits if visit.infant_id not in held_out)
    test = tuple(visit for visit in visits if visit.infant_id in held_out)
    median = median_error(train, test)
    tabular = error(Tabular.fit(train).estimate(test))
    carried = error(CarryForward.fit(train).estimate(test))
    assert (tabular < np.array([0.55, 0.65, 0.65]) * median).all()  # no chest was measured
    assert tabular[0] < 0.5 * carried[0]
    assert 240 < tabular[0] < 265  # g; 235 g by least squares on all 1,114 infants
