"""Ways to write a depthwise convolution and its gradients, timed apart on one device.

Which is the fastest depends on the device; `common/nn/depthwise.py` takes for each platform what
was measured best there (docs/results.md).
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax

from deps_jax.common.nn import depthwise_native, depthwise_shifted

DIRECTIONS = ("forward", "input gradient", "kernel gradient")
KERNELS = (3, 7)
MAPS = ((56, 144), (14, 480), (7, 960))  # (pixels, channels), in mobilenet_v3 at 224 px


class Form(NamedTuple):
    """One way to compute one direction.

    Attributes:
      direction: One of DIRECTIONS.
      name: Name of the form.
      function: (x [b, h, w, c], kernel [k, k, c], dy [b, h, w, c]) -> the result, at stride 1.
    """

    direction: str
    name: str
    function: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


FORMS = (
    Form("forward", "native", lambda x, kernel, dy: depthwise_native.native(x, kernel)),
    Form("forward", "shifted", lambda x, kernel, dy: depthwise_shifted.shifted(x, kernel)),
    Form("input gradient", "native", lambda x, kernel, dy: jax.linear_transpose(
        lambda x: depthwise_native.native(x, kernel), x)(dy)[0]),
    Form("input gradient", "turned", lambda x, kernel, dy: depthwise_native.native(
        dy, kernel[::-1, ::-1])),
    Form("input gradient", "shifted", lambda x, kernel, dy: depthwise_shifted.shifted(
        dy, kernel[::-1, ::-1])),
    Form("kernel gradient", "native", depthwise_native.native_kernel_gradient),
    Form("kernel gradient", "sums", lambda x, kernel, dy: depthwise_native.sums_of_products(
        x, dy, kernel.shape[0]).astype(kernel.dtype)),
    Form("kernel gradient", "blocks", depthwise_native.gradient_in_blocks),
)


class Case(NamedTuple):
    """A form on one shape, ready to run."""

    form: Form
    kernel: int
    pixels: int
    channels: int
    dtype: str
    run: Callable[[], jax.Array]

    def described(self) -> dict[str, str | int]:
        """What is run, in words and numbers."""
        return {"direction": self.form.direction, "form": self.form.name, "kernel": self.kernel,
                "pixels": self.pixels, "channels": self.channels, "dtype": self.dtype}


def cases(batch_size: int, kernels: tuple[int, ...] = KERNELS,
          maps: tuple[tuple[int, int], ...] = MAPS,
          dtypes: tuple[str, ...] = ("float32", "bfloat16")) -> Iterator[Case]:
    """All forms at all shapes, on random numbers; each compiles at its first run."""
    for dtype in dtypes:
        for pixels, channels in maps:
            keys = jax.random.split(jax.random.key(pixels), 2)
            x, dy = (jax.random.normal(key, (batch_size, pixels, pixels, channels), dtype)
                     for key in keys)
            for k in kernels:
                kernel = jax.random.normal(jax.random.key(k), (k, k, channels), dtype)
                for form in FORMS:
                    if form.name == "blocks" and k != 7:
                        continue
                    yield Case(form, k, pixels, channels, dtype,
                               partial(jax.jit(form.function), x, kernel, dy))
