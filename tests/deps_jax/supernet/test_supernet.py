"""The elastic form of a network beside the masked one, in float64, and what only it must keep."""
import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from masked import masked_apply
from tiny_spaces import PLAIN, TINY

from deps_jax.space.families import MOBILENET_V3
from deps_jax.space.layers import layers
from deps_jax.space.subnet import canonical, largest, sample, smallest, traced
from deps_jax.space.subnet_text import decode
from deps_jax.supernet import supernet

SUBNETS = {"tiny": ("largest", "smallest", "k3e1-k5e2/k5e2x2", "k5e3/k3e3-k3e1-k5e2"),
           "plain": ("largest", "smallest", "k3e2/k5e1-k3e1/k5e2x2")}
in_float64 = jax.enable_x64(True)  # as a decorator, or with `with`


def loss_of(apply):
    """A function (params, images, subnet) -> ((loss, (logits, statistics)), gradient)."""
    def loss_fn(params, images, subnet):
        logits, statistics = apply(params, images, subnet)
        return jnp.sum(jnp.sin(logits)), (logits, statistics)

    return jax.value_and_grad(loss_fn, has_aux=True)


class Case:
    """A space with parameters that make every part count, and its forms compiled in float64."""

    @in_float64
    def __init__(self, space):
        self.space = space
        generator = np.random.default_rng(0)
        self.images = jnp.asarray(generator.standard_normal((4, *[space.resolution] * 2, 3)))
        params, _ = jax.jit(supernet.init, static_argnums=1)(jax.random.key(0), space)
        self.params = jax.tree.map(
            lambda leaf: np.float64(leaf) + 0.1 * generator.standard_normal(leaf.shape), params)
        chex.clear_trace_counter()  # it counts by place in the file, whatever the space is
        once = chex.assert_max_traces(self._apply, n=1)  # one program runs every subnet
        self._elastic = jax.jit(loss_of(once))
        self._masked = jax.jit(loss_of(
            lambda params, images, subnet: masked_apply(space, params, images, subnet)))

    def _apply(self, params, images, subnet):
        return supernet.apply(self.space, params, None, images, subnet, train=True,
                              dtype=jnp.float64)

    @in_float64
    def elastic(self, subnet):
        return self._elastic(self.params, self.images, traced(subnet))

    @in_float64
    def masked(self, subnet):
        return self._masked(self.params, self.images, traced(subnet))

    @in_float64
    def static(self, subnet):
        run = loss_of(lambda params, images, _: self._apply(params, images, subnet))
        return jax.jit(run)(self.params, self.images, None)

    def subnets(self, sampled):
        """Those with names, and sampled ones."""
        keys = jax.random.split(jax.random.key(3), sampled)
        return [*(decode(self.space, name) for name in SUBNETS[self.space.name]),
                *(canonical(sample(key, self.space)) for key in keys)]


@pytest.fixture(scope="module", params=[TINY, pytest.param(PLAIN, marks=pytest.mark.long)],
                ids=lambda space: space.name)
def case(request):
    return Case(request.param)


def test_elastic_form_equals_masked_form(case):
    outputs = set()
    for subnet in case.subnets(20):
        ((loss, (logits, statistics)), gradient) = case.elastic(subnet)
        (_, (expected, expected_statistics)), expected_gradient = case.masked(subnet)
        assert logits.dtype == jnp.float64
        chex.assert_trees_all_close(logits, expected, rtol=0, atol=1e-10)
        chex.assert_trees_all_close(statistics, expected_statistics, rtol=0, atol=1e-10)
        chex.assert_trees_all_close(gradient, expected_gradient, rtol=1e-10, atol=1e-10)
        outputs.add(float(loss))
    assert len(outputs) > 10  # they are different networks, and one program ran them all


def test_static_subnet_equals_traced(case):
    for name in SUBNETS[case.space.name][::2]:
        subnet = decode(case.space, name)
        assert subnet.is_static
        chex.assert_trees_all_close(case.static(subnet), case.elastic(subnet), rtol=1e-10,
                                    atol=1e-10)


def test_evaluation_with_own_statistics_equals_training_mode(case):
    evaluate = jax.jit(lambda *a: supernet.apply(case.space, *a, train=False, dtype=jnp.float64))
    for subnet in case.subnets(4):
        (_, (logits, statistics)), _ = case.elastic(subnet)
        with in_float64:
            evaluated, none = evaluate(case.params, statistics, case.images, traced(subnet))
        chex.assert_trees_all_close(evaluated, logits, rtol=0, atol=1e-10)
        assert none == {}


def test_number_of_parameters_is_that_of_the_largest_network():
    for space in (MOBILENET_V3, PLAIN):
        params, _ = jax.eval_shape(lambda key, s=space: supernet.init(key, s), jax.random.key(0))
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        assert count == sum(layer.params for layer in layers(space, largest(space)))
        if space is MOBILENET_V3:
            assert count == 7_664_760  # docs/reference.md


def test_dropout_follows_rate_and_place_in_the_batch(tiny, tiny_variables, tiny_images):
    params, batch_stats = tiny_variables
    run = jax.jit(lambda rate, images: supernet.apply(
        tiny, params, batch_stats, images, smallest(tiny), train=False, dropout_rate=rate,
        dropout_key=jax.random.key(5))[0], static_argnums=0)
    plain, dropped = run(0.0, tiny_images), run(0.5, tiny_images)
    assert not np.allclose(plain, dropped, atol=1e-3)
    chex.assert_trees_all_close(run(0.5, tiny_images[:2]), dropped[:2], atol=1e-5)


def test_bfloat16_stays_near_float32(tiny, tiny_variables, tiny_images, tiny_evaluate):
    params, batch_stats = tiny_variables
    subnet = smallest(tiny)
    expected, _ = tiny_evaluate(params, batch_stats, tiny_images, traced(subnet))
    logits, _ = jax.jit(lambda images: supernet.apply(
        tiny, params, batch_stats, images, subnet, train=False, dtype=jnp.bfloat16))(tiny_images)
    assert logits.dtype == jnp.float32
    chex.assert_trees_all_close(logits, expected, atol=0.1)
