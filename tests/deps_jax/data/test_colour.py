import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_torchvision import FACTORS, FILE, pictures

from deps_jax.data import colour
from deps_jax.data.augment import Augment, augment

IMAGES = pictures()


def test_hue_turns_as_colorsys_does():
    turns = np.array([-0.3, 0.0, 0.2], np.float32)
    found = np.asarray(colour.hue(jnp.asarray(IMAGES), jnp.asarray(turns)))
    for image, turn, out in zip(IMAGES, turns, found, strict=True):
        for pixel, after in zip(image.reshape(-1, 3), out.reshape(-1, 3), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*pixel)
            np.testing.assert_allclose(after, colorsys.hsv_to_rgb((h + turn) % 1, s, v), atol=1e-5)
    grey = np.full((1, 2, 2, 3), 0.4, np.float32)
    np.testing.assert_array_equal(colour.hue(jnp.asarray(grey), jnp.asarray([0.3])), grey)


def test_changes_are_torchvisions():
    record = np.load(FILE)
    for name in ("brightness", "contrast", "saturation", "hue"):
        factors = FACTORS - 1 if name == "hue" else FACTORS
        found = getattr(colour, name)(jnp.asarray(IMAGES), jnp.asarray(factors))
        np.testing.assert_allclose(found, record[name], atol=1e-5)


def jittered(strengths, images=IMAGES, key=0, first=0):
    key = jax.random.key(key)
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(len(images)))
    return np.asarray(colour.jitter(key, keys, jnp.asarray(images), strengths))


def test_one_property_is_changed_within_its_range():
    images = np.repeat(np.full((1, 2, 2, 3), 0.5, np.float32), 400, 0)
    factors = 2 * jittered((0.4, 0.0, 0.0, 0.0), images)[:, 0, 0, 0]
    assert 0.6 <= factors.min() < 0.62 and 1.38 < factors.max() <= 1.4
    assert np.mean(factors) == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(jittered((0.0,) * 4), IMAGES)
    assert not np.array_equal(jittered((0.0, 0.0, 0.0, 0.1)), IMAGES)


def test_orders_differ_between_batches():
    """With the same factors: brightness within [0, 1] and contrast do not commute."""
    images, keys = jnp.asarray(IMAGES), jax.random.split(jax.random.key(5), len(IMAGES))
    drawn = [np.asarray(colour.jitter(jax.random.key(key), keys, images, (0.8, 0.8, 0.0, 0.0)))
             for key in range(8)]
    assert min(out.min() for out in drawn) >= 0 and max(out.max() for out in drawn) <= 1
    assert len({out.tobytes() for out in drawn}) == 2  # one for each order


def test_in_augmentation_colours_follow_the_place_in_the_batch():
    settings = Augment(mean=(0.5,) * 3, std=(0.25,) * 3, colour=(0.4, 0.4, 0.4, 0.1),
                       erase_probability=0.5)
    images = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), np.uint8)
    draw = lambda images, first: np.asarray(augment(jax.random.key(0), jnp.asarray(images), first,
                                                    settings))
    whole = draw(images, 0)
    np.testing.assert_allclose(whole[4:], draw(images[4:], 4), atol=1e-6)
    plain = np.asarray(augment(jax.random.key(0), jnp.asarray(images), 0, Augment(
        mean=(0.5,) * 3, std=(0.25,) * 3)))
    assert not np.allclose(whole, plain) and whole.min() >= -2 and whole.max() <= 2


@pytest.mark.parametrize("strengths", [(0.4, 0.4, 0.4), (0.4, 0.4, 0.4, 0.6), (-0.1, 0, 0, 0)])
def test_bad_strengths_are_refused(strengths):
    with pytest.raises(ValueError, match=r"colour .* must be the strengths of brightness"):
        Augment(mean=(0.5,) * 3, std=(0.25,) * 3, colour=strengths)
