"""A run teaches the full model of a once-for-all training, which teaches its subnets."""
import dataclasses
import os
import shutil
import signal
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from elastic_nurture import SPACE, elastic
from make_batches import CHANGED, FRAMES, PLAIN, SCALING, SIZE, batch
from make_records import write_records
from tiny_nurture_run import run as run_alone

from configs import nurture_once
from deps_jax.common.files import sealed
from deps_jax.common.loop.fit import Interrupted
from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.loop.writer import read
from deps_jax.common.nn.operations import Mode
from deps_jax.data.augment import Augment
from deps_jax.training.losses import Distillation, Hard, Target
from deps_jax.training.methods import DEPS
from deps_jax.training.train import Recipe
from deps_jax.training.trainer import Trainer
from nurture_jax.network.model import zero_inputs
from nurture_jax.once_for_all.experiment import (
    OnceForAll,
    build_recipe,
    init_state,
    train,
    trained_on,
)
from nurture_jax.once_for_all.subnets import TrainedOnce
from nurture_jax.once_for_all.task import LESSON, Anthropometry
from nurture_jax.training.distillation import PROJECTION, Teaching, lesson_terms
from nurture_jax.training.losses import Losses, by_example
from nurture_jax.training.teacher import FILE, Teacher

LOSSES = Losses("huber", huber_delta=0.5, points=0.3)
TEACHER = elastic(neck_width=12, hidden_width=24).full_model
TEACHING = Teaching("somewhere", weight=5.0, spreads=5.0, features=0.3)
TASK = Anthropometry(elastic(), LOSSES, CHANGED, FRAMES, teacher=TEACHER, teaching=TEACHING)
RECIPE = Recipe(space=SPACE, total=20, steps_per_epoch=5, other_task=TASK,
                augment=Augment(mean=PLAIN.mean, std=PLAIN.std),
                method=dataclasses.replace(DEPS, full_model_fraction=0.5, ramp_epochs=1.0,
                                           subnets_per_step=3),
                optimizer=Optimizer(name="adamw", learning_rate=5e-3, weight_decay=0.0))
KEY, MODE = jax.random.key(3), Mode(False)


@pytest.fixture(scope="module")
def teacher():
    variables = jax.jit(lambda: TEACHER.init(jax.random.key(9), *zero_inputs(FRAMES, SIZE, SIZE)))()
    return jax.device_get(variables)


@pytest.fixture(scope="module")
def trained(teacher):
    """The first state, and what some steps of it make and tell."""
    settings = OnceForAll.from_dict(nurture_once.get_config("runlocal").to_dict())
    data = dataclasses.replace(settings.data, frames=FRAMES, size=SIZE)
    make = lambda: init_state(KEY, RECIPE, dataclasses.replace(settings, data=data))
    first = jax.device_get(jax.jit(make)()).replace(teacher=teacher)
    trainer = Trainer(RECIPE, KEY, devices=jax.devices()[:1])
    state, history = jax.tree.map(jnp.asarray, first), []
    for step in range(RECIPE.total):
        state, metrics = trainer(step, state, trained_on(batch(0, known=0.6)))
        history.append({name: mean.compute() for name, mean in metrics.items()})
    return first, jax.device_get(state), history


def test_the_full_model_comes_nearer_to_the_teacher(trained, teacher):
    _, state, history = trained
    for name in ("length_cm", "segmentation", "keypoints", "features"):
        assert history[-1][f"taught_{name}"] < history[0][f"taught_{name}"], name
    assert len([line for line in history if "subnet_loss" in line]) == 15  # after its warm-up
    chex.assert_trees_all_equal(state.teacher, teacher)


def test_the_projection_is_learnt_beside_the_supernet(trained):
    first, state, _ = trained
    assert state.params.keys() - TASK.network.init(KEY, FRAMES, SIZE)[0].keys() == {PROJECTION}
    assert np.any(state.params[PROJECTION]["kernel"] != first.params[PROJECTION]["kernel"])


def test_the_loss_of_the_full_model_alone_has_the_lesson(teacher):
    raw = batch(1, known=0.6)
    clips = {**raw, "frames": (raw["frames"] / 127.5 - 1).astype(np.float32)}
    said, other = (jax.jit(lambda variables: TEACHER.apply(
        variables, clips["frames"], clips["tabular"], clips["tabular_mask"],
        reference_cm=clips["reference_cm"], mode=MODE))(variables)
        for variables in (teacher, jax.tree.map(lambda leaf: 0.9 * leaf, teacher)))
    taught, untaught = Target({**clips, LESSON: said}, other), Target(clips, other)
    own = other.replace(features=other.features[:, :said.features.shape[1]])
    plain = dataclasses.replace(TASK, teacher=None)
    added = by_example(list(lesson_terms(TEACHING, LOSSES, SCALING, SCALING, own, said, clips)),
                       None)
    assert (np.abs(added) > 0).all()
    np.testing.assert_allclose(TASK.loss(Hard(), own, taught, None),
                               plain.loss(Hard(), own, untaught, None) + added, rtol=1e-5)
    for kind in (Distillation(), Distillation(label_weight=0.5)):
        np.testing.assert_array_equal(TASK.loss(kind, own, taught, None),
                                      plain.loss(kind, own, untaught, None))


@pytest.mark.parametrize(("method", "changes", "message"), [
    ("deps", {}, ""), ("bignas", {}, ""), ("ofa", {}, "keeps a frozen full model in the place of"),
    ("deps", {"warm_up": ("smallest", "largest")}, r"other networks .* \(smallest alone\)"),
    ("deps", {"full_model_share": 0.5}, r"other networks .* on the records \(teacher\)")])
def test_methods_by_which_it_would_teach_more_are_refused(method, changes, message):
    config = nurture_once.get_config(f"runlocal,{method}")
    config.method.update(changes)
    config.training.epochs = 8.0
    build = lambda: build_recipe(OnceForAll.from_dict(config.to_dict()), SCALING, 480,
                                 Teacher(Path("runs/teacher"), TEACHER, ""))
    if not message:
        assert build().task.teacher is TEACHER
        return
    with pytest.raises(ValueError, match=message):
        build()


def config_of(data, teacher="", **changes):
    config = nurture_once.get_config("runlocal")
    config.update_from_flattened_dict({
        "data.dir": str(data), "training.epochs": 2.0, "data.validation_fraction": 0.25,
        "data.calibration_fraction": 0.0, "data.test_fraction": 0.125, "negatives.share": 0.0,
        "cadence.checkpoint_every": 6, "teacher.run": str(teacher), **changes})
    return config.to_dict()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set", infants=8)


@pytest.fixture(scope="module")
def resnet(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "resnet"
    run_alone(folder, data, **{"training.epochs": 2.0, "model.head_stride": 4})
    return folder


@pytest.mark.long
def test_a_whole_run_goes_on_without_the_folder_of_its_teacher(data, resnet, tmp_path, monkeypatch):
    config = config_of(data, resnet)
    whole = train(OnceForAll.from_dict(config), tmp_path / "whole", config)
    lines = [line for line in read(tmp_path / "whole") if "loss" in line]
    assert {"taught_weight_g", "taught_keypoints", "taught_features"} <= lines[0].keys()
    kept = sealed.read(tmp_path / "whole" / FILE, "")
    assert kept["run"] == "resnet" and kept["settings"]["head_stride"] == 4

    copy, call = shutil.copytree(resnet, tmp_path / "resnet"), Trainer.__call__
    config = config_of(data, copy)

    def stopping(self, step, *rest):
        if step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, step, *rest)

    monkeypatch.setattr(Trainer, "__call__", stopping)
    with pytest.raises(Interrupted, match="after step 7 of 10"):
        train(OnceForAll.from_dict(config), tmp_path / "part", config)
    monkeypatch.undo()
    shutil.rmtree(copy)
    again = train(OnceForAll.from_dict(config), tmp_path / "part", config)
    chex.assert_trees_all_equal(jax.device_get(again.params), jax.device_get(whole.params))

    opened = TrainedOnce.open(tmp_path / "part")
    assert PROJECTION not in opened.params and opened.measure("largest").errors["mae_weight_g"] > 0
    assert opened.cut("smallest", tmp_path / "phone")["mae_weight_g"] > 0
    with pytest.raises(ValueError, match=r"teacher\.run is .* there and"):
        other = config_of(data)
        train(OnceForAll.from_dict(other), tmp_path / "part", other)


@pytest.mark.long
@pytest.mark.parametrize(("changes", "message"), [
    ({"model.head_stride": 2}, r"model\.head_stride is 2, the teacher .* was trained with 4"),
    ({"data.size": 64}, r"data\.size is 64, the teacher .* was trained with 32; set data\.size"),
    ({"data.split_seed": 3}, r"was made with \d infants that are held out here: n\d \(\w+\)"),
    ({"teacher.run": "/nowhere"}, r"/nowhere holds no experiment"),
    ({"teacher.weight": -1.0}, r"teacher\.weight -1\.0 is negative")])
def test_a_teacher_that_does_not_fit_is_refused(data, resnet, tmp_path, changes, message):
    config = config_of(data, resnet, **changes)
    with pytest.raises(ValueError, match=message):
        train(OnceForAll.from_dict(config), tmp_path / "run", config)
    assert not (tmp_path / "run" / "config.json").exists()
