"""What subnets cost, for a whole population at once.

A block costs the same in every subnet that has it with the same choices, so a cost is a table
over (stage, block, kernel, branch), made once from the layers of a block; a population is looked
up in it.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import groupby
from types import ModuleType

import jax
import numpy as np

from deps_jax.space.layers import Layer, block_layers, head_layers, stem_layer
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Integers, Subnet

Layers = tuple[Layer, ...]


@dataclasses.dataclass(frozen=True)
class BlockTable:
    """One cost of every subnet of a space: a number for each part, joined by sum or maximum.

    Attributes:
      space: The space of the subnets.
      call: What every network costs beside its parts.
      stem, head: Costs of the stem and of the head, [widths] each, at every width of the stem and
        of the last stage. A fixed first block counts with the stem.
      flat: Costs of the elastic blocks, [s * d * k * branches + 1] float64; the last entry is 0,
        for inactive blocks.
      shape: (s, d, k, branches): the number of stages, and the largest numbers of blocks, kernel
        sizes and branches that any of them has.
      join: How the costs of the parts become one: "sum", or "max" for the largest of them.
    """

    space: SearchSpace
    call: float
    stem: np.ndarray
    head: np.ndarray
    flat: np.ndarray
    shape: tuple[int, int, int, int]
    join: str = "sum"

    @classmethod
    def build(cls, space: SearchSpace, cost_of: Callable[[Layers], float], *,
              resolution: int | None = None, join: str = "sum") -> BlockTable:
        """The table of a cost that is known for the layers of one part.

        Args:
          cost_of: Returns the cost of the layers of one part (see `pieces`).
          resolution: Side of the images in pixels; None is the space's own.
          join: "sum" or "max".
        """
        joined = sum if join == "sum" else max
        stems = [_stem(space, width, resolution or space.resolution)
                 for width in range(len(space.widths[0]))]
        table, last = _block_costs(space, cost_of, stems[0][-1])
        heads = [tuple(head_layers(space, dataclasses.replace(last, out_channels=channels)))
                 for channels in space.widths[-1]]
        return cls(space, 0.0,
                   np.array([joined(cost_of(part) for _, part in pieces(stem)) for stem in stems]),
                   np.array([cost_of(head) for head in heads]),
                   np.append(table.ravel(), 0), table.shape, join)

    def __call__(self, subnets: Subnet) -> np.ndarray:
        """Costs of n stacked subnets, [n] float64; exact for whole numbers below 2**53."""
        return self.look_up(self.places(subnets))

    def places(self, subnets: Subnet, xp: ModuleType = np) -> tuple[Integers, Integers]:
        """Where the costs of n stacked subnets stand; the same in all tables of a space.

        Args:
          xp: NumPy, or jax.numpy for traced subnets.

        Returns:
          ([n, s * d] positions in `flat`, [n, 2] positions in `stem` and `head`).
        """
        s, d, kernels, branches = self.shape
        depth, kernel, expand = (xp.asarray(leaf) for leaf in (
            subnets.depth, subnets.kernel, subnets.expand))
        width = xp.stack([xp.broadcast_to(xp.asarray(subnets.width_at(self.space, i)), len(depth))
                          for i in range(s + 1)], 1)
        branch = []
        for i, blocks in enumerate(self.space.blocks):
            incoming, outgoing = width[:, i, None], width[:, i + 1, None]
            branch.append(xp.concatenate([
                blocks[0].branch(incoming, outgoing, expand[:, i, :1]),
                blocks[-1].branch(outgoing, outgoing, expand[:, i, 1:])], 1))
        block = np.arange(s * d, dtype=np.int32).reshape(1, s, d)
        place = (block * kernels + kernel) * branches + xp.stack(branch, 1)
        active = np.arange(d)[None, None] < depth[..., None]
        return (xp.where(active, place, len(self.flat) - 1).reshape(len(depth), -1),
                width[:, np.array([0, s])])

    def look_up(self, places: tuple[Integers, Integers],
                xp: ModuleType = np) -> np.ndarray | jax.Array:
        """Costs of n subnets, [n].

        Args:
          places: What `places` returned for the subnets.
          xp: NumPy, or jax.numpy for traced places (float32 unless jax_enable_x64 is set).
        """
        blocks, ends = places
        flat, stem, head = (xp.asarray(part) for part in (self.flat, self.stem, self.head))
        each = xp.concatenate([flat[blocks], stem[ends[:, :1]], head[ends[:, 1:]]], axis=1)
        return self.call + (each.sum(1) if self.join == "sum" else each.max(1))


def _stem(space: SearchSpace, width: int, size: int) -> Layers:
    """The stem at one of its widths, and the fixed block after it."""
    stem = stem_layer(space, width, size)
    if not space.first_block:
        return (stem,)
    return (stem, *block_layers("first_block", space.first_block, 0, 3, stem))


def _block_costs(space: SearchSpace, cost_of: Callable[[Layers], float],
                 last: Layer) -> tuple[np.ndarray, Layer]:
    """([s, d, k, branches] costs of all choices of all blocks, last layer of the last block)."""
    shape = (len(space.stages), space.max_depth,
             max(len(stage.kernels) for stage in space.stages),
             max(len(block.branches) for blocks in space.blocks for block in blocks))
    table = np.zeros(shape)
    for s, blocks in enumerate(space.blocks):
        for d, block in enumerate(blocks):
            for k, kernel in enumerate(block.kernels):
                for b in range(len(block.branches)):
                    part = tuple(block_layers(f"stage{s}/block{d}", block, b, kernel, last, (s, d)))
                    table[s, d, k, b] = cost_of(part)
            last = part[-1]
    return table, last


class CostModel:
    """Exact costs of subnets for one image: `costs(subnets)` is a dict of [n] arrays.

    Keys: "macs"; "params"; "peak_activation_bytes" (float32, what the greediest layer reads and
    writes plus a waiting skip connection); "file_bytes_PRECISION" for each of `files`.

    Args:
      space: The space of the subnets.
      resolution: Side of the images in pixels; None is the space's own.
      files: By precision, a function from layers to the bytes that they add to a file, and the
        bytes of a file without layers, as `onnx_writer.FILE_SIZES` has them.
    """

    def __init__(self, space: SearchSpace, *, resolution: int | None = None,
                 files: Mapping[str, tuple[Callable[[Layers], int], int]] | None = None
                 ) -> None:
        build = partial(BlockTable.build, space, resolution=resolution)
        self.tables = {"macs": build(macs), "params": build(params),
                       "peak_activation_bytes": build(peak_activation_bytes, join="max")}
        for precision, (bytes_of, envelope) in (files or {}).items():
            self.tables[f"file_bytes_{precision}"] = dataclasses.replace(
                build(bytes_of), call=envelope)

    def __call__(self, subnets: Subnet) -> dict[str, np.ndarray]:
        """Costs {name: [n] float64} of n stacked subnets (NumPy arrays with a leading axis)."""
        tables = list(self.tables.values())
        places = tables[0].places(subnets)
        return {name: table.look_up(places) for name, table in self.tables.items()}


def macs(network_layers: Layers) -> int:
    """Number of multiply-adds that the layers do for one image."""
    return sum(layer.macs for layer in network_layers)


def params(network_layers: Layers) -> int:
    """Number of learnable parameters of the layers."""
    return sum(layer.params for layer in network_layers)


def peak_activation_bytes(network_layers: Layers) -> int:
    """Bytes of the float32 feature maps alive at once, at their most, for one image.

    A layer needs what it reads, what it writes, and whatever is still to be added or read again.
    Nothing is assumed to work in place.
    """
    return 4 * max(_peak(piece) for _, piece in pieces(network_layers))


def _peak(piece: Layers) -> int:
    """Most numbers alive at once in one part: what is still to be read, and what is written."""
    made = {"": -1} | {layer.name: i for i, layer in enumerate(piece)}  # "" is what comes in
    sizes = {"": piece[0].in_channels * piece[0].size_in**2} | {
        layer.name: layer.out_channels * layer.size_out**2 for layer in piece}
    last_read = {}
    for i, layer in enumerate(piece):
        before = piece[i - 1].name if i else ""
        for name in (layer.source or before, layer.skip or before):
            last_read[name if name in made else ""] = i
    alive = [sum(sizes[name] for name, end in last_read.items() if made[name] < i <= end)
             for i in range(len(piece))]
    return max(reads + sizes[layer.name] for reads, layer in zip(alive, piece, strict=True))


def pieces(network_layers: Layers) -> Iterator[tuple[str, Layers]]:
    """Yields (name, layers) of each part (`Layer.part`); the classifier belongs to the head."""
    for name, piece in groupby(network_layers, lambda layer: layer.part):
        yield name, tuple(piece)
