import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.data.augment import Augment, augment, normalise

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


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="3 numbers each"):
        Augment(mean=(0.5,), std=(0.2,))
    with pytest.raises(ValueError, match="crop_padding -1"):
        Augment(mean=PLAIN.mean, std=PLAIN.std, crop_padding=-1)
