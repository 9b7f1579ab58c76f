"""NurtureNet on a backbone that is a supernet: all its networks in one set of parameters.

    params = {**backbone of deps_jax, "video": neck, heads, pooling, "fusion": measures}

The subnets share everything behind the backbone as well. One of them, cut out by `as_model`, is an
ordinary NurtureNet with a `LayersBackbone`, which every command takes.
"""
from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from deps_jax.common.loop.parallel import Tree
from deps_jax.common.nn.operations import Mode, dropout
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, largest
from deps_jax.supernet import supernet
from nurture_jax.clips.clip_augment import Batch
from nurture_jax.network.backbone_weights import from_supernet, of_subnet
from nurture_jax.network.backbones import NORM_MOMENTUM
from nurture_jax.network.model import ModelSettings, NurtureNet, Outputs, Seen, Video, zero_inputs
from nurture_jax.network.scaling import Scaling

OWN = ("video", "fusion")  # parts behind the backbone, which all subnets share


@dataclasses.dataclass(frozen=True)
class ElasticNurture:
    """What the networks are made of.

    Attributes:
      space: Space of the backbone; its maps have one width each, so no stage chooses its own.
      settings, scaling: As of every NurtureNet.

    Raises:
      ValueError: If the space chooses widths, or there is no video.
    """

    space: SearchSpace
    settings: ModelSettings
    scaling: Scaling

    def __post_init__(self) -> None:
        if any(len(widths) > 1 for widths in self.space.widths):
            raise ValueError(f"space {self.space.name!r} chooses the widths of its maps, which the "
                             f"heads would have to follow; give one width, --config.space.widths "
                             f"'(1.0,)'")
        if not self.settings.use_video:
            raise ValueError("model.use_video is off, so there is no backbone to train once for "
                             "all phones; switch it on, or use launch.train_nurture")

    @property
    def full_model(self) -> NurtureNet:
        """Its largest network alone."""
        return NurtureNet(self.settings, self.scaling, of_subnet(self.space, largest(self.space)))

    def init(self, key: jax.Array, frames: int, side: int) -> tuple[Tree, Tree]:
        """Random parameters and running statistics.

        Args:
          frames, side: Frames of a clip, and their side in pixels.
        """
        backbone_key, own_key = jax.random.split(key)
        params, stats = supernet.init(backbone_key, self.space)
        own = self.full_model.init(own_key, *zero_inputs(frames, side, side))
        return ({**up_to_maps(params), **{name: own["params"][name] for name in OWN}},
                {**stats, "video": own["batch_stats"]["video"]})

    def apply(self, params: Tree, stats: Tree | None, batch: Batch, subnet: Subnet, *,
              train: bool, dropout_rate: float | jax.Array = 0.0,
              dropout_key: jax.Array | None = None, axis_name: str | None = None,
              synchronised: bool = True) -> tuple[Outputs, Tree]:
        """What one subnet says of clips; traced subnets share one compilation.

        Args:
          params, stats: As of `init`; statistics are the subnet's own, not read in training.
          batch: "frames" [b, t, h, w, 3] float, normalised, "tabular" and "tabular_mask" [b, 4],
            "reference_cm" [b].
          train: Whether batch norm uses, and returns, the statistics of this batch.
          dropout_rate: Rate of drop-out on pooled features where there is a key; may be traced.
          axis_name: Mapped axis of the devices that share the batch; None on one device.
          synchronised: Whether the statistics of the batch are those of all these devices.

        Returns:
          The outputs with all heads, and batch statistics like `stats`; {} in evaluation.
        """
        frames = batch["frames"]
        images = frames.reshape(-1, *frames.shape[2:])
        maps, found = supernet.feature_maps(
            self.space, params, stats, images, subnet, train=train, axis_name=axis_name,
            synchronised=synchronised, dtype=jnp.dtype(self.settings.dtype))
        mode = Mode(train, axis_name, synchronised)
        seen, own = self._look(params, None if train else stats, batch, maps, mode)
        pooled = seen.pooled
        if dropout_key is not None:
            pooled = dropout(dropout_key, pooled, dropout_rate, axis_name)
        mean, log_scale = self.settings.fusion(self.scaling).apply(
            {"params": params["fusion"]}, pooled, seen.sizes, batch["tabular"],
            batch["tabular_mask"])
        return Outputs(mean, log_scale, **seen._asdict()), {**found, **own}

    def _look(self, params: Tree, stats: Tree | None, batch: Batch,
              maps: dict[int, jax.Array], mode: Mode) -> tuple[Seen, Tree]:
        """What comes between the maps and the measures, and its batch statistics in training."""
        video = Video(self.settings, lambda images, mode: maps)
        inputs = batch["frames"], mode, True, batch["reference_cm"]
        if not mode.train:
            return video.apply({"params": params["video"], "batch_stats": stats["video"]},
                               *inputs), {}
        shapes = jax.eval_shape(lambda: video.init(jax.random.key(0), *inputs))
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
                               shapes["batch_stats"])
        seen, updated = video.apply({"params": params["video"], "batch_stats": nothing}, *inputs,
                                    mutable=["batch_stats"])
        # Running statistics that begin with 0 are a known share of those of this batch.
        return seen, {"video": jax.tree.map(lambda leaf: leaf / NORM_MOMENTUM,
                                            updated["batch_stats"])}

    def as_model(self, params: Tree, stats: Tree, subnet: Subnet) -> tuple[NurtureNet, Tree]:
        """One subnet as a NurtureNet of its own, with its variables.

        Args:
          stats: The subnet's own statistics, from recalibration.
          subnet: The static subnet.
        """
        backbone = from_supernet(self.space, params, stats, subnet)
        model = NurtureNet(self.settings, self.scaling, of_subnet(self.space, subnet))
        return model, {
            "params": {"backbone": backbone["params"], **{name: params[name] for name in OWN}},
            "batch_stats": {"backbone": backbone["batch_stats"], "video": stats["video"]}}


def up_to_maps(params: Tree) -> Tree:
    """Parameters of a supernet without what comes behind its last map."""
    params = {name: part for name, part in params.items() if name != "classifier"}
    if "head" in params:
        params["head"] = {name: part for name, part in params["head"].items() if name == "expand"}
        if not params["head"]:
            del params["head"]
    return params
