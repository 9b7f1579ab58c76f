"""Sizes are relative to the reference object, wherever the camera stands."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nurture_jax.network.geometry import GAIN, RULER, SPANS, features, over_frames, peaks, spans


def heatmaps(points, side=24, cells=1.0):
    """[19, 2] -> [1, 1, side, side, 19] with a peak of height 1 at each."""
    grid = np.arange(side) + 0.5
    x, y = (np.exp(-(grid[:, None] - points[:, i])**2 / (2 * cells**2)) for i in (0, 1))
    return jnp.asarray(y[:, None] * x[None], jnp.float32)[None, None]


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform(8, 16, (19, 2))


def test_peaks_are_found_between_cells(points):
    np.testing.assert_allclose(peaks(heatmaps(points))[0, 0], points, atol=0.03)
    noise = 0.05 * np.random.default_rng(1).normal(size=(1, 1, 24, 24, 19))
    np.testing.assert_allclose(peaks(heatmaps(points) + noise)[0, 0], points, atol=0.35)
    np.testing.assert_allclose(peaks(-jnp.ones((24, 24, 19))), 12, atol=1e-3)  # seen nowhere


def test_lengths_by_hand():
    points = np.zeros((19, 2))
    points[17], points[18] = (2, 3), (5, 7)
    assert RULER == ((17,), (18,))
    lengths, ruler = spans(jnp.asarray(points))
    np.testing.assert_allclose(ruler, np.log(np.hypot(5, 0.5)), rtol=1e-5)
    np.testing.assert_allclose(lengths, np.log(0.5), rtol=1e-5)
    assert len({*SPANS}) == len(SPANS) == lengths.shape[-1]


def test_a_camera_twice_as_far_changes_only_what_tells_the_distance(points):
    near = 12 + 1.2 * (points - 12)
    far = 12 + 0.6 * (points - 12)
    near[17:], far[17:] = [(2, 4), (22, 4)], [(7, 8), (17, 8)]
    one, two = (np.asarray(features(None, heatmaps(p)))[0, 0] for p in (near, far))
    lengths, ruler = slice(0, len(SPANS)), len(SPANS)
    long = np.exp(one[lengths] / GAIN - 1) > 0.1  # shorter ones meet the half cell
    assert long.sum() > 8
    np.testing.assert_allclose(one[lengths][long], two[lengths][long], atol=0.15 * GAIN)
    np.testing.assert_allclose(one[ruler] - two[ruler], GAIN * np.log(2), rtol=0.02)


def test_areas_count_as_sides_of_squares():
    shares = np.zeros((1, 1, 24, 24, 3), np.float32)
    shares[..., 0] = 1
    small, large = shares.copy(), shares.copy()
    for picture, side, width in ((small, 4, 2), (large, 8, 4)):
        picture[0, 0, :side, :side], picture[0, 0, 20:20 + width // 2, :2 * width] = (
            (0, 1, 0), (0, 0, 1))
    one, two = features(small, None)[0, 0], features(large, None)[0, 0]
    np.testing.assert_allclose(one[0], two[0], atol=0.15)
    np.testing.assert_allclose(two[1] - one[1], GAIN * np.log(2), rtol=0.05)


def test_gradients_reach_every_point_and_mask():
    rng = np.random.default_rng(3)
    maps = heatmaps(rng.uniform(4, 20, (19, 2)))
    shares = jnp.asarray(rng.dirichlet((1, 1, 1), (1, 1, 24, 24)), jnp.float32)
    weights = rng.normal(size=features(shares, maps).shape)  # in the plain sum the ruler cancels
    by_shares, by_maps = jax.grad(lambda s, m: (features(s, m) * weights).sum(), (0, 1))(shares,
                                                                                         maps)
    assert np.abs(by_shares[..., 1:]).min() > 0
    used = sorted({i for ends in (*SPANS, RULER) for end in ends for i in end})
    assert (np.abs(by_maps).max((0, 1, 2, 3))[used] > 0).all()
    assert np.isfinite(jax.grad(lambda m: features(None, m).sum())(0 * maps)).all()


def test_frames_with_a_clear_ruler_count_more(points):
    maps = jnp.tile(heatmaps(points), (1, 3, 1, 1, 1))
    maps = maps.at[:, 1, ..., 17].multiply(0.5).at[:, 2, ..., 18].multiply(0)
    sizes = jnp.array([[[1.0], [2.0], [100.0]]])
    ends = maps[0, :, :, :, -2:].max((1, 2))
    one, half = float(ends[0].min()), float(ends[1].min())
    expected = (one**2 * 1 + half**2 * 2 + 0.02**2 * 100) / (one**2 + half**2 + 0.02**2)
    np.testing.assert_allclose(over_frames(sizes, maps), [[expected]], rtol=1e-5)
    np.testing.assert_allclose(over_frames(sizes, None), [[103 / 3]], rtol=1e-6)
    np.testing.assert_allclose(over_frames(sizes, 0 * maps), [[103 / 3]], rtol=1e-6)


def test_a_ruler_of_half_the_length_told_rightly_changes_no_size(points):
    """A ruler of 15 cm in the place of one of 30, as wide: all features are the same."""
    long = np.array(points)
    long[17:] = (2, 4), (22, 4)
    short = np.array(long)
    short[17:] = (7, 4), (17, 4)
    shares = np.zeros((2, 1, 1, 24, 24, 3), np.float32)
    shares[..., 0] = 1
    shares[:, 0, 0, 10:20, 5:15] = 0, 1, 0
    shares[0, 0, 0, 3:5, 2:22], shares[1, 0, 0, 3:5, 7:17] = (0, 0, 1), (0, 0, 1)
    told = [features(shares[i], heatmaps(p), jnp.array([length]))[0, 0]
            for i, (p, length) in enumerate([(long, 30.0), (short, 15.0)])]
    np.testing.assert_allclose(*told, atol=0.02 * GAIN)
    usual = features(shares[0], heatmaps(long))[0, 0]
    for length in (30.0, 0.0):  # 0 is not told
        same = features(shares[0], heatmaps(long), jnp.array([length]))[0, 0]
        np.testing.assert_array_equal(same, usual)
    lied = features(shares[1], heatmaps(short), jnp.array([30.0]))[0, 0]
    assert np.abs(lied - told[1]).max() > 0.6 * GAIN
