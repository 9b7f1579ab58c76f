import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.common.parallel import (
    check_batch_size,
    data_parallel,
    first_index,
    mean_over_devices,
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
