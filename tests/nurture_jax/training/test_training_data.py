"""What a run is made of: every change of a data set is told from it, by visit, and nothing else."""
import csv
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import mark, write_csv, write_records
from make_videos import write_video

from deps_jax.common.files import workdir
from nurture_jax import records
from nurture_jax.records import splits
from nurture_jax.training import training_data

SPLIT = {"train": ["n0", "n1", "n2"], "validation": ["n3"], "test": ["n4", "n5"]}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set", infants=6)


@pytest.fixture
def data(written, tmp_path):
    return shutil.copytree(written, tmp_path / "set")


def notes(capsys):
    """What was told, without progress bars."""
    return [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines()
            if line.startswith("note: ")]


def parts_of(data, split=SPLIT):
    found = records.load(data)
    return {name: found.of_infants(infants) for name, infants in split.items()}


@pytest.fixture
def run(data, tmp_path):
    """A folder of a run that was begun with these visits, and nothing else in it."""
    parts = parts_of(data)
    workdir.claim(tmp_path / "run", {}, records={
        splits.FILE: splits.content(parts), training_data.FILE: training_data.describe(parts)})
    return tmp_path / "run"


def change_row(data, visit, **values):
    with open(data / "visits.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    infant, number = visit.split("/")
    row, = (row for row in rows if (row["infant_id"], row["visit_id"]) == (infant, number))
    row |= values
    write_csv(data, rows)


def remove_row(data, video):
    lines = (data / "visits.csv").read_text().splitlines(keepends=True)
    (data / "visits.csv").write_text("".join(line for line in lines if video not in line))


def change_annotations(data, change):
    content = json.loads((data / "annotations.json").read_text())
    change(content)
    (data / "annotations.json").write_text(json.dumps(content))


def move_a_point(content):
    content["annotations"][0]["keypoints"][0] += 1


def film_again(data, name):
    write_video(data / "videos" / name, times_s=np.arange(25) / 15)


@pytest.mark.parametrize(("change", "told"), [
    (lambda data: change_row(data, "n1/1", weight_g="2901"),
     "train: n1/1 has another row in visits.csv"),
    (lambda data: change_row(data, "n3/0", birth_weight_g=""),
     "validation: n3/0 has another row in visits.csv"),
    (lambda data: change_row(data, "n1/0", arm_cm="10"),
     "train: n1/0 has another arm_cm in visits.csv"),
    (lambda data: film_again(data, "n2_0.mp4"), "train: n2/0 has another video"),
    (lambda data: (data / "videos/n2_1.mp4").write_bytes(b""),
     "train: n2/1 is gone or has no usable video"),
    (lambda data: remove_row(data, "n2_1"), "train: n2/1 is gone or has no usable video"),
    (lambda data: change_annotations(data, move_a_point),
     "train: n0/0 has other annotations in annotations.json"),
    (lambda data: (data / "annotations.json").unlink(),
     "train: n0/0 has other annotations in annotations.json; train: n1/0 has other annotations"),
], ids=["label", "input", "arm", "video", "damaged", "removed", "point", "no annotations"])
def test_a_change_of_what_weights_come_from_is_refused_and_named(data, run, change, told):
    training_data.check(parts_of(data), run)
    before = sorted((path.name, path.read_bytes()) for path in run.iterdir())
    change(data)
    with pytest.raises(ValueError, match="put the data set back as it was, or train anew") as error:
        training_data.check(splits.read(records.load(data), run), run)
    assert str(error.value).startswith(f"{data} is not what the run in {run} was made of: {told}")
    assert sorted((path.name, path.read_bytes()) for path in run.iterdir()) == before


def test_a_run_that_read_no_arm_is_not_asked_for_it(data, tmp_path, capsys):
    parts = parts_of(data)
    kept = training_data.describe(parts)
    for visits in kept.values():
        for visit in visits.values():
            del visit["arm"]
    run = tmp_path / "older"
    workdir.claim(run, {}, records={splits.FILE: splits.content(parts), training_data.FILE: kept})
    change_row(data, "n1/0", arm_cm="10")
    training_data.check(parts_of(data), run)
    assert notes(capsys) == []


def test_a_new_visit_and_many_changes_at_once(data, run):
    with open(data / "visits.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:6]:
        row["head_cm"] = "33"
    mark(shutil.copy(data / "videos/n1_1.mp4", data / "videos/n1_2.mp4"), 99)
    rows.append({**rows[3], "visit_id": "2", "video": "videos/n1_2.mp4"})
    write_csv(data, rows)
    with pytest.raises(ValueError, match=r"train: n0/0 has another row in visits.csv; .*and 4 more;"
                       ) as error:
        training_data.check(parts_of(data), run)
    assert len(str(error.value).splitlines()) == 1
    found = training_data.changes(*(training_data.describe(parts)["train"] for parts in (
        {"train": parts_of(data)["train"].of_infants(["n0"])}, parts_of(data))))
    assert found == [f"{key} is new" for key in ("n1/0", "n1/1", "n1/2", "n2/0", "n2/1")]


def test_what_trains_nothing_may_change(data, run, tmp_path, capsys):
    """A site, a device, the place of the files, the order of rows; and measured visits."""
    change_row(data, "n1/1", site="b", device="tablet")
    with open(data / "visits.csv", newline="") as file:
        rows = list(csv.DictReader(file))[::-1]
    (data / "videos/n2_0.mp4").rename(data / "videos/other.mp4")
    for row in rows:
        row["video"] = row["video"].replace("n2_0", "other")
    write_csv(data, rows)
    data = data.rename(tmp_path / "moved")
    training_data.check(splits.read(records.load(data), run), run)
    assert notes(capsys) == []
    change_row(data, "n4/1", weight_g="3333")
    training_data.check(splits.read(records.load(data), run), run)
    assert notes(capsys) == [
        f"note: {data} has changed since the run in {run} was begun, in visits that trained "
        f"nothing: test: n4/1 has another row in visits.csv"]


def test_a_run_of_an_older_version_cannot_be_compared(data, tmp_path, capsys):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_text("{}")
    training_data.check(parts_of(data), tmp_path / "old")
    assert "of an older version: whether its data set has changed" in notes(capsys)[0]


def test_a_damaged_record_is_refused(data, run):
    path = run / training_data.FILE
    for damage, message in ((lambda: path.write_text(path.read_text()[:-40]), "is damaged"),
                            (path.unlink, "does not exist")):
        damage()
        with pytest.raises(ValueError, match=rf"data\.json {message}"):
            training_data.check(parts_of(data), run)


def test_nothing_of_an_infant_is_kept_but_its_id(run):
    text = (run / training_data.FILE).read_text()
    assert "n1/1" in text and "2850" not in text and "mp4" not in text
