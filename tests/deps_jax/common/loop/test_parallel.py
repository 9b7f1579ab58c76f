import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilations import compilations

from deps_jax.common.loop.parallel import (
    check_batch_size,
    data_parallel,
    first_index,
    mean_over_devices,
    memory_bytes,
    shard_batch,
)


def test_gradient_through_a_mean_over_devices_is_that_of_the_whole_batch():
    """Normalising by a mean over the whole batch couples the devices."""
    def step(w, x, _, *, axis_name):
        def loss_fn(w):
            y = w * x
            centred = y - mean_over_devices(y.mean(), axis_name)
            return (jnp.sin(centred) ** 2).mean()

        return mean_over_devices(jax.grad(loss_fn)(w), axis_name)

    w, x = jnp.float32(0.7), jnp.arange(8.0)
    one, two = (data_parallel(step, devices=jax.devices()[:n])(w, x, None) for n in (1, 2))
    assert abs(float(one)) > 1e-3
    np.testing.assert_allclose(two, one, rtol=1e-5)


def test_examples_know_their_place():
    place = lambda _, x, __, *, axis_name: mean_over_devices(
        (x * (first_index(x.shape[0], axis_name) + jnp.arange(x.shape[0]))).sum(), axis_name)
    total = data_parallel(place, devices=jax.devices()[:2])(None, jnp.ones(6), None)
    assert float(total) == sum(range(6)) / 2


def test_batches_must_divide():
    check_batch_size(8, 2)
    with pytest.raises(ValueError, match="batch size 9 does not divide by 2 devices"):
        check_batch_size(9, 2)
    with pytest.raises(ValueError, match="use a multiple of 4"):
        shard_batch({"x": jnp.zeros((6, 2))}, 4)


@pytest.mark.parametrize("count", [1, 2])
def test_a_function_is_compiled_once_and_before_its_first_call(count):
    def step(state, batch, key, *, axis_name):
        mean = mean_over_devices(batch.mean() + jax.random.normal(key), axis_name)
        return jax.tree.map(lambda leaf: leaf + mean, state)

    function = data_parallel(step, devices=jax.devices()[:count], donate=True)
    batch, key = np.ones((4, 3), np.float32), jax.random.key(0)
    shapes = {"w": jax.ShapeDtypeStruct((5,), np.float32)}
    state = jnp.arange(5.0)
    placed = jax.device_put(state, jax.devices()[1])
    with compilations() as before:
        compiled = function.compile(function.lower(
            shapes, jax.ShapeDtypeStruct(batch.shape, batch.dtype), key))
    assert compiled.memory_analysis().argument_size_in_bytes > 0
    with compilations() as after:
        once = function({"w": state}, batch, key)  # where JAX puts arrays by itself
        function(once, batch, key)  # where the function has left it
        elsewhere = function({"w": placed}, batch, key)
    assert (len(before), after) == (1, [])
    np.testing.assert_allclose(elsewhere["w"], np.arange(5) + 1 + jax.random.normal(key), rtol=1e-6)


class SmallDevice:
    platform = "gpu"

    def memory_stats(self):
        return {"bytes_limit": 1000, "bytes_in_use": 0}


def test_what_does_not_fit_a_device_is_refused_before_it_runs(monkeypatch):
    function = data_parallel(lambda state, batch, extra, axis_name: state + batch.sum(),
                             devices=jax.devices()[:1])
    shapes = jax.ShapeDtypeStruct((300,), np.float32), jax.ShapeDtypeStruct((2,), np.float32)
    needed = memory_bytes(function.compile(function.lower(*shapes, None)))
    assert 2 * 1200 + 8 <= needed < 4000
    monkeypatch.setattr(function, "_own", [SmallDevice()])
    with pytest.raises(ValueError, match=r"needs 0\.0 MB and a device has 0\.0 MB; use a"):
        function.compile(function.lower(*shapes, None))

    def out_of_memory(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 99 GB\nand so on")

    monkeypatch.setattr(jax.stages.Lowered, "compile", out_of_memory)
    with pytest.raises(ValueError, match=r"does not fit the device \(RESOURCE_EXHAUSTED: 99 GB\)"):
        function.compile(function.lower(*shapes, None))
