import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.data.augment import Augment, augment, mirrored_in, normalise
from deps_jax.data.boxes import random_boxes

PLAIN = Augment(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 10, 3), np.uint8)


def run(key=0, images=IMAGES, first=0, **fields):
    settings = Augment(mean=PLAIN.mean, std=PLAIN.std, **fields)
    return np.asarray(augment(jax.random.key(key), jnp.asarray(images), first, settings))


def test_normalise():
    expected = (IMAGES / 255 - np.array(PLAIN.mean)) / np.array(PLAIN.std)
    np.testing.assert_allclose(normalise(jnp.asarray(IMAGES), PLAIN), expected, atol=1e-5)
    np.testing.assert_allclose(run(), expected, atol=1e-5)


def test_flip_mirrors_some_images_and_no_other():
    plain, flipped = run(), run(flip=True)
    kinds = [np.array_equal(a, b) or 2 * np.array_equal(a, b[:, ::-1])
             for a, b in zip(plain, flipped, strict=True)]
    assert set(kinds) == {1, 2}


def test_crops_are_windows_of_the_reflected_image():
    cropped, plain = run(crop_padding=2), run()
    padded = np.pad(plain, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    found = []
    for image, source in zip(cropped, padded, strict=True):
        places = [(i, j) for i in range(5) for j in range(5)
                  if np.array_equal(image, source[i:i + 8, j:j + 10])]
        assert len(places) == 1
        found += places
    assert len(set(found)) > 2


def test_cutout_sets_one_square_to_the_mean():
    images = np.full((50, 8, 10, 3), 200, np.uint8)
    out = run(images=images, cutout_size=4)
    holes = (out == 0).all(-1)
    assert holes.sum((1, 2)).max() == 16 and holes.sum((1, 2)).min() >= 4
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)


def test_draws_follow_the_place_in_the_global_batch():
    fields = {"flip": True, "crop_padding": 2, "cutout_size": 3}
    whole = run(**fields)
    chex.assert_trees_all_equal(whole[4:], run(images=IMAGES[4:], first=4, **fields))
    assert not np.array_equal(whole, run(key=1, **fields))


def test_alternating_flips_mirror_every_image_in_every_second_epoch():
    examples = jnp.array([5, 0, 700, 3, 11, 12])
    even, odd, again = (np.asarray(mirrored_in(jax.random.key(0), examples, epoch))
                        for epoch in (0, 1, 2))
    assert (even != odd).all() and (even == again).all() and 0 < even.sum() < 6
    many = mirrored_in(jax.random.key(0), jnp.arange(2000), 0)
    assert np.mean(many) == pytest.approx(0.5, abs=0.05)
    settings = Augment(mean=PLAIN.mean, std=PLAIN.std, flip=True, alternating=True)
    found = np.asarray(augment(jax.random.key(0), jnp.asarray(IMAGES), 0, settings,
                               jnp.asarray(even)))
    plain = run()
    for image, source, mirror in zip(found, plain, even, strict=True):
        np.testing.assert_array_equal(image, source[:, ::-1] if mirror else source)


def test_erased_boxes_have_the_sizes_of_the_paper():
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(400))
    boxes = np.asarray(random_boxes(keys, (400, 60, 80, 3), 0.5))[..., 0]
    there = boxes.any((1, 2))
    assert there.mean() == pytest.approx(0.5, abs=0.07)
    shares, aspects, tops = [], [], []
    for box in boxes[there]:
        rows, columns = np.flatnonzero(box.any(1)), np.flatnonzero(box.any(0))
        assert box.sum() == len(rows) * len(columns)
        shares.append(box.mean())
        aspects.append(len(rows) / len(columns))
        tops.append(rows[0])
    assert 0.015 < min(shares) < 0.05 and 0.28 < max(shares) < 0.34
    assert 0.25 < min(aspects) < 0.5 and 2 < max(aspects) < 4
    assert min(tops) == 0 and max(tops) > 35
    erased = run(images=np.full((50, 8, 10, 3), 200, np.uint8), erase_probability=1.0)
    assert (erased == 0).any((1, 2, 3)).all() and not (erased == 0).all((1, 2, 3)).any()


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="3 numbers each"):
        Augment(mean=(0.5,), std=(0.2,))
    with pytest.raises(ValueError, match="crop_padding -1"):
        Augment(mean=PLAIN.mean, std=PLAIN.std, crop_padding=-1)
