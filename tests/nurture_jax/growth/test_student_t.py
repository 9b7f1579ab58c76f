"""Tails without SciPy beside those of SciPy."""
import numpy as np
import pytest
from scipy.special import ndtr, ndtri, stdtr

from nurture_jax.growth.student_t import lower_tail, normal_below, normal_z


@pytest.mark.parametrize("freedom", [0.7, 2.5, 15.4146, 17.05299, 26.17975, 100])
def test_tails_are_those_of_scipy(freedom):
    values = -np.concatenate([[0], np.logspace(-6, 3, 200)])
    found = [lower_tail(value, freedom) for value in values]
    np.testing.assert_allclose(found, stdtr(freedom, values), rtol=1e-12)
    assert found[0] == 0.5 and np.all(np.diff(found) < 0)


def test_normal_distribution_is_that_of_scipy():
    values = np.linspace(-30, 8, 500)
    np.testing.assert_allclose([normal_below(z) for z in values], ndtr(values), rtol=1e-11)
    shares = np.concatenate([np.logspace(-300, -1, 200), np.linspace(0.1, 0.999, 50)])
    np.testing.assert_allclose([normal_z(share) for share in shares], ndtri(shares), rtol=1e-10,
                               atol=1e-12)
    assert np.isfinite([normal_z(0.0), normal_z(1.0)]).all()
