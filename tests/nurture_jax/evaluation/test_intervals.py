"""Conformal intervals keep their promise on exchangeable infants (fabricated estimates)."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_estimates import make_estimates, make_visits
from make_population import population

from nurture_jax.evaluation import coverage, quantiles
from nurture_jax.evaluation.covariates import EARLY, LIGHT, SPREADS, covariates
from nurture_jax.evaluation.coverage import EVERYBODY, covered
from nurture_jax.evaluation.groups import AGE_BANDS, GIVEN, UNKNOWN_AGE, WITHHELD, bands
from nurture_jax.evaluation.intervals import LEAST_SCORE, calibrate, recalibrate
from nurture_jax.measures import LABELS


@pytest.fixture(scope="module")
def calibrated():
    return calibrate(*population(400, 1))


@pytest.fixture(scope="module")
def fresh():
    return population(2000, 2)


def shares(intervals, estimates):
    """Coverage by infant of the measures, by (how the visits are divided, group)."""
    low, high = intervals.bounds(estimates)
    inside, found = (low <= estimates.truth) & (estimates.truth <= high), {}
    for by, names in coverage.groups(estimates.visits).items():
        for group in set(names):
            rows = np.array(names) == group
            found[by, group] = np.average(inside[rows], axis=0,
                                          weights=quantiles.shares(estimates.infants[rows]))
    return found


def width(intervals, estimates):
    low, high = intervals.bounds(estimates)
    return (high - low).mean(0)


def test_bands():
    ages = np.array([0, 3.9, 4, 20, 21, 60.5, 61, np.nan])
    assert bands(ages) == ["0-3 days", "0-3 days", "4-10 days", "11-20 days", "21-35 days",
                           "36-60 days", UNKNOWN_AGE, UNKNOWN_AGE]


def test_covariates_are_what_is_known_at_the_visit():
    first = make_visits(1, 1)[0]
    visits = [dataclasses.replace(first, birth_weight_g=weight, gestational_age_days=gestation)
              for weight, gestation in ((2400, 252), (3600, 259), (None, None), (900, 170))]
    found = covariates(visits, np.array([2600, 2400, 2800, 2600]))
    assert found.keys() == SPREADS.keys()
    np.testing.assert_allclose(found[LIGHT], [0.6, 0, 0.2, 1.5])
    assert found[EARLY].tolist() == [1, 0, 0, 8]
    assert found["gestation not known"].tolist() == [0, 0, 1, 0]
    assert sum(found[band] for band in (*AGE_BANDS, UNKNOWN_AGE)).tolist() == [1] * 4


def test_one_visit_each_is_the_usual_conformal_quantile():
    scores = np.random.default_rng(0).permutation(99).astype(float)
    # The (n + 1) 0.9 = 90th smallest of 99.
    assert quantiles.quantile_by_infant(scores, np.arange(99), 0.9) == 89
    assert quantiles.quantile_by_infant(scores[:9], np.arange(9), 0.9) == scores[:9].max()
    assert quantiles.quantile_by_infant(scores[:8], np.arange(8), 0.9) == np.inf


@settings(max_examples=25, deadline=None, derandomize=True)  # a statistical bound
@given(st.integers(9, 40), st.sampled_from([0.5, 0.8, 0.9]), st.integers(0, 2 ** 32 - 1))
def test_coverage_of_exchangeable_infants(infants, asked, seed):
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
        limit = quantiles.quantile_by_infant(scores[known], owner[known], asked)
        hits += random.choice(scores[~known]) <= limit
    deviation = np.sqrt(asked * (1 - asked) / rounds)
    assert hits / rounds > asked - 4.5 * deviation
    assert hits / rounds < min(1, asked + 2 / (infants + 1)) + 4.5 * deviation


def test_how_scores_grow_is_found():
    """Twenty per cent for each unit of one number, nothing for another; few infants tell little."""
    random, spreads = np.random.default_rng(0), np.array([0.2, 0.2, 0.2])
    numbers = np.stack([random.integers(0, 4, 2000), random.normal(size=2000),
                        random.integers(0, 2, 2000)], 1).astype(float)
    scores = random.exponential(1, 2000) * np.exp(numbers @ np.array([0.2, 0, -0.3]))
    free, only = np.zeros(3, bool), np.array([False, False, True])
    fit = lambda count, owner, wider: quantiles.log_factors(
        scores[:count], owner, numbers[:count], spreads, wider)
    np.testing.assert_allclose(fit(2000, np.arange(2000), free), [0.2, 0, -0.3], atol=0.06)
    assert fit(2000, np.arange(2000), only)[2] == 0
    assert (np.abs(fit(3, np.arange(3), free)) < 0.2).all()
    one = fit(500, np.arange(500), free)
    again = quantiles.log_factors(np.repeat(scores[:500], 3), np.repeat(np.arange(500), 3),
                                  np.repeat(numbers[:500], 3, 0), spreads, free)
    np.testing.assert_allclose(one, again, atol=1e-4)  # an infant counts once


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(9, 60), st.integers(1, 4), st.integers(0, 2 ** 32 - 1))
def test_groups_that_divide_all_visits_have_finite_factors(infants, parts, seed):
    random = np.random.default_rng(seed)
    part = np.eye(parts)[random.integers(0, parts, infants)]
    scores = random.exponential(1, infants) ** 4
    scores[0] = LEAST_SCORE
    found = quantiles.log_factors(scores, np.arange(infants), part, np.full(parts, 0.2),
                                  np.zeros(parts, bool))
    assert (np.abs(found) < 2).all()


def test_new_infants_are_covered_by_pattern_and_class(calibrated, fresh):
    """With 400 infants: of 2,000 new ones, as often as promised in every group."""
    found = shares(calibrated, fresh[0])
    for key in ((EVERYBODY, EVERYBODY), ("birth weight", GIVEN), ("birth weight", WITHHELD)):
        assert all(0.86 < share < 0.94 for share in found[key]), (key, found[key])
    for key in (("class of the birth weight", "LBW"), ("gestation", "born preterm"),
                ("visit day", "0-3 days")):
        # About 80 of the 400 are in a group: a share has a standard error of 0.034 from them.
        assert all(0.82 < share < 0.97 for share in found[key]), (key, found[key])
        assert 0.87 < np.mean(found[key]) < 0.93, (key, found[key])
    untold = shares(calibrated, fresh[1])
    assert all(0.87 < share < 0.94 for share in untold[EVERYBODY, EVERYBODY])


def test_one_factor_for_all_would_not_do(calibrated, fresh):
    pooled = calibrate(population(400, 1)[0])
    assert pooled.factors[GIVEN] == pooled.factors[WITHHELD]
    assert np.mean(shares(pooled, fresh[0])["birth weight", WITHHELD]) < 0.87
    assert (width(calibrated, fresh[0]) < 1.1 * width(pooled, fresh[0])).all()


def test_what_the_birth_weight_is_worth_is_told(calibrated):
    costs = calibrated.costs()
    assert set(costs) == set(LABELS) and all(1.2 < cost < 2 for cost in costs.values())
    visit = make_visits(1, 1)[0]
    assert calibrated.lacked(visit) == []
    cost = f"{100 * (costs['weight_g'] - 1):+.0f} %"
    told, = calibrated.lacked(dataclasses.replace(visit, birth_weight_g=None))
    assert told.startswith("birth weight, which changes the width") and told.endswith(cost)
    told, = calibrated.lacked(dataclasses.replace(visit, sex=""))
    assert told == ("sex (intervals were calibrated on 0 such infants, and 30 are needed to "
                    "rely on them)")
    notes = calibrated.notes()
    assert any("times as wide" in note for note in notes)
    assert any(note.startswith("weight_g, birth weight given: wider by ")
               and note.endswith(LIGHT) for note in notes)


def without(estimates, lacked, wider=1.0, **nothing):
    """The estimates with `nothing` in the place of what infants lack; these err `wider` as much."""
    lacks = np.array([lacked(int(visit.infant_id.split("-")[1])) for visit in estimates.visits])
    visits = tuple(dataclasses.replace(visit, **nothing) if lack else visit
                   for visit, lack in zip(estimates.visits, lacks, strict=True))
    error = (estimates.mean - estimates.truth) * np.where(lacks, wider, 1)[:, None]
    return dataclasses.replace(estimates, visits=visits, mean=estimates.truth + error)


@pytest.mark.parametrize("nothing, name", [({"gestational_age_days": None}, "gestation"),
                                           ({"age_days": None}, "age")])
def test_what_age_and_gestation_are_worth_is_told(nothing, name):
    """Of a third of the infants it is not known, and they err by half as much again."""
    given, withheld = population(1000, 3)
    third = lambda infant: infant % 3 == 0
    found = calibrate(*(without(part, third, 1.5, **nothing) for part in (given, withheld)))
    visit = dataclasses.replace(make_visits(1, 1)[0], birth_weight_g=3300, **nothing)
    for birth_g in (3300, None):
        told = found.lacked(dataclasses.replace(visit, birth_weight_g=birth_g))[-1]
        start, percent = told.removesuffix(" %").split(" by ")
        assert start == f"{name}, for which calibration changes the width of the interval of the " \
            "weight"
        assert percent[0] == "+" and 35 < int(percent) < 65, told


def test_a_cost_that_was_not_measured_is_said_to_be_so():
    """A sex that some lack has no factor; nor has what all lack, or none with a birth weight."""
    visit = dataclasses.replace(make_visits(1, 1)[0], birth_weight_g=3300)
    both = population(150, 4)
    not_measured = "{}, and what that costs was not measured"
    third, everybody = lambda infant: infant % 3 == 0, lambda infant: True
    for lacked, nothing, name in ((third, {"sex": ""}, "sex"),
                                  (everybody, {"age_days": None}, "age"),
                                  (everybody, {"gestational_age_days": None}, "gestation")):
        found = calibrate(*(without(part, lacked, **nothing) for part in both))
        assert found.lacked(dataclasses.replace(visit, **nothing)) == [not_measured.format(name)]
    told = {visit.infant_id for visit in both[0].visits if visit.birth_weight_g is not None}
    untold = lambda infant: f"4-{infant}" not in told or infant % 2
    nothing = {"gestational_age_days": None, "birth_weight_g": None}
    found = calibrate(*(without(part, untold, **nothing) for part in both))
    assert found.lacked(dataclasses.replace(visit, gestational_age_days=None)) == [
        not_measured.format("gestation")]
    assert "%" in found.lacked(dataclasses.replace(visit, **nothing))[1]
    bare = dataclasses.replace(found, factors={GIVEN: {}, WITHHELD: {}}, widths={})
    assert bare.lacked(dataclasses.replace(visit, **nothing)) == [
        not_measured.format("birth weight"), not_measured.format("gestation")]


def test_a_factor_of_another_hospital_tells_no_cost(calibrated):
    """Where factors are of infants whose gestation is known; those of here lack it."""
    few = [without(part, lambda infant: infant % 2, gestational_age_days=None)
           for part in population(100, 5)]
    found = recalibrate(calibrated, *few)
    visit = dataclasses.replace(make_visits(1, 1)[0], gestational_age_days=None)
    assert found.lacked(visit) == ["gestation, and what that costs was not measured"]


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_another_hospital_is_covered_again_by_fifty_of_its_infants(calibrated, seed):
    """Errors are half as large again, and three in ten are preterm; nothing is trained."""
    there = population(1000, seed, preterm=0.3, worse=1.5)
    some = [row < 150 for row in range(len(there[0]))]
    few = tuple(part.take(np.array(some)) for part in there)
    rest = there[0].take(~np.array(some))
    before = shares(calibrated, rest)[EVERYBODY, EVERYBODY]
    again = recalibrate(calibrated, *few)
    after = shares(again, rest)[EVERYBODY, EVERYBODY]
    assert np.mean(before) < 0.8
    assert all(0.82 < share < 0.98 for share in after) and 0.87 < np.mean(after) < 0.95
    assert again.factors[GIVEN]["weight_g"].keys() == calibrated.factors[GIVEN]["weight_g"].keys()
    assert 40 <= again.infants[WITHHELD]["weight_g"] <= 60


def test_coverage_is_of_infants_and_not_of_visits():
    visits = make_visits(40, 5)[:100] + make_visits(80, 1)[40:]  # 20 infants of 5, 40 of one
    estimates = make_estimates(visits)
    mean = np.array([row if visit.infant_id < "n020" else truth + 99 * scale for visit, row, truth,
                     scale in zip(visits, estimates.truth, estimates.truth, estimates.scale,
                                  strict=True)])
    estimates = dataclasses.replace(estimates, mean=mean)
    weight = covered(calibrate(make_estimates(make_visits(60, 3))), estimates)[0]
    assert weight.by_visit.value == pytest.approx(100 / 140)
    assert weight.by_infant.value == pytest.approx(20 / 60)
    assert weight.by_infant.low < 1 / 3 < weight.by_infant.high


def test_coverage_is_told_by_who_the_infant_is_and_where():
    """Girls' intervals miss, and so do those of one ward; of many devices not each has a row."""
    estimates = make_estimates(make_visits(60, 2))
    wrong = np.array([visit.sex == "F" for visit in estimates.visits])
    mean = np.where(wrong[:, None], estimates.truth + 99 * estimates.scale, estimates.truth)
    visits = tuple(dataclasses.replace(visit, site="" if i % 5 else "ward", device=f"serial {i}")
                   for i, visit in enumerate(estimates.visits))
    found = covered(calibrate(make_estimates(make_visits(60, 3))),
                    dataclasses.replace(estimates, mean=mean, visits=visits))
    rows = {(row.by, row.group): row for row in found if row.measure == "weight_g"}
    assert rows["sex", "F"].by_infant.value == 0 and rows["sex", "M"].by_infant.value == 1
    assert rows["site", "ward"].visits == 24 and rows["site", "not known"].visits == 96
    devices = [row for (by, _), row in rows.items() if by == "device"]
    assert len(devices) == 21 and rows["device", "others"].visits == 100


def test_order_of_visits_does_not_matter():
    estimates = make_estimates(make_visits(50, 3, missing=0.2))
    shuffled = estimates.take(np.random.default_rng(0).permutation(len(estimates)))
    ours, theirs = calibrate(estimates), calibrate(shuffled)
    assert ours.infants == theirs.infants
    np.testing.assert_allclose(ours.bounds(estimates), theirs.bounds(estimates), rtol=1e-6)


def test_a_rare_measure_has_no_interval():
    visits = tuple(visit if visit.infant_id < "n008" else dataclasses.replace(visit, chest_cm=None)
                   for visit in make_visits(40, 2))
    estimates = dataclasses.replace(make_estimates(make_visits(40, 2)), visits=visits)
    found = calibrate(estimates)
    assert [note for note in found.notes() if "chest" in note] == [
        f"chest_cm, {inputs}: 8 calibration infants, 9 needed; no interval"
        for inputs in (GIVEN, WITHHELD)]
    low, _ = found.bounds(estimates)
    assert np.isnan(low[:, 3]).all() and np.isfinite(low[:, :3]).all()
    assert all(result.measure != "chest_cm" for result in covered(found, estimates))


def test_a_small_pilot_has_no_interval_at_all():
    estimates = make_estimates(make_visits(8, 5))
    found = calibrate(estimates, estimates)
    assert found.factors == {GIVEN: {}, WITHHELD: {}} and covered(found, estimates) == []
    assert np.isnan(found.bounds(estimates)).all() and len(found.notes()) == 2 * len(LABELS)
    assert recalibrate(found, estimates, estimates).factors == found.factors


def test_a_weight_that_is_the_birth_weight_calibrates_nothing():
    visits = make_visits(20, 1)
    newborn = tuple(dataclasses.replace(visit, age_days=0.0, weight_g=visit.birth_weight_g + 10)
                    for visit in visits)
    estimates = make_estimates(visits)
    told = calibrate(dataclasses.replace(estimates, visits=newborn))
    assert told.infants[GIVEN]["weight_g"] == 0 and told.infants[GIVEN]["head_cm"] == 20
    untold = tuple(dataclasses.replace(visit, birth_weight_g=None) for visit in newborn)
    both = calibrate(dataclasses.replace(estimates, visits=newborn),
                     dataclasses.replace(estimates, visits=untold))
    assert both.infants[WITHHELD]["weight_g"] == 20


def test_refusals():
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(make_estimates(make_visits(20, 1)), coverage=90)
