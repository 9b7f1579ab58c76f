"""How unlike the recordings of training a recording is."""
import dataclasses

import numpy as np
import pytest

from nurture_jax.clinic.familiarity import ROOM, Familiarity, fit


def recordings(count, seed, features=40):
    """Features that spread in three directions, with a little noise in the others."""
    directions = np.random.default_rng(9).normal(size=(3, features))
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 3)) * (3, 2, 1) @ directions + 0.1 * rng.normal(
        size=(count, features)) + 5


def test_known_ones_score_about_one_and_what_leaves_their_directions_more():
    known = fit(recordings(300, 0), recordings(100, 1), 0.95)
    scores = known.score(recordings(200, 2))
    assert 0.7 < scores.mean() < 1.3 and (scores <= known.limit).all()
    stray = recordings(200, 3) + 2 * np.random.default_rng(4).normal(size=(200, 40))
    assert (known.score(stray) > known.limit).all()


def test_the_limit_is_the_quantile_with_room():
    known = fit(recordings(300, 0), recordings(100, 1), 0.9)
    scores = known.score(recordings(100, 1))
    np.testing.assert_allclose(known.limit, ROOM * np.sort(scores)[90], rtol=1e-4)
    wider = fit(recordings(300, 0), recordings(100, 1), 1.0)
    assert wider.limit > known.limit


def test_units_of_the_features_do_not_matter():
    units = np.exp(np.random.default_rng(5).normal(size=40))
    one = fit(recordings(300, 0), recordings(50, 1), 0.9)
    two = fit(units * recordings(300, 0), units * recordings(50, 1), 0.9)
    np.testing.assert_allclose(two.score(units * recordings(9, 2)), one.score(recordings(9, 2)),
                               rtol=1e-3)


def test_features_that_never_change_and_few_recordings():
    training = recordings(6, 0)
    training[:, 0] = 1  # as after a rectifier that is always off
    known = fit(training, recordings(3, 1), 0.9)
    assert np.isfinite(known.limit) and np.isfinite(known.score(training)).all()
    with pytest.raises(ValueError, match="1 recordings of training and 3 of calibration are too"):
        fit(training[:1], training[:3], 0.9)


def test_parts_that_do_not_go_together():
    known = dataclasses.asdict(fit(recordings(30, 0), recordings(9, 1), 0.9))
    with pytest.raises(ValueError, match="parts of different sizes"):
        Familiarity(**{**known, "scale": known["scale"][1:]})
