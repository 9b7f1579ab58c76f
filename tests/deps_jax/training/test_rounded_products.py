"""A training step where matrix units round: what must be exact is, and the rest stays near it.

The bounds are three to five times what was seen. That statistics of ill-conditioned inputs break
where they are rounded is shown in test_precision.py.
"""
import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from accelerator import BFLOAT16, TF32, emulate
from jax import lax
from small_run import RECIPE, SPACE
from tiny_spaces import PIXELS

from deps_jax.common.nn.operations import Mode, pointwise_norm
from deps_jax.evaluation.recalibration import _batch_logits, _mean_statistics
from deps_jax.reference.program import equations
from deps_jax.space.subnet_text import decode
from deps_jax.supernet.elastic import kernel_candidates
from deps_jax.training.task import Moment
from deps_jax.training.train import init_state, train_step

# Kernels of two sizes with transforms, gates, expansions, distillation.
STAGE = dataclasses.replace(SPACE.stages[0], kernels=(3, 5), squeeze_excite=True)
ROUNDED = dataclasses.replace(
    RECIPE, space=dataclasses.replace(SPACE, stages=(STAGE,), kernel_transform=True))
STEP = 30  # subnets train at full rate
SETTINGS = ("bfloat16", "tensorfloat32", "high", "highest", "BF16_BF16_F32", "TF32_TF32_F32")


@pytest.fixture(scope="module")
def arguments():
    state = jax.jit(lambda: init_state(jax.random.key(0), ROUNDED))()
    generator = np.random.default_rng(0)
    batch = {"image": generator.integers(0, 256, (16, 9, 9, 3), np.uint8),
             "label": generator.integers(0, 5, 16).astype(np.int32)}
    return state.replace(step=jnp.int32(STEP)), batch, jax.random.key(1)


@pytest.fixture(scope="module")
def exact(arguments):
    return jax.jit(partial(train_step, ROUNDED, ROUNDED.phases[1]))(*arguments)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def difference(tree, other):
    """Of two trees, relative to the second."""
    return np.linalg.norm(flat(tree) - flat(other)) / np.linalg.norm(flat(other))


@pytest.mark.parametrize(("bits", "update", "statistics", "loss"), [
    (TF32, 0.03, 2e-5, 1e-3), (BFLOAT16, 0.1, 2e-4, 5e-3)], ids=["TF32", "bfloat16"])
def test_a_sandwich_step_stays_near_that_in_float32(arguments, exact, bits, update, statistics,
                                                    loss):
    step = partial(train_step, ROUNDED, ROUNDED.phases[1])
    state, metrics = jax.jit(emulate(step, bits))(*arguments)
    before, (expected, expected_metrics) = arguments[0], exact
    moved = [jax.tree.map(jnp.subtract, each.params, before.params)
             for each in (state, expected)]
    assert 1e-5 < difference(*moved) < update
    assert difference(state.batch_stats, expected.batch_stats) < statistics
    for name in ("loss", "subnet_loss", "grad_norm"):
        np.testing.assert_allclose(metrics[name].compute(), expected_metrics[name].compute(),
                                   rtol=loss, err_msg=name)
    assert metrics["learning_rate"].compute() == expected_metrics["learning_rate"].compute()


def test_recalibration_and_evaluation_are_the_same_wherever_they_run(arguments):
    state, batch, _ = arguments
    space, images = ROUNDED.space, {"image": batch["image"][:, None]}  # one batch
    # Static: what is chosen does not matter here, and less has to be compiled.
    subnet = decode(space, "k5e2-k3e1")

    def whole(params):
        stats = _mean_statistics(space, PIXELS, "float32", (params, subnet), images, None,
                                 axis_name=None)
        return stats, _batch_logits(space, PIXELS, "float32", (params, stats, subnet),
                                    batch["image"])

    expected, found, broken = (
        jax.jit(emulate(whole, bits, rounds_all=rounds_all))(state.params)
        for bits, rounds_all in ((TF32, False), (BFLOAT16, False), (BFLOAT16, True)))
    chex.assert_trees_all_equal(found, expected)
    for tree, other in zip(broken, expected, strict=True):
        assert difference(tree, other) > 1e-4


def test_weights_are_made_of_weights_exactly():
    generator = np.random.default_rng(0)
    params = {"kernel": jnp.asarray(generator.normal(size=(5, 5, 4)), jnp.float32),
              "transform": {"5to3": jnp.asarray(generator.normal(size=(9, 9)), jnp.float32)}}
    run = lambda params: kernel_candidates(params, (3, 5))
    chex.assert_trees_all_equal(emulate(run, BFLOAT16)(params), run(params))
    gradient = jax.grad(lambda params: jnp.sin(run(params)[0]).sum())
    chex.assert_trees_all_close(emulate(gradient, BFLOAT16)(params), gradient(params), rtol=1e-6)
    assert np.abs(emulate(run, BFLOAT16, rounds_all=True)(params)[0] - run(params)[0]).max() > 1e-3


def test_images_are_prepared_exactly(arguments):
    """Augmented, mixed and resized; labels with them."""
    augment = dataclasses.replace(ROUNDED.augment, colour=(0.4, 0.4, 0.4, 0.1), mixup=0.2,
                                  cutmix=1.0, erase_probability=0.5)
    task = dataclasses.replace(ROUNDED.task, augment=augment)
    _, batch, key = arguments
    moment = Moment(jnp.int32(1), 6, 0, key, key, key)
    products = [e for e in equations(jax.make_jaxpr(partial(task.prepare, moment))(batch))
                if e.primitive.name in ("dot_general", "conv_general_dilated")]
    assert products  # of resizing
    assert {e.params["precision"] for e in products} == {(lax.Precision.HIGHEST,) * 2}


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_a_user_sets_for_all_products_leaves_the_exact_ones_alone(setting):
    params = {"kernel": jnp.ones((4, 8)), "norm": {"scale": jnp.ones(8), "bias": jnp.zeros(8)}}
    run = lambda x, params: pointwise_norm(x, params, None, Mode(True), 1e-5)[0].sum()

    def exact_products(platform):
        traced = jax.jit(jax.grad(run, (0, 1))).trace(jnp.ones((3, 4)), params)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        return text.count("precision = [HIGHEST, HIGHEST]")

    own = {platform: exact_products(platform) for platform in ("cuda", "tpu")}
    assert min(own.values()) >= 4
    with jax.default_matmul_precision(setting):
        for platform, count in own.items():
            assert exact_products(platform) == count or setting == "highest"
