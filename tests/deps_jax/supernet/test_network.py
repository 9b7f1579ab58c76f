"""Three readings of one network agree: elastic, static, ONNX."""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_spaces import PIXELS

from deps_jax.data.augment import normalise
from deps_jax.evaluation.recalibration import Evaluator
from deps_jax.space.families import SPACES
from deps_jax.space.layers import layers
from deps_jax.space.subnet import canonical, sample
from deps_jax.space.subnet_text import decode, encode
from deps_jax.supernet import network, supernet

ort = pytest.importorskip("onnxruntime", reason="needs the extra export")
onnx_writer = pytest.importorskip("deps_jax.export.onnx_writer")


# Of logits up to 2. Rounding grows with the number of layers: 61 convolutions in a ResNet. Of 20
# subnets of mobilenet_v3 one differs by 1.2e-5, and by 0.7e-5 with XLA's depthwise convolutions.
TOLERANCES = {"tiny": 1e-5, "mobilenet_v3": 3e-5, "mobilenet_v3_cifar": 1e-5, "two_stages": 1e-5,
              "proxyless": 3e-5, "proxyless_google": 3e-5, "resnet50d": 3e-4,
              "resnet50d_cifar": 3e-4}


def run_onnx(model, images):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"image": np.asarray(images).transpose(0, 3, 1, 2)})[0]


def sampled(space, n):
    return [canonical(sample(jax.random.key(i), space)) for i in range(n)]


@pytest.fixture(scope="module", params=[
    "tiny", *(pytest.param(name, marks=pytest.mark.long) for name in SPACES)])
def case(request, tiny, tiny_variables):
    """Of every family, small: (space, cut(subnet) -> (Network, elastic logits), images)."""
    if request.param == "tiny":
        space, params = tiny, tiny_variables[0]
    else:
        family = SPACES[request.param]
        space = family.with_choices(kernels=(3, 5, 7), width_mult=0.25, num_classes=7,
                                    kernel_transform=True, resolution=max(33, family.total_stride))
        params, _ = jax.jit(supernet.init, static_argnums=1)(jax.random.key(0), space)
    shape = (12, space.resolution, space.resolution, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    evaluator, x = Evaluator(space, PIXELS, devices=jax.devices()[:1]), normalise(images, PIXELS)
    elastic = jax.jit(partial(supernet.apply, space, train=False))

    def cut(subnet):
        stats = evaluator.recalibrate(params, subnet, images[None])
        expected, _ = elastic(params, stats, x, jax.tree.map(jnp.asarray, subnet))
        return network.extract(space, params, stats, subnet), expected

    return space, cut, x


def test_twenty_random_subnets_of_every_family(case):
    space, cut, x = case
    for subnet in sampled(space, 20):
        own, expected = cut(subnet)
        model = onnx_writer.write(own.layers, own.weights)
        np.testing.assert_allclose(run_onnx(model, x), expected, rtol=0,
                                   atol=TOLERANCES[space.name], err_msg=encode(space, subnet))
        operators = [node.op_type for node in model.graph.node]
        convolutions = sum({"conv": 1, "squeeze_excite": 2}.get(layer.op, 0)
                           for layer in own.layers)
        assert "Transpose" not in operators and operators.count("Conv") == convolutions


def test_static_forward_is_the_elastic_one(case):
    space, cut, x = case
    own, expected = cut(decode(space, "smallest"))
    logits = jax.jit(partial(network.forward, own.layers))(own.weights, x)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=TOLERANCES[space.name])


def test_half_precision_stays_near(case):
    space, cut, x = case
    own, expected = cut(decode(space, "largest"))
    reduced = run_onnx(onnx_writer.write(own.layers, own.weights, "fp16"), x)
    assert 0 < np.abs(reduced - expected).max() < 0.15 * np.abs(expected).max()


def test_int8_computes_with_the_rounded_weights(case):
    space, cut, x = case
    own, _ = cut(decode(space, "largest"))

    def rounded(path, leaf):
        if "kernel" not in path[-1].key:
            return leaf
        quantised, scale = onnx_writer.quantise(np.moveaxis(leaf, -1, 0))
        return np.moveaxis(quantised, 0, -1) * scale

    weights = jax.tree_util.tree_map_with_path(rounded, own.weights)
    expected = jax.jit(partial(network.forward, own.layers))(weights, x)
    logits = run_onnx(onnx_writer.write(own.layers, own.weights, "int8"), x)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=TOLERANCES[space.name])


def test_int8_keeps_the_scale_of_each_channel():
    kernel = np.array([[[[1.0]], [[-127.0]]], [[[0.5]], [[0.25]]], [[[0.0]], [[0.0]]]], np.float32)
    quantised, scale = onnx_writer.quantise(kernel)
    np.testing.assert_array_equal(quantised[:, :, 0, 0], [[1, -127], [127, 64], [0, 0]])
    np.testing.assert_allclose(scale, [1, 0.5 / 127, 1])


def test_unknown_precision_is_refused(tiny):
    cut = layers(tiny, decode(tiny, "smallest"))
    with pytest.raises(ValueError, match="'int4' is unknown; use one of"):
        onnx_writer.write(cut, network.random_weights(cut), "int4")
