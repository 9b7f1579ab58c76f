"""What subnets cost, for a whole population at once.

A block costs the same in every subnet that has it, so a cost is a table over (stage, block,
kernel, expand ratio) made once from `layers()`; a population is looked up in it.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import groupby

import numpy as np

from deps_jax.space.layers import Layer, layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet


@dataclasses.dataclass(frozen=True)
class BlockTable:
    """One cost of every subnet of a space: a number for each block, joined by sum or maximum.

    Attributes:
      fixed: of the parts that every subnet has (stem, first block, head, classifier).
      flat: [s * d * k * e + 1] costs of the elastic blocks; the last entry is 0, for inactive
        blocks.
      shape: (s, d, k, e), the most that any stage has of each.
    """

    fixed: float
    flat: np.ndarray
    shape: tuple[int, int, int, int]
    join: str = "sum"

    @classmethod
    def build(cls, space: SearchSpace, cost_of: Callable[[tuple[Layer, ...]], float], *,
              resolution: int | None = None, join: str = "sum") -> BlockTable:
        """A table of `cost_of(layers of one block)`.

        Args:
          join: "sum" or "max".
        """
        shape = (len(space.stages), space.max_depth,
                 max(len(stage.kernels) for stage in space.stages),
                 max(len(stage.expands) for stage in space.stages))
        table, fixed = np.zeros(shape), {}
        for kernel, expand in np.ndindex(shape[2:]):
            subnet = _with_everywhere(space, kernel, expand)
            for name, piece in pieces(layers(space, subnet, resolution)):
                if not name.startswith("stage"):
                    if name not in fixed:
                        fixed[name] = cost_of(piece)
                    continue
                s, d = (int(part.lstrip("stageblock")) for part in name.split("/"))
                stage = space.stages[s]
                if kernel < len(stage.kernels) and expand < len(stage.expands):
                    table[s, d, kernel, expand] = cost_of(piece)
        total = sum(fixed.values()) if join == "sum" else max(fixed.values())
        return cls(total, np.append(table.ravel(), 0), shape, join)

    def __call__(self, subnets: Subnet) -> np.ndarray:
        """[n] float64 costs of n stacked subnets; exact for whole numbers below 2**53."""
        return self.look_up(self.places(subnets))

    def places(self, subnets: Subnet) -> np.ndarray:
        """[n, s * d] positions in `flat`: shared by all tables of a space."""
        _, depths, kernels, expands = self.shape
        kernel, expand = np.asarray(subnets.kernel), np.asarray(subnets.expand)
        blocks = np.arange(kernel[0].size, dtype=np.int32).reshape(kernel.shape[1:])
        place = (blocks * kernels + kernel) * expands + expand
        active = np.arange(depths) < np.asarray(subnets.depth)[..., None]
        return np.where(active, place, len(self.flat) - 1).reshape(len(kernel), -1)

    def look_up(self, places: np.ndarray) -> np.ndarray:
        """Costs of subnets whose blocks are at `places`."""
        each = self.flat[places]
        return self.fixed + each.sum(1) if self.join == "sum" else np.maximum(
            self.fixed, each.max(1))


class CostModel:
    """Exact costs of subnets for one image: `costs(subnets)` is a dict of [n] arrays.

    Keys: "macs"; "params"; "peak_activation_bytes" (float32, what the greediest layer reads and
    writes plus a waiting skip connection); "file_bytes_PRECISION" for each of `files`.

    Args:
      resolution: of the images in pixels; None is the space's own.
      files: by precision, the bytes that layers add to a file and those of one without layers,
        as `onnx_writer.FILE_SIZES` has them.
    """

    def __init__(self, space: SearchSpace, *, resolution: int | None = None,
                 files: Mapping[str, tuple[Callable, int]] | None = None):
        build = partial(BlockTable.build, space, resolution=resolution)
        self.tables = {"macs": build(macs), "params": build(params),
                       "peak_activation_bytes": build(peak_activation_bytes, join="max")}
        for precision, (bytes_of, envelope) in (files or {}).items():
            table = build(bytes_of)
            self.tables[f"file_bytes_{precision}"] = dataclasses.replace(
                table, fixed=table.fixed + envelope)

    def __call__(self, subnets: Subnet) -> dict[str, np.ndarray]:
        """Costs of n stacked subnets (NumPy leaves with a leading axis)."""
        tables = list(self.tables.values())
        places = tables[0].places(subnets)
        return {name: table.look_up(places) for name, table in self.tables.items()}


def macs(network_layers: tuple[Layer, ...]) -> int:
    """Multiply-adds for one image."""
    return sum(layer.macs for layer in network_layers)


def params(network_layers: tuple[Layer, ...]) -> int:
    """Learnable numbers."""
    return sum(layer.params for layer in network_layers)


def peak_activation_bytes(network_layers: tuple[Layer, ...]) -> int:
    """Most float32 feature maps that are alive at once, for one image.

    A layer needs what it reads, what it writes, and the input of a residual block that is still
    to be added. Nothing is assumed to work in place.
    """
    return 4 * max(_peak(piece) for _, piece in pieces(network_layers))


def _peak(piece: tuple[Layer, ...]) -> int:
    waiting = _numbers_read(piece[0]) if piece[-1].op == "add" else 0
    return max(_numbers_read(layer) + layer.out_channels * layer.size_out**2 + waiting * (i > 0)
               for i, layer in enumerate(piece))


def _numbers_read(layer: Layer) -> int:
    return layer.in_channels * layer.size_in**2


def pieces(network_layers: tuple[Layer, ...]) -> Iterator[tuple[str, tuple[Layer, ...]]]:
    """The layers by block: "stem", "first_block", "stage0/block0", ..., "head".

    The classifier belongs to the head.
    """
    def name_of(layer):
        parts = layer.name.split("/")
        return "/".join(parts[:2]) if parts[0].startswith("stage") else {
            "classifier": "head"}.get(parts[0], parts[0])

    for name, piece in groupby(network_layers, name_of):
        yield name, tuple(piece)


def _with_everywhere(space: SearchSpace, kernel: int, expand: int) -> Subnet:
    """The deepest subnet with one choice everywhere, cut to what each stage offers."""
    cut = lambda choices, i: min(i, len(choices) - 1)
    full = lambda field, i: np.array(
        [[cut(getattr(stage, field), i)] * space.max_depth for stage in space.stages], np.int32)
    depth = np.array([stage.max_depth for stage in space.stages], np.int32)
    return Subnet(depth, full("kernels", kernel), full("expands", expand))
