import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import masked_apply

from deps_jax import supernet
from deps_jax.families import MOBILENET_V3
from deps_jax.layers import layers
from deps_jax.subnet import decode, largest, sample, smallest

SUBNETS = ("largest", "smallest", "k3e1-k5e2/k5e2x2", "k5e3/k3e3-k3e1-k5e2")


def traced(subnet):
    return jax.tree.map(jnp.asarray, subnet)


@pytest.mark.parametrize("name", SUBNETS)
def test_elastic_form_equals_masked_form(name, tiny, tiny_variables, tiny_images, tiny_gradient):
    params, _ = tiny_variables
    subnet = decode(tiny, name)
    (_, (logits, statistics)), gradient = tiny_gradient(params, traced(subnet))

    def loss_fn(params):
        logits, statistics = masked_apply(tiny, params, tiny_images, subnet)
        return jnp.sum(jnp.sin(logits)), (logits, statistics)

    (_, (expected, expected_statistics)), expected_gradient = jax.value_and_grad(
        loss_fn, has_aux=True)(params)
    chex.assert_trees_all_close(logits, expected, atol=2e-5)
    chex.assert_trees_all_close(statistics, expected_statistics, atol=2e-5)
    chex.assert_trees_all_close(gradient, expected_gradient, atol=3e-4, rtol=1e-3)


def test_one_compilation_serves_twenty_subnets(tiny, tiny_variables, tiny_gradient):
    params, _ = tiny_variables
    outputs = set()
    for key in jax.random.split(jax.random.key(3), 20):
        (loss, _), _ = tiny_gradient(params, sample(key, tiny))
        outputs.add(float(loss))
    assert tiny_gradient._cache_size() == 1
    assert len(outputs) > 10  # and they are different networks


def test_evaluation_with_own_statistics_equals_training_mode(
        tiny, tiny_variables, tiny_images, tiny_gradient, tiny_evaluate):
    params, _ = tiny_variables
    for name in SUBNETS:
        subnet = traced(decode(tiny, name))
        (_, (logits, statistics)), _ = tiny_gradient(params, subnet)
        evaluated, _ = tiny_evaluate(params, statistics, tiny_images, subnet)
        chex.assert_trees_all_close(evaluated, logits, atol=2e-5)


def test_static_subnet_equals_traced(tiny, tiny_variables, tiny_images, tiny_evaluate):
    params, batch_stats = tiny_variables
    static = largest(tiny)
    assert static.is_static
    ours, _ = supernet.apply(tiny, params, batch_stats, tiny_images, static, train=False)
    expected, _ = tiny_evaluate(params, batch_stats, tiny_images, traced(static))
    chex.assert_trees_all_close(ours, expected, atol=1e-5)


def test_number_of_parameters_is_that_of_the_largest_network():
    params, _ = jax.eval_shape(lambda key: supernet.init(key, MOBILENET_V3), jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert count == sum(layer.params for layer in layers(MOBILENET_V3, largest(MOBILENET_V3)))
    assert count == 7_664_760  # deps_reference 1.6


def test_dropout_follows_rate_and_place_in_the_batch(tiny, tiny_variables, tiny_images):
    params, batch_stats = tiny_variables
    run = lambda rate, images: supernet.apply(
        tiny, params, batch_stats, images, smallest(tiny), train=False, dropout_rate=rate,
        dropout_key=jax.random.key(5))[0]
    plain, dropped = run(0.0, tiny_images), run(0.5, tiny_images)
    assert not np.allclose(plain, dropped, atol=1e-3)
    chex.assert_trees_all_close(run(0.5, tiny_images[:2]), dropped[:2], atol=1e-5)


def test_bfloat16_stays_near_float32(tiny, tiny_variables, tiny_images, tiny_evaluate):
    params, batch_stats = tiny_variables
    subnet = smallest(tiny)
    expected, _ = tiny_evaluate(params, batch_stats, tiny_images, traced(subnet))
    logits, _ = supernet.apply(tiny, params, batch_stats, tiny_images, subnet, train=False,
                               dtype=jnp.bfloat16)
    assert logits.dtype == jnp.float32
    chex.assert_trees_all_close(logits, expected, atol=0.1)
