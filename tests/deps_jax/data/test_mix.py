import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.common.loop.parallel import keys_of
from deps_jax.data.augment import Augment
from deps_jax.data.mix import mix, swapped

COUNT = 200
# Each image has one value of its own, and a class of its own.
IMAGES = np.arange(COUNT, dtype=np.float32)[:, None, None, None] * np.ones((1, 6, 8, 3), np.float32)
TARGETS = np.eye(COUNT, dtype=np.float32)


def mixed(mixup=0.0, cutmix=0.0, start=0, stop=COUNT):
    keys = keys_of(jax.random.key(0), start, stop - start)
    return [np.asarray(values) for values in mix(
        keys, jnp.asarray(IMAGES[start:stop]), jnp.asarray(TARGETS[start:stop]), mixup=mixup,
        cutmix=cutmix)]


@pytest.mark.parametrize("alphas", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_targets_are_mixed_as_their_images_are(alphas):
    images, targets = mixed(**alphas)
    partner = np.arange(COUNT) ^ 1
    share = targets[np.arange(COUNT), partner]
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(targets[np.arange(COUNT), np.arange(COUNT)], 1 - share, atol=1e-5)
    np.testing.assert_allclose(images.mean((1, 2, 3)),
                               (1 - share) * np.arange(COUNT) + share * partner, atol=1e-2)
    np.testing.assert_allclose(share[::2], share[1::2], atol=1e-6)  # both of a pair


def test_mixup_adds_and_cutmix_takes_a_rectangle():
    added, _ = mixed(mixup=0.4)
    assert np.ptp(added.reshape(COUNT, -1), axis=1).max() < 1e-3
    cut, _ = mixed(cutmix=1.0)
    taken = (cut == swapped(jnp.asarray(IMAGES)))[..., 0]
    for hole in np.asarray(taken):
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)
    assert 0.1 < taken.mean() < 0.4
    both, _ = mixed(mixup=0.4, cutmix=1.0)
    uneven = np.ptp(both.reshape(COUNT, -1), axis=1) > 1e-3
    assert 0.2 < uneven.mean() < 0.7  # half, less rectangles that are empty or everything


def test_shares_are_beta():
    _, targets = mixed(mixup=0.2)
    share = targets[np.arange(COUNT), np.arange(COUNT) ^ 1][::2]
    assert (np.minimum(share, 1 - share) < 0.05).mean() > 0.4  # most mix little
    assert np.mean(share) == pytest.approx(0.5, abs=0.15)


def test_pairs_do_not_depend_on_how_the_batch_is_shared():
    whole = mixed(mixup=0.4, cutmix=1.0)
    for part, values in zip(mixed(mixup=0.4, cutmix=1.0, start=100), whole, strict=True):
        np.testing.assert_allclose(part, values[100:], rtol=1e-6)


def test_bad_alphas_are_refused():
    with pytest.raises(ValueError, match=r"mixup -1 and cutmix 0.0 are alphas"):
        Augment(mean=(0.5,) * 3, std=(0.25,) * 3, mixup=-1)
