"""A subnet as StableHLO: one file with its weights for CPU, GPU and TPU, any batch size.

Whoever has JAX reads it back without this project, on images [b, r, r, 3] float32 (preprocessed):

    logits = jax.export.deserialize(bytearray(Path("NAME.stablehlo").read_bytes())).call(images)
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from jax import export

from deps_jax.common.nn.precision import full_precision
from deps_jax.supernet import network

PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(cut: network.Network) -> bytes:
    """The network as a serialised `jax.export` artifact, its weights inside.

    It computes in float32 also where the default would round to TF32 or bfloat16.
    """
    side, channels = cut.layers[0].size_in, cut.layers[0].in_channels
    batch, = export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, side, side, channels), np.float32)
    run = jax.jit(full_precision(partial(network.forward, cut.layers, cut.weights)))
    return bytes(export.export(run, platforms=PLATFORMS)(images).serialize())


def from_stablehlo(content: bytes) -> Callable[[jax.typing.ArrayLike], jax.Array]:
    """A serialised network as a function from images [b, r, r, 3] to logits [b, classes]."""
    return jax.jit(export.deserialize(bytearray(content)).call)
