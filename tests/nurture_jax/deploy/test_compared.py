"""What a file must keep of its run, and that what it has lost is told."""
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
from make_estimates import make_estimates, make_visits

from nurture_jax.deploy.compared import Measured, agreement, differences, failures, further
from nurture_jax.deploy.export import _check, _table
from nurture_jax.measures import LABELS
from nurture_jax.runs.observed import Observed

WEIGHT, ARM = LABELS.index("weight_g"), LABELS.index("arm_cm")
RUN = make_estimates(make_visits(20, 1), error=0.5)


def measured(mean=RUN.mean, accepted=None, coverage=None):
    """What a network says that estimates `mean`; visits that it does not accept are left out."""
    accepted = np.ones(len(RUN), bool) if accepted is None else accepted
    seen = dataclasses.replace(RUN, mean=mean).take(accepted)
    errors = np.abs(seen.mean - seen.truth)
    return Measured(
        None, {name: float(np.nanmean(errors[:, i])) for i, name in enumerate(LABELS)
               if np.isfinite(errors[:, i]).any()},
        {"weight_g": 0.9, "arm_cm": 0.9} if coverage is None else coverage,
        Observed(seen, seen, tuple((visit, SimpleNamespace(accepted=bool(each)))
                                   for visit, each in zip(RUN.visits, accepted, strict=True))))


def changed(row, column, value):
    mean = RUN.mean.copy()
    mean[row, column] = value
    return measured(mean)


def test_a_file_that_says_the_same_keeps_all():
    assert failures(measured(), measured(), "fp32") == []
    assert set(differences(measured(), measured()).values()) == {0.0}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_measure_that_a_file_has_lost_is_told(precision):
    arm, weight = (changed(slice(None), column, np.nan) for column in (ARM, WEIGHT))
    assert differences(measured(), arm)["arm_cm"] == np.inf == further(measured(), weight)
    assert failures(measured(), arm, precision) == [
        "it has no arm circumference of a recording of which the network has one"]
    assert failures(arm, measured(), precision) == []


def test_what_differs_by_more_than_is_allowed_is_told_of_fp32():
    file = changed(3, WEIGHT, RUN.mean[3, WEIGHT] + 3)
    assert differences(measured(), file)["weight_g"] == pytest.approx(3)
    assert failures(measured(), file, "int8") == []
    assert failures(measured(), file, "fp32") == [
        "weight differs by up to 3 g from the network's, allowed is 2"]


def test_errors_of_the_weight_are_of_the_visits_that_both_let_through():
    """One bad visit that the file refuses would hide an error of 4 g on every other."""
    mean = RUN.mean.copy()
    mean[0, WEIGHT] = RUN.truth[0, WEIGHT] + 400
    run = measured(mean)
    worse = mean.copy()
    worse[1:, WEIGHT] = RUN.truth[1:, WEIGHT] + np.abs(mean - RUN.truth)[1:, WEIGHT] + 4
    file = measured(worse, accepted=np.arange(len(RUN)) > 0)
    assert file.errors["weight_g"] < run.errors["weight_g"]
    assert further(run, file) == pytest.approx(4) and agreement(run, file) == 19 / 20
    assert failures(run, file, "int8") == [
        "the mean error of the weight is 4.0 g larger than the network's, allowed is 3",
        "the gate decides alike on 95.0% of the recordings, needed are 99%"]


def test_intervals_that_a_file_has_lost_are_told_and_its_cell_is_empty():
    run, file = measured(), measured(coverage={"weight_g": 0.88})
    assert failures(run, file, "int8") == [
        "intervals of weight cover 2.0 points less than the network's, allowed is 1",
        "it has no intervals of arm circumference, the network has some"]
    assert _check(run, file, "int8", "test")["rows"]["coverage, arm circumference"] == ["90.0%", ""]
    lines = _table(run, {"int8": file}, {"int8": 1}, {"int8": 1.0}, {})
    row = next(line for line in lines if line.startswith("coverage, arm"))
    assert row.split() == ["coverage,", "arm", "circumference", "90.0%"]
