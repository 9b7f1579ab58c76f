"""One subnet on its own: its layers and folded weights, cut out of the supernet.

Everything after training starts here: the ONNX writer, the latency table and the static forward
pass below read a `Network` and nothing else.
"""
from __future__ import annotations

import dataclasses

import jax
import numpy as np
from jax import lax

from deps_jax.common.nn.operations import activate, hard_sigmoid
from deps_jax.space.layers import Layer, layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.supernet.elastic import kernel_candidates, nth_block, slice_block


@dataclasses.dataclass(frozen=True)
class Network:
    """A static network for images [b, h, w, 3].

    Attributes:
      layers: in order of execution.
      weights: by layer name, float32 arrays: "kernel" [k, k, i / groups, o] and "bias" [o] of a
        convolution (batch norm folded in), "kernel" [i, o] and "bias" of a dense layer;
        "reduce_kernel", "reduce_bias", "expand_kernel", "expand_bias" of a squeeze-excite gate.
    """

    layers: tuple[Layer, ...]
    weights: dict[str, dict[str, np.ndarray]]


def extract(space: SearchSpace, params, batch_stats, subnet: Subnet,
            resolution: int | None = None) -> Network:
    """Cuts a static subnet out of supernet parameters.

    Kernel transforms are applied and batch norm is folded into the convolutions, in float64.

    Args:
      batch_stats: the subnet's own, from recalibration.
    """
    params, batch_stats = (jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)
                           for tree in (params, batch_stats))
    epsilon = space.norm_epsilon
    weights = {"stem": _fold(params["stem"]["kernel"], params["stem"], batch_stats["stem"],
                             epsilon)}
    weights |= _block("first_block", space.first_block, params["first_block"],
                      batch_stats["first_block"], 0, 0)
    for s, blocks in enumerate(space.blocks):
        for d in range(int(subnet.depth[s])):
            own = [nth_block(tree[f"stage{s}"], d) for tree in (params, batch_stats)]
            weights |= _block(f"stage{s}/block{d}", blocks[d], *own, int(subnet.expand[s, d]),
                              int(subnet.kernel[s, d]))
    head = params["head"]
    weights["head/expand"] = _fold(_as_1x1(head["expand"]["kernel"]), head["expand"],
                                   batch_stats["head"]["expand"], epsilon)
    if space.feature_width:
        kernel = _as_1x1(head["features"]["kernel"])
        weights["head/features"] = {"kernel": kernel, "bias": np.zeros(kernel.shape[-1])}
    weights["classifier"] = dict(params["classifier"])
    weights = jax.tree.map(lambda leaf: np.ascontiguousarray(leaf, np.float32), weights)
    return Network(layers(space, subnet, resolution), weights)


def _block(name, block, params, stats, expand_choice: int, kernel_choice: int):
    middle = block.middle_widths[expand_choice]
    params, stats = slice_block(params, middle), slice_block(stats, middle)
    weights = {}
    if block.expansion:
        weights[f"{name}/expand"] = _fold(_as_1x1(params["expand"]["kernel"]), params["expand"],
                                          stats["expand"], block.epsilon)
    kernel = np.asarray(_float64_candidates(params["depthwise"], block.kernels)[kernel_choice])
    weights[f"{name}/depthwise"] = _fold(kernel[:, :, None], params["depthwise"],
                                         stats["depthwise"], block.epsilon)
    if block.squeeze_excite:
        gate = params["squeeze_excite"]
        weights[f"{name}/squeeze_excite"] = {
            f"{part}_{tensor}": gate[part][tensor]
            for part in ("reduce", "expand") for tensor in ("kernel", "bias")}
    weights[f"{name}/project"] = _fold(_as_1x1(params["project"]["kernel"]), params["project"],
                                       stats["project"], block.epsilon)
    return weights


def _float64_candidates(params, kernels):
    with jax.enable_x64(True):
        return kernel_candidates(params, kernels)


def _as_1x1(kernel):
    return kernel[None, None]


def _fold(kernel, params, stats, epsilon: float):
    """Convolution and batch norm as one convolution with a bias."""
    scale = params["norm"]["scale"] / np.sqrt(stats["norm"]["var"] + epsilon)
    return {"kernel": kernel * scale,
            "bias": params["norm"]["bias"] - stats["norm"]["mean"] * scale}


def forward(network_layers: tuple[Layer, ...], weights, images: jax.Array) -> jax.Array:
    """Runs a Network with plain JAX operations; the form that `jax.export` writes.

    Args:
      weights: of the Network, or any pytree of the same form.
      images: [b, h, w, 3] normalised.

    Returns:
      [b, classes] logits.
    """
    kept, x = {}, images
    awaited = {layer.skip for layer in network_layers}
    for layer in network_layers:
        if layer.op == "add":
            x = x + kept.pop(layer.skip)
        else:
            x = _run(layer, weights.get(layer.name), x)
        if layer.name in awaited:
            kept[layer.name] = x
    return x


def _run(layer: Layer, weights, x):
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
    if layer.op == "pool":
        return x.mean((1, 2), keepdims=True)
    assert layer.op == "dense", layer.op
    return x.reshape(x.shape[0], -1) @ weights["kernel"] + weights["bias"][None]


def weight_shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights of a layer in a Network; empty where it has none."""
    i, o, m = layer.in_channels, layer.out_channels, layer.hidden
    if layer.op == "conv":
        return {"kernel": (layer.kernel, layer.kernel, i // layer.groups, o), "bias": (o,)}
    if layer.op == "squeeze_excite":
        return {"reduce_kernel": (i, m), "reduce_bias": (m,), "expand_kernel": (m, i),
                "expand_bias": (i,)}
    return {"kernel": (i, o), "bias": (o,)} if layer.op == "dense" else {}


def random_weights(network_layers: tuple[Layer, ...], seed: int = 0):
    """Weights of the right shapes for timing, spread so that no feature map dies or explodes."""
    rng = np.random.default_rng(seed)

    def draw(shape):
        spread = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1
        return rng.standard_normal(shape, np.float32) * np.float32(spread)

    return {layer.name: {name: draw(shape) for name, shape in weight_shapes(layer).items()}
            for layer in network_layers}
