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
ACTIVATIONS = ("relu", "relu6", "h_swish")
MOST_CHANNELS = 1_000_000  # of any width; more is a mistake

_NORM = ("scale", "bias")


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution without bias, followed by batch norm and an activation.

    Attributes:
      name: Name of its layer, with which the paths of its parameters begin.
      reads, writes: Names of the widths of what it reads and writes.
      kernel: Side of the square kernel in pixels, or KERNEL.
      depthwise: Whether every channel has a kernel of its own; `reads` and `writes` are then the
        same.
      strided: Whether it carries the stride of the block; otherwise its stride is 1.
      activation: Name of an activation, "identity" for none, or BLOCK.
    """

    name: str
    reads: str
    writes: str
    kernel: int | str = 1
    depthwise: bool = False
    strided: bool = False
    activation: str = BLOCK

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """Axes of every parameter, by its path.

        Args:
          kernels: Kernel sizes that the block offers, ascending.
          transforms: Whether smaller kernels are learned maps of larger ones.
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
      name: Name of its layer, with which the paths of its parameters begin.
      on: Name of the width whose channels are weighed.
      hidden: Name of the width of the network's hidden units.
    """

    name: str
    on: str
    hidden: str

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """Axes of every parameter, by its path."""
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
      name: Name of the layer of the sum.
      projection: Name of that convolution; "" is none.
    """

    name: str = "add"
    projection: str = ""

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """Axes of the projection's parameters, by path; a residual block leaves them out."""
        return Conv(self.projection, "in", "out").tensors((), False) if self.projection else {}


@dataclasses.dataclass(frozen=True)
class Activation:
    """An activation on its own, after a sum.

    Attributes:
      name: Name of its layer.
      activation: Name of an activation, or BLOCK.
    """

    name: str = "activation"
    activation: str = BLOCK

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """An empty dict, as there are no parameters."""
        return {}


@dataclasses.dataclass(frozen=True)
class MaxPool:
    """Max pooling: the largest of each kernel x kernel pixels, with padding kernel // 2.

    Attributes:
      name: Name of its layer.
      kernel: Side of the window in pixels.
      stride: Pixels from one window to the next.
    """

    name: str = "pool"
    kernel: int = 3
    stride: int = 2

    def tensors(self, kernels: tuple[int, ...], transforms: bool) -> dict[Path, Dims]:
        """An empty dict, as there are no parameters."""
        return {}


Row = Conv | Gate | Shortcut | Activation | MaxPool


@dataclasses.dataclass(frozen=True)
class Width:
    """A width inside a block: a multiple of another one, rounded by `make_divisible`.

    Attributes:
      name: Name of the width, by which rows call it.
      of: Name of the other width: "in", "out" or one that is listed before.
      times: Factor, or "expand" for the expand ratio that every block chooses.
    """

    name: str
    of: str
    times: float | str

    def resolve(self, sizes: Mapping[str, int], expand: float) -> int:
        """Number of channels of this width.

        Args:
          sizes: Numbers of channels of the widths listed before, by name.
          expand: Expand ratio of the block.

        Raises:
          ValueError: If there are more than MOST_CHANNELS.
        """
        channels = sizes[self.of] * (expand if self.times == "expand" else self.times)
        if not channels <= MOST_CHANNELS:
            raise ValueError(f"width {self.name!r} of a block has {channels:g} channels, and at "
                             f"most {MOST_CHANNELS} are allowed; give a smaller factor")
        return make_divisible(round(channels))


def steps(kernels: tuple[int, ...]) -> list[tuple[int, int]]:
    """Pairs (larger, next smaller) of ascending kernel sizes, from the largest down."""
    return list(zip(kernels[:0:-1], kernels[-2::-1], strict=True))


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor` (at least one) that loses no more than 10 % of `channels`."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest
