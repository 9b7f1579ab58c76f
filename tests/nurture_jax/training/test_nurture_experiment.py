"""Whole runs from the real config, shrunk: trained, stopped, continued, opened again."""
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_records import write_records
from tiny_nurture_run import NUMBERS, config_of, run

from configs import nurture
from deps_jax.common.files import sealed
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.fit import Interrupted
from deps_jax.common.loop.writer import read
from nurture_jax.clips.clip_batches import eval_batches
from nurture_jax.clips.negatives import MADE
from nurture_jax.records.splits import FILE
from nurture_jax.records.visits import load
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.training import experiment, messages
from nurture_jax.training.best import REFIT
from nurture_jax.training.experiment import Experiment
from nurture_jax.training.run_data import open_sources, read_splits
from nurture_jax.training.train import Trainer

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set", infants=8)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run with video: 5 infants, 10 visits, 20 steps."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, run(folder, data)


def test_a_run_leaves_what_an_estimate_needs(finished, data, tmp_path):
    folder, errors = finished
    records = read(folder)
    validated = [r["validation/mae_weight_g"] for r in records if "validation/mae_weight_g" in r]
    assert len(validated) == 5 and errors["mae_weight_g"] == min(validated)
    refitted = sealed.read(folder / REFIT, "")  # the fifth, after 20 steps
    assert records[-1]["step"] == 21 and refitted["validation/mae_weight_g"] == validated[-1]
    assert validated[-1] != validated[-2]
    assert all(0 <= r["data_wait_fraction"] <= 1 for r in records if "loss" in r)
    assert any("loss_segmentation" in r for r in records)  # one video of training is annotated
    table = messages.summary(errors)
    assert f"{errors['mae_weight_g']:.0f} g" in table and table.count("no label") == 1  # of an arm

    trained = TrainedNurture.open(folder)
    assert trained.validation == errors
    settings = trained.experiment
    parts = read_splits(settings.data, load(data), folder)
    source = open_sources(settings.data, load(data), parts)["validation"]
    seen = [trained.observe(batch) for batch in eval_batches(source, 3)]
    assert [len(each["mean"]) for each in seen] == [3, 1]  # the padding is left out
    found = {name: np.concatenate([each[name] for each in seen]) for name in seen[0]}
    assert found["mean"].shape == found["scale"].shape == (4, 5)
    weights = np.array([visit.weight_g for visit in source.cache.records.visits])
    np.testing.assert_allclose(np.abs(found["mean"][:, 0] - weights).mean(),
                               errors["mae_weight_g"], rtol=1e-3)
    assert np.isnan(found["mean"][:, 4]).all()  # no arm was measured
    assert (found["scale"][:, :4] > 0).all()
    assert found["shares"].shape == (4, 2, 16, 16, 3) and found["keypoints"].shape == (4, 2, 19, 3)
    np.testing.assert_allclose(found["shares"].sum(-1), 1, rtol=1e-5)
    places = found["keypoints"][..., :2]
    assert (places >= 0).all() and (places <= 32).all()


def test_clips_without_a_newborn_are_trained_on_beside_the_others(data, tmp_path, capsys):
    """10 clips of newborns and 5 others: 7 steps of 2; a folder of one's own gives a kind, too."""
    (tmp_path / "own").mkdir()
    shutil.copy(data / "videos" / "n0_0.mp4", tmp_path / "own" / "v.mp4")
    changes = {"negatives.share": 0.5, "negatives.leave_out": MADE, "training.epochs": 1.0,
               "optimizer.warmup_epochs": 0.0,
               "data.negatives": str(tmp_path / "own")}
    errors = run(tmp_path / "run", data, **changes)
    assert errors["mae_weight_g"] > 0
    assert ", 5 other clips; " in (out := capsys.readouterr().out)
    assert "7 steps of 2" in out
    with pytest.raises(ValueError, match=r"negatives\.share is 0.5 there and 0.25 now"):
        run(tmp_path / "run", data, **{**changes, "negatives.share": 0.25})


def test_splits_are_kept(finished, data):
    folder, _ = finished
    parts = sealed.read(folder / FILE, "")
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [5, 2, 1]
    config = config_of(data, **{"data.split_seed": 5})
    kept = read_splits(Experiment.from_dict(config).data, load(data), folder)
    assert sorted({v.infant_id for v in kept["test"].visits}) == parts["test"]


def test_twenty_steps_equal_eight_a_stop_and_the_rest(data, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", data, **NUMBERS)
    call = Trainer.__call__

    def stopping(self, step, *rest):
        if step == 9:  # the step that is also evaluated
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, step, *rest)

    monkeypatch.setattr(Trainer, "__call__", stopping)
    with pytest.raises(Interrupted, match="after step 10 of 20"):
        run(tmp_path / "part", data, **NUMBERS)
    monkeypatch.undo()
    assert run(tmp_path / "part", data, **NUMBERS) == whole
    states = []
    for name in ("whole", "part"):
        checkpoints = Checkpoints(tmp_path / name / "checkpoints")
        shapes = jax.eval_shape(lambda: states_like(data))
        states.append(checkpoints.restore_state(shapes))
    chex.assert_trees_all_equal(*states)
    lines = [comparable(tmp_path / name) for name in ("whole", "part")]
    assert lines[0] == lines[1]
    # Running the command once more changes nothing; stopped before the second fit of the last
    # layers, it would have come to the same.
    assert run(tmp_path / "part", data, **NUMBERS) == whole
    assert comparable(tmp_path / "part") == lines[0]  # the line of the second fit, too
    marker = tmp_path / "part" / REFIT
    before = marker.read_text()
    marker.unlink()
    assert run(tmp_path / "part", data, **NUMBERS) == whole and marker.read_text() == before
    opened = TrainedNurture.open(tmp_path / "part")
    assert "backbone" not in opened.variables["params"]


def comparable(folder):
    """The metrics of a run, without what depends on the machine."""
    return [{k: v for k, v in r.items() if k not in ("clips_per_second", "data_wait_fraction",
                                                  "goodput")}
            for r in read(folder)]


def states_like(data):
    """The shapes of a state of numbers alone."""
    settings = Experiment.from_dict(config_of(data, **NUMBERS))
    found = load(data)
    recipe = experiment.build_recipe(settings, experiment.Scaling.of(found),
                                     experiment.starting_backbone(settings).module, 10)
    return experiment.init_state(jax.random.key(0), recipe, (2, 32, 32))


@pytest.mark.parametrize(("changes", "message"), [
    ({"training.batch_size": 3}, "batch size 3 does not divide by 2 devices"),
    ({"training.batch_size": 40}, "training.batch_size 40 does not fit 10 training clips"),
    ({"data.dir": "/nowhere"}, "/nowhere: is not a folder|/nowhere is not a folder"),
    ({"data.validation_fraction": 0.0}, "no visit for validation has a weight_g"),
    ({"data.read_workers": -1}, "data.read_workers -1 must not be negative; use 0"),
    ({"data.test_fraction": 0.9}, "do not add up to 1|not above 0"),
    ({"backbone.init_from": "nothing.npz"}, "nothing.npz is not a file"),
    ({"backbone.kind": "deps", "backbone.run": "/nowhere"}, "/nowhere holds no experiment"),
    ({"augment.zoom": (2.0, 1.0)}, "zoom"),
    ({"optimizer.warmup_epochs": 9.0}, "warmup_epochs 9.0 take 45 of 20 steps"),
    ({"model.pooling": "max"}, "model.pooling 'max' is unknown")])
def test_bad_settings_are_refused_before_anything_is_compiled(changes, message, data, tmp_path,
                                                              monkeypatch):
    def nothing_is_compiled(*_, **__):
        raise AssertionError("compiled before the settings were checked")

    monkeypatch.setattr(experiment, "claim", nothing_is_compiled)
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "run", data, **changes)
    assert not (tmp_path / "run").exists()


def test_visits_that_are_left_out_are_told_before_training(data, tmp_path, monkeypatch, capsys):
    folder, run_folder = shutil.copytree(data, tmp_path / "set"), tmp_path / "run"
    for name in ("n0_0", "n0_1", "n1_0", "n2_1", "n4_1"):
        (folder / f"videos/{name}.mp4").write_bytes(b"")
    late = folder / "videos/n6_0.mp4"  # opens, but its pictures are gone
    content = late.read_bytes()
    late.write_bytes(content[:100] + bytes(len(content) // 2 - 100) + content[len(content) // 2:])

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "ClipBatches", stop)
    with pytest.raises(KeyboardInterrupt):
        run(run_folder, folder)
    taken, *shown = capsys.readouterr().out.splitlines()
    assert taken == "reference_cm is empty in 10 visits; 30 is taken"
    assert shown[0] == f"{folder}: 10 of 16 visits can be used"
    assert shown[1].startswith("left out: 5 not_a_video, 1 ")
    assert shown[2].startswith("  n0/0: n0_0.mp4 cannot be read as a video")
    assert shown[-2:] == ["  and 1 more", f"list: {run_folder / 'records.txt'}"]
    lines = (run_folder / "records.txt").read_text().splitlines()
    assert lines[:2] == shown[:2] and len(lines) == 9 and lines[-2].startswith("  n6/0: ")
    assert lines[-1] == taken
    # n0 has no video that can be used, but is in a split.
    parts = sealed.read(run_folder / FILE, "")
    assert {name for part in parts.values() for name in part} == {f"n{i}" for i in range(8)}


def test_a_backbone_of_other_pixels_is_refused(data, monkeypatch):
    own = experiment.backbone_weights.start(Experiment.from_dict(config_of(data)).backbone, 32)
    monkeypatch.setattr(experiment.backbone_weights, "start", lambda *_: dataclasses.replace(
        own, mean=(0.5,) * 3, std=(0.2,) * 3))
    with pytest.raises(ValueError, match=r"augment\.mean is \(0.485, .*trained with \(0.5, 0.5"):
        experiment.starting_backbone(Experiment.from_dict(config_of(data)))


def test_another_experiment_is_refused(finished, data):
    folder, _ = finished
    with pytest.raises(ValueError, match=r"losses\.regression is 'huber' there and 'laplace' now"):
        run(folder, data, **{"losses.regression": "laplace"})


def test_nothing_to_open(tmp_path):
    with pytest.raises(ValueError, match="holds no experiment"):
        TrainedNurture.open(tmp_path)


@pytest.mark.parametrize("option", ["", "synthetic", "demo", "runlocal", "real"])
def test_published_configs_are_whole(option, data):
    settings = Experiment.from_dict(nurture.get_config(option).to_dict())
    assert 0.1 <= settings.data.calibration_fraction <= 0.15  # of infants that nothing else reads
    recipe = experiment.build_recipe(settings, experiment.Scaling.of(load(data)),
                                     experiment.starting_backbone(settings).module, 400)
    side, frames = settings.data.size, settings.data.frames
    shapes = jax.eval_shape(lambda: experiment.init_state(jax.random.key(0), recipe,
                                                          (frames, side, side)))
    assert {"backbone", "video", "fusion"} <= set(shapes.params)
    assert settings.model.head_stride == (4 if option == "real" else 2) and side % 4 == 0


def test_a_side_that_no_cell_divides_is_refused_before_anything_is_read():
    config = nurture.get_config("runlocal")
    config.data.size = 98
    with pytest.raises(ValueError, match=r"data\.size 98 is no multiple of 4 px; use 96"):
        Experiment.from_dict(config.to_dict())


def test_options_are_checked():
    with pytest.raises(ValueError, match="takes no option 'fast'"):
        nurture.get_config("fast")
    with pytest.raises(ValueError, match="takes one option, not demo, real"):
        nurture.get_config("demo,real")


def test_the_command_line_needs_data(tmp_path):
    command = [sys.executable, "-m", "launch.train_nurture", "--config",
               "configs/nurture.py:runlocal", "--workdir", str(tmp_path / "run")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "give its folder with --data" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and not (tmp_path / "run").exists()
