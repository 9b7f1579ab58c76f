"""Pictures of Anny's newborns: masks against OpenCV's, joints against the skin, size."""
import dataclasses

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
pytest.importorskip("embreex", reason="embreex is not installed (extra 'anny')")

from two_sizes import differences

from nurture_jax.measures import BODY_POINTS, NEWBORN
from nurture_jax.synthetic.anny import lying as anny
from nurture_jax.synthetic.anny import shape as anny_shape
from nurture_jax.synthetic.anny.skeleton import SEGMENTS, lie_down, skin
from nurture_jax.synthetic.anny.source import data_folder, newborn
from nurture_jax.synthetic.visit import Settings, draw_visit, keypoints, pictures
from nurture_jax.synthetic.world.population import draw_infant, measures_at
from nurture_jax.synthetic.world.pose import draw_pose
from nurture_jax.synthetic.world.render import Frame
from nurture_jax.synthetic.world.scene import project

try:
    data_folder()
except ValueError as missing:
    pytest.skip(str(missing), allow_module_level=True)

SETTINGS = Settings(infants=4, visits_per_infant=1, seconds=1, short_sides_px=(160,), fps=3.0,
                    annotated_frames=1, body="anny", rulers="30")


@pytest.mark.parametrize("index", range(3))
def test_masks_are_the_outline_that_opencv_draws(index):
    """Of all triangles, projected and drawn eight times as large, as OpenCV fills edges too.

    Hardly a pixel differs, and those that do lie on the outline.
    """
    visit = draw_visit(SETTINGS, index, 1)
    _, ids, _ = (np.asarray(part) for part in next(pictures(visit, [1])))
    surface = visit.scene.surface
    vertices = surface._lying.place(1, surface._vertices)
    frames = Frame(*(value[1:2] for value in visit.scene.frames))
    (pixels,), _ = project(frames, vertices[None], visit.height, visit.width)
    above = vertices[newborn().triangles, 2] > 0  # the rest is under the cloth

    def drawn(triangles: np.ndarray) -> np.ndarray:
        large = np.zeros([8 * side for side in ids.shape], np.uint8)
        for corners in np.round((8 * pixels[triangles] - 0.5) * 16).astype(np.int32):
            cv2.fillConvexPoly(large, corners, 1, shift=4)
        return large[4::8, 4::8]

    least, most = (drawn(newborn().triangles[part]) for part in (above.all(1), above.any(1)))
    mask = (ids == NEWBORN).astype(np.uint8)
    box = np.ones((3, 3), np.uint8)
    assert mask.sum() > 1000 and (mask != most).sum() < 0.02 * mask.sum()
    assert not (mask & ~cv2.dilate(most, box) & 1).any()
    # OpenCV closes gaps between fingers that are narrower than a quarter of a pixel.
    assert (cv2.erode(least, box) & ~mask & 1).sum() <= 2


def test_segments_share_the_skin_and_carry_the_joints():
    np.testing.assert_allclose(skin().sum(1), 1, atol=1e-5)
    assert skin().min() > -1e-5
    features = anny_shape.draw_features(np.random.default_rng(0), "F")
    shape = anny_shape.solve(np.array([3200.0, 50.0, 34.5, 32.5, 10.5]), 1.05, features)
    lying = lie_down(shape, draw_pose(np.random.default_rng(0), np.arange(4) / 4))
    turn = lying.turn
    np.testing.assert_allclose(turn @ np.swapaxes(turn, -1, -2),
                               np.broadcast_to(np.eye(3), turn.shape), atol=1e-9)
    for upper, lower, joint, name in (
            ("upper arm.L", "forearm.L", "lowerarm01.L", "left_elbow"),
            ("forearm.R", "hand.R", "wrist.R", "right_wrist"),
            ("thigh.R", "shank.R", "lowerleg01.R", "right_knee"),
            ("shank.L", "foot.L", "foot.L", "left_ankle")):
        for segment in (upper, lower):  # both ends of a joint are in one place
            carried = lying.carry(segment, shape.joint(joint)[None])[:, 0]
            np.testing.assert_allclose(carried, lying.joints[name], atol=1e-9)
    for k in range(4):
        placed = lying.place(k, shape.vertices.astype(np.float32))
        trunk = skin()[:, SEGMENTS.index("trunk")] > 0.9
        assert -1.0 < placed[trunk, 2].min() < 0.3  # on the cloth
        assert np.percentile(placed[:, 2], 1) > -0.8


def test_joints_are_inside_the_skin():
    """Around each joint there is skin on both sides, at most a thigh's thickness away."""
    visit = draw_visit(SETTINGS, 0, 1)
    surface, points = visit.scene.surface, visit.scene.keypoints[1]
    vertices = surface._lying.place(1, surface._vertices)
    for name, point in zip(BODY_POINTS, points, strict=False):
        away = vertices - point
        near = away[np.linalg.norm(away, axis=1) < 0.13 * visit.truth[1]]
        if name.split("_")[-1] in ("elbow", "wrist", "knee", "ankle", "hip", "shoulder"):
            assert (near.min(0) < 0).all() and (near.max(0) > 0).all(), name
        else:
            assert np.linalg.norm(away, axis=1).min() < 0.01 * visit.truth[1], name


def test_same_scene_as_of_the_other_kind():
    one, other = (draw_visit(dataclasses.replace(SETTINGS, body=body), 2, 1)
                  for body in ("ellipsoids", "anny"))
    differing = {name for name in one.row if one.row[name] != other.row[name]}
    assert "body" in differing
    assert differing <= {"body", "weight_g", "length_cm", "head_cm", "chest_cm", "arm_cm"}
    np.testing.assert_allclose(one.truth, other.truth, rtol=0.03)
    for name in ("pattern", "cloth_colours", "waves", "skin", "ruler_colours", "light"):
        a, b = (getattr(visit.scene.look, name) for visit in (one, other))
        np.testing.assert_allclose(a, b, rtol=0.02, err_msg=name)
    np.testing.assert_array_equal(one.scene.times_s, other.scene.times_s)


@pytest.mark.parametrize("index", range(2))
def test_a_smaller_infant_without_a_ruler_gives_the_same_picture(index):
    """Three quarters of the size; a pixel whose ray grazes an edge may fall on either side."""
    infant = draw_infant(0, index, 1)
    features = anny_shape.draw_features(np.random.default_rng(index), infant.sex)
    shape = anny_shape.solve(measures_at(infant, 5), 1.05, features)
    widening = dataclasses.replace(shape.widening, size=0.75 * shape.widening.size)
    smaller = anny_shape.Shape(0.75 * shape.vertices, 0.75 * shape.joints, widening)
    without, beside = differences(anny.lie, shape, smaller, index)
    assert (without > 2).mean() < 0.005
    assert (beside > 25).mean() > 0.01


def test_keypoints_are_where_the_skin_is_seen():
    visit = draw_visit(SETTINGS, 1, 1)
    _, ids, depth = (np.asarray(part) for part in next(pictures(visit, [1])))
    points = keypoints(visit, 1, depth)
    assert (points[:17, 2] == 2).sum() >= 12
    for x, y, v in points[:17]:
        assert v < 2 or ids[int(y) - 2:int(y) + 3, int(x) - 2:int(x) + 3].max() == NEWBORN
