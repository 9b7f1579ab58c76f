import sys

import jax
import numpy as np
import pytest

from deps_jax.space.cost import CostModel, macs, params, peak_activation_bytes, pieces
from deps_jax.space.families import MOBILENET_V3, MOBILENET_V3_CIFAR, PROXYLESS, RESNET50D
from deps_jax.space.layers import layers
from deps_jax.space.subnet import canonical, sample
from deps_jax.space.subnet_text import decode
from deps_jax.supernet.network import random_weights

K357 = MOBILENET_V3_CIFAR.with_choices(kernels=(3, 5, 7), width_mult=0.25)
RESNET = RESNET50D.with_choices(width_mult=0.125)


def population(space, n, seed=0):
    keys = jax.random.split(jax.random.key(seed), n)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(lambda key: sample(key, space)))(keys))


@pytest.mark.parametrize("space", [K357, MOBILENET_V3, PROXYLESS, RESNET50D],
                         ids=lambda space: space.name)
@pytest.mark.parametrize("resolution", [None, 160])
def test_table_agrees_with_the_layers(space, resolution):
    subnets = population(space, 20)
    costs = CostModel(space, resolution=resolution)(subnets)
    for i in range(20):
        network = layers(space, canonical(jax.tree.map(lambda leaf, i=i: leaf[i], subnets)),
                         resolution)
        assert costs["macs"][i] == macs(network)
        assert costs["params"][i] == params(network)
        assert costs["peak_activation_bytes"][i] == peak_activation_bytes(network)


def test_peak_counts_what_is_alive_by_hand(tiny):
    """k3e3-k3e2 of the first stage: 9x9 maps of 8 channels, 24 and 16 in the middle."""
    peaks = {name: peak_activation_bytes(piece)
             for name, piece in pieces(layers(tiny, decode(tiny, "k3e3-k3e2/k3e1")))}
    assert peaks["stem"] == 4 * 81 * (3 + 8)
    # the depthwise reads and writes 24 channels while the block's 8 wait to be added
    assert peaks["stage0/block0"] == 4 * 81 * (24 + 24 + 8)
    assert peaks["stage0/block1"] == 4 * 81 * (16 + 16 + 8)


def test_peak_of_a_block_with_a_projection():
    """The first bottleneck at stride 1: what comes in waits for the projection."""
    network = layers(RESNET50D, decode(RESNET50D, "smallest"))
    (piece,) = [piece for name, piece in pieces(network) if name == "stage2/block0"]
    # 40 channels come in, 168 go out: the projection reads 40 and writes 168 beside conv3's 168
    assert peak_activation_bytes(piece) == 4 * 56**2 * max(40 + 168 + 168, 168 + 168 + 168)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_file_size_is_that_of_the_written_file(tiny, precision):
    onnx_writer = pytest.importorskip("deps_jax.export.onnx_writer",
                                      reason="needs the extra export")
    for space in (tiny, K357, RESNET):
        subnets = population(space, 3, seed=1)
        sizes = CostModel(space, files=onnx_writer.FILE_SIZES)(subnets)[f"file_bytes_{precision}"]
        for i in range(3):
            network = layers(space, canonical(jax.tree.map(lambda leaf, i=i: leaf[i], subnets)))
            model = onnx_writer.write(network, random_weights(network), precision)
            names = 0.001 * model.ByteSize() if space is RESNET else 40
            assert abs(sizes[i] - model.ByteSize()) <= names


def calls_of_ours(function):
    """Number of calls that our own code makes and takes while a function runs."""
    count = 0

    def note(frame, event, _):
        nonlocal count
        count += "deps_jax" in frame.f_code.co_filename and event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def test_the_work_in_python_does_not_grow_with_the_population():
    """NumPy does what grows: a hundred thousand subnets take a fraction of a second."""
    costs, many = CostModel(K357), population(K357, 10_000)
    few = jax.tree.map(lambda leaf: leaf[:10], many)
    assert calls_of_ours(lambda: costs(many)) == calls_of_ours(lambda: costs(few)) > 0
    assert costs(many)["macs"].shape == (10_000,)
