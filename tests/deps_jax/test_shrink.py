import dataclasses

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deps_jax.methods import BIGNAS, DEPS, PLAIN, Method, Timeline
from deps_jax.optim import Optimizer, cosine
from deps_jax.shrink import ABSENT, epsilon_shrinking, subnet_rate

# The reference's ImageNet run: 270 epochs of 626 steps, W = 150, S = 5, peak 2.6.
IMAGENET = Timeline(supernet_start=145 * 626, ramp_end=150 * 626, total=270 * 626,
                    steps_per_epoch=626)
SCHEDULE = cosine(Optimizer(learning_rate=2.6), IMAGENET.total, 626)


@pytest.mark.parametrize(("epoch", "step", "rate", "beta"), [  # deps_reference 4.2
    (145, 0, 1.149079, 2.945e-4), (147, 0, 1.119075, 0.378964),
    (149, 625, 1.074281, 0.986126), (150, 0, 1.074257, 1.0), (200, 3, None, 1.0)])
def test_recorded_rates_of_the_reference(epoch, step, rate, beta):
    at = epoch * 626 + step
    np.testing.assert_allclose(subnet_rate(SCHEDULE, IMAGENET, 1.0)(at), beta, rtol=2e-4)
    if rate:
        np.testing.assert_allclose(SCHEDULE(at), rate, rtol=1e-6)


def test_effective_rate_rises_linearly_from_zero():
    timeline = Timeline(40, 60, 200, 10)
    schedule = cosine(Optimizer(learning_rate=0.1), 200, 10)
    steps = np.arange(200)
    effective = np.array([float(subnet_rate(schedule, timeline, 0.5)(s) * schedule(s))
                          for s in steps])
    np.testing.assert_array_equal(effective[:40], 0)
    np.testing.assert_allclose(np.diff(effective[39:60], 2), 0, atol=1e-8)
    np.testing.assert_allclose(effective[60:], 0.5 * np.array([schedule(s) for s in steps[60:]]))


def two_slots(aggregation, masks=None):
    method = Method("test", subnets_per_step=2, aggregation=aggregation)
    timeline = Timeline(0, 10, 100, 5)
    transform = epsilon_shrinking(method, optax.constant_schedule(1.0), timeline)
    params = {"a": jnp.zeros(3)}
    gradients = {"largest": {"a": jnp.array([1.0, 2.0, 3.0])},
                 "smallest": {"a": jnp.array([10.0, 0.0, 0.0])}}
    updates, _ = transform.update(gradients, transform.init(params), params, masks=masks)
    return np.asarray(updates["a"])


def test_slots_are_scaled_by_their_own_schedules_and_joined():
    masks = {"largest": {"a": jnp.ones(3)}, "smallest": {"a": jnp.array([1.0, 0.0, 0.0])}}
    beta = 0.1  # first of ten ramp steps of a constant rate
    total = np.array([1 + 10 * beta, 2, 3])
    weight = np.array([1 + beta, 1, 1])
    np.testing.assert_allclose(two_slots("sum"), total, rtol=1e-6)
    np.testing.assert_allclose(two_slots("avg", masks), total / weight, rtol=1e-6)
    np.testing.assert_allclose(two_slots("avg_sqrt", masks), total / np.sqrt(weight), rtol=1e-6)


def test_slots_that_did_not_train_are_left_out():
    transform = epsilon_shrinking(DEPS, optax.constant_schedule(1.0), Timeline(5, 10, 100, 5))
    params = {"a": jnp.zeros(2)}
    gradients = dict.fromkeys(DEPS.slots, ABSENT) | {"largest": {"a": jnp.ones(2)}}
    updates, state = transform.update(gradients, transform.init(params), params)
    np.testing.assert_array_equal(updates["a"], 1)
    counts = [int(count) for _, count in optax.tree.get_all_with_path(state, "count")]
    assert counts == [1] * len(DEPS.slots)  # schedules count steps, trained or not


def test_timelines_of_methods():
    assert Timeline.of(DEPS, 1000, 20) == Timeline(450, 550, 1000, 20)
    assert Timeline.of(BIGNAS, 1000, 20) == Timeline(0, 0, 1000, 20)
    assert Timeline.of(PLAIN, 1000, 20).supernet_start == 1000
    with pytest.raises(ValueError, match="does not fit"):
        Timeline.of(DEPS, 10, 5)


@pytest.mark.parametrize("change", [
    {"full_model_fraction": 1.0}, {"ramp_epochs": -1}, {"temperature": 0}, {"subnets_per_step": 0},
    {"sampling": "best"}, {"aggregation": "median"}])
def test_impossible_methods_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(DEPS, **change)
