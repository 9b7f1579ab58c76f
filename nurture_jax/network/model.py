"""NurtureNet: frames and a few numbers in, four measures and their uncertainty out.

    frames b t h w 3 -> backbone -> top-down maps at stride 4 -> masks, heatmaps (proxy heads)
                                 -> pooled over space and time -> video b c
    masks, heatmaps -> sizes relative to the reference object b g (geometry.py)
    video, sizes, tabular b 4 -> mean, log scale of each measure (fusion.py)

"NurtureNet" (arXiv 2405.05530) fixes the inputs, the outputs and the two proxy tasks; everything
else is our design. `Scaling` holds the numbers that bring inputs and measures to unit scale.
"""
from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from deps_jax.common.loop.parallel import first_index
from deps_jax.common.nn.operations import Mode
from nurture_jax.clips.clip_batches import MASK_STRIDE
from nurture_jax.measures import CATEGORIES, KEYPOINTS, TABULAR
from nurture_jax.network import geometry
from nurture_jax.network.backbones import ConvNorm
from nurture_jax.network.fusion import Fusion
from nurture_jax.network.scaling import Scaling

POOLINGS = ("mask", "mean")
TIME_POOLINGS = ("attention", "mean")
DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """What the network is made of.

    Attributes:
      use_video, use_tabular: which inputs; at least one.
      segmentation, keypoints: which proxy heads there are.
      geometry: sizes relative to the reference object, out of the proxy heads, join the features;
        the heads are then needed in use, not only in training.
      geometry_gradient: whether the measures move the proxy heads through these sizes. While
        nothing is seen yet the sizes change wildly, and keypoints are learnt far later.
      pooling: over space: "mask" adds means over the predicted newborn and reference object,
        "mean" is the global mean alone.
      time_pooling: "attention" or "mean".
      predict_gain: where the birth weight is known, predict the relative change from it.
      neck_width, tabular_width, hidden_width: channels of the top-down maps, of the tabular
        encoding, and of the last layers.
      dropout_rate: on the pooled features of the pictures; numbers and sizes are few.
      dtype: of the convolutions, "float32" or "bfloat16"; everything after pooling is float32.
    """

    use_video: bool = True
    use_tabular: bool = True
    segmentation: bool = True
    keypoints: bool = True
    geometry: bool = True
    geometry_gradient: bool = False
    pooling: str = "mask"
    time_pooling: str = "attention"
    predict_gain: bool = True
    neck_width: int = 64
    tabular_width: int = 32
    hidden_width: int = 128
    dropout_rate: float = 0.1
    dtype: str = "float32"

    def __post_init__(self):
        if not (self.use_video or self.use_tabular):
            raise ValueError("model.use_video and model.use_tabular are both off; switch one on")
        for name, value, allowed in (("pooling", self.pooling, POOLINGS),
                                     ("time_pooling", self.time_pooling, TIME_POOLINGS),
                                     ("dtype", self.dtype, DTYPES)):
            if value not in allowed:
                raise ValueError(f"model.{name} {value!r} is unknown; use one of {allowed}")
        for name in ("neck_width", "tabular_width", "hidden_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.{name} {getattr(self, name)} is not positive; use 32")
        if not 0 <= self.dropout_rate < 1:
            raise ValueError(f"model.dropout_rate {self.dropout_rate} is not in [0, 1)")

    @property
    def heads_in_use(self) -> bool:
        """Whether an estimate, and not only training, needs the proxy heads."""
        return (self.segmentation or self.keypoints) and (
            self.geometry or (self.segmentation and self.pooling == "mask"))

    def fusion(self, scaling: Scaling, name: str | None = None) -> Fusion:
        """The module from what was seen to the measures; its weights are under "fusion"."""
        return Fusion(self.use_tabular, self.tabular_width, self.hidden_width, self.predict_gain,
                      scaling, name=name)


class NurtureNet(nn.Module):
    """The whole network; pure through `apply`.

    Attributes:
      backbone: a module of `backbones`.
      scaling: of the training split.
    """

    settings: ModelSettings
    scaling: Scaling
    backbone: nn.Module

    @nn.compact
    def __call__(self, frames, tabular, tabular_mask, mode: Mode, heads: bool = True) -> dict:
        """Measures in standardised units, and what else was computed on the way.

        Args:
          frames: [b, t, h, w, 3] normalised.
          tabular, tabular_mask: [b, 4] in the units of `clip_batches`.
          mode: in training, a key named "dropout" is needed.
          heads: also the outputs of proxy heads that the measures do not need.

        Returns:
          "mean", "log_scale" [b, 4]; of the video "pooled" [b, c] and "sizes" [b, g]; with their
          heads "segmentation" [b, t, h', w', 3] logits and "heatmaps" [b, t, h', w', 19].
        """
        outputs = {}
        if self.settings.use_video:
            outputs = Video(self.settings, self.backbone, name="video")(frames, mode, heads)
        pooled = outputs.get("pooled")
        if pooled is not None and mode.train and self.settings.dropout_rate:
            pooled = _dropout(self.make_rng("dropout"), pooled, self.settings.dropout_rate, mode)
        fusion = self.settings.fusion(self.scaling, name="fusion")
        return {**outputs, **fusion(pooled, outputs.get("sizes"), tabular, tabular_mask)}


class Video(nn.Module):
    """Frames to "pooled" [b, c], "sizes" [b, g] if the settings ask for them, and heads' maps."""

    settings: ModelSettings
    backbone: nn.Module

    @nn.compact
    def __call__(self, frames, mode: Mode, heads: bool) -> dict[str, jax.Array]:
        settings, (b, t) = self.settings, frames.shape[:2]
        images = frames.reshape(b * t, *frames.shape[2:]).astype(settings.dtype)
        maps = self.backbone(images, mode)
        pooled = [maps[max(maps)].mean((1, 2), dtype=jnp.float32)]  # (b t) c
        outputs = {}
        if settings.heads_in_use or (heads and (settings.segmentation or settings.keypoints)):
            neck = Neck(settings.neck_width, name="neck")(maps, mode)
            outputs = {name: head.reshape(b, t, *head.shape[1:]) for name, head in
                       ProxyHeads(settings, name="heads")(neck, mode).items()}
            shares = outputs.get("segmentation")
            shares = None if shares is None else nn.softmax(shares)
            if shares is not None and settings.pooling == "mask":
                pooled += _means_by_mask(neck, shares.reshape(b * t, *shares.shape[2:]))
            if settings.geometry:
                sizes = geometry.over_frames(
                    geometry.features(shares, outputs.get("heatmaps")), outputs.get("heatmaps"))
                if not settings.geometry_gradient:
                    sizes = jax.lax.stop_gradient(sizes)
                outputs["sizes"] = sizes
        per_frame = jnp.concatenate([x.reshape(b, t, -1) for x in pooled], -1)
        per_frame = nn.relu(nn.Dense(settings.hidden_width, name="frame")(per_frame))
        if settings.time_pooling == "attention":
            attention = nn.softmax(nn.Dense(1, name="attention")(per_frame), axis=1)  # b t 1
        else:
            attention = jnp.full((b, t, 1), 1 / t)
        return {**outputs, "pooled": (per_frame * attention).sum(1)}


class Neck(nn.Module):
    """Top-down path (as in feature pyramids, Lin et al. 2017) to the map at stride 4.

    Finer maps join it from below: where in a cell a point lies is told by its finest edges.
    """

    width: int

    @nn.compact
    def __call__(self, maps: dict[int, jax.Array], mode: Mode) -> jax.Array:
        if MASK_STRIDE not in maps:
            raise ValueError(f"the backbone has strides {sorted(maps)}, masks need {MASK_STRIDE}; "
                             f"choose another one or switch the proxy heads off")
        x = None
        for stride in sorted(maps, reverse=True):
            if stride >= MASK_STRIDE:
                lateral = ConvNorm(self.width, name=f"lateral{stride}")(maps[stride], mode)
                x = lateral if x is None else lateral + _doubled(x, lateral.shape)
            else:
                x = x + ConvNorm(self.width, MASK_STRIDE // stride + 1, MASK_STRIDE // stride,
                                 name=f"lateral{stride}")(maps[stride], mode)
        return ConvNorm(self.width, 3, activation="relu", name="smooth")(x, mode)


class ProxyHeads(nn.Module):
    """Masks and keypoints of each frame from the map at stride 4."""

    settings: ModelSettings

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> dict[str, jax.Array]:
        outputs = {}
        for wanted, name, channels in (
                (self.settings.segmentation, "segmentation", 1 + len(CATEGORIES)),
                (self.settings.keypoints, "heatmaps", len(KEYPOINTS))):
            if wanted:
                y = ConvNorm(self.settings.neck_width, 3, activation="relu",
                             name=f"{name}_hidden")(x, mode)
                y = nn.Dense(channels, dtype=y.dtype, kernel_init=nn.initializers.normal(0.01),
                             name=name)(y)
                outputs[name] = y.astype(jnp.float32)
        return outputs


def _means_by_mask(neck, shares):
    """Means of [n, h, w, c] over the newborn and over the reference object, [n, c] each."""
    neck, found = neck.astype(jnp.float32), []
    for category in (geometry.NEWBORN, geometry.REFERENCE):
        weight = shares[..., category]
        weight = weight / (weight.sum((1, 2), keepdims=True) + 1)  # little seen, little said
        found.append(jnp.einsum("nhwc,nhw->nc", neck, weight))
    return found


def _doubled(x, shape):
    """Each pixel four times, cut to `shape`: ceil(h / 2) doubled may be one more than h."""
    return x.repeat(2, 1).repeat(2, 2)[:, :shape[1], :shape[2]]


def _dropout(key, x, rate: float, mode: Mode):
    """Drops features with a mask that depends on the clip's place in the global batch."""
    places = first_index(x.shape[0], mode.axis_name) + jnp.arange(x.shape[0])
    keep = jax.vmap(lambda i: jax.random.bernoulli(jax.random.fold_in(key, i), 1 - rate,
                                                   x.shape[1:]))(places)
    return jnp.where(keep, x / (1 - rate), 0)


def zero_inputs(frames: int, height: int, width: int) -> tuple:
    """Arguments of one clip, for `NurtureNet.init`; sizes in pixels."""
    known = (1, len(TABULAR))
    return (jnp.zeros((1, frames, height, width, 3)), jnp.zeros(known), jnp.zeros(known),
            Mode(False))
