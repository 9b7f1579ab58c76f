"""The expected cost of a run against the mean of what is counted step by step, and its inverse."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_spaces import PLAIN, TINY, TWO_STAGES

from deps_jax.common.loop.optim import Optimizer
from deps_jax.comparison.equal_cost import TOLERANCE, equal_steps, run_macs
from deps_jax.space.cost import macs
from deps_jax.space.layers import layers
from deps_jax.space.subnet import largest
from deps_jax.training.methods import METHODS, OFA
from deps_jax.training.methods import PLAIN as ALONE
from deps_jax.training.phases import Plan, expected_step_macs, step_macs
from deps_jax.training.samplers import Choosing

SHORT = Optimizer(learning_rate=0.1)


def phases(method, space=TINY, total=200, steps_per_epoch=10):
    return method.phases(Plan(space, SHORT, total, steps_per_epoch))


@pytest.mark.parametrize("name", ["deps", "attentive_best"])
def test_expected_is_the_mean_of_what_steps_count(name):
    for phase in phases(METHODS[name]):
        expected = expected_step_macs(phase, TINY, TINY.resolution)
        if phase.alone:
            assert expected == pytest.approx(float(step_macs(phase, TINY, 9, None)), rel=1e-6)
            continue

        def one(key, phase=phase):
            keys = jax.random.split(key, len(phase.slots))
            drawn = [slot.subnet.draw(key, TINY) for slot, key in zip(phase.slots, keys,
                                                                     strict=True)]
            kept = [jax.tree.map(lambda leaf: leaf[-1], subnet)
                    if isinstance(slot.subnet, Choosing) else subnet
                    for slot, subnet in zip(phase.slots, drawn, strict=True)]
            return step_macs(phase, TINY, TINY.resolution, jax.tree.map(
                lambda *leaves: jnp.stack(leaves), *jax.tree.map(jnp.asarray, kept)))

        counted = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(9), 1000))
        assert expected == pytest.approx(float(counted.mean()), rel=0.02)


def test_an_optimizer_that_multiplies_leaves_fewer_steps():
    own = lambda total: phases(METHODS["bignas"], total=total)
    budget = run_macs(own(200), TINY)
    step = budget / 200
    assert equal_steps(budget, own, TINY) == 200
    assert equal_steps(budget, own, TINY, update=0.25 * step) == pytest.approx(160, abs=1)
    assert run_macs(own(200), TINY, update=step) == pytest.approx(2 * budget)


def test_the_whole_run_holds_the_teacher_and_its_training():
    full = macs(layers(TINY, largest(TINY)))
    teacher, *openings = phases(OFA)
    spent = run_macs((teacher, *openings), TINY)
    own = run_macs(openings, TINY)
    assert spent - own == pytest.approx((teacher.stop - teacher.start) * 3 * full)
    labels = [dataclasses.replace(phase, slots=tuple(
        dataclasses.replace(slot, loss=teacher.slots[0].loss) for slot in phase.slots))
        for phase in openings]  # nobody asks the frozen teacher
    assert own - run_macs(labels, TINY) == pytest.approx(
        full * sum(phase.stop - phase.start for phase in openings))


def test_other_resolutions_are_drawn_as_often_as_each_other():
    alone = phases(ALONE)
    sizes = [run_macs(alone, TINY, (size,)) for size in (4, 8)]
    assert run_macs(alone, TINY, (4, 8)) == pytest.approx(np.mean(sizes))


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"compofa"}))
def test_a_run_of_equal_cost_is_found(name):
    budget = 400 * 3 * macs(layers(TWO_STAGES, largest(TWO_STAGES)))
    of = lambda total: phases(METHODS[name], TWO_STAGES, total)
    steps = equal_steps(budget, of, TWO_STAGES)
    cost = lambda total: abs(run_macs(of(total), TWO_STAGES) - budget)
    assert cost(steps) <= min(cost(steps - 1), cost(steps + 1))
    assert cost(steps) <= TOLERANCE * budget


def test_what_no_length_can_do_is_refused_with_its_reason():
    full = 3 * macs(layers(TINY, largest(TINY)))
    of = lambda name, space=TINY: lambda total: phases(METHODS[name], space, total)
    with pytest.raises(ValueError, match=r"costs .* times the budget: the opening .* has no step"):
        equal_steps(6 * full, of("ofa"), TINY)
    with pytest.raises(ValueError, match="for 5 stages"):
        equal_steps(100 * full, of("compofa", TWO_STAGES), TWO_STAGES)  # kernels for five stages
    with pytest.raises(ValueError, match=r"nearest run has 1 steps and costs 4\.00 times"):
        equal_steps(full / 4, of("plain"), TINY)
    assert equal_steps(3 * macs(layers(PLAIN, largest(PLAIN))), of("plain", PLAIN), PLAIN) == 1
