"""Networks that OFA has published as `net.config` files: which subnet of which space they are."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from deps_jax.space.families.mobilenet_v3 import MOBILENET_V3
from deps_jax.space.families.proxyless import PROXYLESS, PROXYLESS_GOOGLE
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, from_lists

WIDTH_MULTS = (1.0, 1.2, 1.3)  # of the published supernets
_FAMILIES = {"MobileNetV3": (MOBILENET_V3,), "ProxylessNASNets": (PROXYLESS, PROXYLESS_GOOGLE)}


def from_net_config(config: Mapping) -> tuple[SearchSpace, Subnet]:
    """The space and the static subnet of a network.

    The space has OFA's kernel sizes (3, 5, 7), and the classes and batch norm epsilon of the file.

    Args:
      config: What the JSON of the file says.

    Raises:
      ValueError: If it is another kind of network, or one that no published space has.
    """
    name = config.get("name")
    if name not in _FAMILIES:
        raise ValueError(f"the network of the net.config is a {name!r}; known are "
                         f"{tuple(_FAMILIES)}")
    first, *blocks = (block["mobile_inverted_conv"] for block in config["blocks"])
    stages = list(_by_stage(blocks))
    widths = [config["first_conv"]["out_channels"], first["out_channels"],
              *(stage[0]["out_channels"] for stage in stages)]
    for family in _FAMILIES[name]:
        for width_mult in WIDTH_MULTS:
            space = family.with_choices(
                kernels=(3, 5, 7), width_mult=width_mult, norm_epsilon=config["bn"]["eps"],
                num_classes=config["classifier"]["out_features"])
            if [space.scaled(width) for width in _widths(space)] == widths:
                return space, from_lists(
                    space, depths=[len(stage) for stage in stages],
                    kernels=[[block["kernel_size"] for block in stage] for stage in stages],
                    expands=[[_expand(block) for block in stage] for stage in stages])
    raise ValueError(f"no published space has the widths {widths} of the net.config; give its "
                     f"space as a literal of your own")


def _widths(space: SearchSpace) -> list[int]:
    return [space.stem_width, space.first_width, *(stage.width for stage in space.stages)]


def _by_stage(blocks: Sequence[Mapping]) -> Iterator[list[Mapping]]:
    """Yields the blocks of each stage: it begins with a stride of 2 or another width."""
    stage: list[Mapping] = []
    for block in blocks:
        begins = block["stride"] == 2 or block["in_channels"] != block["out_channels"]
        if begins and stage:
            yield stage
            stage = []
        stage.append(block)
    yield stage


def _expand(block: Mapping) -> float:
    """The expand ratio of a block, from its number of middle channels where the file gives one."""
    middle = block["mid_channels"]
    return block["expand_ratio"] if middle is None else round(middle / block["in_channels"])
