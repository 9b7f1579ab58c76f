"""Which parameters a subnet uses, for aggregations that divide by the number of users."""
from __future__ import annotations

import jax
import jax.numpy as jnp

from deps_jax.space.search_space import Block, SearchSpace, squeeze_width
from deps_jax.space.subnet import Subnet


def active_masks(space: SearchSpace, params, subnet: Subnet):
    """A tree like `params` of 0/1 float32 arrays that broadcast to it; `subnet` may be traced.

    A parameter's mask is 1 where the subnet's gradient can be other than zero: it follows depth,
    middle channels, squeeze-excite channels and kernel windows. (The reference leaves
    squeeze-excite and kernels at 1; with "sum" aggregation it makes no difference.)
    """
    masks = jax.tree.map(lambda leaf: jnp.ones((1,) * leaf.ndim), params)
    for s, blocks in enumerate(space.blocks):
        positions = jnp.arange(len(blocks))
        choices = (jnp.asarray(subnet.expand[s])[: len(blocks)],
                   jnp.asarray(subnet.kernel[s])[: len(blocks)],
                   positions < subnet.depth[s])
        first = jax.tree.map(lambda choice: choice[0], choices)
        masks[f"stage{s}"] = {"first": _block_mask(blocks[0], *first)}
        if len(blocks) > 1:
            rest = jax.tree.map(lambda choice: choice[1:], choices)
            masks[f"stage{s}"]["rest"] = jax.vmap(
                lambda *choice, block=blocks[1]: _block_mask(block, *choice))(*rest)
    return masks


def _block_mask(block: Block, expand, kernel, alive):
    alive = alive.astype(jnp.float32)
    middle = alive * _first(block.max_middle, block.middle_widths, expand)
    projected = alive[None]
    masks = {
        "depthwise": {"kernel": (_window(block, len(block.kernels) - 1, kernel)[:, :, None]
                                 * middle[None, None]),
                      "norm": {"scale": middle, "bias": middle}},
        "project": {"kernel": middle[:, None], "norm": {"scale": projected, "bias": projected}},
    }
    if block.expansion:
        masks["expand"] = {"kernel": middle[None, :], "norm": {"scale": middle, "bias": middle}}
    if block.kernel_transform:
        # A matrix makes the kernel of one size, row by row, for that size and all smaller ones.
        masks["depthwise"]["transform"] = {
            name: alive * (kernel <= i) * _window(block, i, kernel).reshape(-1, 1)
            for i, name in enumerate(block.transform_names[::-1])}
    if block.squeeze_excite:
        widths = tuple(squeeze_width(width) for width in block.middle_widths)
        hidden = alive * _first(widths[-1], widths, expand)
        masks["squeeze_excite"] = {
            "reduce": {"kernel": middle[:, None] * hidden[None, :], "bias": hidden},
            "expand": {"kernel": hidden[:, None] * middle[None, :], "bias": middle},
        }
    return masks


def _first(count: int, widths: tuple[int, ...], choice):
    """[count] float32: ones in the chosen leading width."""
    return (jnp.arange(count) < jnp.asarray(widths)[choice]).astype(jnp.float32)


def _window(block: Block, position: int, kernel):
    """[k, k] float32: ones in the part of the kernel of size `kernels[position]` that is read.

    By the chosen kernel, when it is smaller: the window of the next smaller size under kernel
    transforms, whose matrix then reads all of it (`elastic.kernel_candidates`); without them its
    own window.
    """
    size = block.kernels[position]
    sides = list(block.kernels)
    if block.kernel_transform:
        sides = [block.kernels[max(0, position - 1)]] * position + sides[position:]
    near = jnp.abs(jnp.arange(size) - size // 2) <= jnp.asarray(sides)[kernel] // 2
    return (near[:, None] & near[None, :]).astype(jnp.float32)
