"""The bodies of ellipsoids; pictures are tested with the videos."""
import numpy as np
import pytest

from nurture_jax.synthetic.ellipsoids.body import draw_traits
from nurture_jax.synthetic.ellipsoids.measures import ellipse_perimeter, measures, solve_shape
from nurture_jax.synthetic.world.population import draw_infant


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
