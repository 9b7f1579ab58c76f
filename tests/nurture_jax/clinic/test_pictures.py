"""Grey values, smaller pictures and edges beside those of OpenCV."""
import cv2
import numpy as np
import pytest

from nurture_jax.clinic import pictures


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (2, 61, 83, 3)).astype(np.uint8)


def test_grey(frames):
    ours = pictures.grey(frames).astype(int)
    theirs = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    assert ours.dtype == int and np.abs(ours - theirs).max() == 0


@pytest.mark.parametrize("shape", [(30, 41), (61, 83), (47, 70), (1, 1)])
def test_areas(frames, shape):
    picture = frames[0, ..., 0].astype(np.float32)
    theirs = cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(pictures.shrunk(picture, *shape), theirs, atol=2e-3)


@pytest.mark.parametrize("size", [96, 7, 2])
def test_edges(size):
    picture = np.random.default_rng(1).uniform(0, 255, (size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    np.testing.assert_allclose(pictures.smoothed(picture, 1.0), smooth, atol=2e-4)
    np.testing.assert_allclose(pictures.laplacian(smooth), cv2.Laplacian(smooth, cv2.CV_32F),
                               atol=2e-4)
