"""Another hospital: lengths that its table does not tell, and the folder of its report."""
from pathlib import Path

import pytest

from nurture_jax.records.visit import Visit
from nurture_jax.records.visits import Records
from nurture_jax.runs.other_data import report_folder, tell_lengths


def records(*lengths):
    return Records(Path("ward"), tuple(Visit(str(i), "1", f"{i}.mp4", reference_cm=length)
                                       for i, length in enumerate(lengths)))


def test_what_is_taken_is_told_in_one_line(capsys):
    tell_lengths(records(30.0, None, None), (30.0,))
    assert capsys.readouterr().out == "reference_cm is empty in 2 visits; 30 is taken\n"
    tell_lengths(records(20.0, 30.0), (20.0, 30.0))
    assert capsys.readouterr().out == ""


def test_where_training_had_several_lengths_nothing_is_taken():
    with pytest.raises(ValueError, match=r"^ward: reference_cm is empty in 1 visits, and the run "
                                         r"was trained with reference objects of 20, 30 cm; write "
                                         r"the length of each into visits\.csv$"):
        tell_lengths(records(20.0, None), (20.0, 30.0))


def ward(folder, *videos):
    """A data set called "ward" of these videos, told apart by their content."""
    folder = folder / "ward"
    folder.mkdir(parents=True, exist_ok=True)
    for video in videos:
        (folder / video).write_text(f"{folder} {video}")
    return Records(folder, tuple(Visit(video, "1", video) for video in videos))


def test_data_sets_of_one_name_have_folders_of_their_own(tmp_path):
    run, place = tmp_path / "run", tmp_path / "run" / "evaluation"
    first, second = ward(tmp_path / "a", "1.mp4", "2.mp4"), ward(tmp_path / "b", "1.mp4")
    assert report_folder(run, first) == report_folder(run, first) == place / "other_ward"
    assert report_folder(run, second) == place / "other_ward_2"
    grown = ward(tmp_path / "a", "1.mp4", "2.mp4", "3.mp4")
    assert report_folder(run, grown) == place / "other_ward"
    shrunk = ward(tmp_path / "a", "3.mp4")  # what it holds now is kept
    assert report_folder(run, shrunk) == place / "other_ward"
    moved = tmp_path / "c"
    (tmp_path / "b").rename(moved)
    assert report_folder(run, Records(moved / "ward", second.visits)) == place / "other_ward_2"


def test_a_folder_that_does_not_say_whose_it_is_is_nobodys(tmp_path):
    old = tmp_path / "run" / "evaluation" / "other_ward"
    old.mkdir(parents=True)
    (old / "intervals.json").write_text("{}")
    found = report_folder(tmp_path / "run", ward(tmp_path / "a", "1.mp4"))
    assert found.name == "other_ward_2" and [path.name for path in old.iterdir()] == [
        "intervals.json"]
