"""Single images: read, resized, cropped. Needs NumPy and OpenCV only."""
from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np


def read_image(path: Path) -> np.ndarray:
    """An image, [h, w, 3] uint8 RGB, turned as its EXIF says; ValueError if it is unreadable."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ValueError(f"image {path} cannot be read: {error.strerror}") from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:  # such as a size that no picture has
        image = None
    if image is None:
        raise ValueError(f"image {path} cannot be read; it is damaged or not an image")
    return np.ascontiguousarray(image[..., ::-1])


def centre_crop(image: np.ndarray, resolution: int, short_side: int) -> np.ndarray:
    """Resizes an image and cuts its centre out: [h, w, 3] -> [resolution, resolution, 3].

    Args:
      resolution: Side of the square in pixels.
      short_side: Pixels of the short side after resizing, at least `resolution`.
    """
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    size = (max(resolution, round(width * scale)), max(resolution, round(height * scale)))
    image = cv2.resize(image, size, interpolation=_interpolation(scale))
    top, left = (image.shape[0] - resolution) // 2, (image.shape[1] - resolution) // 2
    return image[top:top + resolution, left:left + resolution]


def with_margin(resolution: int) -> int:
    """Pixels of the short side before the usual evaluation crop, which takes the middle 87.5 %."""
    return math.ceil(resolution / 0.875)


def random_resized_crop(image: np.ndarray, resolution: int, generator: np.random.Generator,
                        least_area: float = 0.08) -> np.ndarray:
    """A random part of an image, resized to a square (Inception): [resolution, resolution, 3].

    Its aspect is from 3/4 to 4/3. Where none of 10 parts fits, it is the centre crop.

    Args:
      resolution: Side of the square in pixels.
      least_area: Least area of the part, as a share of the image.
    """
    height, width = image.shape[:2]
    for _ in range(10):
        area = height * width * generator.uniform(least_area, 1)
        aspect = np.exp(generator.uniform(np.log(3 / 4), np.log(4 / 3)))
        wide, tall = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < wide <= width and 0 < tall <= height:
            top, left = generator.integers(height - tall + 1), generator.integers(width - wide + 1)
            part = image[top:top + tall, left:left + wide]
            return cv2.resize(part, (resolution, resolution),
                              interpolation=_interpolation(resolution / wide))
    return centre_crop(image, resolution, with_margin(resolution))


def _interpolation(scale: float) -> int:
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
