import importlib
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deps_jax.common.loop.optim import Optimizer, base_schedule
from deps_jax.training.experiment import Experiment, build_recipe
from deps_jax.training.methods import DEPS
from deps_jax.training.phases import Plan
from deps_jax.training.rates import ramp
from deps_jax.training.shrink import epsilon_shrinking

ROOT = Path(__file__).parents[3]

# The reference's ImageNet run: 270 epochs of 626 steps, W = 150, S = 5, peak 2.6.
SCHEDULE = base_schedule(Optimizer(learning_rate=2.6), 270 * 626, 626)
IMAGENET = ramp(SCHEDULE, 145 * 626, 150 * 626, 151 * 626)


@pytest.mark.parametrize(("epoch", "step", "rate", "beta"), [
    (145, 0, 1.149079, 2.945e-4), (147, 0, 1.119075, 0.378964),
    (149, 625, 1.074281, 0.986126), (150, 0, 1.074257, 1.0), (200, 3, None, 1.0)])
def test_recorded_rates_of_the_reference(epoch, step, rate, beta):
    at = epoch * 626 + step
    np.testing.assert_allclose(IMAGENET(at), beta, rtol=2e-4)
    if rate:
        np.testing.assert_allclose(SCHEDULE(at), rate, rtol=1e-6)


def test_effective_rate_rises_linearly_from_zero():
    schedule = base_schedule(Optimizer(learning_rate=0.1), 200, 10)
    beta, steps = ramp(schedule, 40, 60, 70, weight=0.5), np.arange(200)
    effective = np.array([float(beta(s) * schedule(s)) for s in steps])
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
            base, beta = recipe.schedule(), recipe.rates()["smallest"]
            start, end = recipe.method.ramp_steps(Plan(
                recipe.space, recipe.optimizer, recipe.total, recipe.steps_per_epoch))
            rates[target] = float(beta(end - 1) * base(end - 1))
            np.testing.assert_allclose(rates[target],
                                       base(end + round(target * recipe.steps_per_epoch)),
                                       rtol=1e-6)
            assert float(beta(end)) == 1.0  # at the base rate from there on
        cell = lambda rate, base=base, end=end: f"{rate:.4f} ({rate / base(end):.0%})"
        assert table.pop(name) == [
            str(images), f"{start} to {end}", f"{base(end):.4f}",
            cell(rates[1.0]).replace("%", " %"), cell(rates[0.0]).replace("%", " %")], name
        said.setdefault(module, []).append(f"{rates[1.0] / base(end):.0%}".removesuffix("%"))
    assert not table  # nothing else is in it
    for module, percents in said.items():
        text = " ".join(module.__doc__.split())
        assert re.findall(r"(\d+) % of the base rate", text) == percents, module.__name__


def test_the_default_is_the_reference_and_the_optimizer_follows_the_setting():
    """The rate in the updates themselves, at the last ramp step and the first after it."""
    assert DEPS.ramp_target_epochs == 1.0
    base = base_schedule(Optimizer(learning_rate=0.1, min_learning_rate=0.0), 12, 2)
    for target, expected in ((8, base(8)), (6, base(6))):
        rates = {"largest": optax.constant_schedule(1.0), "sampled": ramp(base, 2, 6, target)}
        transform = optax.chain(epsilon_shrinking(rates), optax.scale_by_schedule(base))
        params, found = {"a": jnp.zeros(())}, []
        state = transform.init(params)
        gradients = {"largest": {"a": jnp.zeros(())}, "sampled": {"a": jnp.ones(())}}
        for _ in range(12):
            updates, state = transform.update(gradients, state, params)
            found.append(float(updates["a"]))
        np.testing.assert_allclose(found[5], expected, rtol=1e-6)
        np.testing.assert_allclose(found[6:], [base(step) for step in range(6, 12)], rtol=1e-6)
        np.testing.assert_allclose(np.diff(found[1:6]), found[5] / 4, rtol=1e-5)
    assert base(8) < 0.6 * base(6)  # the two settings are told apart


def joined(aggregation, masks=None, weights=None):
    """Updates of two slots, the second at a tenth of its rate."""
    rates = {"largest": optax.constant_schedule(1.0), "smallest": optax.constant_schedule(0.1)}
    transform = epsilon_shrinking(rates, aggregation)
    params = {"a": jnp.zeros(3)}
    gradients = {"largest": {"a": jnp.array([1.0, 2.0, 3.0])},
                 "smallest": {"a": jnp.array([10.0, 0.0, 0.0])}}
    updates, _ = transform.update(gradients, transform.init(params), params, masks=masks,
                                  weights=weights)
    return np.asarray(updates["a"])


def test_slots_are_scaled_by_their_own_rates_and_joined():
    masks = {"largest": {"a": jnp.ones(3)}, "smallest": {"a": jnp.array([1.0, 0.0, 0.0])}}
    total, weight = np.array([1 + 10 * 0.1, 2, 3]), np.array([1 + 0.1, 1, 1])
    np.testing.assert_allclose(joined("sum"), total, rtol=1e-6)
    np.testing.assert_allclose(joined("mean"), total / 2, rtol=1e-6)
    np.testing.assert_allclose(joined("avg", masks), total / weight, rtol=1e-6)
    np.testing.assert_allclose(joined("avg_sqrt", masks), total / np.sqrt(weight), rtol=1e-6)
    weighed = joined("sum", weights={"smallest": jnp.float32(0.5)})
    np.testing.assert_allclose(weighed, [1 + 10 * 0.1 * 0.5, 2, 3], rtol=1e-6)


def test_slots_that_did_not_train_are_left_out_and_steps_are_counted_once():
    rates = {"largest": optax.constant_schedule(1.0), "smallest": lambda step: step}
    transform, params = epsilon_shrinking(rates), {"a": jnp.zeros(2)}
    state = transform.init(params)
    updates, state = transform.update({"largest": {"a": jnp.ones(2)}}, state, params)
    np.testing.assert_array_equal(updates["a"], 1)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert [int(leaf) for leaf in jax.tree.leaves(state)] == [1]  # the one counter
    updates, _ = transform.update({"smallest": {"a": jnp.ones(2)}}, state, params)
    np.testing.assert_array_equal(updates["a"], 1)  # at step 1, though it is its first
