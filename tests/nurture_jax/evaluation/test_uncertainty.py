"""Bootstrap by infant, and intervals of shares of visits that are alike."""
import dataclasses
import math
import time
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from deps_jax.common.statistics.intervals import wilson
from nurture_jax.evaluation import uncertainty
from nurture_jax.evaluation.uncertainty import (
    MINIMUM_INFANTS,
    OfFamily,
    bootstrap,
    difference_of_means,
    difference_of_runs,
    draws,
    errors_by_visit,
    mean_of,
    share,
)


def ratio(total, count):
    return (total / count,)


def terms(values):
    return np.stack([values, np.ones(len(values))], 1)


def percentiles(owner, values, resamples=2000, seed=0):
    """2.5 and 97.5 % of the means when infants are drawn, written without a library."""
    infants = np.arange(owner.max() + 1)
    total, count = (np.bincount(owner, weights) for weights in (values, np.ones(len(values))))
    drawn = np.random.default_rng(seed).integers(len(infants), size=(resamples, len(infants)))
    return np.percentile(total[drawn].sum(1) / count[drawn].sum(1), (2.5, 97.5))


def test_95_of_100_intervals_hold_the_truth():
    """Skewed infants of three visits each; drawn by visit, three of four intervals do."""
    random, held = np.random.default_rng(0), {"infants": 0, "visits": 0}
    owner, data_sets = np.repeat(np.arange(40), 3), 300
    for seed in range(data_sets):
        values = random.gamma(4, 25, 40)[owner] + random.normal(0, 10, 120)  # 100 on average
        for name, whose in (("infants", owner), ("visits", np.arange(120))):
            mean, = bootstrap(whose, terms(values), ratio, seed, resamples=400)
            assert mean.value == pytest.approx(values.mean())
            held[name] += mean.low <= 100 <= mean.high
    assert 0.91 <= held["infants"] / data_sets <= 0.98
    assert held["visits"] / data_sets <= 0.8


def test_width_is_that_of_infants_not_of_visits():
    random = np.random.default_rng(0)
    of_infant = random.normal(size=100)
    alike = np.repeat(of_infant, 5)
    owner = np.repeat(np.arange(100), 5)
    mean = mean_of(owner, alike)
    expected = 2 * stats.norm.ppf(0.975) * of_infant.std() / 10
    assert mean.high - mean.low == pytest.approx(expected, rel=0.1)
    naive = mean_of(np.arange(500), alike)
    assert naive.high - naive.low == pytest.approx(expected / np.sqrt(5), rel=0.1)


def test_beside_percentiles_the_interval_of_a_skewed_mean_moves_to_the_long_tail():
    """By some hundredths of its width; without skew it stays."""
    random, owner = np.random.default_rng(0), np.repeat(np.arange(80), 2)
    for values, least, most in ((random.normal(100, 20, 160), -0.04, 0.04),
                                (random.exponential(100, 160), 0.0, 0.15)):
        found, = bootstrap(owner, terms(values), ratio)
        low, high = percentiles(owner, values)
        for new, old in ((found.low, low), (found.high, high)):
            assert least < (new - old) / (high - low) < most


def test_the_interval_of_a_share_near_one_reaches_further_down():
    """119 of 120: percentiles reach no further than the resamples that drew it twice."""
    owner, hits = np.repeat(np.arange(40), 3), np.arange(120) != 7
    found, = bootstrap(owner, terms(hits), ratio)
    low, _ = percentiles(owner, hits)
    assert found.value == 119 / 120 and found.high == 1
    assert 0.93 < found.low < low


@pytest.mark.parametrize("count", [12, 300])
def test_intervals_are_those_of_scipy(count):
    """Of a ratio, of limits of agreement and of a share, by its jackknife of all others."""
    random = np.random.default_rng(count)
    values, owner = random.exponential(100, 3 * count), np.repeat(np.arange(count), 3)
    columns = np.stack([values, values ** 2, values > 200, np.ones(len(values))], 1)
    sums = np.stack([np.bincount(owner, column) for column in columns.T], 1)

    def statistic(total, squares, hits, n):
        return (total / n, *uncertainty.limits_of_agreement(total, squares, n)[1:], hits / n)

    found = bootstrap(owner, columns, statistic, seed=4)
    of_drawn = lambda *drawn, axis: np.stack(statistic(*(each.sum(axis) for each in drawn)))
    theirs = stats.bootstrap(
        tuple(sums.T), of_drawn, paired=True, vectorized=True, n_resamples=2000,
        method="BCa", batch=200, rng=np.random.default_rng(4)).confidence_interval
    np.testing.assert_allclose([[each.low, each.high] for each in found],
                               np.stack(theirs, 1), rtol=1e-9)


def test_the_time_grows_with_the_number_of_infants_and_not_with_its_square():
    """20,000 infants: 0.06 s; a jackknife that adds up all others takes 3 s."""
    values = np.random.default_rng(0).normal(size=20_000)
    start = time.process_time()
    bootstrap(np.arange(20_000), terms(values), ratio, resamples=50)
    assert time.process_time() - start < 1


def test_where_all_resamples_agree_the_interval_is_that_value():
    """BCa is not defined there; warnings are errors in these tests."""
    owner = np.repeat(np.arange(20), 2)
    constant = np.stack([np.ones(40), np.arange(40.0), np.ones(40)], 1)
    share, mean = bootstrap(owner, constant,
                            lambda hits, total, count: (hits / count, total / count))
    assert (share.value, share.low, share.high) == (1, 1, 1)
    assert mean.low < mean.value < mean.high  # of another statistic, BCa all the same


def test_a_statistic_that_some_resamples_lack_has_no_interval():
    rare = np.zeros((40, 2))
    rare[3] = 1
    number, = bootstrap(np.arange(40), rare, ratio)  # no case at all in a third of them
    assert number.value == 1 and np.isnan([number.low, number.high]).all()


def test_same_seed_same_interval_and_the_order_does_not_matter():
    random = np.random.default_rng(0)
    values, owner = random.normal(size=60), np.repeat(np.arange(20), 3)
    order = random.permutation(60)
    first = bootstrap(owner, terms(values), ratio, seed=5)
    again = bootstrap(owner[order], terms(values[order]), ratio, seed=5)
    np.testing.assert_allclose([first[0].low, first[0].high], [again[0].low, again[0].high])
    other, = bootstrap(owner, terms(values), ratio, seed=6)
    assert other.low != first[0].low


def test_memory_is_that_of_a_batch_of_resamples():
    """Thousands of infants: one matrix of all resamples would have more bytes than all of it."""
    infants = np.arange(2500)
    values = terms(np.random.default_rng(0).normal(size=2500))
    bootstrap(infants[:20], values[:20], ratio)  # what is imported on the way
    tracemalloc.start()
    bootstrap(infants, values, ratio)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.75 * uncertainty.RESAMPLES * 2500 * 8


def test_too_few_infants_have_no_interval():
    few = np.arange(MINIMUM_INFANTS - 1.0)
    number, = bootstrap(few, terms(few), ratio)
    assert number.value == few.mean() and np.isnan([number.low, number.high]).all()
    nothing, = bootstrap(np.zeros(0), np.zeros((0, 2)), ratio)
    assert np.isnan(nothing.value)


def test_a_share_of_alike_visits_has_a_wider_interval():
    random = np.random.default_rng(0)
    infants, own = np.repeat(np.arange(40), 5), random.random(40) < 0.7
    alike, free = share(own[infants], infants), share(own[infants], np.arange(200))
    assert alike.value == free.value == own.mean()
    ours, theirs = (number.high - number.low for number in (alike, free))
    assert 1.8 < ours / theirs < 2.4  # as of 40, sqrt(5) = 2.2
    for hits in (28, 199):
        single = share(np.arange(200) < hits, np.arange(200))
        np.testing.assert_allclose(dataclasses.astuple(single),
                                   dataclasses.astuple(wilson(hits, 200)), rtol=2e-3)


def test_where_all_visits_agree_there_are_as_many_as_infants():
    found = share(np.ones(200, bool), np.repeat(np.arange(40), 5))
    np.testing.assert_allclose(dataclasses.astuple(found), dataclasses.astuple(wilson(40, 40)))
    assert math.isnan(share(np.array([], bool), np.array([])).value)


def test_drawn_infants_bring_all_their_visits():
    infants = np.repeat(np.arange(20), 3)
    weights = np.concatenate(list(draws(infants, 0, 450)))
    assert weights.shape == (450, 60) and (weights.sum(1) == 60).all()
    assert (weights[:, ::3] == weights[:, 2::3]).all() and weights.max() > 1
    assert list(draws(infants[:9], 0)) == []
    assert dataclasses.astuple(uncertainty.percentiles(0.5, []))[0] == 0.5
    assert math.isnan(uncertainty.percentiles(0.5, []).low)


def errors(values):
    return [{"infant_id": f"n{i // 2}", "visit_id": str(i % 2), "weight_g": error}
            for i, error in enumerate(values)]


def test_errors_are_of_known_visits_and_siblings_are_of_one_family():
    rows = errors((1.0, None, 3.0))
    assert errors_by_visit(rows, "weight_g") == {("n0", "0"): (1, "n0"), ("n1", "0"): (3, "n1")}
    assert errors_by_visit(rows, "arm_cm") == {}
    told = errors_by_visit([{**rows[2], "family": "m"}], "weight_g")
    assert told == {("n1", "0"): (3, "m")}
    # Runs of a version that did not tell families are of the same visits.
    assert difference_of_runs([told], [errors_by_visit(rows, "weight_g")]).value == 0


def test_the_difference_is_of_the_visits_that_all_have():
    random = np.random.default_rng(0)
    theirs = random.exponential(100, 60)
    ours = errors_by_visit(errors([*(theirs[:50] - 10 + random.normal(0, 1, 50)), 10.0 ** 6]),
                           "weight_g")
    del ours["n25", "0"]
    found = difference_of_runs([ours], [errors_by_visit(errors(theirs), "weight_g")])
    assert found.value == pytest.approx(-10, abs=0.5)
    assert found.low < found.value < found.high < -9
    assert math.isnan(difference_of_runs([{}], [ours]).value)
    assert math.isnan(difference_of_runs([], [ours]).value)


def test_siblings_are_drawn_together():
    """Twins that are alike are half as many, so the interval is wider by the root of two."""
    apart = np.repeat(np.random.default_rng(0).normal(size=60), 2)
    rows = [{"infant_id": f"n{i}", "visit_id": "1", "weight_g": each, "family": f"m{i // 2}"}
            for i, each in enumerate(apart)]
    widths = []
    for each in (rows, [{**row, "family": row["infant_id"]} for row in rows]):
        ours = errors_by_visit(each, "weight_g")
        found = difference_of_runs([ours], [{key: OfFamily(0.0, "") for key in ours}])
        widths.append(found.high - found.low)
    assert widths[0] / widths[1] == pytest.approx(math.sqrt(2), rel=0.1)


def test_other_seeds_widen_the_interval_as_students_t_does():
    """Levels of runs of -1, 0, 1 and -2, 0, 2 g, on infants that are all alike."""
    ours, theirs = (np.outer(levels, np.ones(20)) for levels in ([4, 5, 6], [-2, 0, 2]))
    found = difference_of_means(ours, theirs, np.arange(20).astype(str))
    welch = stats.ttest_ind([4, 5, 6], [-2, 0, 2], equal_var=False).confidence_interval()
    np.testing.assert_allclose([found.value, found.low, found.high], [5, *welch])
    pairs = difference_of_means(ours, theirs, np.arange(20).astype(str), same_runs=True)
    expected = stats.ttest_rel([4, 5, 6], [-2, 0, 2]).confidence_interval()
    np.testing.assert_allclose([pairs.low, pairs.high], [*expected])
    one = difference_of_means(ours, theirs[:1], np.arange(20).astype(str))
    half = stats.t.ppf(0.975, 2) / math.sqrt(3)
    np.testing.assert_allclose([one.value, one.low, one.high], [7, 7 - half, 7 + half])


@pytest.mark.parametrize("level_sd", [0.0, 10.0])
def test_of_two_alike_methods_the_interval_says_so(level_sd):
    """Three runs each, 120 infants; by drawing infants alone, 61 of 100 would differ at 10 g."""
    random, wrong, repeats = np.random.default_rng(0), 0, 200
    for _ in range(repeats):
        hard = random.gamma(2, 70, 120)
        runs = [np.array([hard + random.normal(0, level_sd) + random.normal(0, 30, 120)
                          for _ in range(3)]) for _ in range(2)]
        found = difference_of_means(*runs, np.arange(120).astype(str))
        wrong += not found.low <= 0 <= found.high
    assert wrong / repeats < 0.09
