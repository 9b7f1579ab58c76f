from itertools import pairwise

import pytest

from deps_jax.space.families import MOBILENET_V3, MOBILENET_V3_CIFAR, PROXYLESS, RESNET50D
from deps_jax.space.layers import layers
from deps_jax.space.subnet_text import decode

K357 = {"kernels": (3, 5, 7)}


@pytest.mark.parametrize(("space", "subnet", "resolution", "million_macs", "params"), [
    # measured on the PyTorch implementations of DepS and OFA
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
    (PROXYLESS, "largest", None, 606.591, 5_103_336),
    (PROXYLESS, "d2e3", None, 185.018, 2_606_232),
    (PROXYLESS.with_choices(**K357), "smallest", None, 154.160, 2_500_632),
    (PROXYLESS.with_choices(width_mult=1.3), "largest", None, 1004.908, 7_942_056),
    (PROXYLESS.with_choices(width_mult=1.3, **K357), "smallest", None, 265.526, 3_718_832),
    (RESNET50D, "largest", None, 7491.644, 48_105_992),
    (RESNET50D, "smallest", None, 962.192, 6_539_280),
    (RESNET50D, "d1e0.25w1.0", None, 3892.093, 24_179_016),
])
def test_sizes_of_published_networks(space, subnet, resolution, million_macs, params):
    network = layers(space, decode(space, subnet), resolution)
    macs = sum(layer.macs for layer in network) / 1e6
    assert round(macs, 3) == million_macs or round(macs, 2) == million_macs
    if params is not None:
        assert sum(layer.params for layer in network) == params


@pytest.mark.parametrize(("space", "name"), [
    (MOBILENET_V3, "d3e4"), (RESNET50D, "smallest"), (RESNET50D, "d1e0.25w0.8")])
def test_layers_follow_each_other(space, name):
    network = layers(space, decode(space, name), 96)
    made = {layer.name: (layer.out_channels, layer.size_out) for layer in network}
    assert len(made) == len(network)
    for before, after in pairwise(network):
        reads = made[after.source or before.name]
        assert reads == (after.in_channels, after.size_in)
        assert after.op != "add" or made[after.skip] == reads
