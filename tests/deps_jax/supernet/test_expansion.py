"""Stages whose only expand ratio is 1 have no 1x1 expansion (OFA dynamic_layers.py), anywhere."""
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_spaces import PIXELS, PLAIN

from deps_jax.data.augment import normalise
from deps_jax.evaluation.recalibration import Evaluator
from deps_jax.space.layers import layers
from deps_jax.space.subnet import largest
from deps_jax.space.subnet_text import decode
from deps_jax.supernet import network, supernet
from deps_jax.supernet.channel_sorting import sort_channels
from deps_jax.supernet.convert import convert, to_state_dict
from deps_jax.supernet.masks import active_masks

STAGE = "stage1"  # of PLAIN, with expand ratio 1 alone


@pytest.fixture(scope="module")
def variables():
    params, batch_stats = jax.jit(supernet.init, static_argnums=1)(jax.random.key(0), PLAIN)
    generator = np.random.default_rng(0)
    spread = lambda leaf: leaf + 0.1 * generator.standard_normal(leaf.shape).astype(np.float32)
    return jax.tree.map(spread, params), batch_stats


def test_block_has_the_parameters_of_its_layers(variables):
    params, batch_stats = variables
    first = params[STAGE]["first"]
    assert first.keys() == {"depthwise", "squeeze_excite", "project"}
    assert batch_stats[STAGE]["rest"].keys() == {"depthwise", "project"}
    count = sum(leaf.size for leaf in jax.tree.leaves(first))
    depthwise, gate, project = 49 * 8 + 2 * 8, 2 * 8 * 8 + 8 + 8, 8 * 16 + 2 * 16
    assert count == depthwise + gate + project
    own = [layer for layer in layers(PLAIN, largest(PLAIN))
           if layer.name.startswith(f"{STAGE}/block0")]
    assert [layer.name.split("/")[2] for layer in own] == ["depthwise", "squeeze_excite", "project"]
    assert sum(layer.params for layer in own) == count


def test_sorting_leaves_the_channels_of_the_input_in_place(variables):
    params, batch_stats = variables
    images = jax.random.normal(jax.random.key(1), (2, 11, 11, 3))
    run = jax.jit(partial(supernet.apply, PLAIN, images=images, subnet=largest(PLAIN),
                          train=False))
    new_params, new_stats, _ = jax.jit(sort_channels, static_argnums=0)(PLAIN, params, batch_stats)
    assert not np.array_equal(new_params["stage0"]["first"]["project"]["kernel"],
                              params["stage0"]["first"]["project"]["kernel"])
    chex.assert_trees_all_close(run(new_params, new_stats)[0], run(params, batch_stats)[0],
                                atol=1e-5)


@pytest.mark.parametrize("name", ["largest", "smallest", "k3e1.5/k5e1-k3e1/k5e2x2"])
def test_masks_count_the_parameters_of_the_network(variables, name):
    params, _ = variables
    subnet = decode(PLAIN, name)
    masks = active_masks(PLAIN, params, subnet)
    count = sum(int(np.broadcast_to(mask, leaf.shape).sum()) for mask, leaf in zip(
        jax.tree.leaves(masks), jax.tree.leaves(params), strict=True))
    assert count == sum(layer.params for layer in layers(PLAIN, subnet))


def test_checkpoints_of_the_reference_have_no_such_tensors(variables):
    state = to_state_dict(PLAIN, *variables)
    chex.assert_trees_all_equal(convert(PLAIN, state), variables)
    blocks = [name for name in state if name.startswith("blocks.")]
    # blocks.0 is the fixed one, 1 is of the first stage, 2 to 4 have no expansion
    assert {name.split(".")[1] for name in blocks if "inverted_bottleneck" in name} == {"1", "5",
                                                                                        "6"}


def test_exported_network_is_the_elastic_one(variables):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
    from deps_jax.export import onnx_writer

    params, _ = variables
    images = np.random.default_rng(0).integers(0, 256, (12, 11, 11, 3), np.uint8)
    subnet, x = decode(PLAIN, "k3e1.5/k5e1-k3e1/k5e2x2"), normalise(images, PIXELS)
    evaluator = Evaluator(PLAIN, PIXELS, devices=jax.devices()[:1])
    stats = evaluator.recalibrate(params, subnet, images[None])
    batch = {"image": jnp.asarray(images), "mask": np.ones(12)}
    expected = evaluator.logits(params, stats, subnet, [batch])
    cut = network.extract(PLAIN, params, stats, subnet)
    forward = jax.jit(partial(network.forward, cut.layers))
    np.testing.assert_allclose(forward(cut.weights, x), expected, atol=2e-5)
    model = onnx_writer.write(cut.layers, cut.weights).SerializeToString()
    session = onnxruntime.InferenceSession(model)
    (logits,) = session.run(None, {"image": np.asarray(x).transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(logits, expected, atol=2e-5)
