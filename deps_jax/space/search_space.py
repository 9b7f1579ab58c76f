"""What may exist: a search space of inverted-residual networks as one frozen value.

A space lists, for every stage, the depths, kernel sizes and expand ratios a subnet may choose. The
published spaces are literals in `deps_jax.space.families`; a space of your own is one more
literal, or an existing one with other lists:

    space = MOBILENET_V3_CIFAR.with_choices(kernels=(3, 5, 7), width_mult=0.5, num_classes=100)
"""
from __future__ import annotations

import dataclasses
import math
from functools import cached_property

CHANNEL_DIVISOR = 8  # every width is a multiple of it (OFA, make_divisible)
ACTIVATIONS = ("relu", "relu6", "h_swish")


def make_divisible(channels: float, divisor: int = CHANNEL_DIVISOR) -> int:
    """Nearest multiple of `divisor` (at least one) that loses no more than 10 % of `channels`."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


def expanded_width(in_channels: int, expand: float) -> int:
    """Middle channels of an inverted residual with this expand ratio."""
    return make_divisible(round(in_channels * expand))


def squeeze_width(channels: int) -> int:
    """Hidden units of a squeeze-excite gate over `channels` (a quarter of them)."""
    return make_divisible(channels // 4)


@dataclasses.dataclass(frozen=True)
class Stage:
    """Blocks of one width. The first carries the stride, the others are residual.

    Attributes:
      width: output channels before the width multiplier.
      stride: 1 or 2, of the first block.
      activation: "relu", "relu6" or "h_swish".
      squeeze_excite: whether every block gates its middle channels.
      depths, kernels, expands: what a subnet may choose, for the stage (depths) and for each of
        its blocks (kernel sizes, expand ratios). Any order; kept sorted. With the expand ratio 1
        alone, blocks have no 1x1 expansion, as in OFA and DepS.
    """

    width: int
    stride: int
    activation: str
    squeeze_excite: bool
    depths: tuple[int, ...] = (2, 3, 4)
    kernels: tuple[int, ...] = (7,)
    expands: tuple[float, ...] = (3, 4, 6)

    def __post_init__(self):
        for field in ("depths", "kernels", "expands"):
            object.__setattr__(self, field, _choices(field, getattr(self, field)))
        if self.stride not in (1, 2):
            raise ValueError(f"stride {self.stride} of a stage is not 1 or 2; choose one of them")
        if self.width < 1:
            raise ValueError(f"width {self.width} of a stage is not positive; give channels >= 1")
        _check_activation(self.activation)

    @property
    def max_depth(self) -> int:
        return self.depths[-1]

    def with_choices(self, depths=None, kernels=None, expands=None) -> Stage:
        """This stage with other lists to choose from; None keeps its own."""
        lists = {"depths": depths, "kernels": kernels, "expands": expands}
        return dataclasses.replace(self, **{
            name: tuple(values) for name, values in lists.items() if values is not None})


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """A stem, one fixed first block, elastic stages and a head; widths before `width_mult`.

    Attributes:
      name: of the family; part of what a checkpoint remembers.
      stem_width, stem_stride: the first 3x3 convolution.
      first_width, first_residual: the fixed 3x3 block after it (expand ratio 1), and whether its
        input is added to its output, which needs equal widths of both.
      stages: the elastic part.
      head_width: 1x1 convolution with batch norm before the pooling.
      feature_width: 1x1 convolution without batch norm after the pooling; 0 leaves it out.
      num_classes, resolution: of the classifier; of the square images, in pixels.
      width_mult: scales every width (rounded by `make_divisible`).
      kernel_transform: smaller kernels are learned linear maps of the larger one's centre (OFA)
        instead of the centre itself.
      norm_epsilon: of every batch norm.
    """

    name: str
    stem_width: int
    stem_stride: int
    first_width: int
    first_residual: bool
    stages: tuple[Stage, ...]
    head_width: int
    feature_width: int
    num_classes: int
    resolution: int
    stem_activation: str = "h_swish"
    first_activation: str = "relu"
    head_activation: str = "h_swish"
    width_mult: float = 1.0
    kernel_transform: bool = False
    norm_epsilon: float = 1e-5

    def __post_init__(self):
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise ValueError("the space has no stages; give at least one Stage")
        if self.num_classes < 2:
            raise ValueError(f"num_classes {self.num_classes} is below 2; a classifier needs two")
        if self.width_mult <= 0:
            raise ValueError(f"width_mult {self.width_mult} is not positive; 1.0 is the full width")
        for activation in (self.stem_activation, self.first_activation, self.head_activation):
            _check_activation(activation)
        stem, first = self.scaled(self.stem_width), self.scaled(self.first_width)
        if self.first_residual and stem != first:
            raise ValueError(
                f"first_residual adds the {stem} channels of the stem to the {first} of the first "
                f"block; make stem_width {self.stem_width} and first_width {self.first_width} "
                f"equal, or set first_residual=False"
            )
        if self.resolution < self.total_stride:
            raise ValueError(
                f"resolution {self.resolution} px is smaller than the total stride "
                f"{self.total_stride} of space {self.name!r}; use at least {self.total_stride} px "
                f"or stages with stride 1"
            )

    @property
    def total_stride(self) -> int:
        return self.stem_stride * math.prod(stage.stride for stage in self.stages)

    @property
    def max_depth(self) -> int:
        """Most blocks a stage of this space can have; second axis of a Subnet's arrays."""
        return max(stage.max_depth for stage in self.stages)

    @cached_property
    def blocks(self) -> tuple[tuple[Block, ...], ...]:
        """The largest form of every elastic block, by stage."""
        stages, in_channels = [], self.scaled(self.first_width)
        for stage in self.stages:
            out_channels = self.scaled(stage.width)
            blocks = []
            for position in range(stage.max_depth):
                stride = stage.stride if position == 0 else 1
                blocks.append(Block(
                    in_channels=in_channels, out_channels=out_channels, stride=stride,
                    residual=stride == 1 and in_channels == out_channels,
                    activation=stage.activation, squeeze_excite=stage.squeeze_excite,
                    kernels=stage.kernels, expands=stage.expands,
                    kernel_transform=self.kernel_transform and len(stage.kernels) > 1,
                    epsilon=self.norm_epsilon,
                ))
                in_channels = out_channels
            stages.append(tuple(blocks))
        return tuple(stages)

    @cached_property
    def first_block(self) -> Block:
        """The fixed 3x3 block between the stem and the first stage."""
        return Block(
            in_channels=self.scaled(self.stem_width), out_channels=self.scaled(self.first_width),
            stride=1, residual=self.first_residual, activation=self.first_activation,
            squeeze_excite=False, kernels=(3,), expands=(1,), kernel_transform=False,
            epsilon=self.norm_epsilon,
        )

    def scaled(self, width: int) -> int:
        """`width` channels after the width multiplier."""
        return make_divisible(width * self.width_mult)

    def size(self) -> int:
        """Number of distinct subnets, resolution aside (deps_reference 1.6)."""
        return math.prod(
            sum((len(stage.kernels) * len(stage.expands)) ** depth for depth in stage.depths)
            for stage in self.stages
        )

    def with_choices(self, *, depths=None, kernels=None, expands=None, **fields) -> SearchSpace:
        """This space with other choices in every stage, and any other field replaced.

        Args:
          depths: list for all stages but those of a fixed depth, which belongs to their place in
            the network; None keeps each stage's own.
          kernels, expands: lists for all stages; None keeps each stage's own.
          **fields: fields of SearchSpace, such as `width_mult=0.25, num_classes=10`.

        Raises:
          ValueError: for an empty or impossible list, depths that no stage can take, or a field
            that does not exist.
        """
        known = {field.name for field in dataclasses.fields(self)}
        if unknown := sorted(set(fields) - known):
            raise ValueError(f"a search space has no field {unknown[0]!r}; it has {sorted(known)}")
        elastic = [len(stage.depths) > 1 for stage in self.stages]
        if depths is not None and not any(elastic):
            raise ValueError(f"depths {tuple(depths)} are given, but every stage of space "
                             f"{self.name!r} has a fixed depth; make its stages anew")
        stages = tuple(stage.with_choices(depths if changes else None, kernels, expands)
                       for stage, changes in zip(self.stages, elastic, strict=True))
        return dataclasses.replace(self, **{"stages": stages, **fields})


@dataclasses.dataclass(frozen=True)
class Block:
    """One inverted residual in its largest form, channels resolved. Static under jit."""

    in_channels: int
    out_channels: int
    stride: int
    residual: bool
    activation: str
    squeeze_excite: bool
    kernels: tuple[int, ...]
    expands: tuple[float, ...]
    kernel_transform: bool
    epsilon: float

    @property
    def expansion(self) -> bool:
        """Whether a 1x1 convolution widens the input; not where 1 is the only expand ratio."""
        return self.expands[-1] > 1

    @property
    def middle_widths(self) -> tuple[int, ...]:
        """Middle channels for every expand ratio, ascending."""
        return tuple(expanded_width(self.in_channels, expand) for expand in self.expands)

    @property
    def max_middle(self) -> int:
        return self.middle_widths[-1]

    @property
    def transform_names(self) -> tuple[str, ...]:
        """Kernel transforms of the block, "5to3" and so on, largest first."""
        pairs = zip(self.kernels[:0:-1], self.kernels[-2::-1], strict=True)
        return tuple(f"{larger}to{smaller}" for larger, smaller in pairs)


def _choices(field: str, values) -> tuple:
    """Sorted distinct choices, refused if no network could be built from them."""
    values = tuple(values)
    if not values:
        raise ValueError(f"{field} is empty; list at least one value, such as {_EXAMPLES[field]}")
    if len(set(values)) < len(values):
        raise ValueError(f"{field} {values} repeats a value; list each once")
    for value in values:
        if field == "kernels" and (int(value) != value or value < 1 or value % 2 == 0):
            raise ValueError(f"kernel {value} in {values} is not odd and positive; use 3, 5 or 7")
        if field == "depths" and (int(value) != value or value < 1):
            raise ValueError(f"depth {value} in {values} is not a whole number of blocks >= 1")
        if field == "expands" and value < 1:
            raise ValueError(f"expand ratio {value} in {values} is below 1; the block would shrink")
    return tuple(sorted(values))


_EXAMPLES = {"depths": (2, 3, 4), "kernels": (3, 5, 7), "expands": (3, 4, 6)}


def _check_activation(name: str) -> None:
    if name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is unknown; use one of {ACTIVATIONS}")
