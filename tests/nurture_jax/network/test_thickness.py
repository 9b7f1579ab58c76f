"""Thickness of drawn bodies, relative to the reference object; nothing seen gives usual values."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from nurture_jax.measures import KEYPOINTS
from nurture_jax.network.geometry import GAIN
from nurture_jax.network.thickness import AXES, NAMES, features, sampled, thickness

SIDE = 48
# A body with spread limbs, in cells: half widths are drawn around the lines between them.
PLACES = {"nose": (24, 7), "left_eye": (25, 6), "right_eye": (23, 6), "left_ear": (27, 9),
          "right_ear": (21, 9), "left_shoulder": (28, 15), "right_shoulder": (20, 15),
          "left_elbow": (36, 13), "right_elbow": (12, 13), "left_wrist": (44, 11),
          "right_wrist": (4, 11), "left_hip": (27, 29), "right_hip": (21, 29),
          "left_knee": (33, 36), "right_knee": (15, 36), "left_ankle": (36, 44),
          "right_ankle": (12, 44), "reference_start": (4, 46), "reference_end": (28, 46)}
POINTS = np.array([PLACES[name] for name in KEYPOINTS], np.float32)


def near(start, end, half):
    """Share of every cell that is nearer than `half` to the line, [SIDE, SIDE]."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    start, along = np.array(start, float), np.subtract(end, start)
    at = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along), 0, 1)
    distance = np.hypot(x - start[0] - at * along[0], y - start[1] - at * along[1])
    return np.clip(half - distance + 0.5, 0, 1)


def body(trunk=5.0, limb=2.0):
    parts = [near((24, 12), (24, 32), trunk), near((24, 8), (24, 9), 5)]
    for side in ("left", "right"):
        for upper, lower in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"),
                             ("knee", "ankle")):
            parts.append(near(PLACES[f"{side}_{upper}"], PLACES[f"{side}_{lower}"], limb))
    return np.max(parts, 0).astype(np.float32)


def heatmaps(points=POINTS, height=1.0):
    grid = np.arange(SIDE) + 0.5
    x, y = (np.exp(-(grid[:, None] - points[:, i])**2 / 2) for i in (0, 1))
    return (height * y[:, None] * x[None]).astype(np.float32)


def of(shares, maps):
    """Features by name of one clip, [t, h, w] and [t, h, w, 19]."""
    found = np.asarray(features(jnp.asarray(shares)[None], jnp.asarray(maps)[None]))[0] / GAIN
    return dict(zip(NAMES, found, strict=True))


def test_values_between_cells_are_those_of_scipy():
    rng = np.random.default_rng(0)
    maps, places = rng.random((2, 7, 9)).astype(np.float32), rng.uniform(-2, 11, (2, 40, 2))
    places = places.astype(np.float32)
    for got, image, (x, y) in zip(sampled(maps, places), maps, places.transpose(0, 2, 1),
                                  strict=True):
        expected = map_coordinates(image, (y - 0.5, x - 0.5), order=1, mode="grid-constant")
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_thickness_of_a_drawn_body_in_cells():
    found = np.asarray(thickness(jnp.asarray(body())[None], jnp.asarray(POINTS)[None]))[0]
    edges = np.cumsum([0, *(len(axis.cuts) for axis in AXES)])
    by_axis = [found[a:b] for a, b in itertools.pairwise(edges)]
    np.testing.assert_allclose(by_axis[0][2], 10, atol=0.5)  # half way down the trunk
    # The crown is 5 cells above (24, 8), the cut begins 1.1 of the way from 15 to 9: at 8.4.
    np.testing.assert_allclose(by_axis[2], 2 * 5.4, atol=0.7)
    for limb in (*by_axis[5:7], *by_axis[9:]):  # forearms and lower legs lie free
        np.testing.assert_allclose(limb[1:], 4, atol=0.7)


def test_what_lies_beyond_a_gap_is_another_part():
    one, other = body(), np.maximum(body(), near((38, 20), (38, 30), 3).astype(np.float32))
    found = [np.asarray(thickness(jnp.asarray(mask)[None], jnp.asarray(POINTS)[None]))[0, :5]
             for mask in (one, other)]
    np.testing.assert_allclose(*found, atol=1e-4)


def test_a_thicker_trunk_and_thicker_limbs_are_told_apart():
    maps = heatmaps()[None]
    usual, trunk, limb = (of(body(*halves)[None], maps) for halves in ((5, 2), (6, 2), (5, 2.5)))
    assert trunk["trunk_0.45"] - usual["trunk_0.45"] == pytest.approx(np.log(6 / 5), abs=0.04)
    assert trunk["forearm"] == pytest.approx(usual["forearm"], abs=0.02)
    assert limb["forearm"] - usual["forearm"] == pytest.approx(np.log(2.5 / 2), abs=0.06)
    assert limb["trunk_0.45"] == pytest.approx(usual["trunk_0.45"], abs=0.02)
    assert trunk["volume"] > usual["volume"] + 0.05 and limb["volume"] > usual["volume"] + 0.01


def test_a_frame_with_unsure_points_counts_less_and_unseen_ones_not_at_all():
    sure, thick = heatmaps(), body(6.5)
    alone = of(body()[None], sure[None])
    both = of(np.stack([body(), thick]), np.stack([sure, 0.1 * sure]))
    assert both["trunk_0.45"] == pytest.approx(alone["trunk_0.45"], abs=0.02)
    hidden = sure.copy()
    hidden[..., KEYPOINTS.index("left_hip")] = 0  # the trunk's end and the thigh's start
    found = of(body()[None], hidden[None])
    assert all(found[name] == 0 for name in found if name.startswith("trunk"))
    assert found["forearm"] == pytest.approx(alone["forearm"], abs=0.05) and found["forearm"] != 0


@pytest.mark.parametrize(("shares", "maps"), [
    (np.zeros((1, SIDE, SIDE), np.float32), heatmaps()[None]),
    (body()[None], np.zeros((1, SIDE, SIDE, 19), np.float32)),
    (np.ones((1, SIDE, SIDE), np.float32), heatmaps(np.full((19, 2), 24.5))[None]),
    (body()[None], heatmaps(np.full((19, 2), -60.0))[None]),
    (np.zeros((2, 1, 3), np.float32), np.full((2, 1, 3, 19), -1.0, np.float32))],
    ids=["no newborn", "no points", "all in one point", "all out of the picture", "a tiny map"])
def test_features_and_gradients_are_finite_whatever_is_seen(shares, maps):
    weights = np.arange(1, len(NAMES) + 1, dtype=np.float32)
    value, gradients = jax.jit(jax.value_and_grad(
        lambda s, m: (features(s[None], m[None]) * weights[None]).sum(), (0, 1)))(shares, maps)
    assert np.isfinite(value) and all(np.isfinite(each).all() for each in gradients)
    assert np.abs(np.asarray(features(shares[None], maps[None]))).max() < 2 * GAIN


def test_gradients_reach_masks_and_points():
    weights = np.random.default_rng(0).normal(size=len(NAMES))
    shares, maps = 0.9 * body()[None, None], heatmaps()[None, None]
    total = lambda shares, maps: (features(shares, maps) * weights[None]).sum()
    by_shares, by_maps = jax.grad(total, (0, 1))(shares, maps)
    used = [i for i, name in enumerate(KEYPOINTS) if "eye" not in name and name != "nose"]
    assert (np.abs(by_maps).max((0, 1, 2, 3))[used] > 0).all()
    assert np.abs(by_shares).max() > 0
