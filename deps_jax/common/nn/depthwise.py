"""Depthwise convolution whose kernel size is chosen at run time.

On CPU, XLA's grouped convolution is far too slow (50 times behind PyTorch's), so the convolution is
k*k shifted multiply-adds, its input gradient the same with the kernel turned round, and its kernel
gradient a loop of partial sums. On GPU and TPU the native grouped convolution is taken, but for
kernel gradients at which cuDNN is slow (docs/results.md#on-an-h100).
"""
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from deps_jax.common.nn.by_platform import by_platform
from deps_jax.common.nn.dispatch import Index, is_static, switch

Kernels = tuple[jax.Array, ...]  # candidates, [k, k, c] each

_PARTIAL_SUMS = 16  # weight gradient: batch slices summed apart; 8 to 16 measured best
_UNROLLED_TERMS = 64  # and output pixels per loop iteration; 128 is 4 times slower


def depthwise(x: jax.Array, kernels: Kernels, choice: Index, stride: int) -> jax.Array:
    """Convolves every channel with its own k*k kernel, padding k // 2 on every side.

    Args:
      x: Feature map, [b, h, w, c].
      kernels: Candidates, each [k, k, c] with its own odd k.
      choice: Position of the one to use, a Python int or a traced integer.
      stride: Stride, 1 or 2.

    Returns:
      Feature map, [b, ceil(h / stride), ceil(w / stride), c].
    """
    if is_static(choice):
        return _depthwise(x, (kernels[int(choice)],), None, stride)
    return _depthwise(x, kernels, choice, stride)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _depthwise(x: jax.Array, kernels: Kernels, choice: Index | None, stride: int) -> jax.Array:
    return _convolve(x, kernels, choice, stride=stride, precision=_precision())


def _forward(x: jax.Array, kernels: Kernels, choice: Index | None, stride: int
             ) -> tuple[jax.Array, tuple[jax.Array, Kernels, Index | None]]:
    return _depthwise(x, kernels, choice, stride), (x, kernels, choice)


def _backward(stride: int, residuals: tuple[jax.Array, Kernels, Index | None],
              dy: jax.Array) -> tuple[jax.Array, Kernels, None]:
    x, kernels, choice = residuals
    dx, dkernels = _pull_back(x, kernels, choice, dy, stride=stride, precision=_precision())
    return dx, dkernels, None


_depthwise.defvjp(_forward, _backward)


def _precision() -> str | None:
    """What `jax.default_matmul_precision` asks for here; lowering, later, is outside of it."""
    return jax.config.jax_default_matmul_precision


# jit here and below is for tracing only: equal shapes share one jaxpr, in the forward pass, in the
# backward pass and in blocks alike. XLA inlines the call.
@partial(jax.jit, static_argnames=("stride", "precision"))
def _native(x: jax.Array, kernels: Kernels, choice: Index | None, *, stride: int,
            precision: str | None) -> jax.Array:
    branches = [partial(_grouped_convolution, stride=stride, i=i, precision=precision)
                for i in range(len(kernels))]
    return switch(choice, branches, x, kernels)


@partial(jax.jit, static_argnames=("kernel_gradient", "stride", "precision"))
def _native_pullback(x: jax.Array, kernels: Kernels, choice: Index | None, dy: jax.Array, *,
                     kernel_gradient: Callable[..., jax.Array], stride: int,
                     precision: str | None) -> tuple[jax.Array, Kernels]:
    def pull(x: jax.Array, kernels: Kernels, dy: jax.Array, i: int) -> tuple[jax.Array, Kernels]:
        convolution = partial(_grouped_convolution, kernels=kernels, stride=stride, i=i,
                              precision=precision)
        dx, = jax.linear_transpose(convolution, x)(dy)
        dkernel = kernel_gradient(x, kernels[i], dy, stride, precision)
        return dx, tuple(dkernel if j == i else jnp.zeros_like(kernel)
                         for j, kernel in enumerate(kernels))

    branches = [partial(pull, i=i) for i in range(len(kernels))]
    return switch(choice, branches, x, kernels, dy)


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


# The padding stands outside the switch, so that the forward pass a block repeats in its pullback
# and the pullback itself share it.
@partial(jax.jit, static_argnames=("stride", "precision"))
def _shifted(x: jax.Array, kernels: Kernels, choice: Index | None, *, stride: int,
             precision: str | None) -> jax.Array:
    del precision  # of matrix units, which are not used here
    height, width = _out_size(x.shape[1], stride), _out_size(x.shape[2], stride)
    margin = max(kernel.shape[0] for kernel in kernels) // 2
    branches = [
        lambda padded, kernels, i=i: _sum_of_shifts(
            padded, kernels[i], margin - kernels[i].shape[0] // 2, height, width, stride)
        for i in range(len(kernels))
    ]
    return switch(choice, branches, _pad(x, margin), kernels)


@partial(jax.jit, static_argnames=("stride", "precision"))
def _shifted_pullback(x: jax.Array, kernels: Kernels, choice: Index | None, dy: jax.Array, *,
                      stride: int, precision: str | None) -> tuple[jax.Array, Kernels]:
    del precision
    _, h, w, _ = x.shape
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
    return switch(choice, branches, _pad(x, margin), kernels, dy, spread)


_convolve = by_platform("depthwise", cpu=_shifted, default=_native)
_pull_back = by_platform(
    "depthwise_pullback", cpu=_shifted_pullback,
    cuda=partial(_native_pullback, kernel_gradient=cuda_kernel_gradient),
    default=partial(_native_pullback, kernel_gradient=native_kernel_gradient))


def native(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """The convolution of x, [b, h, w, c], with one kernel [k, k, c] as XLA has it."""
    return _grouped_convolution(x, (kernel,), stride=stride, i=0, precision=None)


def shifted(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """The convolution of x, [b, h, w, c], with one kernel [k, k, c] as shifted multiply-adds."""
    height, width = _out_size(x.shape[1], stride), _out_size(x.shape[2], stride)
    return _sum_of_shifts(_pad(x, kernel.shape[0] // 2), kernel, 0, height, width, stride)


def sums_of_products(x: jax.Array, dy: jax.Array, k: int, stride: int = 1) -> jax.Array:
    """The gradient of a kernel, [k, k, c], as k*k sums over images and pixels, each a reduction.

    Args:
      x: What was convolved, [b, h, w, c].
      dy: Gradient of the result, [b, h', w', c].

    Returns:
      The gradient in float32 or better.
    """
    _, height, width, c = dy.shape
    padded, wide = _pad(x, k // 2), jnp.promote_types(dy.dtype, jnp.float32)
    return jnp.stack([
        (_window(padded, i, j, height, width, stride).astype(wide) * dy.astype(wide)).sum((0, 1, 2))
        for i in range(k) for j in range(k)]).reshape(k, k, c)


def _sum_of_shifts(padded: jax.Array, kernel: jax.Array, offset: int, height: int, width: int,
                   stride: int) -> jax.Array:
    """Convolution of an input that is padded by `offset` pixels more than the kernel needs."""
    k, _, channels = kernel.shape
    weights, total = kernel.reshape(k * k, 1, 1, 1, channels), None
    for i in range(k):
        for j in range(k):
            weight = lax.index_in_dim(weights, i * k + j, keepdims=False)
            term = _window(padded, offset + i, offset + j, height, width, stride) * weight
            total = term if total is None else total + term
    return total


def _window(padded: jax.Array, i: int, j: int, height: int, width: int,
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
    zeros = jnp.zeros((parts, k, k, c), jnp.promote_types(dy.dtype, jnp.float32))
    return lax.fori_loop(0, steps, body, zeros).sum(0)


def _pad(x: jax.Array, amount: int) -> jax.Array:
    return jnp.pad(x, ((0, 0), (amount, amount), (amount, amount), (0, 0)))


def _out_size(size: int, stride: int) -> int:
    return -(-size // stride)


def _divisor_up_to(number: int, limit: int) -> int:
    return next(d for d in range(min(number, limit), 0, -1) if number % d == 0)
