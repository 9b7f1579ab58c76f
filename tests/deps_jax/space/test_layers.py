from itertools import pairwise

import pytest

from deps_jax.space.families import MOBILENET_V3, MOBILENET_V3_CIFAR
from deps_jax.space.layers import layers
from deps_jax.space.subnet import decode

K357 = {"kernels": (3, 5, 7)}


@pytest.mark.parametrize(("space", "subnet", "resolution", "million_macs", "params"), [
    # deps_reference 1.6, measured on the PyTorch reference
    (MOBILENET_V3, "d2e3", None, 151.290, 3_493_352),
    (MOBILENET_V3, "d2e4", None, 195.003, 3_875_480),
    (MOBILENET_V3, "d2e6", None, 282.628, 4_837_928),
    (MOBILENET_V3, "d3e3", None, 221.999, 4_023_840),
    (MOBILENET_V3, "d3e4", None, 289.357, 4_657_776),
    (MOBILENET_V3, "d3e6", None, 424.399, 6_251_344),
    (MOBILENET_V3, "d4e3", None, 292.708, 4_554_328),
    (MOBILENET_V3, "d4e4", None, 383.711, 5_440_072),
    (MOBILENET_V3, "d4e6", None, 566.171, 7_664_760),
    (MOBILENET_V3.with_choices(**K357), "smallest", None, 121.279, 3_410_792),
    (MOBILENET_V3.with_choices(**K357), "largest", 128, 188.25, 7_664_760),
    (MOBILENET_V3.with_choices(**K357), "smallest", 192, 89.84, 3_410_792),
    (MOBILENET_V3.with_choices(num_classes=100), "d4e6", None, 565.019, 6_511_860),
    (MOBILENET_V3.with_choices(num_classes=100), "d2e3", None, 150.138, 2_340_452),
    (MOBILENET_V3.with_choices(width_mult=1.2), "d4e6", None, 843.101, 10_701_632),
    (MOBILENET_V3.with_choices(width_mult=1.2, **K357), "smallest", None, 193.078, 4_602_456),
    (MOBILENET_V3_CIFAR, "d4e6", None, 179.707, 6_396_570),
    (MOBILENET_V3_CIFAR, "d2e3", None, 45.094, 2_225_162),
    (MOBILENET_V3_CIFAR.with_choices(num_classes=100), "d3e3", None, 68.420, None),
    (MOBILENET_V3_CIFAR.with_choices(num_classes=100), "d4e4", None, 120.877, None),
    (MOBILENET_V3_CIFAR.with_choices(num_classes=100, **K357), "smallest", None, 35.409, 2_257_892),
])
def test_sizes_of_published_networks(space, subnet, resolution, million_macs, params):
    network = layers(space, decode(space, subnet), resolution)
    macs = sum(layer.macs for layer in network) / 1e6
    assert round(macs, 3) == million_macs or round(macs, 2) == million_macs
    if params is not None:
        assert sum(layer.params for layer in network) == params


def test_layers_follow_each_other():
    network = layers(MOBILENET_V3, decode(MOBILENET_V3, "d3e4"))
    names = [layer.name for layer in network]
    assert len(set(names)) == len(names)
    for before, after in pairwise(network):
        assert before.out_channels == after.in_channels and before.size_out == after.size_in
    for layer in network:
        assert layer.op != "add" or layer.skip in names
