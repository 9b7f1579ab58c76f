"""NurtureNet: frames and a few numbers in, four measures and their uncertainty out.

    frames b t h w 3 -> backbone -> top-down maps at stride 4 -> masks, heatmaps (proxy heads)
                                 -> pooled over space and time -> video b c
    masks, heatmaps -> sizes relative to the reference object b g (geometry.py)
    tabular b 4 -> tabular b d
    video, sizes, tabular -> mean, log scale of each measure

"NurtureNet" (arXiv 2405.05530) fixes the inputs, the outputs and the two proxy tasks; everything
else is our design. `Standard` holds the numbers that bring inputs and measures to unit scale.
"""
from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from deps_jax.common.parallel import first_index
from deps_jax.elastic import Mode
from nurture_jax import geometry
from nurture_jax.annotations import CATEGORIES, KEYPOINTS
from nurture_jax.backbones import ConvNorm
from nurture_jax.clip_batches import LABELS, MASK_STRIDE, TABULAR
from nurture_jax.standard import Standard

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


class NurtureNet(nn.Module):
    """The whole network; pure through `apply`.

    Attributes:
      backbone: a module of `backbones`.
      standard: of the training split.
    """

    settings: ModelSettings
    standard: Standard
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
          "mean", "log_scale" [b, 4]; "features" [b, c]; with their heads "segmentation"
          [b, t, h', w', 3] logits and "heatmaps" [b, t, h', w', 19].
        """
        outputs, parts, sizes = {}, [], None
        if self.settings.use_video:
            video = Video(self.settings, self.backbone, name="video")
            pooled, sizes, outputs = video(frames, mode, heads)
            if mode.train and self.settings.dropout_rate:
                pooled = _dropout(self.make_rng("dropout"), pooled, self.settings.dropout_rate,
                                  mode)
            parts += [pooled] if sizes is None else [pooled, sizes]
        if self.settings.use_tabular:
            parts.append(Tabular(self.settings.tabular_width, name="tabular")(
                self.standard.inputs(tabular, tabular_mask), tabular_mask))
        fused = jnp.concatenate(parts, -1)
        x = nn.relu(nn.Dense(self.settings.hidden_width, name="fuse1")(fused))
        x = nn.relu(nn.Dense(self.settings.hidden_width, name="fuse2")(x))
        birth, known = tabular[:, :1], tabular_mask[:, :1]
        return {**outputs, **self._measures(x, sizes, birth, known), "features": fused}

    def _measures(self, x, sizes, birth_weight_g, is_known) -> dict:
        """The last layer; its fifth output is the gain since birth, of its own unit scale."""
        width = 2 * (len(LABELS) + 1)
        raw = nn.Dense(width, kernel_init=nn.initializers.normal(0.01), name="measures")(x)
        if sizes is not None:  # logarithms of sizes add up to those of measures
            raw = raw + nn.Dense(width, use_bias=False, kernel_init=nn.initializers.zeros,
                                 name="from_sizes")(sizes)
        mean, log_scale = jnp.split(raw, 2, -1)  # b 5
        if not self.settings.predict_gain:
            return {"mean": mean[:, :-1], "log_scale": log_scale[:, :-1]}
        known = jnp.concatenate([is_known, jnp.zeros((x.shape[0], len(LABELS) - 1))], -1)
        gained, shift = self.standard.from_gain(mean[:, -1:], birth_weight_g, is_known)
        return {"mean": jnp.where(known > 0, gained, mean[:, :-1]),
                "log_scale": jnp.where(known > 0, log_scale[:, -1:] + shift, log_scale[:, :-1])}


class Video(nn.Module):
    """Frames to pooled features [b, c], sizes [b, g] (None without them), and the heads' maps."""

    settings: ModelSettings
    backbone: nn.Module

    @nn.compact
    def __call__(self, frames, mode: Mode, heads: bool):
        settings, (b, t) = self.settings, frames.shape[:2]
        images = frames.reshape(b * t, *frames.shape[2:]).astype(settings.dtype)
        maps = self.backbone(images, mode)
        pooled = [maps[max(maps)].mean((1, 2), dtype=jnp.float32)]  # (b t) c
        outputs, sizes = {}, None
        if settings.heads_in_use or (heads and (settings.segmentation or settings.keypoints)):
            neck = Neck(settings.neck_width, name="neck")(maps, mode)
            outputs = {name: head.reshape(b, t, *head.shape[1:]) for name, head in
                       ProxyHeads(settings, name="heads")(neck, mode).items()}
            shares = outputs.get("segmentation")
            shares = None if shares is None else nn.softmax(shares)
            if shares is not None and settings.pooling == "mask":
                pooled += _means_by_mask(neck, shares.reshape(b * t, *shares.shape[2:]))
            if settings.geometry:
                sizes = geometry.features(shares, outputs.get("heatmaps"))  # b t g
                if not settings.geometry_gradient:
                    sizes = jax.lax.stop_gradient(sizes)
        per_frame = jnp.concatenate([x.reshape(b, t, -1) for x in pooled], -1)
        per_frame = nn.relu(nn.Dense(settings.hidden_width, name="frame")(per_frame))
        if settings.time_pooling == "attention":
            attention = nn.softmax(nn.Dense(1, name="attention")(per_frame), axis=1)  # b t 1
        else:
            attention = jnp.full((b, t, 1), 1 / t)
        pooled = (per_frame * attention).sum(1)
        return pooled, None if sizes is None else jnp.median(sizes, axis=1), outputs


class Neck(nn.Module):
    """Top-down path (as in feature pyramids, Lin et al. 2017) to the map at stride 4."""

    width: int

    @nn.compact
    def __call__(self, maps: dict[int, jax.Array], mode: Mode) -> jax.Array:
        if MASK_STRIDE not in maps:
            raise ValueError(f"the backbone has strides {sorted(maps)}, masks need {MASK_STRIDE}; "
                             f"choose another one or switch the proxy heads off")
        x = None
        for stride in sorted((stride for stride in maps if stride >= MASK_STRIDE), reverse=True):
            lateral = ConvNorm(self.width, name=f"lateral{stride}")(maps[stride], mode)
            x = lateral if x is None else lateral + _doubled(x, lateral.shape)
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


class Tabular(nn.Module):
    """Standardised numbers to a vector, [b, n] -> [b, d]; each has an embedding for "missing"."""

    width: int

    @nn.compact
    def __call__(self, values: jax.Array, mask: jax.Array) -> jax.Array:
        assert values.shape == mask.shape == (values.shape[0], len(TABULAR)), values.shape
        shape, draw = (len(TABULAR), self.width), nn.initializers.normal(1.0)
        slope, offset, missing = (self.param(name, draw, shape)
                                  for name in ("slope", "offset", "missing"))
        present = nn.relu(values[..., None] * slope + offset)  # b n d
        x = jnp.where(mask[..., None] > 0, present, missing)
        return nn.relu(nn.Dense(self.width, name="mix")(x.reshape(x.shape[0], -1)))


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
