"""Residual blocks that begin as the identity: their last batch norm starts at scale 0."""
from __future__ import annotations

import jax.numpy as jnp

from deps_jax.space.block import Block
from deps_jax.space.rows import Conv, Shortcut
from deps_jax.space.search_space import SearchSpace
from deps_jax.supernet.tensors import Tree


def zero_scales(space: SearchSpace, params: Tree) -> Tree:
    """The parameters with that scale set to 0 in every elastic block that adds its input.

    arXiv 1706.02677, section 5.1; BigNAS and AttentiveNAS start so, DepS does not.
    """
    params = dict(params)
    for s, blocks in enumerate(space.blocks):
        stage = dict(params[f"stage{s}"])
        for part in stage:
            name = _before_sum(blocks[0] if part == "first" else blocks[-1])
            if name:
                conv = stage[part][name]
                norm = {**conv["norm"], "scale": jnp.zeros_like(conv["norm"]["scale"])}
                stage[part] = {**stage[part], name: {**conv, "norm": norm}}
        params[f"stage{s}"] = stage
    return params


def _before_sum(block: Block) -> str:
    """Name of the last convolution before the sum; "" where the block has no sum."""
    name = ""
    for row in block.rows:
        if isinstance(row, Shortcut) and (block.residual or row.projection):
            return name
        name = row.name if isinstance(row, Conv) else name
    return ""
