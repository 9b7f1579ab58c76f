"""Pictures, masks and keypoints of synthetic visits, at 64 px."""
import dataclasses
from functools import cache

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
import cv2
import jax
from accelerator import BFLOAT16, emulate
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from two_sizes import differences

from nurture_jax.measures import NEWBORN, REFERENCE
from nurture_jax.synthetic.bodies import ANNY, BODIES, ELLIPSOIDS, check_installed
from nurture_jax.synthetic.ellipsoids import hits
from nurture_jax.synthetic.ellipsoids import lying as ellipsoids
from nurture_jax.synthetic.ellipsoids.body import Traits
from nurture_jax.synthetic.ellipsoids.measures import solve_shape
from nurture_jax.synthetic.ellipsoids.skin import Solid
from nurture_jax.synthetic.visit import (
    MISSING_OF_INFANT,
    Settings,
    draw_visit,
    keypoints,
    marks,
    pictures,
)
from nurture_jax.synthetic.world import render as synthetic_render
from nurture_jax.synthetic.world.population import draw_infant, measures_at
from nurture_jax.synthetic.world.render import Frame

SETTINGS = Settings(infants=100, visits_per_infant=1, seconds=1, short_sides_px=(64,), fps=3.0,
                    annotated_frames=1, rulers="30")


def shown(visit, index=1):
    return tuple(np.asarray(part) for part in next(pictures(visit, [index])))


INFANTS = {ELLIPSOIDS: 100, ANNY: 30}  # the second kind takes longer to make


@cache
def film(kind):
    """Visit, picture, ids, depth and keypoints of a frame of every infant of a kind."""
    visits = [draw_visit(dataclasses.replace(SETTINGS, body=kind), index, 1)
              for index in range(INFANTS[kind])]
    return [(visit, *parts, keypoints(visit, 1, parts[2]))
            for visit in visits for parts in [shown(visit)]]


@pytest.fixture(scope="module", params=BODIES)
def filmed(request):
    try:
        check_installed(request.param)
    except ValueError as missing:
        pytest.skip(str(missing))
    return film(request.param)


@pytest.fixture(scope="module")
def ellipsoids_filmed():
    return film(ELLIPSOIDS)


def near(mask):
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def test_seen_points_lie_on_their_masks(filmed):
    seen = 0
    for _, _, ids, _, points in filmed:
        for k, (x, y, v) in enumerate(points):
            if v == 2:
                mask = near(ids == (NEWBORN if k < 17 else REFERENCE))
                assert mask[int(y), int(x)], (k, x, y)
                seen += 1
    assert seen > 15 * len(filmed)


def test_infant_and_ruler_are_in_the_middle_square(filmed):
    inside = np.array([(points[:, 2] > 0) & (points[:, 1] > 25) & (points[:, 1] < 89)
                       for *_, points in filmed])
    assert inside[:, :17].mean() > 0.98
    assert inside[:, 17:].mean() > 0.97


def test_hidden_points_are_behind_something(filmed):
    hidden = [(visit.scene.keypoints[1, k], visit, depth, points[k])
              for visit, _, _, depth, points in filmed for k in range(17) if points[k, 2] == 1]
    assert hidden
    for place, visit, depth, (x, y, _) in hidden:
        assert np.linalg.norm(place - visit.scene.frames.eye[1]) > depth[int(y), int(x)]


def test_mask_shrinks_with_the_square_of_the_distance(filmed):
    for visit, _, ids, depth, _ in filmed[:5]:
        infant = ids == NEWBORN
        frames = visit.scene.frames
        forward = frames.view[1, 2]
        away = 0.5 * depth[infant].mean() * forward / np.linalg.norm(forward)
        farther = dataclasses.replace(visit, scene=dataclasses.replace(
            visit.scene, frames=frames._replace(eye=frames.eye - away)))
        small = (shown(farther)[1] == NEWBORN).sum()
        assert small / infant.sum() == pytest.approx(1 / 1.5 ** 2, rel=0.06)


def test_without_the_ruler_the_rest_is_the_same(filmed):
    for index in range(3):
        _, picture, ids, *_ = filmed[index]
        kind = filmed[index][0].row["body"]
        bare = draw_visit(dataclasses.replace(SETTINGS, ruler=False, body=kind), index, 1)
        without, bare_ids, depth = shown(bare)
        assert (ids == REFERENCE).any() and not (bare_ids == REFERENCE).any()
        np.testing.assert_array_equal(bare_ids == NEWBORN, ids == NEWBORN)
        assert not keypoints(bare, 1, depth)[17:].any()
        categories = [entry["category_id"] for entry in marks(bare, 1, bare_ids, depth)
                      ["annotations"]]
        assert categories == [NEWBORN]
        reach = 2 * synthetic_render.BLUR_RADIUS + 1
        touched = cv2.dilate((ids == REFERENCE).astype(np.uint8), np.ones((reach, reach))) > 0
        np.testing.assert_array_equal(without[~touched], picture[~touched])


def test_same_seed_same_pictures(filmed):
    settings = dataclasses.replace(SETTINGS, body=filmed[2][0].row["body"])
    again = shown(draw_visit(dataclasses.replace(settings, infants=3), 2, 1))[0]
    other = shown(draw_visit(dataclasses.replace(settings, seed=1), 2, 1))[0]
    np.testing.assert_array_equal(again, filmed[2][1])
    assert (other != again).mean() > 0.5
    assert (filmed[1][1] != again).mean() > 0.5


def test_bands_make_the_same_picture(filmed, monkeypatch):
    monkeypatch.setattr(synthetic_render, "BAND_PIXELS", 3000)  # three, the last one too long
    visit, picture, ids, depth, _ = filmed[0]
    banded = shown(visit)
    assert np.abs(banded[0].astype(int) - picture).max() <= 1
    np.testing.assert_array_equal(banded[1], ids)
    np.testing.assert_allclose(banded[2], depth, rtol=1e-5)


@pytest.mark.parametrize("index", range(3))
def test_a_smaller_infant_without_a_ruler_gives_the_same_picture(index):
    """Three quarters of the size, 42 % of the weight: the pictures differ by rounding only.

    A pixel whose ray grazes an edge may fall on either side of it.
    """
    infant = draw_infant(0, index, 1)
    shape = solve_shape(measures_at(infant, 5), 1.05, Traits())
    smaller = dataclasses.replace(shape, length_cm=0.75 * shape.length_cm, head=0.75 * shape.head,
                                  chest=0.75 * shape.chest, arm_radius=0.75 * shape.arm_radius)
    without, beside = differences(ellipsoids.lie, shape, smaller, index)
    assert (without > 1).mean() < 0.002
    assert (beside > 25).mean() > 0.01


def test_size_is_seen_against_the_ruler_only(ellipsoids_filmed):
    """Ridge regression on exact masks: pixels alone tell little of the weight, with cm much."""
    features, weight = [], []
    for visit, _, ids, _, points in ellipsoids_filmed:
        if points[17:, 2].all():
            rows, columns = np.nonzero(ids == NEWBORN)
            pixels_per_cm = np.linalg.norm(points[18, :2] - points[17, :2]) / float(
                visit.row["reference_cm"])
            features.append(np.log([len(rows), np.ptp(rows), np.ptp(columns), pixels_per_cm]))
            weight.append(visit.truth[0])
    features, weight = np.array(features), np.array(weight)

    def explained(columns):
        guess = np.exp(cross_val_predict(RidgeCV(), features[:, :columns], np.log(weight), cv=8))
        return 1 - np.square(guess - weight).sum() / np.square(weight - weight.mean()).sum()

    assert explained(3) < 0.35
    assert explained(4) > 0.6


def test_table_has_gaps_at_the_stated_rates(ellipsoids_filmed):
    rows = [visit.row for visit, *_ in ellipsoids_filmed]
    for name, rate in MISSING_OF_INFANT.items():
        empty = sum(row[name] == "" for row in rows)
        spread = np.sqrt(len(rows) * rate * (1 - rate))
        assert abs(empty - rate * len(rows)) < 3 * spread, name
    assert all(row["weight_g"] for row in rows)


@pytest.mark.parametrize(("changes", "words"), [
    ({"infants": 0}, "at least one"),
    ({"visits_per_infant": 6}, "not in 1..5"),
    ({"seconds": 0.5}, "not in 1..60"),
    ({"short_sides_px": (65,)}, "even numbers in 64..1080"),
    ({"short_sides_px": ()}, "even numbers in 64..1080"),
    ({"fps": 100.0}, "not in 2..60"),
    ({"seed": -1}, "negative"),
    ({"preterm": 30.0}, "give a share such as 0.3"),
    ({"body": "smil"}, "not one of ellipsoids, anny, both"),
    ({"annotated_frames": 4}, "not in 1..3"),
    ({"surroundings": "moon"}, "not one of usual, other"),
])
def test_bad_settings_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(SETTINGS, **changes)


def test_other_surroundings_are_of_the_same_infants():
    """Other phones, sites and a warmer light; bodies, poses and what is known are the same."""
    usual, other = (draw_visit(dataclasses.replace(SETTINGS, surroundings=name), 0, 1)
                    for name in ("usual", "other"))
    np.testing.assert_array_equal(usual.truth, other.truth)
    same = {name for name in usual.row if usual.row[name] == other.row[name]}
    assert {*usual.row} - same == {"site", "device"}
    warmth = lambda visit: visit.scene.look.key_colour[0] / visit.scene.look.key_colour[2]
    assert warmth(other) > 1.05 * warmth(usual)
    seen = [float(np.mean(next(iter(pictures(visit, [0])))[0])) for visit in (usual, other)]
    assert 0.5 * seen[0] < seen[1] < 0.98 * seen[0]


def test_normals_are_exact_where_matrix_units_round():
    """Gradients are differences of large numbers: rounded ones would turn the skin."""
    visit = draw_visit(SETTINGS, 0, 1)
    frame, look = Frame(*(value[1] for value in visit.scene.frames)), visit.scene.look
    size = (visit.height, visit.width)
    surface = visit.scene.surface
    solid = Solid(*(value[1] for value in surface.moving), *surface.fixed)
    rays = synthetic_render._ray_pass(size, visit.height, 0, frame)
    depth, owner = hits._hit_pass(frame.eye, solid, look, rays)
    at = synthetic_render.point_pass(frame.eye, rays, depth)
    weights = hits._ellipsoid_pass(solid, at), hits._capsule_pass(solid, at)
    normals = lambda at, weights: hits._normals(solid, at, owner, weights)
    exact, rounded, broken = (
        np.asarray(jax.jit(run)(at, weights))[:, np.asarray(owner) >= 0]
        for run in (normals, emulate(normals, BFLOAT16),
                    emulate(normals, BFLOAT16, rounds_all=True)))
    cosines = lambda found: (found * exact).sum(0)
    assert exact.shape[1] > 100 and cosines(rounded).min() > 1 - 1e-5
    assert cosines(broken).min() < np.cos(np.radians(5))
