import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.training.distill import hard_loss, in_place_distillation


def test_hard_loss_is_smoothed_cross_entropy():
    logits = jnp.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    log_p = np.asarray(jax.nn.log_softmax(logits))
    expected = [-(0.9 * log_p[0, 0] + 0.1 / 3 * log_p[0].sum()),
                -(0.9 * log_p[1, 2] + 0.1 / 3 * log_p[1].sum())]
    np.testing.assert_allclose(hard_loss(logits, jnp.array([0, 2]), 0.1), expected, rtol=1e-6)


def test_distillation_has_its_minimum_at_the_teacher_and_gives_it_no_gradient():
    teacher = jnp.array([[1.0, -1.0, 0.5]])
    for temperature in (1.0, 4.0):
        loss = lambda s, t, temperature=temperature: in_place_distillation(s, t, temperature).sum()
        to_student, to_teacher = jax.grad(loss, (0, 1))(teacher, teacher)
        np.testing.assert_allclose(to_student, 0, atol=1e-6)
        np.testing.assert_array_equal(to_teacher, 0)
        assert loss(teacher + jnp.array([[1.0, 0, 0]]), teacher) > loss(teacher, teacher)


def test_temperature_is_squared():
    student, teacher = jnp.array([[0.3, 0.1]]), jnp.array([[2.0, -2.0]])
    softened = jax.nn.softmax(teacher / 3)
    expected = -9 * (softened * jax.nn.log_softmax(student / 3)).sum(-1)
    np.testing.assert_allclose(in_place_distillation(student, teacher, 3.0), expected, rtol=1e-6)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(AssertionError):
        in_place_distillation(jnp.zeros((4, 3)), jnp.zeros((1, 3)))
    with pytest.raises(AssertionError):
        hard_loss(jnp.zeros((4, 3)), jnp.zeros((1,), jnp.int32))
