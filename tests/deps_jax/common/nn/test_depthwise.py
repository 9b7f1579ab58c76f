from functools import partial

import chex
import jax
import jax.export
import jax.numpy as jnp
import pytest
from jax import lax

from deps_jax.common.nn import depthwise_cpp, depthwise_native, depthwise_shifted
from deps_jax.common.nn.depthwise import depthwise
from deps_jax.common.nn.depthwise_native import cuda_kernel_gradient


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


@pytest.mark.parametrize("form", [depthwise_cpp, depthwise_shifted, depthwise_native])
@pytest.mark.parametrize(("size", "channels", "stride", "dtype"), [
    ((3, 8, 8), 48, 1, "float32"), ((2, 5, 13), 37, 2, "float32"), ((1, 4, 4), 20, 1, "float64"),
    ((17, 3, 2), 3, 2, "float64"), ((2, 6, 7), 16, 1, "bfloat16"), ((2, 6, 7), 9, 2, "bfloat16")])
def test_every_form_is_the_same_on_every_kernel(form, size, channels, stride, dtype):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 6)
        x = jax.random.normal(keys[0], (*size, channels)).astype(dtype)
        kernels = tuple(jax.random.normal(key, (k, k, channels)).astype(dtype)
                        for k, key in zip((1, 3, 5, 7), keys[1:], strict=False))
        exact = [array.astype("float64") for array in (x, *kernels)]
        tolerance = {"float32": 1e-5, "float64": 1e-13, "bfloat16": 0.02}[dtype]
        pull_back = form.pull_back if form is not depthwise_native else partial(
            form.pull_back, kernel_gradient=form.native_kernel_gradient)
        for i, kernel in enumerate(exact[1:]):
            expected, vjp = jax.vjp(lambda x, kernel: native(x, kernel, stride), exact[0], kernel)
            own = {"sizes": (1, 3, 5, 7), "stride": stride, "precision": None}
            y = form.convolve(x, kernels, jnp.int32(i), **own)
            dy = jax.random.normal(keys[5], y.shape).astype(dtype)
            dx, gradients = pull_back(x, kernels, jnp.int32(i), dy, **own)
            expected_dx, expected_gradient = vjp(dy.astype("float64"))
            for found, wanted in ((y, expected), (dx, expected_dx),
                                  (gradients[i], expected_gradient)):
                assert found.dtype == dtype and found.shape == wanted.shape
                scale = float(jnp.abs(wanted).max())
                chex.assert_trees_all_close(found.astype("float64"), wanted,
                                            atol=tolerance * scale)
            assert all(not gradients[j].any() for j in range(4) if j != i)


@pytest.mark.parametrize("form", [depthwise_cpp, depthwise_shifted, depthwise_native])
@pytest.mark.parametrize(("channels", "stride"), [(40, 1), (9, 2)])
def test_candidates_may_be_the_centres_of_one_kernel_with_more_channels(form, channels, stride):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (3, 6, 7, channels))
    whole = jax.random.normal(keys[1], (7, 7, 48))
    own = {"sizes": (3, 5, 7), "stride": stride, "precision": None}
    pull_back = form.pull_back if form is not depthwise_native else partial(
        form.pull_back, kernel_gradient=form.native_kernel_gradient)
    for i, margin in enumerate((2, 1, 0)):
        centre = whole[margin:7 - margin, margin:7 - margin, :channels]
        expected, vjp = jax.vjp(lambda x, kernel: native(x, kernel, stride), x, centre)
        y = form.convolve(x, (whole,), jnp.int32(i), **own)
        dy = jax.random.normal(keys[2], y.shape)
        dx, (gradient,) = pull_back(x, (whole,), jnp.int32(i), dy, **own)
        expected_dx, expected_centre = vjp(dy)
        beyond = jnp.pad(expected_centre, ((margin, margin), (margin, margin), (0, 48 - channels)))
        chex.assert_trees_all_close((y, dx, gradient), (expected, expected_dx, beyond), atol=1e-3)


def test_threads_do_not_change_a_bit():
    x = jax.random.normal(jax.random.key(0), (33, 12, 12, 40))
    kernels = (jax.random.normal(jax.random.key(1), (5, 5, 40)),)
    step = jax.jit(jax.value_and_grad(
        lambda x, kernels: jnp.sin(depthwise(x, kernels, 0, 1)).sum(), (0, 1)))
    first = step(x, kernels)
    for _ in range(20):
        chex.assert_trees_all_equal(step(x, kernels), first)


def test_a_program_in_a_file_needs_no_library():
    x, kernels = jnp.ones((1, 4, 4, 2)), (jnp.ones((3, 3, 2)),)
    run = jax.jit(lambda x: depthwise(x, kernels, 0, 1))
    exported = jax.export.export(run, platforms=("cpu", "cuda"))(x)
    assert "custom_call" not in exported.mlir_module()
    chex.assert_trees_all_close(exported.call(x), run(x))


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
