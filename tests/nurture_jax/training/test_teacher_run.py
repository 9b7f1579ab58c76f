"""A run that learns from another one: refused, stopped, continued, opened without its teacher."""
import os
import shutil
import signal

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import write_records
from tiny_nurture_run import NUMBERS, run

from deps_jax.common.files import sealed
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.fit import Interrupted
from deps_jax.common.loop.writer import read
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.training.teacher import FILE
from nurture_jax.training.train import Trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set", infants=8)


@pytest.fixture(scope="module")
def teacher(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    run(folder, data, **NUMBERS, **{"model.hidden_width": 12})
    return folder


@pytest.fixture(scope="module")
def student(data, teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "student"
    return folder, run(folder, data, **taught_by(teacher))


def taught_by(folder, **changes):
    return {**NUMBERS, "teacher.run": str(folder), "teacher.weight": 2.0, **changes}


def test_it_learns_from_the_teacher(student, teacher):
    folder, errors = student
    taught = [line["taught"] for line in read(folder) if "taught" in line]
    assert len(taught) == 20 and sum(taught[-5:]) < sum(taught[:5])
    kept = sealed.read(folder / FILE, "")
    assert kept["run"] == teacher.name and kept["settings"]["hidden_width"] == 12
    assert kept["weights_sha256"] == Checkpoints(teacher / "best").sha256()
    trained = TrainedNurture.open(folder)
    assert trained.validation == errors and set(trained.variables["params"]) == {"fusion"}


def test_a_stopped_run_goes_on_without_its_teachers_folder(student, data, teacher, tmp_path,
                                                           monkeypatch):
    copy = shutil.copytree(teacher, tmp_path / "teacher")
    call = Trainer.__call__

    def stopping(self, step, *rest):
        if step == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, step, *rest)

    monkeypatch.setattr(Trainer, "__call__", stopping)
    with pytest.raises(Interrupted, match="after step 10 of 20"):
        run(tmp_path / "part", data, **taught_by(copy))
    monkeypatch.undo()
    shutil.rmtree(copy)
    assert run(tmp_path / "part", data, **taught_by(copy)) == student[1]
    (tmp_path / "part" / FILE).unlink()
    with pytest.raises(ValueError, match=r"teacher\.json.*(does not exist|missing)"):
        run(tmp_path / "part", data, **taught_by(copy))


def test_another_teacher_is_another_experiment(student, data, teacher):
    for changes, name in (({"teacher.run": ""}, "run"), ({"teacher.weight": 1.0}, "weight")):
        with pytest.raises(ValueError, match=rf"teacher\.{name} is .* there and"):
            run(student[0], data, **taught_by(teacher, **changes))


@pytest.mark.parametrize(("changes", "message"), [
    ({"model.head_stride": 4}, r"model\.head_stride is 4, the teacher .* was trained with 2"),
    ({"data.size": 64}, r"data\.size is 64, the teacher .* was trained with 32; set data\.size"),
    ({"data.fit": "letterbox"}, r"data\.fit is letterbox, the teacher .* with crop"),
    ({"augment.mean": (0.5, 0.5, 0.5)}, r"augment\.mean is \(0\.5, .*, the teacher"),
    ({"model.use_video": True}, r"model\.segmentation is on, and the teacher .* has no such head"),
    ({"data.split_seed": 3}, r"was made with \d infants that are held out here: n\d \(\w+\)"),
    ({"teacher.run": "/nowhere"}, r"/nowhere holds no experiment"),
    ({"teacher.spreads": -0.5}, r"teacher\.spreads -0\.5 is negative"),
])
def test_a_teacher_that_does_not_fit_is_refused_before_anything_is_decoded(
        data, teacher, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "run", data, **taught_by(teacher, **changes))
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_teacher_of_other_measures_is_refused(data, teacher, tmp_path):
    copy = shutil.copytree(teacher, tmp_path / "older")
    content = sealed.read(copy / "model.json", "")
    for name in ("label_mean", "label_std", "labels"):
        content["standard"][name] = content["standard"][name][:4]
    sealed.write(copy / "model.json", content)
    with pytest.raises(ValueError, match=r"estimates weight_g, length_cm, head_cm, chest_cm, a run "
                                         r"of this version .*arm_cm; train the teacher anew"):
        run(tmp_path / "run", data, **taught_by(copy))


def test_a_run_is_not_its_own_teacher(data, teacher):
    with pytest.raises(ValueError, match=r"is the --workdir itself|belongs to another"):
        run(teacher, data, **taught_by(teacher))


@pytest.mark.long
def test_maps_and_features_are_learnt_as_well(data, tmp_path):
    changes = {"training.epochs": 2.0}
    run(tmp_path / "teacher", data, **changes, **{"model.neck_width": 12})
    errors = run(tmp_path / "student", data, **changes, **{
        "teacher.run": str(tmp_path / "teacher"), "backbone.kind": "deps",
        "backbone.width_mult": 0.25, "backbone.subnet": "smallest"})
    lines = [line for line in read(tmp_path / "student") if "taught" in line]
    assert {"taught_segmentation", "taught_keypoints", "taught_features",
            "taught_weight_g_spread"} <= lines[0].keys()
    trained = TrainedNurture.open(tmp_path / "student")
    assert trained.validation == errors
    assert set(trained.variables["params"]) == {"backbone", "video", "fusion"}
