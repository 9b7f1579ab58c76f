"""A block at one of its branches: the rows of its form, run on sliced parameters."""
from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from deps_jax.common.nn.depthwise import depthwise
from deps_jax.common.nn.dispatch import switch
from deps_jax.common.nn.operations import (
    Mode,
    activate,
    batch_norm,
    max_pool,
    mean_pool,
    pointwise,
    pointwise_norm,
    squeeze_excite,
)
from deps_jax.common.nn.precision import exact_product
from deps_jax.space.block import Block
from deps_jax.space.rows import BLOCK, KERNEL, Conv, Gate, MaxPool, Row, Shortcut
from deps_jax.supernet.tensors import Tree, cut, pad

Choice = int | jax.Array


class Given(NamedTuple):
    """What a block is given beside its parameters and its input; it has no gradient.

    Attributes:
      stats: Running statistics of the largest form; None in training.
      survival: Factors on what the block adds to its input, [b], see `supernet.apply`; None is 1.
    """

    stats: Tree | None = None
    survival: jax.Array | None = None


class _Block(NamedTuple):
    """What every row of a block sees: the block at one branch, and what came into it."""

    block: Block
    mode: Mode
    params: Tree
    stats: Tree | None
    kernel: Choice
    incoming: jax.Array
    survival: jax.Array | None


def run_block(block: Block, branch: int, mode: Mode, exact: bool, params: Tree, x: jax.Array,
              kernel: Choice, given: Given) -> tuple[jax.Array, Tree]:
    """Runs one block at one of its branches.

    Args:
      block: The block in its largest form.
      branch: Number of the branch, see `Block.branches`.
      exact: Whether to leave what comes out as wide as it is; otherwise it is padded with zeros to
        the widest of `out_widths`, as other branches must return the same shape.
      params: Parameters of the largest form; they are cut here.
      x: Feature map [b, h, w, channels], with at least as many channels as the branch reads;
        further ones are ignored.
      kernel: Position in `block.kernels`, static or traced.

    Returns:
      (feature map [b, h', w', out], batch statistics padded with zeros to the largest form). The
      latter are {} in evaluation.
    """
    x = x[..., :block.branches[branch]["in"]]
    own = _Block(block, mode, _cut_params(params, block, branch),
                 None if mode.train else cut(given.stats, block, branch), kernel, x,
                 given.survival)
    statistics: Tree = {}
    for row in block.rows:
        x = _run_row(own, row, x, statistics)
    if not exact and (missing := block.largest["out"] - x.shape[-1]):
        x = jnp.pad(x, [(0, 0)] * 3 + [(0, missing)])
    return x, pad(lax.stop_gradient(statistics), block) if mode.train else {}


def _cut_params(params: Tree, block: Block, branch: int) -> Tree:
    """Parameters at the widths of a branch, but for kernels of depthwise convolutions.

    Those find size and channels in the whole kernel, and need no copy.
    """
    whole = {row.name: params[row.name]["kernel"] for row in block.rows
             if isinstance(row, Conv) and row.depthwise and "transform" not in params[row.name]}
    own = cut({name: {key: part for key, part in row.items() if key != "kernel"}
               if name in whole else row for name, row in params.items()}, block, branch)
    return own | {name: own[name] | {"kernel": kernel} for name, kernel in whole.items()}


def _run_row(own: _Block, row: Row, x: jax.Array, statistics: Tree) -> jax.Array:
    """What a row makes of x; its batch statistics are added to `statistics`, in place."""
    if isinstance(row, Conv):
        x, statistics[row.name] = _convolve(own, row, x)
    elif isinstance(row, Gate):
        return squeeze_excite(x, own.params[row.name])
    elif isinstance(row, MaxPool):
        return max_pool(x, row.kernel, row.stride)
    elif isinstance(row, Shortcut):
        if own.survival is not None and (own.block.residual or row.projection):
            x = x * own.survival[:, None, None, None].astype(x.dtype)
        if own.block.residual:
            return x + own.incoming
        if row.projection:
            pooled = mean_pool(own.incoming, own.block.stride)
            y, statistics[row.projection] = _convolve(
                own, Conv(row.projection, "in", "out"), pooled)
            return x + y
        return x
    name = row.activation
    return activate(x, own.block.activation if name == BLOCK else name)


def _convolve(own: _Block, row: Conv, x: jax.Array) -> tuple[jax.Array, Tree]:
    """The convolution of a row with its batch norm, and the statistics that it used."""
    block, mode, params = own.block, own.mode, own.params[row.name]
    stats = None if own.stats is None else own.stats[row.name]
    stride = block.stride if row.strided else 1
    if row.kernel == 1 and not row.depthwise:
        x = x[:, ::stride, ::stride]
        if block.largest[row.writes] > block.largest[row.reads]:
            # The statistics of what is wider follow from those of what is narrower.
            return pointwise_norm(x, params, stats, mode, block.epsilon)
        y = pointwise(x, params["kernel"])
    else:
        sizes, choice = (((row.kernel,), 0) if row.kernel != KERNEL
                         else (block.kernels, own.kernel))
        if row.depthwise and "transform" not in params:
            y = depthwise(x, (params["kernel"].astype(x.dtype),), choice, stride, sizes)
        else:
            kernels = tuple(kernel.astype(x.dtype) for kernel in kernel_candidates(params, sizes))
            y = (depthwise if row.depthwise else _dense_convolution)(x, kernels, choice, stride)
    y, norm = batch_norm(y, params["norm"], stats and stats["norm"], mode, block.epsilon)
    return y, {"norm": norm}


def _dense_convolution(x: jax.Array, kernels: tuple[jax.Array, ...], choice: Choice,
                       stride: int) -> jax.Array:
    """Convolves x, [b, h, w, i], with the chosen kernel, [k, k, i, o]; padding k // 2."""
    def run(kernel: jax.Array, x: jax.Array) -> jax.Array:
        padding = [(kernel.shape[0] // 2,) * 2] * 2
        return lax.conv_general_dilated(x, kernel, (stride, stride), padding,
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"))

    branches = [lambda kernels, x, i=i: run(kernels[i], x) for i in range(len(kernels))]
    return switch(choice, branches, kernels, x)


def kernel_candidates(params: Tree, kernels: tuple[int, ...]) -> tuple[jax.Array, ...]:
    """A kernel at every size, [k, k, ...] each, in the order of `kernels`.

    A smaller kernel is the centre of the next larger one, passed through the learned matrix
    "<larger>to<smaller>" where the space has kernel transforms (OFA, `DynamicSeparableConv2d`):
    vectors are the k*k weights of one channel, row-major. Weights are made of weights in full
    precision, so that they are those that are evaluated and exported.

    Args:
      params: Parameters, {"kernel": [K, K, ...]} and, with transforms,
        {"transform": {"7to5": [25, 25], ...}}.
      kernels: The sizes, ascending; K is the last.
    """
    current = params["kernel"]
    candidates = [current]
    for larger, smaller in zip(kernels[:0:-1], kernels[-2::-1], strict=True):
        margin = (larger - smaller) // 2
        current = current[margin:margin + smaller, margin:margin + smaller]
        if "transform" in params:
            matrix = params["transform"][f"{larger}to{smaller}"]
            shape = current.shape
            current = exact_product(matrix, current.reshape(smaller**2, -1)).reshape(shape)
        candidates.append(current)
    return tuple(candidates[::-1])


def nth_block(stage: Tree, d: int) -> Tree:
    """Parameters or statistics of block d out of a stage's {"first": ..., "rest": stacked}."""
    if "first" not in stage:
        return jax.tree.map(lambda leaf: leaf[d], stage["rest"])
    return stage["first"] if d == 0 else jax.tree.map(lambda leaf: leaf[d - 1], stage["rest"])
