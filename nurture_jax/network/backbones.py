"""Backbones for single frames: ResNet, and any network of `deps_jax`, as Linen modules.

    features = ResNet(50).apply(variables, images, Mode(train=False))  # {4: b h w c, 8: ...}

Both give the last feature map of every stride, finest first, keyed by the stride in pixels of the
image. Convolutions are padded by k // 2 on every side, as PyTorch and ONNX do.
"""
from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from deps_jax.common.command.settings import build_settings
from deps_jax.common.loop.parallel import Tree
from deps_jax.common.nn.depthwise import depthwise
from deps_jax.common.nn.operations import (
    Mode,
    activate,
    batch_norm,
    max_pool,
    mean_pool,
    pointwise,
    pointwise_norm,
    squeeze_excite,
)
from deps_jax.space.layers import Layer

# Blocks in the four stages (He et al. 2015, Table 1); 10 is a smaller one of the same kind.
RESNET_BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3),
                 101: (3, 4, 23, 3)}
BOTTLENECK_FROM = 50  # layers from which a block is 1x1, 3x3, 1x1 with four times the width
NORM_MOMENTUM = 0.1  # share of the new batch in running statistics, as in PyTorch
NORM_EPSILON = 1e-5


class ConvNorm(nn.Module):
    """Convolution, batch norm, activation: [b, h, w, i] -> [b, ceil(h / s), ceil(w / s), o].

    The variance is the biased one, also in the running statistics (PyTorch keeps the unbiased).

    Attributes:
      features: Number of channels that come out, o.
      kernel, stride: Side of the kernel and step between its places, in pixels.
      depthwise: Whether each channel is convolved on its own.
      activation: Name of the activation, see `activate`.
      epsilon: What batch norm adds to the variance.
    """

    features: int
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False
    activation: str = "identity"
    epsilon: float = NORM_EPSILON

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        inputs = 1 if self.depthwise else x.shape[-1]
        kernel = self.param("kernel", nn.initializers.he_normal(),
                            (self.kernel, self.kernel, inputs, self.features))
        norm = self.param("norm", lambda _: {"scale": jnp.ones(self.features),
                                             "bias": jnp.zeros(self.features)})
        running = self.variable("batch_stats", "norm", lambda: {
            "mean": jnp.zeros(self.features), "var": jnp.ones(self.features)})
        if self.kernel == self.stride == 1 and self.features > inputs:
            # The statistics of a widening 1x1 follow from those of its input, which is cheaper.
            y, statistics = pointwise_norm(x, {"kernel": kernel[0, 0], "norm": norm},
                                           {"norm": running.value}, mode, self.epsilon)
            statistics = statistics["norm"]
        else:
            y = self._convolve(x, kernel)
            y, statistics = batch_norm(y, norm, running.value, mode, self.epsilon)
        if mode.train and not self.is_initializing():
            running.value = jax.tree.map(
                lambda old, new: (1 - NORM_MOMENTUM) * old + NORM_MOMENTUM * new, running.value,
                lax.stop_gradient(statistics))
        return activate(y, self.activation)

    def _convolve(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        if self.depthwise:
            return depthwise(x, (kernel[:, :, 0].astype(x.dtype),), 0, self.stride)
        if self.kernel == 1:
            return pointwise(x[:, ::self.stride, ::self.stride], kernel[0, 0])
        return lax.conv_general_dilated(
            x, kernel.astype(x.dtype), (self.stride,) * 2, [(self.kernel // 2,) * 2] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"))


class SeparableConvNorm(nn.Module):
    """A depthwise convolution and a 1x1 one for a dense one; shapes as of `ConvNorm`.

    Batch norm follows both, and an activation the first, too, as in MobileNets (Howard et al.
    2017) and in what they carry on top: the heads of SSDLite (Sandler et al. 2018, section 6.2)
    and the feature pyramid of EfficientDet (Tan et al. 2020, section 3.3). Of k x k to o channels
    it costs about 1 / k^2 + 1 / o of the dense one.

    Attributes:
      features, kernel, stride, activation: As of `ConvNorm`.
    """

    features: int
    kernel: int
    stride: int = 1
    activation: str = "identity"

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        x = ConvNorm(x.shape[-1], self.kernel, self.stride, depthwise=True, activation="relu",
                     name="depthwise")(x, mode)
        return ConvNorm(self.features, activation=self.activation, name="pointwise")(x, mode)


class ResNet(nn.Module):
    """ResNet as in torchvision (stride in the 3x3 of a bottleneck); the classifier is left out.

    Attributes:
      depth: Number of layers, one of RESNET_BLOCKS.
      width: Channels of the first stage; 64 is the published network.
      stages: Number of stages; 4 is the published network, and fewer end at a finer stride.
    """

    depth: int = 50
    width: int = 64
    stages: int = 4

    @nn.compact
    def __call__(self, images: jax.Array, mode: Mode) -> dict[int, jax.Array]:
        """Feature maps [b, h / s, w / s, c] by their strides s: 2, 4, and one for each stage more.

        Args:
          images: Normalised images, [b, h, w, 3] float.
          mode: How batch norm behaves.
        """
        x = ConvNorm(self.width, 7, 2, activation="relu", name="conv1")(images, mode)
        features = {2: x}
        x = _max_pool(x)
        block = Bottleneck if self.depth >= BOTTLENECK_FROM else BasicBlock
        for s, blocks in enumerate(RESNET_BLOCKS[self.depth][:self.stages]):
            for i in range(blocks):
                stride = 2 if s and not i else 1
                x = block(self.width * 2**s, stride, name=f"layer{s + 1}_{i}")(x, mode)
            features[4 * 2**s] = x
        return features


def _max_pool(x: jax.Array) -> jax.Array:
    """The largest of 3x3 pixels, with stride 2 and padding 1, of values that are not negative.

    It is written as maxima of shifted pictures, whose gradient XLA:CPU computes 5 times as fast.
    """
    for axis in (1, 2):
        size = x.shape[axis]
        padding = [(1, 1) if i == axis else (0, 0) for i in range(4)]
        padded, out = jnp.pad(x, padding), -(-size // 2)
        parts = [lax.slice_in_dim(padded, i, i + 2 * out - 1, 2, axis) for i in range(3)]
        x = jnp.maximum(jnp.maximum(parts[0], parts[1]), parts[2])
    return x


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, and the input added."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        y = ConvNorm(self.width, 3, self.stride, activation="relu", name="conv1")(x, mode)
        y = ConvNorm(self.width, 3, name="conv2")(y, mode)
        return nn.relu(y + _shortcut(x, y.shape[-1], self.stride, mode))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution to four times the width, and the input added."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        y = ConvNorm(self.width, activation="relu", name="conv1")(x, mode)
        y = ConvNorm(self.width, 3, self.stride, activation="relu", name="conv2")(y, mode)
        y = ConvNorm(4 * self.width, name="conv3")(y, mode)
        return nn.relu(y + _shortcut(x, y.shape[-1], self.stride, mode))


def _shortcut(x: jax.Array, features: int, stride: int, mode: Mode) -> jax.Array:
    """The input, brought to the shape of the output; called inside a block's `__call__`."""
    if stride == 1 and x.shape[-1] == features:
        return x
    return ConvNorm(features, 1, stride, name="downsample")(x, mode)


class LayersBackbone(nn.Module):
    """Any network that `deps_jax.space.layers` describes, without its pooling and classifier.

    Attributes:
      layers: Layers in order of execution, ending before the first "pool" (`without_classifier`).
      epsilon: What batch norm adds to the variance.
    """

    layers: tuple[Layer, ...]
    epsilon: float = NORM_EPSILON

    @nn.compact
    def __call__(self, images: jax.Array, mode: Mode) -> dict[int, jax.Array]:
        """The output [b, h / s, w / s, c] of the last block of every stride s, by the stride.

        Args:
          images: Normalised images, [b, h, w, 3] float.
          mode: How batch norm behaves.
        """
        features, kept, x, stride = {}, {}, images, 1
        awaited = {name for layer in self.layers for name in (layer.skip, layer.source)}
        following = (*(layer.part for layer in self.layers[1:]), "")
        for layer, next_part in zip(self.layers, following, strict=True):
            x = kept[layer.source] if layer.source else x
            x = x + kept[layer.skip] if layer.op == "add" else self._run(layer, x, mode)
            if layer.name in awaited:
                kept[layer.name] = x
            stride *= 1 if layer.source else layer.stride  # a shortcut goes beside
            if layer.part != next_part:
                features[stride] = x
        return features

    def _run(self, layer: Layer, x: jax.Array, mode: Mode) -> jax.Array:
        name = layer.name.replace("/", "_")
        if layer.op == "squeeze_excite":
            return SqueezeExcite(layer.hidden, name=name)(x)
        if layer.op == "activation":
            return activate(x, layer.activation)
        if layer.op in ("max_pool", "average_pool"):
            return (max_pool(x, layer.kernel, layer.stride) if layer.op == "max_pool"
                    else mean_pool(x, layer.stride))
        assert layer.op == "conv" and layer.batch_norm, layer
        return ConvNorm(layer.out_channels, layer.kernel, layer.stride,
                        layer.groups == layer.in_channels > 1, layer.activation, self.epsilon,
                        name=name)(x, mode)


class SqueezeExcite(nn.Module):
    """Gates channels by a network of `hidden` units on their spatial means."""

    hidden: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]

        def dense(key: jax.Array, inputs: int, outputs: int) -> Tree:
            return {"kernel": nn.initializers.lecun_normal()(key, (inputs, outputs)),
                    "bias": jnp.zeros(outputs)}

        return squeeze_excite(x, {"reduce": self.param("reduce", dense, channels, self.hidden),
                                  "expand": self.param("expand", dense, self.hidden, channels)})


def without_classifier(network: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers of a network up to its last feature map."""
    names = [layer.op for layer in network]
    return network[:names.index("pool")] if "pool" in names else network


def describe(backbone: nn.Module) -> dict:
    """Plain values from which `from_description` makes the same module."""
    if isinstance(backbone, ResNet):
        return {"kind": "resnet", "depth": backbone.depth, "width": backbone.width,
                "stages": backbone.stages}
    assert isinstance(backbone, LayersBackbone), type(backbone)
    return {"kind": "layers", "epsilon": backbone.epsilon,
            "layers": [dataclasses.asdict(layer) for layer in backbone.layers]}


@dataclasses.dataclass(frozen=True)
class _ResNet:
    """What `describe` tells of a ResNet."""

    depth: int
    width: int
    stages: int

    def __post_init__(self) -> None:
        if self.depth not in RESNET_BLOCKS or self.width < 1 or not 1 <= self.stages <= 4:
            raise ValueError(f"there is no ResNet of depth {self.depth}, width {self.width} and "
                             f"{self.stages} stages; give a depth of {tuple(RESNET_BLOCKS)}, a "
                             f"width of 1 or more, and 1 to 4 stages")


@dataclasses.dataclass(frozen=True)
class _Layers:
    """What `describe` tells of layers."""

    layers: tuple[Layer, ...]
    epsilon: float


def from_description(values: dict) -> nn.Module:
    """The inverse of `describe`.

    Raises:
      ValueError: If a field is missing, unknown or impossible.
    """
    fields = dict(values) if isinstance(values, Mapping) else {}
    kind = fields.pop("kind", None)
    if kind == "resnet":
        found = build_settings(_ResNet, fields, "backbone")
        return ResNet(found.depth, found.width, found.stages)
    if kind != "layers" or not isinstance(fields.get("layers"), list | tuple):
        raise ValueError(f"the backbone is of the kind {kind!r:.80}, and neither a resnet nor a "
                         f"list of layers; put its file back from a copy")
    found = build_settings(_Layers, {**fields, "layers": [
        _layer(layer) for layer in fields["layers"]]}, "backbone")
    return LayersBackbone(found.layers, found.epsilon)


def _layer(values: dict) -> Layer:
    """A layer of a description; earlier versions wrote its block into its name only."""
    if isinstance(values, Mapping) and values.get("block") is None and (
            match := re.match(r"stage(\d+)/block(\d+)/", str(values.get("name")))):
        values = {**values, "block": tuple(map(int, match.groups()))}
    return build_settings(Layer, values, "layer")
