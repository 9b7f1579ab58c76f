import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.common.loop.optim import Optimizer, base_optimizer, base_schedule, decayed
from deps_jax.supernet.supernet import init


def test_cosine_with_warmup_and_floor():
    schedule = base_schedule(Optimizer(learning_rate=1.0, min_learning_rate=0.1, warmup_epochs=1,
                                warmup_learning_rate=0.2), total_steps=50, steps_per_epoch=10)
    np.testing.assert_allclose([schedule(s) for s in (0, 9, 10, 30)], [0.28, 1.0, 1.0, 0.5],
                               rtol=1e-6)
    assert float(schedule(49)) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="shorten the warm-up"):
        base_schedule(Optimizer(warmup_epochs=5), 50, 10)


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
    for name in ("sgd", "rmsprop", "adamw"):
        optimizer = base_optimizer(Optimizer(name=name, clip_norm=1.0), lambda _: 0.1)
        updates, _ = optimizer.update({"kernel": jnp.array([30.0, 40.0])},
                                      optimizer.init(params), params)
        assert (updates["kernel"] < 0).all()
    sgd = base_optimizer(Optimizer(clip_norm=1.0, weight_decay=0.0), lambda _: 1.0)
    updates, _ = sgd.update({"kernel": jnp.array([30.0, 40.0])}, sgd.init(params), params)
    np.testing.assert_allclose(updates["kernel"], [-1.9 * 0.6, -1.9 * 0.8], rtol=1e-6)


@pytest.mark.parametrize(("change", "message"), [
    ({"name": "adam"}, "optimizer 'adam' is unknown"),
    ({"learning_rate": -1}, "learning_rate -1 is negative")])
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(**change)
