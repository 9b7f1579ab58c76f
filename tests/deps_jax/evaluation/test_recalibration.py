from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import SPACE
from tiny_spaces import PIXELS, spread

from deps_jax.data.augment import normalise
from deps_jax.data.pipeline import eval_batches
from deps_jax.data.sources import ArraySource
from deps_jax.evaluation.recalibration import Evaluator
from deps_jax.space.subnet_text import decode
from deps_jax.supernet import supernet


@pytest.fixture(scope="module")
def source():
    generator = np.random.default_rng(0)
    return ArraySource(generator.integers(0, 256, (22, 9, 9, 3), np.uint8),
                       generator.integers(0, 5, 22).astype(np.int32))


@pytest.fixture(scope="module")
def variables():
    return spread(SPACE)


@pytest.fixture(scope="module")
def in_evaluation():
    return jax.jit(partial(supernet.apply, SPACE, train=False))


@pytest.fixture(scope="module", params=[1, 2], ids=["one device", "two devices"])
def evaluator(request):
    return Evaluator(SPACE, PIXELS, devices=jax.devices()[:request.param])


def test_every_example_counts_once_whatever_the_last_batch(evaluator, source, variables,
                                                           in_evaluation):
    params, _ = variables
    subnet = decode(SPACE, "k3e1-k3e2")
    stats = evaluator.recalibrate(params, subnet, source.images[None, :8])
    images = normalise(jnp.asarray(source.images), PIXELS)
    logits, _ = in_evaluation(params, stats, images, jax.tree.map(jnp.asarray, subnet))
    logits = np.asarray(logits)
    order = np.argsort(-logits, axis=1)
    metrics = evaluator.evaluate(params, stats, subnet, eval_batches(source, 8))
    assert metrics["top1"] == pytest.approx((order[:, 0] == source.labels).mean())
    assert metrics["top5"] == 1.0
    log_p = np.asarray(jax.nn.log_softmax(logits))
    assert metrics["loss"] == pytest.approx(-log_p[np.arange(22), source.labels].mean(), rel=1e-4)


def test_recalibration_averages_statistics_of_batches(evaluator, source, variables):
    params, _ = variables
    subnet = decode(SPACE, "smallest")
    batches = source.images[:16].reshape(2, 8, *source.images.shape[1:])
    stats = evaluator.recalibrate(params, subnet, batches)
    in_training = jax.jit(lambda params, images: supernet.apply(
        SPACE, params, None, images, subnet, train=True)[1])
    each = [in_training(params, normalise(jnp.asarray(batch), PIXELS)) for batch in batches]
    chex.assert_trees_all_close(stats, jax.tree.map(lambda a, b: (a + b) / 2, *each), atol=1e-4)
    with pytest.raises(ValueError, match="no calibration batch"):
        evaluator.recalibrate(params, subnet, [])


def test_constant_output_is_never_right(evaluator, source, variables):
    params, batch_stats = jax.tree.map(jnp.zeros_like, variables)
    metrics = evaluator.evaluate(params, batch_stats, decode(SPACE, "largest"),
                                 eval_batches(source, 22))
    assert metrics["top1"] == 0.0  # no class is first among equals
    assert metrics["loss"] == pytest.approx(np.log(5), rel=1e-5)
