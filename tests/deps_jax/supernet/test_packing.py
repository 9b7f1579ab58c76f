import dataclasses

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from tiny_spaces import TINY

from deps_jax.common.loop.optim import OPTIMIZERS, Optimizer, base_optimizer, decayed
from deps_jax.supernet.packing import Packing
from deps_jax.supernet.supernet import init


@pytest.fixture(scope="module")
def params():
    return jax.jit(lambda key: init(key, TINY)[0])(jax.random.key(0))


def test_packing_is_undone(params):
    packing = Packing.of(params)
    packed = packing.pack(params)
    assert sum(vector.size for vector in packed.values()) == sum(
        leaf.size for leaf in jax.tree.leaves(params))
    chex.assert_trees_all_equal(packing.unpack(packed), params)


def test_what_decays_lies_apart(params):
    packing = Packing.of(params)
    marks = packing.pack(jax.tree.map(lambda one: jnp.float32(one), decayed(params)))
    assert decayed(marks) == {"kernel": True, "bias": False}
    assert marks["kernel"].min() == 1 and marks["bias"].max() == 0


def test_masks_are_broadcast(params):
    ones = jax.tree.map(lambda leaf: jnp.ones((1,) * leaf.ndim), params)
    packing = Packing.of(params)
    chex.assert_trees_all_equal_shapes(packing.pack(ones), packing.pack(params))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_the_same_steps_on_vectors(params, name):
    transform = base_optimizer(dataclasses.replace(
        Optimizer(), name=name, clip_norm=0.5, weight_decay=0.1), optax.constant_schedule(0.1))
    packing, gradient = Packing.of(params), jax.tree.map(jnp.cos, params)

    @jax.jit
    def by_leaf(params, state):
        updates, state = transform.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    @jax.jit
    def by_vector(params, state):
        old = packing.pack(params)
        updates, state = optax.with_extra_args_support(transform).update(
            packing.pack(gradient), packing.pack_all(state), old, packing=packing)
        return packing.unpack(optax.apply_updates(old, updates)), packing.unpack_all(state)

    expected = found = params, transform.init(params)
    for _ in range(3):
        expected, found = by_leaf(*expected), by_vector(*found)
    chex.assert_trees_all_equal_structs(found, expected)
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)
