"""What may exist: a search space of CNNs with elastic blocks as one frozen value.

A space lists, for every stage, the depths, kernel sizes, expand ratios and widths a subnet may
choose, and the form of its blocks. The published spaces are literals in
`deps_jax.space.families`; a space of your own is one more literal, or an existing one with other
lists:

    space = MOBILENET_V3_CIFAR.with_choices(kernels=(3, 5, 7), width_mult=0.5, num_classes=100)
"""
from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from deps_jax.space.block import INVERTED_RESIDUAL, Block, BlockForm
from deps_jax.space.rows import ACTIVATIONS, MOST_CHANNELS, make_divisible

AXES = ("depths", "kernels", "expands", "widths")  # what a stage lists
# Far above any network: a damaged number would fill the memory.
MOST_BLOCKS, MOST_TIMES = 1000, 1000.0


@dataclasses.dataclass(frozen=True)
class Stage:
    """Blocks of one width. The first carries the stride, the others are residual.

    Attributes:
      width: Number of output channels before the width multiplier; 0 keeps those that come in.
      stride: Stride of the first block, 1 or 2.
      activation: Activation of the blocks: "relu", "relu6" or "h_swish".
      squeeze_excite: Whether the gates of the block's form are there.
      depths, kernels, expands: What a subnet may choose, for the stage (depths) and for each of
        its blocks (kernel sizes, expand ratios). They may be given in any order and are kept
        sorted. With the expand ratio 1 alone, blocks have no 1x1 expansion, as in OFA and DepS.
      widths: Multiples of `width` that a subnet may choose for the whole stage (OFA's ResNet).
      base_depth: Number of blocks beside those that `depths` counts.
      block: Form of the blocks; lists that it does not choose from (see `BlockForm.axes`) become
        (1,).

    Raises:
      ValueError: If no network could be built from it; the message says what to change.
    """

    width: int
    stride: int
    activation: str
    squeeze_excite: bool = False
    depths: tuple[int, ...] = (2, 3, 4)
    kernels: tuple[int, ...] = (7,)
    expands: tuple[float, ...] = (3, 4, 6)
    widths: tuple[float, ...] = (1.0,)
    base_depth: int = 0
    block: BlockForm = INVERTED_RESIDUAL

    def __post_init__(self) -> None:
        for field in AXES:
            chosen = field in ("depths", "widths", *self.block.axes)
            values = getattr(self, field) if chosen else (1,)
            object.__setattr__(self, field, _choices(field, values))
        if self.stride not in (1, 2):
            raise ValueError(f"stride {self.stride} of a stage is not 1 or 2; choose one of them")
        if self.stride == 2 and not self.block.strides:
            raise ValueError(f"a stage has stride 2, but no row of its block {self.block.name!r} "
                             f"is strided; mark one, or use stride 1")
        if not 0 <= self.base_depth <= MOST_BLOCKS:
            raise ValueError(f"base_depth {self.base_depth} of a stage is not a number of blocks; "
                             f"give 0 to {MOST_BLOCKS}")
        if self.width < 0 or (self.width == 0 and (self.stride == 2 or len(self.widths) > 1)):
            raise ValueError(f"width {self.width} of a stage is not positive; give channels >= 1 "
                             f"(0 keeps those that come in, with stride 1 and one width)")
        if self.skippable and self.width:
            raise ValueError(f"depth {self.depths[0]} in {self.depths} is not a whole number of "
                             f"blocks >= 1; a stage that may be left out has width 0, which keeps "
                             f"the channels that come in")
        if self.block.pooling > 1 and (self.max_depth > 1 or self.skippable):
            raise ValueError(f"depths {self.depths} of a stage whose block {self.block.name!r} has "
                             f"a max pooling: every block would halve the map again; give it a "
                             f"stage of one block")
        if self.block.expansion and self.expands[0] < 1:
            raise ValueError(f"expand ratio {self.expands[0]} in {self.expands} is below 1; the "
                             f"block would shrink")
        _check_activation(self.activation)

    @property
    def active_depths(self) -> tuple[int, ...]:
        """Number of blocks that run, for every entry of `depths`."""
        return tuple(self.base_depth + depth for depth in self.depths)

    @property
    def max_depth(self) -> int:
        """Largest number of blocks that run."""
        return self.active_depths[-1]

    @property
    def skippable(self) -> bool:
        """Whether a subnet may leave the whole stage out."""
        return self.active_depths[0] == 0

    def with_choices(self, **lists: Sequence | None) -> Stage:
        """This stage with other lists (see AXES) to choose from; None keeps its own."""
        return dataclasses.replace(self, **{
            name: tuple(values) for name, values in lists.items() if values is not None})


@dataclasses.dataclass(frozen=True)
class SearchSpace:
    """A stem, perhaps one fixed block, elastic stages and a head; widths before `width_mult`.

    Attributes:
      name: Name of the family; part of what a checkpoint remembers.
      stem_width, stem_stride: The first 3x3 convolution.
      first_width, first_residual: Width of the fixed 3x3 block after it (expand ratio 1), and
        whether its input is added to its output, which needs equal widths of both. Width 0 leaves
        it out.
      stages: The elastic stages, in order.
      head_width: Width of the 1x1 convolution with batch norm before the pooling; 0 leaves it out.
      feature_width: Width of the 1x1 convolution without batch norm after the pooling; 0 leaves
        it out.
      num_classes: Number of outputs of the classifier.
      resolution: Side of the square input, in pixels.
      stem_activation, first_activation, head_activation: Activations of the stem, of the fixed
        block and of the convolutions of the head.
      width_mult: Factor that scales every width (rounded by `make_divisible`).
      kernel_transform: Whether smaller kernels are learned linear maps of the larger one's centre
        (OFA) instead of the centre itself.
      norm_epsilon: What every batch norm adds to a variance.
      stem_widths: Multiples of `stem_width` that a subnet may choose.

    Raises:
      ValueError: If no network could be built from it; the message says what to change.
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
    stem_widths: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        object.__setattr__(self, "stem_widths", _choices("widths", self.stem_widths))
        if not self.stages:
            raise ValueError("the space has no stages; give at least one Stage")
        if self.num_classes < 2:
            raise ValueError(f"num_classes {self.num_classes} is below 2; a classifier needs two")
        if not 0 < self.width_mult <= MOST_TIMES:
            raise ValueError(f"width_mult {self.width_mult} is not above 0 and at most "
                             f"{MOST_TIMES:g}; 1.0 is the full width")
        if self.stem_width < 1 or self.stem_stride < 1 or self.norm_epsilon < 0:
            raise ValueError(f"stem_width {self.stem_width} and stem_stride {self.stem_stride} "
                             f"must be 1 or more, norm_epsilon {self.norm_epsilon} 0 or more; "
                             f"give such numbers")
        widths = (self.first_width, self.head_width, self.feature_width)
        if min(widths) < 0 or self.scaled(max(
                self.num_classes, self.stem_width, *widths, *(stage.width for stage in self.stages)
                )) > MOST_CHANNELS:
            raise ValueError(f"a width of space {self.name!r} is not 0 to {MOST_CHANNELS} channels "
                             f"after width_mult {self.width_mult}; give one that is")
        for activation in (self.stem_activation, self.first_activation, self.head_activation):
            _check_activation(activation)
        stem, first = self.scaled(self.stem_width), self.scaled(self.first_width)
        if self.first_width and len(self.stem_widths) > 1:
            raise ValueError(f"the stem has the widths {self.stem_widths} and a fixed block "
                             f"follows it; set first_width=0, or stem_widths=(1.0,)")
        if self.first_width and self.first_residual and stem != first:
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
        """Number of pixels of the image, along a side, for one pixel of the last feature map."""
        return self.stem_stride * math.prod(
            stage.stride * stage.block.pooling for stage in self.stages)

    @property
    def max_depth(self) -> int:
        """Largest number of blocks of a stage; the second axis of a Subnet's arrays."""
        return max(stage.max_depth for stage in self.stages)

    @property
    def widths(self) -> tuple[tuple[int, ...], ...]:
        """Channels that a subnet may choose between: after the stem, then after every stage."""
        found = [tuple(self.scaled(self.stem_width * mult) for mult in self.stem_widths)]
        for stage in self.stages:
            came = (self.scaled(self.first_width),) if self.first_width and len(found) == 1 \
                else found[-1]
            found.append(tuple(self.scaled(stage.width * mult) for mult in stage.widths)
                         if stage.width else came)
        return tuple(found)

    @cached_property
    def deciding(self) -> tuple[int, ...]:
        """For every entry of `widths`, the position of the entry whose choice it follows.

        That is its own, except where a stage of width 0 keeps what an earlier choice has made.
        """
        found = [0]
        for i, stage in enumerate(self.stages, start=1):
            found.append(i if stage.width or (i == 1 and self.first_width) else found[-1])
        return tuple(found)

    @cached_property
    def blocks(self) -> tuple[tuple[Block, ...], ...]:
        """The elastic blocks of every stage, as many as its largest depth."""
        found = []
        incoming = (self.scaled(self.first_width),) if self.first_width else self.widths[0]
        for stage, outgoing in zip(self.stages, self.widths[1:], strict=True):
            first = Block(
                form=stage.block, expansion=stage.expands != (1,), gates=stage.squeeze_excite,
                in_widths=incoming, out_widths=outgoing,
                tied=not stage.width, stride=stage.stride, activation=stage.activation,
                kernels=stage.kernels, expands=stage.expands,
                kernel_transform=self.kernel_transform and len(stage.kernels) > 1,
                epsilon=self.norm_epsilon)
            later = dataclasses.replace(first, in_widths=outgoing, tied=True, stride=1)
            found.append((first, *[later] * (stage.max_depth - 1)))
            incoming = outgoing
        return tuple(found)

    @cached_property
    def first_block(self) -> Block | None:
        """The fixed 3x3 block between the stem and the first stage; None if there is none."""
        if not self.first_width:
            return None
        form = (INVERTED_RESIDUAL if self.first_residual
                else INVERTED_RESIDUAL.without_shortcut())
        return Block(
            form=form, expansion=False, gates=False, in_widths=self.widths[0],
            out_widths=(self.scaled(self.first_width),), tied=False, stride=1,
            activation=self.first_activation, kernels=(3,), expands=(1,), kernel_transform=False,
            epsilon=self.norm_epsilon)

    def scaled(self, width: float) -> int:
        """Number of channels that `width` becomes by the width multiplier."""
        return make_divisible(width * self.width_mult)

    def offered(self, axis: str) -> tuple[tuple, ...]:
        """The list of every stage for one of AXES."""
        return tuple(getattr(stage, axis) for stage in self.stages)

    def size(self) -> int:
        """Number of distinct subnets, resolution aside."""
        own = (sum((len(stage.kernels) * len(stage.expands)) ** depth
                   for depth in stage.active_depths) * len(stage.widths) for stage in self.stages)
        return len(self.stem_widths) * math.prod(own)

    def with_choices(self, *, depths: Sequence[int] | None = None,
                     kernels: Sequence[int] | None = None, expands: Sequence[float] | None = None,
                     widths: Sequence[float] | None = None, **fields: Any) -> SearchSpace:
        """This space with other choices in every stage, and any other field replaced.

        Depths and widths go to the stages that have a choice of them: a fixed one belongs to a
        stage's place in the network.

        Args:
          depths, kernels, expands, widths: Lists for all stages; None keeps each stage's own.
          **fields: Other fields of SearchSpace, such as `width_mult=0.25, num_classes=10`.

        Raises:
          ValueError: If a list is empty or impossible, no stage can take the depths or widths, or
            a field does not exist.
        """
        known = {field.name for field in dataclasses.fields(self)}
        if unknown := sorted(set(fields) - known):
            raise ValueError(f"a search space has no field {unknown[0]!r}; it has {sorted(known)}")
        elastic = {"depths": depths, "widths": widths}
        for name, values in elastic.items():
            if values is not None and not any(len(own) > 1 for own in self.offered(name)):
                raise ValueError(f"{name} {tuple(values)} are given, but every stage of space "
                                 f"{self.name!r} has a fixed {name[:-1]}; make its stages anew")
        stages = tuple(
            stage.with_choices(kernels=kernels, expands=expands, **{
                name: values for name, values in elastic.items() if len(getattr(stage, name)) > 1})
            for stage in self.stages)
        if widths is not None and len(self.stem_widths) > 1:
            fields = {"stem_widths": tuple(widths), **fields}
        return dataclasses.replace(self, **{"stages": stages, **fields})


def _choices(field: str, values: Sequence) -> tuple:
    """The choices, sorted; ValueError if one repeats or no network could be built from them."""
    values = tuple(values)
    if not values:
        raise ValueError(f"{field} is empty; list at least one value, such as {_EXAMPLES[field]}")
    if any(values.count(value) > 1 for value in values):
        raise ValueError(f"{field} {values} repeats a value; list each once")
    for value in values:
        if not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise ValueError(f"{field} {values} holds {value!r}, which is not a number; list "
                             f"numbers, such as {_EXAMPLES[field]}")
        if field == "kernels" and (int(value) != value or value < 1 or value % 2 == 0):
            raise ValueError(f"kernel {value} in {values} is not odd and positive; use 3, 5 or 7")
        if field == "depths" and not (int(value) == value and 0 <= value <= MOST_BLOCKS):
            raise ValueError(f"depth {value} in {values} is not a whole number of blocks; give 0 "
                             f"to {MOST_BLOCKS}")
        if field in ("expands", "widths") and not 0 < value <= MOST_TIMES:
            raise ValueError(f"{field[:-1]} {value} in {values} is not above 0 and at most "
                             f"{MOST_TIMES:g}; give a multiple that leaves a channel")
    return tuple(sorted(values))


_EXAMPLES = {"depths": (2, 3, 4), "kernels": (3, 5, 7), "expands": (3, 4, 6),
             "widths": (0.65, 0.8, 1.0)}


def _check_activation(name: str) -> None:
    if name not in ACTIVATIONS:
        raise ValueError(f"activation {name!r} is unknown; use one of {ACTIVATIONS}")
