"""Grey values, smaller pictures and edges as OpenCV makes them, in NumPy alone.

What looks at a recording before an estimate runs wherever a model file does.
"""
from __future__ import annotations

import numpy as np

# Weights of red, green and blue (ITU-R BT.601) in parts of 2^15.
_GREY, _BITS = (9798, 19235, 3735), 15


def grey(frames: np.ndarray) -> np.ndarray:
    """Grey values [..., h, w] uint8 of RGB pictures [..., h, w, 3] uint8."""
    red, green, blue = (frames[..., i].astype(np.int32) * weight for i, weight in enumerate(_GREY))
    return ((red + green + blue + (1 << _BITS - 1)) >> _BITS).astype(np.uint8)


def shrunk(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture [h, w] float32 brought to a smaller size, every pixel the mean of its area."""
    return _areas(picture.shape[0], height) @ picture @ _areas(picture.shape[1], width).T


def smoothed(picture: np.ndarray, deviation_px: float) -> np.ndarray:
    """A picture [h, w] float32 under a Gaussian of four deviations to each side, mirrored."""
    reach = round(4 * deviation_px)
    weights = np.exp(-np.square(np.arange(-reach, reach + 1) / deviation_px) / 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        wide = _mirrored(picture, reach, axis)
        size = picture.shape[axis]
        picture = sum(weight * wide.take(range(i, i + size), axis)
                      for i, weight in enumerate(weights))
    return picture


def laplacian(picture: np.ndarray) -> np.ndarray:
    """The four neighbours of each pixel minus four times itself, [h, w]; mirrored at the border."""
    rows, columns = _mirrored(picture, 1, 0), _mirrored(picture, 1, 1)
    return rows[:-2] + rows[2:] + columns[:, :-2] + columns[:, 2:] - 4 * picture


def _mirrored(picture: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """More rows or columns at both ends; the one at the border is its own mirror."""
    widths = [(reach, reach) if i == axis else (0, 0) for i in range(2)]
    return np.pad(picture, widths, mode="reflect" if picture.shape[axis] > 1 else "edge")


def _areas(before: int, after: int) -> np.ndarray:
    """How much of each old pixel is in each new one, [after, before] float32, rows sum to 1."""
    step = before / after
    first = np.arange(after)[:, None] * step
    inside = np.minimum(first + step, np.arange(before) + 1) - np.maximum(first, np.arange(before))
    return (np.maximum(inside, 0) / step).astype(np.float32)
