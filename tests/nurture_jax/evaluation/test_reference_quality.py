"""Round numbers and repeated measurements: fabricated ones, and the real LIFE cohort."""
import csv

import numpy as np
import pytest

from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.reference_quality import heaping, technical_errors
from nurture_jax.records.visit import Visit


def of_weights(weights, infants=None, days=None, estimate=None):
    count = len(weights)
    infants, days = infants or range(count), days or [1] * count
    visits = tuple(Visit(str(i), str(n), "", age_days=day, weight_g=weight)
                   for n, (i, day, weight) in enumerate(zip(infants, days, weights, strict=True)))
    mean = np.full((count, 5), np.nan)
    mean[:, 0] = estimate or 3000
    return Estimates(visits, mean, np.where(np.isnan(mean), np.nan, 1))


def test_even_readings_are_not_heaped():
    row, = heaping(of_weights([2000 + 10 * i for i in range(100)]))
    assert (row.reading, row.share, row.expected) == (10, 0.1, 0.1)


def test_heaps_show():
    weights = [2000 + 10 * i for i in range(100)] + [2500] * 60 + [None]
    row, = heaping(of_weights(weights))
    assert row.visits == 160 and row.share == 70 / 160 and row.expected == 0.1


def test_heaps_of_a_fine_scale_show_in_spite_of_mistyped_values():
    """As in a real cohort: 62 of 100 are whole hundreds, the rest are read to 5 g, 4 are odd."""
    fine = [1805 + 35 * i for i in range(34)]
    row, = heaping(of_weights([1800 + 100 * (i % 12) for i in range(62)] + fine
                              + [2001, 2502, 2503, 3004]))
    whole = 62 + sum(weight % 100 == 0 for weight in fine)
    assert row.visits == 100 and row.reading == 5 and row.expected == 0.05
    assert row.share == whole / 100 and 0.5 < row.share < 0.75


def test_life_cohort_weights_are_heaped(shared):
    with open(shared / "data" / "growth" / "gigs_life6mo_subset300.csv", newline="") as file:
        weights = [1000 * float(row["wt_kg"]) for row in csv.DictReader(file)
                   if float(row["visitweek"]) == 0]
    row, = heaping(of_weights(weights))
    assert row.visits == 300 and 0.5 < row.share < 0.75  # 62 % in the whole cohort
    assert row.expected < 0.2


def test_technical_error_of_pairs():
    reference, estimate = technical_errors(of_weights(
        [3000, 3040, 2500, 2480, 2700], infants="aabbc", days=[1, 1.4, 7, 7, 1],
        estimate=[3100, 3100, 2400, 2500, 1]))
    assert reference.error == pytest.approx(np.sqrt((40 ** 2 + 20 ** 2) / 4))
    assert reference.percent == pytest.approx(100 * reference.error / 2755)
    assert (reference.what, reference.repeated) == ("reference", 2)
    assert estimate.error == pytest.approx(np.sqrt(100 ** 2 / 4))


def test_without_repeats_nothing_is_said():
    assert technical_errors(of_weights([3000, 3040], infants="aa", days=[1, 7])) == ()
    once = technical_errors(of_weights([3000, None], infants="aa"))
    assert [row.what for row in once] == ["estimate"]  # the reference was taken once
