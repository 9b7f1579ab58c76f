"""Other blocks than the inverted residual: a small ResNet-D, and a form made up here.

For both, all readings of a network agree: run-time choice, static, extracted, ONNX; sorting keeps
the full model, masks are where gradients are, costs are those of the layers.
"""
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from other_blocks import OWN, RESNET

from deps_jax.space.cost import CostModel
from deps_jax.space.layers import layers
from deps_jax.space.subnet import canonical, largest, sample, smallest, stack, traced
from deps_jax.supernet import supernet
from deps_jax.supernet.channel_sorting import sort_channels
from deps_jax.supernet.masks import active_masks
from deps_jax.supernet.network import extract


class Case:
    def __init__(self, space):
        self.space, generator = space, np.random.default_rng(0)
        params, stats = jax.jit(supernet.init, static_argnums=1)(jax.random.key(0), space)
        self.params = jax.tree.map(
            lambda leaf: leaf + 0.1 * generator.standard_normal(leaf.shape, np.float32), params)
        self.stats = stats
        self.images = generator.standard_normal(
            (4, space.resolution, space.resolution, 3)).astype(np.float32)
        self.evaluate = jax.jit(partial(supernet.apply, space, train=False))
        self.gradient = jax.jit(jax.value_and_grad(self._loss, has_aux=True))
        self.subnets = [largest(space), smallest(space), *(
            canonical(sample(jax.random.key(seed), space)) for seed in range(4))]

    def _loss(self, params, subnet):
        logits, stats = supernet.apply(self.space, params, None, self.images, subnet, train=True)
        return jnp.sin(logits).sum(), (logits, stats)


@pytest.fixture(scope="module", params=[RESNET, OWN], ids=lambda space: space.name)
def case(request):
    return Case(request.param)


def test_chosen_at_run_time_equals_static(case):
    for subnet in case.subnets[1:3]:
        found = case.gradient(case.params, traced(subnet))
        alone = jax.jit(lambda params, s=subnet: jax.value_and_grad(
            case._loss, has_aux=True)(params, s))(case.params)
        chex.assert_trees_all_close(found, alone, rtol=2e-4, atol=2e-4)


def test_extracted_and_exported_networks_agree(case):
    ort = pytest.importorskip("onnxruntime", reason="needs the extra export")
    onnx_writer = pytest.importorskip("deps_jax.export.onnx_writer")
    for subnet in case.subnets:
        _, (_, stats) = case.gradient(case.params, traced(subnet))[0]
        expected, _ = case.evaluate(case.params, stats, case.images, traced(subnet))
        own = extract(case.space, case.params, stats, subnet)
        session = ort.InferenceSession(onnx_writer.write(own.layers, own.weights)
                                       .SerializeToString())
        logits = session.run(None, {"image": case.images.transpose(0, 3, 1, 2)})[0]
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_sorting_keeps_the_full_model(case):
    full = traced(case.subnets[0])
    before, _ = case.evaluate(case.params, case.stats, case.images, full)
    params, stats, _ = sort_channels(case.space, case.params, case.stats)
    after, _ = case.evaluate(params, stats, case.images, full)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    small = traced(case.subnets[1])
    assert not np.allclose(case.evaluate(params, stats, case.images, small)[0],
                           case.evaluate(case.params, case.stats, case.images, small)[0])


def test_no_gradient_outside_the_masks_and_none_missing(case):
    for subnet in case.subnets:
        _, gradient = case.gradient(case.params, traced(subnet))
        masks = active_masks(case.space, case.params, traced(subnet))
        outside = jax.tree.map(lambda g, m: jnp.abs(g * (1 - m)).max(), gradient, masks)
        assert max(jax.tree.leaves(outside)) == 0
        used = sum(int(jnp.broadcast_to(mask, leaf.shape).sum()) for mask, leaf in zip(
            jax.tree.leaves(masks), jax.tree.leaves(case.params), strict=True))
        counted = sum(layer.params for layer in layers(case.space, subnet))
        if not case.space.kernel_transform:  # whose matrices a network alone has not
            assert used == counted


def test_costs_are_those_of_the_layers(case):
    costs = CostModel(case.space)(stack(case.subnets))
    for subnet, macs, params in zip(case.subnets, costs["macs"], costs["params"], strict=True):
        network = layers(case.space, subnet)
        assert macs == sum(layer.macs for layer in network)
        assert params == sum(layer.params for layer in network)
