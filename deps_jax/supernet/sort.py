"""Channel sorting: the important middle channels move to the front, where small subnets look.

The full model computes the same function before and after (deps_reference 2.1). The optimizer's
momentum is permuted along, which the reference forgets (trap T6).
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.space.search_space import Block, SearchSpace
from deps_jax.supernet.elastic import select_channels


def sort_channels(space: SearchSpace, params, batch_stats, momenta: Sequence = (), *,
                  protected: int | None = None):
    """Sorts the middle channels of every elastic block by importance.

    A channel's importance is the L1 norm of its row of the projection. Hidden channels of the
    squeeze-excite gate are sorted by the L1 norm of theirs.

    Args:
      params, batch_stats: of the supernet.
      momenta: trees shaped like `params`, permuted the same way.
      protected: number of expand ratios below the largest, counted from it, whose channel sets
        must not change: 0 sorts all channels together; 1 keeps the second-largest ratio's set of
        channels (its members only change places among themselves). None is the DepS choice,
        the number of expand ratios - 2.

    Returns:
      (params, batch_stats, tuple of momenta).
    """
    params, batch_stats = dict(params), dict(batch_stats)
    momenta = tuple(dict(tree) for tree in momenta)
    for s, blocks in enumerate(space.blocks):
        name = f"stage{s}"
        for part in params[name]:
            block = blocks[0] if part == "first" else blocks[1]
            orders, select = partial(_orders, block, protected), select_channels
            if part == "rest":
                orders, select = jax.vmap(orders), jax.vmap(select)
            middle, hidden = orders(params[name][part])
            for tree in (params, batch_stats, *momenta):
                tree[name] = {**tree[name], part: select(tree[name][part], middle, hidden)}
    return params, batch_stats, momenta


def _orders(block: Block, protected: int | None, params):
    """Permutations of a block's middle channels [c] and hidden units [m], important first.

    Without an expansion the middle channels are those of the input, which stay in their places.
    """
    importance = jnp.abs(params["project"]["kernel"]).sum(1)
    middle = jnp.lexsort((-importance, _bands(block, protected)))
    if not block.expansion:
        middle = jnp.arange(block.max_middle)
    if not block.squeeze_excite:
        return middle, jnp.arange(0)
    hidden = jnp.abs(params["squeeze_excite"]["expand"]["kernel"]).sum(1)
    return middle, jnp.argsort(-hidden, stable=True)


def _bands(block: Block, protected: int | None) -> np.ndarray:
    """[c] number of the band of each channel; no channel leaves its band."""
    if protected is None:
        protected = max(0, len(block.expands) - 2)
    borders = block.middle_widths[len(block.expands) - 1 - protected:-1]
    return np.searchsorted(borders, np.arange(block.max_middle), side="right")
