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
import numbers
from functools import cached_property
from typing import TYPE_CHECKING

from deps_jax.space.rows import (
    ACTIVATIONS,
    BLOCK,
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
      name: Name of the form, for messages; OFA's settings and names of tensors depend on it, too.
      rows: What the block computes, in order.
      widths: The widths inside the block, beside "in" and "out"; each is a multiple of one that
        stands before it.
      expansion: Name of a row that is left out where 1 is the only expand ratio; what it would
        have written is then what it reads (MobileNetV2's first block). "" is none.

    Raises:
      ValueError: If there are no rows, two share a name, one names an unknown width or activation
        or has an impossible kernel, two choose their kernel, or they do not lead from "in" to
        "out".
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
            if width.times != "expand" and not (
                    isinstance(width.times, numbers.Real) and 0 < width.times < math.inf):
                raise ValueError(f"block {self.name!r}: width {width.name!r} is {width.times!r} "
                                 f"times another; give a number above 0, or 'expand'")
            known.add(width.name)
        self._check_rows(known)

    def _check_rows(self, known: set[str]) -> None:
        """Raises ValueError unless each row reads what comes to it and the last writes "out"."""
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"block {self.name!r}: rows {names} need a name each; give no "
                             f"name twice")
        chosen = [row.name for row in self.rows if isinstance(row, Conv) and row.kernel == KERNEL]
        if len(chosen) > 1:
            raise ValueError(f"block {self.name!r}: rows {chosen} have kernel={KERNEL!r}, but a "
                             f"block chooses one kernel; give all but one of them a number")
        current = "in"
        for row in self.rows:
            self._check_values(row)
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

    def _check_values(self, row: Row) -> None:
        """Raises ValueError unless activation, kernel and stride of a row are what can be run."""
        where = f"block {self.name!r}: row {row.name!r} has the"
        allowed = (BLOCK, "identity", *ACTIVATIONS)
        if (activation := getattr(row, "activation", BLOCK)) not in allowed:
            raise ValueError(f"{where} activation {activation!r}, which is unknown; use one of "
                             f"{allowed}")
        kernel = getattr(row, "kernel", 1)
        if not ((_whole(kernel) and kernel % 2) or (isinstance(row, Conv) and kernel == KERNEL)):
            # An even one would be padded unevenly: its map has another size than `layers` tells.
            by_block = f", or {KERNEL!r} for one that the block chooses"
            raise ValueError(f"{where} kernel {kernel!r}; give an odd number of pixels, 1 or more"
                             f"{by_block if isinstance(row, Conv) else ''}")
        if isinstance(row, MaxPool) and not _whole(row.stride):
            raise ValueError(f"{where} stride {row.stride!r}; give a whole number, 1 or more")

    def without_shortcut(self) -> BlockForm:
        """This form without its shortcuts."""
        return dataclasses.replace(self, rows=tuple(
            row for row in self.rows if not isinstance(row, Shortcut)))

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the lists that every block chooses from: "kernels", "expands", both or none."""
        kernels = any(isinstance(row, Conv) and row.kernel == KERNEL for row in self.rows)
        expands = any(width.times == "expand" for width in self.widths)
        return tuple(name for name, has in (("kernels", kernels), ("expands", expands)) if has)

    @property
    def pooling(self) -> int:
        """Product of the strides of all max poolings of the block; 1 without any."""
        return math.prod(row.stride for row in self.rows if isinstance(row, MaxPool))

    @property
    def strides(self) -> bool:
        """Whether a convolution carries the stride of the block."""
        return any(isinstance(row, Conv) and row.strided for row in self.rows)

    def chosen(self, expansion: bool, gates: bool) -> tuple[tuple[Row, ...], tuple[Width, ...]]:
        """(rows, widths) of the form, with or without the expansion and the gates."""
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


def _whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and value >= 1


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
      form: The rows and widths, of which the expansion and the gates may be left out.
      expansion: Whether the row named by `form.expansion` is there.
      gates: Whether the gates of the form are there.
      in_widths, out_widths: Numbers of channels that may come in and go out, ascending.
      tied: Whether what goes out is as wide as what comes in, whatever that is (later blocks of a
        stage).
      stride: Stride of the rows that are `strided`, 1 or 2.
      activation: Activation of the rows that say BLOCK.
      kernels: Kernel sizes to choose from, in pixels, ascending.
      expands: Expand ratios to choose from, ascending.
      kernel_transform: Whether smaller kernels are learned maps of larger ones (OFA).
      epsilon: What every batch norm adds to a variance.
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
        """The rows that the block computes, in order."""
        return self.form.chosen(self.expansion, self.gates)[0]

    @cached_property
    def widths(self) -> tuple[Width, ...]:
        """The widths inside the block, beside "in" and "out"."""
        return self.form.chosen(self.expansion, self.gates)[1]

    @property
    def residual(self) -> bool:
        """Whether what comes in has the shape of what goes out, and can be added as it is."""
        one = self.in_widths == self.out_widths and len(self.in_widths) == 1
        return self.stride == 1 and (self.tied or one)

    @cached_property
    def branches(self) -> tuple[dict[str, int], ...]:
        """For every branch, the channels of each width by its name, "in" and "out" among them."""
        incoming = range(len(self.in_widths))
        pairs = [(i, i) for i in incoming] if self.tied else list(
            itertools.product(incoming, range(len(self.out_widths))))
        return tuple(self._sizes(self.in_widths[i], self.out_widths[o], expand)
                     for i, o in pairs for expand in self.expands)

    def branch(self, incoming: Position, outgoing: Position, expand: Position) -> Position:
        """The number of a branch, which is its position in `branches`.

        Args:
          incoming, outgoing, expand: Positions in `in_widths`, `out_widths` and `expands`, static
            or traced; where the block is `tied`, `outgoing` is not read.
        """
        pair = incoming if self.tied else incoming * len(self.out_widths) + outgoing
        return pair * len(self.expands) + expand

    @cached_property
    def compiled(self) -> tuple[int, ...]:
        """Numbers of the branches that are compiled where the choice is made at run time.

        What comes in is padded with zeros then. Where no inner width follows from it, the block
        reads all of it, so that only branches of the widest input are compiled: a third of the
        programs where three widths come in, for a few products with zero.
        """
        if not self._reads_all:
            return tuple(range(len(self.branches)))
        last = len(self.in_widths) - 1
        return tuple(self.branch(last, outgoing, expand) for outgoing in range(len(self.out_widths))
                     for expand in range(len(self.expands)))

    def compiled_branch(self, incoming: Position, outgoing: Position,
                        expand: Position) -> Position:
        """The position in `compiled` of a branch; arguments as of `branch`."""
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
        """The largest number of channels of each width, by its name; parameters have these."""
        return {name: max(sizes[name] for sizes in self.branches) for name in self.branches[0]}

    @cached_property
    def tensors(self) -> dict[Path, Dims]:
        """Axes of every parameter by its path: names of widths, and numbers."""
        found: dict[Path, Dims] = {}
        for row in self.rows:
            if not (isinstance(row, Shortcut) and self.residual):
                found |= row.tensors(self.kernels, self.kernel_transform)
        return found

    @property
    def choosing(self) -> Conv | None:
        """The convolution whose kernel size is chosen; None if there is none."""
        return next((row for row in self.rows
                     if isinstance(row, Conv) and row.kernel == KERNEL), None)

    @property
    def transforms(self) -> list[tuple[int, int]]:
        """Pairs (larger, smaller) of kernel sizes that a learned map joins, the largest first."""
        return steps(self.kernels) if self.kernel_transform and self.choosing else []

    def _sizes(self, incoming: int, outgoing: int, expand: float) -> dict[str, int]:
        sizes = {"in": incoming, "out": outgoing}
        for width in self.widths:
            sizes[width.name] = width.resolve(sizes, expand)
        return sizes
