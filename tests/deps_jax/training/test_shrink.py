import dataclasses
import importlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deps_jax.common.loop.optim import Optimizer, cosine
from deps_jax.training.experiment import Experiment, build_recipe
from deps_jax.training.methods import BIGNAS, DEPS, PLAIN, Method, Timeline
from deps_jax.training.shrink import epsilon_shrinking, subnet_rate

ROOT = Path(__file__).parents[3]

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


def documented_ramps():
    """Rows of the table in docs/method.md: {"deps_cifar10:runlocal": the row's other cells}."""
    text = (ROOT / "docs" / "method.md").read_text()
    return {name: [cell.strip() for cell in cells.split("|")]
            for name, cells in re.findall(r"^\| `(deps_[\w:]+)`[^|]*\|(.*)\|$", text, re.M)}


def configs_that_train_deps():
    """Every config under configs/, and its `:runlocal`, whose method is DepS."""
    for path in sorted(ROOT.glob("configs/deps_*.py")):
        module = importlib.import_module(f"configs.{path.stem}")
        for arg in ("", "runlocal"):
            try:
                config = module.get_config(arg)
            except ValueError:  # it has no such option
                continue
            if config.method.name == "deps":
                yield path.stem + (arg and f":{arg}"), module, config


def test_every_ramp_ends_where_docs_and_config_say():
    table, said = documented_ramps(), {}
    for name, module, config in configs_that_train_deps():
        images = int(table[name][0])
        rates = {}
        for target in (1.0, 0.0):
            config.method.ramp_target_epochs = target
            settings = Experiment.from_dict(config.to_dict())
            recipe = build_recipe(settings, settings.space.build(num_classes=10), images)
            timeline, base = recipe.timeline, recipe.schedule()
            end = timeline.ramp_end
            beta = subnet_rate(base, timeline, 1.0, recipe.method.ramp_target_epochs)
            rates[target] = float(beta(end - 1) * base(end - 1))
            np.testing.assert_allclose(rates[target],
                                       base(end + round(target * timeline.steps_per_epoch)),
                                       rtol=1e-6)
            assert float(beta(end)) == 1.0  # at the base rate from there on
        cell = lambda rate, base=base, end=end: f"{rate:.4f} ({rate / base(end):.0%})"
        assert table.pop(name) == [
            str(images), f"{timeline.supernet_start} to {end}", f"{base(end):.4f}",
            cell(rates[1.0]).replace("%", " %"), cell(rates[0.0]).replace("%", " %")], name
        said.setdefault(module, []).append(f"{rates[1.0] / base(end):.0%}".removesuffix("%"))
    assert not table  # nothing else is in it
    for module, percents in said.items():
        text = " ".join(module.__doc__.split())
        assert re.findall(r"(\d+) % of the base rate", text) == percents, module.__name__


def test_the_default_is_the_reference_and_the_optimizer_follows_the_setting():
    """The rate in the updates themselves, at the last ramp step and the first after it."""
    assert DEPS.ramp_target_epochs == 1.0
    timeline = Timeline(2, 6, 12, 2)
    base = cosine(Optimizer(learning_rate=0.1, min_learning_rate=0.0), 12, 2)
    for target, expected in ((1.0, base(8)), (0.0, base(6))):
        method = dataclasses.replace(DEPS, ramp_target_epochs=target)
        transform = optax.chain(epsilon_shrinking(method, base, timeline),
                                optax.scale_by_schedule(base))
        params, rates = {"a": jnp.zeros(())}, []
        state = transform.init(params)
        gradients = {slot: {"a": jnp.float32(slot == "sampled_2")} for slot in method.slots}
        for _ in range(timeline.total):
            updates, state = transform.update(gradients, state, params)
            rates.append(float(updates["a"]))
        np.testing.assert_allclose(rates[5], expected, rtol=1e-6)
        np.testing.assert_allclose(rates[6:], [base(step) for step in range(6, 12)], rtol=1e-6)
        np.testing.assert_allclose(np.diff(rates[1:6]), rates[5] / 4, rtol=1e-5)
    assert base(8) < 0.6 * base(6)  # the two settings are told apart


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
    gradients = {"largest": {"a": jnp.ones(2)}}
    updates, state = transform.update(gradients, transform.init(params), params)
    np.testing.assert_array_equal(updates["a"], 1)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    counts = [int(count) for _, count in optax.tree.get_all_with_path(state, "count")]
    assert counts == [1] * len(DEPS.slots)  # schedules count steps, trained or not


def test_timelines_of_methods():
    assert Timeline.of(DEPS, 1000, 20) == Timeline(450, 550, 1000, 20)
    assert Timeline.of(BIGNAS, 1000, 20) == Timeline(0, 0, 1000, 20)
    assert Timeline.of(PLAIN, 1000, 20).supernet_start == 1000
    with pytest.raises(ValueError, match="does not fit"):
        Timeline.of(DEPS, 10, 5)


@pytest.mark.parametrize("change", [
    {"full_model_fraction": 1.0}, {"ramp_epochs": -1}, {"ramp_target_epochs": -0.5},
    {"ramp_target_epochs": float("nan")}, {"temperature": 0}, {"subnets_per_step": 0},
    {"sampling": "best"}, {"aggregation": "median"}])
def test_impossible_methods_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(DEPS, **change)
