"""The population and its bodies; pictures are tested with the videos."""
import numpy as np
import pytest

from nurture_jax.synthetic.body import draw_traits
from nurture_jax.synthetic.measures import ellipse_perimeter, measures, solve_shape
from nurture_jax.synthetic.population import draw_infant, measures_at


def test_ellipse_perimeter_by_quadrature():
    angle = np.linspace(0, 2 * np.pi, 200_001)
    speed = np.hypot(3 * np.sin(angle), 2 * np.cos(angle))
    assert ellipse_perimeter(3, 2) == pytest.approx(np.trapezoid(speed, angle), rel=1e-6)


@pytest.mark.parametrize("index", range(4))
def test_body_has_the_measures_it_was_made_for(index):
    infant = draw_infant(0, index)
    wanted = np.asarray(infant.birth)
    shape = solve_shape(wanted, infant.density_g_cm3, draw_traits(np.random.default_rng(index)))
    np.testing.assert_allclose(measures(shape, infant.density_g_cm3), wanted, rtol=0.01)


def test_population_is_that_of_the_standards():
    infants = [draw_infant(1, i) for i in range(1500)]
    birth = np.array([infant.birth for infant in infants])
    assert 0.15 < (birth[:, 0] < 2500).mean() < 0.25
    term = np.array([infant.gestational_age_days >= 259 for infant in infants])
    # of term newborns: length 48.9 cm, head 33.8, chest 32.1, arm 10.1
    np.testing.assert_allclose(birth[term, 1:].mean(0), [48.9, 33.8, 32.1, 10.1], rtol=0.03)
    assert np.corrcoef(birth[:, 0], birth[:, 1])[0, 1] > 0.6


def test_infants_do_not_depend_on_each_other_and_grow():
    assert draw_infant(0, 7) == draw_infant(0, 7) != draw_infant(0, 8)
    infant = draw_infant(0, 7)
    assert measures_at(infant, 3)[0] < infant.birth[0] < measures_at(infant, 40)[0]
