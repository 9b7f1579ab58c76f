"""Architecture settings of OFA's implementations as subnets: lists of ks, e, d and, for ResNets, w.

Of a ResNet the first depth says whether the stem's residual is there, and widths are positions:
of the stem's first and last convolution, then of the stages.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deps_jax.space.block import CONVOLUTION, CONVOLUTION_POOL
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, from_lists, width_choices


def stem_stages(space: SearchSpace) -> int:
    """Number of leading stages that OFA counts with the stem: those of plain convolutions."""
    plain = (CONVOLUTION.name, CONVOLUTION_POOL.name)
    return next((s for s, stage in enumerate(space.stages) if stage.block.name not in plain), 0)


def from_ofa(space: SearchSpace, settings: Mapping[str, Sequence]) -> Subnet:
    """The static subnet of lists as OFA's `set_active_subnet` takes them.

    Args:
      settings: Lists by name. "ks" and "e" hold the kernel size and the expand ratio of every block
        that chooses one, inactive blocks included. "d" holds the depth of every stage; last stages
        may be missing and have their largest. "w" of ResNets holds the position of every width
        that is chosen.

    Raises:
      ValueError: If a value is not allowed; the message names the stage, the value and what the
        stage allows. If a list is too short.
    """
    stems = stem_stages(space)
    depths = list(settings["d"])
    if stems:
        first, *depths = depths
        most = max(space.stages[stems].depths)
        depths = [(first == most) if stage.skippable else 1
                  for stage in space.stages[:stems]] + depths
    depths += [stage.depths[-1] for stage in space.stages[len(depths):]]
    widths = _widths(space, settings["w"]) if "w" in settings else None
    return from_lists(space, depths=[int(depth) for depth in depths],
                      kernels=_by_block(space, "kernels", "ks", settings.get("ks")),
                      expands=_by_block(space, "expands", "e", settings.get("e")), widths=widths)


def _widths(space: SearchSpace, positions: Sequence[int]) -> list:
    """The width of every part that has one, from the positions of those that are chosen."""
    choices = width_choices(space)
    given = _enough(space, "w", positions, sum(len(widths) > 1 for widths in choices))
    found = []
    for widths in choices:
        place = next(given) if len(widths) > 1 else 0
        if not 0 <= place < len(widths):
            raise ValueError(f"w holds {place}, which is no position in {widths}; give 0 to "
                             f"{len(widths) - 1}")
        found.append(widths[place])
    return found


def _by_block(space: SearchSpace, name: str, setting: str, values: Sequence | None
              ) -> list[list] | None:
    """One list for each stage; those whose blocks have no such choice take none of the values."""
    if values is None:
        return None
    given = _enough(space, setting, values, sum(
        stage.max_depth for stage in space.stages if name in stage.block.axes))
    return [[next(given) if name in stage.block.axes else 1 for _ in range(stage.max_depth)]
            for stage in space.stages]


def _enough(space: SearchSpace, setting: str, values: Sequence, needed: int) -> Iterator:
    """The values of a list one by one; ValueError if they are too few."""
    if len(values) < needed:
        raise ValueError(f"{setting} holds {len(values)} values, space {space.name!r} takes "
                         f"{needed}; give one for each that is chosen, inactive blocks included")
    return iter(values)
