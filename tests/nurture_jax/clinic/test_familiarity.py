"""How unlike the recordings of training a recording is."""
import dataclasses
from statistics import NormalDist

import numpy as np
import pytest

from nurture_jax.clinic.familiarity import (
    BUILD,
    FEATURES,
    ROOM,
    SPREAD,
    SURENESS,
    Usual,
    fit,
)


def recordings(count, seed, features=40):
    """Features that spread in three directions, with a little noise in the others."""
    directions = np.random.default_rng(9).normal(size=(3, features))
    rng = np.random.default_rng(seed)
    return {FEATURES: rng.normal(size=(count, 3)) * (3, 2, 1) @ directions + 0.1 * rng.normal(
        size=(count, features)) + 5}


def with_points(count, seed):
    """Beside the features points about as sure, and bodies about as built, as others."""
    rng = np.random.default_rng(seed + 50)
    return {**recordings(count, seed), SURENESS: rng.normal(-0.4, 0.1, (count, 17)),
            BUILD: rng.normal(np.linspace(-1, 0, 14), 0.05, (count, 14))}


def test_known_ones_score_about_one_and_what_leaves_their_directions_more():
    known = fit(recordings(300, 0), recordings(100, 1), 0.95)
    scores = known.score(recordings(200, 2))
    assert 0.7 < scores.mean() < 1.3 and (scores <= known.limit).all()
    stray = recordings(200, 3)[FEATURES] + 2 * np.random.default_rng(4).normal(size=(200, 40))
    assert (known.score({FEATURES: stray}) > known.limit).all()


def test_one_group_that_is_far_off_is_enough():
    known = fit(with_points(300, 0), with_points(100, 1), 0.98)
    fresh = with_points(100, 2)
    assert 0.8 < np.median(known.score(fresh)) < 1.2 and (known.score(fresh) < known.limit).all()
    for group, change in ((FEATURES, 9.0), (SURENESS, -0.9), (BUILD, np.linspace(0, 2, 14))):
        odd = {**fresh, group: fresh[group] + change}
        assert (known.score(odd) > known.limit).all(), group
    surer = {**fresh, SURENESS: fresh[SURENESS] + 0.4}
    assert (known.score(surer) < known.score(fresh)).all()  # no fault
    otherwise = {**fresh, BUILD: fresh[BUILD] + np.tile([0.15, -0.15], 7)}
    assert (known.score(otherwise) < known.limit).all()  # a newborn of another build


def test_the_limit_is_the_quantile_with_room_whatever_a_few_say():
    known = fit(recordings(300, 0), recordings(100, 1), 0.98)
    scores = known.score(recordings(100, 1))
    quantile = np.median(scores) * np.exp(SPREAD * NormalDist().inv_cdf(0.98))
    np.testing.assert_allclose(known.limit, ROOM * quantile, rtol=1e-6)
    assert fit(recordings(300, 0), recordings(100, 1), 1.0).limit > known.limit
    spoilt = recordings(100, 1)
    spoilt[FEATURES][:6] += 100
    assert fit(recordings(300, 0), spoilt, 0.98).limit < 1.1 * known.limit


def test_units_of_the_features_do_not_matter():
    units = np.exp(np.random.default_rng(5).normal(size=40))
    scaled = lambda each: {FEATURES: units * each[FEATURES]}
    one = fit(recordings(300, 0), recordings(50, 1), 0.9)
    two = fit(scaled(recordings(300, 0)), scaled(recordings(50, 1)), 0.9)
    np.testing.assert_allclose(two.score(scaled(recordings(9, 2))), one.score(recordings(9, 2)),
                               rtol=1e-3)


def test_numbers_that_never_change_and_few_recordings():
    training = with_points(6, 0)
    training[FEATURES][:, 0] = 1  # as after a rectifier that is always off
    training[SURENESS][:], training[BUILD][:] = -0.4, 0.1
    known = fit(training, with_points(3, 1), 0.9)
    assert np.isfinite(known.limit) and np.isfinite(known.score(training)).all()
    few = lambda count: {name: numbers[:count] for name, numbers in training.items()}
    assert fit(few(2), few(2), 0.9) is not None
    assert fit(few(1), few(3), 0.9) is fit(few(3), few(1), 0.9) is fit(few(3), few(0), 0.9) is None


def test_parts_that_do_not_go_together():
    usual = fit(recordings(30, 0), recordings(9, 1), 0.9).groups[FEATURES]
    with pytest.raises(ValueError, match="parts of different sizes"):
        dataclasses.replace(usual, scale=usual.scale[1:])
    assert Usual(**dataclasses.asdict(usual)) == usual
