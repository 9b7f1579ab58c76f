"""What one network is: the flat list of its layers.

One description for whatever builds, counts or exports a network (PyTorch networks, ONNX, tables of
costs): none of them looks at the space or the subnet again.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from deps_jax.space.block import Block
from deps_jax.space.rows import BLOCK, KERNEL, Activation, Conv, Gate, MaxPool, Row
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet


@dataclasses.dataclass(frozen=True)
class Layer:
    """One operation on a batch of square feature maps, sizes in pixels.

    It reads what the layer before has written, unless `source` names another one.

    Attributes:
      name: Path such as "stage2/block1/depthwise"; see `part` for the piece it belongs to.
      op: The operation: "conv" (square kernel, padding kernel // 2, batch norm or nothing,
        activation), "squeeze_excite", "add" (the output of layer `skip`), "activation", "max_pool"
        (padding kernel // 2), "average_pool" (kernel = stride, what is beyond the edge not
        counted), "double" (each pixel four times) and "unfold" (channels as finer pixels),
        both of exported files alone, "pool" (global mean) or "dense".
      in_channels, out_channels: Numbers of channels read and written.
      size_in, size_out: Sides of the feature maps read and written.
      kernel: Side of the kernel.
      stride: Pixels from one place of the kernel to the next.
      groups: Number of groups of a convolution; `in_channels` for a depthwise one.
      batch_norm: Whether batch norm follows the convolution.
      activation: Name of the activation at the end, see `operations.activate`.
      hidden: Number of units inside a squeeze-excite gate.
      skip: For "add", the name of the layer whose output is added.
      source: Name of the layer whose output is read; "" is the one before.
      block: (stage, block) of an elastic block; None outside of them.
    """

    name: str
    op: str
    in_channels: int
    out_channels: int
    size_in: int
    size_out: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    batch_norm: bool = False
    activation: str = "identity"
    hidden: int = 0
    skip: str = ""
    source: str = ""
    block: tuple[int, int] | None = None

    @property
    def part(self) -> str:
        """The part of the network it is in: "stem", "first_block", "stage0/block0", ..., "head"."""
        if self.block:
            return "stage{}/block{}".format(*self.block)
        first = self.name.partition("/")[0]
        return "head" if first == "classifier" else first

    @property
    def macs(self) -> int:
        """Multiply-adds for one image; batch norm, activations, pooling and adds count nothing."""
        if self.op == "conv":
            per_pixel = self.kernel**2 * (self.in_channels // self.groups) * self.out_channels
            return per_pixel * self.size_out**2
        if self.op == "squeeze_excite":
            return 2 * self.in_channels * self.hidden
        return self.in_channels * self.out_channels if self.op == "dense" else 0

    @property
    def params(self) -> int:
        """Number of learnable parameters; running statistics of batch norm are not counted."""
        if self.op == "conv":
            weights = self.kernel**2 * (self.in_channels // self.groups) * self.out_channels
            return weights + (2 * self.out_channels if self.batch_norm else 0)
        if self.op == "squeeze_excite":
            return 2 * self.in_channels * self.hidden + self.hidden + self.in_channels
        return (self.in_channels + 1) * self.out_channels if self.op == "dense" else 0


def layers(space: SearchSpace, subnet: Subnet, resolution: int | None = None) -> tuple[Layer, ...]:
    """The layers of a static subnet, in order of execution, for square images.

    Args:
      resolution: Side of the images in pixels; None is the space's own.

    Raises:
      ValueError: If the subnet is traced or holds JAX arrays.
    """
    if not subnet.is_static:
        raise ValueError("layers() needs a static subnet; call it outside jit, on NumPy arrays")
    size = resolution or space.resolution
    found = [stem_layer(space, int(subnet.width_at(space, 0)), size)]
    if space.first_block:
        found += block_layers("first_block", space.first_block, 0, 3, found[-1])
    for s, blocks in enumerate(space.blocks):
        incoming, outgoing = (int(subnet.width_at(space, i)) for i in (s, s + 1))
        for d, block in enumerate(blocks[: int(subnet.depth[s])]):
            branch = block.branch(incoming if d == 0 else outgoing, outgoing,
                                  int(subnet.expand[s, d]))
            kernel = block.kernels[int(subnet.kernel[s, d])]
            found += block_layers(f"stage{s}/block{d}", block, branch, kernel, found[-1], (s, d))
    return (*found, *head_layers(space, found[-1]))


def stem_layer(space: SearchSpace, width: int, size: int) -> Layer:
    """The first convolution.

    Args:
      width: Position in `space.widths[0]`.
      size: Side of the images in pixels.
    """
    return conv_layer("stem", 3, space.widths[0][width], size, kernel=3, stride=space.stem_stride,
                      activation=space.stem_activation)


def block_layers(name: str, block: Block, branch: int, kernel: int, previous: Layer,
                 place: tuple[int, int] | None = None) -> Iterator[Layer]:
    """Yields the layers of a block at one of its choices.

    Args:
      name: What the names of the layers begin with, such as "stage2/block1".
      branch: Number of the chosen branch, see `Block.branches`.
      kernel: Side of the chosen kernel in pixels.
      previous: The layer before the block.
      place: (stage, block) of an elastic block; None outside of the stages.
    """
    sizes, size = block.branches[branch], previous.size_out
    before = previous.name
    for row in block.rows:
        for layer in _row_layers(name, block, row, sizes, kernel, size, previous, before):
            yield dataclasses.replace(layer, block=place)
            size, before = layer.size_out, layer.name


def _row_layers(name: str, block: Block, row: Row, sizes: Mapping[str, int], kernel: int,
                size: int, previous: Layer, before: str) -> Iterator[Layer]:
    """The layers of one row; `size` and `before` are the side and the layer of what it reads."""
    own, out = f"{name}/{row.name}", sizes["out"]
    if isinstance(row, Conv):
        middle = sizes[row.writes]
        yield conv_layer(
            own, sizes[row.reads], middle, size, kernel=kernel if row.kernel == KERNEL else
            row.kernel, stride=block.stride if row.strided else 1,
            groups=middle if row.depthwise else 1,
            activation=block.activation if row.activation == BLOCK else row.activation)
    elif isinstance(row, Gate):
        yield Layer(own, "squeeze_excite", sizes[row.on], sizes[row.on], size, size,
                    hidden=sizes[row.hidden])
    elif isinstance(row, MaxPool):
        yield Layer(own, "max_pool", out, out, size, -(-size // row.stride), row.kernel, row.stride)
    elif isinstance(row, Activation):
        yield Layer(own, "activation", out, out, size, size,
                    activation=block.activation if row.activation == BLOCK else row.activation)
    elif block.residual:
        yield Layer(own, "add", out, out, size, size, skip=previous.name)
    elif row.projection:
        pixels, source = previous.size_out, previous.name
        if block.stride > 1:
            pooled = Layer(f"{name}/{row.projection}/pool", "average_pool", sizes["in"],
                           sizes["in"], pixels, size, block.stride, block.stride, source=source)
            yield pooled
            pixels, source = size, ""
        projected = conv_layer(f"{name}/{row.projection}", sizes["in"], out, pixels)
        yield dataclasses.replace(projected, source=source)
        yield Layer(own, "add", out, out, size, size, skip=before)


def head_layers(space: SearchSpace, last: Layer) -> Iterator[Layer]:
    """Yields the layers after `last`: 1x1 convolutions, the global mean, the classifier."""
    channels, size = last.out_channels, last.size_out
    if space.head_width:
        width = space.scaled(space.head_width)
        yield conv_layer("head/expand", channels, width, size, activation=space.head_activation)
        channels = width
    yield Layer("head/pool", "pool", channels, channels, size, 1)
    if space.feature_width:
        features = space.scaled(space.feature_width)
        yield conv_layer("head/features", channels, features, 1, batch_norm=False,
                         activation=space.head_activation)
        channels = features
    yield Layer("classifier", "dense", channels, space.num_classes, 1, 1)


def conv_layer(name: str, in_channels: int, out_channels: int, size: int, *, kernel: int = 1,
               stride: int = 1, groups: int = 1, activation: str = "identity",
               batch_norm: bool = True) -> Layer:
    """A convolution that reads a feature map with a side of `size` pixels."""
    return Layer(name, "conv", in_channels, out_channels, size, -(-size // stride), kernel, stride,
                 groups, batch_norm, activation)
