"""Depthwise convolution whose kernel size is chosen at run time.

Every platform has the form that was measured fastest on it: C++ on CPU, of which XLA's own may take
the place (`depthwise_cpp`), and the grouped convolution elsewhere (`depthwise_native`).
"""
from __future__ import annotations

from functools import partial

import jax

from deps_jax.common.nn import depthwise_cpp, depthwise_native, depthwise_shifted
from deps_jax.common.nn.by_platform import by_platform
from deps_jax.common.nn.depthwise_shifted import Kernels, Sizes
from deps_jax.common.nn.dispatch import Index, is_static


def depthwise(x: jax.Array, kernels: Kernels, choice: Index, stride: int,
              sizes: Sizes | None = None) -> jax.Array:
    """Convolves every channel with its own k*k kernel, padding k // 2 on every side.

    Args:
      x: Feature map, [b, h, w, c].
      kernels: Candidates, each [k, k, c] with its own odd k; or one array [K, K, C], C >= c, in
        whose centre and leading channels lie candidates of the given sizes.
      choice: Position of the one to use, a Python int or a traced integer.
      stride: Stride, 1 or 2.
      sizes: k of every candidate, of one array; None where each is given.

    Returns:
      Feature map, [b, ceil(h / stride), ceil(w / stride), c].
    """
    sizes = sizes or tuple(kernel.shape[0] for kernel in kernels)
    if is_static(choice):
        own = kernels if len(kernels) == 1 else (kernels[int(choice)],)
        return _depthwise(x, own, None, stride, (sizes[int(choice)],))
    return _depthwise(x, kernels, choice, stride, sizes)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _depthwise(x: jax.Array, kernels: Kernels, choice: Index | None, stride: int,
               sizes: Sizes) -> jax.Array:
    return _convolve(x, kernels, choice, sizes=sizes, stride=stride, precision=_precision())


def _forward(x: jax.Array, kernels: Kernels, choice: Index | None, stride: int, sizes: Sizes
             ) -> tuple[jax.Array, tuple[jax.Array, Kernels, Index | None]]:
    return _depthwise(x, kernels, choice, stride, sizes), (x, kernels, choice)


def _backward(stride: int, sizes: Sizes, residuals: tuple[jax.Array, Kernels, Index | None],
              dy: jax.Array) -> tuple[jax.Array, Kernels, None]:
    x, kernels, choice = residuals
    dx, dkernels = _pull_back(x, kernels, choice, dy, sizes=sizes, stride=stride,
                              precision=_precision())
    return dx, dkernels, None


_depthwise.defvjp(_forward, _backward)


def _precision() -> str | None:
    """What `jax.default_matmul_precision` asks for here; lowering, later, is outside of it."""
    return jax.config.jax_default_matmul_precision


_convolve = by_platform(
    "depthwise", cpu=depthwise_cpp.convolve, exported={"cpu": depthwise_shifted.convolve},
    default=depthwise_native.convolve)
_pull_back = by_platform(
    "depthwise_pullback", cpu=depthwise_cpp.pull_back,
    exported={"cpu": depthwise_shifted.pull_back},
    cuda=partial(depthwise_native.pull_back, kernel_gradient=depthwise_native.cuda_kernel_gradient),
    default=partial(depthwise_native.pull_back,
                    kernel_gradient=depthwise_native.native_kernel_gradient))
