"""One subnet on its own: its layers and folded weights, cut out of the supernet.

Everything after training starts here: the ONNX writer, the latency table and the static forward
pass below read a `Network` and nothing else.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import jax
import numpy as np
from jax import lax

from deps_jax.common.nn.operations import activate, hard_sigmoid, max_pool, mean_pool
from deps_jax.space.block import Block
from deps_jax.space.layers import Layer, layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.supernet.elastic import kernel_candidates, nth_block
from deps_jax.supernet.tensors import Tree, take


@dataclasses.dataclass(frozen=True)
class Network:
    """A static network for images [b, h, w, 3].

    Attributes:
      layers: The layers in order of execution.
      weights: Float32 arrays by layer name: "kernel" [k, k, i / groups, o] and "bias" [o] of a
        convolution (batch norm folded in), "kernel" [i, o] and "bias" of a dense layer;
        "reduce_kernel", "reduce_bias", "expand_kernel", "expand_bias" of a squeeze-excite gate.
    """

    layers: tuple[Layer, ...]
    weights: dict[str, dict[str, np.ndarray]]


def extract(space: SearchSpace, params: Tree, batch_stats: Tree, subnet: Subnet,
            resolution: int | None = None) -> Network:
    """Cuts a static subnet out of supernet parameters.

    Kernel transforms are applied and batch norm is folded into the convolutions, in float64.

    Args:
      batch_stats: Running statistics of this very subnet, from recalibration.
      subnet: The static subnet.
      resolution: Side of the images in pixels; None is the space's own.
    """
    params, batch_stats = (jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)
                           for tree in (params, batch_stats))
    weights = {name: _weights(own, stats, space.norm_epsilon)
               for name, own, stats in chosen_layers(space, params, batch_stats, subnet)}
    weights = jax.tree.map(lambda leaf: np.ascontiguousarray(leaf, np.float32), weights)
    return Network(layers(space, subnet, resolution), weights)


def chosen_layers(space: SearchSpace, params: Tree, batch_stats: Tree,
                  subnet: Subnet) -> Iterator[tuple[str, Tree, Tree | None]]:
    """Yields (name, parameters, statistics) of each layer of a static subnet that has parameters.

    Names are those of `layers`. Parameters and statistics are cut to the subnet's widths; those of
    a layer without batch norm are None. A chosen kernel has its own size and no transforms beside
    it.
    """
    first, last = (space.widths[i][int(subnet.width_at(space, i))] for i in (0, -1))
    stem, stats = (jax.tree.map(lambda leaf: leaf[..., :first], tree["stem"])
                   for tree in (params, batch_stats))
    yield "stem", stem, stats
    for name, own, stats in _chosen_blocks(space, params, batch_stats, subnet):
        for part in own:
            yield f"{name}/{part}", own[part], stats.get(part)
    if space.head_width:
        yield ("head/expand", _reading(last, params["head"]["expand"]),
               batch_stats["head"]["expand"])
        last = None
    if "classifier" not in params:  # of a network that ends with its maps
        return
    if space.feature_width:
        yield "head/features", _reading(last, params["head"]["features"]), None
        last = None
    yield "classifier", _reading(last, params["classifier"]), None


def _reading(channels: int | None, params: Tree) -> Tree:
    """Parameters of a 1x1 or dense layer that reads the first channels only; None is all."""
    return {**params, "kernel": params["kernel"][:channels]}


def _chosen_blocks(space: SearchSpace, params: Tree, batch_stats: Tree,
                   subnet: Subnet) -> Iterator[tuple[str, Tree, Tree]]:
    """Yields (name of its layers, parameters, statistics) of each block, as `chosen_layers`."""
    if space.first_block:
        yield "first_block", params["first_block"], batch_stats["first_block"]
    for s, blocks in enumerate(space.blocks):
        incoming, outgoing = (int(subnet.width_at(space, i)) for i in (s, s + 1))
        for d, block in enumerate(blocks[:int(subnet.depth[s])]):
            branch = block.branch(incoming if d == 0 else outgoing, outgoing,
                                  int(subnet.expand[s, d]))
            index = {name: slice(size) for name, size in block.branches[branch].items()}
            own, stats = (take(nth_block(tree[f"stage{s}"], d), block, index)
                          for tree in (params, batch_stats))
            yield f"stage{s}/block{d}", _with_kernel(block, own, int(subnet.kernel[s, d])), stats


def _with_kernel(block: Block, params: Tree, choice: int) -> Tree:
    """Parameters of a block with the chosen kernel in its own size, and without transforms."""
    if block.choosing is None:
        return params
    name = block.choosing.name
    with jax.enable_x64(True):
        kernel = np.asarray(kernel_candidates(params[name], block.kernels)[choice])
    return {**params, name: {"kernel": kernel, "norm": params[name]["norm"]}}


def _weights(params: Tree, stats: Tree | None, epsilon: float) -> dict[str, np.ndarray]:
    """Weights of one layer of a Network, from what `chosen_layers` yields of it."""
    if "kernel" not in params:  # a gate
        return {f"{half}_{tensor}": params[half][tensor]
                for half in ("reduce", "expand") for tensor in ("kernel", "bias")}
    if "bias" in params:  # dense
        return params
    kernel = as_convolution(params["kernel"])
    if stats is None:
        return {"kernel": kernel, "bias": np.zeros(kernel.shape[-1])}
    return _fold(kernel, params, stats, epsilon)


def as_convolution(kernel: np.ndarray) -> np.ndarray:
    """A kernel of ours as [k, k, i, o]: a 1x1 lacks the first two axes, a depthwise the third."""
    if kernel.ndim == 2:
        return kernel[None, None]
    return kernel[:, :, None] if kernel.ndim == 3 else kernel


def _fold(kernel: np.ndarray, params: Tree, stats: Tree, epsilon: float) -> dict:
    """Weights of one convolution with a bias, in place of a convolution and its batch norm."""
    scale = params["norm"]["scale"] / np.sqrt(stats["norm"]["var"] + epsilon)
    return {"kernel": kernel * scale,
            "bias": params["norm"]["bias"] - stats["norm"]["mean"] * scale}


def forward(network_layers: tuple[Layer, ...], weights: dict, images: jax.Array) -> jax.Array:
    """Runs a Network with plain JAX operations; the form that `jax.export` writes.

    Args:
      network_layers: The layers of the Network.
      weights: The weights of the Network, or any pytree of the same form.
      images: Normalised images, [b, h, w, 3].

    Returns:
      Logits, [b, classes].
    """
    kept, x = {}, images
    awaited = {name for layer in network_layers for name in (layer.skip, layer.source)}
    for layer in network_layers:
        x = kept[layer.source] if layer.source else x
        x = x + kept[layer.skip] if layer.op == "add" else _run(layer, weights.get(layer.name), x)
        if layer.name in awaited:
            kept[layer.name] = x
    return x


def _run(layer: Layer, weights: dict | None, x: jax.Array) -> jax.Array:
    if layer.op == "conv":
        padding = [(layer.kernel // 2,) * 2] * 2
        x = lax.conv_general_dilated(
            x, weights["kernel"], (layer.stride,) * 2, padding, feature_group_count=layer.groups,
            dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return activate(x + weights["bias"][None, None, None], layer.activation)
    if layer.op == "squeeze_excite":
        pooled = x.mean((1, 2))
        hidden = jax.nn.relu(pooled @ weights["reduce_kernel"] + weights["reduce_bias"][None])
        gate = hard_sigmoid(hidden @ weights["expand_kernel"] + weights["expand_bias"][None])
        return x * gate[:, None, None]
    if layer.op == "activation":
        return activate(x, layer.activation)
    if layer.op == "max_pool":
        return max_pool(x, layer.kernel, layer.stride)
    if layer.op == "average_pool":
        return mean_pool(x, layer.stride)
    if layer.op == "pool":
        return x.mean((1, 2), keepdims=True)
    assert layer.op == "dense", layer.op
    return x.reshape(x.shape[0], -1) @ weights["kernel"] + weights["bias"][None]


def weight_shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of a layer in a Network, by name; empty where it has none."""
    i, o, m = layer.in_channels, layer.out_channels, layer.hidden
    if layer.op == "conv":
        return {"kernel": (layer.kernel, layer.kernel, i // layer.groups, o), "bias": (o,)}
    if layer.op == "squeeze_excite":
        return {"reduce_kernel": (i, m), "reduce_bias": (m,), "expand_kernel": (m, i),
                "expand_bias": (i,)}
    return {"kernel": (i, o), "bias": (o,)} if layer.op == "dense" else {}


def random_weights(network_layers: tuple[Layer, ...],
                   seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Random weights for timing, float32, spread so that no feature map dies or explodes."""
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        spread = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1
        return rng.standard_normal(shape, np.float32) * np.float32(spread)

    return {layer.name: {name: draw(shape) for name, shape in weight_shapes(layer).items()}
            for layer in network_layers}
