"""Damaged and misused run folders: a fallback that is told, or one sentence and exit code 2.

One tiny run on a folder of pictures is made once and copied for every case.
"""
import json
import shutil

import chex
import cv2
import jax
import numpy as np
import pytest
from damages import (
    DAMAGES,
    OF_A_CHECKPOINT,
    contents,
    damage_step,
    fill_disk,
    flip,
    refused,
    steps_of,
)
from launch_here import launch_here
from other_process import holding
from tiny_run import tiny_config
from tiny_spaces import save_run

from deps_jax.common.files import locks, sealed, workdir
from deps_jax.common.loop import saved_steps
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.run import saved
from deps_jax.evaluation import report
from deps_jax.runs.measured import FILE, Measurements
from deps_jax.runs.trained import TrainedRun, read_space
from deps_jax.search import front_report
from deps_jax.training import run_records
from deps_jax.training.experiment import Experiment, build_recipe, train
from deps_jax.training.train import init_state

RESULT = report.SubnetResult("d1e1k3", 10, 20, 30, 0.5, 1.0, 0.1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """60 pictures of 8 px in each of two classes."""
    top, random = tmp_path_factory.mktemp("data") / "photos", np.random.default_rng(0)
    for name in ("cat", "dog"):
        (top / name).mkdir(parents=True)
        for i in range(60):
            cv2.imwrite(str(top / name / f"{i:02d}.png"),
                        random.integers(0, 255, (8, 8, 3), np.uint8))
    return top


def config_of(photos):
    return tiny_config(**{"data.name": "folder", "data.dir": str(photos), "data.train_images": 0,
                          "data.validation_images": 20})


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """A run with checkpoints of steps 14 and 28 and results of later commands."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    config = config_of(photos)
    save_run(folder, config)
    last = saved(folder)
    shapes = shapes_of(folder, config)
    state, step = last.restore_state(shapes), last.latest_step()
    shutil.rmtree(last.folder)
    half = state.replace(params=jax.tree.map(lambda leaf: leaf / 2, state.params),
                         step=state.step + step // 2)
    Checkpoints(last.folder).save(step // 2, half)
    Checkpoints(last.folder).save(step, state.replace(step=state.step + step))
    report.write_results(folder / "evaluation" / "test", [RESULT], {"method": "deps", "seed": 8})
    front_report.write_front(folder / "search", [{"subnet": "d1e1k3", "top1": 0.5}], {})
    sealed.write(folder / "latency_table.json", {
        "question": {}, "device": {}, "statistic": "p10_ms", "scale": 1.0, "latencies": {},
        "held_out": []})
    for i in range(3):
        sealed.append(folder / "metrics.jsonl", {"step": 10 * i, "loss": i / 7})
    return folder


def shapes_of(folder, config):
    records = run_records.read(folder)
    recipe = build_recipe(Experiment.from_dict(config), records.space,
                          len(records.splits["train"]))
    return jax.eval_shape(lambda: init_state(jax.random.key(0), recipe))


@pytest.fixture(scope="module")
def intact(whole, photos):
    """The newest state, by its shapes."""
    shapes = shapes_of(whole, config_of(photos))
    return shapes, saved(whole).restore_state(shapes)


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def last_step(run):
    return steps_of(run / "checkpoints")[-1]


@pytest.mark.parametrize("kind", OF_A_CHECKPOINT)
@DAMAGES
def test_a_damaged_checkpoint(run, intact, kind, damage, capsys):
    step, (shapes, state) = damage_step(run / "checkpoints", kind, damage), intact
    found = saved(run).restore_state(shapes)
    told = capsys.readouterr().err
    assert f"step {step} is damaged: " in told and f"step {step // 2} is used" in told
    assert int(found.step) == step // 2
    chex.assert_trees_all_equal(found.params, jax.tree.map(lambda leaf: leaf / 2, state.params))


@pytest.mark.long
def test_a_command_tells_what_it_used(run, whole, photos, tmp_path):
    """An evaluation of a damaged run gives the numbers of the step that it names."""
    step, older, intact = last_step(run), *(
        shutil.copytree(whole, tmp_path / name) for name in ("older", "intact"))
    flip(next((run / "checkpoints" / str(step) / "state" / "d").iterdir()))
    shutil.rmtree(older / "checkpoints" / str(step))
    (older / "checkpoints" / "SHA256SUMS").unlink()
    outs, errs = [], []
    for folder in (run, older, intact):
        code, out, err = launch_here("evaluate_subnets", f"--workdir={folder}")
        assert code == 0, err
        outs.append(out)
        errs.append(err)
    tables = [out.split("checkpoint: ")[0] for out in outs]
    assert tables[0] == tables[1] != tables[2]
    assert f"checkpoint: step {step // 2} of {run}" in outs[0]
    assert f"step {step} is damaged: state/d/" in errs[0] and "is damaged" not in errs[1]


@pytest.mark.parametrize("name", ["config.json", "space.json", "splits.json"])
@DAMAGES
def test_a_damaged_record(run, name, damage):
    damage(run / name)
    sentence = refused("evaluate_subnets", "--workdir", run)
    assert name in sentence
    assert "put it back from a copy" in sentence or "holds no experiment (no config.json)" \
        in sentence


@pytest.mark.parametrize(("module", "name", "arguments"), [
    ("compare_runs", "evaluation/test/subnets.json", ["--workdirs={run}", "--out={run}/x"]),
    ("export_subnet", "search/front.json", ["--workdir={run}", "--front={run}/search/front.json"]),
    ("search", "latency_table.json", ["--workdir={run}", "--table={run}/latency_table.json"]),
])
@DAMAGES
def test_a_damaged_result(run, module, name, arguments, damage):
    damage(run / name)
    sentence = refused(module, *(text.format(run=run) for text in arguments))
    assert name.split("/")[-1] in sentence or "run launch.evaluate_subnets" in sentence


@pytest.mark.parametrize(("name", "old", "new"), [
    ("config.json", '"calibration_images": 40', '"calibration_images": 60'),
    ("splits.json", "cat/00.png", "cat/01.png"),
    ("space.json", '"num_classes": 2', '"num_classes": 3'),
])
def test_a_record_edited_by_hand(run, name, old, new):
    text = (run / name).read_text()
    assert old in text
    (run / name).write_text(text.replace(old, new, 1))
    sentence = refused("evaluate_subnets", "--workdir", run)
    assert f"{name} is damaged or was edited by hand" in sentence


def test_no_whole_checkpoint(run):
    for path in (run / "checkpoints").glob("*/meta.json"):
        path.unlink()
    for module in ("evaluate_subnets", "search", "export_subnet"):
        sentence = refused(module, "--workdir", run)
        assert "holds nothing that is whole" in sentence and "meta.json is missing" in sentence


def test_no_checkpoint_yet(run):
    shutil.rmtree(run / "checkpoints")
    assert "holds no checkpoint; train first" in refused("evaluate_subnets", "--workdir",
                                                         run)


def test_a_lost_step(run, capsys):
    step = last_step(run)
    shutil.rmtree(run / "checkpoints" / str(step))
    assert TrainedRun.open(run).step == step // 2
    assert f"step {step} is damaged: its folder is missing" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["config", "checkpoint"])
def test_a_run_of_a_newer_version(run, what, monkeypatch):
    if what == "config":
        content = workdir.load(run)
        monkeypatch.setattr(sealed, "FORMAT", 9)
        sealed.write(run / "config.json", content)
    else:
        folder = run / "checkpoints" / str(last_step(run))
        meta = json.loads((folder / saved_steps.META).read_text())
        (folder / saved_steps.META).write_text(json.dumps({**meta, "format": 9}))
        (run / "checkpoints" / "SHA256SUMS").unlink()
        saved_steps.checksums.write(folder, saved_steps.checksums.of_files(folder))
    monkeypatch.undo()
    sentence = refused("evaluate_subnets", "--workdir", run)
    assert "was written by a newer version of this program (format 9" in sentence


def test_a_run_of_an_older_version_opens_and_that_is_told(run, whole, intact, capsys):
    content = workdir.load(run)
    for name in ("space.json", "splits.json"):
        (run / name).unlink()
    (run / "config.json").write_text(json.dumps(content))
    opened = TrainedRun.open(run)
    told = capsys.readouterr().err
    assert "config.json was written by an older version" in told
    assert "holds no space.json: space and splits are made from the data set as it is now" in told
    kept = run_records.read(whole)
    assert run_records.RunRecords.of(opened.space, opened.splits) == kept
    chex.assert_trees_all_equal(opened.params, intact[1].params)


def test_a_second_process(run, photos):
    config = config_of(photos)
    with holding(run / locks.TRAINING) as other:
        before = contents(run)
        with pytest.raises(ValueError, match=f"in use: process {other.pid} trains there; wait"):
            train(Experiment.from_dict(config), run, config)
        assert TrainedRun.open(run).step == last_step(run)  # reading is free
        assert contents(run) == before


def add(top):
    shutil.copy(top / "cat" / "00.png", top / "cat" / "new.png")


def take(top):
    (top / "dog" / "07.png").unlink()


def resize(top):
    (top / "dog" / "07.png").write_bytes((top / "dog" / "07.png").read_bytes() + b"\0")


def rename(top):
    (top / "dog" / "07.png").rename(top / "dog" / "7.png")


def another_class(top):
    shutil.copytree(top / "dog", top / "fox")


@pytest.mark.parametrize(("change", "message"), [
    (add, "1 file added (cat/new.png)"), (take, "1 file removed (dog/07.png)"),
    (resize, "1 file of another size (dog/07.png)"),
    (rename, "1 file added (dog/7.png); 1 file removed (dog/07.png)"),
    (another_class, "60 files added (fox/00.png, fox/01.png, fox/02.png, ...)"),
])
def test_changed_data(run, photos, tmp_path, change, message):
    top = shutil.copytree(photos, tmp_path / "photos")
    assert len(TrainedRun.open(run, str(top)).splits.train) == 76  # elsewhere is the same data
    change(top)
    sentence = refused("evaluate_subnets", "--workdir", run, "--data_dir", top)
    assert f"has changed since the run began: {message}; put it back as it was" in sentence
    config = config_of(top)
    with pytest.raises(ValueError, match="has changed since the run began"):
        train(Experiment.from_dict(config), run, config)


def test_no_image_is_decoded_to_open_a_run(run, monkeypatch):
    monkeypatch.setattr("deps_jax.data.folder.check_images", lambda *_: pytest.fail("decoded"))
    assert len(TrainedRun.open(run).splits.train) == 76


def test_no_data_is_needed_for_the_space(run, capsys):
    space = read_space(run, "/nowhere")
    assert space.num_classes == 2 and capsys.readouterr().err == ""
    assert "/nowhere" in refused("evaluate_subnets", "--workdir", run,
                                 "--data_dir=/nowhere")


def test_test_images_stay_test_images_in_a_run_that_starts_from_another(run, photos, tmp_path,
                                                                       monkeypatch):
    """Records decide, not what would be drawn now: here they were made with another cut."""
    kept = run_records.read(run)
    moved = {**kept.splits, "train": kept.splits["train"][:-1] + kept.splits["test"][:1],
             "test": kept.splits["test"][1:] + kept.splits["train"][-1:]}
    sealed.write(run / "splits.json", {"listing": kept.listing, "splits": moved})
    assert run_records.RunRecords.of(kept.space, TrainedRun.open(run).splits).splits == moved
    monkeypatch.setattr("deps_jax.training.trainer.Trainer.compile", lambda *_: None)
    monkeypatch.setattr("deps_jax.common.loop.run.Run.fit", lambda run, *_, **__: run.state)
    config = config_of(photos)
    train(Experiment.from_dict(config), tmp_path / "tuned", config, splits_of=run)
    assert run_records.read(tmp_path / "tuned").splits == moved


@pytest.mark.parametrize(("place", "message"), [
    ("none", "holds no experiment (no config.json)"), ("checkpoints", "holds no experiment"),
    ("evaluation/test", "holds no experiment"), ("config.json", "holds no experiment"),
])
@pytest.mark.parametrize("module", ["evaluate_subnets", "latency_table"])
def test_a_folder_that_is_no_run(run, module, place, message):
    before = sorted(run.rglob("*"))
    assert message in refused(module, "--workdir", run / place)
    assert sorted(run.rglob("*")) == before


def test_a_run_of_the_other_product(tmp_path):
    workdir.claim(tmp_path / "run", {"data": {"dir": "x", "frames": 8}, "backbone": {}})
    sentence = refused("evaluate_subnets", "--workdir", tmp_path / "run")
    assert f"{tmp_path}/run/config.json is of another version of this program, or of a run of " \
        "another kind (data has no field 'frames'; " in sentence


def test_a_workdir_that_is_a_file(run, photos):
    config = config_of(photos)
    with pytest.raises(ValueError, match="is a file; give a folder"):
        train(Experiment.from_dict(config), run / "metrics.jsonl", config)


@pytest.mark.parametrize("name", ["config.json", "space.json", "subnets.json", "front.json"])
def test_a_full_disk_while_writing(run, photos, name, tmp_path, monkeypatch):
    def records():
        return {path: path.read_bytes() for path in run.rglob("*.json")}

    old, config = records(), config_of(photos)
    fill_disk(monkeypatch, name)
    with pytest.raises(ValueError, match=r"the disk of .* is full, what was there before is kept"):
        if name == "subnets.json":
            report.write_results(run / "evaluation" / "test", [RESULT], {"method": "x"})
        elif name == "front.json":
            front_report.write_front(run / "search", [{"subnet": "x", "top1": 1.0}], {})
        else:
            kept = run_records.read(run)
            workdir.claim(tmp_path / "new" if name == "space.json" else run, config,
                          records=kept.files())
    assert records() == old


def test_damaged_lines_are_told(run, capsys):
    flip(run / "metrics.jsonl")
    assert len(sealed.read_lines(run / "metrics.jsonl")) < 3
    assert "metrics.jsonl is damaged in " in capsys.readouterr().err
    calls, measured = [], Measurements(run / FILE, {"images": 5})
    measured(["a", "b"], lambda name: len(name))
    path = run / FILE
    path.write_text(path.read_text().replace('"top1": 1.0', '"top1": 9.0', 1))
    again = Measurements(path, {"images": 5})
    assert "measurements.jsonl is damaged in 1 of 2 lines (1), they" in capsys.readouterr().err
    assert again(["a", "b"], lambda name: calls.append(name) or 1.0).tolist() == [1, 1]
    assert calls == ["a"]
