"""Losses of a step: labels for the full model, a teacher's predictions for the subnets.

A loss is a value: called with logits and a `Target` it gives one number an example. Any of them
goes with any method.
"""
from __future__ import annotations

import abc
import dataclasses
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax.nn import log_softmax, softmax


class Target(NamedTuple):
    """What the outputs of a batch are compared with.

    Attributes:
      labels: Distributions over the classes, [b, classes] float; see `smoothed`.
      teacher: Logits of the teacher, [b, classes] float; None where nobody teaches.
    """

    labels: jax.Array
    teacher: jax.Array | None = None


class Loss(abc.ABC):
    """A function of logits [b, classes] and a `Target` that gives every example a loss."""

    teacher: bool = True  # whether it reads a teacher's logits

    @abc.abstractmethod
    def __call__(self, logits: jax.Array, target: Target) -> jax.Array:
        """The loss of each example, [b] float."""


@dataclasses.dataclass(frozen=True)
class Hard(Loss):
    """Cross entropy with the labels."""

    teacher = False

    def __call__(self, logits: jax.Array, target: Target) -> jax.Array:
        """The cross entropy of each example, [b] float."""
        chex.assert_equal_shape((logits, target.labels))
        return -(target.labels * log_softmax(logits)).sum(-1)


@dataclasses.dataclass(frozen=True)
class Distillation(Loss):
    """Cross entropy with the softened predictions of a teacher, which no gradient reaches.

    It is -T^2 sum softmax(teacher / T) log_softmax(logits / T). In-place distillation (BigNAS,
    DepS) gives subnets no term of the labels; OFA adds it.

    Attributes:
      temperature: T, which divides the logits of both; above 0.
      label_weight: Weight of the cross entropy with the labels, which is added; 0 leaves it out.
    """

    temperature: float = 1.0
    label_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.temperature <= 0 or self.label_weight < 0:
            raise ValueError(f"temperature {self.temperature} and label_weight "
                             f"{self.label_weight} must be > 0 and >= 0; use 1 and 0")

    def __call__(self, logits: jax.Array, target: Target) -> jax.Array:
        """The loss of each example, [b] float."""
        chex.assert_equal_shape((logits, target.teacher))
        teacher = softmax(jax.lax.stop_gradient(target.teacher) / self.temperature)
        soft = -self.temperature**2 * (teacher * log_softmax(logits / self.temperature)).sum(-1)
        return soft + self.label_weight * Hard()(logits, target) if self.label_weight else soft


@dataclasses.dataclass(frozen=True)
class AlphaDivergence(Loss):
    """The larger of two alpha-divergences to the teacher (AlphaNet, arXiv 2102.07954, section 3).

    With q the student's and p the teacher's predictions, both held fixed, and r = p / q, an
    example's divergence is sum_c q f(r); of the two alphas the one with the larger divergence is
    taken. What is returned is a surrogate, -sum_c q rho(r) log q, whose gradient is that of the
    divergence; its value says nothing.

    Attributes:
      low, high: The two alphas. A low one punishes a student that is sure where the teacher is
        not, a high one a student that misses what the teacher sees.
      clip: The most that r to the power of alpha may be, so that the gradient stays bounded. With
        alpha 0 it is the most that r may be; with alpha 1 nothing is clipped.
    """

    low: float = -1.0
    high: float = 1.0
    clip: float = 5.0

    def __post_init__(self) -> None:
        if not (self.low < self.high and self.clip > 0):
            raise ValueError(f"alphas {self.low} and {self.high} must rise, clip {self.clip} must "
                             f"be above 0; use -1, 1 and 5")

    def __call__(self, logits: jax.Array, target: Target) -> jax.Array:
        """The surrogate of each example, [b] float, of its larger divergence."""
        divergences, surrogates = zip(*(
            self.one_side(logits, target, alpha) for alpha in (self.low, self.high)), strict=True)
        return jnp.where(divergences[0] > divergences[1], *surrogates)

    def one_side(self, logits: jax.Array, target: Target,
                 alpha: float) -> tuple[jax.Array, jax.Array]:
        """Divergences with one alpha and their surrogates, [b] float each."""
        chex.assert_equal_shape((logits, target.teacher))
        log_q = log_softmax(logits)
        f, rho = self._weighted(jax.lax.stop_gradient(log_q),
                                log_softmax(jax.lax.stop_gradient(target.teacher)), alpha)
        return f.sum(-1), -(rho * log_q).sum(-1)

    def _weighted(self, log_q: jax.Array, log_p: jax.Array,
                  alpha: float) -> tuple[jax.Array, jax.Array]:
        """q f(r) and q rho(r): f is 0 at r = 1 up to clipping, and rho(r) = r f'(r) - f(r).

        Powers of r are multiplied with q as logarithms. Where the student is sure, r of the other
        classes overflows and their q vanishes, but what is wanted is their product.
        """
        log_ratio = log_p - log_q
        if alpha == 1:
            p = jnp.exp(log_p)  # q r
            return p * log_ratio, p
        q = jnp.exp(log_q)
        if alpha == 0:
            log_ratio = jnp.minimum(log_ratio, jnp.log(self.clip))
            return -q * log_ratio, q * (log_ratio - 1)
        power = jnp.exp(log_q + jnp.minimum(alpha * log_ratio, jnp.log(self.clip)))
        offset = 1 / (alpha * (alpha - 1))
        return (power - q) * offset, power / alpha + q * offset


LOSSES: dict[str, Loss] = {
    "hard": Hard(), "soft": Distillation(), "soft_and_hard": Distillation(label_weight=1.0),
    "alpha": AlphaDivergence()}


def smoothed(labels: jax.Array, classes: int, smoothing: float) -> jax.Array:
    """Targets (1 - s) onehot + s / classes, [b, classes] float, of integer labels [b]."""
    return jax.nn.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
