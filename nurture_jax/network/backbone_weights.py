"""Which backbone a config means, and the weights it starts from.

Three sources: random weights, torchvision's ResNet tensors in a file, or a subnet out of a
finished `deps_jax` run with its batch statistics.
"""
from __future__ import annotations

import dataclasses
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.command.named import named
from deps_jax.common.files.tensors import load_state_dict
from deps_jax.common.loop.parallel import Tree
from deps_jax.common.nn.operations import Mode
from deps_jax.runs.trained import TrainedRun, read_statistics
from deps_jax.space.families import SPACES
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.space.subnet_text import decode
from deps_jax.supernet.network import as_convolution, chosen_layers
from nurture_jax.network.backbones import RESNET_BLOCKS, LayersBackbone, ResNet, without_classifier

KINDS = ("resnet", "deps")
IGNORED = ("fc.weight", "fc.bias")  # the classifier of a torchvision ResNet


@dataclasses.dataclass(frozen=True)
class Backbone:
    """Settings of a backbone.

    Attributes:
      kind: What it is, "resnet", or "deps" for a subnet of a `deps_jax` space.
      depth, width, stages: See `backbones.ResNet`; 50, 64 and 4 are the published ResNet-50.
      init_from: Path of an .npz of torchvision's ResNet tensors (`conv1.weight`,
        `layer1.0.bn1.bias`, ...); "" starts from random weights.
      family, width_mult: Family and width multiplier of the space, for random weights.
      depths, kernels, expands, widths: Its lists, see `SpaceSettings` of `deps_jax`; None is the
        family's own, of kernels 3, 5 and 7.
      subnet: Name of the subnet as `deps_jax.space.subnet_text.decode` reads it.
      run: Folder of a finished `deps_jax` run that gives the space and the weights; "" starts
        from random weights.
      batch_stats: Path of the subnet's NAME.batch_stats.npz; "" measures them on images of the
        run.

    Raises:
      ValueError: If a setting is out of its range, or does not go with another.
    """

    kind: str = "resnet"
    depth: int = 50
    width: int = 64
    stages: int = 4
    init_from: str = ""
    family: str = "mobilenet_v3"
    width_mult: float = 1.0
    depths: tuple[int, ...] | None = None
    kernels: tuple[int, ...] | None = None
    expands: tuple[float, ...] | None = None
    widths: tuple[float, ...] | None = None
    subnet: str = "largest"
    run: str = ""
    batch_stats: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (("kind", self.kind, KINDS),
                                     ("depth", self.depth, tuple(RESNET_BLOCKS)),
                                     ("stages", self.stages, (1, 2, 3, 4))):
            if value not in allowed:
                raise ValueError(f"backbone.{name} {value!r} is unknown; use one of {allowed}")
        named("backbone.family", self.family, SPACES, SearchSpace)
        if self.width < 1:
            raise ValueError(f"backbone.width {self.width} is not positive; use 64")
        if self.init_from and self.kind != "resnet":
            raise ValueError(f"backbone.init_from {self.init_from!r} is for a resnet; give "
                             f"backbone.run for a subnet of a deps_jax run")
        if (self.run or self.batch_stats) and (self.kind != "deps" or not self.run):
            raise ValueError("backbone.run and backbone.batch_stats are for backbone.kind 'deps', "
                             "the second only with the first; set them so or leave them empty")


@dataclasses.dataclass(frozen=True)
class Start:
    """A backbone and what it starts from.

    Attributes:
      module: The backbone, one of `backbones`.
      variables: {"params", "batch_stats"} to start from; None for random weights.
      mean, std: Mean and standard deviation of the image channels that the weights expect; None
        where the file does not say.
    """

    module: nn.Module
    variables: Tree | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def start(settings: Backbone, size: int) -> Start:
    """The backbone of a config for images of `size` pixels.

    Raises:
      ValueError: If the weights do not fit, naming those.
    """
    if settings.kind == "resnet":
        module = ResNet(settings.depth, settings.width, settings.stages)
        if not settings.init_from:
            return Start(module)
        return Start(module, from_torchvision(module, load_state_dict(settings.init_from)))
    if not settings.run:
        space = named("backbone.family", settings.family, SPACES, SearchSpace).with_choices(
            depths=settings.depths, kernels=settings.kernels or (3, 5, 7),
            expands=settings.expands, widths=settings.widths, width_mult=settings.width_mult,
            resolution=size)
        return Start(of_subnet(space, decode(space, settings.subnet)))
    run = TrainedRun.open(Path(settings.run))
    space = dataclasses.replace(run.space, resolution=size)
    subnet = decode(space, settings.subnet)
    statistics = (read_statistics(Path(settings.batch_stats)) if settings.batch_stats
                  else run.recalibrate(subnet))
    return Start(of_subnet(space, subnet),
                 from_supernet(space, run.params, statistics, subnet),
                 tuple(run.experiment.augment.mean), tuple(run.experiment.augment.std))


def of_subnet(space: SearchSpace, subnet: Subnet) -> LayersBackbone:
    """The module of a static subnet."""
    return LayersBackbone(without_classifier(layers(space, subnet)), space.norm_epsilon)


def from_torchvision(module: ResNet, state: dict[str, np.ndarray]) -> Tree:
    """Variables of `module` from tensors by torchvision's names.

    Raises:
      ValueError: If tensors are missing, unexpected or of another shape, naming the first.
    """
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    template = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, Mode(False)), images)
    paths, tree = jax.tree_util.tree_flatten_with_path(template)
    names = [_torchvision_name([entry.key for entry in path]) for path, _ in paths]
    known = {*names, *IGNORED}
    if missing := sorted(set(names) - set(state)):
        raise ValueError(f"the weights lack {len(missing)} tensors of a ResNet-{module.depth}, "
                         f"first {missing[:3]}; give those of torchvision's resnet{module.depth}")
    extra = sorted(name for name in state
                   if name not in known and not name.endswith("num_batches_tracked"))
    if extra:
        raise ValueError(f"the weights have {len(extra)} tensors that a ResNet-{module.depth} does "
                         f"not know, first {extra[:3]}; give those of torchvision's "
                         f"resnet{module.depth}")
    leaves = []
    for name, (_, leaf) in zip(names, paths, strict=True):
        value = np.asarray(state[name], np.float32)
        value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value  # o i k k -> k k i o
        if value.shape != leaf.shape:
            raise ValueError(f"{name} is {state[name].shape} in the weights, a ResNet-"
                             f"{module.depth} of width {module.width} needs {leaf.shape} (our "
                             f"layout); choose backbone.depth and backbone.width to fit")
        leaves.append(jnp.asarray(value))
    return jax.tree.unflatten(tree, leaves)


_TENSORS = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def _torchvision_name(path: list[str]) -> str:
    """The name of a tensor there: params/layer1_0/conv2/norm/scale is layer1.0.bn2.weight."""
    *block, convolution, tensor = path[1:] if path[-1] == "kernel" else path[1:-2] + path[-1:]
    prefix = "".join(part.replace("_", ".") + "." for part in block)
    is_kernel = tensor == "kernel"
    if convolution == "downsample":
        return f"{prefix}downsample.{'0.weight' if is_kernel else f'1.{_TENSORS[tensor]}'}"
    if is_kernel:
        return f"{prefix}{convolution}.weight"
    return f"{prefix}{convolution.replace('conv', 'bn')}.{_TENSORS[tensor]}"


def from_supernet(space: SearchSpace, params: Tree, batch_stats: Tree, subnet: Subnet) -> Tree:
    """Variables of `of_subnet(space, subnet)` cut out of supernet parameters.

    Args:
      params: Parameters of the supernet.
      batch_stats: The subnet's own statistics, from recalibration.
    """
    found = {"params": {}, "batch_stats": {}}
    own = {layer.name for layer in of_subnet(space, subnet).layers}
    for name, part, stats in chosen_layers(space, params, batch_stats, subnet):
        if name not in own:  # behind the last feature map
            continue
        name = name.replace("/", "_")
        found["params"][name] = part
        if stats is not None:
            found["params"][name] = {**part, "kernel": as_convolution(part["kernel"])}
            found["batch_stats"][name] = stats
    return jax.tree.map(jnp.asarray, found)
