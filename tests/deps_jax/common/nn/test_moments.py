"""The sums of batch norm are the same from C++ and from XLA, exact ones at hand."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import forms

from deps_jax.common.nn.moments import LIBRARY, moments, norm_sums

SIZES = [(1, 1), (5, 3), (1000, 8), (777, 40), (4096, 16), (3000, 100)]
TOLERANCE = {"float32": 2e-6, "float64": 1e-13, "bfloat16": 2e-6}


def numbers(size, dtype, seed=0, middle=3.0):
    generator = np.random.default_rng(seed)
    spread = generator.uniform(0.1, 2, size[1])
    return jnp.asarray(generator.normal(middle, spread, size), dtype)


form = forms(LIBRARY)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("size", SIZES)
def test_they_are_those_of_exact_arithmetic(form, size, dtype):
    with jax.enable_x64(True):
        x, dy = numbers(size, dtype), numbers(size, dtype, 1, 0.2)
        exact, exact_dy = (np.asarray(array, np.float64) for array in (x, dy))
        mean, var = jax.jit(lambda x: moments(x))(x)
        tolerance, wide = TOLERANCE[dtype], "float64" if dtype == "float64" else "float32"
        assert mean.dtype == var.dtype == wide
        np.testing.assert_allclose(mean, exact.mean(0), rtol=tolerance)
        np.testing.assert_allclose(var, exact.var(0), rtol=20 * tolerance, atol=1e-12)
        inverse = jnp.asarray(1 / np.sqrt(exact.var(0) + 1e-3), wide)
        middle = jnp.asarray(exact.mean(0), wide)
        plain, scaled = jax.jit(lambda *a: norm_sums(*a))(x, dy, middle, inverse)
        normalised = (exact - np.asarray(middle, np.float64)) * np.asarray(inverse, np.float64)
        count = size[0]
        np.testing.assert_allclose(plain / count, exact_dy.mean(0), atol=20 * tolerance)
        np.testing.assert_allclose(scaled / count, (exact_dy * normalised).mean(0),
                                   atol=20 * tolerance)


def test_small_variation_far_from_zero_keeps_its_digits(form):
    x = numbers((5000, 24), "float32", middle=0.0) * 1e-2 + 100
    exact = np.asarray(x, np.float64)
    _, var = jax.jit(lambda x: moments(x))(x)
    np.testing.assert_allclose(var, exact.var(0), rtol=1e-3)


def test_threads_do_not_change_a_bit():
    x, dy = numbers((30000, 40), "float32"), numbers((30000, 40), "float32", 1)

    @jax.jit
    def sums(x, dy):
        mean, var = moments(x)
        return mean, var, *norm_sums(x, dy, mean, var)

    first = sums(x, dy)
    for _ in range(20):
        for one, other in zip(sums(x, dy), first, strict=True):
            np.testing.assert_array_equal(one, other)
