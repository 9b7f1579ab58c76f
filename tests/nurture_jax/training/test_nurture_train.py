"""The training step: learns, on two devices as on one, at two rates."""
import dataclasses
import re
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from make_batches import CHANGED, FRAMES, PLAIN, SCALING, SIZE, batch, net

from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.nn.operations import Mode
from nurture_jax.training.losses import Losses
from nurture_jax.training.messages import print_plan
from nurture_jax.training.train import (
    TRAINING_ARRAYS,
    Recipe,
    Trainer,
    Validator,
    init_state,
    judged,
    train_step,
)

ADAMW = Optimizer(name="adamw", learning_rate=3e-3, min_learning_rate=0.0, weight_decay=0.01,
                  clip_norm=5.0)
RECIPE = Recipe(net(dropout_rate=0.1), Losses(), CHANGED, ADAMW, backbone_rate=0.5,
                total_steps=60, steps_per_epoch=2)
KEY = jax.random.key(7)
CLIP = (FRAMES, SIZE, SIZE)


@pytest.fixture(scope="module")
def fresh():
    """A state before the first step, as often as asked for: the step takes its memory."""
    state = jax.device_get(jax.jit(lambda: init_state(jax.random.key(0), RECIPE, CLIP))())
    return lambda: jax.tree.map(jnp.asarray, state)


@pytest.fixture(scope="module")
def trainer():
    return Trainer(RECIPE, KEY, devices=jax.devices()[:1])


def run(trainer, state, steps, start=0, known=0.6):
    history = []
    for step in range(start, steps):
        state, metrics = trainer(step, state, batch(step, known=known))
        history.append({name: mean.compute() for name, mean in metrics.items()})
    return jax.device_get(state), history


@pytest.fixture(scope="module")
def trained(trainer, fresh):
    return run(trainer, fresh(), 3)


def float64(tree):
    """A pytree with its float32 arrays in float64."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64)
                        if np.asarray(leaf).dtype == np.float32 else leaf, tree)


def test_two_devices_equal_one(fresh):
    """With labels, masks and points on some clips only, so that devices count differently.

    In float64, where Adam does not make steps out of rounding. A loss averaged over devices
    instead of clips, or batch statistics of one device, are off by 1e-3 and more.
    """
    ends, histories = [], []
    with jax.enable_x64(True):
        recipe = dataclasses.replace(RECIPE, model=net(dropout_rate=0.1, dtype="float64"))
        for devices in (1, 2):
            trainer = Trainer(recipe, KEY, devices=jax.devices()[:devices])
            state, history = float64(jax.device_get(fresh())), []
            for step in range(3):
                state, metrics = trainer(step, state, float64(batch(step, known=0.6)))
                history.append({name: mean.compute() for name, mean in metrics.items()})
            ends.append(jax.device_get(state))
            histories.append(history)
    one, two = ends
    assert all(leaf.dtype == np.float64 for leaf in jax.tree.leaves(one.params))
    chex.assert_trees_all_close(two.params, one.params, rtol=0, atol=1e-9)
    chex.assert_trees_all_close(two.batch_stats, one.batch_stats, rtol=1e-9, atol=1e-9)
    for first, second in zip(*histories, strict=True):
        chex.assert_trees_all_close(second, first, rtol=1e-9, atol=1e-9)


def test_float64_needs_what_computes_in_it():
    with pytest.raises(ValueError, match=r"'float64' would compute in float32; use 'float32'"):
        net(dtype="float64")


def test_same_seed_same_result_and_continuing_is_bit_identical(trainer, trained, fresh):
    half, _ = run(trainer, fresh(), 2)
    continued, _ = run(trainer, jax.tree.map(jnp.asarray, half), 3, start=2)
    chex.assert_trees_all_equal(continued, trained[0])


def test_four_clips_are_learnt_by_heart():
    recipe = dataclasses.replace(RECIPE, model=net(), augment=PLAIN, backbone_rate=1.0,
                                 total_steps=200)
    trainer = Trainer(recipe, KEY, devices=jax.devices()[:1])
    state = init_state(jax.random.key(0), recipe, CLIP)
    clips, errors = batch(5), []
    clips["tabular_mask"][:] = 0  # by the video alone
    for step in range(200):
        state, metrics = trainer(step, state, clips)
        errors.append(metrics["mae_weight_g"].compute())
    assert errors[-1] < 0.15 * errors[0] and errors[0] > 200
    validate = Validator(recipe, devices=jax.devices()[:1])
    found = validate(state, [clips])
    assert set(found) == {f"mae_{name}" for name in ("weight_g", "length_cm", "head_cm",
                                                     "chest_cm", "arm_cm")}
    empty = {**clips, "labels_mask": np.zeros_like(clips["labels_mask"])}
    assert np.isnan(validate(state, [empty])["mae_weight_g"])
    first_day = {name: value.copy() for name, value in clips.items()}
    first_day["tabular_mask"][:] = 1
    first_day["tabular"][:, 1] = 3  # days
    first_day["tabular"][:2, :2] = np.stack([first_day["labels"][:2, 0] + 5, [0.5, 0.5]], 1)
    of_others = {**first_day, "labels_mask": first_day["labels_mask"] * np.float32(
        [[0], [0], [1], [1]])}
    np.testing.assert_allclose(validate(state, [first_day])["mae_weight_g"],
                               validate(state, [of_others])["mae_weight_g"], rtol=1e-5)


def test_a_weight_that_is_the_birth_weight_judges_nothing():
    visits = batch()
    visits["tabular_mask"][:] = visits["labels_mask"][:] = 1
    visits["labels"][:, 0] = 3000
    visits["tabular"][:, :2] = [(3009, 0.9), (3011, 0.9), (3009, 1.0), (3009, 0.9)]
    visits["tabular_mask"][3, 1] = 0  # of an age that is not known
    np.testing.assert_array_equal(judged(visits)[:, 0], [0, 1, 1, 1])
    np.testing.assert_array_equal(judged(visits)[:, 1:], visits["labels_mask"][:, 1:])
    assert visits["labels_mask"].all()


@pytest.mark.parametrize("backbone_rate", [0.25, 0.0])
def test_each_group_has_its_rate(backbone_rate):
    recipe = dataclasses.replace(RECIPE, optimizer=Optimizer(
        name="adamw", learning_rate=0.1, min_learning_rate=0.0, weight_decay=0.0),
        backbone_rate=backbone_rate)
    params = {"backbone": {"kernel": jnp.ones(3)}, "video": {"kernel": jnp.ones(3)}}
    transform = recipe.transform()
    gradients = jax.tree.map(jnp.ones_like, params)
    updates, _ = transform.update(gradients, transform.init(params), params)
    np.testing.assert_allclose(updates["video"]["kernel"], -0.1, rtol=1e-4)  # Adam's first step
    np.testing.assert_allclose(updates["backbone"]["kernel"], -0.1 * backbone_rate, rtol=1e-4)


def test_clipping_is_over_all_weights_and_decay_spares_biases():
    optimizer = Optimizer(name="sgd", learning_rate=1.0, momentum=0.0, weight_decay=0.0,
                          clip_norm=1.0)
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer, backbone_rate=1.0)
    params = {"backbone": {"kernel": jnp.zeros(1)}, "video": {"kernel": jnp.zeros(1)}}
    gradients = {"backbone": {"kernel": jnp.array([3.0])}, "video": {"kernel": jnp.array([4.0])}}
    updates, _ = recipe.transform().update(gradients, recipe.transform().init(params), params)
    np.testing.assert_allclose(optax.tree.norm(updates), 1, rtol=1e-5)
    recipe = dataclasses.replace(RECIPE, optimizer=dataclasses.replace(ADAMW, weight_decay=0.5))
    params = {"video": {"kernel": jnp.ones(1), "bias": jnp.ones(1)}}
    updates, _ = recipe.transform().update(jax.tree.map(jnp.zeros_like, params),
                                           recipe.transform().init(params), params)
    assert updates["video"]["kernel"] < 0 and updates["video"]["bias"] == 0


def test_given_weights_are_the_start():
    _, variables = jax.eval_shape(lambda: RECIPE.model.backbone.init_with_output(
        jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)), Mode(False)))
    given = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.5), variables)
    state = init_state(jax.random.key(0), RECIPE, CLIP, given)
    chex.assert_trees_all_equal(state.params["backbone"], given["params"])
    chex.assert_trees_all_equal(state.batch_stats["backbone"], given["batch_stats"])


def test_a_profile_names_the_parts_of_a_step():
    state = jax.eval_shape(lambda: init_state(jax.random.key(0), RECIPE, CLIP))
    clips = {name: batch()[name] for name in TRAINING_ARRAYS}
    traced = jax.jit(partial(train_step, RECIPE)).trace(state, clips, KEY)
    text = traced.lower(lowering_platforms=("cpu",)).as_text(debug_info=True)
    for name in ("augment", "backbone", "fusion", "heads", "losses", "optimizer"):
        assert re.search(rf'["/(]{name}[/)]', text), name


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"backbone_rate -1.0 is negative; use 0 to 1"):
        dataclasses.replace(RECIPE, backbone_rate=-1.0)


@pytest.mark.parametrize("forget", [0.0, 0.3])
def test_what_stands_for_missing_is_trained_on_a_table_without_holes(forget):
    """And so is the weight itself, of infants whose birth weight is known."""
    recipe = dataclasses.replace(RECIPE, model=net(use_video=False), augment=dataclasses.replace(
        PLAIN, forget=forget), optimizer=dataclasses.replace(ADAMW, weight_decay=0.0))
    state = init_state(jax.random.key(0), recipe, CLIP)
    after, _ = jax.jit(partial(train_step, recipe))(state, batch(1, size=64), KEY)
    moved = jax.tree.map(lambda a, b: np.abs(np.asarray(a - b)), state.params, after.params)
    missing, weight = (moved["fusion"]["tabular"]["missing"],
                       moved["fusion"]["measures"]["bias"][0])
    assert ((missing.max(1) > 0).all() and weight > 0) == bool(forget)


def test_as_many_weights_as_measures():
    with pytest.raises(ValueError, match=r"losses.measures \(1.0, 1.0, 1.0, 1.0\) must be 5"):
        dataclasses.replace(RECIPE, losses=Losses(measures=(1.0,) * 4))


def test_a_measure_without_a_spread_is_told_and_neither_learnt_nor_estimated(capsys):
    scaling = dataclasses.replace(SCALING, label_mean=(*SCALING.label_mean[:4], np.nan))
    model = dataclasses.replace(net(use_video=False), scaling=scaling)
    recipe = dataclasses.replace(RECIPE, model=model, augment=PLAIN)
    state = init_state(jax.random.key(0), recipe, CLIP)
    after, metrics = jax.jit(partial(train_step, recipe))(state, batch(1), KEY)  # with arms in it
    assert np.isfinite(metrics["loss"].compute()) and np.isnan(metrics["mae_arm_cm"].compute())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.params))
    print_plan(recipe, {"train": range(3)}, 2, 0, after, 0)
    assert "arm_cm was never measured in training (fewer than 2 visits have it): it is not " \
        "estimated\n3 train clips" in capsys.readouterr().out
