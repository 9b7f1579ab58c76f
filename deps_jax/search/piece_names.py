"""Names of the pieces of a space: equal pieces share one, different ones never do."""
from __future__ import annotations

import dataclasses

from deps_jax.space.cost import BlockTable
from deps_jax.space.layers import Layer
from deps_jax.space.search_space import SearchSpace


@dataclasses.dataclass(frozen=True)
class PieceNames:
    """A name for every piece of a space by what it computes, not by where it stands.

    A name is short, "stage1 24to40 72wide k5 s2 28px", where that tells the piece from all others
    of the space, as it does in the published families; otherwise it names every layer, too: in a
    block of one's own, widths may be chosen that the short name leaves out.

    Attributes:
      ambiguous: Short names that several pieces of the space would have.
    """

    ambiguous: frozenset[str]

    @classmethod
    def of(cls, space: SearchSpace, resolution: int) -> PieceNames:
        """The names of a space at images of `resolution` pixels a side."""
        found: dict[str, set[str]] = {}

        def collect(piece: tuple[Layer, ...]) -> float:
            found.setdefault(_short(piece), set()).add(_every_layer(piece))
            return 0.0

        BlockTable.build(space, collect, resolution=resolution)
        return cls(frozenset(name for name, pieces in found.items() if len(pieces) > 1))

    def __call__(self, piece: tuple[Layer, ...]) -> str:
        """The name of a piece."""
        short = _short(piece)
        return f"{short}: {_every_layer(piece)}" if short in self.ambiguous else short


def _short(piece: tuple[Layer, ...]) -> str:
    """A name of few words; tables of latencies that exist hold it, so it stays as it is."""
    first, last = piece[0], piece[-1]
    depthwise = next((layer for layer in piece if layer.op == "conv" and layer.groups > 1), None)
    words = [first.name.split("/")[0], f"{first.in_channels}to{last.out_channels}"]
    if depthwise:
        words += [f"{depthwise.out_channels}wide", f"k{depthwise.kernel}", f"s{depthwise.stride}"]
    elif first.block:
        words += [f"{layer.out_channels}k{layer.kernel}s{layer.stride}" for layer in piece[:-1]
                  if layer.kernel]
    if last.op == "add":
        words.append("add")
    return " ".join([*words, f"{first.size_in}px"])


def _every_layer(piece: tuple[Layer, ...]) -> str:
    """All that the choices of a block decide; the rest follows from its stage."""
    return ", ".join(
        f"{layer.name.removeprefix(f'{layer.part}/')} {layer.in_channels}to{layer.out_channels} "
        f"k{layer.kernel} s{layer.stride}" + (f" {layer.hidden}hidden" if layer.hidden else "")
        + f" {layer.size_in}px" for layer in piece)
