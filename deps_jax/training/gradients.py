"""Gradients of the slots of one step, all on the same images."""
from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from deps_jax.common.loop.parallel import mean_over_devices
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, largest
from deps_jax.space.subnet_text import decode
from deps_jax.supernet.packing import Packed, Packing
from deps_jax.training.phases import FIRST_SLOT, Phase
from deps_jax.training.samplers import Choosing
from deps_jax.training.task import Inputs, Task, Tree

Found = tuple[jax.Array, Tree, Tree]  # ([b] losses, batch statistics, outputs)


class Gradients(NamedTuple):
    """What one step has found.

    Attributes:
      slots: Gradient of each slot by its name, packed as `packing.Packing` has it.
      losses: Losses of the b examples in each of the n slots, [n, b].
      statistics: Batch statistics of the first slot, packed.
      outputs: Outputs of the first slot.
    """

    slots: dict[str, Packed]
    losses: jax.Array
    statistics: Packed
    outputs: Tree


def draw(phase: Phase, space: SearchSpace, task: Task, params: Tree, inputs: Inputs,
         key: jax.Array, axis_name: str | None = None) -> Subnet | None:
    """Draws the subnets of a step, stacked in the order of the slots.

    Args:
      params, inputs: Read only where a sampler chooses by loss (`samplers.Choosing`).

    Returns:
      The subnets, or None where the only one of the phase is known before (`Phase.alone`).
    """
    if phase.alone:
        return None
    keys = jax.random.split(key, len(phase.slots))
    drawn = [slot.subnet.draw(key, space) for slot, key in zip(phase.slots, keys, strict=True)]
    chosen = [i for i, slot in enumerate(phase.slots) if isinstance(slot.subnet, Choosing)]
    if chosen:
        candidates = jax.tree.map(lambda *leaves: jnp.concatenate(leaves),
                                  *(drawn[i] for i in chosen))
        losses = jax.lax.map(partial(_judge, task, params, inputs, axis_name), candidates)
        start = 0
        for i in chosen:
            sampler = phase.slots[i].subnet
            best = sampler.keep(losses[start:start + sampler.candidates])
            drawn[i] = jax.tree.map(lambda leaf, best=best: leaf[best], drawn[i])
            start += sampler.candidates
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *drawn)


def _judge(task: Task, params: Tree, inputs: Inputs, axis_name: str | None,
           subnet: Subnet) -> jax.Array:
    """Mean loss [] of a candidate, the same on all devices."""
    outputs, _ = task.forward(params, inputs, subnet, dropout=False, axis_name=axis_name)
    return mean_over_devices(task.judge(outputs, inputs).mean(), axis_name)


def teach(phase: Phase, space: SearchSpace, task: Task, teacher: Tree, inputs: Inputs,
          axis_name: str | None = None) -> Tree | None:
    """Outputs of the frozen full model on the batch; None in a phase without a frozen teacher.

    Batch norm takes the statistics of the batch, as in OFA's teacher. No gradient reaches the
    teacher.

    Args:
      teacher: Parameters of the frozen full model.
    """
    if not phase.needs_teacher:
        return None
    outputs, _ = task.forward(teacher, inputs, largest(space), dropout=False, axis_name=axis_name)
    return jax.lax.stop_gradient(outputs)


def gradients_alone(phase: Phase, space: SearchSpace, task: Task, params: Tree, inputs: Inputs,
                    teacher: Tree | None = None, axis_name: str | None = None) -> Gradients:
    """Gradients of the only slot of a phase, whose network is compiled alone (`Phase.alone`).

    Args:
      teacher: Outputs of the frozen teacher; None where nobody teaches.
    """
    (slot,), subnet = phase.slots, decode(space, phase.alone.name)

    def loss_fn(params: Tree) -> tuple[jax.Array, Found]:
        outputs, statistics = task.forward(params, inputs, subnet, dropout=slot.dropout,
                                           axis_name=axis_name)
        losses = task.loss(slot.loss, outputs, task.target(inputs, teacher), axis_name)
        return losses.mean(), (losses, statistics, outputs)

    with jax.named_scope("slot"):
        gradient, (losses, statistics, outputs) = jax.grad(loss_fn, has_aux=True)(params)
    return Gradients({slot.name: Packing.of(params).pack(gradient)}, losses[None],
                     Packing.of(statistics).pack(statistics), outputs)


def gradients_of_slots(phase: Phase, task: Task, params: Tree, inputs: Inputs, subnets: Subnet,
                       teacher: Tree | None = None, axis_name: str | None = None) -> Gradients:
    """Gradients of all slots of a phase.

    They run one after the other in a scan, so that one compiled network serves them all.

    Args:
      subnets: Subnets of the slots, stacked in their order.
      teacher: Outputs of the frozen teacher; not read where the first slot teaches.
    """
    kinds = list(dict.fromkeys(slot.loss for slot in phase.slots))
    kind = jnp.array([kinds.index(slot.loss) for slot in phase.slots])
    dropout = jnp.array([slot.dropout for slot in phase.slots])
    first_teaches, packing = phase.teacher == FIRST_SLOT, Packing.of(params)

    def run_slot(taught: Tree | None, slot: tuple[Subnet, jax.Array, jax.Array, jax.Array]
                 ) -> tuple[Tree | None, tuple[Packed, jax.Array, Packed, Tree]]:
        subnet, is_first, kind, dropout = slot

        def loss_fn(params: Tree) -> tuple[jax.Array, Found]:
            outputs, statistics = task.forward(params, inputs, subnet, dropout=dropout,
                                               axis_name=axis_name)
            target = task.target(inputs, taught)
            losses = _chosen([task.loss(one, outputs, target, axis_name) for one in kinds], kind)
            return losses.mean(), (losses, statistics, outputs)

        with jax.named_scope("slot"):
            gradient, (losses, statistics, outputs) = jax.grad(loss_fn, has_aux=True)(params)
        taught = _where(is_first, outputs, taught) if first_teaches else taught
        return taught, (packing.pack(gradient), losses, Packing.of(statistics).pack(statistics),
                        outputs)

    before = task.no_outputs(inputs) if first_teaches else teacher
    _, (gradients, losses, statistics, outputs) = jax.lax.scan(
        run_slot, before, (subnets, jnp.arange(len(phase.slots)) == 0, kind, dropout))
    nth = lambda tree, i: jax.tree.map(lambda leaf: leaf[i], tree)
    return Gradients({slot.name: nth(gradients, i) for i, slot in enumerate(phase.slots)}, losses,
                     nth(statistics, 0), nth(outputs, 0))


def _chosen(losses: list[jax.Array], kind: jax.Array) -> jax.Array:
    """Of losses [b] of several kinds those of the kind that a slot has."""
    chosen = losses[-1]
    for i in range(len(losses) - 2, -1, -1):
        chosen = jnp.where(kind == i, losses[i], chosen)
    return chosen


def _where(condition: jax.Array, this: Tree, other: Tree) -> Tree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), this, other)
