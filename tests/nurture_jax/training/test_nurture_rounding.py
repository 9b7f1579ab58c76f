"""What machines that round products make of clips: sizes, points and estimates stay exact."""
import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from accelerator import BFLOAT16, TF32, emulate
from jax import lax
from make_batches import CHANGED, FRAMES, SCALING, SIZE, batch, net

from deps_jax.common.loop.optim import Optimizer
from deps_jax.reference.program import equations
from nurture_jax.clips.clip_augment import augment
from nurture_jax.network import geometry
from nurture_jax.network.model import ModelSettings, forward
from nurture_jax.training.losses import Losses, heatmap_error
from nurture_jax.training.train import TRAINING_ARRAYS, Recipe, init_state, train_step

BITS = pytest.mark.parametrize("bits", [TF32, BFLOAT16], ids=["TF32", "bfloat16"])
SGD = Optimizer(name="sgd", learning_rate=1.0, min_learning_rate=1.0, momentum=0.0,
                weight_decay=0.0)
RECIPE = Recipe(net(), Losses(points=0.3), CHANGED, SGD, backbone_rate=1.0, total_steps=60,
                steps_per_epoch=2)
KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def clips():
    found = batch()
    return {name: jnp.asarray(found[name]) for name in TRAINING_ARRAYS}


@pytest.fixture(scope="module")
def state():
    return jax.jit(lambda: init_state(jax.random.key(0), RECIPE, (FRAMES, SIZE, SIZE)))()


def near_points():
    """Places in cells of a map of 56, ears and shoulders a few cells apart."""
    return jnp.asarray(40 + np.random.default_rng(0).uniform(-2, 2, (8, 19, 2)), jnp.float32)


def test_sizes_are_exact_where_points_are_near_each_other():
    found = emulate(geometry.spans, BFLOAT16)(near_points())
    chex.assert_trees_all_close(found, geometry.spans(near_points()), atol=1e-5)
    broken = emulate(geometry.spans, BFLOAT16, rounds_all=True)(near_points())
    assert np.abs(broken[0] - found[0]).max() > 0.02  # 2 % of a length


def test_nothing_is_rounded_where_points_are_read_and_moved_or_measures_made(clips):
    """No product, or only exact ones."""
    maps, points = jnp.ones((2, FRAMES, 8, 8, 19)), clips["keypoints"][:2]
    fusion = ModelSettings(**{"tabular_width": 4, "hidden_width": 8}).fusion(SCALING)
    inputs = jnp.ones((2, 6)), jnp.ones((2, 5)), jnp.ones((2, 4)), jnp.ones((2, 4))
    programs = {
        "peaks": (geometry.peaks, maps), "heatmap targets": (
            lambda maps: heatmap_error(maps, points, SIZE, 1.0), maps),
        "targets": (SCALING.targets, clips["labels"], clips["labels_mask"]),
        "measures": (SCALING.measures, clips["labels"], clips["labels"]),
        "fusion": (lambda *a: fusion.init_with_output(KEY, *a)[0], *inputs)}
    for name, (function, *arguments) in programs.items():
        products = [e.params["precision"] for e in equations(jax.make_jaxpr(function)(*arguments))
                    if e.primitive.name in ("dot_general", "conv_general_dilated")]
        assert set(products) <= {(lax.Precision.HIGHEST,) * 2}
        assert bool(products) == (name == "fusion"), name


@BITS
def test_augmented_pictures_keep_their_grey_levels_and_labels_are_exact(clips, bits):
    """Weights of bilinear interpolation and pixels are rounded: two of 255 grey levels at most."""
    run = partial(augment, settings=CHANGED)
    exact = jax.jit(lambda clips: run(KEY, clips))(clips)
    rounded = jax.jit(emulate(lambda clips: run(KEY, clips), bits))(clips)
    levels = 255 * np.array(CHANGED.std) * np.abs(rounded["frames"] - exact["frames"])
    assert 0 < levels.max() < {TF32: 0.3, BFLOAT16: 2}[bits]
    others = lambda found: {name: value for name, value in found.items() if name != "frames"}
    chex.assert_trees_all_equal(others(rounded), others(exact))


@BITS
def test_a_training_step_stays_near_that_in_float32(state, clips, bits):
    step = partial(train_step, RECIPE)
    (expected, told), (found, said) = (
        jax.jit(run)(state, clips, KEY) for run in (step, emulate(step, bits)))
    update, near = (np.concatenate([np.ravel(a - b) for a, b in zip(
        jax.tree.leaves(each.params), jax.tree.leaves(state.params), strict=True)])
        for each in (expected, found))
    difference = np.linalg.norm(near - update) / np.linalg.norm(update)
    assert 1e-5 < difference < {TF32: 0.006, BFLOAT16: 0.03}[bits]
    for name, value in told.items():
        value = value.compute()
        near = {TF32: 1e-3, BFLOAT16: 2**-9}[bits]  # of bfloat16, the rounding of one number
        assert math.isclose(said[name].compute(), value, rel_tol=near, abs_tol=1e-4), name


def test_estimates_are_those_of_every_machine(state, clips):
    """And so are the intervals that are calibrated on them."""
    def use(clips):
        return forward(RECIPE.model, {"params": state.params, "batch_stats": state.batch_stats},
                       RECIPE.augment.in_use, clips, heads=True)

    exact, rounded, broken = (jax.jit(emulate(use, bits, rounds_all=rounds_all))(clips)
                              for bits, rounds_all in ((23, False), (BFLOAT16, False),
                                                       (BFLOAT16, True)))
    chex.assert_trees_all_equal(rounded, exact)
    assert np.abs(broken.sizes - exact.sizes).max() > 0.02
    assert np.abs(broken.mean - exact.mean).max() > 2e-4
