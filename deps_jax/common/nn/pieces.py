"""Many small arrays at once: pieces of a vector, leading corners of arrays, and back.

On CPU one call of C++ (`pieces.cc`) takes the place of a kernel for each.
"""
from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from deps_jax.common.compiled.cpp import Library
from deps_jax.common.nn.by_platform import by_platform

LIBRARY = Library(Path(__file__).with_name("pieces.cc"), ("corners", "split"),
                  instead="every small array is copied by a program of its own")

Arrays = tuple[jax.Array, ...]
Shapes = tuple[tuple[int, ...], ...]


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def corners(arrays: Arrays, shapes: Shapes) -> Arrays:
    """The leading corner of every array, of the given shape."""
    return _reshaped_corners(arrays, shapes=shapes)


def _corners_forward(arrays: Arrays, shapes: Shapes) -> tuple[Arrays, Shapes]:
    return corners(arrays, shapes), tuple(_Static(array.shape) for array in arrays)


@jax.tree_util.register_static
class _Static(tuple):
    """A shape, as a residual."""


def _corners_backward(shapes: Shapes, whole: Shapes, cotangents: Arrays) -> tuple[Arrays]:
    del shapes
    return (padded(cotangents, tuple(map(tuple, whole))),)


corners.defvjp(_corners_forward, _corners_backward)


def padded(arrays: Arrays, shapes: Shapes) -> Arrays:
    """Arrays of the given shapes with these as leading corners and zeros beyond; no derivative."""
    return _reshaped_corners(arrays, shapes=shapes)


def split(vector: jax.Array, shapes: Shapes) -> Arrays:
    """Neighbouring pieces of a vector, in these shapes, which fill it; it has no derivative."""
    assert sum(map(math.prod, shapes)) == vector.size, f"{vector.size} numbers for {shapes}"
    return _split(vector, shapes=shapes)


def _corner(array: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    array = array[tuple(map(slice, shape))]
    beyond = [(0, size - own) for size, own in zip(shape, array.shape, strict=True)]
    return jnp.pad(array, beyond) if any(map(any, beyond)) else array


def _corners_of_xla(arrays: Arrays, *, shapes: Shapes) -> Arrays:
    return tuple(map(_corner, arrays, shapes))


def _corners_cpp(arrays: Arrays, *, shapes: Shapes) -> Arrays:
    changed = [i for i, (array, shape) in enumerate(zip(arrays, shapes, strict=True))
               if array.shape != shape]
    if not changed or not LIBRARY.load():
        return _corners_of_xla(arrays, shapes=shapes)
    found = jax.ffi.ffi_call(LIBRARY.target("corners"), [
        jax.ShapeDtypeStruct(shapes[i], arrays[i].dtype) for i in changed])(
            *(arrays[i] for i in changed))
    new = dict(zip(changed, found, strict=True))
    return tuple(new.get(i, array) for i, array in enumerate(arrays))


def _split_of_xla(vector: jax.Array, *, shapes: Shapes) -> Arrays:
    pieces, start = [], 0
    for shape in shapes:
        pieces.append(lax.slice(vector, (start,), (start + math.prod(shape),)).reshape(shape))
        start += math.prod(shape)
    return tuple(pieces)


def _split_cpp(vector: jax.Array, *, shapes: Shapes) -> Arrays:
    if not LIBRARY.load():
        # XLA:CPU drops `lax.optimization_barrier`, and would compute what the vector is made of
        # again for every piece.
        with set_xla_metadata(inlineable="false"):
            vector = jax.jit(lambda x: x + jnp.zeros_like(x))(vector)
        return _split_of_xla(vector, shapes=shapes)
    return tuple(jax.ffi.ffi_call(LIBRARY.target("split"), [
        jax.ShapeDtypeStruct(shape, vector.dtype) for shape in shapes])(vector))


_reshaped_corners = by_platform("corners", default=_corners_of_xla, cpu=_corners_cpp,
                                exported={"cpu": _corners_of_xla})
_split = by_platform("split", default=_split_of_xla, cpu=_split_cpp,
                     exported={"cpu": _split_of_xla})
