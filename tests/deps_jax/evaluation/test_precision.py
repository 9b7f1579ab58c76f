"""Numbers that must not be rounded: statistics of ill-conditioned inputs, logits, evaluation."""
import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from accelerator import BFLOAT16, TF32, emulate
from jax import lax
from tiny_spaces import PIXELS, TINY

from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.nn.depthwise import depthwise
from deps_jax.common.nn.operations import Mode, dense, pointwise_norm
from deps_jax.evaluation.recalibration import Evaluator
from deps_jax.reference import golden
from deps_jax.reference.program import equations
from deps_jax.space.subnet import smallest
from deps_jax.space.subnet_text import decode
from deps_jax.supernet import supernet
from deps_jax.training.methods import DEPS
from deps_jax.training.train import Recipe, init_state

BITS = pytest.mark.parametrize("bits", [TF32, BFLOAT16], ids=["TF32", "bfloat16"])


@pytest.fixture(scope="module")
def ill_conditioned():
    """x = u v' + 0.01 noise [n, 16], and kernels [16, 24] nearly orthogonal to v."""
    generator = np.random.default_rng(0)
    v = generator.standard_normal(16)
    v /= np.linalg.norm(v)
    x = np.outer(generator.standard_normal(4096), v) + 0.01 * generator.standard_normal((4096, 16))
    kernel = generator.standard_normal((16, 24))
    kernel -= np.outer(v, v @ kernel) * (1 - 1e-4)
    norm = {"scale": jnp.ones(24), "bias": jnp.zeros(24)}
    return x.astype(np.float32), {"kernel": jnp.asarray(kernel, jnp.float32), "norm": norm}


def two_pass(x, kernel):
    """(mean, variance) of x @ kernel in float64."""
    y = np.asarray(x, np.float64) @ np.asarray(kernel, np.float64)
    return y.mean(0), y.var(0)


@BITS
def test_statistics_of_an_ill_conditioned_input(ill_conditioned, bits):
    x, params = ill_conditioned
    run = emulate(lambda x, params: pointwise_norm(x, params, None, Mode(True), 1e-5), bits)
    y, statistics = run(jnp.asarray(x + 1), params)
    mean, var = two_pass(x + 1, params["kernel"])
    assert var.max() < 0.01 and (x @ np.abs(params["kernel"])).var() > 1  # it is ill-conditioned
    np.testing.assert_allclose(statistics["norm"]["var"], var, rtol=5e-3)
    np.testing.assert_allclose(statistics["norm"]["mean"], mean, atol=1e-4)
    assert np.isfinite(y).all()
    broken = emulate(lambda x, params: pointwise_norm(x, params, None, Mode(True), 1e-5), bits,
                     rounds_all=True)(jnp.asarray(x + 1), params)[1]
    assert np.max(np.abs(broken["norm"]["var"] / var - 1)) > 0.05


@BITS
def test_gradient_of_an_ill_conditioned_variance(ill_conditioned, bits):
    """With respect to the kernel, as it goes through the statistics alone."""
    x, params = ill_conditioned
    weights = jnp.asarray(np.random.default_rng(1).standard_normal((len(x), 24)), jnp.float32)

    def loss(kernel, x):
        y, _ = pointwise_norm(x, {**params, "kernel": kernel}, None, Mode(True), 1e-5)
        return (y * weights).sum()

    def reference(kernel, x):
        y = x @ kernel
        return ((y - y.mean(0, keepdims=True)) / jnp.sqrt(y.var(0, keepdims=True) + 1e-5)
                * weights).sum()

    rounded = emulate(jax.grad(loss), bits)(params["kernel"], jnp.asarray(x))
    with jax.enable_x64(True):
        exact = jax.grad(reference)(*(jnp.asarray(np.float64(a)) for a in (params["kernel"], x)))
    assert np.linalg.norm(rounded - exact) < 0.01 * np.linalg.norm(exact)


def test_emulation_rounds_what_does_not_ask_for_more():
    x, kernel = jnp.full((1, 4), 1 + 2.0**-9), jnp.full((4, 1), 1.0)
    run = lambda precision: lambda *a: jnp.matmul(*a, precision=precision)
    exact = run(lax.Precision.HIGHEST)
    assert emulate(run(None), TF32)(x, kernel) == 4 * (1 + 2.0**-9)
    assert emulate(run(None), BFLOAT16)(x, kernel) == 4
    assert emulate(exact, BFLOAT16)(x, kernel) == 4 * (1 + 2.0**-9)
    assert emulate(exact, BFLOAT16, rounds_all=True)(x, kernel) == 4
    with jax.default_matmul_precision("bfloat16"):  # of a user: where nothing is asked for
        assert emulate(exact, BFLOAT16)(x, kernel) == 4 * (1 + 2.0**-9)


def test_emulation_reaches_into_loops_choices_and_forms_of_a_platform():
    x, ones = jnp.full((1, 5, 5, 2), 1 + 2.0**-9), jnp.ones((3, 3, 2))

    def run(x, i):
        grouped = depthwise(x, (ones, ones), i, 1)[:, 1:-1, 1:-1]
        dense = lambda y: lax.conv_general_dilated(
            y, jnp.ones((1, 1, 2, 2)), (1, 1), "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"))
        chosen = lax.switch(i, [lambda y: -y, jax.checkpoint(dense)], x)
        looped = lax.fori_loop(0, i, lambda _, y: dense(y), x)  # while: i is traced
        scanned, _ = lax.scan(lambda y, _: (dense(y), None), x, length=2)
        return grouped[0, 0, 0, 0], chosen[0, 0, 0, 0], looped[0, 0, 0, 0], scanned[0, 0, 0, 0]

    for bits, value in ((TF32, 1 + 2.0**-9), (BFLOAT16, 1)):
        found = jax.jit(emulate(run, bits))(x, jnp.int32(1))
        np.testing.assert_allclose(found, np.array([9, 2, 2, 4]) * value, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(emulate(jax.grad(lambda x: run(x, jnp.int32(1))[0]),
                                               BFLOAT16))(x).sum(), 9)


def test_bfloat16_is_centred_before_it_is_rounded():
    """Near 100 the steps of bfloat16 are 1/2: a rounded mean would stay in every output."""
    x = 100 + np.random.default_rng(0).standard_normal((4096, 8)) * np.array([1.0, 4.0] * 4)
    x = jnp.asarray(x, jnp.bfloat16)
    params = {"kernel": jnp.eye(8), "norm": {"scale": jnp.ones(8), "bias": jnp.zeros(8)}}
    y, statistics = pointwise_norm(x, params, None, Mode(True), 1e-5)
    mean, var = two_pass(x, params["kernel"])
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, np.float64).mean(0), 0, atol=2e-3)
    np.testing.assert_allclose(np.asarray(y, np.float64).var(0), 1, rtol=1e-2)
    np.testing.assert_allclose(statistics["norm"]["mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(statistics["norm"]["var"], var, rtol=1e-2)
    assert {leaf.dtype for leaf in jax.tree.leaves(statistics)} == {jnp.dtype("float32")}


def test_logits_a_hundredth_apart_do_not_tie_in_bfloat16(tiny_variables, tiny_images):
    params, batch_stats = tiny_variables
    kernel = jnp.array([[8.0, 8.0], [2.0, 2.0], [0.0, 2.0**-6]])  # 10 and 10 1/64
    logits = dense(jnp.ones((1, 3), jnp.bfloat16), {"kernel": kernel, "bias": jnp.zeros(2)},
                   jnp.float32)
    assert logits.dtype == jnp.float32 and logits[0, 1] - logits[0, 0] == 2.0**-6
    classifier = {"kernel": 0 * params["classifier"]["kernel"],
                  "bias": jnp.array([10.0, 10.01, 9, 9, 9])}
    run = jax.jit(lambda params: supernet.apply(
        TINY, params, batch_stats, tiny_images, smallest(TINY), train=False, dtype=jnp.bfloat16))
    logits, _ = run({**params, "classifier": classifier})
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], 0.01, atol=1e-5)


def assert_full_precision(traced):
    """No product of a program is rounded, wherever it runs."""
    products = [equation for equation in equations(traced.jaxpr)
                if equation.primitive.name == "dot_general"]
    assert len(products) > 20
    assert all(equation.params["precision"] == (lax.Precision.HIGHEST,) * 2
               for equation in products)
    lines = traced.lower(lowering_platforms=("cuda",)).as_text().splitlines()
    products = [line for line in lines
                if "stablehlo.dot_general" in line or "stablehlo.convolution" in line]
    assert any("convolution" in line for line in products)
    assert [line for line in products if line.count("HIGHEST") != 2] == []


def test_evaluation_computes_in_full_precision(tiny_variables):
    params, batch_stats = tiny_variables
    evaluator = Evaluator(TINY, PIXELS, devices=jax.devices()[:1])
    subnet = jax.tree.map(jnp.asarray, decode(TINY, "largest"))
    images = jnp.zeros((4, 9, 9, 3), jnp.uint8)
    batch = {"image": images, "label": jnp.zeros(4, int), "mask": jnp.ones(4)}
    state = (params, batch_stats, subnet)
    assert_full_precision(evaluator._logits.trace(state, images, None))
    assert_full_precision(evaluator._metrics.trace(state, batch, None))
    assert_full_precision(evaluator._statistics.trace((params, subnet),
                                                      {"image": images[:, None]}, None))


def test_golden_records_are_compared_in_full_precision(tiny_variables, tiny_images):
    params, batch_stats = tiny_variables
    subnet = jax.tree.map(jnp.asarray, decode(TINY, "largest"))
    labels = jnp.zeros(len(tiny_images), int)
    for train in (False, True):
        assert_full_precision(jax.jit(partial(golden.apply, TINY, train=train)).trace(
            params, batch_stats, tiny_images, subnet))
    assert_full_precision(jax.jit(partial(golden.gradient, TINY)).trace(
        params, tiny_images, labels, subnet))
    recipe = Recipe(space=TINY, method=dataclasses.replace(DEPS, ramp_epochs=1.0), total=4,
                    steps_per_epoch=1, optimizer=Optimizer(), augment=PIXELS)
    state = jax.eval_shape(lambda: init_state(jax.random.key(0), recipe))
    assert_full_precision(jax.jit(partial(golden.recorded_step, recipe)).trace(
        state, (tiny_images, labels, jax.random.key(0)), None))
