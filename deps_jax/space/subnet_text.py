"""A subnet as one short line of text, and back.

A subnet with the same choices everywhere is "d2e3k7": depth 2, expand ratio 3, kernel 7. Any other
one is its stages separated by "/", each its blocks "k<kernel>e<expand>" separated by "-", equal
neighbours counted ("k7e6x3"). Blocks name only what they choose; one that chooses nothing is "b",
a stage that is left out is "0". Where widths are chosen, "w0.8:" stands before the blocks of a
stage, "w0.8/" before all for the stem, and "w0.8" at the end of the short form.
"""
from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import TypeVar

import jax
import numpy as np

from deps_jax.space.search_space import SearchSpace, Stage
from deps_jax.space.subnet import (
    Subnet,
    canonical,
    from_lists,
    largest,
    smallest,
    uniform,
    width_choices,
)

T = TypeVar("T")

# Depth, expand ratio and width of the six uniform subnets of the DepS paper (Figures 5 to 8), from
# the least (0) to the most (1) that a space offers.
_PAPER = ((0, 0, 0), (0.5, 0, 0), (1, 0, 0.5), (1, 0.5, 0.5), (0.5, 1, 1), (1, 1, 1))
_NUMBER = r"(\d+(?:\.\d+)?)"
_SHORT = re.compile(rf"d(\d+)(?:e{_NUMBER})?(?:k(\d+))?(?:w{_NUMBER})?")
_NOTHING, _LEFT_OUT = "b", "0"


def encode(space: SearchSpace, subnet: Subnet) -> str:
    """The line of text of a static subnet; `decode` reads it back."""
    if short := _as_uniform(space, subnet):
        return short
    stages = [_stage_text(stage, subnet, s) for s, stage in enumerate(space.stages)]
    if len(space.stem_widths) > 1:
        stages.insert(0, f"w{space.stem_widths[int(subnet.width_at(space, 0))]}")
    return "/".join(stages)


def decode(space: SearchSpace, text: str) -> Subnet:
    """The static subnet of a line that `encode` wrote, or of the words "largest" and "smallest".

    Raises:
      ValueError: If the space has no such subnet; the message says what is allowed, and for a line
        of blocks also the position of the first error and what stands there.
    """
    text = text.strip()
    if text in ("largest", "smallest"):
        return largest(space) if text == "largest" else smallest(space)
    if match := _SHORT.fullmatch(text):
        depth, expand, kernel, width = match.groups()
        return uniform(space, depth=int(depth), expand=_number(expand), kernel=_number(kernel),
                       width=_number(width))
    parts, at = text.split("/"), 0
    stem = len(space.stem_widths) > 1
    if len(parts) != len(space.stages) + stem:
        raise ValueError(
            f"subnet {text!r} has {len(parts)} stages separated by '/', space {space.name!r} has "
            f"{len(space.stages) + stem}; write one part for each stage or a uniform subnet like "
            f"{_short(space, largest(space))!r}"
        )
    widths, blocks = [], []
    if stem:
        width, rest = _width(text, at, "the stem", f"{parts[0]}:", space.stem_widths)
        widths.append(width)
        at += len(parts.pop(0)) + 1
    for s, part in enumerate(parts):
        width, rest = _width(text, at, f"stage {s}", part, space.stages[s].widths)
        widths.append(width)
        blocks.append(_decode_stage(text, at + len(part) - len(rest), s, rest, space.stages[s]))
        at += len(part) + 1
    return from_lists(space, depths=[len(blocks[s]) - stage.base_depth
                                     for s, stage in enumerate(space.stages)],
                      kernels=[[kernel for kernel, _ in stage] for stage in blocks],
                      expands=[[expand for _, expand in stage] for stage in blocks],
                      widths=widths if stem else [*space.stem_widths, *widths])


def reported_subnets(space: SearchSpace) -> tuple[str, ...]:
    """Names of the subnets that a report shows: the smallest, then the six uniform ones of the
    DepS paper, with largest kernels (d2e3, d3e3, d4e3, d4e4, d3e6, d4e6 in OFA's MobileNets).

    In other spaces the six have the same places between the least and the most.
    """
    def at(values: Sequence[T], part: float) -> T:
        return values[round(part * (len(values) - 1))]

    depths, expands, widths = (max(space.offered(axis), key=len)
                               for axis in ("depths", "expands", "widths"))
    if len(widths) == 1 < len(space.stem_widths):
        widths = space.stem_widths
    chosen = (uniform(space, depth=at(depths, depth), expand=at(expands, expand),
                      width=at(widths, width)) for depth, expand, width in _PAPER)
    return tuple(dict.fromkeys(encode(space, subnet) for subnet in (smallest(space), *chosen)))


def _stage_text(stage: Stage, subnet: Subnet, s: int) -> str:
    blocks = [_block_text(stage, int(subnet.kernel[s, d]), int(subnet.expand[s, d]))
              for d in range(int(subnet.depth[s]))]
    runs = [(block, len(list(run))) for block, run in groupby(blocks)]
    text = "-".join(block if n == 1 else f"{block}x{n}" for block, n in runs) or _LEFT_OUT
    prefix = f"w{stage.widths[int(subnet.width[s + 1])]}:" if len(stage.widths) > 1 else ""
    return prefix + text


def _block_text(stage: Stage, kernel: int, expand: int) -> str:
    """The text of a block, which tells every choice of its form, be there one value or several."""
    text = f"k{stage.kernels[kernel]}" if "kernels" in stage.block.axes else ""
    text += f"e{stage.expands[expand]}" if "expands" in stage.block.axes else ""
    return text or _NOTHING


def _width(text: str, at: int, where: str, part: str, widths: tuple) -> tuple[float, str]:
    """(width, text after it) of a part; ValueError if the part does not begin with a width."""
    if len(widths) == 1:
        return widths[0], part
    match = re.match(rf"w{_NUMBER}:", part)
    width = _number(match[1]) if match else None
    if width not in widths:
        raise ValueError(f"subnet {text!r}, character {at + 1}: {part.rstrip(':')!r} does not "
                         f"begin with a width of {where}; write w<width> with one of {widths}")
    return width, part[match.end():]


def _decode_stage(text: str, at: int, s: int, part: str, stage: Stage) -> list[tuple]:
    """(kernel, expand) of every block in one stage's part, which starts at position `at`."""
    blocks: list[tuple] = []
    axes = stage.block.axes
    kernels = r"k(\d+)" if "kernels" in axes else "()"
    expands = f"e{_NUMBER}" if "expands" in axes else "()"
    nothing = "" if axes else _NOTHING
    for run in re.finditer(r"[^-]+", part if part != _LEFT_OUT else ""):
        match = re.fullmatch(rf"{kernels}{expands}{nothing}(?:x(\d+))?", run.group())
        kernel, expand = ((_number(match[1] or "1"), _number(match[2] or "1")) if match
                          else (None, None))
        if kernel not in stage.kernels or expand not in stage.expands:
            raise ValueError(
                f"subnet {text!r}, character {at + run.start() + 1}: {run.group()!r} is not a "
                f"block of stage {s}; write {_how(stage)}"
            )
        if len(blocks) > stage.max_depth:
            break
        # More than the stage holds are too many, however many they are.
        blocks += [(kernel, expand)] * min(int(match[3] or 1), stage.max_depth + 1)
    if len(blocks) not in stage.active_depths:
        raise ValueError(
            f"subnet {text!r}, character {at + 1}: stage {s} has {len(blocks)} blocks, allowed "
            f"are {stage.active_depths}; add or remove blocks"
        )
    return blocks


def _how(stage: Stage) -> str:
    if not stage.block.axes:
        return f"{_NOTHING} for a block, as it chooses nothing"
    parts = [(text, name, values) for name, text, values in (
        ("kernels", "k<kernel>", stage.kernels), ("expands", "e<expand>", stage.expands))
        if name in stage.block.axes]
    form = "".join(text for text, _, _ in parts)
    return f"{form} with " + " and ".join(
        f"{name[:-1]} in {values}" for _, name, values in parts)


def _as_uniform(space: SearchSpace, subnet: Subnet) -> str | None:
    """The short form, if reading it back gives this very subnet."""
    short = _short(space, subnet)
    same = jax.tree.map(np.array_equal, decode(space, short), canonical(subnet))
    return short if all(jax.tree.leaves(same)) else None


def _short(space: SearchSpace, subnet: Subnet) -> str:
    """The short form, read from the stage with most depths and where most widths are offered."""
    stage = max(space.stages, key=lambda stage: len(stage.depths))
    s = space.stages.index(stage)
    text = f"d{int(subnet.depth[s]) - stage.base_depth}"
    if "expands" in stage.block.axes:
        text += f"e{stage.expands[int(subnet.expand[s, 0])]}"
    if "kernels" in stage.block.axes:
        text += f"k{stage.kernels[int(subnet.kernel[s, 0])]}"
    if subnet.width is None:
        return text
    listed = width_choices(space)
    i = max(range(len(listed)), key=lambda i: len(listed[i]))
    return f"{text}w{listed[i][int(subnet.width[i])]}"


def _number(text: str | None) -> int | float | None:
    if text is None:
        return None
    value = float(text)
    return int(value) if value.is_integer() else value
