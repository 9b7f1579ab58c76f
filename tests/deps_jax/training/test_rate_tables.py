"""Steps that read their rates out of tables: the same run, and one program for many."""
import dataclasses

import chex
import jax
import numpy as np
import pytest
from small_run import AUGMENT, METHOD, RECIPE, SPACE, fresh_state

from deps_jax.common.compiled.described import described
from deps_jax.training.train import train_step
from deps_jax.training.trainer import Run, tabled_step, without_rates

KEY = jax.random.key(7)
WEIGHTED = dataclasses.replace(
    RECIPE, method=dataclasses.replace(METHOD, weight="complexity", sampling="strata"),
    augment=dataclasses.replace(AUGMENT, alternating=True),
    optimizer=dataclasses.replace(RECIPE.optimizer, name="muon", weight_decay=0.01))


def test_a_step_is_that_of_the_schedules():
    """In the middle of the ramp, with a weight that depends on progress."""
    generator = np.random.default_rng(0)
    batch = {"image": generator.integers(0, 256, (8, 9, 9, 3), np.uint8),
             "label": generator.integers(0, 5, 8).astype(np.int32),
             "example": np.arange(8, dtype=np.int32)}
    phase, shared = WEIGHTED.phases[-1], without_rates(WEIGHTED)
    state = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32) if leaf.dtype == np.float64
                         else leaf, fresh_state(WEIGHTED))
    count = lambda leaf: np.int32(12) if leaf.shape == () and leaf.dtype == np.int32 else leaf
    state = jax.tree.map(count, state)
    step = jax.jit(lambda state: train_step(WEIGHTED, phase, state, batch, KEY))
    tabled = jax.jit(lambda state, run: tabled_step(shared, shared.phases[-1], state, batch, run))
    (expected, metrics), (found, others) = jax.device_get(
        (step(state), tabled(state, Run.of(WEIGHTED, KEY))))
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), expected.params, state.params)
    assert max(jax.tree.leaves(moved)) > 1e-3
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-6)
    assert float(others["learning_rate"].compute()) == pytest.approx(
        float(metrics["learning_rate"].compute()))
    assert float(others["macs"].compute()) == float(metrics["macs"].compute())


def test_runs_of_other_rates_share_programs():
    def made_of(**changes):
        method = {name: changes.pop(name) for name in list(changes) if hasattr(METHOD, name)}
        total = changes.pop("total", RECIPE.total)
        recipe = dataclasses.replace(
            RECIPE, total=total, method=dataclasses.replace(METHOD, **method),
            optimizer=dataclasses.replace(RECIPE.optimizer, **changes))
        table = jax.eval_shape(lambda: Run.of(recipe, KEY))
        return described(without_rates(recipe)), str(jax.tree.map(lambda x: (x.shape, x.dtype),
                                                                  table))

    one = made_of()
    assert made_of(learning_rate=0.7, schedule="linear", weight_decay=0.1, min_learning_rate=0.0,
                   total=55, full_model_fraction=0.7, ramp_epochs=1.0, sampled_weight=0.5) == one
    assert made_of(momentum=0.5) != one and made_of(loss="hard") != one
    assert made_of(subnets_per_step=3) != one
    assert without_rates(RECIPE).space is SPACE
