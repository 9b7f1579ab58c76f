"""Depthwise convolution in C++ (`depthwise.cc`): on CPU, several times faster than XLA's own form.

The kernel is chosen inside of it, so that a program holds one call instead of a switch over sums of
9, 25 and 49 products, which took most of the time to compile a supernet. Where there is no C++
compiler, the program holds the form of `depthwise_shifted`.
"""
from __future__ import annotations

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.compiled.cpp import Library
from deps_jax.common.nn import depthwise_shifted
from deps_jax.common.nn.depthwise_shifted import Kernels, Sizes
from deps_jax.common.nn.dispatch import Index
from deps_jax.common.nn.precision import sum_dtype

LIBRARY = Library(Path(__file__).with_name("depthwise.cc"), ("depthwise", "depthwise_pullback"),
                  instead="depthwise convolutions take two to four times as long")


@partial(jax.jit, static_argnames=("sizes", "stride", "precision"))
def convolve(x: jax.Array, kernels: Kernels, choice: Index | None, *, sizes: Sizes, stride: int,
             precision: str | None) -> jax.Array:
    """The convolution of x, [b, h, w, c], with the chosen kernel, see `depthwise.depthwise`."""
    if not LIBRARY.load():
        return depthwise_shifted.convolve(x, kernels, choice, sizes=sizes, stride=stride,
                                          precision=precision)
    b, h, w, c = x.shape
    size = (b, -(-h // stride), -(-w // stride), c)
    wide, *wide_kernels = _wide((x, *kernels))
    y = jax.ffi.ffi_call(LIBRARY.target("depthwise"), jax.ShapeDtypeStruct(size, wide.dtype))(
        wide, _number(choice), *wide_kernels, stride=np.int64(stride), sizes=np.array(sizes))
    return y.astype(x.dtype)


@partial(jax.jit, static_argnames=("sizes", "stride", "precision"))
def pull_back(x: jax.Array, kernels: Kernels, choice: Index | None, dy: jax.Array, *,
              sizes: Sizes, stride: int, precision: str | None) -> tuple[jax.Array, Kernels]:
    """The gradients of the input and of every kernel; those of weights not chosen are zero."""
    if not LIBRARY.load():
        return depthwise_shifted.pull_back(x, kernels, choice, dy, sizes=sizes, stride=stride,
                                           precision=precision)
    wide = _wide((x, dy, *kernels))
    shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in (wide[0], *wide[2:])]
    dx, *dkernels = jax.ffi.ffi_call(LIBRARY.target("depthwise_pullback"), shapes)(
        *wide[:2], _number(choice), *wide[2:], stride=np.int64(stride), sizes=np.array(sizes))
    return dx.astype(x.dtype), tuple(
        gradient.astype(kernel.dtype) for gradient, kernel in zip(dkernels, kernels, strict=True))


def _wide(arrays: tuple[jax.Array, ...]) -> list[jax.Array]:
    """The arrays in float32, or in float64 where the first is."""
    dtype = sum_dtype(arrays[0])
    return [array.astype(dtype) for array in arrays]


def _number(choice: Index | None) -> jax.Array:
    """The position of the kernel as the library reads it; None is the only one."""
    return jnp.asarray(0 if choice is None else choice, jnp.int32)
