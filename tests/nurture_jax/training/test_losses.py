"""Losses by hand, and what does not count."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_batches import SCALING, batch

from nurture_jax.measures import LABELS
from nurture_jax.network.model import Outputs
from nurture_jax.training.losses import (
    FARTHEST_CELLS,
    Losses,
    cross_entropy,
    dice,
    heatmap_error,
    huber,
    keypoint_error,
    laplace,
    masked_mean,
    point_distance,
    total_loss,
)


def test_measures_by_hand():
    mean, target = jnp.array([[0.5, 3.0]]), jnp.array([[0.0, 0.0]])
    np.testing.assert_allclose(huber(mean, target, 1.0), [[0.125, 2.5]])
    np.testing.assert_allclose(laplace(mean, jnp.log(jnp.array([[0.5, 2.0]])), target),
                               [[1.0, 1.5 + np.log(4)]], rtol=1e-6)
    held = laplace(jnp.array([[1.0]]), jnp.array([[-50.0]]), jnp.array([[1.0]]))
    np.testing.assert_allclose(held, [[-5 + np.log(2)]], rtol=1e-6)  # no scale runs to 0


def test_masks_by_hand():
    masks = jnp.zeros((1, 1, 2, 2), jnp.int32).at[0, 0, 0, 0].set(1)
    sure = 50.0 * jax.nn.one_hot(masks, 3)
    np.testing.assert_allclose(cross_entropy(sure, masks), [[0]], atol=1e-6)
    np.testing.assert_allclose(dice(sure, masks), [[0]], atol=1e-6)
    even = jnp.zeros((1, 1, 2, 2, 3))
    np.testing.assert_allclose(cross_entropy(even, masks), [[np.log(3)]], rtol=1e-6)
    # Class 1: |P Y| = 1/3, |P| = 4/3, |Y| = 1; class 2: 0, 4/3, 0.
    expected = (1 - (2 / 3 + 1) / (4 / 3 + 2) + 1 - 1 / (4 / 3 + 1)) / 2
    np.testing.assert_allclose(dice(even, masks), [[expected]], rtol=1e-6)


def test_a_heatmap_is_judged_by_its_peak():
    keypoints = jnp.array([[[[18.0, 10.0, 2.0]]]])  # the middle of cell (4, 2) of 8
    x, y = jnp.meshgrid(jnp.arange(8), jnp.arange(8))
    peak = jnp.exp(-(jnp.square(x - 4) + jnp.square(y - 2)) / 2)[None, None, ..., None]
    error = lambda heatmaps: heatmap_error(heatmaps, keypoints, 32, 1.0)[0, 0, 0]
    np.testing.assert_allclose(error(peak), 0, atol=1e-6)
    np.testing.assert_allclose(error(0 * peak), 1, rtol=0.02)  # a little of it is cut off
    assert error(jnp.swapaxes(peak, 2, 3)) > 1


@pytest.mark.parametrize("weight, tolerance", [(0.0, 1e-5), (0.5, 0.05)])
def test_the_ends_of_a_ruler_may_change_places_and_nothing_else_may(weight, tolerance):
    points = np.random.default_rng(0).uniform(6, 26, (1, 1, 19, 3))
    points[..., 2] = 2
    turned = points[:, :, [*range(17), 18, 17]]
    grid = np.arange(8) + 0.5
    across, down = (np.exp(-(grid - points[..., i, None] / 4)**2 / 2) for i in (0, 1))
    maps = jnp.asarray(np.einsum("btkh,btkw->bthwk", down, across))
    error = lambda keypoints: np.asarray(
        keypoint_error(maps, jnp.asarray(keypoints), 32, Losses(points=weight)))
    np.testing.assert_allclose(error(points), 0, atol=tolerance)
    np.testing.assert_allclose(error(turned), 0, atol=tolerance)
    swapped = error(points[:, :, [1, 0, *range(2, 19)]])
    assert (swapped[..., :2] > 0.1).all() and np.allclose(swapped[..., 2:], 0, atol=tolerance)
    # An end out of the picture says nothing about the order.
    turned[..., 17, 2] = 0
    np.testing.assert_allclose(error(turned)[..., 18], 0, atol=tolerance)


def test_the_distance_of_a_peak_counts_by_its_height():
    x, y = jnp.meshgrid(jnp.arange(16) + 0.5, jnp.arange(16) + 0.5)
    peak = jnp.exp(-(jnp.square(x - 8) + jnp.square(y - 6)) / 2)[None, None, ..., None]
    at = lambda x, y: jnp.array([[[[4.0 * x, 4.0 * y, 2.0]]]])  # cells of 4 px
    distance = lambda height, point: float(point_distance(height * peak, point, 64)[0, 0, 0])
    height = float(peak.max())
    assert distance(1, at(8, 6)) == pytest.approx(0, abs=0.02)
    assert distance(1, at(9.5, 5)) == pytest.approx(2.5 * height, abs=0.03)
    assert distance(0.5, at(9.5, 5)) == pytest.approx(1.25 * height, abs=0.03)
    assert distance(1, at(1, 1)) == pytest.approx(FARTHEST_CELLS * height)
    # The gradient pulls the peak to the point: up on the near side, down on the far side.
    pull = jax.grad(lambda maps: point_distance(maps, at(9.5, 6), 64).sum())(peak)[0, 0, 6, :, 0]
    assert pull[9] < 0 < pull[6]
    empty = jax.grad(lambda maps: point_distance(maps, at(9.5, 6), 64).sum())(0 * peak)
    assert not empty.any()  # and no nan where nothing was seen


def test_only_what_is_labelled_counts():
    values, mask = jnp.array([1.0, jnp.nan, 3.0]), jnp.array([1.0, 0.0, 1.0])
    value, gradient = jax.value_and_grad(masked_mean)(values, mask, None)
    np.testing.assert_allclose(value, 2)
    np.testing.assert_allclose(gradient, [0.5, 0, 0.5])
    assert masked_mean(values, jnp.zeros(3), None) == 0


def test_devices_with_uneven_labels_share_one_mean():
    values, mask = jnp.array([[1.0, 2.0], [4.0, 8.0]]), jnp.array([[1.0, 1.0], [0.0, 1.0]])
    each = jax.pmap(lambda v, m: masked_mean(v, m, "data"), "data")(values, mask)
    np.testing.assert_allclose(each.mean(), masked_mean(values, mask, None))


@pytest.fixture(scope="module")
def outputs():
    rng = np.random.default_rng(1)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    return Outputs(mean=draw(4, 5), log_scale=draw(4, 5), segmentation=draw(4, 2, 8, 8, 3),
                   heatmaps=draw(4, 2, 8, 8, 19))


@pytest.mark.parametrize("regression", ["laplace", "huber"])
def test_an_unlabelled_measure_gives_no_gradient(outputs, regression):
    some = batch(known=0.5)
    some["labels_mask"][0] = 0
    some["labels_mask"][:, 3] = 0
    gradient = jax.grad(
        lambda outputs: total_loss(Losses(regression), SCALING, outputs, some)[0])(outputs)
    for name in ("mean", "log_scale"):
        moved = np.asarray(getattr(gradient, name)) != 0
        np.testing.assert_array_equal(moved, some["labels_mask"] > 0)
    for name, seen in (("segmentation", some["annotated"]), ("heatmaps", some["annotated"])):
        moved = np.abs(np.asarray(getattr(gradient, name))).sum((2, 3, 4)) > 0
        np.testing.assert_array_equal(moved, seen > 0)
    # Of an annotated newborn a point that is not marked may only have been left out.
    moved = np.asarray(np.abs(gradient.heatmaps)).sum((2, 3)) > 0
    marked = some["keypoints"][..., :17, 2] > 0
    np.testing.assert_array_equal(moved[..., :17], marked & (some["annotated"] > 0)[..., None])


def test_ends_that_are_not_marked_are_taught_to_be_absent_and_so_is_a_whole_newborn(outputs):
    """With an end out of the picture its map should be empty; without a newborn all of its maps."""
    some = batch()
    some["keypoints"][:, :, 17:, 2] = 0
    some["masks"][0] = 2
    some["keypoints"][0, :, :, 2] = 0
    gradient = jax.grad(
        lambda outputs: total_loss(Losses(), SCALING, outputs, some)[0])(outputs).heatmaps
    # Downhill is towards 0 in every cell.
    towards = np.asarray(gradient * outputs.heatmaps)
    assert (towards[..., 17:] >= 0).all() and (towards[..., 17:].sum((2, 3)) > 0).all()
    assert (towards[0, ..., :17] >= 0).all() and (towards[0, ..., :17].sum((1, 2)) > 0).all()
    assert (towards[1:, ..., :17] < 0).any()


def test_ends_count_for_more_than_points_of_the_body(outputs):
    """Their share of the gradient grows as the weight does, and all else is as it was."""
    of = lambda ends: np.abs(np.asarray(jax.grad(lambda outputs: total_loss(
        Losses(ends=ends), SCALING, outputs, batch())[0])(outputs).heatmaps)).sum((0, 1, 2, 3))
    alike, more = of(1.0), of(4.0)
    ratio = more / alike
    np.testing.assert_allclose(ratio[17:] / ratio[0], 4, rtol=1e-4)
    np.testing.assert_allclose(ratio[:17], ratio[0], rtol=1e-4)


def test_a_newborn_with_points_and_no_outline_is_not_taught_to_be_nobody(outputs):
    some = batch()
    some["annotated"][:] = 1
    some["masks"][0] = np.where(some["masks"][0] == 1, 0, some["masks"][0])
    some["keypoints"][1, :, :17, 2] = 0  # an outline alone, and nobody at all, are both told
    some["masks"][2], some["keypoints"][2, :, :17, 2] = 0, 0
    gradient = jax.grad(lambda outputs: total_loss(Losses(), SCALING, outputs, some)[0])(outputs)
    moved = np.abs(np.asarray(gradient.segmentation)).sum((1, 2, 3, 4)) > 0
    np.testing.assert_array_equal(moved, [False, True, True, True])
    assert np.asarray(gradient.heatmaps)[0].any()  # its points still are


def test_one_end_is_enough_to_be_seen_at_either_map():
    """The other end has left the picture: one map has a peak, either one, and one is empty."""
    points = np.zeros((1, 1, 19, 3), np.float32)
    points[0, 0, 17] = (10, 14, 2)
    for peak in (17, 18):
        maps = np.zeros((1, 1, 8, 8, 19), np.float32)
        y, x = np.mgrid[:8, :8] + 0.5
        maps[0, 0, ..., peak] = np.exp(-((x - 2.5) ** 2 + (y - 3.5) ** 2) / 2)
        found = keypoint_error(maps, jnp.asarray(points), 32, Losses(points=0.0))
        np.testing.assert_allclose(found[0, 0, 17:], 0, atol=1e-6)


def test_scales_follow_a_huber_loss_without_moving_the_means(outputs):
    settings, whole = Losses("huber"), batch()
    only = lambda name, value: total_loss(settings, SCALING, outputs.replace(**{name: value}),
                                           whole)[0]
    assert np.any(jax.grad(lambda v: only("log_scale", v))(outputs.log_scale))
    moved = jax.grad(lambda v: only("mean", v))(outputs.mean)
    wider = jax.grad(lambda v: total_loss(settings, SCALING, outputs.replace(
        mean=v, log_scale=2 + outputs.log_scale), whole)[0])(outputs.mean)
    np.testing.assert_allclose(moved, wider, rtol=1e-6)


def test_metrics_are_in_the_units_of_the_measures(outputs):
    whole = batch()
    loss, metrics = total_loss(Losses(), SCALING, outputs, whole)
    logs = np.array(SCALING.label_mean) + np.array(outputs.mean) * np.array(SCALING.label_std)
    expected = np.abs(np.exp(logs) - whole["labels"]).mean(0)
    found = [metrics[f"mae_{name}"].compute() for name in LABELS]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    weights = dict(zip(LABELS, Losses().measures, strict=True)) | {
        "segmentation": 0.5, "keypoints": 0.5}
    total = sum(weight * metrics[f"loss_{name}"].compute() for name, weight in weights.items())
    np.testing.assert_allclose(loss, total, rtol=1e-5)


def test_a_head_that_is_not_there_costs_nothing(outputs):
    measures = Outputs(outputs.mean, outputs.log_scale)
    _, metrics = total_loss(Losses(), SCALING, measures, batch())
    assert not {"loss_segmentation", "loss_keypoints"} & set(metrics)


@pytest.mark.parametrize("loss", [
    lambda: huber(jnp.zeros((4, 4)), jnp.zeros((4, 1)), 1.0),
    lambda: laplace(jnp.zeros((4, 4)), jnp.zeros((4, 4)), jnp.zeros((1, 4))),
    lambda: masked_mean(jnp.zeros(4), jnp.zeros((4, 1)), None),
    lambda: cross_entropy(jnp.zeros((1, 1, 4, 4, 3)), jnp.zeros((1, 1, 4, 1), jnp.int32)),
    lambda: heatmap_error(jnp.zeros((1, 2, 4, 4, 19)), jnp.zeros((1, 1, 19, 3)), 16, 1.0)])
def test_nothing_is_broadcast(loss):
    with pytest.raises(AssertionError):
        loss()


@pytest.mark.parametrize(("fields", "message"), [
    (dict(regression="l2"), "losses.regression 'l2' is unknown; use one of"),
    (dict(measures=(1.0, 1.0)), "must be 5 weights of 0 or more, one for each of"),
    (dict(keypoints=-1.0), "must be 0 or more"), (dict(huber_delta=0.0), "must be above 0"),
    (dict(ends=0.0), "losses.ends 0.0 must be above 0")])
def test_settings_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        Losses(**fields)
