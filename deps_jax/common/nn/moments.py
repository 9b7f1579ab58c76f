"""The sums of batch norm over all rows of a matrix: on CPU in C++ (`moments.cc`), in one pass."""
from __future__ import annotations

from pathlib import Path

import jax

from deps_jax.common.compiled.cpp import Library
from deps_jax.common.nn.by_platform import by_platform
from deps_jax.common.nn.precision import sum_dtype

LIBRARY = Library(Path(__file__).with_name("moments.cc"), ("moments", "norm_sums"),
                  instead="statistics of batch norm are summed as XLA does it, at half the speed")


def _moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean = x.mean(0, dtype=sum_dtype(x))
    centred = x.astype(mean.dtype) - mean[None]
    return mean, (centred * centred).mean(0)


def _moments_cpp(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    if not LIBRARY.load():
        return _moments(x)
    dtype = sum_dtype(x)
    vector = jax.ShapeDtypeStruct(x.shape[1:], dtype)
    return tuple(jax.ffi.ffi_call(LIBRARY.target("moments"), (vector, vector))(x.astype(dtype)))


def _norm_sums(x: jax.Array, dy: jax.Array, mean: jax.Array, inverse: jax.Array
               ) -> tuple[jax.Array, jax.Array]:
    dy = dy.astype(mean.dtype)
    return dy.sum(0), (dy * ((x.astype(mean.dtype) - mean[None]) * inverse[None])).sum(0)


def _norm_sums_cpp(x: jax.Array, dy: jax.Array, mean: jax.Array, inverse: jax.Array
                   ) -> tuple[jax.Array, jax.Array]:
    if not LIBRARY.load():
        return _norm_sums(x, dy, mean, inverse)
    vector = jax.ShapeDtypeStruct(mean.shape, mean.dtype)
    return tuple(jax.ffi.ffi_call(LIBRARY.target("norm_sums"), (vector, vector))(
        x.astype(mean.dtype), dy.astype(mean.dtype), mean, inverse))


_choose_moments = by_platform("moments", default=_moments, cpu=_moments_cpp,
                              exported={"cpu": _moments})
_choose_norm_sums = by_platform("norm_sums", default=_norm_sums, cpu=_norm_sums_cpp,
                                exported={"cpu": _norm_sums})


def moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of every column of x, [n, c], in float32 or better: [c] each.

    It has no derivative; batch norm has its own.
    """
    return _choose_moments(x)


def norm_sums(x: jax.Array, dy: jax.Array, mean: jax.Array, inverse: jax.Array
              ) -> tuple[jax.Array, jax.Array]:
    """Sums over the rows of dy, and of dy times the normalised x: [c] each.

    Args:
      x: What was normalised, [n, c].
      dy: Cotangent of what came out, [n, c].
      mean: Means of the columns of x, [c] in float32 or better.
      inverse: Inverse deviations of the columns of x, [c].
    """
    return _choose_norm_sums(x, dy, mean, inverse)
