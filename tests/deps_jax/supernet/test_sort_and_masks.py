import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.space.families import MOBILENET_V3_CIFAR
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace, Stage
from deps_jax.space.subnet import canonical, sample, traced
from deps_jax.space.subnet_text import decode, encode
from deps_jax.supernet import supernet
from deps_jax.supernet.channel_sorting import sort_channels
from deps_jax.supernet.masks import active_masks
from deps_jax.supernet.supernet import init

sort_compiled = jax.jit(sort_channels, static_argnums=0, static_argnames="protected")


def test_sorting_keeps_the_function_of_the_full_model(tiny, tiny_variables, tiny_images,
                                                      tiny_evaluate):
    params, batch_stats = tiny_variables
    full = traced(decode(tiny, "largest"))
    before, _ = tiny_evaluate(params, batch_stats, tiny_images, full)
    for protected in (0, 1, None):
        new_params, new_stats, _ = sort_compiled(tiny, params, batch_stats, protected=protected)
        after, _ = tiny_evaluate(new_params, new_stats, tiny_images, full)
        chex.assert_trees_all_close(after, before, atol=1e-5)
        small = traced(decode(tiny, "smallest"))
        assert not np.allclose(tiny_evaluate(new_params, new_stats, tiny_images, small)[0],
                               tiny_evaluate(params, batch_stats, tiny_images, small)[0])


def test_importance_falls_inside_every_band(tiny, tiny_variables):
    params, batch_stats = tiny_variables
    importance = lambda tree: np.abs(tree["stage1"]["rest"]["project"]["kernel"]).sum(-1)
    before = importance(params)  # middle widths 16, 32, 48
    everything = importance(sort_compiled(tiny, params, batch_stats, protected=0)[0])
    assert (np.diff(everything, axis=1) <= 0).all()
    banded = importance(sort_compiled(tiny, params, batch_stats)[0])
    for low, high in ((0, 32), (32, 48)):
        assert (np.diff(banded[:, low:high], axis=1) <= 0).all()
        np.testing.assert_allclose(np.sort(banded[:, low:high]), np.sort(before[:, low:high]))


def test_momentum_moves_with_its_channels(tiny, tiny_variables):
    params, batch_stats = tiny_variables
    momentum = jax.tree.map(lambda leaf: 2 * leaf, params)
    new_params, _, (new_momentum,) = sort_compiled(tiny, params, batch_stats, [momentum])
    chex.assert_trees_all_equal(new_momentum, jax.tree.map(lambda leaf: 2 * leaf, new_params))


def _small_and_alive(shapes, seed: int):
    """Random parameters for which no unit of a gate is off for all images."""
    generator = np.random.default_rng(seed)

    def draw(path, leaf):
        centre = 1.0 if path[-2:] == ("reduce", "bias") else 0.0
        return jnp.asarray(generator.normal(centre, 0.3, leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: draw(tuple(entry.key for entry in path), leaf), shapes)


# Three kernel sizes: a matrix that a smaller kernel uses in part, and one that it does not use.
MASKED = SearchSpace(
    name="masked", stem_width=8, stem_stride=1, first_width=8, first_residual=True,
    stages=(Stage(8, 1, "h_swish", True, depths=(1, 2, 3), kernels=(3, 5, 7), expands=(1, 2)),),
    head_width=8, feature_width=0, num_classes=3, resolution=8)


@pytest.mark.parametrize("kernel_transform", [
    True, pytest.param(False, marks=pytest.mark.long)])
def test_masks_are_one_exactly_where_a_gradient_can_be(kernel_transform):
    space = dataclasses.replace(MASKED, kernel_transform=kernel_transform)
    images = jax.random.normal(jax.random.key(2), (4, 8, 8, 3))

    @jax.jit
    def gradient(params, subnet):
        def loss_fn(params):
            logits, _ = supernet.apply(space, params, None, images, subnet, train=True)
            return jnp.sum(jnp.sin(logits))
        return jax.grad(loss_fn)(params)

    shapes, _ = jax.eval_shape(lambda key: supernet.init(key, space), jax.random.key(0))
    sets = [_small_and_alive(shapes, seed) for seed in range(3)]
    subnets = [decode(space, name) for name in ("smallest", "largest", "k3e2x3", "k5e2x2")]
    subnets += [canonical(sample(jax.random.key(i), space)) for i in range(12)]
    for subnet in subnets:
        gradients = [gradient(params, traced(subnet)) for params in sets]
        alive = jax.tree.map(lambda *leaves: np.any([leaf != 0 for leaf in leaves], axis=0),
                             *gradients)
        masks = jax.tree.map(lambda mask, leaf: np.broadcast_to(mask, leaf.shape) > 0,
                             active_masks(space, shapes, subnet), shapes)
        wrong = [jax.tree_util.keystr(path) for path, same in jax.tree_util.tree_leaves_with_path(
            jax.tree.map(np.array_equal, alive, masks)) if not same]
        assert not wrong, (encode(space, subnet), wrong)


@pytest.mark.parametrize("name", ["d2e3k3", "d4e6k7", "d3e4k5"])
def test_masks_count_the_parameters_of_the_network(name):
    space = MOBILENET_V3_CIFAR.with_choices(kernels=(3, 5, 7), width_mult=0.25)
    params, _ = jax.eval_shape(lambda key: init(key, space), jax.random.key(0))
    subnet = decode(space, name)
    masks = active_masks(space, params, subnet)
    count = sum(int(np.broadcast_to(mask, leaf.shape).sum()) for mask, leaf in zip(
        jax.tree.leaves(masks), jax.tree.leaves(params), strict=True))
    assert count == sum(layer.params for layer in layers(space, subnet))
