"""The body in space, from points that cameras of the test see: against what was put there."""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_batches import SCALING
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from nurture_jax.measures import BODY_POINTS, KEYPOINTS
from nurture_jax.network.geometry import GAIN, SPANS
from nurture_jax.network.in_space import NAMES, features, fit, solve
from nurture_jax.network.model import ModelSettings

fitted = jax.jit(fit)
of_maps = jax.jit(features)


def scene(seed=0, frames=8, arc=28.0, ends=(-0.5, 0.5), focal=2.7):
    """Points in space [19, 3], in lengths of the reference object, and as seen [t, 19, 2]."""
    rng = np.random.default_rng(seed)
    body = np.stack([rng.uniform(0.15, 0.7, 17), rng.uniform(-0.7, 0.7, 17),
                     rng.uniform(0.02, 0.3, 17)], 1)
    points = np.concatenate([body, [[0, ends[0], 0], [0, ends[1], 0]]])
    seen, slant, roll = [], rng.uniform(10, 30), rng.normal(0, 6)
    for angle in np.linspace(-arc, arc, frames) + rng.normal(0, 1, frames):
        # Looks down (x right, y down, z forward) from 2.2 lengths, on an arc across the body.
        turn = Rotation.from_euler("zxy", [roll, slant, angle], degrees=True).as_matrix()
        turn = np.diag([1, -1, -1]) @ turn
        at = (points - [0.35, 0, 0.1]) @ turn.T + [0, 0, 2.2]
        seen.append(focal * at[:, :2] / at[:, 2:])
    return points.astype(np.float32), np.array(seen, np.float32)


def drawn(seen, side=48):
    """Heatmaps [t, side, side, 19] with peaks at places [t, 19, 2] in half sides of the picture."""
    grid = np.arange(side) + 0.5
    x, y = (np.exp(-np.square(grid - (seen[..., i, None] + 1) * side / 2) / 2) for i in (0, 1))
    return np.einsum("tky,tkx->tyxk", y, x).astype(np.float32)


def lengths(points):
    """Of all pairs of points of the body, [..., 17, 3]."""
    return np.linalg.norm(points[..., :, None, :] - points[..., None, :, :], axis=-1)[
        ..., *np.triu_indices(17, 1)]


def run(seen, sure=None, reference=1.0):
    sure = np.ones(seen.shape[:2]) if sure is None else sure
    found = fitted(jnp.asarray(seen)[None], jnp.asarray(sure, jnp.float32)[None],
                   jnp.full(1, reference, jnp.float32))
    return jax.tree.map(lambda value: np.asarray(value)[0], found)


@pytest.mark.parametrize("seed", range(4))
def test_lengths_in_space_are_found(seed):
    points, seen = scene(seed)
    body = run(seen)
    wrong = np.log(lengths(body.points) / lengths(points[:17]))
    assert np.median(np.abs(wrong)) < 0.006
    ruler = np.linalg.norm(seen[:, 18] - seen[:, 17], axis=-1)
    flat = np.linalg.norm(seen[:, :17, None] - seen[:, None, :17], axis=-1) / ruler[:, None, None]
    flat = np.log(flat.mean(0)[np.triu_indices(17, 1)] / lengths(points[:17]))
    assert np.median(np.abs(flat)) > 0.03  # what one frame at a time would say
    assert body.wrong < 0.1


def test_an_end_called_the_start_changes_nothing():
    _, seen = scene()
    swapped = seen.copy()
    swapped[2:5, -2:] = seen[2:5, :-3:-1]
    for one, other in zip(run(seen), run(swapped), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_longer_reference_object_is_of_its_length():
    """The same scene in lengths of an object that is twice as long, told so, has the same body."""
    points, _ = scene(1)
    twice = scene(1, ends=(-1, 1))
    np.testing.assert_allclose(points[:17], twice[0][:17])
    wrong = lengths(run(twice[1], reference=2.0).points) / lengths(points[:17])
    assert np.median(np.abs(np.log(wrong))) < 0.006


def test_another_phone_is_found_out():
    points, seen = scene(2, focal=2.7 * 1.15)
    wrong = np.log(lengths(run(seen).points) / lengths(points[:17]))
    assert np.median(np.abs(wrong)) < 0.01


def test_a_point_that_is_sure_of_the_wrong_place_moves_little():
    points, seen = scene(3)
    seen[2, 5] += 0.4
    seen[5, 12] -= 0.5
    wrong = np.log(lengths(run(seen).points) / lengths(points[:17]))
    assert np.median(np.abs(wrong)) < 0.01


def test_as_near_as_least_squares_of_scipy_comes():
    """The same unknowns; nothing is weighed by how well it fits, and tilts are free."""
    points, seen = scene(5)
    seen = seen + np.random.default_rng(0).normal(0, 0.01, seen.shape).astype(np.float32)
    frames = len(seen)

    def residuals(unknown):
        body, cameras, focal = unknown[:51].reshape(17, 3), unknown[51:-1].reshape(
            frames, 6), unknown[-1]
        whole = np.concatenate([body, points[17:]])
        turns = Rotation.from_rotvec(cameras[:, :3]).as_matrix()
        at = np.einsum("tij,kj->tki", turns, whole) + cameras[:, None, 3:]
        error = (seen - 2.7 * np.exp(focal) * at[..., :2] / at[..., 2:]) / 0.015
        return np.concatenate([error.ravel(), (body[:, 2] - 0.12) / 0.2, [focal / 0.1]])

    body = run(seen)
    start = np.concatenate([body.points.ravel(), np.tile([np.pi, 0, 0, -0.35, 0, 2.2], frames),
                            [0.0]])
    found = least_squares(residuals, start, max_nfev=60)
    best = lengths(found.x[:51].reshape(17, 3))
    assert np.median(np.abs(np.log(lengths(body.points) / best))) < 0.01
    # No further from the truth than the noise allows the other to be.
    true = lengths(points[:17])
    of = lambda value: np.median(np.abs(np.log(value / true)))
    assert of(lengths(body.points)) < 1.2 * of(best) + 0.002


@pytest.mark.parametrize("maps", [
    np.zeros((1, 2, 12, 12, 19), np.float32), -np.ones((1, 1, 12, 12, 19), np.float32),
    np.random.default_rng(0).normal(0, 3, (1, 3, 12, 12, 19)).astype(np.float32)])
def test_nonsense_stays_within_bounds(maps):
    found = np.asarray(of_maps(jnp.asarray(maps)))
    assert found.shape == (1, len(NAMES))
    assert np.isfinite(found).all() and np.abs(found).max() <= GAIN


def test_a_larger_body_has_larger_lengths():
    def maps(scale):
        points, _ = scene(4)
        points[:17] *= scale
        _, seen = points, []
        for angle in np.linspace(-25, 25, 5):
            turn = np.diag([1, -1, -1]) @ Rotation.from_euler("xy", [20, angle],
                                                              degrees=True).as_matrix()
            at = (points - [0.3, 0, 0.1]) @ turn.T + [0, 0, 3.2]
            seen.append(2.7 * at[:, :2] / at[:, 2:])
        return drawn(np.array(seen))[None]

    small, large = (np.asarray(of_maps(jnp.asarray(maps(scale))))[0] / GAIN for scale in (0.9, 1))
    grown = (large - small)[:len(SPANS)]
    inside = np.abs(large[:len(SPANS)]) < 0.69  # not at the bounds
    assert inside.sum() > len(SPANS) / 2
    assert np.median(np.abs(grown[inside] - np.log(1 / 0.9))) < 0.02
    long = dict(zip(NAMES, large, strict=True))
    assert long["nearer_shoulder"] < 0  # what lies higher is nearer


def test_gradients_reach_the_points():
    """For model.geometry_gradient; to lengthen the body is to move its points apart."""
    _, seen = scene(0, frames=4)
    sure = jnp.ones((1, *seen.shape[:2]))
    spread = lambda seen: jnp.square(fit(seen, sure, jnp.ones(1)).points[..., :2]).sum()
    gradient = np.asarray(jax.jit(jax.grad(spread))(jnp.asarray(seen)[None]))
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).sum((0, 1, 3)) > 0).all()


def test_solve_is_that_of_numpy():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(3, 9, 7))
    matrices = np.einsum("bki,bkj->bij", roots, roots).astype(np.float32)
    right = rng.normal(size=(3, 7, 2)).astype(np.float32)
    np.testing.assert_allclose(solve(jnp.asarray(matrices), jnp.asarray(right)),
                               np.linalg.solve(matrices.astype(float), right), rtol=2e-3,
                               atol=2e-4)


def test_an_exported_file_does_the_same():
    pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
    from deps_jax.export import traced
    from deps_jax.export.device_timer import session
    b, t = traced.sizes("b", "t")
    model = traced.write(lambda x: {"y": partial(fit, reference=jnp.ones(x["seen"].shape[0]))(
        x["seen"], x["sure"]).points}, {"seen": ("float32", (b, t, len(KEYPOINTS), 2)),
                                        "sure": ("float32", (b, t, len(KEYPOINTS)))})
    seen = np.stack([scene(seed, frames=5)[1] for seed in (6, 7)])
    sure = np.ones(seen.shape[:3], np.float32)
    found = session(model.SerializeToString()).run(["y"], {"seen": seen, "sure": sure})[0]
    assert found.shape == (2, len(BODY_POINTS), 3)
    expected = fitted(jnp.asarray(seen), jnp.asarray(sure), jnp.ones(2)).points
    np.testing.assert_allclose(lengths(found), lengths(np.asarray(expected)), atol=2e-3)


def measures_of(x, fusion, weights):
    """Measures and scales in g and cm from heatmaps and what is known, by a network's last part."""
    sizes = features(x["maps"], x["reference_cm"])
    mean, log_scale = fusion.apply({"params": weights}, None, sizes, x["tabular"],
                                   x["tabular_mask"])
    return dict(zip(("mean", "scale"), fusion.scaling.measures(mean, log_scale), strict=True))


def weights_of(fusion):
    """Random weights of unit gain; by those of the sizes a body a tenth larger weighs a third more.

    A network that was trained weighs its sizes about so: a weight goes with the cube of lengths.
    """
    inputs = jnp.zeros((1, len(NAMES))), jnp.zeros((1, 4)), jnp.zeros((1, 4))
    shapes = jax.eval_shape(lambda: fusion.init(jax.random.key(0), None, *inputs))["params"]
    rng = np.random.default_rng(0)
    weights = jax.tree.map(lambda leaf: rng.normal(
        0, 1 / np.sqrt(leaf.shape[0]), leaf.shape).astype(np.float32), shapes)
    cube = np.zeros(weights["from_sizes"]["kernel"].shape, np.float32)
    cube[:len(SPANS), :5] = np.array([3, 1, 1, 1, 1]) / np.array(SCALING.label_std) / (
        len(SPANS) * GAIN)
    return {**weights, "from_sizes": {"kernel": cube}}


@pytest.mark.parametrize(("b", "t"), [(1, 3), (2, 2)])
def test_an_exported_file_has_the_measures_within_2_g_and_2_tenths_of_a_mm(b, t):
    pytest.importorskip("onnx", reason="ONNX is not installed (extra 'export')")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'export')")
    from deps_jax.export import traced
    from deps_jax.export.device_timer import session
    fusion = ModelSettings(in_space=True, fusion_members=1).fusion(SCALING)
    whole = partial(measures_of, fusion=fusion, weights=weights_of(fusion))
    many, frames = traced.sizes("b", "t")
    known = ("float32", (many, 4))
    model = traced.write(whole, {
        "maps": ("float32", (many, frames, 48, 48, len(KEYPOINTS))), "tabular": known,
        "tabular_mask": known, "reference_cm": ("float32", (many,))})
    assert sum(node.op_type == "Loop" for node in model.graph.node) == 1  # the rounds of the fit
    run_file = session(model.SerializeToString())
    for seed in range(3):
        maps = np.stack([drawn(scene(10 * seed + i, frames=t, focal=1.8)[1]) for i in range(b)])
        x = {"maps": maps, "tabular": np.float32([[2900, 7, 276, 1]] * b),
             "tabular_mask": np.ones((b, 4), np.float32),
             "reference_cm": np.full(b, 30, np.float32)}
        found, expected = run_file.run(["mean", "scale"], x), jax.jit(whole)(x)
        apart = np.abs(found[0] - np.asarray(expected["mean"])).max(0)
        assert apart[0] < 2 and apart[1:].max() < 0.02, apart
        np.testing.assert_allclose(found[1], expected["scale"], rtol=1e-3)
