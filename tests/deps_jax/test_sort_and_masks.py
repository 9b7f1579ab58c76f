import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.families import MOBILENET_V3_CIFAR
from deps_jax.layers import layers
from deps_jax.masks import active_masks
from deps_jax.sort import sort_channels
from deps_jax.subnet import decode
from deps_jax.supernet import init


def traced(subnet):
    return jax.tree.map(jnp.asarray, subnet)


def test_sorting_keeps_the_function_of_the_full_model(tiny, tiny_variables, tiny_images,
                                                      tiny_evaluate):
    params, batch_stats = tiny_variables
    full = traced(decode(tiny, "largest"))
    before, _ = tiny_evaluate(params, batch_stats, tiny_images, full)
    for protected in (0, 1, None):
        new_params, new_stats, _ = sort_channels(tiny, params, batch_stats, protected=protected)
        after, _ = tiny_evaluate(new_params, new_stats, tiny_images, full)
        chex.assert_trees_all_close(after, before, atol=1e-5)
        small = traced(decode(tiny, "smallest"))
        assert not np.allclose(tiny_evaluate(new_params, new_stats, tiny_images, small)[0],
                               tiny_evaluate(params, batch_stats, tiny_images, small)[0])


def test_importance_falls_inside_every_band(tiny, tiny_variables):
    params, batch_stats = tiny_variables
    importance = lambda tree: np.abs(tree["stage1"]["rest"]["project"]["kernel"]).sum(-1)
    before = importance(params)  # middle widths 16, 32, 48
    everything = importance(sort_channels(tiny, params, batch_stats, protected=0)[0])
    assert (np.diff(everything, axis=1) <= 0).all()
    banded = importance(sort_channels(tiny, params, batch_stats)[0])
    for low, high in ((0, 32), (32, 48)):
        assert (np.diff(banded[:, low:high], axis=1) <= 0).all()
        np.testing.assert_allclose(np.sort(banded[:, low:high]), np.sort(before[:, low:high]))


def test_momentum_moves_with_its_channels(tiny, tiny_variables):
    params, batch_stats = tiny_variables
    momentum = jax.tree.map(lambda leaf: 2 * leaf, params)
    new_params, _, (new_momentum,) = sort_channels(tiny, params, batch_stats, [momentum])
    chex.assert_trees_all_equal(new_momentum, jax.tree.map(lambda leaf: 2 * leaf, new_params))


def test_gradients_vanish_outside_the_masks(tiny, tiny_variables, tiny_gradient):
    params, _ = tiny_variables
    for name in ("largest", "smallest", "k5e3/k3e3-k3e1-k5e2"):
        subnet = decode(tiny, name)
        _, gradient = tiny_gradient(params, traced(subnet))
        masks = active_masks(tiny, params, subnet)
        chex.assert_trees_all_equal(gradient, jax.tree.map(lambda g, m: g * m, gradient, masks))


@pytest.mark.parametrize("name", ["d2e3k3", "d4e6k7", "d3e4k5"])
def test_masks_count_the_parameters_of_the_network(name):
    space = MOBILENET_V3_CIFAR.with_choices(kernels=(3, 5, 7), width_mult=0.25)
    params, _ = jax.eval_shape(lambda key: init(key, space), jax.random.key(0))
    subnet = decode(space, name)
    masks = active_masks(space, params, subnet)
    count = sum(int(np.broadcast_to(mask, leaf.shape).sum()) for mask, leaf in zip(
        jax.tree.leaves(masks), jax.tree.leaves(params), strict=True))
    assert count == sum(layer.params for layer in layers(space, subnet))
