"""The standard of infants born preterm: printed tables, worked examples, equations, its ends."""
import math
import re

import pytest
from published_growth import PRETERM_EXAMPLES, PRETERM_LINES

from nurture_jax import growth

MAX_Z = 0.01
HALF = {"weight_g": 0.0051, "length_cm": 0.051, "head_cm": 0.051}  # of the last printed digit
MEASURES = ("weight_g", "length_cm", "head_cm")


def score(measure, value, sex, days):
    """z of a value in kg or cm."""
    return growth.postnatal_preterm(measure, 1000 * value if measure == "weight_g" else value,
                                    sex=sex, postmenstrual_days=days).z


@pytest.mark.parametrize("row", PRETERM_LINES, ids=lambda row: f"{row[0]}-{row[1]}-{row[2]}")
def test_printed_lines(row):
    measure, sex, weeks, values = row
    for z, value in zip(range(-3, 4), values, strict=True):
        low, high = (score(measure, value + off, sex, 7 * weeks)
                     for off in (-HALF[measure], HALF[measure]))
        assert low - MAX_Z <= z <= high + MAX_Z, (z, value, low, high)


@pytest.mark.parametrize("measure, sex, z, value", PRETERM_EXAMPLES)
def test_worked_examples(measure, sex, z, value):
    """Printed to two decimals, at 34 weeks."""
    assert score(measure, value - 0.0051, sex, 238) <= z <= score(measure, value + 0.0051, sex, 238)


def python(formula):
    """A formula of a paper as Python writes it."""
    return re.sub(r"(\d) (sqrt|ln|x|s)\b", r"\1 * \2", formula).replace("^", "**")


def test_equations_as_they_were_noted_down(shared):
    """Every day, both sexes, from -3 to 3 z; the equations are read out of the notes."""
    rows = re.findall(r"^\| (weight|length|head), \w+ \| (.+?) \| (.+?) \| (\w+) \|$",
                      (shared / "data" / "growth" / "SOURCES.md").read_text(), re.MULTILINE)
    assert [row[0] for row in rows] == ["weight", "length", "head"]
    worst = 0
    for measure, (_, mean, deviation, scale) in zip(MEASURES, rows, strict=True):
        mean, deviation = (compile(python(text), measure, "eval") for text in (mean, deviation))
        for days in range(189, 449):
            for sex in "FM":
                names = {"x": days / 7, "s": sex == "M", "sqrt": math.sqrt, "ln": math.log}
                mu, sigma = (eval(code, {}, names) for code in (mean, deviation))
                for z in range(-3, 4):
                    y = mu + z * sigma
                    value = math.exp(y) if scale == "logarithm" else y
                    worst = max(worst, abs(score(measure, value, sex, days) - z))
    print(f"at most {worst:.1e} z from the published equations")
    assert worst < MAX_Z


def test_its_ends():
    """27+0 to 64+0 weeks, neither rounded nor gone beyond."""
    at = lambda days: growth.postnatal_preterm("weight_g", 2000, sex="F", postmenstrual_days=days)
    assert all(isinstance(at(days), growth.ZScore) for days in (189, 189.5, 448))
    for days in (188.9, 448.1):
        assert "begins at 27 weeks" in at(days).reason
    assert at(300).z > at(301).z > at(301.5).z
