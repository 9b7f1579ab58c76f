"""What a block may be made of: rows over widths that have names.

A block reads a feature map "in" channels wide and writes one "out" channels wide; what lies between
has widths of its own, such as "middle". A row names the widths that it reads and writes, and from
that follow the shapes of its tensors, which part of them a subnet uses, what may be sorted, its
layers and its cost.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping

Path = tuple[str, ...]  # of a tensor in the parameters of a block
Dims = tuple[str | int, ...]  # its axes: the name of a width, or a number
KERNEL = "kernel"  # the side of a kernel that every block chooses
BLOCK = "block"  # the activation of the stage

_NORM = ("scale", "bias")


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution without bias, batch norm, an activation.

    Attributes:
      name: of its parameters and of its layer.
      reads, writes: names of widths.
      kernel: side of the square kernel in pixels, or KERNEL.
      depthwise: every channel has a kernel of its own; `reads` and `writes` are the same.
      strided: carries the stride of the block.
      activation: a name, BLOCK or "identity".
    """

    name: str
    reads: str
    writes: str
    kernel: int | str = 1
    depthwise: bool = False
    strided: bool = False
    activation: str = BLOCK

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """Axes of every parameter.

        Args:
          kernels: what the block offers, ascending.
          transforms: smaller kernels are learned maps of larger ones.
        """
        side = kernels[-1] if self.kernel == KERNEL else self.kernel
        channels = (self.writes,) if self.depthwise else (self.reads, self.writes)
        spatial = () if self.kernel == 1 else (side, side)
        found = {(self.name, "kernel"): (*spatial, *channels)}
        found |= {(self.name, "norm", part): (self.writes,) for part in _NORM}
        if self.kernel == KERNEL and transforms:
            found |= {(self.name, "transform", f"{larger}to{smaller}"): (smaller**2, smaller**2)
                      for larger, smaller in steps(kernels)}
        return found


@dataclasses.dataclass(frozen=True)
class Gate:
    """Squeeze-excite: channels weighed by a small network on their spatial means.

    Attributes:
      on: the width whose channels are weighed.
      hidden: the width of the network's hidden units.
    """

    name: str
    on: str
    hidden: str

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """Axes of every parameter."""
        return {(self.name, "reduce", "kernel"): (self.on, self.hidden),
                (self.name, "reduce", "bias"): (self.hidden,),
                (self.name, "expand", "kernel"): (self.hidden, self.on),
                (self.name, "expand", "bias"): (self.on,)}


@dataclasses.dataclass(frozen=True)
class Shortcut:
    """Adds what came into the block to what the rows before have made.

    Where the block has a stride or changes the width there is nothing to add, unless there is a
    projection: the mean over each stride x stride pixels, a 1x1 convolution, batch norm (ResNet-D).

    Attributes:
      projection: name of that convolution; "" has none.
    """

    name: str = "add"
    projection: str = ""

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """Axes of the projection's parameters; a block without one leaves them out."""
        return Conv(self.projection, "in", "out").tensors((), False) if self.projection else {}


@dataclasses.dataclass(frozen=True)
class Activation:
    """An activation on its own, after a sum."""

    name: str = "activation"
    activation: str = BLOCK

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """None."""
        return {}


@dataclasses.dataclass(frozen=True)
class MaxPool:
    """The largest of each kernel x kernel pixels, padding kernel // 2."""

    name: str = "pool"
    kernel: int = 3
    stride: int = 2

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """None."""
        return {}


Row = Conv | Gate | Shortcut | Activation | MaxPool


@dataclasses.dataclass(frozen=True)
class Width:
    """A width inside a block: a multiple of another one, rounded by `make_divisible`.

    Attributes:
      of: "in", "out" or a width listed before.
      times: a number, or "expand" for the expand ratio that every block chooses.
    """

    name: str
    of: str
    times: float | str

    def resolve(self, sizes: Mapping[str, int], expand: float) -> int:
        """Channels, where those of `of` and the expand ratio are known."""
        times = expand if self.times == "expand" else self.times
        return make_divisible(round(sizes[self.of] * times))


def steps(kernels: tuple[int, ...]) -> list[tuple[int, int]]:
    """Pairs (larger, next smaller) of ascending kernel sizes, from the largest down."""
    return list(zip(kernels[:0:-1], kernels[-2::-1], strict=True))


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor` (at least one) that loses no more than 10 % of `channels`."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest
