"""Batch norm on two devices: with the statistics of all, or of each device's own images."""
import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import RECIPE, fresh_state

from deps_jax.common.loop.parallel import JOINED, data_parallel, mean_over_devices
from deps_jax.common.nn.operations import PER_DEVICE, SYNCHRONISED, Mode, batch_norm, pointwise_norm
from deps_jax.reference import program
from deps_jax.training.experiment import Training
from deps_jax.training.train import train_step

NORM = {"scale": np.array([1.0, 0.5, 2.0], np.float32), "bias": np.array([0.1, 0, -1], np.float32)}
KERNEL = np.random.default_rng(3).normal(size=(3, 5)).astype(np.float32)
WIDE = {"kernel": KERNEL, "norm": {"scale": np.ones(5, np.float32), "bias": np.ones(5, np.float32)}}


def images(far: float = 0.0):
    """Two halves that differ in mean and variance, as two devices may have them."""
    x = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)
    return x * np.repeat([1.0, 3.0], 4).astype(np.float32)[:, None, None, None] + far


def normalised(params, x, _, *, axis_name, synchronised):
    mode = Mode(True, axis_name, synchronised)
    narrow = batch_norm(x, params["narrow"], None, mode, 1e-5)
    wide = pointwise_norm(x, params["wide"], None, mode, 1e-5)
    # Every device's output is brought to all by its place.
    place = jax.lax.axis_index(axis_name) if axis_name else 0
    whole = [jnp.zeros((8, *y.shape[1:])) for y, _ in (narrow, wide)]
    whole = [jax.lax.dynamic_update_slice_in_dim(all_, y, place * y.shape[0], 0)
             for all_, (y, _) in zip(whole, (narrow, wide), strict=True)]
    devices = jax.lax.psum(1, axis_name) if axis_name else 1
    return mean_over_devices([devices * y for y in whole], axis_name)


def run(x, count, synchronised):
    function = data_parallel(lambda *given, axis_name: normalised(
        *given, axis_name=axis_name, synchronised=synchronised), devices=jax.devices()[:count])
    return jax.device_get(function({"narrow": NORM, "wide": WIDE}, x, jax.random.key(0)))


def test_each_device_normalises_its_own_images():
    x = images()
    halves = [run(np.concatenate([half, half]), 1, True) for half in np.split(x, 2)]
    apart, together, one = run(x, 2, False), run(x, 2, True), run(x, 1, True)
    for i in range(2):
        expected = np.concatenate([half[i][:4] for half in halves])
        np.testing.assert_allclose(apart[i], expected, atol=1e-5)
        np.testing.assert_allclose(together[i], one[i], atol=1e-5)
        assert np.abs(apart[i] - together[i]).max() > 0.1


def test_the_variance_of_all_survives_a_mean_far_away():
    """What is exchanged are squares of means: their rounding may not make the variance smaller."""
    x = images(far=30.0)
    np.testing.assert_allclose(run(x, 2, True)[0], run(x, 1, True)[0], atol=1e-3)


@pytest.mark.parametrize(("sizes", "exchanges"), [((3, 5), 1), ((3, JOINED + 1, 5), 2)])
def test_small_arrays_travel_together(sizes, exchanges):
    def mean(state, x, key, *, axis_name):
        return mean_over_devices([leaf * x.mean() for leaf in state], axis_name)

    state, x = [np.arange(size, dtype=np.float32).reshape(1, -1) for size in sizes], np.arange(4.0)
    function = data_parallel(mean, devices=jax.devices()[:2])
    found = function(state, x, jax.random.key(0))
    chex.assert_trees_all_close(jax.device_get(found), [1.5 * leaf for leaf in state], rtol=1e-6)
    traced = function.trace(state, x, jax.random.key(0))
    assert program.counts(traced, "cuda")["all_reduces"] == exchanges


@pytest.fixture(scope="module")
def steps():
    """The state after one step on two devices, by whose statistics normalise."""
    with jax.enable_x64(True):
        batch = {"image": np.random.default_rng(0).integers(0, 256, (8, 9, 9, 3), np.uint8),
                 "label": np.arange(8, dtype=np.int32) % 5}
        found = {}
        for norm in (SYNCHRONISED, PER_DEVICE):
            recipe = dataclasses.replace(RECIPE, dtype="float64", batch_norm=norm)
            step = data_parallel(lambda *given, axis_name, recipe=recipe: train_step(
                recipe, recipe.phases[0], *given, axis_name=axis_name), devices=jax.devices()[:2])
            state = fresh_state(recipe)
            found[norm] = (step(state, batch, jax.random.key(1)),
                           program.counts(step.trace(state, batch, jax.random.key(1)), "cuda"))
        yield found


def test_a_step_with_statistics_of_each_device_exchanges_little(steps):
    """Gradients, running averages and metrics alone; and it leads elsewhere."""
    (apart, _), counted = steps[PER_DEVICE]
    (together, _), others = steps[SYNCHRONISED]
    # In float64 metrics are of two types, which do not travel together.
    assert counted["all_reduces"] <= 4 < others["all_reduces"]
    assert counted["other_collectives"] == 0
    leaves = zip(jax.tree.leaves(apart.params), jax.tree.leaves(together.params), strict=True)
    assert max(np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in leaves) > 1e-4


def test_running_averages_are_the_same_on_all_devices(steps):
    (state, _), _ = steps[PER_DEVICE]
    for leaf in jax.tree.leaves(state.batch_stats):
        first, second = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        np.testing.assert_array_equal(first, second)
    changed = state.batch_stats["stem"]["norm"]["mean"]
    assert np.abs(np.asarray(changed)).max() > 0


def test_a_name_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"training.batch_norm 'synced' is unknown; use "
                                         r"'synchronised' .* or 'per_device'"):
        Training(epochs=1.0, batch_size=8, batch_norm="synced")
