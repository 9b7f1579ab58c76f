"""Frames, masks and keypoints move together, once for a clip, whatever the devices."""
import colorsys
import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from make_batches import CHANGED

from nurture_jax.clips.clip_augment import MIRRORED, ClipAugment, augment
from nurture_jax.measures import KEYPOINTS

SIZE, STRIDE = 64, 4
PLAIN = dict(mean=(0.0,) * 3, std=(1.0,) * 3)
KEY = jax.random.key(1)
MOVING = ClipAugment(**PLAIN, flip=True, zoom=(0.7, 1.5), shift=0.1)


@pytest.fixture(scope="module")
def batch():
    """Eight clips of three frames: a white block, its mask, and keypoints on its centre."""
    rng = np.random.default_rng(0)
    frames = np.zeros((8, 3, SIZE, SIZE, 3), np.uint8)
    masks = np.zeros((8, 3, SIZE // STRIDE, SIZE // STRIDE), np.uint8)
    keypoints = np.zeros((8, 3, 19, 3), np.float32)
    for i in range(8):
        y, x = rng.integers(5, 9, 2)  # cells
        frames[i, :, y * 4:y * 4 + 12, x * 4:x * 4 + 12] = 255
        masks[i, :, y:y + 3, x:x + 3] = 1
        keypoints[i, :, :] = (x * 4 + 6, y * 4 + 6, 2)
        keypoints[i, :, 5] = (x * 4, y * 4 + 6, 1)  # left shoulder, on the left side
        keypoints[i, :, 3] = (1, 1, 2)  # an ear in the corner
    return {"frames": frames, "masks": masks, "keypoints": keypoints,
            "labels": np.ones((8, 5), np.float32)}


@pytest.fixture(scope="module")
def moved(batch):
    return jax.jit(partial(augment, settings=MOVING))(jax.random.key(1), batch)


def centre(picture):
    """(x, y) of the bright part, continuous; of the last two axes."""
    picture = np.asarray(picture, float)
    grid = np.arange(picture.shape[0]) + 0.5
    return np.array([(picture.sum(0) * grid).sum(), (picture.sum(1) * grid).sum()]) / picture.sum()


def test_everything_moves_together(batch, moved):
    flips = 0
    for i in range(8):
        block = centre(moved["frames"][i, 0, ..., 0])
        np.testing.assert_allclose(moved["keypoints"][i, 0, 0, :2], block, atol=0.3)
        np.testing.assert_allclose(centre(moved["masks"][i, 0]) * STRIDE, block, atol=3)
        # The left shoulder lay left of the nose: it still does, or it is the right one now.
        left, right = moved["keypoints"][i, 0, 5], moved["keypoints"][i, 0, 6]
        mirrored = float(right[2]) == 1
        flips += mirrored
        shoulder = right if mirrored else left
        assert (shoulder[0] > block[0]) if mirrored else (shoulder[0] < block[0])
        assert int(shoulder[2]) == 1
    assert 0 < flips < 8
    assert not np.allclose(moved["frames"][0], batch["frames"][0] / 255)
    np.testing.assert_array_equal(moved["labels"], batch["labels"])


def test_one_draw_for_all_frames(moved):
    for name in ("frames", "masks", "keypoints"):
        np.testing.assert_array_equal(moved[name][:, 0], moved[name][:, 2])
    chex.assert_shape(moved["frames"], (8, 3, SIZE, SIZE, 3))
    assert len({float(x) for x in moved["keypoints"][:, 0, 0, 0]}) > 4


def test_a_point_outside_is_not_labelled(batch):
    away = ClipAugment(**PLAIN, zoom=(1.5, 1.5))
    found = augment(jax.random.key(0), batch, away)["keypoints"]
    assert not np.asarray(found[:, :, 3]).any()
    assert np.asarray(found[:, :, 0, 2] == 2).all()


def test_mirror_twice_is_the_same(batch):
    assert [MIRRORED[i] for i in MIRRORED] == list(range(19))
    assert KEYPOINTS[MIRRORED[KEYPOINTS.index("left_hip")]] == "right_hip"
    assert MIRRORED[17:] == (17, 18)  # the ends of the ruler are no sides
    only_flip = ClipAugment(**PLAIN, flip=True)
    once = augment(jax.random.key(3), batch, only_flip)
    same = np.array([np.allclose(once["frames"][i], batch["frames"][i] / 255, atol=1e-5)
                     for i in range(8)])
    assert 0 < same.sum() < 8
    for i in np.nonzero(~same)[0]:
        np.testing.assert_allclose(once["frames"][i], batch["frames"][i][:, :, ::-1] / 255,
                                   atol=1e-5)
        np.testing.assert_array_equal(once["masks"][i], batch["masks"][i][..., ::-1])


def test_colour_is_one_draw_and_within_its_limits(batch):
    settings = ClipAugment(**PLAIN, brightness=0.1, contrast=0.2, colour=0.1)
    found = np.asarray(augment(jax.random.key(0), batch, settings)["frames"])
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    assert found.min() >= 0 and found.max() <= 1
    assert found.std(axis=(1, 2, 3)).std() > 0
    settings = ClipAugment(mean=(0.5,) * 3, std=(0.25,) * 3)
    plain = augment(jax.random.key(0), batch, settings)
    np.testing.assert_allclose(plain["frames"], (batch["frames"] / 255 - 0.5) / 0.25, atol=1e-5)
    np.testing.assert_array_equal(plain["masks"], batch["masks"])


def test_hues_are_turned_and_greys_left_alone(batch):
    """One turn for a clip, the same for all of its colours, another for the next."""
    frames = np.full((4, 2, 8, 8, 3), 128, np.uint8)
    frames[:, :, 2:4, 2:4], frames[:, :, 4:6, 2:4] = (200, 40, 40), (40, 200, 40)
    settings = ClipAugment(**PLAIN, hue=0.25)
    found = np.asarray(augment(KEY, {"frames": frames}, settings)["frames"])
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    np.testing.assert_allclose(found[:, :, :2], frames[:, :, :2] / 255, atol=1e-4)
    hues = np.array([[colorsys.rgb_to_hsv(*found[i, 0, y, 2])[0] for y in (2, 4)]
                     for i in range(4)])  # of 0 and 1 / 3 of the circle
    turns = (hues - np.array([0, 1 / 3]) + 0.5) % 1 - 0.5
    np.testing.assert_allclose(turns[:, 0], turns[:, 1], atol=1e-4)
    assert np.ptp(turns[:, 0]) > 0.02 and np.abs(turns).max() <= 0.25
    faded = np.asarray(augment(KEY, {"frames": frames}, ClipAugment(**PLAIN, saturation=0.5))[
        "frames"])
    saturations = np.array([colorsys.rgb_to_hsv(*clip[0, 2, 2])[1] for clip in faded])
    assert (saturations < 0.8).any() and np.abs(saturations - 0.8).max() <= 0.41
    np.testing.assert_allclose(faded[:, :, :2], frames[:, :, :2] / 255, atol=1e-4)


def test_bars_beside_a_picture_stay_black_and_change_no_colour(batch):
    """As they are in use, where nothing is recoloured."""
    settings = ClipAugment(**PLAIN, brightness=0.2, contrast=0.3, colour=0.1, saturation=0.5,
                           hue=0.2)
    frames = np.maximum(np.asarray(batch["frames"]), 1).astype(np.uint8)
    wide = np.pad(frames, ((0, 0), (0, 0), (0, 0), (8, 8), (0, 0)))
    alone, barred = (np.asarray(augment(jax.random.key(3), {"frames": each}, settings)["frames"])
                     for each in (frames, wide))
    np.testing.assert_allclose(barred[:, :, :, 8:-8], alone, atol=1e-5)
    black = (0 - np.array(PLAIN["mean"])) / np.array(PLAIN["std"])
    np.testing.assert_allclose(barred[:, :, :, :8], np.broadcast_to(black, barred[
        :, :, :, :8].shape), atol=1e-6)


def test_draws_do_not_depend_on_the_devices(batch):
    whole = jax.jit(partial(augment, settings=CHANGED))(jax.random.key(5), batch)
    half = {name: value[4:] for name, value in batch.items()}
    part = jax.jit(partial(augment, settings=CHANGED))(jax.random.key(5), half, first=4)
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[4:], whole), part, atol=1e-5)


def test_some_frames_of_a_clip(batch):
    numbered = np.broadcast_to(np.arange(6, dtype=np.uint8)[:, None, None, None], (6, 8, 8, 3))
    clips = {"frames": np.stack([numbered] * 64), "masks": np.zeros((64, 6, 2, 2), np.uint8),
             "keypoints": np.zeros((64, 6, 19, 3), np.float32),
             "annotated": np.tile(np.float32([0, 1, 0, 0, 1, 0]), (64, 1)), "labels": np.ones(64)}
    clips["masks"] += np.arange(6, dtype=np.uint8)[:, None, None]
    settings = dict(PLAIN, frames=3)
    draw = lambda first: jax.tree.map(np.asarray, augment(
        jax.random.key(0), clips, ClipAugment(**settings, annotated_first=first)))
    found = draw(0.0)
    chosen = np.round(found["frames"][:, :, 0, 0, 0] * 255).astype(int)
    assert (np.diff(chosen) > 0).all()  # in their order, none twice
    np.testing.assert_array_equal(found["masks"][:, :, 0, 0], chosen)
    np.testing.assert_array_equal(found["annotated"], np.isin(chosen, (1, 4)))
    assert found["keypoints"].shape == (64, 3, 19, 3) and found["labels"].shape == (64,)
    counts = np.bincount(chosen.ravel(), minlength=6)
    assert counts.min() > 64 * 0.3  # 32 of 64 are expected
    assert (draw(1.0)["annotated"].sum(1) == 2).all()
    some = draw(0.5)["annotated"].mean()
    assert found["annotated"].mean() < some < 2 / 3
    whole = augment(jax.random.key(0), clips, ClipAugment(**dict(PLAIN, frames=9)))
    assert whole["frames"].shape[1] == 6


def test_without_annotations(batch):
    found = augment(jax.random.key(0), {"frames": jnp.asarray(batch["frames"])}, CHANGED)
    assert set(found) == {"frames"} and found["frames"].dtype == jnp.float32


@pytest.mark.parametrize("fields, sentence", [
    (dict(zoom=(1.2, 0.8)), r"zoom \(1.2, 0.8\) is not \(smallest, largest\) between"),
    (dict(shift=0.7), "shift 0.7 is not 0 to 0.5; use 0"),
    (dict(std=(0.0, 1.0, 1.0)), "std above 0"),
    (dict(frames=-1), "frames -1 is negative; use 0"),
    (dict(colour=2.0), "colour 2.0 is not 0 to 0.9")])
def test_settings_are_checked(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        ClipAugment(**fields)


def known(clips):
    """Inputs of so many infants of whom all is known."""
    tabular = np.arange(1, 4 * clips + 1, dtype=np.float32).reshape(clips, 4)
    return {"frames": np.zeros((clips, 1, 4, 4, 3), np.uint8), "tabular": tabular,
            "tabular_mask": np.ones((clips, 4), np.float32)}


def test_every_pattern_of_missing_inputs_is_drawn_as_often_as_said():
    full = known(4000)
    settings = ClipAugment(**PLAIN, forget=0.25, forget_all=0.1)
    found = jax.jit(partial(augment, settings=settings))(jax.random.key(3), full)
    mask = np.asarray(found["tabular_mask"])
    np.testing.assert_array_equal(found["tabular"], full["tabular"] * mask)
    patterns, counts = np.unique(mask, axis=0, return_counts=True)
    assert len(patterns) == 16
    kept = patterns.sum(1)
    expected = 0.9 * 0.75**kept * 0.25**(4 - kept) + 0.1 * (kept == 0)
    np.testing.assert_allclose(counts / len(mask), expected, atol=0.02)
    # Of what was not known nothing is made up, and frames are those of runs that forget nothing.
    full["tabular_mask"][:, 0] = full["tabular"][:, 0] = 0
    assert not np.asarray(augment(KEY, full, settings)["tabular_mask"])[:, 0].any()


def test_nothing_is_forgotten_in_use_or_unasked(batch):
    full = known(8)
    settings = dataclasses.replace(MOVING, forget=0.5, forget_all=0.5)
    for other in (settings.in_use, MOVING):
        found = augment(KEY, full, other)
        np.testing.assert_array_equal(found["tabular_mask"], full["tabular_mask"])
    with_table = {**batch, **{name: full[name] for name in ("tabular", "tabular_mask")}}
    chex.assert_trees_all_equal(augment(KEY, with_table, settings)["frames"],
                                augment(KEY, with_table, MOVING)["frames"])


@pytest.mark.parametrize("fields", [dict(forget=1.0), dict(forget_all=-0.1)])
def test_chances_to_forget_are_checked(fields):
    with pytest.raises(ValueError, match="must be 0 or more and below 1; use 0 to train on"):
        ClipAugment(**fields)
