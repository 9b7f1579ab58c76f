"""The training step on two devices and one, in every method, and what a step must not do."""
import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PIXELS, TINY

from deps_jax.data.augment import Augment
from deps_jax.methods import BIGNAS, DEPS, PLAIN, Timeline
from deps_jax.optim import Optimizer
from deps_jax.train import Recipe, Trainer, init_state, sort_state

AUGMENT = Augment(mean=PIXELS.mean, std=PIXELS.std, flip=True, crop_padding=2, cutout_size=3)
RECIPE = Recipe(space=TINY, method=DEPS, timeline=Timeline(2, 4, 8, 2),
                optimizer=Optimizer(learning_rate=0.05), augment=AUGMENT, dropout_rate=0.2)
KEY = jax.random.key(7)


def batch(step):
    generator = np.random.default_rng(step)
    return {"image": generator.integers(0, 256, (8, 9, 9, 3), np.uint8),
            "label": generator.integers(0, 5, 8).astype(np.int32)}


def run(trainer, steps, state=None, start=0):
    state = init_state(jax.random.key(0), trainer.recipe) if state is None else state
    history = []
    for step in range(start, steps):
        state, metrics = trainer(step, state, batch(step))
        history.append({name: mean.compute() for name, mean in metrics.items()})
    return state, history


@pytest.fixture(scope="module")
def one_device():
    return Trainer(RECIPE, KEY, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def trained(one_device):
    return run(one_device, 6)


def test_two_devices_equal_one(trained):
    state, history = trained
    two_state, two_history = run(Trainer(RECIPE, KEY, devices=jax.devices()[:2]), 6)
    assert len(jax.devices()) == 2
    # Rounding differs, and the first layers of a network at batch 8 amplify it.
    for one, two in zip(history, two_history, strict=True):
        np.testing.assert_allclose(two["loss"], one["loss"], atol=2e-3)
    np.testing.assert_allclose(two_history[0]["loss"], history[0]["loss"], atol=1e-5)
    np.testing.assert_allclose(two_history[0]["grad_norm"], history[0]["grad_norm"], rtol=1e-3)
    chex.assert_trees_all_close(two_state.params, state.params, atol=5e-3)
    chex.assert_trees_all_close(two_state.batch_stats, state.batch_stats, atol=5e-2)


def test_same_seed_same_result_and_continuing_is_bit_identical(one_device, trained):
    state, _ = trained
    half, _ = run(one_device, 3)
    continued, _ = run(one_device, 6, state=half, start=3)
    chex.assert_trees_all_equal(continued, state)


def test_subnets_join_at_the_switch_and_metrics_say_so(trained):
    _, history = trained
    assert ["subnet_loss" in metrics for metrics in history] == [False] * 2 + [True] * 4
    assert all(np.isfinite(list(metrics.values())).all() for metrics in history)


def test_first_ramp_step_hardly_moves_what_only_subnets_say(one_device):
    """With rate 0 for subnets the supernet step is the full-model step."""
    silent = dataclasses.replace(DEPS, smallest_weight=0.0, sampled_weight=0.0,
                                 sort_channels=False)
    timeline = Timeline(0, 0, 8, 2)
    recipe = dataclasses.replace(RECIPE, method=silent, timeline=timeline)
    supernet_state, _ = run(Trainer(recipe, KEY, devices=jax.devices()[:1]), 1)
    full_state, _ = run(one_device, 1)
    chex.assert_trees_all_close(supernet_state.params, full_state.params, atol=1e-5)


@pytest.mark.parametrize("method", [
    BIGNAS, PLAIN, dataclasses.replace(DEPS, name="avg", aggregation="avg_sqrt")],
    ids=lambda method: method.name)
def test_other_methods_learn(method):
    immediate = dataclasses.replace(method, full_model_fraction=0, ramp_epochs=0)
    timeline = Timeline.of(immediate, 30, 2)
    recipe = dataclasses.replace(
        RECIPE, method=method, timeline=timeline, dropout_rate=0.0, label_smoothing=0.0,
        augment=PIXELS)
    trainer = Trainer(recipe, KEY, devices=jax.devices()[:1])
    state = init_state(jax.random.key(0), recipe)
    losses = []
    for step in range(30):
        state, metrics = trainer(step, state, batch(0))
        losses.append(metrics["loss"].compute())
    assert losses[-1] < 0.5 * losses[0]


def test_sorting_permutes_every_momentum(trained):
    state, _ = trained
    recipe = dataclasses.replace(RECIPE, optimizer=Optimizer(name="adamw"))
    opt_state = recipe.transform().init(state.params)
    doubled = jax.tree.map(lambda leaf: 2 * leaf, state.params)
    is_params = lambda node: jax.tree.structure(node) == jax.tree.structure(state.params)
    opt_state = jax.tree.map(lambda node: doubled if is_params(node) else node, opt_state,
                             is_leaf=is_params)
    after = jax.jit(partial(sort_state, TINY))(state.replace(opt_state=opt_state))
    moments = [node for node in jax.tree.leaves(after.opt_state, is_leaf=is_params)
               if is_params(node)]
    assert len(moments) == 2  # of adam
    for moment in moments:
        chex.assert_trees_all_close(moment, jax.tree.map(lambda leaf: 2 * leaf, after.params))


def test_recipe_refuses_bad_settings():
    with pytest.raises(ValueError, match="dtype 'float16'"):
        dataclasses.replace(RECIPE, dtype="float16")
    with pytest.raises(ValueError, match="dropout_rate 1"):
        dataclasses.replace(RECIPE, dropout_rate=1)
    with pytest.raises(ValueError, match="compound sampling pairs"):
        dataclasses.replace(RECIPE, method=dataclasses.replace(DEPS, sampling="compound"))


def test_batch_that_does_not_divide_is_refused():
    trainer = Trainer(RECIPE, KEY, devices=jax.devices()[:2])
    state = init_state(jax.random.key(0), RECIPE)
    odd = jax.tree.map(lambda x: jnp.asarray(x[:7]), batch(0))
    with pytest.raises(ValueError, match="batch size 7 does not divide by 2 devices"):
        trainer(0, state, odd)
