"""Epsilon-shrinking: every subnet of a step has its own, rising learning rate.

Gradients of a supernet step arrive as one tree per slot ("largest", "smallest", "sampled_1", ...).
`epsilon_shrinking` scales each slot by its schedule and joins them into one tree; any optax
optimizer follows. With a base learning rate lr(t), the subnets' effective rate beta(t) lr(t) rises
linearly from 0, so that the full model is not torn apart by subnets arriving at full rate (DepS,
section 3.2), and is lr(t) after the ramp.

Where the ramp ends is a setting. With `Method.ramp_target_epochs` 0 it ends at the base rate of
that moment, and nothing jumps. With 1, the default, it ends at the base rate of one epoch later,
as in the reference, whose tables hold the rate at the *end* of the epoch in which the ramp is over:
1.4 % lower in a run of 270 epochs, but 61 % in one of 4.8, and subnets jump to the base rate in the
next step. docs/method.md has the numbers of every config.
"""
from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from deps_jax.training.methods import Method, Timeline


def subnet_rate(learning_rate: optax.Schedule, timeline: Timeline, weight: float,
                target_epochs: float = 1.0) -> optax.Schedule:
    """beta(step), the factor on a subnet's gradient; computed from the live base schedule.

    0 before the ramp; weight * L * tau / lr(step) on it, with tau rising to 1 at its last step and
    L the base rate `target_epochs` after its end; `weight` after it (DepS deps.py,
    adjust_beta_value, where target_epochs is 1).
    """
    target = timeline.ramp_end + round(target_epochs * timeline.steps_per_epoch)
    ramp_steps = timeline.ramp_end - timeline.supernet_start

    def schedule(step):
        tau = (step - timeline.supernet_start + 1) / max(1, ramp_steps)
        rising = learning_rate(target) * tau / jnp.maximum(learning_rate(step), 1e-30)
        beta = jnp.where(step < timeline.ramp_end, rising, 1.0)
        return weight * jnp.where(step < timeline.supernet_start, 0.0, beta)

    return schedule


def epsilon_shrinking(
    method: Method, learning_rate: optax.Schedule, timeline: Timeline
) -> optax.GradientTransformationExtraArgs:
    """Scales the gradient tree of each slot by its schedule, then joins the trees into one.

    `update(gradients, state, params, masks=...)` takes a dict slot -> tree like params; a slot
    that was not trained is not in it. "sum" adds the scaled trees; "avg" divides the sum by the
    scaled masks' sum, "avg_sqrt" by its square root, elementwise, where `masks` is a dict slot ->
    tree of 0/1 arrays that broadcast to the parameters.
    """
    weights = {"largest": 1.0, "smallest": method.smallest_weight}
    schedules = {
        slot: optax.constant_schedule(1.0) if slot == "largest" else subnet_rate(
            learning_rate, timeline, weights.get(slot, method.sampled_weight),
            method.ramp_target_epochs)
        for slot in method.slots
    }
    scale = optax.multi_transform(
        {slot: optax.scale_by_schedule(schedule) for slot, schedule in schedules.items()},
        {slot: slot for slot in method.slots},
    )

    def init_fn(params):
        return scale.init({slot: params for slot in method.slots})

    def update_fn(gradients, state, params=None, *, masks=None, **extra):
        del params, extra
        scaled, new_state = _scale(gradients, state)
        total = _sum(scaled)
        if method.aggregation != "sum" and masks is not None:
            weight = _sum(_scale(masks, state)[0])
            power = 1.0 if method.aggregation == "avg" else 0.5
            total = jax.tree.map(lambda g, w: g / jnp.maximum(w, 1e-30) ** power, total, weight)
        return total, new_state

    def _scale(trees, state):
        # optax wants every slot, and MaskedNode is its word for one that has nothing here.
        absent = {slot: optax.MaskedNode() for slot in method.slots if slot not in trees}
        scaled, new_state = scale.update({**trees, **absent}, state)
        return {slot: tree for slot, tree in scaled.items() if slot in trees}, new_state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _sum(trees: dict):
    return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *trees.values())
