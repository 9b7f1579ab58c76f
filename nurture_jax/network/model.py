"""NurtureNet: frames and a few numbers in, measures of the body and their uncertainty out.

    frames b t h w 3 -> backbone -> top-down maps at stride 4 -> masks, heatmaps at 4 or 2 (heads)
                                 -> pooled over space and time -> video b c
    masks, heatmaps -> sizes beside the reference object b g (geometry, thickness, in_space)
    video, sizes, tabular b 4 -> mean, log scale of each measure (fusion.py)

"NurtureNet" (arXiv 2405.05530) fixes the inputs, the outputs and the two proxy tasks; everything
else is our design. `Scaling` holds the numbers that bring inputs and measures to unit scale.
"""
from __future__ import annotations

import dataclasses
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from deps_jax.common.loop.parallel import Tree
from deps_jax.common.nn.operations import Mode, dropout
from deps_jax.common.nn.precision import exact_einsum, full_precision, sum_dtype
from nurture_jax.clips.clip_augment import Batch, ClipAugment, normalise
from nurture_jax.clips.clip_batches import MASK_STRIDE as NECK_STRIDE
from nurture_jax.measures import CATEGORIES, KEYPOINTS, TABULAR
from nurture_jax.network import geometry, in_space, thickness
from nurture_jax.network.backbones import ConvNorm, SeparableConvNorm
from nurture_jax.network.fusion import ExactDense, Fusion, Fusions
from nurture_jax.network.in_space import FOCAL
from nurture_jax.network.scaling import Scaling

POOLINGS = ("mask", "mean")
TIME_POOLINGS = ("attention", "mean")
DTYPES = ("float32", "bfloat16", "float64")
HEAD_STRIDES = (NECK_STRIDE // 2, NECK_STRIDE)
NECK_CONVS = {"dense": ConvNorm, "separable": SeparableConvNorm}


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """What the network is made of.

    Attributes:
      use_video, use_tabular: Which inputs are read; at least one.
      segmentation, keypoints: Which proxy heads there are.
      geometry: Whether sizes relative to the reference object, out of the proxy heads, join the
        features; the heads are then needed in use, not only in training.
      thickness: Whether thickness and volume (`thickness.features`) join those sizes; it takes both
        heads and `geometry`, and changes nothing without. Off in runs that do not tell.
      in_space: Whether lengths of the body in space (`in_space.features`) join them, too; it takes
        keypoints and `geometry`, and changes nothing without. Off in runs that do not tell.
      focal: Usual focal length in half sides of the square that is shown, where the fit in space
        starts: of 16 : 9 at 66 degrees 2.7 cropped, 1.5 with letterbox.
      geometry_gradient: Whether the measures move the proxy heads through these sizes. While
        nothing is seen yet the sizes change wildly, and keypoints are learnt far later.
      pooling: How features are pooled over space: "mask" adds means over the predicted newborn and
        reference object, "mean" is the global mean alone.
      time_pooling: How they are pooled over time, "attention" or "mean".
      predict_gain: Whether the relative change from the birth weight is predicted where that is
        known.
      neck_width, tabular_width, hidden_width: Channels of the top-down maps, of the tabular
        encoding, and of the last layers.
      neck_convs: How neck and heads convolve 3x3, a name of NECK_CONVS. Dense ones cost as much as
        a small MobileNet in front of them; dense in runs that do not tell.
      head_stride: Pixels of a frame to one of masks and heatmaps: 4 as of the maps they are made
        from, or 2, four of theirs for each of those (sub-pixel convolution, Shi et al. 2016): a
        ruler is one cell of 4 px wide. 4 in runs that do not tell.
      fusion_members: How often there are last layers, of which the mean is said (`fusion.Fusions`).
        1 in runs that do not tell.
      dropout_rate: Rate of drop-out on the pooled features of the pictures, in [0, 1); numbers and
        sizes are few.
      dtype: Type of the convolutions, "float32" or "bfloat16"; everything after pooling is float32,
        in full precision. Or "float64" for checks, of the whole network.

    Raises:
      ValueError: If a setting is out of its range.
    """

    use_video: bool = True
    use_tabular: bool = True
    segmentation: bool = True
    keypoints: bool = True
    geometry: bool = True
    thickness: bool = False
    in_space: bool = False
    focal: float = FOCAL
    geometry_gradient: bool = False
    pooling: str = "mask"
    time_pooling: str = "attention"
    predict_gain: bool = True
    neck_width: int = 64
    neck_convs: str = "dense"
    head_stride: int = NECK_STRIDE
    tabular_width: int = 32
    hidden_width: int = 128
    fusion_members: int = 1
    dropout_rate: float = 0.1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not (self.use_video or self.use_tabular):
            raise ValueError("model.use_video and model.use_tabular are both off; switch one on")
        for name, value, allowed in (("pooling", self.pooling, POOLINGS),
                                     ("time_pooling", self.time_pooling, TIME_POOLINGS),
                                     ("neck_convs", self.neck_convs, tuple(NECK_CONVS)),
                                     ("head_stride", self.head_stride, HEAD_STRIDES),
                                     ("dtype", self.dtype, DTYPES)):
            if value not in allowed:
                raise ValueError(f"model.{name} {value!r} is unknown; use one of {allowed}")
        for name in ("neck_width", "tabular_width", "hidden_width", "fusion_members"):
            if getattr(self, name) < 1:
                usual = 4 if name == "fusion_members" else 32
                raise ValueError(f"model.{name} {getattr(self, name)} is not positive; use {usual}")
        if self.dtype == "float64" and not jax.config.jax_enable_x64:
            raise ValueError("model.dtype 'float64' would compute in float32; use 'float32'")
        if not 0.5 <= self.focal <= 10:
            raise ValueError(f"model.focal {self.focal} is not in 0.5..10, half sides of a "
                             f"picture; use 2.7, or 1.5 where the longer side is shown whole")
        if not 0 <= self.dropout_rate < 1:
            raise ValueError(f"model.dropout_rate {self.dropout_rate} is not in [0, 1)")

    @property
    def heads_in_use(self) -> bool:
        """Whether an estimate, and not only training, needs the proxy heads."""
        return (self.segmentation or self.keypoints) and (
            self.geometry or (self.segmentation and self.pooling == "mask"))

    def fusion(self, scaling: Scaling, name: str | None = None) -> Fusion | Fusions:
        """The module from what was seen to the measures; its weights are under "fusion"."""
        if self.fusion_members > 1:
            return Fusions(self.fusion_members, partial(self.one_fusion, scaling), name=name)
        return self.one_fusion(scaling, name)

    def one_fusion(self, scaling: Scaling, name: str | None = None) -> Fusion:
        """One of the members of `fusion`, or all there is of it."""
        return Fusion(self.use_tabular, self.tabular_width, self.hidden_width, self.predict_gain,
                      scaling, name=name)


class Seen(NamedTuple):
    """What the frames of clips show; None stands for what there is not.

    Attributes:
      pooled: Features of every clip, [b, c] float32; None without video.
      sizes: Sizes relative to the reference object, [b, g] float32, see `geometry`; None where the
        settings do not ask for them; with thickness and in space, their NAMES are the last.
      segmentation: Logits of nothing, newborn and reference object, [b, t, h', w', 3] float32 at
        `head_stride`; None without that head.
      heatmaps: Heatmaps of KEYPOINTS, [b, t, h', w', 19] float32 likewise, about 1 at a sure
        point; None without that head.
      features: Features of the frames before anything is made of them, their mean over time,
        [b, f] float32: what a recording looks like; None without video.
    """

    pooled: jax.Array | None = None
    sizes: jax.Array | None = None
    segmentation: jax.Array | None = None
    heatmaps: jax.Array | None = None
    features: jax.Array | None = None


@struct.dataclass
class Outputs:
    """What the network says of clips; `Scaling.measures` brings the measures to their units.

    Attributes:
      mean: Measures of unit scale, [b, m] float32, those of `Scaling.labels`.
      log_scale: Logarithms of the scales of their Laplace distributions, [b, m] float32.
      pooled, sizes, segmentation, heatmaps, features: See `Seen`.
    """

    mean: jax.Array
    log_scale: jax.Array
    pooled: jax.Array | None = None
    sizes: jax.Array | None = None
    segmentation: jax.Array | None = None
    heatmaps: jax.Array | None = None
    features: jax.Array | None = None


class NurtureNet(nn.Module):
    """The whole network; pure through `apply`.

    Attributes:
      backbone: The module for single frames, one of `backbones`.
      scaling: Numbers of the training split that inputs and measures are scaled with.
    """

    settings: ModelSettings
    scaling: Scaling
    backbone: nn.Module

    @nn.compact
    def __call__(self, frames: jax.Array, tabular: jax.Array, tabular_mask: jax.Array, mode: Mode,
                 heads: bool = True, reference_cm: jax.Array | None = None) -> Outputs:
        """Measures of unit scale, and what else was computed on the way.

        Args:
          frames: Normalised frames, [b, t, h, w, 3] float.
          tabular, tabular_mask: Inputs and which of them are known, [b, 4] float32, in the units of
            `clip_batches`.
          mode: How batch norm behaves; in training with drop-out, a key named "dropout" is needed.
          heads: Whether the proxy heads are run that the measures do not need.
          reference_cm: Length of the reference object, [b] float32; 0, or None, is 30.
        """
        seen, settings = Seen(), self.settings
        if settings.use_video:
            seen = Video(settings, self.backbone, name="video")(
                frames, mode, heads, reference_cm)
        pooled = seen.pooled
        if pooled is not None and mode.train and settings.dropout_rate:
            pooled = dropout(self.make_rng("dropout"), pooled, settings.dropout_rate,
                             mode.axis_name)
        fusion = settings.fusion(self.scaling, name="fusion")
        mean, log_scale = fusion(pooled, seen.sizes, tabular, tabular_mask)
        return Outputs(mean, log_scale, **seen._asdict())


@full_precision
def forward(model: NurtureNet, variables: Tree, preprocess: ClipAugment,
            batch: Batch, *, heads: bool) -> Outputs:
    """What a network in use says of raw clips; pure.

    In full precision: estimates, and the intervals calibrated on them, are those of any device.

    Args:
      variables: Weights and running statistics, {"params", "batch_stats"}.
      preprocess: Normalisation of the frames; nothing else is applied to them.
      batch: "frames" [b, t, h, w, 3] uint8, "tabular" and "tabular_mask" [b, 4] float32, as of
        `clip_batches`, and "reference_cm" [b] where it is not 30 for all; anything else is passed
        over.
      heads: Whether the proxy heads are run that the measures do not need.
    """
    frames = normalise(batch["frames"], preprocess, model.settings.dtype)
    return model.apply(variables, frames, batch["tabular"], batch["tabular_mask"], Mode(False),
                       heads=heads, reference_cm=batch.get("reference_cm"))


class Video(nn.Module):
    """Frames [b, t, h, w, 3] to what they show; other arguments as in `NurtureNet`."""

    settings: ModelSettings
    backbone: nn.Module

    @nn.compact
    def __call__(self, frames: jax.Array, mode: Mode, heads: bool,
                 reference_cm: jax.Array | None = None) -> Seen:
        settings, (b, t) = self.settings, frames.shape[:2]
        images = frames.reshape(b * t, *frames.shape[2:]).astype(settings.dtype)
        maps = self.backbone(images, mode)
        pooled = [maps[max(maps)].mean((1, 2), dtype=sum_dtype(images))]  # (b t) c
        segmentation = heatmaps = sizes = None
        if settings.heads_in_use or (heads and (settings.segmentation or settings.keypoints)):
            neck = Neck(settings.neck_width, settings.neck_convs, name="neck")(maps, mode)
            segmentation, heatmaps = jax.tree.map(
                lambda head: head.reshape(b, t, *head.shape[1:]),
                ProxyHeads(settings, name="heads")(neck, mode))
            shares = None if segmentation is None else nn.softmax(segmentation)
            if shares is not None and settings.pooling == "mask":
                pooled += _means_by_mask(neck, shares.reshape(b * t, *shares.shape[2:]))
            if settings.geometry:
                sizes = self._sizes(shares, heatmaps, reference_cm)
        per_frame = jnp.concatenate([x.reshape(b, t, -1) for x in pooled], -1)
        features = per_frame.mean(1)
        per_frame = nn.relu(ExactDense(settings.hidden_width, name="frame")(per_frame))
        if settings.time_pooling == "attention":
            attention = nn.softmax(ExactDense(1, name="attention")(per_frame), axis=1)  # b t 1
        else:
            attention = jnp.full((b, t, 1), 1 / t)
        return Seen((per_frame * attention).sum(1), sizes, segmentation, heatmaps,
                    features)

    def _sizes(self, shares: jax.Array | None, heatmaps: jax.Array | None,
               reference_cm: jax.Array | None) -> jax.Array:
        """Sizes relative to the reference object, [b, g], of what the heads say of the frames."""
        if not self.settings.geometry_gradient:
            shares, heatmaps = jax.lax.stop_gradient((shares, heatmaps))
        sizes = geometry.over_frames(
            geometry.features(shares, heatmaps, reference_cm), heatmaps)
        found = [sizes]
        if self.settings.thickness and shares is not None and heatmaps is not None:
            newborn = shares[..., geometry.NEWBORN]
            found.append(thickness.features(newborn, heatmaps, reference_cm))
        if self.settings.in_space and heatmaps is not None:
            found.append(in_space.features(heatmaps, reference_cm, self.settings.focal))
        return jnp.concatenate(found, -1)


class Neck(nn.Module):
    """Top-down path (as in feature pyramids, Lin et al. 2017) to the map at stride 4.

    It takes maps [b, h / s, w / s, c] by their stride s and gives [b, h / 4, w / 4, width]. Finer
    maps join it from below: where in a cell a point lies is told by its finest edges.
    """

    width: int
    convs: str = "dense"  # a name of NECK_CONVS

    @nn.compact
    def __call__(self, maps: dict[int, jax.Array], mode: Mode) -> jax.Array:
        if NECK_STRIDE not in maps:
            raise ValueError(f"the backbone has strides {sorted(maps)}, masks need {NECK_STRIDE}; "
                             f"choose another one or switch the proxy heads off")
        x, conv = None, NECK_CONVS[self.convs]
        for stride in sorted(maps, reverse=True):
            if stride >= NECK_STRIDE:
                lateral = ConvNorm(self.width, name=f"lateral{stride}")(maps[stride], mode)
                x = lateral if x is None else lateral + _cut(
                    Doubled(name=f"double{stride}")(x), lateral.shape)
            else:
                x = x + conv(self.width, NECK_STRIDE // stride + 1, NECK_STRIDE // stride,
                             name=f"lateral{stride}")(maps[stride], mode)
        return conv(self.width, 3, activation="relu", name="smooth")(x, mode)


class ProxyHeads(nn.Module):
    """Masks and keypoints of each frame from the map at stride 4, at `head_stride`."""

    settings: ModelSettings

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> tuple[jax.Array | None, jax.Array | None]:
        """Logits [n, h, w, 3] and heatmaps [n, h, w, 19] float32; None is a head that is off."""
        found, finer = [], NECK_STRIDE // self.settings.head_stride
        for wanted, name, channels in (
                (self.settings.segmentation, "segmentation", 1 + len(CATEGORIES)),
                (self.settings.keypoints, "heatmaps", len(KEYPOINTS))):
            if not wanted:
                found.append(None)
                continue
            y = NECK_CONVS[self.settings.neck_convs](
                self.settings.neck_width, 3, activation="relu", name=f"{name}_hidden")(x, mode)
            y = nn.Dense(channels * finer**2, dtype=y.dtype,
                         kernel_init=nn.initializers.normal(0.01), name=name)(y)
            if finer > 1:
                y = Unfolded(finer, name=f"{name}_unfolded")(y)
            found.append(y.astype(sum_dtype(y)))
        return tuple(found)


def _means_by_mask(neck: jax.Array, shares: jax.Array) -> list[jax.Array]:
    """Means of features over the newborn and over the reference object, [n, c] float32 each.

    Args:
      neck: Features, [n, h, w, c].
      shares: Probabilities of the segmentation, [n, f h, f w, 3] for some whole f.
    """
    neck, found, (n, h, w, _) = neck.astype(sum_dtype(neck)), [], neck.shape
    if shares.shape[1:3] != (h, w):
        shares = shares.reshape(n, h, shares.shape[1] // h, w, shares.shape[2] // w, -1)
        shares = shares.mean((2, 4))
    for category in (geometry.NEWBORN, geometry.REFERENCE):
        weight = shares[..., category]
        weight = weight / (weight.sum((1, 2), keepdims=True) + 1)  # little seen, little said
        found.append(exact_einsum("nhwc,nhw->nc", neck, weight))
    return found


class Doubled(nn.Module):
    """Each pixel four times, [n, h, w, c] -> [n, 2 h, 2 w, c]; a module, so that files know it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return x.repeat(2, 1).repeat(2, 2)


class Unfolded(nn.Module):
    """Channels as finer cells, [n, h, w, f f c] -> [n, f h, f w, c], the first f by rows.

    Attributes:
      factor: How many cells stand beside each other in the place of one, f.
    """

    factor: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        n, h, w, channels = x.shape
        f = self.factor
        cells = x.reshape(n, h, w, f, f, channels // f**2)
        return cells.swapaxes(2, 3).reshape(n, f * h, f * w, -1)


def _cut(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Maps cut to `shape`: ceil(h / 2) doubled may exceed h."""
    return x[:, :shape[1], :shape[2]]


def zero_inputs(frames: int, height: int, width: int
                ) -> tuple[jax.Array, jax.Array, jax.Array, Mode]:
    """Arguments of `NurtureNet.init`: one clip of so many frames, its sides in pixels."""
    known = (1, len(TABULAR))
    return (jnp.zeros((1, frames, height, width, 3)), jnp.zeros(known), jnp.zeros(known),
            Mode(False))
