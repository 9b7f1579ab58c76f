"""Losses of the measures and of the two proxy tasks: values for each example, reduced once.

Every function returns the losses unreduced; `masked_mean` divides by what was counted on all
devices, so that a step on two devices equals one. Shapes must be equal: nothing is broadcast.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.parallel import mean_over_devices
from nurture_jax.clips.clip_augment import Batch
from nurture_jax.measures import BODY_POINTS, FORMER_LABELS, KEYPOINTS, LABELS, NEWBORN
from nurture_jax.network import geometry
from nurture_jax.network.model import Outputs
from nurture_jax.network.scaling import LOG_SCALE_RANGE, Scaling

Term = tuple[str, jax.Array, jax.Array, float]  # name, losses, their mask and weight
REGRESSIONS = ("laplace", "huber")
_IS_END = np.arange(len(KEYPOINTS)) >= len(BODY_POINTS)  # of the reference object
FARTHEST_CELLS = 4.0  # a peak at another place altogether is the heatmap's affair


@dataclasses.dataclass(frozen=True)
class Losses:
    """Which losses, and how they are weighed; the numbers are ours.

    Attributes:
      regression: Loss of the measures: "laplace" (likelihood of mean and scale) or "huber" (of the
        means; the scales then follow by the likelihood without moving them).
      huber_delta: Error at which the Huber loss turns linear, in standard deviations. It is its
        slope from there on, too, so that at 0.1 a measure of weight 1 pulls as one of 0.1 with an
        absolute error does: to be known where `measures` are weighed against the proxy tasks.
      measures: Weights of weight_g, length_cm, head_cm, chest_cm and arm_cm; of a network that has
        no output for the arm (of an older run), those of the first four.
      segmentation, keypoints: Weights of cross entropy + Dice, and of the heatmaps.
      heatmap_cells: Standard deviation of a target peak, in cells of 4 px.
      points: Weight of a cell's distance of a peak from its point, beside 1 for the heatmap.
      ends: How much an end of the reference object counts beside 1 for a point of the body: every
        size is relative to the distance of the two.

    Raises:
      ValueError: If a setting is out of its range.
    """

    regression: str = "huber"
    huber_delta: float = 1.0
    measures: tuple[float, ...] = (1.0, 0.5, 0.5, 0.5, 0.5)
    segmentation: float = 0.5
    keypoints: float = 0.5
    heatmap_cells: float = 1.0
    points: float = 0.0
    ends: float = 1.0

    def __post_init__(self) -> None:
        if self.regression not in REGRESSIONS:
            raise ValueError(f"losses.regression {self.regression!r} is unknown; use one of "
                             f"{REGRESSIONS}")
        if len(self.measures) not in (len(LABELS), len(FORMER_LABELS)) or (
                min(self.measures) < 0 or not sum(self.measures)):
            raise ValueError(f"losses.measures {self.measures} must be {len(LABELS)} weights of 0 "
                             f"or more, one for each of {LABELS}, not all 0")
        if min(self.segmentation, self.keypoints) < 0:
            raise ValueError(f"losses.segmentation {self.segmentation} and losses.keypoints "
                             f"{self.keypoints} must be 0 or more")
        if min(self.huber_delta, self.heatmap_cells, self.ends) <= 0:
            raise ValueError(f"losses.huber_delta {self.huber_delta}, losses.heatmap_cells "
                             f"{self.heatmap_cells} and losses.ends {self.ends} must be above 0")


def huber(mean: jax.Array, target: jax.Array, delta: float) -> jax.Array:
    """Half the square of the error up to `delta`, then linear; [b, n] (Huber 1964)."""
    chex.assert_equal_shape([mean, target])
    error = jnp.abs(mean - target)
    inner = jnp.minimum(error, delta)
    return inner * (error - 0.5 * inner)


def laplace(mean: jax.Array, log_scale: jax.Array, target: jax.Array) -> jax.Array:
    """Negative logarithm of the Laplace density, |mean - target| / scale + log(2 scale); [b, n]."""
    chex.assert_equal_shape([mean, log_scale, target])
    log_scale = jnp.clip(log_scale, *LOG_SCALE_RANGE)
    return jnp.abs(mean - target) * jnp.exp(-log_scale) + log_scale + jnp.log(2.0)


def cross_entropy(logits: jax.Array, masks: jax.Array) -> jax.Array:
    """Mean cross entropy over the pixels of each frame, [b, t].

    Args:
      logits: Logits of the classes, [b, t, h, w, c].
      masks: The true class of every pixel, [b, t, h, w] integers.
    """
    chex.assert_shape(masks, logits.shape[:-1])
    log_shares = jax.nn.log_softmax(logits)
    own = jnp.take_along_axis(log_shares, masks[..., None].astype(jnp.int32), axis=-1)
    return -own[..., 0].mean((2, 3))


def dice(logits: jax.Array, masks: jax.Array) -> jax.Array:
    """The mean over all classes but "neither" of 1 - Dice, [b, t]; arguments as `cross_entropy`.

    Dice is 2 |P Y| / (|P| + |Y|) with soft P (Milletari et al. 2016); one cell is added to both
    sides, so that a class that is not in the frame costs only what is wrongly claimed.
    """
    chex.assert_shape(masks, logits.shape[:-1])
    shares = jax.nn.softmax(logits)[..., 1:]
    truth = jax.nn.one_hot(masks, logits.shape[-1])[..., 1:]
    overlap, total = (shares * truth).sum((2, 3)), (shares + truth).sum((2, 3))  # b t c
    return (1 - (2 * overlap + 1) / (total + 1)).mean(-1)


def heatmap_error(heatmaps: jax.Array, keypoints: jax.Array, side: int, cells: float) -> jax.Array:
    """Squared distance of each heatmap from a Gaussian peak of height 1, [b, t, k].

    It is summed over the map and divided by that of an empty one, so that predicting nothing
    costs 1. Of a point with visibility 0 the map should be empty.

    Args:
      heatmaps: Predicted heatmaps, [b, t, h, w, k].
      keypoints: Their points as x, y, visibility, [b, t, k, 3], in pixels of square frames.
      side: Side of the frames in pixels.
      cells: Standard deviation of the peak, in cells of the map.
    """
    b, t, height, width, k = heatmaps.shape
    chex.assert_shape(keypoints, (b, t, k, 3))
    x, y = (keypoints[..., i] * size / side for i, size in ((0, width), (1, height)))  # b t k
    centres = lambda size: jnp.arange(size)[None, None, None] + 0.5
    across, down = (jnp.exp(-jnp.square(centres(size) - at[..., None]) / (2 * cells**2))
                    for at, size in ((x, width), (y, height)))  # b t k w, b t k h
    # One product a cell, and no sum: nothing for a matrix unit, which would round it.
    target = down.swapaxes(2, 3)[:, :, :, None] * across.swapaxes(2, 3)[:, :, None]  # b t h w k
    target *= (keypoints[..., 2] > 0)[:, :, None, None]
    return jnp.square(heatmaps - target).sum((2, 3)) / (jnp.pi * cells**2)


def point_distance(heatmaps: jax.Array, keypoints: jax.Array, side: int) -> jax.Array:
    """How far the peak that `geometry.peaks` reads lies from the point, in cells, [b, t, k].

    Sizes are made of these points, so they are taught as well (integral regression, Sun et al.
    2018). A peak counts by its height: where none has formed yet its place means nothing.
    Arguments are those of `heatmap_error`.
    """
    at = keypoints[..., :2] * heatmaps.shape[3] / side
    distance = jnp.abs(geometry.peaks(heatmaps) - at).sum(-1)
    height = lax.stop_gradient(jnp.clip(heatmaps.max((2, 3)), 0, 1)) * (keypoints[..., 2] > 0)
    return height * jnp.minimum(distance, FARTHEST_CELLS)


def keypoint_error(heatmaps: jax.Array, keypoints: jax.Array, side: int, settings: Losses
                   ) -> jax.Array:
    """`heatmap_error` and `point_distance`, the ends of the reference object in the cheaper order.

    The ends of a ruler look alike. Asked to tell them apart, a network would show half a peak at
    both, and the middle between them would be taken for either. Arguments and shapes are those of
    `heatmap_error`.
    """
    def error(maps: jax.Array, points: jax.Array) -> jax.Array:
        found = heatmap_error(maps, points, side, settings.heatmap_cells)
        if settings.points:
            found = found + settings.points * point_distance(maps, points, side)
        return found

    straight = error(heatmaps, keypoints)
    ends = keypoints[..., -2:, :]
    turned = error(heatmaps[..., :-3:-1], ends)
    gain = (straight[..., -2:] - turned).sum(-1, keepdims=True)
    return jnp.concatenate([straight[..., :-2],
                            jnp.where(gain > 0, turned, straight[..., -2:])], -1)


def masked_mean(values: jax.Array, mask: jax.Array, axis_name: str | None) -> jax.Array:
    """Sum over this device of what counts, by the mean count of the devices; 0 if none counts.

    The mean over the devices is the mean over the whole batch, as are its gradients.

    Args:
      values: Losses of any shape.
      mask: How much each of them counts, of the same shape; 0 is not at all.
      axis_name: Mapped axis of the devices that share the batch; None on a single one.
    """
    chex.assert_equal_shape([values, mask])
    # An unlabelled value must not reach the gradient even where it is not finite.
    total = jnp.where(mask > 0, values * mask, 0).sum()
    count = mean_over_devices(lax.stop_gradient(mask).sum(), axis_name)
    return total / jnp.maximum(count, 1e-6)


def total_loss(settings: Losses, scaling: Scaling, outputs: Outputs, batch: Batch,
               axis_name: str | None = None) -> tuple[jax.Array, dict[str, Mean]]:
    """The weighted sum over what the network has given, and every loss as a metric.

    Args:
      outputs: What the network says of the batch.
      batch: Arrays of `clip_batches`, augmented as the frames were.
      axis_name: Mapped axis of the devices that share the batch; None on a single one.

    Returns:
      The loss [], and Means by name: "loss", "loss_NAME" of every measure and proxy task, and
      "mae_NAME", the mean absolute error of every measure in its unit.
    """
    found = terms(settings, scaling, outputs, batch)
    loss = sum(weight * masked_mean(values, mask, axis_name) for _, values, mask, weight in found)
    metrics = {f"loss_{name}": Mean.of(values, mask) for name, values, mask, _ in found}
    return loss, {"loss": Mean.of(loss[None]), **metrics, **errors(scaling, outputs, batch)}


def terms(settings: Losses, scaling: Scaling, outputs: Outputs, batch: Batch) -> list[Term]:
    """Every measure's and proxy task's losses with what counts of them; arguments as above."""
    return [*_measures(settings, scaling, outputs, batch), *_proxies(settings, outputs, batch)]


def by_example(found: list[Term], axis_name: str | None) -> jax.Array:
    """The loss of every example, [b], whose mean over all devices is the sum that is learnt from.

    An example counts for as much as there is known of it, see `masked_mean`.
    """
    total = 0.0
    for _, values, mask, weight in found:
        b = values.shape[0]
        counted = jnp.where(mask > 0, values * mask, 0).reshape(b, -1).sum(1)
        count = mean_over_devices(lax.stop_gradient(mask).sum(), axis_name)
        total = total + weight * b * counted / jnp.maximum(count, 1e-6)
    return total


def errors(scaling: Scaling, outputs: Outputs, batch: Batch) -> dict[str, Mean]:
    """Mean absolute errors of the measures in their units, as "mae_NAME"."""
    estimate, _ = scaling.measures(outputs.mean, outputs.log_scale)
    wrong, found = jnp.abs(estimate - batch["labels"]), {}
    known = scaling.mask_of(batch["labels_mask"])
    for name, i, mask in zip(scaling.labels, scaling.columns, known.T, strict=True):
        found[f"mae_{name}"] = Mean.of(jnp.where(mask > 0, wrong[:, i], 0), mask)
    return found


def _measures(settings: Losses, scaling: Scaling, outputs: Outputs, batch: Batch
              ) -> Iterator[Term]:
    target = scaling.targets(batch["labels"], batch["labels_mask"])
    mask = scaling.mask_of(batch["labels_mask"])
    mean, log_scale = outputs.mean, outputs.log_scale
    if settings.regression == "laplace":
        losses = laplace(mean, log_scale, target)
    else:
        losses = huber(mean, target, settings.huber_delta)
        losses = losses + 0.1 * laplace(lax.stop_gradient(mean), log_scale, target)
    for i, (name, weight) in enumerate(zip(scaling.labels, settings.measures, strict=True)):
        yield name, losses[:, i], mask[:, i], weight


def _proxies(settings: Losses, outputs: Outputs, batch: Batch) -> Iterator[Term]:
    if outputs.segmentation is not None:
        logits, masks = outputs.segmentation, batch["masks"]
        both = cross_entropy(logits, masks) + dice(logits, masks)
        yield "segmentation", both, outlined(batch), settings.segmentation
    if outputs.heatmaps is not None:
        keypoints = batch["keypoints"]
        errors = keypoint_error(outputs.heatmaps, keypoints, batch["frames"].shape[2], settings)
        counts = np.where(_IS_END, settings.ends, 1.0).astype(np.float32)[None, None]
        yield "keypoints", errors, told(batch) * counts, settings.keypoints


def outlined(batch: Batch) -> jax.Array:
    """Of which frames it is known what every cell shows, [b, t] float32.

    Of the annotated ones, but for those with points of a newborn and no outline: somebody is there,
    and nobody has said where.
    """
    points = (batch["keypoints"][..., :len(BODY_POINTS), 2] > 0).any(-1)
    return batch["annotated"] * (~points | (batch["masks"] == NEWBORN).any((2, 3)))


def told(batch: Batch) -> jax.Array:
    """Of which keypoints it is known where they are, or that they are not there; [b, t, 19].

    An annotated frame is wholly annotated: an end of the reference object that is not marked is
    not in it (there is none, or it has left the crop), and without a newborn no point of one is.
    A point of a newborn that is not marked may only have been left out.
    """
    marked = batch["keypoints"][..., 2] > 0
    nobody = ~((batch["masks"] == NEWBORN).any((2, 3)) | marked[..., :len(BODY_POINTS)].any(-1))
    known = marked | _IS_END[None, None] | nobody[..., None]
    return known * batch["annotated"][..., None]
