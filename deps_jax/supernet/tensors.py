"""Parameters and statistics of a block, by the table of their axes (`Block.tensors`).

Slicing to a subnet's widths, sorting channels, padding back, and initial values are one function
each, for whatever rows a block is made of.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp

from deps_jax.common.nn.pieces import corners, padded
from deps_jax.space.block import Block
from deps_jax.space.rows import Conv, Dims, Gate, Row, Shortcut

Tree = dict


def dims_of(block: Block, path: tuple[str, ...]) -> Dims:
    """Axes of a parameter, or of a running statistic, which has those of the norm's scale."""
    statistic = path[-1] in ("mean", "var")
    return block.tensors[(*path[:-1], "scale") if statistic else path]


def map_tensors(fn: Callable, tree: Tree, block: Block, *, with_path: bool = False) -> Tree:
    """The tree of `fn(leaf, axes)` of every parameter or statistic of a block.

    Args:
      with_path: Call `fn(path, axes)` instead.
    """
    def apply(keys: tuple, leaf: jax.Array) -> jax.Array:
        path = _keys(keys)
        return fn(path if with_path else leaf, dims_of(block, path))

    return jax.tree_util.tree_map_with_path(apply, tree)


def take(tree: Tree, block: Block, index: Mapping[str, slice | jax.Array]) -> Tree:
    """Parameters or statistics with some of the channels of some widths, in some order.

    Args:
      index: A slice or an integer array by the name of a width; other widths stay whole.
    """
    def chosen(leaf: jax.Array, dims: Dims) -> jax.Array:
        for axis, dim in enumerate(dims):
            if dim in index:
                leaf = leaf[(slice(None),) * axis + (index[dim],)]
        return leaf

    return map_tensors(chosen, tree, block)


def cut(tree: Tree, block: Block, branch: int) -> Tree:
    """Parameters or statistics cut to the widths of a branch."""
    return _resized(corners, tree, block, block.branches[branch])


def pad(tree: Tree, block: Block) -> Tree:
    """The inverse of `cut`, with zeros for what was cut off; it has no derivative."""
    return _resized(padded, tree, block, block.largest)


def _resized(resize: Callable, tree: Tree, block: Block, widths: Mapping[str, int]) -> Tree:
    """The tree with leading corners of these widths, by one call."""
    leaves, structure = jax.tree.flatten_with_path(tree)
    shapes = tuple(tuple(widths[dim] if isinstance(dim, str) else size
                         for dim, size in zip(dims_of(block, _keys(path)), leaf.shape, strict=True))
                   for path, leaf in leaves)
    return structure.unflatten(resize(tuple(leaf for _, leaf in leaves), shapes))


def _keys(path: tuple) -> tuple[str, ...]:
    return tuple(key.key for key in path)


def init_block(key: jax.Array, block: Block) -> Tree:
    """Initial parameters of a block in its largest form; see `supernet.init`."""
    rows = list(_parametric(block.form.rows))
    keys = dict(zip((row.name for row in rows), jax.random.split(key, len(rows)), strict=True))
    params: Tree = {}
    for row in _parametric(block.rows):
        own = {path: dims for path, dims in block.tensors.items() if path[0] == row.name}
        if isinstance(row, Gate):
            channels, hidden = block.largest[row.on], block.largest[row.hidden]
            reduce, expand = jax.random.split(keys[row.name])
            params[row.name] = {"reduce": init_dense(reduce, channels, hidden),
                                "expand": init_dense(expand, hidden, channels)}
            continue
        for path, dims in own.items():
            shape = tuple(block.largest[dim] if isinstance(dim, str) else dim for dim in dims)
            *parents, name = path
            place = params
            for parent in parents:
                place = place.setdefault(parent, {})
            place[name] = _initial(keys[row.name], path[1:], shape)
    return params


def _parametric(rows: tuple[Row, ...]) -> Iterator[Conv | Gate]:
    """Yields rows with parameters: convolutions, gates, then projections of shortcuts."""
    yield from (row for row in rows if isinstance(row, Conv))
    yield from (row for row in rows if isinstance(row, Gate))
    yield from (Conv(row.projection, "in", "out") for row in rows
                if isinstance(row, Shortcut) and row.projection)


def _initial(key: jax.Array, path: tuple[str, ...], shape: tuple[int, ...]) -> jax.Array:
    """Initial values of one tensor of a row: of a norm, of a kernel transform or of a kernel."""
    if path[0] == "norm":
        return jnp.ones(shape) if path[-1] == "scale" else jnp.zeros(shape)
    if path[0] == "transform":
        return jnp.eye(shape[0])
    return uniform(key, shape, math.prod(shape[:-1]))


def init_dense(key: jax.Array, inputs: int, outputs: int) -> Tree:
    """Initial parameters of a dense layer: "kernel" [inputs, outputs] and "bias" [outputs]."""
    kernel, bias = jax.random.split(key)
    return {"kernel": uniform(kernel, (inputs, outputs), inputs),
            "bias": uniform(bias, (outputs,), inputs)}


def uniform(key: jax.Array, shape: tuple[int, ...], fan_in: int) -> jax.Array:
    """Uniform float32 numbers in +-1/sqrt(fan_in), as PyTorch draws weights and biases."""
    bound = 1 / math.sqrt(fan_in)
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)
