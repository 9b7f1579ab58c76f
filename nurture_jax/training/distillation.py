"""Losses against a teacher: its measures, masks and keypoints instead of those of the records.

A teacher says something of every frame, also of the many that nobody has drawn on, and of measures
that a visit lacks. Distillation of a regression by its mean, and of dense maps cell by cell, is
common (Hinton et al. 2015, arXiv 1503.02531, for classes), as is that of features through a learnt
projection (Romero et al. 2015, arXiv 1412.6550); what is joined here is our design.

The teacher is the largest network of the same supernet (`taught_terms`), or another run that is
learnt from beside the records (`lesson_terms`); the largest network itself may have such a one.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from deps_jax.common.loop.parallel import Tree
from deps_jax.common.nn.operations import Mode
from nurture_jax.clips.clip_augment import Batch
from nurture_jax.network import geometry
from nurture_jax.network.model import NurtureNet, Outputs, zero_inputs
from nurture_jax.network.scaling import LOG_SCALE_RANGE, Scaling
from nurture_jax.training.losses import FARTHEST_CELLS, Losses, Term, huber, laplace

PROJECTION = "to_teacher"  # among the parameters: from the student's features to the teacher's
SPREAD_DELTA = 0.5  # of the logarithm of a spread, from which a difference counts linearly; ours


@dataclasses.dataclass(frozen=True)
class Teaching:
    """A run that another one learns from beside the records; the weights are ours.

    Attributes:
      run: Folder of the teacher, a run of NurtureNet with weights that were kept; "" is none.
      weight: Weight of the teacher's measures, masks and heatmaps, beside 1 for the same losses
        against the records.
      spreads: Weight of the logarithms of the teacher's Laplace scales, beside each measure's.
      features: Weight of what the teacher's pooled features are, by a projection that is learnt and
        not kept; nothing where either network has no video.

    Raises:
      ValueError: If a weight is negative.
    """

    run: str = ""
    weight: float = 1.0
    spreads: float = 0.1
    features: float = 0.1

    def __post_init__(self) -> None:
        for name in ("weight", "spreads", "features"):
            if getattr(self, name) < 0:
                raise ValueError(f"teacher.{name} {getattr(self, name)} is negative; use 0 to "
                                 f"leave it out")


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


def lesson_terms(teaching: Teaching, settings: Losses, scaling: Scaling, of: Scaling,
                 outputs: Outputs, teacher: Outputs, batch: Batch) -> Iterator[Term]:
    """Losses against the outputs of another network, to be added to those against the records.

    No gradient reaches the teacher.

    Args:
      settings: Weights of the measures and proxy tasks, as against the records.
      scaling, of: Scaling of the student, and of the teacher; of the same measures.
      outputs, teacher: What both say of the same frames; the teacher has the student's heads, and
        the student's features are `projected`.
      batch: Arrays of `clip_batches`; clips without any label (of no newborn) teach no measure.
    """
    teacher = lax.stop_gradient(teacher)
    mean, log_scale = scaling.from_other(of, teacher.mean, teacher.log_scale)
    known = scaling.mask_of(batch["labels_mask"])
    newborn = known.max(1) > 0
    means = huber(outputs.mean, mean, settings.huber_delta)
    clipped = (jnp.clip(each, *LOG_SCALE_RANGE) for each in (outputs.log_scale, log_scale))
    spreads = huber(*clipped, SPREAD_DELTA)
    for i, (name, weight) in enumerate(zip(scaling.labels, settings.measures, strict=True)):
        taught = (newborn & (name in of.learnt and name in scaling.learnt)).astype(means.dtype)
        yield name, means[:, i], taught, weight * teaching.weight
        yield f"{name}_spread", spreads[:, i], taught, weight * teaching.spreads
    for name, values, mask, weight in _maps(settings, outputs, teacher):
        yield name, values, mask, weight * teaching.weight
    if outputs.features is not None:
        found = feature_distance(outputs.features, teacher.features)
        yield "features", found, jnp.ones_like(found), teaching.features


def own(params: Tree) -> Tree:
    """The parameters of the network itself, without what only training has."""
    return {name: part for name, part in params.items() if name != PROJECTION}


def projection(key: jax.Array, teaching: Teaching, student: NurtureNet, teacher: NurtureNet | None,
               frames: tuple[int, ...]) -> Tree:
    """The layer from the student's features to the teacher's, by its name among the parameters.

    Args:
      frames: Number of frames of a clip, and their height and width in pixels.

    Returns:
      {PROJECTION: {"kernel": [f, g], "bias": [g]}}; {} where features are not learnt.
    """
    if teacher is None or not teaching.features:
        return {}
    seen = [jax.eval_shape(lambda model=model: model.init_with_output(
        key, *zero_inputs(*frames))[0].features) for model in (student, teacher)]
    if None in seen:
        return {}
    (_, ours), (_, theirs) = (each.shape for each in seen)
    kernel = nn.initializers.lecun_normal()(jax.random.fold_in(key, 1), (ours, theirs))
    return {PROJECTION: {"kernel": kernel, "bias": jnp.zeros(theirs)}}


def projected(params: Tree, outputs: Outputs) -> Outputs:
    """The outputs with features of the teacher's width; with none where they are not learnt."""
    if PROJECTION not in params:
        return outputs.replace(features=None)
    layer = params[PROJECTION]
    return outputs.replace(features=outputs.features @ layer["kernel"] + layer["bias"][None])


def lesson(teacher: NurtureNet, variables: Tree, batch: Batch) -> Outputs:
    """What the network of another run says of augmented clips, as it is in use."""
    with jax.named_scope("teacher"):
        return teacher.apply(
            variables, batch["frames"], batch["tabular"], batch["tabular_mask"], Mode(False),
            reference_cm=batch["reference_cm"])


def feature_distance(features: jax.Array, teacher: jax.Array) -> jax.Array:
    """Mean squared distance of projected features from a teacher's of unit spread, [b].

    Args:
      features: Features of the student, [b, g], see `projected`.
      teacher: Those of the teacher, [b, g]; each clip's are brought to mean 0 and deviation 1.
    """
    chex.assert_equal_shape([features, teacher])
    centred = teacher - teacher.mean(1, keepdims=True)
    deviation = jnp.sqrt(jnp.square(centred).mean(1, keepdims=True) + 1e-6)
    return jnp.square(features - centred / deviation).mean(1)


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
