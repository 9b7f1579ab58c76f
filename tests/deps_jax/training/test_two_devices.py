"""In float64 two devices give what one gives: gradients, every way of joining them, evaluation.

Whole training steps are in test_train.py. The joined gradients are also compared with sums by hand.
"""
import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import RECIPE, SPACE, fresh_state
from tiny_spaces import PIXELS

from deps_jax.common.loop.parallel import data_parallel, mean_over_devices
from deps_jax.data.pipeline import eval_batches
from deps_jax.data.sources import ArraySource
from deps_jax.evaluation.recalibration import Evaluator
from deps_jax.space.subnet import stack
from deps_jax.space.subnet_text import decode
from deps_jax.supernet.masks import active_masks
from deps_jax.supernet.packing import Packing
from deps_jax.training.gradients import gradients_alone, gradients_of_slots
from deps_jax.training.method import AGGREGATIONS
from deps_jax.training.methods import BIGNAS, PLAIN
from deps_jax.training.train import apply_gradients

pytestmark = pytest.mark.long

# As the slots of a sandwich have them: the full model, the smallest, two others.
SUBNETS = ("largest", "smallest", "k3e1-k3e2", "k3e2")
WEIGHTS = {"largest": 1.0, "smallest": 0.3, "sampled_1": 0.7, "sampled_2": 0.7}
RATE = 0.05


def recipe(aggregation, method=BIGNAS):
    """Plain gradient descent at one rate, subnets at full rate with weights of their own."""
    method = dataclasses.replace(method, aggregation=aggregation, smallest_weight=0.3,
                                 sampled_weight=0.7)
    optimizer = dataclasses.replace(RECIPE.optimizer, learning_rate=RATE, min_learning_rate=RATE,
                                    momentum=0.0, weight_decay=0.0)
    return dataclasses.replace(RECIPE, method=method, optimizer=optimizer, dtype="float64",
                               total=10, steps_per_epoch=5)


def everything(state, batch, key, *, axis_name):
    """Gradients of a sandwich and of the full model alone, and the states they lead to."""
    subnets = jax.tree.map(jnp.asarray, stack([decode(SPACE, name) for name in SUBNETS]))
    task, (phase,), (plain,) = (recipe("sum").task, recipe("sum").phases,
                                recipe("sum", PLAIN).phases)
    inputs = task.inputs(batch["image"], batch["label"], key)
    found = gradients_of_slots(phase, task, state.params, inputs, subnets, axis_name=axis_name)
    alone = gradients_alone(plain, SPACE, task, state.params, inputs, axis_name=axis_name)
    gradients, alone, losses, logits = mean_over_devices(
        (found.slots, alone.slots["largest"], found.losses.mean(1), (found.outputs**2).mean()),
        axis_name)
    states = {name: apply_gradients(recipe(name), phase, state, found._replace(slots=gradients),
                                    subnets)[0] for name in AGGREGATIONS}
    unpack = Packing.of(state.params).unpack
    return {"gradients": {name: unpack(gradient) for name, gradient in gradients.items()},
            "alone": unpack(alone), "losses": losses, "logits": logits,
            "statistics": found.statistics, "states": states}


@pytest.fixture(scope="module", autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def state():
    return fresh_state(recipe("sum"))


@pytest.fixture(scope="module")
def results(state):
    """What `everything` gives on one device and on two."""
    generator = np.random.default_rng(0)
    batch = {"image": generator.normal(size=(8, 9, 9, 3)),
             "label": generator.integers(0, 5, 8).astype(np.int32)}
    return [jax.device_get(data_parallel(everything, devices=jax.devices()[:count])(
        state, batch, jax.random.key(1))) for count in (1, 2)]


def test_gradients_losses_and_statistics_are_the_same(results):
    one, two = results
    chex.assert_trees_all_close(two, one, atol=1e-12, rtol=0)
    for gradient in one["gradients"].values():
        largest = [np.abs(leaf).max() for leaf in jax.tree.leaves(gradient)]
        assert np.median(largest) > 1e-6  # but for biases that the next batch norm cancels


def test_the_full_model_has_one_gradient_alone_and_in_the_sandwich(results):
    one, _ = results
    chex.assert_trees_all_close(one["alone"], one["gradients"]["largest"], atol=1e-12, rtol=0)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_joined_gradients_are_the_sum_by_hand(aggregation, results, state):
    """Every slot has a weight and a subnet of its own, so none can stand in for another."""
    power = {"sum": 0.0, "mean": 0.0, "avg": 1.0, "avg_sqrt": 0.5}[aggregation]
    share = 0.25 if aggregation == "mean" else 1.0
    masks = {slot: active_masks(SPACE, state.params, decode(SPACE, name))
             for slot, name in zip(WEIGHTS, SUBNETS, strict=True)}
    for result in results:
        gradients = result["gradients"]
        total = jax.tree.map(lambda *leaves: sum(leaves), *(
            jax.tree.map(lambda leaf, w=w: w * leaf, gradients[slot])
            for slot, w in WEIGHTS.items()))
        users = jax.tree.map(lambda *leaves: sum(leaves), *(
            jax.tree.map(lambda leaf, w=w: w * np.asarray(leaf, np.float64), masks[slot])
            for slot, w in WEIGHTS.items()))
        expected = jax.tree.map(lambda p, g, n: p - RATE * share * g / n**power, state.params,
                                total, users)
        chex.assert_trees_all_close(result["states"][aggregation].params, expected, atol=1e-9,
                                    rtol=0)


def test_evaluation_is_the_same(state):
    generator = np.random.default_rng(1)
    source = ArraySource(generator.integers(0, 256, (22, 9, 9, 3), np.uint8),
                         generator.integers(0, 5, 22).astype(np.int32))
    calibration = source.images[:16].reshape(2, 8, 9, 9, 3)
    found = []
    for count in (1, 2):
        evaluator = Evaluator(SPACE, PIXELS, dtype="float64", devices=jax.devices()[:count])
        for name in SUBNETS:
            subnet = decode(SPACE, name)
            stats = evaluator.recalibrate(state.params, subnet, calibration)
            metrics = evaluator.evaluate(state.params, stats, subnet, eval_batches(source, 8))
            found.append((count, name, jax.device_get(stats), metrics))
    one, two = ([entry[1:] for entry in found if entry[0] == count] for count in (1, 2))
    for (name, stats, metrics), (other_name, other_stats, other_metrics) in zip(
            one, two, strict=True):
        assert name == other_name
        chex.assert_trees_all_close(other_stats, stats, atol=1e-9, rtol=0)
        assert other_metrics == pytest.approx(metrics, abs=1e-9, rel=0)
    assert len({metrics["loss"] for _, _, metrics in one}) == len(SUBNETS)
