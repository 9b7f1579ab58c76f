"""Batch norm of NurtureNet on two devices: statistics of all, or of each device's own clips."""
import dataclasses
from functools import partial

import jax
import numpy as np
import pytest
from make_batches import batch, net
from test_nurture_train import CLIP, RECIPE, float64

from deps_jax.common.loop.parallel import data_parallel
from deps_jax.common.nn.operations import PER_DEVICE, SYNCHRONISED
from deps_jax.reference import program
from nurture_jax.training import train

NORMS = (SYNCHRONISED, PER_DEVICE)
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def steps():
    """The state after one step on two devices, and what it exchanges, by whose statistics."""
    with jax.enable_x64(True):
        found = {}
        clips = {name: float64(leaf) for name, leaf in batch(0, known=0.6).items()
                 if name in train.TRAINING_ARRAYS}
        for norm in NORMS:
            recipe = dataclasses.replace(RECIPE, model=net(dtype="float64"), batch_norm=norm)
            step = data_parallel(partial(train.train_step, recipe), devices=jax.devices()[:2])
            state = float64(jax.device_get(
                jax.jit(lambda r=recipe: train.init_state(jax.random.key(0), r, CLIP))()))
            counted = program.counts(step.trace(state, clips, KEY), "cuda")
            found[norm] = step(state, clips, KEY)[0], counted["all_reduces"]
    return found


def test_statistics_of_each_device_are_not_exchanged(steps):
    """And the step leads elsewhere. Losses exchange how many clips have what they compare."""
    (together, all_reduces), (apart, fewer) = (steps[norm] for norm in NORMS)
    assert 2 * fewer < all_reduces, (fewer, all_reduces)
    leaves = zip(jax.tree.leaves(apart.params), jax.tree.leaves(together.params), strict=True)
    assert max(np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in leaves) > 1e-4


def test_running_averages_are_the_same_on_all_devices(steps):
    state, _ = steps[PER_DEVICE]
    for leaf in jax.tree.leaves((state.params, state.batch_stats)):
        first, second = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        np.testing.assert_array_equal(first, second)
    assert np.abs(np.asarray(state.batch_stats["backbone"]["fine"]["norm"]["mean"])).max() > 0
