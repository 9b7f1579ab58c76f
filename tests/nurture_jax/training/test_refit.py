"""The last layers fitted once more: what moves, what it brings, that it is repeatable."""
import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_batches import PLAIN, SCALING, net

from deps_jax.common.loop.optim import Optimizer
from nurture_jax.training.losses import Losses
from nurture_jax.training.refit import Refit, decayed, fit
from nurture_jax.training.train import Recipe

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def recipe():
    optimizer = Optimizer(name="adamw", learning_rate=1e-3, warmup_epochs=0.0)
    return Recipe(net(), Losses("huber", huber_delta=0.1), PLAIN, optimizer, 1.0, 10, 5)


@pytest.fixture(scope="module")
def seen():
    """200 visits whose length follows from one size; weights are known of half of them."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    sizes = draw(200, 5)
    labels = np.exp(np.array(SCALING.label_mean) + np.array(SCALING.label_std)
                    * np.stack([sizes[:, 1], sizes[:, 0], 0 * sizes[:, 0], sizes[:, 2],
                                sizes[:, 3]], 1))
    mask = np.ones((200, 5), np.float32)
    mask[::2, 0] = 0
    return {"pooled": draw(200, 16), "sizes": sizes, "labels": labels.astype(np.float32) * mask,
            "labels_mask": mask, "tabular": np.zeros((200, 4), np.float32),
            "tabular_mask": np.zeros((200, 4), np.float32)}


@pytest.fixture(scope="module")
def params(recipe, seen):
    fusion = recipe.model.settings.fusion(SCALING)
    return fusion.init(jax.random.key(0), *(jnp.asarray(seen[name][:2]) for name in (
        "pooled", "sizes", "tabular", "tabular_mask")))["params"]


def errors(recipe, params, seen):
    """Mean absolute errors in standard deviations, [5]."""
    fusion = recipe.model.settings.fusion(SCALING)
    mean, _ = fusion.apply({"params": params}, *(jnp.asarray(seen[name]) for name in (
        "pooled", "sizes", "tabular", "tabular_mask")))
    target = SCALING.targets(jnp.asarray(seen["labels"]), jnp.asarray(seen["labels_mask"]))
    wrong = np.abs(mean - target) * seen["labels_mask"]
    return wrong.sum(0) / seen["labels_mask"].sum(0)


def test_it_learns_what_the_sizes_tell_and_is_repeatable(recipe, params, seen):
    call = jax.jit(lambda params, seen: fit(Refit(epochs=60, weight_decay=0.1, batch_size=32),
                                            recipe, params, seen, KEY))
    fitted = call(params, seen)
    chex.assert_trees_all_equal(fitted, call(params, seen))
    chex.assert_trees_all_equal_shapes_and_dtypes(fitted, params)
    before, after = errors(recipe, params, seen), errors(recipe, fitted, seen)
    assert (after[[0, 1, 3]] < 0.5 * before[[0, 1, 3]]).all(), (before, after)
    # A label that is not there is not learnt from: other numbers in its place change nothing.
    other = {**seen, "labels": np.where(seen["labels_mask"] > 0, seen["labels"], 7.0)}
    chex.assert_trees_all_equal(call(params, other), fitted)


def test_fewer_visits_than_a_batch(recipe, params, seen):
    few = {name: value[:5] for name, value in seen.items()}
    fitted = fit(Refit(epochs=1), recipe, params, few, KEY)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fitted))


@pytest.mark.parametrize("fields, sentence", [
    (dict(epochs=-1), "refit.epochs -1 must be 0 or more"),
    (dict(learning_rate=0.0), "refit.learning_rate 0.0 must be above 0")])
def test_settings_are_checked(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(Refit(), **fields)


def test_decay_spares_biases_and_what_stands_for_a_number(params):
    spared = {"/".join(entry.key for entry in path) for path, is_decayed in
              jax.tree_util.tree_leaves_with_path(decayed(params)) if not is_decayed}
    assert {"measures/bias", "fuse1/bias"} <= spared
    assert {name for name in spared if name.startswith("tabular/")} == {
        "tabular/missing", "tabular/offset", "tabular/mix/bias"}
    assert not any(name.endswith(("kernel", "slope")) for name in spared)


@pytest.mark.parametrize("chance", [0.0, 0.3])
def test_what_stands_for_missing_is_fitted_too(recipe, params, seen, chance):
    full = {**seen, "tabular": np.tile(np.float32([3000, 7, 270, 1]), (200, 1)),
            "tabular_mask": np.ones((200, 4), np.float32)}
    forgets = dataclasses.replace(recipe, augment=dataclasses.replace(
        recipe.augment, forget=chance))
    fitted = fit(Refit(epochs=2, batch_size=50), forgets, params, full, KEY)
    moved = np.abs(fitted["tabular"]["missing"] - params["tabular"]["missing"])
    assert (moved.max(1) > 0).all() == bool(chance)
