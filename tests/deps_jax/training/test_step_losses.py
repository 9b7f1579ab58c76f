import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.training.losses import LOSSES, AlphaDivergence, Distillation, Hard, Target, smoothed


def soft(logits, teacher, temperature=1.0):
    labels = jnp.zeros_like(logits)
    return Distillation(temperature)(logits, Target(labels, teacher))


def test_hard_loss_is_smoothed_cross_entropy():
    logits = jnp.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    log_p = np.asarray(jax.nn.log_softmax(logits))
    expected = [-(0.9 * log_p[0, 0] + 0.1 / 3 * log_p[0].sum()),
                -(0.9 * log_p[1, 2] + 0.1 / 3 * log_p[1].sum())]
    target = Target(smoothed(jnp.array([0, 2]), 3, 0.1))
    np.testing.assert_allclose(Hard()(logits, target), expected, rtol=1e-6)


def test_distillation_has_its_minimum_at_the_teacher_and_gives_it_no_gradient():
    teacher = jnp.array([[1.0, -1.0, 0.5]])
    for temperature in (1.0, 4.0):
        loss = lambda s, t, temperature=temperature: soft(s, t, temperature).sum()
        to_student, to_teacher = jax.grad(loss, (0, 1))(teacher, teacher)
        np.testing.assert_allclose(to_student, 0, atol=1e-6)
        np.testing.assert_array_equal(to_teacher, 0)
        assert loss(teacher + jnp.array([[1.0, 0, 0]]), teacher) > loss(teacher, teacher)


def test_temperature_is_squared():
    student, teacher = jnp.array([[0.3, 0.1]]), jnp.array([[2.0, -2.0]])
    softened = jax.nn.softmax(teacher / 3)
    expected = -9 * (softened * jax.nn.log_softmax(student / 3)).sum(-1)
    np.testing.assert_allclose(soft(student, teacher, 3.0), expected, rtol=1e-6)


def test_ofa_adds_the_labels():
    logits, teacher = jnp.array([[0.3, 0.1, -1.0]]), jnp.array([[2.0, -2.0, 0.0]])
    target = Target(smoothed(jnp.array([1]), 3, 0.1), teacher)
    np.testing.assert_allclose(LOSSES["soft_and_hard"](logits, target),
                               Distillation()(logits, target) + Hard()(logits, target), rtol=1e-6)


def test_alpha_divergence_equals_the_published_implementation(shared):
    """Recorded in float64: what decides, the surrogate, its gradient."""
    record, loss, sides = np.load(shared / "golden" / "alphanet_loss.npz"), LOSSES["alpha"], []
    with jax.enable_x64(True):
        for case in range(4):
            student, teacher = (record[f"{name}_{case}"] for name in ("student", "teacher"))
            target = Target(jnp.zeros(student.shape), jnp.asarray(teacher))
            low, high = (loss.one_side(jnp.asarray(student), target, alpha)[0]
                         for alpha in (-1, 1))
            gradient = jax.grad(lambda logits, t=target: loss(logits, t).mean())(
                jnp.asarray(student))
            for name, ours in (("divergence_minus", low), ("divergence_plus", high),
                               ("loss", loss(jnp.asarray(student), target)),
                               ("gradient_of_mean", gradient)):
                np.testing.assert_allclose(ours, record[f"{name}_{case}"], rtol=1e-10, atol=1e-10)
            sides += np.asarray(low > high).tolist()
    assert set(sides) == {True, False}


def test_alpha_divergence_by_its_definition():
    """Where nothing is clipped, its gradient is that of the divergence itself."""
    with jax.enable_x64(True):
        student, teacher = jnp.array([[0.3, 0.1, -0.2]]), jnp.array([[0.1, 0.5, 0.0]])
        target = Target(jnp.zeros((1, 3)), teacher)

        def divergence(logits, alpha):
            p, q = jax.nn.softmax(teacher), jax.nn.softmax(logits)
            if alpha == 1:
                return (p * jnp.log(p / q)).sum()
            if alpha == 0:
                return (q * jnp.log(q / p)).sum()
            return (q * ((p / q) ** alpha - 1)).sum() / (alpha * (alpha - 1))

        for alpha in (-1.0, 0.0, 0.5, 1.0, 2.0):
            found, _ = AlphaDivergence().one_side(student, target, alpha)
            np.testing.assert_allclose(found.sum(), divergence(student, alpha), atol=1e-12)
            ours = jax.grad(lambda s, a=alpha: AlphaDivergence().one_side(s, target, a)[1].sum())
            np.testing.assert_allclose(ours(student), jax.grad(divergence)(student, alpha),
                                       atol=1e-12)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 0.5, 1.0, 2.0, None])
def test_alpha_divergence_of_a_sure_student(alpha):
    """In float32 its other classes have no probability left; their ratios to it still count."""
    student, teacher = ([[80.0, 0.0], [88.0, 0.0], [95.0, 0.0], [300.0, 0.0], [0.0, 0.0],
                         [3.0, 1.0], [0.0, 40.0], [0.0, 88.0], [0.0, 200.0]],
                        [[0.0, 5.0]] * 6 + [[60.0, 0.0]] + [[150.0, 0.0]] * 2)

    def found(dtype):
        loss = AlphaDivergence()
        target = Target(jnp.zeros((9, 2), dtype), jnp.array(teacher, dtype))
        value = (loss if alpha is None else
                 lambda logits, target: loss.one_side(logits, target, alpha)[1])
        logits = jnp.array(student, dtype)
        sides = [loss.one_side(logits, target, each)[0] for each in (loss.low, loss.high)]
        return jax.grad(lambda logits: value(logits, target).sum())(logits), *sides

    with jax.enable_x64(True):
        exact = found(jnp.float64)
    for ours, expected in zip(found(jnp.float32), exact, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=1e-6)
    if alpha in (1.0, None):  # by the definition of the high side: q - p, the student wrong
        np.testing.assert_allclose(exact[0][1:4], [[0.9933, -0.9933]] * 3, rtol=1e-4)


@pytest.mark.parametrize("student", [[88.0, 0.0, 1.0], [95.0, 1.0, 0.0], [2.0, 0.0, 1.0]])
def test_gradient_of_the_divergence_by_finite_differences(student):
    """KL(p, q), the high side, which is the larger one where the student is sure and wrong."""
    teacher, step = np.array([0.0, 5.0, 1.0]), 1e-4
    log_p = teacher - np.log(np.exp(teacher).sum())
    divergence = lambda s: (np.exp(log_p) * (log_p - s + np.logaddexp.reduce(s))).sum()
    differences = [(divergence(student + step * unit) - divergence(student - step * unit))
                   / (2 * step) for unit in np.eye(3)]
    target = Target(jnp.zeros((1, 3)), jnp.array([teacher], jnp.float32))
    ours = jax.grad(lambda s: LOSSES["alpha"].one_side(s, target, 1.0)[1].sum())
    np.testing.assert_allclose(ours(jnp.array([student]))[0], differences, atol=1e-5)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(AssertionError):
        soft(jnp.zeros((4, 3)), jnp.zeros((1, 3)))
    with pytest.raises(AssertionError):
        Hard()(jnp.zeros((4, 3)), Target(jnp.zeros((1, 3))))


@pytest.mark.parametrize("bad", [
    lambda: Distillation(temperature=0), lambda: Distillation(label_weight=-1),
    lambda: AlphaDivergence(low=1, high=1), lambda: AlphaDivergence(clip=0)])
def test_impossible_losses_are_refused(bad):
    with pytest.raises(ValueError, match="must"):
        bad()
