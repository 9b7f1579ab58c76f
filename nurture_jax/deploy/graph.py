"""The whole of a NurtureNet as one ONNX graph: raw frames and numbers in, all of `observe` out.

`observe` is traced as it is run in JAX, with b clips of t frames left open. Convolutions, gates and
heads, the modules of LAYERS, are not traced but written as layers of `onnx_writer`, with batch norm
folded. So geometry, fusion and whatever joins them have one description, and a file follows it.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import numpy as np
import onnx

from deps_jax.export import traced
from deps_jax.export.onnx_writer import Weights
from deps_jax.space.layers import Layer
from nurture_jax.clips.clip_augment import ClipAugment
from nurture_jax.measures import TABULAR
from nurture_jax.network.backbones import ConvNorm, SqueezeExcite
from nurture_jax.network.model import Doubled, NurtureNet, Unfolded
from nurture_jax.runs.inference import observe

PRODUCER = "nurture_jax"


def write(model: NurtureNet, variables: Mapping, preprocess: ClipAugment, size: int,
          precision: str = "fp32") -> onnx.ModelProto:
    """The model of a network.

    It computes in float32, also where the network was trained in bfloat16.

    Args:
      model: The network.
      variables: Its weights and statistics, "params" and "batch_stats".
      preprocess: Mean and standard deviation of colours.
      size: Side of the frames in pixels.
      precision: "fp32", or "int8": kernels of convolutions, one scale for each output channel.

    Returns:
      The model of inputs "frames" [b, t, size, size, 3] uint8, "tabular" and "tabular_mask"
      [b, n], "reference_cm" [b] float32, with the outputs of `inference.observe`.
    """
    layers = _Layers(jax.tree.map(np.asarray, dict(variables)))
    exact = model.clone(settings=dataclasses.replace(model.settings, dtype="float32"))
    b, t = traced.sizes("b", "t")
    inputs = {"frames": ("uint8", (b, t, size, size, 3)), "tabular": ("float32", (b, len(TABULAR))),
              "tabular_mask": ("float32", (b, len(TABULAR))), "reference_cm": ("float32", (b,))}

    def function(batch: dict) -> dict:
        # Three numbers for each pixel are slow to scale; three planes are not.
        frames = traced.laid(batch["frames"], (0, 1, 4, 2, 3))
        with nn.intercept_methods(layers):
            return observe(exact, variables, preprocess, batch | {"frames": frames})

    return traced.write(function, inputs, layers.weights, precision, PRODUCER)


class _Layers:
    """Puts a layer in the place of each module that is one, and keeps its folded weights."""

    def __init__(self, variables: Mapping) -> None:
        self.weights: dict[str, Weights] = {}
        self._variables = variables

    def __call__(self, run: Callable, args: tuple, kwargs: dict,
                 context: nn.module.InterceptorContext) -> object:
        module, name = context.module, "/".join(context.module.path)
        describe = _LAYERS.get(type(module))
        if describe is None or context.method_name != "__call__" or args[0].ndim != 4:
            return run(*args, **kwargs)
        part = {kind: _inside(tree, module.path) for kind, tree in self._variables.items()}
        _, height, width, channels = args[0].shape
        assert height == width, "frames are square"
        fields, self.weights[name] = describe(module, part)
        finer = fields.pop("finer", 1)
        size = finer * -(-height // fields.get("stride", 1))
        kept = channels // finer**2 if fields["op"] == "unfold" else channels
        return traced.layer(args[0], Layer(
            name, in_channels=channels, size_in=height, size_out=size,
            **{"out_channels": kept} | fields))


def _inside(tree: Mapping, path: tuple[str, ...]) -> Mapping:
    """The variables of a module; none where it has none of a kind."""
    for name in path:
        tree = tree.get(name, {})
    return tree


def _conv_norm(module: ConvNorm, part: Mapping) -> tuple[dict, Weights]:
    kernel, norm = part["params"]["kernel"], part["params"]["norm"]
    running = part["batch_stats"]["norm"]
    scale = norm["scale"] / np.sqrt(running["var"].astype(np.float64) + module.epsilon)
    return ({"op": "conv", "out_channels": module.features, "kernel": module.kernel,
             "stride": module.stride, "groups": module.features if module.depthwise else 1,
             "activation": module.activation},
            {"kernel": np.float32(kernel * scale),
             "bias": np.float32(norm["bias"] - running["mean"] * scale)})


def _dense(module: nn.Dense, part: Mapping) -> tuple[dict, Weights]:
    """A dense layer on maps is a convolution of single pixels."""
    return ({"op": "conv", "out_channels": module.features},
            {"kernel": part["params"]["kernel"][None, None], "bias": part["params"]["bias"]})


def _squeeze_excite(module: SqueezeExcite, part: Mapping) -> tuple[dict, Weights]:
    return ({"op": "squeeze_excite", "hidden": module.hidden},
            {f"{half}_{name}": part["params"][half][name] for half in ("reduce", "expand")
             for name in ("kernel", "bias")})


_LAYERS = {ConvNorm: _conv_norm, nn.Dense: _dense, SqueezeExcite: _squeeze_excite,
           Doubled: lambda module, part: ({"op": "double", "finer": 2}, {}),
           Unfolded: lambda module, part: ({"op": "unfold", "finer": module.factor}, {})}
