"""Epsilon-shrinking: every subnet of a step has its own, rising learning rate.

Gradients of a step arrive as one tree per slot ("largest", "smallest", "sampled_1", ...).
`epsilon_shrinking` scales each slot by its rate and joins them into one tree; any optax optimizer
follows. With a base learning rate lr(t), the subnets' effective rate beta(t) lr(t) rises linearly
from 0, so that the full model is not torn apart by subnets arriving at full rate (DepS, section
3.2), and is lr(t) after the ramp.

Where the ramp ends is a setting. With `Sandwich.ramp_target_epochs` 0 it ends at the base rate of
that moment, and nothing jumps. With 1, the default, it ends at the base rate of one epoch later,
as in the reference, whose tables hold the rate at the *end* of the epoch in which the ramp is over:
1.4 % lower in a run of 270 epochs, but 61 % in one of 4.8, and subnets jump to the base rate in the
next step. docs/method.md has the numbers of every config.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

BySlot = Mapping[str, optax.Updates]  # trees like the parameters, or masks of them


class ShrinkingState(NamedTuple):
    """State of `epsilon_shrinking`.

    Attributes:
      step: Number of steps taken, whichever slots they had, [] int32.
      slots: State of the multi-transform that holds the rates.
    """

    step: jax.Array
    slots: optax.OptState


def epsilon_shrinking(rates: Mapping[str, optax.Schedule],
                      aggregation: str = "sum") -> optax.GradientTransformationExtraArgs:
    """Scales the gradient tree of each slot by its rate, then joins the trees into one.

    `update(gradients, state, params, weights=..., masks=...)` takes a dict slot -> tree like
    params; a slot that was not trained in this step is not in it. `weights` are further factors by
    slot. "sum" adds the scaled trees and "mean" divides by their number; "avg" divides the sum by
    the scaled masks' sum, "avg_sqrt" by its square root, elementwise, where `masks` is a dict slot
    -> tree of 0/1 arrays that broadcast to the parameters.

    Args:
      rates: Factor on the base rate by step, for every slot that any step of the run has.
      aggregation: How the trees are joined, one of `method.AGGREGATIONS`.
    """
    scale = optax.multi_transform({slot: _scale_by(slot, rate) for slot, rate in rates.items()},
                                  {slot: slot for slot in rates})

    def init_fn(params: optax.Params) -> ShrinkingState:
        slots = scale.init({slot: params for slot in rates})
        return ShrinkingState(jnp.zeros((), jnp.int32), slots)

    def update_fn(gradients: BySlot, state: ShrinkingState, params: optax.Params | None = None, *,
                  weights: Mapping[str, jax.typing.ArrayLike] | None = None,
                  masks: BySlot | None = None, **extra: Any
                  ) -> tuple[optax.Updates, ShrinkingState]:
        del params, extra
        scaled = _scaled(gradients, state, weights)
        total = _sum(scaled)
        if aggregation == "mean":
            total = jax.tree.map(lambda g: g / len(scaled), total)
        elif aggregation != "sum" and masks is not None:
            users = _sum(_scaled(masks, state, weights))
            power = 1.0 if aggregation == "avg" else 0.5
            total = jax.tree.map(lambda g, n: g / jnp.maximum(n, 1e-30) ** power, total, users)
        return total, state._replace(step=state.step + 1)

    def _scaled(trees: BySlot, state: ShrinkingState,
                weights: Mapping[str, jax.typing.ArrayLike] | None) -> dict[str, optax.Updates]:
        # optax wants every slot, and MaskedNode is its word for one that has nothing here.
        absent = {slot: optax.MaskedNode() for slot in rates if slot not in trees}
        scaled, _ = scale.update({**trees, **absent}, state.slots, step=state.step,
                                 weights=weights or {})
        return {slot: tree for slot, tree in scaled.items() if slot in trees}

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _scale_by(slot: str, rate: optax.Schedule) -> optax.GradientTransformationExtraArgs:
    """Scales by the rate of one slot; the step is counted once for all slots, by who asks."""
    def update_fn(updates: optax.Updates, state: optax.EmptyState,
                  params: optax.Params | None = None, *, step: jax.Array,
                  weights: Mapping[str, jax.typing.ArrayLike], **extra: Any
                  ) -> tuple[optax.Updates, optax.EmptyState]:
        del params, extra
        factor = rate(step) * weights.get(slot, 1.0)
        return jax.tree.map(lambda g: jnp.asarray(factor, g.dtype) * g, updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update_fn)


def _sum(trees: BySlot) -> optax.Updates:
    return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *trees.values())
