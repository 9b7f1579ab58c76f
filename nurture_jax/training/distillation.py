"""Losses against a teacher: its measures, masks and keypoints instead of those of the records.

A teacher says something of every frame, also of the many that nobody has drawn on, and of measures
that a visit lacks. Distillation of a regression by its mean, and of dense maps cell by cell, is
common (Hinton et al. 2015, arXiv 1503.02531, for classes); what is joined here is our design.
"""
from __future__ import annotations

from collections.abc import Iterator

import chex
import jax
import jax.numpy as jnp
from jax import lax

from nurture_jax.clips.clip_augment import Batch
from nurture_jax.network import geometry
from nurture_jax.network.model import Outputs
from nurture_jax.network.scaling import Scaling
from nurture_jax.training.losses import FARTHEST_CELLS, Losses, Term, huber, laplace


def taught_terms(settings: Losses, scaling: Scaling, outputs: Outputs, teacher: Outputs,
                 batch: Batch) -> list[Term]:
    """Losses of every measure and proxy task against a teacher, in the form of `losses.terms`.

    No gradient reaches the teacher. The scale of an error is learnt from the labels, since it is
    the student's own error that it tells.

    Args:
      settings: Weights are those of the losses against the records.
      outputs, teacher: What student and teacher say of the batch, with the same heads.
      batch: Arrays of `clip_batches`; clips without any label (of no newborn) teach no measure.
    """
    teacher = lax.stop_gradient(teacher)
    return [*_measures(settings, scaling, outputs, teacher, batch),
            *_maps(settings, outputs, teacher)]


def _measures(settings: Losses, scaling: Scaling, outputs: Outputs, teacher: Outputs, batch: Batch
              ) -> Iterator[Term]:
    target = scaling.targets(batch["labels"], batch["labels_mask"])
    known = scaling.mask_of(batch["labels_mask"])
    newborn = (known.max(1, keepdims=True) > 0).astype(known.dtype) * jnp.ones_like(known)
    means = huber(outputs.mean, teacher.mean, settings.huber_delta)
    scales = 0.1 * laplace(lax.stop_gradient(outputs.mean), outputs.log_scale, target)
    for i, (name, weight) in enumerate(zip(scaling.labels, settings.measures, strict=True)):
        yield name, means[:, i], newborn[:, i], weight
        yield f"{name}_scale", scales[:, i], known[:, i], weight


def _maps(settings: Losses, outputs: Outputs, teacher: Outputs) -> Iterator[Term]:
    if outputs.segmentation is not None:
        found = soft_cross_entropy(outputs.segmentation, teacher.segmentation)
        yield "segmentation", found, jnp.ones_like(found), settings.segmentation
    if outputs.heatmaps is not None:
        found = heatmap_distance(outputs.heatmaps, teacher.heatmaps, settings)
        yield "keypoints", found, jnp.ones_like(found), settings.keypoints


def soft_cross_entropy(logits: jax.Array, teacher: jax.Array) -> jax.Array:
    """Mean cross entropy with a teacher's shares over the cells of each frame, [b, t].

    Args:
      logits, teacher: Logits of the classes, [b, t, h, w, c].
    """
    chex.assert_equal_shape([logits, teacher])
    shares = jax.nn.softmax(teacher)
    return -(shares * jax.nn.log_softmax(logits)).sum(-1).mean((2, 3))


def heatmap_distance(heatmaps: jax.Array, teacher: jax.Array, settings: Losses) -> jax.Array:
    """Squared distance of heatmaps from a teacher's, [b, t, k], of the scale of `heatmap_error`.

    With `settings.points` the distance of the peaks joins it, as far as the teacher is sure of its
    own.

    Args:
      heatmaps, teacher: Heatmaps, [b, t, h, w, k].
    """
    chex.assert_equal_shape([heatmaps, teacher])
    area = jnp.pi * settings.heatmap_cells**2
    found = jnp.square(heatmaps - teacher).sum((2, 3)) / area
    if settings.points:
        apart = jnp.abs(geometry.peaks(heatmaps) - geometry.peaks(teacher)).sum(-1)
        sure = jnp.clip(teacher.max((2, 3)), 0, 1)
        found = found + settings.points * sure * jnp.minimum(apart, FARTHEST_CELLS)
    return found
