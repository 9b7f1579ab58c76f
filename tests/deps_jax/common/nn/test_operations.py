"""Drop-out by place in the global batch; the other operations are tested with the networks."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.common.nn.operations import activate, dropout

KEY = jax.random.key(5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_dropout_is_the_same_however_many_devices_share_the_batch(dtype):
    x = jnp.ones((8, 30, 5), dtype)
    whole = dropout(KEY, x, 0.4, None)
    shares = jax.pmap(lambda part: dropout(KEY, part, 0.4, "data"), "data")(
        x.reshape(2, 4, 30, 5))
    np.testing.assert_array_equal(shares.reshape(x.shape), whole)
    assert whole.dtype == dtype
    kept = float(jnp.ones((), dtype) / (1 - 0.4))
    assert set(np.unique(whole.astype(jnp.float32))) == {0, kept}
    dropped = np.asarray(whole == 0).mean((1, 2))
    assert abs(dropped.mean() - 0.4) < 0.05 and len(set(dropped)) > 1  # each example its own


def test_dropout_takes_a_traced_rate():
    x = jnp.ones((4, 6))
    drop = jax.jit(lambda rate: dropout(KEY, x, rate, None))
    np.testing.assert_array_equal(drop(0.0), x)
    np.testing.assert_array_equal(drop(0.25), dropout(KEY, x, 0.25, None))


def test_an_unknown_activation_is_not_the_identity():
    with pytest.raises(ValueError, match="activation 'swish' is unknown; use 'relu', "):
        activate(jnp.ones(2), "swish")
    np.testing.assert_array_equal(activate(-jnp.ones(2), "identity"), -jnp.ones(2))
