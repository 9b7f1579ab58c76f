"""Errors, agreement and detection on fabricated estimates whose answers are known."""
import dataclasses

import numpy as np
import pytest
from make_estimates import SCALE, make_estimates, make_visits

from nurture_jax import growth
from nurture_jax.evaluation import evaluate
from nurture_jax.evaluation.estimates import Estimates, measured
from nurture_jax.evaluation.evaluate import EVERYBODY, NOT_KNOWN
from nurture_jax.measures import LABELS
from nurture_jax.records.visit import Visit
from nurture_jax.report import flow

VISITS = make_visits(60, 3, missing=0.1)


@pytest.fixture(scope="module")
def estimates():
    return make_estimates(VISITS, bias=0.5)


@pytest.fixture(scope="module")
def found(estimates):
    return evaluate.evaluate(estimates)


def test_errors_are_those_of_the_formulas(estimates, found):
    error, truth = estimates.mean - estimates.truth, estimates.truth
    for column, measure in enumerate(LABELS):
        row, relative = found.overall(measure), np.abs(error / truth)[:, column]
        assert row.visits == np.isfinite(relative).sum() < len(VISITS)
        relative = relative[np.isfinite(relative)]
        for ours, value in ((row.mae, np.nanmean(np.abs(error[:, column]))),
                            (row.bias, np.nanmean(error[:, column])),
                            (row.relative_error_percent, 100 * relative.mean()),
                            (row.within_5_percent, (relative <= 0.05).mean()),
                            (row.within_10_percent, (relative <= 0.1).mean())):
            assert ours.value == pytest.approx(value)
            assert ours.low < value < ours.high or (ours.low == value == ours.high == 1)
        assert row.unit == measure.split("_")[1]


def test_groups_divide_the_visits(found):
    everybody = {row.measure: row.visits for row in found.errors if row.by == EVERYBODY}
    for by in evaluate.groups(VISITS):
        for measure, visits in everybody.items():
            rows = [row for row in found.errors if (row.by, row.measure) == (by, measure)]
            assert sum(row.visits for row in rows) == visits
            assert np.average([row.mae.value for row in rows], weights=[row.visits for row in rows]
                              ) == pytest.approx(found.overall(measure).mae.value)
    names = {row.group for row in found.errors if row.by == "class of the birth weight"}
    assert names - {"VLBW"} == {"LBW", "not low", NOT_KNOWN}
    today = {row.group for row in found.errors if row.by == "weight at the visit"}
    assert {"1500 to 2499 g", "2500 g or more"} <= today <= {*growth.BANDS, NOT_KNOWN}


def test_rendered_newborns_are_also_divided_by_what_they_are_made_of():
    assert "body" not in evaluate.groups(VISITS)
    visits = tuple(dataclasses.replace(visit, body="anny" if i % 2 else "ellipsoids")
                   for i, visit in enumerate(VISITS))
    assert set(evaluate.groups(visits)["body"]) == {"anny", "ellipsoids"}
    rows = evaluate.errors(make_estimates(visits))
    assert {row.group for row in rows if row.by == "body"} == {"anny", "ellipsoids"}


def test_small_groups_have_no_interval():
    visits = tuple(dataclasses.replace(visit, site="far" if visit.infant_id < "n003" else "near")
                   for visit in VISITS)
    rows = evaluate.errors(make_estimates(visits))
    far = next(row for row in rows if row.group == "far")
    assert far.infants == 3 and np.isfinite(far.mae.value) and np.isnan(far.mae.low)


def test_the_order_of_visits_does_not_matter(estimates, found):
    order = np.random.default_rng(0).permutation(len(estimates))
    shuffled = evaluate.evaluate(estimates.take(order))
    assert shuffled.detection == found.detection
    for ours, theirs in zip(shuffled.errors, found.errors, strict=True):
        assert (ours.by, ours.group, ours.visits) == (theirs.by, theirs.group, theirs.visits)
        np.testing.assert_allclose(dataclasses.astuple(ours.mae), dataclasses.astuple(theirs.mae))


def test_agreement_is_bland_and_altmans():
    visits = make_visits(400, 1)
    difference = np.random.default_rng(0).normal(30, 100, (400, 5))
    truth = measured(visits)
    rows = evaluate.agreement(Estimates(visits, truth + difference, np.ones((400, 5))))
    for column, row in enumerate(rows):
        values = difference[:, column]
        mean, deviation = values.mean(), values.std(ddof=1)
        assert row.mean_difference.value == pytest.approx(mean)
        assert row.lower_limit.value == pytest.approx(mean - 1.96 * deviation)
        assert row.upper_limit.value == pytest.approx(mean + 1.96 * deviation)
        # One visit an infant and normal differences: their standard errors are known.
        for number, error in ((row.mean_difference, deviation / 20),
                              (row.upper_limit, deviation * np.sqrt(1 / 400 + 1.96 ** 2 / 798))):
            assert number.high - number.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_difference_to_a_baseline(estimates):
    worse = dataclasses.replace(estimates, mean=estimates.mean
                                + 3 * SCALE * np.sign(estimates.mean - np.nan_to_num(
                                    estimates.truth)))
    rows = evaluate.difference(estimates, worse, "worse")
    for column, row in enumerate(rows):
        assert row.mae_difference.value == pytest.approx(-3 * SCALE[column])
        assert row.mae_difference.high < 0
    same = evaluate.difference(estimates, estimates, "same")
    assert all(row.mae_difference.low == row.mae_difference.high == 0 for row in same)
    with pytest.raises(ValueError, match="different visits"):
        evaluate.difference(estimates, estimates.take(slice(1, None)), "fewer")


def test_nothing_measured_is_refused():
    with pytest.raises(ValueError, match="none of 1 visits"):
        visit = Visit("a", "0", "", age_days=1.0)
        evaluate.evaluate(Estimates((visit,), np.full((1, 5), 2000), np.ones((1, 5))))


def test_siblings_are_drawn_together():
    """A twin that is just like the other is no evidence, though it is an infant."""
    visits = make_visits(60, 2)
    twins = tuple(dataclasses.replace(visit, infant_id=f"{visit.infant_id}b") for visit in visits)
    alone = make_estimates(visits)
    both = dataclasses.replace(alone, visits=(*visits, *twins), mean=np.tile(alone.mean, (2, 1)),
                               scale=np.tile(alone.scale, (2, 1)))
    told = dataclasses.replace(both, visits=tuple(
        dataclasses.replace(visit, mother_id=f"m{visit.infant_id.strip('b')}")
        for visit in both.visits))
    widths = []
    for each in (alone, told, both):
        found = evaluate.evaluate(each)
        row = found.overall("weight_g")
        assert row.infants == (60 if each is alone else 120)
        widths.append(row.mae.high - row.mae.low)
        share = found.detection[0].sensitivity
        widths.append(share.high - share.low)
        girls = next(row for row in flow.compare(each, each.visits[::2]) if row.what == "girls")
        widths.append(girls.estimated.high - girls.estimated.low)
    widths = np.array(widths).reshape(3, 3)
    np.testing.assert_allclose(widths[1], widths[0])
    assert (widths[2] < [0.8, 0.9, 0.9] * widths[0]).all()
