"""Scales fitted to other visits: the lines that are found, what moves, what a few visits do."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_batches import PLAIN, SCALING, net

from deps_jax.common.loop.optim import Optimizer
from nurture_jax.measures import WEIGHT
from nurture_jax.training.held_out_scales import applied, fit, with_and_without_table
from nurture_jax.training.losses import Losses
from nurture_jax.training.train import Recipe

COUNT = 2000
OUTPUTS = len(SCALING.labels) + 1
TRUE = np.stack([np.linspace(0.5, 1.3, OUTPUTS), np.linspace(-0.5, 1.0, OUTPUTS)]).astype(
    np.float32)


@pytest.fixture(scope="module")
def recipe():
    optimizer = Optimizer(name="adamw", learning_rate=1e-3, warmup_epochs=0.0)
    return Recipe(net(), Losses("huber", huber_delta=0.1), PLAIN, optimizer, 1.0, 10, 5)


@pytest.fixture(scope="module")
def fusion(recipe):
    return recipe.model.settings.fusion(SCALING)


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    tabular = np.stack([rng.uniform(2000, 4000, COUNT), rng.uniform(1, 20, COUNT),
                        rng.uniform(240, 290, COUNT), rng.integers(0, 2, COUNT)], 1)
    return {"pooled": rng.normal(size=(COUNT, 16)).astype(np.float32),
            "sizes": rng.normal(size=(COUNT, 5)).astype(np.float32),
            "tabular": tabular.astype(np.float32), "tabular_mask": np.ones((COUNT, 4), np.float32)}


@pytest.fixture(scope="module")
def params(fusion, inputs):
    """Weights that say other scales of other visits."""
    found = fusion.init(jax.random.key(0), *(value[:2] for value in inputs.values()))["params"]
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=found["from_sizes"]["kernel"].shape).astype(np.float32) / 4
    return {**found, "from_sizes": {"kernel": jnp.asarray(kernel)}}


def said(fusion, params, inputs):
    return fusion.apply({"params": params}, *(jnp.asarray(inputs[name]) for name in (
        "pooled", "sizes", "tabular", "tabular_mask")))


def labelled(fusion, params, inputs):
    """The inputs with labels whose errors have the scales that `params` say."""
    mean, log_scale = said(fusion, params, inputs)
    noise = np.random.default_rng(2).laplace(size=mean.shape).astype(np.float32)
    labels, _ = SCALING.measures(mean + jnp.exp(log_scale) * noise, log_scale)
    return {**inputs, "labels": np.array(labels),
            "labels_mask": np.ones(labels.shape, np.float32)}


def test_lines_are_found_and_no_estimate_moves(recipe, fusion, params, inputs):
    true = applied(params, jnp.asarray(TRUE))
    unknown = {**inputs, **{name: np.zeros_like(inputs[name]) for name in (
        "tabular", "tabular_mask")}}
    parts = [labelled(fusion, true, each) for each in (inputs, unknown)]
    seen = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    lines = jax.jit(lambda params, seen: fit(recipe, params, seen))(params, seen)
    np.testing.assert_allclose(lines, TRUE, atol=0.1)
    for each in (inputs, unknown):
        before, after = (said(fusion, weights, each) for weights in (params, true))
        np.testing.assert_array_equal(after[0], before[0])
    # Without the gain, whose scale follows the birth weight as well, it is just the line.
    np.testing.assert_allclose(after[1], before[1] * TRUE[:1, :-1] + TRUE[1:, :-1], atol=1e-5)


def test_a_handful_of_visits_changes_little_and_none_nothing(recipe, fusion, params, inputs):
    true = applied(params, jnp.asarray(TRUE))
    some = {name: value[:3] for name, value in labelled(fusion, true, inputs).items()}
    some["labels_mask"][:, 1] = 0
    some["labels"][:, 1] = np.nan
    lines = np.asarray(fit(recipe, params, some))
    assert np.isfinite(lines).all() and (abs(lines - [[1], [0]]) < 0.8).all(), lines
    np.testing.assert_allclose(lines[:, 1], (1, 0), atol=1e-6)


def test_a_weight_that_is_the_birth_weight_counts_where_that_is_not_told(inputs):
    few = {name: value[:4].copy() for name, value in inputs.items()}
    few["tabular"][:, 1] = [0, 0, 5, 5]
    few["labels"] = np.full((4, 5), 30, np.float32)
    few["labels"][:, 0] = few["tabular"][:, 0] + [0, 300, 0, 300]
    few["labels_mask"] = np.ones((4, 5), np.float32)
    both = with_and_without_table(few)
    assert WEIGHT.name == SCALING.labels[0]
    assert both["labels_mask"][:, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 1]
    assert both["labels_mask"][:, 1:].all() and few["labels_mask"].all()
    assert both["tabular_mask"][:4].all() and not both["tabular_mask"][4:].any()
    np.testing.assert_array_equal(both["sizes"][:4], both["sizes"][4:])
