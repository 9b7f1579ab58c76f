"""Who is found to be of low weight: counts, curve, rejected recordings, birth weights."""
import dataclasses

import numpy as np
import pytest
from make_estimates import make_estimates, make_visits
from sklearn.metrics import roc_auc_score

from nurture_jax.evaluation import detection
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.records.visit import Visit


def weighed(pairs):
    visits = tuple(Visit(str(i), "0", "", age_days=day, weight_g=truth)
                   for i, (truth, _, day) in enumerate(pairs))
    mean = np.full((len(pairs), 5), np.nan)
    mean[:, 0] = [estimate for _, estimate, _ in pairs]
    return Estimates(visits, mean, np.where(np.isnan(mean), np.nan, 100))


def test_low_weight_found_and_missed():
    rows = detection.detection(weighed([
        (2400, 2450, 1), (2499, 2500, 1), (2500, 2499, 1), (2600, 2700, 1), (3000, 2900, 30),
        (2000, 2100, 30), (None, 2100, 1)]))
    everybody, first_days = rows
    assert (everybody.found, everybody.missed, everybody.false_alarms, everybody.rightly_left) \
        == (2, 1, 1, 2)
    assert everybody.sensitivity.value == pytest.approx(2 / 3)
    assert first_days.specificity.value == 0.5
    assert detection.spring_scale().sensitivity.value == pytest.approx(0.937, abs=5e-4)
    assert detection.spring_scale().specificity.value == pytest.approx(0.976, abs=5e-4)


def test_screening_by_the_lower_end_finds_more():
    estimates = weighed([(2400, 2450, 1), (2499, 2550, 1), (2499, 2700, 1), (2600, 2590, 30),
                         (3000, 2900, 30), (None, 2100, 1)])
    screened = detection.screening(estimates, estimates.mean - 100)
    assert (screened.found, screened.missed, screened.false_alarms, screened.rightly_left) \
        == (2, 1, 1, 1)
    assert detection.detection(estimates)[0].found == 1


def test_nobody_of_low_weight_is_no_sensitivity():
    everybody, first_days = detection.detection(weighed([(2600, 2700, 30)]))
    assert np.isnan(everybody.sensitivity.value) and everybody.specificity.value == 1
    assert np.isnan(first_days.specificity.value)


def test_predictive_values():
    everybody, _ = detection.detection(weighed([
        (2400, 2450, 1), (2300, 2600, 1), (2600, 2400, 1), (2700, 2400, 1), (3000, 2900, 30)]))
    assert everybody.ppv.value == pytest.approx(1 / 3) and everybody.npv.value == 0.5


def test_a_weight_that_is_the_birth_weight_is_no_evidence():
    """Unless the model was not told the birth weight."""
    visits = tuple(Visit(str(i), "0", "", age_days=age, birth_weight_g=2400, weight_g=weight)
                   for i, (age, weight) in enumerate(((0.5, 2400), (0.9, 2410), (0.5, 2411),
                                                      (1.0, 2400))))
    mean = np.full((4, 5), np.nan)
    mean[:, 0] = 2400
    told = Estimates(visits, mean, np.where(np.isnan(mean), np.nan, 100))
    assert detection.detection(told)[0].found == 2
    untold = tuple(dataclasses.replace(visit, birth_weight_g=None) for visit in visits)
    assert detection.detection(dataclasses.replace(told, visits=untold))[0].found == 4


def test_a_rejected_recording_counts_as_wrong():
    estimates = weighed([(2400, 2450, 1), (2300, 2600, 1), (3000, 2900, 30), (3100, 2900, 3)])
    rejected = [Visit("r", str(i), "", weight_g=weight) for i, weight in enumerate((
        2000, 2100, 3000, None))]
    found = detection.intention_to_diagnose(estimates, rejected)
    assert (found.found, found.missed, found.false_alarms, found.rightly_left) == (1, 3, 1, 2)
    assert "a rejected recording counts as wrong" in found.what
    rows = detection.all_ways(estimates, estimates.mean, None, [])
    assert [row.what for row in rows] == ["all visits, by the lower end of the interval"]
    rows = detection.all_ways(estimates, estimates.mean, estimates, rejected)
    assert len(rows) == 5 and sum("birth weight withheld" in row.what for row in rows) == 3


def test_no_interval_is_sent_to_a_scale():
    estimates = weighed([(2400, 2450, 1), (3000, 2900, 30)])
    found = detection.screening(estimates, np.full((2, 5), np.nan))
    assert (found.found, found.false_alarms) == (1, 1)


def test_the_area_is_that_of_the_curve():
    estimates = make_estimates(make_visits(80, 3, missing=0.1), error=4)
    weight = estimates.of("weight_g")
    rounded = dataclasses.replace(estimates, mean=np.round(estimates.mean, -2))  # with ties
    found = detection.curve(rounded, "model")
    low = weight.truth[weight.known] < 2500
    assert found.area.value == pytest.approx(
        roc_auc_score(low, -rounded.mean[weight.known, 0]))
    assert found.area.low < found.area.value < found.area.high < 1
    assert (found.visits, found.low) == (weight.known.sum(), low.sum())
    x, y = np.array(found.points).T
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1) and (np.diff(x) >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(found.area.value, abs=1e-9)
    again = detection.curve(rounded.take(slice(None, None, -1)), "model")
    assert again.area.value == pytest.approx(found.area.value)


def test_without_both_kinds_there_is_no_curve():
    for pairs in ([(2400, 2450, 1)], [(3000, 2900, 30)], [(None, 2900, 30)]):
        found = detection.curve(weighed(pairs), "model")
        assert np.isnan(found.area.value) and found.points == ()
