"""Channel sorting: important channels inside a block move to the front, where small subnets look.

The full model computes the same function before and after. The optimizer's momentum is permuted
along, which the reference forgets.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.space.block import Block
from deps_jax.space.rows import Conv, Gate
from deps_jax.space.search_space import SearchSpace
from deps_jax.supernet.tensors import Tree, take


def sort_channels(space: SearchSpace, params: Tree, batch_stats: Tree, momenta: Sequence = (), *,
                  protected: int | None = None) -> tuple[Tree, Tree, tuple]:
    """Sorts the channels inside every elastic block by importance.

    A channel's importance is the L1 norm of the weights that read it: of its row of the projection,
    and for a hidden unit of a squeeze-excite gate of its row of the second layer.

    Args:
      params, batch_stats: Parameters and running statistics of the supernet.
      momenta: Trees shaped like `params`, permuted the same way.
      protected: Number of expand ratios below the largest, counted from it, whose channel sets
        must not change: 0 sorts all channels together; 1 keeps the second-largest ratio's set of
        channels (its members only change places among themselves). None is the DepS choice,
        the number of expand ratios - 2.

    Returns:
      (params, batch_stats, tuple of momenta), all permuted.
    """
    params, batch_stats = dict(params), dict(batch_stats)
    momenta = tuple(dict(tree) for tree in momenta)
    for s, blocks in enumerate(space.blocks):
        name = f"stage{s}"
        for part in params[name]:
            block = blocks[0] if part == "first" else blocks[-1]
            orders, select = partial(_orders, block, protected), partial(_take, block)
            if part == "rest":
                orders, select = jax.vmap(orders), jax.vmap(select)
            index = orders(params[name][part])
            for tree in (params, batch_stats, *momenta):
                tree[name] = {**tree[name], part: select(tree[name][part], index)}
    return params, batch_stats, momenta


def _take(block: Block, tree: Tree, index: dict[str, jax.Array]) -> Tree:
    return take(tree, block, index)


def _orders(block: Block, protected: int | None, params: Tree) -> dict[str, jax.Array]:
    """Permutations of the channels of every width inside a block by name, important ones first.

    What comes into the block and goes out of it stays in its places.
    """
    inside = {width.name for width in block.widths}
    found = {}
    for row in block.rows:
        if isinstance(row, Gate) and row.hidden in inside:
            weights = jnp.abs(params[row.name]["expand"]["kernel"]).sum(1)
            found[row.hidden] = found.get(row.hidden, 0) + weights
        elif isinstance(row, Conv) and not row.depthwise and row.reads in inside:
            kernel = jnp.abs(params[row.name]["kernel"])
            weights = kernel.sum([a for a in range(kernel.ndim) if a != kernel.ndim - 2])
            found[row.reads] = found.get(row.reads, 0) + weights
    return {name: jnp.lexsort((-importance, _bands(block, name, protected)))
            for name, importance in found.items()}


def _bands(block: Block, name: str, protected: int | None) -> np.ndarray:
    """The number of the band of each channel of a width, [c]; no channel leaves its band."""
    channels = np.arange(block.largest[name])
    if next(width.times for width in block.widths if width.name == name) != "expand":
        return np.zeros_like(channels)
    if protected is None:
        protected = max(0, len(block.expands) - 2)
    widths = [sizes[name] for sizes in block.branches[-len(block.expands):]]
    return np.searchsorted(widths[len(widths) - 1 - protected:-1], channels, side="right")
