"""Whole runs from the real digits config, shrunk: trained, stopped, continued, evaluated."""
import csv
import json
import os
import signal
from contextlib import nullcontext
from types import SimpleNamespace

import chex
import jax
import numpy as np
import pytest
from absl import flags
from tiny_run import run, tiny_config
from tiny_spaces import drawn

from configs import deps_cifar10, deps_digits, deps_imagenet
from deps_jax.common.compiled.freed import free_programs
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.fit import Interrupted
from deps_jax.common.loop.run import Run
from deps_jax.common.loop.writer import read
from deps_jax.data.load import Data
from deps_jax.runs.evaluate_run import evaluate_run
from deps_jax.space.families import SPACES
from deps_jax.supernet.convert import to_state_dict
from deps_jax.training import experiment
from deps_jax.training.experiment import Experiment, build_recipe, may_differ, train
from deps_jax.training.train import init_state
from deps_jax.training.trainer import Trainer


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    state = run(folder)
    free_programs()  # every run has its own, and three of them are near the limit
    return folder, state


def test_forty_steps_equal_twenty_a_stop_and_twenty_more(finished, tmp_path, monkeypatch):
    folder, state = finished
    call = Trainer.__call__

    def stopping(self, step, *rest):
        if step == 19:  # in the ramp, after the channels were sorted
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, step, *rest)

    monkeypatch.setattr(Trainer, "__call__", stopping)
    with pytest.raises(Interrupted, match="after step 20 of 40"):
        run(tmp_path)
    monkeypatch.undo()
    flags.FLAGS.mark_as_parsed()  # as launchers do; a process that reads wants it
    free_programs()
    continued = run(tmp_path, **{"data.placement": "streamed", "data.workers": 1})
    assert int(continued.step) == 40
    chex.assert_trees_all_equal(continued, state)
    losses = lambda folder: [r["loss"] for r in read(folder) if "loss" in r]
    assert losses(tmp_path) == losses(folder)
    # Running the command once more changes nothing.
    chex.assert_trees_all_equal(run(tmp_path), state)


def test_learning_is_seen_in_metrics(finished):
    folder, _ = finished
    records = read(folder)
    losses = [record["loss"] for record in records if "loss" in record]
    assert np.mean(losses[len(losses) // 2:]) < np.mean(losses[:len(losses) // 2])
    assert {"validation/smallest", "validation/largest"} <= set(records[-1]) | set(records[-2])


def test_evaluation_writes_table_plot_and_report(finished):
    folder, _ = finished
    text = evaluate_run(folder, split="validation")
    assert "d1e1k3" in text and "d2e2k3" in text and f"checkpoint: step 40 of {folder}" in text
    with (folder / "evaluation" / "validation" / "subnets.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["subnet"] for row in rows] == ["d1e1k3", "d2e2k3"]
    record = json.loads((folder / "evaluation" / "validation" / "subnets.json").read_text())
    assert record["calibration_images"] == 40 and record["images"] == 238
    assert 0 <= record["subnets"][0]["top1"] <= record["subnets"][0]["top5"] <= 1
    assert int(rows[0]["macs"]) < int(rows[1]["macs"])
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "d2e2k3" in page
    with np.load(folder / "evaluation" / "validation" / "batch_stats" / "d1e1k3.npz") as stats:
        assert stats["stem/norm/mean"].shape == (8,)
    with pytest.raises(ValueError, match="depth 5"):
        evaluate_run(folder, subnets=("d5e1",))


def test_workdir_of_another_experiment_is_refused(finished):
    folder, _ = finished
    with pytest.raises(ValueError, match=r"training\.batch_size is 20 there and 10 now"):
        run(folder, **{"training.batch_size": 10})


def test_what_is_left_to_the_family_may_be_named_and_new_fields_may_be_missing(tmp_path,
                                                                              monkeypatch):
    """Configs of earlier versions named the lists of the space, and had fewer fields."""
    run = SimpleNamespace(start_step=0, spending=None, fit=lambda *_, **__: "let in")
    monkeypatch.setattr(experiment, "continue_or_start", lambda *_: nullcontext(run))
    monkeypatch.setattr(Trainer, "compile", lambda *_: None)
    left, named = tiny_config(**{"evaluation.subnets": ("smallest",)}), tiny_config()
    left["space"] |= {"depths": None, "kernels": None, "expands": None}
    stage = SPACES[left["space"]["family"]].stages[0]
    named["space"] |= {"depths": list(stage.depths), "kernels": list(stage.kernels),
                       "expands": list(stage.expands)}
    named["evaluation"] = {**left["evaluation"]}
    del named["method"]["ramp_target_epochs"], named["evaluation"]["dtype"]
    for config in (named, left, named):
        assert train(Experiment.from_dict(config), tmp_path, config) == "let in"
    left["space"]["kernels"] = (3,)
    with pytest.raises(ValueError, match=r"space\.kernels is \[\[3, 5\], .* there and \[\[3\], "):
        train(Experiment.from_dict(left), tmp_path, left)


def test_where_images_lie_may_change_unless_they_are_cropped():
    """An earlier version trained on centre crops of resident images, and on random ones else."""
    assert "data.placement" in may_differ(Data("digits"))
    cropped = may_differ(Data("folder", resize=True, placement="streamed"))
    assert "data.placement" not in cropped and "data.workers" in cropped


def test_checkpoint_of_another_space_is_refused(finished, tmp_path):
    folder, _ = finished
    recipe = build_recipe(Experiment.from_dict(tiny_config()), SPACES["mobilenet_v3_cifar"], 100)
    shapes = jax.eval_shape(lambda: init_state(jax.random.key(0), recipe))
    with pytest.raises(ValueError, match="is of another network"):
        Checkpoints(folder / "checkpoints").restore_state(shapes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"training.batch_size": 15}, "batch size 15 does not divide by 2 devices"),
    ({"training.batch_size": 200}, "batch size 200 does not fit 100 training images"),
    ({"space.kernels": ()}, "kernels is empty"),
    ({"space.family": "resnet"}, "space.family 'resnet' is unknown"),
    ({"space.family": "mobilenet_v3_cifar", "space.resolution": 4},
     "resolution 4 px is smaller than the total stride 8"),
    ({"data.name": "folder"}, "does not exist"),
    ({"data.validation_images": 5000}, "5000 images cannot be cut"),
    ({"data.resize": True}, r"use --config\.data\.placement=streamed"),
    ({"evaluation.batch_size": 0}, r"evaluation\.batch_size 0 must be 1 or more"),
    ({"evaluation.calibration_batch_size": 0}, r"calibration_batch_size 0 must be 1 or more"),
    ({"evaluation.calibration_images": 0}, r"calibration_images 0 must be 1 or more"),
    ({"evaluation.calibration_images": 50}, "must be a multiple of calibration_batch_size 20"),
    ({"evaluation.calibration_images": 120},
     "120 calibration images in batches of 20 cannot be drawn from 100 training images"),
    ({"evaluation.subnets": ("d3e1",)}, "depth 3 is not in the depths"),
    ({"method.sampling": "best"}, "sampling 'best' is unknown"),
    ({"method.name": "slimmable"}, "method.name 'slimmable' is unknown"),
    ({"method.name": "ofa"}, "method has no field 'ramp_epochs'"),
    ({"method.name": "bignas"}, "choose the method with --config FILE:bignas"),
    ({"optimizer.name": "lion"}, "optimizer 'lion' is unknown"),
    ({"training.norm_momentum": 2.0}, r"training\.norm_momentum 2 is not above 0 and at most 1"),
    ({"init_from": "nothing.pth"}, "is not a file"),
])
def test_bad_settings_are_refused_before_anything_is_compiled(changes, message, tmp_path,
                                                              monkeypatch):
    def nothing_is_compiled(*_, **__):
        raise AssertionError("compiled before the settings were checked")

    monkeypatch.setattr(Run, "fit", nothing_is_compiled)
    monkeypatch.setattr(Trainer, "compile", nothing_is_compiled)
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("classes", [10, 7])
def test_weights_one_has_are_used_but_for_a_classifier_of_other_classes(classes, tmp_path,
                                                                        monkeypatch, capsys):
    config = tiny_config(init_from=str(tmp_path / "w.npz"))
    space = Experiment.from_dict(config).space.build(classes)
    params, batch_stats = drawn(space)
    np.savez(tmp_path / "w.npz", **to_state_dict(space, params, batch_stats))
    monkeypatch.setattr(Run, "fit", lambda run, *_, **__: run.state)
    monkeypatch.setattr(Trainer, "compile", lambda *_: None)
    state = train(Experiment.from_dict(config), tmp_path / "run", config)
    chex.assert_trees_all_equal(state.params["stage1"], params["stage1"])
    assert state.params["classifier"]["bias"].shape == (10,)
    same = np.array_equal(state.params["classifier"]["bias"], params["classifier"]["bias"])
    assert same == (classes == 10) == ("left out" not in capsys.readouterr().out)


def test_fields_that_do_not_exist_are_named():
    config = tiny_config()
    config["optimizer"]["learning_rat"] = 1
    with pytest.raises(ValueError, match="optimizer has no field 'learning_rat'; did you mean"):
        Experiment.from_dict(config)
    config = tiny_config()
    del config["training"]["epochs"]
    with pytest.raises(ValueError, match=r"training\.epochs is not set"):
        Experiment.from_dict(config)


@pytest.mark.parametrize("config", [
    deps_digits.get_config(), deps_cifar10.get_config(), deps_cifar10.get_config("bignas"),
    deps_cifar10.get_config("runlocal"), deps_cifar10.get_config("runlocal,plain"),
    deps_imagenet.get_config(), deps_imagenet.get_config("runlocal")])
def test_published_configs_are_whole(config):
    settings = Experiment.from_dict(config.to_dict())
    space = settings.space.build(num_classes=10)
    recipe = build_recipe(settings, space, 40_000)
    stops = [0, *(phase.stop for phase in recipe.phases)]
    assert [phase.start for phase in recipe.phases] == stops[:-1] and stops[-1] == recipe.total


def test_options_of_configs_are_checked():
    with pytest.raises(ValueError, match="takes no option 'local'"):
        deps_cifar10.get_config("local")
