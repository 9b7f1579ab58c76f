"""A block: its form as a table of rows, and that form with every width resolved.

    SEPARABLE = BlockForm(
        name="separable",
        rows=(Conv("depthwise", "in", "in", kernel="kernel", depthwise=True, strided=True),
              Conv("project", "in", "out"),
              Shortcut()))

A form of your own is one such value, given to the stages of a space. Slicing, masks, sorting,
initial weights, layers, costs, extraction and export follow from it.
"""
from __future__ import annotations

import dataclasses
import itertools
import math
from functools import cached_property
from typing import TYPE_CHECKING

from deps_jax.space.rows import (
    KERNEL,
    Activation,
    Conv,
    Dims,
    Gate,
    MaxPool,
    Path,
    Row,
    Shortcut,
    Width,
    steps,
)

if TYPE_CHECKING:
    import jax
    import numpy as np

    Position = int | np.ndarray | jax.Array  # static or traced


@dataclasses.dataclass(frozen=True)
class BlockForm:
    """Rows of a block in order, and the widths between them.

    Attributes:
      name: for messages.
      rows: what is computed.
      widths: other than "in" and "out".
      expansion: name of a row that is left out where 1 is the only expand ratio; what it would
        have written is then what it reads (MobileNetV2's first block).
    """

    name: str
    rows: tuple[Row, ...]
    widths: tuple[Width, ...] = ()
    expansion: str = ""

    def __post_init__(self) -> None:
        known = {"in", "out"}
        for width in self.widths:
            if width.of not in known:
                raise ValueError(f"block {self.name!r}: width {width.name!r} is a multiple of "
                                 f"{width.of!r}, which is not known before it; known are "
                                 f"{sorted(known)}")
            known.add(width.name)
        self._check_rows(known)

    def _check_rows(self, known: set[str]) -> None:
        """Each row reads what the one before has written, and the last writes "out"."""
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"block {self.name!r}: rows {names} need a name each, no name twice")
        current = "in"
        for row in self.rows:
            used = {Conv: ("reads", "writes"), Gate: ("on", "hidden")}.get(type(row), ())
            for width in (getattr(row, field) for field in used):
                if width not in known:
                    raise ValueError(f"block {self.name!r}: row {row.name!r} has the width "
                                     f"{width!r}; known are {sorted(known)}")
            reads = row.reads if isinstance(row, Conv) else getattr(row, "on", current)
            if reads != current:
                raise ValueError(f"block {self.name!r}: row {row.name!r} reads {reads!r}, but "
                                 f"{current!r} comes to it; let it read that")
            if isinstance(row, Conv):
                if row.depthwise and row.reads != row.writes:
                    raise ValueError(f"block {self.name!r}: row {row.name!r} is depthwise and "
                                     f"reads {row.reads!r} but writes {row.writes!r}; make them "
                                     f"the same")
                current = row.writes
        if current != "out":
            raise ValueError(f"block {self.name!r} ends with the width {current!r}; let its last "
                             f"convolution write 'out'")

    def without_shortcut(self) -> BlockForm:
        """The same without a sum."""
        return dataclasses.replace(self, rows=tuple(
            row for row in self.rows if not isinstance(row, Shortcut)))

    @property
    def axes(self) -> tuple[str, ...]:
        """What every block chooses: "kernels", "expands", both or none."""
        kernels = any(isinstance(row, Conv) and row.kernel == KERNEL for row in self.rows)
        expands = any(width.times == "expand" for width in self.widths)
        return tuple(name for name, has in (("kernels", kernels), ("expands", expands)) if has)

    @property
    def pooling(self) -> int:
        """Pixels that the pooling of the block makes one."""
        return math.prod(row.stride for row in self.rows if isinstance(row, MaxPool))

    @property
    def strides(self) -> bool:
        """Whether a row carries the stride of the block."""
        return any(isinstance(row, Conv) and row.strided for row in self.rows)

    def chosen(self, expansion: bool, gates: bool) -> tuple[tuple[Row, ...], tuple[Width, ...]]:
        """Rows and widths with or without the expansion and the gates."""
        rows = tuple(row for row in self.rows if gates or not isinstance(row, Gate))
        left_out = next((row for row in rows if row.name == self.expansion), None)
        if expansion or left_out is None:
            return rows, self.widths

        def renamed(value: Row | Width, fields: tuple[str, ...]) -> Row | Width:
            return dataclasses.replace(value, **{
                field: left_out.reads for field in fields
                if getattr(value, field, None) == left_out.writes})

        rows = tuple(renamed(row, ("reads", "writes", "on", "hidden"))
                     for row in rows if row is not left_out)
        return rows, tuple(renamed(width, ("of",)) for width in self.widths
                           if width.name != left_out.writes)


INVERTED_RESIDUAL = BlockForm(  # MobileNetV2, arXiv 1801.04381; V3, arXiv 1905.02244
    name="inverted_residual",
    rows=(Conv("expand", "in", "middle"),
          Conv("depthwise", "middle", "middle", KERNEL, depthwise=True, strided=True),
          Gate("squeeze_excite", "middle", "hidden"),
          Conv("project", "middle", "out", activation="identity"),
          Shortcut()),
    widths=(Width("middle", "in", "expand"), Width("hidden", "middle", 1 / 4)),
    expansion="expand")
BOTTLENECK = BlockForm(  # ResNet-D, arXiv 1812.01187, as OFA's ResNet-50D has it
    name="bottleneck",
    rows=(Conv("conv1", "in", "first"),
          Conv("conv2", "first", "second", 3, strided=True),
          Conv("conv3", "second", "out", activation="identity"),
          Shortcut(projection="downsample"),
          Activation()),
    widths=(Width("first", "out", "expand"), Width("second", "out", "expand")))
CONVOLUTION = BlockForm(  # 3x3, of a deep stem
    name="convolution", rows=(Conv("conv", "in", "out", 3, strided=True), Shortcut()))
CONVOLUTION_POOL = BlockForm(  # 3x3 and a pooling that halves the map, as a stem ends
    name="convolution_pool", rows=(Conv("conv", "in", "out", 3, strided=True), MaxPool()))


@dataclasses.dataclass(frozen=True)
class Block:
    """One block of a space, every width resolved. Static under jit.

    A choice is three positions, in `in_widths`, `out_widths` and `expands`; they are joined to one
    number, the branch, since each has shapes of its own. The kernel is chosen beside it.

    Attributes:
      form: its rows and widths, of which those of `expansion` and gates may be left out.
      in_widths, out_widths: channels that may come in and go out.
      tied: what goes out is as wide as what comes in, whatever that is (later blocks of a stage).
      kernel_transform: smaller kernels are learned maps of larger ones (OFA).
    """

    form: BlockForm
    expansion: bool
    gates: bool
    in_widths: tuple[int, ...]
    out_widths: tuple[int, ...]
    tied: bool
    stride: int
    activation: str
    kernels: tuple[int, ...]
    expands: tuple[float, ...]
    kernel_transform: bool
    epsilon: float

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """What is computed."""
        return self.form.chosen(self.expansion, self.gates)[0]

    @cached_property
    def widths(self) -> tuple[Width, ...]:
        """Widths other than "in" and "out"."""
        return self.form.chosen(self.expansion, self.gates)[1]

    @property
    def residual(self) -> bool:
        """Whether what comes in can be added to what goes out as it is."""
        one = self.in_widths == self.out_widths and len(self.in_widths) == 1
        return self.stride == 1 and (self.tied or one)

    @cached_property
    def branches(self) -> tuple[dict[str, int], ...]:
        """Channels by the name of the width, for every branch."""
        incoming = range(len(self.in_widths))
        pairs = [(i, i) for i in incoming] if self.tied else list(
            itertools.product(incoming, range(len(self.out_widths))))
        return tuple(self._sizes(self.in_widths[i], self.out_widths[o], expand)
                     for i, o in pairs for expand in self.expands)

    def branch(self, incoming: Position, outgoing: Position, expand: Position) -> Position:
        """The number of the branch of three positions, static or traced."""
        pair = incoming if self.tied else incoming * len(self.out_widths) + outgoing
        return pair * len(self.expands) + expand

    @cached_property
    def compiled(self) -> tuple[int, ...]:
        """Branches that are compiled where the choice is made at run time.

        What comes in is padded with zeros then. Where no inner width follows from it, blocks read
        all of it: a third of the programs for a few products with zero.
        """
        if not self._reads_all:
            return tuple(range(len(self.branches)))
        last = len(self.in_widths) - 1
        return tuple(self.branch(last, outgoing, expand) for outgoing in range(len(self.out_widths))
                     for expand in range(len(self.expands)))

    def compiled_branch(self, incoming: Position, outgoing: Position,
                        expand: Position) -> Position:
        """The place in `compiled` of three positions, static or traced."""
        return self.branch(0 if self._reads_all else incoming, outgoing, expand)

    @property
    def _reads_all(self) -> bool:
        follows = {"in"}
        for width in self.widths:
            if width.of in follows:
                follows.add(width.name)
        return not self.tied and follows == {"in"}

    @cached_property
    def largest(self) -> dict[str, int]:
        """The most channels of every width, which parameters have."""
        return {name: max(sizes[name] for sizes in self.branches) for name in self.branches[0]}

    @cached_property
    def tensors(self) -> dict[Path, Dims]:
        """Axes of every parameter, by its path."""
        found: dict[Path, Dims] = {}
        for row in self.rows:
            if not (isinstance(row, Shortcut) and self.residual):
                found |= row.tensors(self.kernels, self.kernel_transform)
        return found

    @property
    def choosing(self) -> Conv | None:
        """The row whose kernel is chosen, if any."""
        return next((row for row in self.rows
                     if isinstance(row, Conv) and row.kernel == KERNEL), None)

    @property
    def transforms(self) -> list[tuple[int, int]]:
        """Pairs (larger, smaller) of kernels that a learned map joins, from the largest down."""
        return steps(self.kernels) if self.kernel_transform and self.choosing else []

    def _sizes(self, incoming: int, outgoing: int, expand: float) -> dict[str, int]:
        sizes = {"in": incoming, "out": outgoing}
        for width in self.widths:
            sizes[width.name] = width.resolve(sizes, expand)
        return sizes
