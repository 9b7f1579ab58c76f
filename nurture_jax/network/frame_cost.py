"""What a NurtureNet computes for a frame beside its backbone; the same for all of a space."""
from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax

from nurture_jax.network.backbones import ConvNorm
from nurture_jax.network.model import NurtureNet, zero_inputs

BACKBONE = "backbone"


def macs_behind(model: NurtureNet, size: int) -> int:
    """Multiply-adds of neck and proxy heads for a frame; the numbers after pooling are few.

    Args:
      size: Side of the frames in pixels.
    """
    found = []

    def count(run: Callable, args: tuple, kwargs: dict, context: nn.module.InterceptorContext
              ) -> object:
        module, y = context.module, run(*args, **kwargs)
        if context.method_name == "__call__" and BACKBONE not in module.path \
                and isinstance(module, (ConvNorm, nn.Dense)) and args[0].ndim == 4:
            kernel = getattr(module, "kernel", 1)
            inputs = 1 if getattr(module, "depthwise", False) else args[0].shape[-1]
            found.append(y.size // y.shape[0] * kernel**2 * inputs)
        return y

    with nn.intercept_methods(count):
        jax.eval_shape(lambda: model.init(jax.random.key(0), *zero_inputs(1, size, size)))
    return sum(found)
