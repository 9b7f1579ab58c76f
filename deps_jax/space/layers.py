"""What one network is: the flat list of its layers.

One description for whatever builds, counts or exports a network (`torch_net.py`, tables of MACs):
none of them looks at the space or the subnet again.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from deps_jax.space.search_space import Block, SearchSpace, squeeze_width
from deps_jax.space.subnet import Subnet


@dataclasses.dataclass(frozen=True)
class Layer:
    """One operation on a batch of square feature maps, sizes in pixels.

    Attributes:
      name: path such as "stage2/block1/depthwise"; the leading part names the block.
      op: "conv" (square kernel, padding kernel // 2, batch norm or nothing, activation),
        "squeeze_excite", "add" (the output of layer `skip`), "pool" (global mean) or "dense".
      groups: of a convolution; `in_channels` for depthwise.
      hidden: units inside a squeeze-excite gate.
      skip: for "add", the name of the layer whose output is added.
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
        """Learnable numbers; running statistics of batch norm are not counted."""
        if self.op == "conv":
            weights = self.kernel**2 * (self.in_channels // self.groups) * self.out_channels
            return weights + (2 * self.out_channels if self.batch_norm else 0)
        if self.op == "squeeze_excite":
            return 2 * self.in_channels * self.hidden + self.hidden + self.in_channels
        return (self.in_channels + 1) * self.out_channels if self.op == "dense" else 0


def layers(space: SearchSpace, subnet: Subnet, resolution: int | None = None) -> tuple[Layer, ...]:
    """The layers of a static subnet, in order of execution, for square images.

    Args:
      resolution: image side in pixels; None is the space's own.
    """
    if not subnet.is_static:
        raise ValueError("layers() needs a static subnet; call it outside jit, on NumPy arrays")
    return tuple(_network(space, subnet, resolution or space.resolution))


def _network(space: SearchSpace, subnet: Subnet, size: int) -> Iterator[Layer]:
    channels = space.scaled(space.stem_width)
    stem = _conv("stem", 3, channels, size, kernel=3, stride=space.stem_stride,
                 activation=space.stem_activation)
    yield stem
    last = stem
    for layer in _block("first_block", space.first_block, 3, 0, last):
        yield layer
        last = layer
    for s, blocks in enumerate(space.blocks):
        for d, block in enumerate(blocks[: int(subnet.depth[s])]):
            kernel = block.kernels[int(subnet.kernel[s, d])]
            choice = int(subnet.expand[s, d])
            for layer in _block(f"stage{s}/block{d}", block, kernel, choice, last):
                yield layer
                last = layer
    yield from _head(space, last)


def _block(name: str, block: Block, kernel: int, choice: int, previous: Layer) -> Iterator[Layer]:
    """An inverted residual: expansion, depthwise, squeeze-excite, projection, add."""
    size, middle, act = previous.size_out, block.middle_widths[choice], block.activation
    if block.expansion:
        yield _conv(f"{name}/expand", block.in_channels, middle, size, activation=act)
    depthwise = _conv(f"{name}/depthwise", middle, middle, size, kernel=kernel,
                      stride=block.stride, groups=middle, activation=act)
    yield depthwise
    size = depthwise.size_out
    if block.squeeze_excite:
        yield Layer(f"{name}/squeeze_excite", "squeeze_excite", middle, middle, size, size,
                    hidden=squeeze_width(middle))
    yield _conv(f"{name}/project", middle, block.out_channels, size)
    if block.residual:
        yield Layer(f"{name}/add", "add", block.out_channels, block.out_channels, size, size,
                    skip=previous.name)


def _head(space: SearchSpace, last: Layer) -> Iterator[Layer]:
    channels, size = space.scaled(space.head_width), last.size_out
    yield _conv("head/expand", last.out_channels, channels, size, activation=space.head_activation)
    yield Layer("head/pool", "pool", channels, channels, size, 1)
    if space.feature_width:
        features = space.scaled(space.feature_width)
        yield _conv("head/features", channels, features, 1, batch_norm=False,
                    activation=space.head_activation)
        channels = features
    yield Layer("classifier", "dense", channels, space.num_classes, 1, 1)


def _conv(name, in_channels, out_channels, size, *, kernel=1, stride=1, groups=1,
          activation="identity", batch_norm=True) -> Layer:
    return Layer(name, "conv", in_channels, out_channels, size, -(-size // stride), kernel, stride,
                 groups, batch_norm, activation)
