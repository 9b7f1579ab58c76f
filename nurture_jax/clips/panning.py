"""A picture filmed: a hand that pans, zooms and turns over a photograph, as a clip."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

_KEPT_SIDES = 1.6  # side of a kept picture over that of a clip: the closest look is still sharp
# Of the shorter side of the picture, what a clip shows; how far it goes, and how much it turns.
_SHOWN, _ZOOMS, _TURNS = (0.5, 0.95), 0.2, 0.15


def read_picture(path: Path, size: int) -> np.ndarray:
    """A photograph, small enough to keep many, [h, w, 3] uint8 RGB.

    Args:
      size: Side of the clips that are made of it, in pixels.

    Raises:
      ValueError: If it cannot be read.
    """
    # Not `imread`, which cannot open every name that a system allows.
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path} cannot be read as a picture; remove it or save it as PNG")
    scale = min(1.0, _KEPT_SIDES * size / min(picture.shape[:2]))
    shape = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, shape, interpolation=cv2.INTER_AREA)[..., ::-1].copy()


def film(rng: np.random.Generator, picture: np.ndarray, frames: int, size: int) -> np.ndarray:
    """A clip of a picture, [t, size, size, 3] uint8: nothing outside of the picture is shown.

    Args:
      picture: The picture, [h, w, 3] uint8.
      frames: Number of frames.
      size: Side of the frames in pixels.
    """
    height, width = picture.shape[:2]
    time = np.linspace(-1, 1, frames)
    sides = rng.uniform(*_SHOWN) * np.exp(_ZOOMS * rng.uniform(-1, 1) * time)
    sides = np.minimum(sides, _SHOWN[1]) * min(height, width)  # t
    angles = rng.normal(0, _TURNS) + 0.3 * _TURNS * rng.normal() * time
    reach = 0.5 * sides * (np.abs(np.cos(angles)) + np.abs(np.sin(angles)))
    place = np.linspace(rng.uniform(-1, 1, 2), rng.uniform(-1, 1, 2), frames)
    room = np.maximum(np.array([width, height]) / 2 - reach[:, None], 0)
    centres = np.array([width, height]) / 2 + place * room  # t 2
    clip = np.empty((frames, size, size, 3), np.uint8)
    for i, (side, angle, centre) in enumerate(zip(sides, angles, centres, strict=True)):
        turn = side / size * np.array([[np.cos(angle), -np.sin(angle)],
                                       [np.sin(angle), np.cos(angle)]])
        # OpenCV counts from pixel centres.
        shift = centre - 0.5 - turn @ np.full(2, (size - 1) / 2)
        clip[i] = cv2.warpAffine(picture, np.column_stack([turn, shift]), (size, size),
                                 flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                 borderMode=cv2.BORDER_REFLECT_101)
    return clip
