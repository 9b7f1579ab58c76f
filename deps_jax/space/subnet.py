"""Which subnet: a small pytree of integers that names one network of a space.

A subnet of NumPy arrays is static: functions that read it compile for that one network. The same
subnet passed through `jax.jit` is traced: one compiled program runs every subnet. As text, see
`subnet_text`.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from deps_jax.space.search_space import SearchSpace

Integers = jax.Array | np.ndarray


@struct.dataclass
class Subnet:
    """One network of a space with s stages of at most d blocks.

    Attributes:
      depth: Number of active blocks of each stage, [s] int32.
      kernel: Position of each block's kernel size in its stage's `kernels`, [s, d] int32.
      expand: Position of each block's expand ratio in its stage's `expands`, [s, d] int32.
      width: Position of the stem's width in `stem_widths` and of each stage's in its `widths`,
        [s + 1] int32 (0 for a stage that keeps what comes in); None where the space has one width
        everywhere.

    Entries of inactive blocks mean nothing; `canonical` sets them to 0.
    """

    depth: Integers
    kernel: Integers
    expand: Integers
    width: Integers | None = None

    @property
    def is_static(self) -> bool:
        """Whether the choices are known before compilation (no JAX array, traced or not)."""
        return not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(self))

    def width_at(self, space: SearchSpace, i: int) -> Integers | int:
        """Position of the chosen width in `space.widths[i]`; [n] for n stacked subnets.

        Args:
          i: 0 for the width after the stem, otherwise that after stage i - 1.
        """
        return 0 if self.width is None else self.width[..., space.deciding[i]]


def largest(space: SearchSpace) -> Subnet:
    """The full model (static): every choice at its maximum."""
    return _extreme(space, -1)


def smallest(space: SearchSpace) -> Subnet:
    """The subnet (static) with every choice at its minimum."""
    return _extreme(space, 0)


def uniform(space: SearchSpace, *, depth: int, expand: float | None = None,
            kernel: int | None = None, width: float | None = None) -> Subnet:
    """The static subnet with the same choices everywhere, each the nearest that a stage offers.

    The nearest serves stages that do not offer the value itself, such as those of fixed depth.

    Args:
      depth: Depth as stages list it, without their `base_depth`.
      expand, kernel, width: Expand ratio, kernel size and multiple of the width; None is the
        largest.

    Raises:
      ValueError: If no stage offers a value, nor the stem a width.
    """
    given = {"depths": depth, "expands": expand, "kernels": kernel, "widths": width}
    for name, value in given.items():
        stem = space.stem_widths if name == "widths" and len(space.stem_widths) > 1 else ()
        offered = sorted(set().union(*space.offered(name), stem))
        if value is not None and value not in offered:
            raise ValueError(
                f"{name[:-1]} {value} is not in the {name} {offered} of space {space.name!r}; "
                f"choose one of them"
            )

    def position(name: str, choices: tuple) -> int:
        return len(choices) - 1 if given[name] is None else _nearest(choices, given[name])

    return canonical(_everywhere(space, position))


def sample(key: jax.Array, space: SearchSpace) -> Subnet:
    """Independent uniform choices for every stage and block (DepS's and BigNAS's sampling).

    Uniform over settings, as in the reference: the choices of inactive blocks are drawn too, so
    shallow subnets are as likely as deep ones. The subnet holds JAX arrays, so it is not static.
    """
    keys = jax.random.split(key, 3)
    shape = (len(space.stages), space.max_depth)
    return Subnet(
        depth=_choose_depths(keys[0], space),
        kernel=_choose(keys[1], [len(s.kernels) for s in space.stages], shape),
        expand=_choose(keys[2], [len(s.expands) for s in space.stages], shape),
        width=_choose_widths(jax.random.fold_in(key, 3), space),
    )


def sample_compound(key: jax.Array, space: SearchSpace) -> Subnet:
    """CompOFA's sampling: depth and expand ratio of a stage grow together, the rest is largest.

    The i-th smallest depth goes with the i-th smallest expand ratio; a stage with one depth
    draws the expand ratio alone, one with one expand ratio the depth.

    Raises:
      ValueError: If a stage has several depths and several, but not as many, expand ratios.
    """
    for s, stage in enumerate(space.stages):
        counts = {len(stage.depths), len(stage.expands)} - {1}
        if len(counts) > 1:
            raise ValueError(
                f"compound sampling pairs depths with expand ratios, but stage {s} has depths "
                f"{stage.depths} and expands {stage.expands}; give lists of one length"
            )
    shape = (len(space.stages), space.max_depth)
    counts = [max(len(stage.depths), len(stage.expands)) for stage in space.stages]
    position = _choose(key, counts, (len(space.stages),))
    depths = _padded_table([
        stage.active_depths * (count if len(stage.depths) == 1 else 1)
        for stage, count in zip(space.stages, counts, strict=True)])
    most = np.array([len(stage.expands) - 1 for stage in space.stages], np.int32)
    full = largest(space)
    return Subnet(
        depth=jnp.take_along_axis(jnp.asarray(depths), position[:, None], axis=1)[:, 0],
        kernel=jnp.broadcast_to(_positions(space, "kernels")[:, None], shape),
        expand=jnp.broadcast_to(jnp.minimum(position, most)[:, None], shape),
        width=None if full.width is None else jnp.asarray(full.width),
    )


def traced(subnet: Subnet) -> Subnet:
    """The subnet (also a stacked one) as JAX arrays: a compiled program that takes it runs all."""
    return jax.tree.map(jnp.asarray, subnet)


def stack(subnets: Sequence[Subnet]) -> Subnet:
    """Several subnets as one of NumPy arrays with a leading axis, for `vmap` or `scan`."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *subnets)


def canonical(subnet: Subnet) -> Subnet:
    """The subnet (also a stacked one) as NumPy arrays, with the entries of inactive blocks 0."""
    depth = np.asarray(subnet.depth, np.int32)
    active = np.arange(np.shape(subnet.kernel)[-1]) < depth[..., None]

    def zeroed(choice: Integers) -> np.ndarray:
        return np.where(active, np.asarray(choice, np.int32), np.int32(0))

    width = None if subnet.width is None else np.asarray(subnet.width, np.int32)
    return Subnet(depth, zeroed(subnet.kernel), zeroed(subnet.expand), width)


def from_lists(space: SearchSpace, *, depths: Sequence[int], kernels: Sequence | None = None,
               expands: Sequence | None = None, widths: Sequence[float] | None = None) -> Subnet:
    """A static subnet from values: depths by stage, kernel sizes and expand ratios by block.

    Args:
      depths: Depth of each of the s stages, as the stage lists it.
      kernels, expands: One value for every block in order, inactive ones included (the layout
        of the PyTorch implementations), or one nested list per stage. None where no block chooses.
      widths: Multiple of the width of the stem and of each stage, s + 1 in all; None where the
        space has one everywhere.

    Raises:
      ValueError: If a list has another length, or a value is not allowed; the message then names
        the stage, the value and what the stage allows.
    """
    subnet = largest(space)
    subnet = Subnet(np.zeros_like(subnet.depth), np.zeros_like(subnet.kernel),
                    np.zeros_like(subnet.expand), subnet.width)
    if len(depths) != len(space.stages):
        raise ValueError(f"{len(depths)} depths given for {len(space.stages)} stages; give one "
                         f"for each stage")
    values = {name: _by_stage(space, name, given)
              for name, given in (("kernels", kernels), ("expands", expands))}
    for s, stage in enumerate(space.stages):
        if depths[s] not in stage.depths:
            raise ValueError(
                f"depth {depths[s]} is not in the depths {stage.depths} of stage {s}; choose one"
            )
        subnet.depth[s] = stage.base_depth + depths[s]
        for d in range(subnet.depth[s]):
            subnet.kernel[s, d] = _position(s, "kernel", values["kernels"][s][d], stage.kernels)
            subnet.expand[s, d] = _position(s, "expand ratio", values["expands"][s][d],
                                            stage.expands)
    if subnet.width is None:
        return subnet
    listed = width_choices(space)
    if widths is None or len(widths) != len(listed):
        raise ValueError(f"space {space.name!r} chooses widths; give {len(listed)}, of the stem "
                         f"and of each stage")
    positions = [_position(i - 1, "width", value, choices)
                 for i, (value, choices) in enumerate(zip(widths, listed, strict=True))]
    return subnet.replace(width=np.array(positions, np.int32))


def _everywhere(space: SearchSpace, position: Callable[[str, tuple], int]) -> Subnet:
    """The subnet with `position(name of the list, choices of a stage)` in all blocks of a stage."""
    shape = (len(space.stages), space.max_depth)
    subnet = Subnet(np.zeros(shape[0], np.int32), np.zeros(shape, np.int32),
                    np.zeros(shape, np.int32), _no_width(space))
    for s, stage in enumerate(space.stages):
        subnet.depth[s] = stage.active_depths[position("depths", stage.depths)]
        subnet.kernel[s] = position("kernels", stage.kernels)
        subnet.expand[s] = position("expands", stage.expands)
    if subnet.width is not None:
        subnet.width[:] = [position("widths", choices) for choices in width_choices(space)]
    return subnet


def _extreme(space: SearchSpace, end: int) -> Subnet:
    return canonical(_everywhere(space, lambda _, choices: range(len(choices))[end]))


def width_choices(space: SearchSpace) -> tuple[tuple[float, ...], ...]:
    """Multiples of the width that the stem and every stage offer; () if none has a choice."""
    listed = (space.stem_widths, *(stage.widths for stage in space.stages))
    return listed if any(len(widths) > 1 for widths in listed) else ()


def _no_width(space: SearchSpace) -> np.ndarray | None:
    """Zeros [s + 1] int32 for the positions of widths; None if the space has no choice of them."""
    count = len(width_choices(space))
    return np.zeros(count, np.int32) if count else None


def _positions(space: SearchSpace, name: str) -> np.ndarray:
    """Position of the last entry in a list (see AXES) of each stage, [s] int32."""
    return np.array([len(values) - 1 for values in space.offered(name)], np.int32)


def _choose(key: jax.Array, counts: list[int], shape: tuple[int, ...]) -> jax.Array:
    """Uniform integers below `counts` (one for each stage, the leading axis of `shape`)."""
    limit = np.array(counts, np.int32).reshape(-1, *[1] * (len(shape) - 1))
    return jax.random.randint(key, shape, 0, np.broadcast_to(limit, shape))


def _choose_depths(key: jax.Array, space: SearchSpace) -> jax.Array:
    position = _choose(key, [len(s.depths) for s in space.stages], (len(space.stages),))
    table = jnp.asarray(_padded_table([stage.active_depths for stage in space.stages]))
    return jnp.take_along_axis(table, position[:, None], axis=1)[:, 0]


def _choose_widths(key: jax.Array, space: SearchSpace) -> jax.Array | None:
    counts = [len(widths) for widths in width_choices(space)]
    return _choose(key, counts, (len(counts),)) if counts else None


def _padded_table(rows: list[tuple[int, ...]]) -> np.ndarray:
    width = max(map(len, rows))
    return np.array([row + row[-1:] * (width - len(row)) for row in rows], np.int32)


def _by_stage(space: SearchSpace, name: str, values: Sequence | None) -> list[list]:
    if values is None:
        values = [[getattr(stage, name)[0]] * stage.max_depth for stage in space.stages]
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


def _position(s: int, name: str, value: float, choices: tuple) -> int:
    if value not in choices:
        where = f"stage {s}" if s >= 0 else "the stem"
        raise ValueError(f"{name} {value} is not among {choices} of {where}; choose one of them")
    return choices.index(value)


def _nearest(choices: tuple, value: float) -> int:
    return min(range(len(choices)), key=lambda i: abs(choices[i] - value))
