"""Learning from another network in the step: losses, gradients, devices, what is kept."""
import dataclasses
from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_batches import CHANGED, FRAMES, PLAIN, SCALING, SIZE, batch, net

from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.nn.operations import Mode
from deps_jax.space.families import SPACES
from deps_jax.space.subnet import smallest
from nurture_jax.clips.clip_augment import normalise
from nurture_jax.network.backbone_weights import of_subnet
from nurture_jax.network.backbones import ResNet
from nurture_jax.network.model import Outputs
from nurture_jax.training.distillation import (
    PROJECTION,
    Teaching,
    feature_distance,
    lesson_terms,
    own,
    projected,
)
from nurture_jax.training.losses import Losses
from nurture_jax.training.teacher import Teacher
from nurture_jax.training.train import (
    TRAINING_ARRAYS,
    Recipe,
    Trainer,
    init_state,
    train_step,
)

CLIP, KEY = (FRAMES, SIZE, SIZE), jax.random.key(3)
OTHER = dataclasses.replace(SCALING, label_mean=tuple(m + 0.1 for m in SCALING.label_mean),
                            label_std=tuple(2 * s for s in SCALING.label_std))
TEACHER = dataclasses.replace(net(neck_width=12, hidden_width=24), scaling=OTHER)
LOSSES = Losses("huber", huber_delta=0.5, points=0.3)
RECIPE = Recipe(net(), LOSSES, CHANGED, Optimizer(
    name="adamw", learning_rate=5e-3, min_learning_rate=0.0, weight_decay=0.0, clip_norm=5.0),
    backbone_rate=1.0, total_steps=30, steps_per_epoch=5, teacher=TEACHER,
    teaching=Teaching("somewhere", weight=5.0, spreads=5.0, features=0.3))


@pytest.fixture(scope="module")
def teacher():
    recipe = dataclasses.replace(RECIPE, model=TEACHER, teacher=None)
    state = jax.device_get(jax.jit(lambda: init_state(jax.random.key(9), recipe, CLIP))())
    return {"params": state.params, "batch_stats": state.batch_stats}


@pytest.fixture(scope="module")
def fresh(teacher):
    state = jax.device_get(jax.jit(lambda: init_state(jax.random.key(0), RECIPE, CLIP))())
    return lambda: jax.tree.map(jnp.asarray, state.replace(teacher=teacher))


def run(devices, state, steps):
    trainer, history = Trainer(RECIPE, KEY, devices=jax.devices()[:devices]), []
    for step in range(steps):
        state, metrics = trainer(step, state, batch(0, known=0.6))
        history.append({name: mean.compute() for name, mean in metrics.items()})
    return jax.device_get(state), history


@pytest.fixture(scope="module")
def trained(fresh):
    return run(1, fresh(), 30)


def test_the_student_comes_nearer_to_the_teacher(trained, teacher):
    state, history = trained
    first, last = ([history[i][f"taught_{name}"] for name in (
        "length_cm", "length_cm_spread", "segmentation", "keypoints", "features")] for i in (0, -1))
    assert history[-1]["taught"] < 0.8 * history[0]["taught"]
    assert np.all(np.array(last) < first), (first, last)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    chex.assert_trees_all_equal(state.teacher, teacher)


def test_two_devices_equal_one(trained, fresh):
    _, history = trained
    _, other = run(2, fresh(), 2)
    for one, two in zip(history[:2], other, strict=True):
        for name in ("loss", "taught", "taught_features", "taught_weight_g", "grad_norm"):
            np.testing.assert_allclose(two[name], one[name], rtol=2e-3, err_msg=name)


def test_the_projection_is_no_part_of_the_network(trained):
    state, _ = trained
    assert PROJECTION in state.params and set(own(state.params)) == {"backbone", "video", "fusion"}
    plain = dataclasses.replace(RECIPE, teaching=Teaching("somewhere", features=0.0))
    shapes = jax.eval_shape(lambda: init_state(KEY, plain, CLIP))
    chex.assert_trees_all_equal_shapes(shapes.params, own(state.params))


@pytest.fixture(scope="module")
def said(fresh, teacher):
    """What student and teacher say of one batch."""
    clips = {**batch(1, known=0.6), "frames": normalise(batch(1)["frames"], PLAIN)}
    look = lambda model, variables: jax.jit(lambda: model.apply(
        variables, clips["frames"], clips["tabular"], clips["tabular_mask"], Mode(False)))()
    state = fresh()
    student = {"params": own(state.params), "batch_stats": state.batch_stats}
    return clips, look(RECIPE.model, student), look(TEACHER, teacher)


def terms(clips, outputs, lesson, teaching=RECIPE.teaching, losses=LOSSES, of=SCALING):
    return list(lesson_terms(teaching, losses, SCALING, of, projected({}, outputs), lesson, clips))


def test_who_says_what_the_teacher_says_has_nothing_to_learn(said):
    clips, student, _ = said
    smooth = dataclasses.replace(LOSSES, points=0.0)  # a distance has a kink at 0
    total = lambda outputs, lesson: sum(weight * (values * mask).sum() for _, values, mask, weight
                                        in terms(clips, outputs, lesson, losses=smooth))
    at_own, to_teacher = jax.grad(total, argnums=(0, 1))(student, student)
    for part in ("mean", "log_scale", "heatmaps", "segmentation"):
        assert np.abs(getattr(at_own, part)).max() < 1e-5, part
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(to_teacher))


def test_weights_scale_their_losses(said):
    clips, student, lesson = said
    found = {name: weight for name, *_, weight in terms(
        clips, student, lesson, Teaching(weight=3.0, spreads=0.5), of=OTHER)}
    assert found["weight_g"] == 3 and found["length_cm"] == 1.5
    assert found["weight_g_spread"] == 0.5 and found["length_cm_spread"] == 0.25
    assert found["segmentation"] == 3 * LOSSES.segmentation


def test_clips_of_no_newborn_and_measures_not_learnt_teach_nothing(said):
    clips, student, lesson = said
    nobody = {**clips, "labels_mask": np.zeros_like(clips["labels_mask"])}
    assert not any(mask.any() for name, _, mask, _ in terms(nobody, student, lesson)
                   if name not in ("segmentation", "keypoints"))
    unlearnt = dataclasses.replace(OTHER, label_mean=(*OTHER.label_mean[:4], float("nan")))

    def arms(outputs):
        found = {name: (values, mask) for name, values, mask, _ in terms(
            clips, outputs, lesson, of=unlearnt)}
        assert not found["arm_cm"][1].any() and found["weight_g"][1].any()
        return sum(jnp.where(mask > 0, values * mask, 0).sum() for values, mask in found.values())

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(arms)(student)))


def test_a_teacher_of_another_scaling_is_understood():
    random = np.random.default_rng(0)
    mean, log_scale = random.normal(size=(2, 6, 5)).astype(np.float32)
    ours = SCALING.measures(*SCALING.from_other(OTHER, mean, log_scale))
    chex.assert_trees_all_close(ours, OTHER.measures(mean, log_scale), rtol=1e-5)


def test_features_are_compared_by_example_and_without_their_spread():
    random = np.random.default_rng(1)
    features, theirs = random.normal(size=(3, 4)), random.normal(2, 5, size=(3, 7))
    layer = {PROJECTION: {"kernel": np.zeros((4, 7)), "bias": np.zeros(7)}}
    ours = projected(layer, Outputs(None, None, features=features)).features
    np.testing.assert_allclose(feature_distance(ours, theirs), 1, rtol=1e-4)
    chex.assert_trees_all_close(feature_distance(ours, 10 * theirs + 1),
                                feature_distance(ours, theirs), rtol=1e-4)
    with pytest.raises(AssertionError):
        feature_distance(ours, theirs[:, :6])


def test_a_resnet_teaches_a_mobilenet():
    """Traced alone: maps fit, and features have widths of their own."""
    space = SPACES["mobilenet_v3"].with_choices(width_mult=0.25, resolution=SIZE)
    student = net().clone(backbone=of_subnet(space, smallest(space)))
    teacher = Teacher(Path("runs/resnet"), net(neck_width=16).clone(backbone=ResNet(10, 4)), "")
    recipe = dataclasses.replace(RECIPE, model=student, teacher=teacher.model)
    state = jax.eval_shape(lambda: init_state(KEY, recipe, CLIP)).replace(
        teacher=teacher.shapes(FRAMES, SIZE))
    assert {"params", "batch_stats"} == set(state.teacher)
    clips = {name: batch()[name] for name in TRAINING_ARRAYS}
    after, metrics = jax.eval_shape(partial(train_step, recipe), state, clips, KEY)
    chex.assert_trees_all_equal_shapes(after, state)
    student_features, teacher_features = state.params[PROJECTION]["kernel"].shape
    assert student_features != teacher_features
    assert {"taught_features", "taught_segmentation", "taught_keypoints"} <= metrics.keys()
    assert teacher.record["backbone"]["kind"] == "resnet"


@pytest.mark.parametrize("name", ["weight", "spreads", "features"])
def test_weights_are_checked(name):
    with pytest.raises(ValueError, match=rf"teacher\.{name} -1 is negative; use 0"):
        Teaching(**{name: -1})


def test_a_step_with_a_teacher_is_named_in_profiles(fresh):
    clips = {name: batch()[name] for name in TRAINING_ARRAYS}
    traced = jax.jit(partial(train_step, RECIPE)).trace(fresh(), clips, KEY)
    assert "/teacher/" in traced.lower().as_text(debug_info=True)
