import chex
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from deps_jax.common.nn.depthwise import depthwise


def native(x, kernel, stride):
    k = kernel.shape[0]
    return lax.conv_general_dilated(
        x, kernel[:, :, None], (stride, stride), [(k // 2, k // 2)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=x.shape[-1])


@pytest.mark.parametrize(("batch", "height", "width", "stride"), [
    (4, 8, 8, 1), (4, 8, 8, 2), (3, 7, 5, 1), (5, 7, 11, 2), (1, 1, 1, 1), (2, 2, 3, 2)])
def test_equals_the_grouped_convolution(batch, height, width, stride):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch, height, width, 6))
    kernels = tuple(jax.random.normal(key, (k, k, 6))
                    for k, key in zip((3, 5), keys[1:], strict=True))

    @jax.jit
    def both(x, kernels, choice):
        ours = lambda x, kernels: jnp.sin(depthwise(x, kernels, choice, stride))
        return ours(x, kernels), jax.grad(lambda *a: ours(*a).sum(), (0, 1))(x, kernels)

    for choice in (0, 1):
        expected = lambda x, kernels, i=choice: jnp.sin(native(x, kernels[i], stride))
        out, gradient = both(x, kernels, jnp.int32(choice))
        chex.assert_trees_all_close(out, expected(x, kernels), atol=1e-5)
        expected_gradient = jax.grad(lambda *a: expected(*a).sum(), (0, 1))(x, kernels)  # noqa: B023
        chex.assert_trees_all_close(gradient, expected_gradient, atol=1e-4)


def test_static_choice_takes_one_kernel():
    x, kernels = jnp.ones((1, 4, 4, 2)), (jnp.ones((3, 3, 2)), jnp.ones((5, 5, 2)))
    chex.assert_trees_all_close(depthwise(x, kernels, 1, 1), native(x, kernels[1], 1))
    gradient = jax.grad(lambda k: depthwise(x, k, 0, 1).sum())(kernels)
    assert float(jnp.abs(gradient[1]).max()) == 0 < float(jnp.abs(gradient[0]).max())
