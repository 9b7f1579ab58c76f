"""Depthwise convolution as XLA's grouped convolution: on GPU and TPU.

But for kernel gradients at which cuDNN is slow (docs/results.md#on-an-h100).
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from deps_jax.common.nn.depthwise_shifted import Kernels, Sizes, candidates, pad, window
from deps_jax.common.nn.dispatch import Index, switch
from deps_jax.common.nn.precision import sum_dtype


# jit is for tracing only: equal shapes share one jaxpr, in the forward pass, in the backward pass
# and in blocks alike. XLA inlines the call.
@partial(jax.jit, static_argnames=("sizes", "stride", "precision"))
def convolve(x: jax.Array, kernels: Kernels, choice: Index | None, *, sizes: Sizes, stride: int,
             precision: str | None) -> jax.Array:
    """The convolution of x, [b, h, w, c], with the chosen kernel, see `depthwise.depthwise`."""
    kernels = candidates(kernels, sizes, x.shape[-1])
    branches = [partial(_grouped_convolution, stride=stride, i=i, precision=precision)
                for i in range(len(kernels))]
    return switch(choice, branches, x, kernels)


@partial(jax.jit, static_argnames=("kernel_gradient", "sizes", "stride", "precision"))
def pull_back(x: jax.Array, kernels: Kernels, choice: Index | None, dy: jax.Array, *,
              kernel_gradient: Callable[..., jax.Array], sizes: Sizes, stride: int,
              precision: str | None) -> tuple[jax.Array, Kernels]:
    """The gradients of the input and of every kernel; those of weights not chosen are zero."""
    channels = x.shape[-1]
    kernels, put_back = jax.vjp(lambda kernels: candidates(kernels, sizes, channels), kernels)

    def pull(x: jax.Array, kernels: Kernels, dy: jax.Array, i: int) -> tuple[jax.Array, Kernels]:
        convolution = partial(_grouped_convolution, kernels=kernels, stride=stride, i=i,
                              precision=precision)
        dx, = jax.linear_transpose(convolution, x)(dy)
        dkernel = kernel_gradient(x, kernels[i], dy, stride, precision)
        return dx, tuple(dkernel if j == i else jnp.zeros_like(kernel)
                         for j, kernel in enumerate(kernels))

    branches = [partial(pull, i=i) for i in range(len(kernels))]
    dx, gradients = switch(choice, branches, x, kernels, dy)
    return dx, *put_back(gradients)


def cuda_kernel_gradient(x: jax.Array, kernel: jax.Array, dy: jax.Array, stride: int = 1,
                         precision: str | None = None) -> jax.Array:
    """The gradient [k, k, c] of a kernel, in the form that was measured fastest on an H100.

    Of 7x7 kernels cuDNN's own is 5 times slower than four of 5x5 kernels in float32, and 4 times
    slower than plain sums in bfloat16 on 7x7 pixels; everywhere else it is the fastest.

    Args:
      x: What was convolved, [b, h, w, c].
      kernel: The kernel, [k, k, c].
      dy: Gradient of the result, [b, h', w', c].
    """
    k = kernel.shape[0]
    if k == 7 and x.dtype == jnp.float32:
        return gradient_in_blocks(x, kernel, dy, stride, precision)
    if k == 7 and x.dtype == jnp.bfloat16 and dy.shape[1] <= 7:
        return sums_of_products(x, dy, k, stride).astype(kernel.dtype)
    return native_kernel_gradient(x, kernel, dy, stride, precision)


def native_kernel_gradient(x: jax.Array, kernel: jax.Array, dy: jax.Array, stride: int = 1,
                           precision: str | None = None) -> jax.Array:
    """The gradient [k, k, c] of a kernel as XLA has it; arguments as above."""
    def convolution(kernel: jax.Array) -> jax.Array:
        return _grouped_convolution(x, (kernel,), stride=stride, i=0, precision=precision)

    return jax.linear_transpose(convolution, kernel)(dy)[0]


def gradient_in_blocks(x: jax.Array, kernel: jax.Array, dy: jax.Array, stride: int = 1,
                       precision: str | None = None) -> jax.Array:
    """The gradient of a 7x7 kernel as those of its four corners of 5x5; arguments as above."""
    corners = {}
    for i in (0, 2):
        for j in (0, 2):
            moved = jnp.pad(x, ((0, 0), (2 - i, i), (2 - j, j), (0, 0)))
            convolution = partial(_convolve_native, moved, stride=stride, margin=1,
                                  precision=precision)
            corners[i, j], = jax.linear_transpose(convolution, kernel[i:i + 5, j:j + 5])(dy)
    top, bottom = (jnp.concatenate([corners[i, 0], corners[i, 2][:, -2:]], 1) for i in (0, 2))
    return jnp.concatenate([top, bottom[-2:]])


def _grouped_convolution(x: jax.Array, kernels: Kernels, *, stride: int, i: int,
                         precision: str | None) -> jax.Array:
    return _convolve_native(x, kernels[i], stride=stride, margin=kernels[i].shape[0] // 2,
                            precision=precision)


def _convolve_native(x: jax.Array, kernel: jax.Array, *, stride: int, margin: int,
                     precision: str | None) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), [(margin, margin)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=x.shape[-1],
        precision=precision)


def native(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """The convolution of x, [b, h, w, c], with one kernel [k, k, c] as XLA has it."""
    return _grouped_convolution(x, (kernel,), stride=stride, i=0, precision=None)


def sums_of_products(x: jax.Array, dy: jax.Array, k: int, stride: int = 1) -> jax.Array:
    """The gradient of a kernel, [k, k, c], as k*k sums over images and pixels, each a reduction.

    Args:
      x: What was convolved, [b, h, w, c].
      dy: Gradient of the result, [b, h', w', c].

    Returns:
      The gradient in float32 or better.
    """
    _, height, width, c = dy.shape
    padded, wide = pad(x, k // 2), sum_dtype(dy)
    return jnp.stack([
        (window(padded, i, j, height, width, stride).astype(wide) * dy.astype(wide)).sum((0, 1, 2))
        for i in range(k) for j in range(k)]).reshape(k, k, c)
