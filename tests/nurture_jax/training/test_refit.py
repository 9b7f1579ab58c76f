"""The last layers fitted once more: what moves, what it brings, that it is repeatable."""
import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_batches import PLAIN, SCALING, net

from deps_jax.common.loop.optim import Optimizer
from nurture_jax.network.fusion import joined, members_of
from nurture_jax.training import best
from nurture_jax.training.losses import Losses
from nurture_jax.training.refit import Refit, decayed, fit, on_unit_scale
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
    settings = Refit(epochs=60, weight_decay=0.1, batch_size=32, noise=0.5)
    call = jax.jit(lambda params, seen: fit(settings, recipe, params, seen, KEY))
    fitted = call(params, seen)
    chex.assert_trees_all_equal(fitted, call(params, seen))
    chex.assert_trees_all_equal_shapes_and_dtypes(fitted, params)
    before, after = errors(recipe, params, seen), errors(recipe, fitted, seen)
    assert (after[[0, 1, 3]] < 0.5 * before[[0, 1, 3]]).all(), (before, after)
    # A label that is not there is not learnt from: other numbers in its place change nothing.
    other = {**seen, "labels": np.where(seen["labels_mask"] > 0, seen["labels"], 7.0)}
    chex.assert_trees_all_equal(call(params, other), fitted)


def test_members_are_fitted_apart_and_their_mean_is_nearer(recipe, seen):
    several = dataclasses.replace(recipe, model=net(fusion_members=3))
    fusion = several.model.settings.fusion(SCALING)
    start = fusion.init(jax.random.key(0), *(jnp.asarray(seen[name][:2]) for name in (
        "pooled", "sizes", "tabular", "tabular_mask")))["params"]
    settings = Refit(epochs=40, weight_decay=0.1, batch_size=32)
    fitted = jax.jit(lambda params, seen: fit(settings, several, params, seen, KEY))(start, seen)
    chex.assert_trees_all_equal_shapes_and_dtypes(fitted, start)
    apart = jax.jit(lambda params, seen, key: fit(settings, recipe, params, seen, key))
    members = [apart(params, seen, key) for params, key in zip(
        members_of(start), jax.random.split(KEY, 3), strict=True)]
    chex.assert_trees_all_close(fitted, joined(members), rtol=0.02, atol=0.02)
    mean, log_scale = said(several, fitted, seen)
    alone = [said(recipe, params, seen) for params in members_of(fitted)]
    np.testing.assert_allclose(mean, np.mean([each for each, _ in alone], 0), atol=1e-5)
    np.testing.assert_allclose(log_scale, np.mean([each for _, each in alone], 0), atol=1e-5)
    usual = np.mean([errors(recipe, params, seen) for params in members_of(fitted)], 0)
    assert (errors(several, fitted, seen) <= usual + 1e-6).all()


def said(recipe, params, seen):
    fusion = recipe.model.settings.fusion(SCALING)
    return fusion.apply({"params": params}, *(jnp.asarray(seen[name]) for name in (
        "pooled", "sizes", "tabular", "tabular_mask")))


def test_sizes_of_unit_scale_say_the_same(recipe, params, seen):
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: leaf + rng.normal(size=leaf.shape).astype(np.float32),
                          params)
    far = {**seen, "sizes": 3 + np.float32([0.2, 1, 5, 0, 2]) * seen["sizes"]}
    scaled, moved, back = on_unit_scale(far, params)
    np.testing.assert_allclose(scaled["sizes"].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled["sizes"].std(0), [1, 1, 1, 0, 1], atol=0.01)
    chex.assert_trees_all_close(said(recipe, moved, scaled), said(recipe, params, far), atol=1e-3)
    chex.assert_trees_all_close(back(moved), params, atol=1e-3)
    # Adding a constant to a size or stretching it changes what is fitted by rounding alone.
    fitted = [fit(Refit(epochs=2, noise=0.0), recipe, weights, seen, KEY)
              for weights, seen in ((params, far), (moved, scaled))]
    chex.assert_trees_all_close(said(recipe, fitted[0], far), said(recipe, fitted[1], scaled),
                                atol=0.01)


def test_noise_keeps_sizes_from_being_learnt_by_heart(recipe, params, seen):
    """Of 40 visits with 200 sizes of no meaning: what was fitted is worse, what was not better."""
    rng = np.random.default_rng(2)
    sizes = np.concatenate([seen["sizes"], rng.normal(size=(200, 200)).astype(np.float32)], 1)
    seen = {**seen, "sizes": sizes, "labels_mask": np.ones((200, 5), np.float32),
            "labels": np.where(seen["labels"] > 0, seen["labels"], 3000).astype(np.float32)}
    fusion = recipe.model.settings.fusion(SCALING)
    params = fusion.init(jax.random.key(0), *(jnp.asarray(seen[name][:2]) for name in (
        "pooled", "sizes", "tabular", "tabular_mask")))["params"]
    some, others = ({name: value[part] for name, value in seen.items()}
                    for part in (slice(0, 40), slice(40, 200)))
    wrong = {noise: [errors(recipe, fit(Refit(epochs=100, weight_decay=0.1, batch_size=20,
                                              noise=noise), recipe, params, some, KEY), part)[1]
                     for part in (some, others)] for noise in (0.0, 1.5)}
    assert wrong[1.5][0] > wrong[0.0][0] and wrong[1.5][1] < 0.95 * wrong[0.0][1], wrong


def test_fewer_visits_than_a_batch(recipe, params, seen):
    few = {name: value[:5] for name, value in seen.items()}
    fitted = fit(Refit(epochs=1), recipe, params, few, KEY)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fitted))


@pytest.mark.parametrize("fields, sentence", [
    (dict(epochs=-1), "refit.epochs -1 must be 0 or more"),
    (dict(noise=-1.0), "refit.noise -1.0 is not 0 to 10 standard deviations"),
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


def test_the_first_process_alone_writes_what_it_has_come_to(recipe, tmp_path, monkeypatch):
    """Of several processes; `first_does` lets it."""
    monkeypatch.setattr(best, "first_does", lambda action: None)  # as in another process
    monkeypatch.setattr(best, "refit", lambda *_: None)

    class Judge:
        folder, errors, batch_size = tmp_path, {}, 2

        def __call__(self, step, state):
            return {"validation/mae_weight_g": float(step)}

    settings = Refit(held_out_scales=False)
    assert best.refit_once(settings, recipe, None, None, Judge(), None) == {
        "validation/mae_weight_g": 11.0}
    assert not list(tmp_path.iterdir())
