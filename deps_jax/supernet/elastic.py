"""A block at one of its widths: parameters of the largest form, sliced to what a subnet uses."""
from __future__ import annotations

import jax
import jax.numpy as jnp

from deps_jax.common.nn.depthwise import depthwise
from deps_jax.common.nn.operations import (
    Mode,
    activate,
    batch_norm,
    pointwise,
    pointwise_norm,
    squeeze_excite,
)
from deps_jax.space.search_space import Block, squeeze_width


def kernel_candidates(params, kernels: tuple[int, ...]) -> tuple[jax.Array, ...]:
    """The depthwise kernel at every size, [k, k, c] each, in the order of `kernels` (ascending).

    A smaller kernel is the centre of the next larger one, passed through the learned matrix
    "<larger>to<smaller>" where the space has kernel transforms (OFA, section 2 of
    deps_reference): vectors are the k*k weights of one channel, row-major.

    Args:
      params: {"kernel": [K, K, c]} and, with transforms, {"transform": {"7to5": [25, 25], ...}}.
    """
    current = params["kernel"]
    candidates = [current]
    for larger, smaller in zip(kernels[:0:-1], kernels[-2::-1], strict=True):
        margin = (larger - smaller) // 2
        current = current[margin:margin + smaller, margin:margin + smaller]
        if "transform" in params:
            matrix = params["transform"][f"{larger}to{smaller}"]
            current = jnp.einsum("ij,jc->ic", matrix, current.reshape(smaller**2, -1)).reshape(
                smaller, smaller, -1)
        candidates.append(current)
    return tuple(candidates[::-1])


def inverted_residual(block: Block, expand_choice: int, mode: Mode, params, x, kernel_choice,
                      stats):
    """One block at a fixed width: expand, depthwise, squeeze-excite, project (linear), add.

    Args:
      block: its largest form.
      expand_choice: Python int, position in `block.expands`.
      params: of the largest form; sliced here.
      x: [b, h, w, in_channels].
      kernel_choice: position in `block.kernels`, static or traced.
      stats: running statistics of the largest form; None in training.

    Returns:
      ([b, h', w', out_channels], batch statistics padded with zeros to the largest form).
    """
    middle = block.middle_widths[expand_choice]
    params = slice_block(params, middle)
    stats = None if mode.train else slice_block(stats, middle)
    statistics = {}
    y = x
    if block.expansion:
        y, statistics["expand"] = pointwise_norm(
            x, params["expand"], _of(stats, "expand"), mode, block.epsilon)
        y = activate(y, block.activation)
    kernels = tuple(kernel.astype(x.dtype)
                    for kernel in kernel_candidates(params["depthwise"], block.kernels))
    y = depthwise(y, kernels, kernel_choice, block.stride)
    y, norm = batch_norm(y, params["depthwise"]["norm"], _of(stats, "depthwise", "norm"), mode,
                         block.epsilon)
    statistics["depthwise"] = {"norm": norm}
    y = activate(y, block.activation)
    if block.squeeze_excite:
        y = squeeze_excite(y, params["squeeze_excite"])
    y = pointwise(y, params["project"]["kernel"])
    y, norm = batch_norm(y, params["project"]["norm"], _of(stats, "project", "norm"), mode,
                         block.epsilon)
    statistics["project"] = {"norm": norm}
    if block.residual:
        y = y + x
    return y, _pad_statistics(statistics, block.max_middle) if mode.train else {}


def nth_block(stage, d: int):
    """Parameters or statistics of block d out of a stage's {"first": ..., "rest": stacked}."""
    return stage["first"] if d == 0 else jax.tree.map(lambda leaf: leaf[d - 1], stage["rest"])


def slice_block(tree, middle: int):
    """Parameters or statistics of a block, cut to its first `middle` middle channels."""
    return select_channels(tree, slice(middle), slice(squeeze_width(middle)))


def select_channels(tree, middle, hidden):
    """Parameters or statistics of a block with some of its inner channels, in some order.

    Args:
      middle: index of the middle channels, a slice or an integer array.
      hidden: the same for the hidden units of the squeeze-excite gate.
    """
    selected = {name: dict(part) for name, part in tree.items()}
    for name in ("expand", "depthwise"):
        if name in tree:
            norm = {key: leaf[middle] for key, leaf in tree[name]["norm"].items()}
            selected[name]["norm"] = norm
            if "kernel" in tree[name]:
                selected[name]["kernel"] = tree[name]["kernel"][..., middle]
    if "kernel" in tree["project"]:
        selected["project"]["kernel"] = tree["project"]["kernel"][middle]
    if "squeeze_excite" in tree:
        reduce, expand = tree["squeeze_excite"]["reduce"], tree["squeeze_excite"]["expand"]
        selected["squeeze_excite"] = {
            "reduce": {"kernel": reduce["kernel"][middle][:, hidden],
                       "bias": reduce["bias"][hidden]},
            "expand": {"kernel": expand["kernel"][hidden][:, middle],
                       "bias": expand["bias"][middle]},
        }
    return selected


def _pad_statistics(statistics, width: int):
    for name in ("expand", "depthwise"):
        if name in statistics:
            statistics[name]["norm"] = {
                key: jnp.pad(value, (0, width - value.shape[0]))
                for key, value in statistics[name]["norm"].items()}
    return statistics


def _of(tree, *path):
    for name in path:
        tree = None if tree is None else tree[name]
    return tree
