"""Depthwise convolution as k*k shifted multiply-adds: on CPU, wherever it has to be XLA's own.

The grouped convolution of XLA is 50 times behind PyTorch's there. The input gradient is the same
sum with the kernel turned round, the kernel gradient a loop of partial sums.
"""
from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from deps_jax.common.nn.dispatch import Index, switch
from deps_jax.common.nn.precision import sum_dtype

Kernels = tuple[jax.Array, ...]  # candidates [k, k, c], or one array that they are cut out of
Sizes = tuple[int, ...]  # k of every candidate

_PARTIAL_SUMS = 16  # weight gradient: batch slices summed apart; 8 to 16 measured best
_UNROLLED_TERMS = 64  # and output pixels per loop iteration; 128 is 4 times slower


# The padding stands outside the switch, so that the forward pass a block repeats in its pullback
# and the pullback itself share it.
@partial(jax.jit, static_argnames=("sizes", "stride", "precision"))
def convolve(x: jax.Array, kernels: Kernels, choice: Index | None, *, sizes: Sizes, stride: int,
             precision: str | None) -> jax.Array:
    """The convolution of x, [b, h, w, c], with the chosen kernel, see `depthwise.depthwise`."""
    del precision  # of matrix units, which are not used here
    kernels = candidates(kernels, sizes, x.shape[-1])
    height, width = _out_size(x.shape[1], stride), _out_size(x.shape[2], stride)
    margin = max(kernel.shape[0] for kernel in kernels) // 2
    branches = [
        lambda padded, kernels, i=i: _sum_of_shifts(
            padded, kernels[i], margin - kernels[i].shape[0] // 2, height, width, stride)
        for i in range(len(kernels))
    ]
    return switch(choice, branches, pad(x, margin), kernels)


@partial(jax.jit, static_argnames=("sizes", "stride", "precision"))
def pull_back(x: jax.Array, kernels: Kernels, choice: Index | None, dy: jax.Array, *,
              sizes: Sizes, stride: int, precision: str | None) -> tuple[jax.Array, Kernels]:
    """The gradients of the input and of every kernel; those of weights not chosen are zero."""
    del precision
    _, h, w, c = x.shape
    kernels, put_back = jax.vjp(lambda kernels: candidates(kernels, sizes, c), kernels)
    margin = max(kernel.shape[0] for kernel in kernels) // 2
    # The adjoint spreads dy over the grid of x (dilation), then convolves with the turned kernel.
    padding = [(margin, size - 1 + margin - (out - 1) * stride, stride - 1)
               for size, out in ((h, dy.shape[1]), (w, dy.shape[2]))]
    spread = lax.pad(dy, jnp.zeros((), dy.dtype), [(0, 0, 0), *padding, (0, 0, 0)])

    def pull(padded: jax.Array, kernels: Kernels, dy: jax.Array, spread: jax.Array,
             i: int) -> tuple[jax.Array, Kernels]:
        k = kernels[i].shape[0]
        offset = margin - k // 2
        dx = _sum_of_shifts(spread, kernels[i][::-1, ::-1], offset, h, w, 1)
        dkernel = _kernel_gradient(padded, dy, k, offset, stride).astype(kernels[i].dtype)
        return dx, tuple(dkernel if j == i else jnp.zeros_like(kernel)
                         for j, kernel in enumerate(kernels))

    branches = [partial(pull, i=i) for i in range(len(kernels))]
    dx, gradients = switch(choice, branches, pad(x, margin), kernels, dy, spread)
    return dx, *put_back(gradients)


def candidates(kernels: Kernels, sizes: Sizes, channels: int) -> Kernels:
    """Kernels [k, k, channels] of all sizes; one array alone holds them in its centre."""
    if len(kernels) == len(sizes) > 1:
        return kernels
    (whole,), margins = kernels, [(kernels[0].shape[0] - size) // 2 for size in sizes]
    return tuple(whole[margin:margin + size, margin:margin + size, :channels]
                 for size, margin in zip(sizes, margins, strict=True))


def shifted(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """The convolution of x, [b, h, w, c], with one kernel [k, k, c] as shifted multiply-adds."""
    height, width = _out_size(x.shape[1], stride), _out_size(x.shape[2], stride)
    return _sum_of_shifts(pad(x, kernel.shape[0] // 2), kernel, 0, height, width, stride)


def _sum_of_shifts(padded: jax.Array, kernel: jax.Array, offset: int, height: int, width: int,
                   stride: int) -> jax.Array:
    """Convolution of an input that is padded by `offset` pixels more than the kernel needs."""
    k, _, channels = kernel.shape
    weights, total = kernel.reshape(k * k, 1, 1, 1, channels), None
    for i in range(k):
        for j in range(k):
            weight = lax.index_in_dim(weights, i * k + j, keepdims=False)
            term = window(padded, offset + i, offset + j, height, width, stride) * weight
            total = term if total is None else total + term
    return total


def window(padded: jax.Array, i: int, j: int, height: int, width: int,
            stride: int) -> jax.Array:
    """Every `stride`-th pixel from pixel (i, j) on, [b, height, width, c]."""
    b, _, _, c = padded.shape
    limits = (b, i + (height - 1) * stride + 1, j + (width - 1) * stride + 1, c)
    return lax.slice(padded, (0, i, j, 0), limits, (1, stride, stride, 1))


def _kernel_gradient(padded: jax.Array, dy: jax.Array, k: int, offset: int,
                     stride: int) -> jax.Array:
    """Sum over images and pixels of x shifted times dy, [k, k, c], in float32 or better.

    Each iteration adds the terms of a few output rows for a slice of the batch; `parts` partial
    sums of [k, k, c] keep the vector units busy.
    """
    b, height, width, c = dy.shape
    parts = _divisor_up_to(b, _PARTIAL_SUMS)
    columns = _divisor_up_to(width, _UNROLLED_TERMS)
    rows = _divisor_up_to(height, max(1, _UNROLLED_TERMS // columns))
    tall, wide = (rows - 1) * stride + k, (columns - 1) * stride + k
    padded = padded.reshape(parts, b // parts, *padded.shape[1:])
    dy = dy.reshape(parts, b // parts, height, width, c)
    row_steps, column_steps = height // rows, width // columns

    def body(t: jax.Array, total: jax.Array) -> jax.Array:
        image, tile = t // (row_steps * column_steps), t % (row_steps * column_steps)
        row, column = tile // column_steps * rows, tile % column_steps * columns
        corner = (0, image, row * stride + offset, column * stride + offset, 0)
        patch = lax.dynamic_slice(padded, corner, (parts, 1, tall, wide, c))[:, 0]
        cotangent = lax.dynamic_slice(dy, (0, image, row, column, 0),
                                      (parts, 1, rows, columns, c))[:, 0]
        for u in range(rows):
            for v in range(columns):
                shifted = lax.slice(
                    patch, (0, u * stride, v * stride, 0),
                    (parts, u * stride + k, v * stride + k, c))
                pixel = lax.slice(cotangent, (0, u, v, 0), (parts, u + 1, v + 1, c))
                total = total + (shifted * pixel).astype(total.dtype)
        return total

    steps = b // parts * row_steps * column_steps
    zeros = jnp.zeros((parts, k, k, c), sum_dtype(dy))
    return lax.fori_loop(0, steps, body, zeros).sum(0)


def pad(x: jax.Array, amount: int) -> jax.Array:
    """Zeros around every image."""
    return jnp.pad(x, ((0, 0), (amount, amount), (amount, amount), (0, 0)))


def _out_size(size: int, stride: int) -> int:
    return -(-size // stride)


def _divisor_up_to(number: int, limit: int) -> int:
    return next(d for d in range(min(number, limit), 0, -1) if number % d == 0)
