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
        stage allows.
    """
    stems = stem_stages(space)
    depths = list(settings["d"])
    if stems:
        first, *depths = depths
        most = max(space.stages[stems].depths)
        depths = [(first == most) if stage.skippable else 1
                  for stage in space.stages[:stems]] + depths
    depths += [stage.depths[-1] for stage in space.stages[len(depths):]]
    widths = None
    if "w" in settings:
        positions = iter(settings["w"])
        widths = [choices[next(positions)] if len(choices) > 1 else choices[0]
                  for choices in width_choices(space)]
    return from_lists(space, depths=[int(depth) for depth in depths],
                      kernels=_by_block(space, "kernels", settings.get("ks")),
                      expands=_by_block(space, "expands", settings.get("e")), widths=widths)


def _by_block(space: SearchSpace, name: str, values: Sequence | None) -> list[list] | None:
    """One list for each stage; those whose blocks have no such choice take none of the values."""
    if values is None:
        return None
    given: Iterator = iter(values)
    return [[next(given) if name in stage.block.axes else 1 for _ in range(stage.max_depth)]
            for stage in space.stages]
