"""Which parameters a subnet uses, for aggregations that divide by the number of users."""
from __future__ import annotations

import jax
import jax.numpy as jnp

from deps_jax.space.block import Block
from deps_jax.space.rows import Dims
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Integers, Subnet
from deps_jax.supernet.tensors import Tree, map_tensors


def active_masks(space: SearchSpace, params: Tree, subnet: Subnet) -> Tree:
    """A tree like `params` of 0/1 float32 arrays that broadcast to it; `subnet` may be traced.

    A parameter's mask is 1 where the subnet's gradient can be other than zero: it follows depth,
    every width, squeeze-excite channels and kernel windows. (The reference leaves squeeze-excite
    and kernels at 1; with "sum" aggregation it makes no difference.)
    """
    masks = jax.tree.map(lambda leaf: jnp.ones((1,) * leaf.ndim), params)
    first, last = (_ones(space.widths[i], subnet.width_at(space, i)) for i in (0, -1))
    masks["stem"] = jax.tree.map(lambda leaf: first.reshape((1,) * (leaf.ndim - 1) + (-1,)),
                                 masks["stem"])
    head = masks.get("head", {})
    after = head.get("expand") or head.get("features") or masks["classifier"]
    after["kernel"] = last[:, None]
    for s, blocks in enumerate(space.blocks):
        incoming, outgoing = (subnet.width_at(space, i) for i in (s, s + 1))
        expand, kernel = (jnp.asarray(choice)[s, :len(blocks)]
                          for choice in (subnet.expand, subnet.kernel))
        alive = (jnp.arange(len(blocks)) < subnet.depth[s]).astype(jnp.float32)
        own, rest = params[f"stage{s}"], 0
        masks[f"stage{s}"] = {}
        if "first" in own:
            branch, rest = blocks[0].branch(incoming, outgoing, expand[0]), 1
            masks[f"stage{s}"]["first"] = _block_mask(blocks[0], own["first"], branch, kernel[0],
                                                      alive[0])
        if "rest" in own:
            branch = blocks[-1].branch(outgoing, outgoing, expand[rest:])
            masks[f"stage{s}"]["rest"] = jax.vmap(
                lambda *choice, block=blocks[-1]: _block_mask(block, *choice))(
                own["rest"], branch, kernel[rest:], alive[rest:])
    return masks


def _block_mask(block: Block, params: Tree, branch: Integers, kernel: Integers,
                alive: jax.Array) -> Tree:
    """Masks of one block; those of a width that is the same in all branches have one entry."""
    used = {name: _ones(tuple(sizes[name] for sizes in block.branches), branch)
            for name in block.largest}
    choosing = block.choosing

    def mask(path: tuple, dims: Dims) -> jax.Array:
        found = alive
        for axis, dim in enumerate(dims):
            along = used[dim] if isinstance(dim, str) else jnp.ones(1)
            found = found * along.reshape([-1 if a == axis else 1 for a in range(len(dims))])
        if choosing is None or path[0] != choosing.name:
            return found
        if path[1] == "kernel":
            window = _window(block, len(block.kernels) - 1, kernel)
            return found * window.reshape(*window.shape, *[1] * (len(dims) - 2))
        if path[1] == "transform":
            # A matrix makes the kernel of one size, row by row, for that size and smaller ones.
            names = [f"{larger}to{smaller}" for larger, smaller in block.transforms]
            i = names[::-1].index(path[2])
            return found * (kernel <= i) * _window(block, i, kernel).reshape(-1, 1)
        return found

    return map_tensors(mask, params, block, with_path=True)


def _ones(widths: tuple[int, ...], choice: Integers | int) -> jax.Array:
    """Ones in the leading channels that are chosen, [c] float32; [1] where widths are all equal."""
    if len(set(widths)) == 1:
        return jnp.ones(1)
    return (jnp.arange(max(widths)) < jnp.asarray(widths)[choice]).astype(jnp.float32)


def _window(block: Block, position: int, kernel: Integers) -> jax.Array:
    """Ones in the part of the kernel of size `kernels[position]` that is read, [k, k] float32.

    A smaller chosen kernel reads the window of the next smaller size under kernel transforms, whose
    matrix then reads all of it (`elastic.kernel_candidates`), and without them its own window.
    """
    size = block.kernels[position]
    sides = list(block.kernels)
    if block.kernel_transform:
        sides = [block.kernels[max(0, position - 1)]] * position + sides[position:]
    near = jnp.abs(jnp.arange(size) - size // 2) <= jnp.asarray(sides)[kernel] // 2
    return (near[:, None] & near[None, :]).astype(jnp.float32)
