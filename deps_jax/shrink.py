"""Epsilon-shrinking: every subnet of a step has its own, rising learning rate.

Gradients of a supernet step arrive as one tree per slot ("largest", "smallest", "sampled_1", ...).
`epsilon_shrinking` scales each slot by its schedule and joins them into one tree; any optax
optimizer follows. With a base learning rate lr(t), the subnets' effective rate beta(t) lr(t) rises
linearly from 0 to the rate that the base schedule itself has reached when the ramp is over, so
that the full model is not torn apart by subnets arriving at full rate (DepS, section 3.2).
"""
from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from deps_jax.methods import Method, Timeline

ABSENT = optax.MaskedNode()  # gradient of a slot that this step did not train


def subnet_rate(learning_rate: optax.Schedule, timeline: Timeline, weight: float) -> optax.Schedule:
    """beta(step), the factor on a subnet's gradient; computed from the live base schedule.

    0 before the ramp; weight * L * tau / lr(step) on it, with tau rising to 1 and L the base rate
    one epoch after the ramp's end (the reference samples its tables there, deps_reference 4.2);
    `weight` after it.
    """
    target = timeline.ramp_end + timeline.steps_per_epoch
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
    that was not trained is ABSENT. "sum" adds the scaled trees; "avg" divides the sum by the
    scaled masks' sum, "avg_sqrt" by its square root, elementwise (deps_reference 3), where `masks`
    is a dict slot -> tree of 0/1 arrays that broadcast to the parameters.
    """
    weights = {"largest": 1.0, "smallest": method.smallest_weight}
    schedules = {
        slot: optax.constant_schedule(1.0) if slot == "largest" else subnet_rate(
            learning_rate, timeline, weights.get(slot, method.sampled_weight))
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
        scaled, new_state = scale.update(gradients, state)
        total = _sum_of_slots(scaled)
        if method.aggregation != "sum" and masks is not None:
            weight = _sum_of_slots(scale.update(masks, state)[0])
            power = 1.0 if method.aggregation == "avg" else 0.5
            total = jax.tree.map(lambda g, w: g / jnp.maximum(w, 1e-30) ** power, total, weight)
        return total, new_state

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _sum_of_slots(trees):
    present = [tree for tree in trees.values() if jax.tree.leaves(tree)]
    return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *present)
