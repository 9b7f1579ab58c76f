import chex
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from deps_jax.common.nn.depthwise import cuda_kernel_gradient, depthwise


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize(("height", "width", "stride"), [
    (9, 8, 1), (9, 8, 2), (7, 7, 1), (2, 1, 2)])
def test_the_kernel_gradient_on_cuda_is_the_same(height, width, stride, dtype):
    keys = jax.random.split(jax.random.key(0), 3)
    out = (2, -(-height // stride), -(-width // stride), 3)
    with jax.enable_x64(dtype == "float64"):
        x = jax.random.normal(keys[0], (2, height, width, 3)).astype(dtype)
        dy = jax.random.normal(keys[1], out).astype(dtype)
        for k in (3, 7):
            kernel = jax.random.normal(keys[2], (k, k, 3)).astype(dtype)
            found = cuda_kernel_gradient(x, kernel, dy, stride)
            wide = [array.astype("float32" if dtype == "bfloat16" else dtype)
                    for array in (x, kernel, dy)]
            expected = jax.vjp(lambda kernel, x=wide[0]: native(x, kernel, stride),
                               wide[1])[1](wide[2])[0]
            assert found.dtype == kernel.dtype and found.shape == kernel.shape
            chex.assert_trees_all_close(
                found.astype(expected.dtype), expected,
                **{"float32": {"atol": 1e-4}, "bfloat16": {"rtol": 0.02, "atol": 0.1},
                   "float64": {"atol": 1e-12}}[dtype])


@pytest.mark.parametrize(("dtype", "pixels", "count"), [
    ("float32", 14, 4), ("bfloat16", 14, 1), ("bfloat16", 7, 0)])
def test_on_cuda_slow_kernel_gradients_are_replaced_and_nowhere_else(dtype, pixels, count):
    x, kernels = jnp.ones((2, pixels, pixels, 4), dtype), (jnp.ones((7, 7, 4), dtype),)
    gradient = jax.jit(jax.grad(lambda kernels, x: depthwise(x, kernels, 0, 1).sum()))
    convolutions = {
        platform: gradient.trace(kernels, x).lower(lowering_platforms=(platform,)).as_text().count(
            "stablehlo.convolution") for platform in ("cuda", "tpu", "cpu")}
    # Beside the kernel's stands the input's gradient, which the compiler leaves out here.
    assert convolutions == {"cuda": 1 + count, "tpu": 1 + 1, "cpu": 0}
