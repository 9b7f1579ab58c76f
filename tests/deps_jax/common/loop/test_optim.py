import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.common.loop.optim import (
    OPTIMIZERS,
    Optimizer,
    base_optimizer,
    base_schedule,
    decayed,
    is_matrix,
    orthogonalise,
    update_macs,
)
from deps_jax.supernet.supernet import init


def test_cosine_with_warmup_and_floor():
    schedule = base_schedule(Optimizer(learning_rate=1.0, min_learning_rate=0.1, warmup_epochs=1,
                                warmup_learning_rate=0.2), total_steps=50, steps_per_epoch=10)
    np.testing.assert_allclose([schedule(s) for s in (0, 9, 10, 30)], [0.28, 1.0, 1.0, 0.5],
                               rtol=1e-6)
    assert float(schedule(49)) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="shorten the warm-up"):
        base_schedule(Optimizer(warmup_epochs=5), 50, 10)


def test_a_rate_below_the_floor_is_refused():
    optimizer = Optimizer(name="adamw", learning_rate=0.001)  # a run of an earlier version opens
    with pytest.raises(ValueError, match=r"learning_rate 0\.001 is below min_learning_rate"):
        base_schedule(optimizer, 50, 10)
    base_schedule(Optimizer(learning_rate=0.1, min_learning_rate=0.1), 50, 10)


def test_sgd_is_pytorchs():
    """g' = g + wd p; b = 0.9 b + g'; p -= lr (g' + 0.9 b), the rate outside the buffer."""
    optimizer = base_optimizer(Optimizer(weight_decay=0.01), lambda step: 0.1 / (1 + step))
    params = {"a": {"kernel": jnp.array([1.0, -2.0])}}
    state, p, b = optimizer.init(params), np.array([1.0, -2.0]), 0
    for step, g in enumerate((np.array([0.5, 1.0]), np.array([-1.0, 0.2]), np.array([0.1, 0.1]))):
        updates, state = optimizer.update({"a": {"kernel": jnp.asarray(g)}}, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        decayed_g = g + 0.01 * p
        b = 0.9 * b + decayed_g
        p = p - 0.1 / (1 + step) * (decayed_g + 0.9 * b)
        np.testing.assert_allclose(params["a"]["kernel"], p, rtol=1e-6)


def test_decay_spares_batch_norm_and_biases(tiny):
    mask = decayed(jax.eval_shape(lambda key: init(key, tiny)[0], jax.random.key(0)))
    names = {jax.tree_util.keystr(path, simple=True, separator="/"): value
             for path, value in jax.tree_util.tree_leaves_with_path(mask)}
    assert names["classifier/kernel"] and names["stage1/first/squeeze_excite/reduce/kernel"]
    assert names["stage0/rest/depthwise/transform/5to3"]
    assert not names["classifier/bias"] and not names["stage1/first/squeeze_excite/reduce/bias"]
    assert not any(value for name, value in names.items() if "norm" in name)


def test_clipping_and_other_optimizers_step_downhill():
    params = {"kernel": jnp.array([3.0, 4.0])}
    for name in OPTIMIZERS:
        optimizer = base_optimizer(Optimizer(name=name, clip_norm=1.0), lambda _: 0.1)
        updates, _ = optimizer.update({"kernel": jnp.array([30.0, 40.0])},
                                      optimizer.init(params), params)
        assert (updates["kernel"] < 0).all()
    sgd = base_optimizer(Optimizer(clip_norm=1.0, weight_decay=0.0), lambda _: 1.0)
    updates, _ = sgd.update({"kernel": jnp.array([30.0, 40.0])}, sgd.init(params), params)
    np.testing.assert_allclose(updates["kernel"], [-1.9 * 0.6, -1.9 * 0.8], rtol=1e-6)


def test_a_linear_schedule_ends_at_the_floor():
    schedule = base_schedule(Optimizer(learning_rate=1.0, schedule="linear", warmup_epochs=1,
                                       min_learning_rate=0.1), 50, 10)
    np.testing.assert_allclose([schedule(s) for s in (4, 10, 30, 49)], [0.5, 1.0, 0.5, 0.1],
                               rtol=1e-6)


@pytest.fixture(scope="module")
def gradient(tiny):
    params = jax.eval_shape(lambda key: init(key, tiny)[0], jax.random.key(0))
    generator = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), params)


def muon_step(gradient):
    transform = orthogonalise(0.5)
    return jax.device_get(jax.jit(lambda g: transform.update(g, transform.init(g)))(gradient)[0])


def test_muon_makes_the_step_of_every_matrix_orthogonal(gradient):
    """A stack of blocks one by one; three iterations leave singular values around 1."""
    found = muon_step(gradient)
    moved = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for (path, leaf), old in
             zip(jax.tree.leaves_with_path(found), jax.tree.leaves(gradient), strict=True)
             if (leaf != old).any()}
    assert not any("depthwise" in name or "classifier" in name or "norm" in name or "bias" in name
                   for name in moved)
    assert {"stem/kernel", "head/features/kernel", "stage0/rest/expand/kernel",
            "stage1/first/squeeze_excite/reduce/kernel"} <= set(moved)
    for name, leaf in moved.items():
        for one in leaf if "rest" in name else leaf[None]:
            matrix = one.reshape(-1, one.shape[-1])
            scale = 0.5 * np.sqrt(max(1, matrix.shape[1] / matrix.shape[0]))
            values = np.linalg.svd(matrix, compute_uv=False) / scale
            assert values.max() < 1.3 and np.median(values) > 0.6, name


def test_what_a_small_subnet_alone_has_used_alone_moves(gradient):
    """Its part of a shared kernel is made orthogonal; unused channels and blocks stay."""
    used = jax.tree.map(np.copy, gradient)
    kernel = used["stage0"]["rest"]["expand"]["kernel"]
    kernel[:, :, 8:], kernel[1:] = 0, 0
    found = muon_step(used)["stage0"]["rest"]["expand"]["kernel"]
    assert not found[:, :, 8:].any() and not found[1:].any() and found[0, :, :8].any()


def test_the_cost_of_muon_is_that_of_its_products(gradient):
    """Three iterations of X X' (s s l), its square (s s s) and the product with X (s s l)."""
    assert update_macs(Optimizer(), gradient) == 0
    expected = 0
    for path, leaf in jax.tree.leaves_with_path(gradient):
        if is_matrix(path, leaf):
            count = leaf.shape[0] if "rest" in str(path) else 1
            short, long = sorted((leaf.size // count // leaf.shape[-1], leaf.shape[-1]))
            expected += count * 3 * (2 * short**2 * long + short**3)
    assert update_macs(Optimizer(name="muon"), gradient) == expected > 0


@pytest.mark.parametrize(("change", "message"), [
    ({"name": "adam"}, "optimizer 'adam' is unknown"),
    ({"schedule": "step"}, "schedule 'step' is unknown"),
    ({"matrix_rate": -1}, "matrix_rate -1 is negative"),
    ({"learning_rate": -1}, "learning_rate -1 is negative")])
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(**change)
