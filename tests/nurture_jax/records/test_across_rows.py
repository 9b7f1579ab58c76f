"""What only two rows together, or two cells, show to be wrong; and dates."""
import shutil

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import COLUMNS, rows, write_csv, write_records

from nurture_jax import records
from nurture_jax.growth import intergrowth
from nurture_jax.records import across_rows, dates, visit_table

DATED = [*COLUMNS, "mother_id", *dates.COLUMNS]


def read(folder, table, columns=DATED):
    write_csv(folder, table, columns)
    return visit_table.read(folder)


def problems(folder, changes):
    """What is wrong with a table of which some cells are changed: {row: {column: cell}}."""
    table = rows()
    for row, cells in changes.items():
        table[row].update(cells)
    return [str(problem) for problem in read(folder, table)[1]]


@pytest.mark.parametrize("changes, sentence", [
    ({1: {"sex": "M"}}, "row 3, column sex: 'M' of infant 'n0' is F in row 2; correct one"),
    ({3: {"birth_weight_g": "3900"}}, "column birth_weight_g: '3900' of infant 'n1' is 2900"),
    ({3: {"gestational_age_days": "240"}}, "column gestational_age_days: '240' of infant 'n1' is"),
    ({0: {"age_days": "9"}}, "row 3, column age_days: '8' is younger than the 9 days of visit '0' "
                             "in row 2; correct an age or a visit_id"),
    ({0: {"visit_id": "v2", "age_days": "9"}, 1: {"visit_id": "V10", "age_days": "3"}},
     "row 3, column age_days: '3' is younger than the 9 days of visit 'v2' in row 2; correct an "
     "age or a visit_id"),
    ({2: {"infant_id": "N0", "visit_id": "7", "sex": "F", "gestational_age_days": "",
          "birth_weight_g": ""}},
     "row 4, column infant_id: 'N0' differs from 'n0' of row 2 in case or blanks only; write one"),
    ({2: {"infant_id": "n 0", "visit_id": "7"}}, "'n 0' differs from 'n0' of row 2 in case"),
    ({2: {"infant_id": "\uff4e0", "visit_id": "7"}}, "differs from 'n0' of row 2"),  # wide n
    ({0: {"mother_id": "m1"}, 1: {"mother_id": "m2"}},
     "row 3, column mother_id: 'm2' of infant 'n0' is m1 in row 2; correct one of them"),
    ({0: {"mother_id": "m1"}, 2: {"mother_id": "M 1"}},
     "row 4, column mother_id: 'M 1' differs from 'm1' of row 2 in case or blanks only; write one "
     "mother in one way"),
    ({4: {"head_cm": "48.5"}}, "row 6, column head_cm: '48.5' is not less than length_cm 48.5; are "
                               "they in each other's column?"),
    ({4: {"weight_g": "6000"}}, "row 6, column weight_g: '6000' on day 1 does not follow from "
                                "birth_weight_g 3000; correct one of them"),
    ({4: {"gestational_age_days": "168", "birth_weight_g": "2900"},
      5: {"gestational_age_days": "", "birth_weight_g": ""}},
     "row 6, column gestational_age_days: '168' is too short for birth_weight_g 2900; correct one"),
    ({4: {"gestational_age_days": "168", "birth_weight_g": "", "age_days": "0.5",
          "weight_g": "4500"}, 5: {"gestational_age_days": "", "birth_weight_g": ""}},
     "row 6, column gestational_age_days: '168' is too short for weight_g 4500 on day 0.5; correct "
     "one of them"),
    ({2: {"visit_id": "b", "age_days": "9", "weight_g": "3000", "birth_weight_g": ""},
      3: {"visit_id": "a", "age_days": "3", "weight_g": "6900", "birth_weight_g": ""}},
     "row 4, column weight_g: '3000' on day 9 does not follow from 6900 on day 3 in row 5; correct "
     "one of them"),
    ({3: {"weight_g": "4200", "birth_weight_g": ""}},
     "row 5, column weight_g: '4200' on day 8 does not follow from 2850 on day 1 in row 4; "),
    ({4: {"weight_g": "1700"}}, "'1700' on day 1 does not follow from birth_weight_g 3000"),
    ({4: {"weight_g": "3,200"}}, "'3,200' is not a number; a thousands separator? Write 3200"),
    ({4: {"length_cm": "48,5"}}, "'48,5' is not a number; a decimal comma? Write 48.5"),
    ({4: {"length_cm": "48,500"}}, "'48,500' is not a number; a decimal comma? Write 48.500"),
    ({4: {"birth_date": "3.9.2026"}}, "row 6, column birth_date: '3.9.2026' is not a date; write "
                                      "year, month and day like 2026-03-09"),
    ({4: {"birth_date": "2026-03-09", "visit_date": "2026-03-01"}},
     "'2026-03-01' is before the birth_date 2026-03-09; correct one of them"),
    ({4: {"birth_date": "2026-03-01", "visit_date": "2026-03-09"}},
     "column age_days: '1' is 8 days by birth_date and visit_date; correct one of the three"),
    ({4: {"age_days": "", "birth_date": "2026-03-01", "visit_date": "2026-06-09"}},
     "column visit_date: '100 days' is not 0 to 60 days"),
])
def test_it_is_told_in_one_sentence(tmp_path, changes, sentence):
    found = problems(tmp_path, changes)
    assert len(found) == 1 and sentence in found[0], found


@pytest.mark.parametrize("changes", [
    {}, {1: {"sex": "", "birth_weight_g": ""}}, {0: {"visit_id": "first"}, 1: {"visit_id": "9"}},
    {0: {"age_days": ""}}, {1: {"weight_g": "2500"}},
    {0: {"visit_id": "v2"}, 1: {"visit_id": "w1"}}, {0: {"visit_id": "2-3"}},  # not counted alike
    {1: {"weight_g": "3900", "birth_weight_g": ""}}, {0: {"weight_g": ""}, 1: {"age_days": ""}},
    {4: {"gestational_age_days": "168", "birth_weight_g": "", "weight_g": "2900"},  # on day 1
     5: {"gestational_age_days": "", "birth_weight_g": ""}},
    {4: {"birth_date": "2026-03-08", "visit_date": "2026-03-09"}},
    {4: {"birth_date": "2026-03-09", "visit_date": "2026-03-09"}},
    {4: {"birth_date": "2026-03-09"}},
    {0: {"mother_id": "m"}, 2: {"mother_id": "m"}, 3: {"mother_id": "m"}},  # twins
    # Large for their gestation, and large at term, which may be.
    {4: {"gestational_age_days": "231", "birth_weight_g": "3000"},
     5: {"gestational_age_days": ""}},
    {4: {"gestational_age_days": "259", "birth_weight_g": "6000", "weight_g": "6100"},
     5: {"gestational_age_days": "", "birth_weight_g": "", "weight_g": "6100"}},
])
def test_what_may_be_is_not_refused(tmp_path, changes):
    assert problems(tmp_path, changes) == []


def test_too_heavy_for_a_gestation_is_far_above_the_standard():
    for days in range(168, 259):
        limit = across_rows._MOST_G + across_rows._MOST_G_PER_DAY * (days - 168)
        for sex in "FM":
            assert 4 < intergrowth("weight_g", limit, sex=sex, gestational_age_days=days).z < 5.5


@pytest.mark.parametrize("empty", ["", " ", "NA"])
def test_an_age_out_of_dates_leaves_no_date_behind(tmp_path, empty):
    table = rows()
    for row in table:
        row.update(birth_date="2026-02-25", visit_date=f"2026-03-0{1 + int(row['visit_id'])}",
                   age_days=empty)
    found, wrong = read(tmp_path, table)
    assert not wrong and [row["age_days"] for _, row in found] == [4.0, 5.0] * 4
    assert not any(name in row for _, row in found for name in dates.COLUMNS)


def test_a_slip_in_the_name_of_a_date_is_noticed(tmp_path):
    write_csv(tmp_path, rows(), [*COLUMNS, "birthdate"])
    assert any("did you mean 'birth_date'?" in str(each) for each in visit_table.read(tmp_path)[1])
    write_csv(tmp_path, rows(), [*COLUMNS, "mother"])
    assert any("did you mean 'mother_id'?" in str(each) for each in visit_table.read(tmp_path)[1])


def test_links_stay_in_the_folder(tmp_path):
    """A table that came with its files may link to any file of this machine."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "n0_0.mp4").write_bytes(b"")
    folder = tmp_path / "set"
    (folder / "originals").mkdir(parents=True)
    (folder / "videos").mkdir()
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    (folder / "videos" / "n0_1.mp4").symlink_to(tmp_path / "elsewhere" / "n0_0.mp4")
    (folder / "originals" / "n1_0.mp4").write_bytes(b"")
    (folder / "videos" / "n1_0.mp4").symlink_to("../originals/n1_0.mp4")
    (folder / "videos" / "n1_1.mp4").symlink_to("n1_1.mp4")  # to itself
    table = rows()
    table[0]["video"] = "out/n0_0.mp4"
    found, wrong = read(folder, table)
    assert [(each.row, each.value) for each in wrong] == [
        (2, "out/n0_0.mp4"), (3, "videos/n0_1.mp4")]
    assert "leads out of the folder" in wrong[0].sentence and len(found) == 6
    (tmp_path / "linked").symlink_to(folder)  # the data set itself may lie anywhere
    assert visit_table.read(tmp_path / "linked") == (found, wrong)


def test_the_same_recording_under_two_names(tmp_path):
    folder = write_records(tmp_path / "set", marks=False)
    shutil.copy(folder / "videos" / "n0_0.mp4", folder / "videos" / "n3_1.mp4")
    found, = records.validate(folder).problems
    assert str(found) == ("visits.csv, row 9, column video: 'videos/n3_1.mp4' is the same "
                          "recording as 'videos/n0_0.mp4' of row 2; keep one")
    with pytest.raises(ValueError, match="is the same recording as"):
        records.load(folder)
