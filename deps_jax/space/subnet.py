"""Which subnet: a small pytree of integers that names one network of a space.

A subnet of NumPy arrays is static: functions that read it compile for that one network. The same
subnet passed through `jax.jit` is traced: one compiled program runs every subnet.

As text, a subnet is its stages separated by "/", each its blocks "k<kernel>e<expand>" separated
by "-", equal neighbours counted ("k7e6x3"); a subnet with the same depth, expand ratio and kernel
everywhere is "d2e3k7".
"""
from __future__ import annotations

import re
from itertools import groupby

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from deps_jax.space.search_space import SearchSpace, Stage


@struct.dataclass
class Subnet:
    """One network of a space with s stages of at most d blocks.

    Attributes:
      depth: [s] int32, active blocks of each stage.
      kernel: [s, d] int32, position of each block's kernel size in its stage's `kernels`.
      expand: [s, d] int32, position of each block's expand ratio in its stage's `expands`.

    Entries of inactive blocks mean nothing; `canonical` sets them to 0.
    """

    depth: jax.Array | np.ndarray
    kernel: jax.Array | np.ndarray
    expand: jax.Array | np.ndarray

    @property
    def is_static(self) -> bool:
        """Whether the choices are known before compilation (no JAX array, traced or not)."""
        return not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(self))


def largest(space: SearchSpace) -> Subnet:
    """The full model (static): every choice at its maximum."""
    return _extreme(space, -1)


def smallest(space: SearchSpace) -> Subnet:
    """The subnet (static) with every choice at its minimum."""
    return _extreme(space, 0)


def uniform(space: SearchSpace, *, depth: int, expand: float, kernel: int | None = None) -> Subnet:
    """The static subnet with the same choices everywhere, each clipped to what a stage offers.

    Clipping serves stages of fixed depth; `kernel` None is the largest.

    Raises:
      ValueError: when no stage offers the value.
    """
    for name, value in (("depths", depth), ("expands", expand), ("kernels", kernel)):
        offered = sorted({v for stage in space.stages for v in getattr(stage, name)})
        if value is not None and value not in offered:
            raise ValueError(
                f"{name[:-1]} {value} is not in the {name} {offered} of space {space.name!r}; "
                f"choose one of them"
            )
    shape = (len(space.stages), space.max_depth)
    depths = np.zeros(shape[0], np.int32)
    kernels, expands = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for s, stage in enumerate(space.stages):
        depths[s] = stage.depths[_nearest(stage.depths, depth)]
        kernels[s] = _nearest(stage.kernels, stage.kernels[-1] if kernel is None else kernel)
        expands[s] = _nearest(stage.expands, expand)
    return canonical(Subnet(depths, kernels, expands))


def sample(key: jax.Array, space: SearchSpace) -> Subnet:
    """Independent uniform choices for every stage and block (DepS's and BigNAS's sampling).

    Uniform over settings, as in the reference: the choices of inactive blocks are drawn too, so
    shallow subnets are as likely as deep ones.
    """
    keys = jax.random.split(key, 3)
    shape = (len(space.stages), space.max_depth)
    return Subnet(
        depth=_choose_depths(keys[0], space),
        kernel=_choose(keys[1], [len(s.kernels) for s in space.stages], shape),
        expand=_choose(keys[2], [len(s.expands) for s in space.stages], shape),
    )


def sample_compound(key: jax.Array, space: SearchSpace) -> Subnet:
    """CompOFA's sampling: depth and expand ratio of a stage grow together, kernels are largest.

    The i-th smallest depth goes with the i-th smallest expand ratio; a stage with one depth
    draws the expand ratio alone.

    Raises:
      ValueError: when a stage has several depths but not as many expand ratios.
    """
    for s, stage in enumerate(space.stages):
        if len(stage.depths) not in (1, len(stage.expands)):
            raise ValueError(
                f"compound sampling pairs depths with expand ratios, but stage {s} has depths "
                f"{stage.depths} and expands {stage.expands}; give lists of one length"
            )
    shape = (len(space.stages), space.max_depth)
    counts = [len(stage.expands) for stage in space.stages]
    position = _choose(key, counts, (len(space.stages),))
    depths = _padded_table([s.depths * (len(s.expands) if len(s.depths) == 1 else 1)
                            for s in space.stages])
    kernels = np.array([len(s.kernels) - 1 for s in space.stages], np.int32)
    return Subnet(
        depth=jnp.take_along_axis(jnp.asarray(depths), position[:, None], axis=1)[:, 0],
        kernel=jnp.broadcast_to(jnp.asarray(kernels)[:, None], shape),
        expand=jnp.broadcast_to(position[:, None], shape),
    )


def stack(subnets: list[Subnet]) -> Subnet:
    """Several subnets as one pytree with a leading axis, for `vmap` or `scan`."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *subnets)


def canonical(subnet: Subnet) -> Subnet:
    """The subnet with the meaningless entries of inactive blocks set to 0, as NumPy arrays."""
    depth = np.asarray(subnet.depth, np.int32)
    active = np.arange(np.shape(subnet.kernel)[-1]) < depth[..., None]
    zeroed = lambda choice: np.where(active, np.asarray(choice, np.int32), np.int32(0))
    return Subnet(depth, zeroed(subnet.kernel), zeroed(subnet.expand))


def from_lists(space: SearchSpace, *, depths, kernels, expands) -> Subnet:
    """A static subnet from values: depths by stage, kernel sizes and expand ratios by block.

    Args:
      depths: [s] active blocks of each stage.
      kernels, expands: one value for every block in order, inactive ones included (the layout
        of the PyTorch implementations), or one nested list per stage.

    Raises:
      ValueError: naming the stage, the value and what the stage allows.
    """
    shape = (len(space.stages), space.max_depth)
    subnet = Subnet(np.zeros(shape[0], np.int32), np.zeros(shape, np.int32),
                    np.zeros(shape, np.int32))
    if len(depths) != len(space.stages):
        raise ValueError(f"{len(depths)} depths given for {len(space.stages)} stages; give one "
                         f"for each stage")
    kernels, expands = _by_stage(space, "kernels", kernels), _by_stage(space, "expands", expands)
    for s, stage in enumerate(space.stages):
        if depths[s] not in stage.depths:
            raise ValueError(
                f"depth {depths[s]} is not in the depths {stage.depths} of stage {s}; choose one"
            )
        subnet.depth[s] = depths[s]
        for d in range(depths[s]):
            subnet.kernel[s, d] = _position(s, "kernel", kernels[s][d], stage.kernels)
            subnet.expand[s, d] = _position(s, "expand ratio", expands[s][d], stage.expands)
    return subnet


def encode(space: SearchSpace, subnet: Subnet) -> str:
    """One short line, such as "d2e3k7" or "k7e6x4/k5e3-k7e4/..."; `decode` reads it back."""
    stages = []
    for s, stage in enumerate(space.stages):
        blocks = [
            f"k{stage.kernels[int(subnet.kernel[s, d])]}e{stage.expands[int(subnet.expand[s, d])]}"
            for d in range(int(subnet.depth[s]))
        ]
        runs = [(block, len(list(run))) for block, run in groupby(blocks)]
        stages.append("-".join(block if n == 1 else f"{block}x{n}" for block, n in runs))
    if short := _as_uniform(space, subnet):
        return short
    return "/".join(stages)


def decode(space: SearchSpace, text: str) -> Subnet:
    """The static subnet that `encode` wrote, or the words "largest" and "smallest".

    Raises:
      ValueError: naming the position of the first error, what stands there and what is allowed.
    """
    text = text.strip()
    if text in ("largest", "smallest"):
        return largest(space) if text == "largest" else smallest(space)
    if match := re.fullmatch(r"d(\d+)e(\d+(?:\.\d+)?)(?:k(\d+))?", text):
        depth, expand, kernel = match.groups()
        return uniform(space, depth=int(depth), expand=_number(expand),
                       kernel=int(kernel) if kernel else None)
    parts = text.split("/")
    if len(parts) != len(space.stages):
        raise ValueError(
            f"subnet {text!r} has {len(parts)} stages separated by '/', space {space.name!r} has "
            f"{len(space.stages)}; write one part for each stage or a uniform subnet like 'd2e3k7'"
        )
    blocks, at = [], 0
    for s, part in enumerate(parts):
        blocks.append(_decode_stage(text, at, s, part, space.stages[s]))
        at += len(part) + 1
    return from_lists(space, depths=[len(stage) for stage in blocks],
                      kernels=[[kernel for kernel, _ in stage] for stage in blocks],
                      expands=[[expand for _, expand in stage] for stage in blocks])


def _decode_stage(text: str, at: int, s: int, part: str, stage: Stage) -> list[tuple]:
    """(kernel, expand) of every block in one stage's part, which starts at character `at`."""
    blocks = []
    for run in re.finditer(r"[^-]+", part):
        match = re.fullmatch(r"k(\d+)e(\d+(?:\.\d+)?)(?:x(\d+))?", run.group())
        kernel, expand = (int(match[1]), _number(match[2])) if match else (None, None)
        if kernel not in stage.kernels or expand not in stage.expands:
            raise ValueError(
                f"subnet {text!r}, character {at + run.start() + 1}: {run.group()!r} is not a "
                f"block of stage {s}; write k<kernel>e<expand> with kernel in {stage.kernels} and "
                f"expand in {stage.expands}"
            )
        blocks += [(kernel, expand)] * int(match[3] or 1)
    if len(blocks) not in stage.depths:
        raise ValueError(
            f"subnet {text!r}, character {at + 1}: stage {s} has {len(blocks)} blocks, allowed "
            f"are {stage.depths}; add or remove blocks"
        )
    return blocks


def _as_uniform(space: SearchSpace, subnet: Subnet) -> str | None:
    """The short form, if reading it back gives this very subnet."""
    stage = max(space.stages, key=lambda stage: len(stage.depths))
    s = space.stages.index(stage)
    depth = int(subnet.depth[s])
    expand = stage.expands[int(subnet.expand[s, 0])]
    kernel = stage.kernels[int(subnet.kernel[s, 0])]
    candidate = uniform(space, depth=depth, expand=expand, kernel=kernel)
    same = jax.tree.map(np.array_equal, candidate, canonical(subnet))
    return f"d{depth}e{expand}k{kernel}" if all(jax.tree.leaves(same)) else None


def _extreme(space: SearchSpace, end: int) -> Subnet:
    shape = (len(space.stages), space.max_depth)
    full = lambda name: np.array([
        [(len(getattr(stage, name)) - 1) * (end == -1)] * shape[1] for stage in space.stages
    ], np.int32)
    depth = np.array([stage.depths[end] for stage in space.stages], np.int32)
    return canonical(Subnet(depth, full("kernels"), full("expands")))


def _choose(key: jax.Array, counts: list[int], shape: tuple[int, ...]) -> jax.Array:
    """Uniform integers below `counts` (one for each stage, the leading axis of `shape`)."""
    limit = np.array(counts, np.int32).reshape(-1, *[1] * (len(shape) - 1))
    return jax.random.randint(key, shape, 0, np.broadcast_to(limit, shape))


def _choose_depths(key: jax.Array, space: SearchSpace) -> jax.Array:
    position = _choose(key, [len(s.depths) for s in space.stages], (len(space.stages),))
    table = jnp.asarray(_padded_table([stage.depths for stage in space.stages]))
    return jnp.take_along_axis(table, position[:, None], axis=1)[:, 0]


def _padded_table(rows: list[tuple[int, ...]]) -> np.ndarray:
    width = max(map(len, rows))
    return np.array([row + row[-1:] * (width - len(row)) for row in rows], np.int32)


def _by_stage(space: SearchSpace, name: str, values) -> list[list]:
    values = list(values)
    if values and isinstance(values[0], (list, tuple)):
        return [list(stage) for stage in values]
    wanted = sum(stage.max_depth for stage in space.stages)
    if len(values) != wanted:
        raise ValueError(f"{len(values)} {name} given for {wanted} blocks of space "
                         f"{space.name!r}; give one for each block, inactive ones included")
    ends = np.cumsum([stage.max_depth for stage in space.stages])
    return [list(values[end - stage.max_depth:end])
            for end, stage in zip(ends, space.stages, strict=True)]


def _position(s: int, name: str, value, choices: tuple) -> int:
    if value not in choices:
        raise ValueError(f"{name} {value} is not among {choices} of stage {s}; choose one of them")
    return choices.index(value)


def _nearest(choices: tuple, value) -> int:
    return min(range(len(choices)), key=lambda i: abs(choices[i] - value))


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() else value
