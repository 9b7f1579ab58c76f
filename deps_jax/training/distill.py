"""Losses of a step: hard labels for the full model, its own predictions for the subnets."""
from __future__ import annotations

import chex
import jax


def hard_loss(logits: jax.Array, labels: jax.Array, label_smoothing: float = 0.0) -> jax.Array:
    """Cross entropy with targets (1 - s) onehot + s / classes.

    Args:
      logits: [b, classes] float.
      labels: [b] int.

    Returns:
      [b] losses.
    """
    chex.assert_equal_shape_prefix((logits, labels), 1)
    classes = logits.shape[-1]
    targets = jax.nn.one_hot(labels, classes) * (1 - label_smoothing) + label_smoothing / classes
    return -(targets * jax.nn.log_softmax(logits)).sum(-1)


def in_place_distillation(logits: jax.Array, teacher_logits: jax.Array, temperature: float = 1.0):
    """Cross entropy to the softened predictions of the full model of the same step.

    -T^2 sum softmax(teacher / T) log_softmax(logits / T) (deps_reference 4.1). No gradient reaches
    the teacher, and subnets get no hard-label term.

    Args:
      logits, teacher_logits: [b, classes] float.

    Returns:
      [b] losses.
    """
    chex.assert_equal_shape((logits, teacher_logits))
    teacher = jax.nn.softmax(jax.lax.stop_gradient(teacher_logits) / temperature)
    return -temperature**2 * (teacher * jax.nn.log_softmax(logits / temperature)).sum(-1)
