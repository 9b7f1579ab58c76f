"""A picture of pictures: frames of many visits, the masks and keypoints of some, one over time."""
from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from nurture_jax.measures import BODY_POINTS, NEWBORN, REFERENCE
from nurture_jax.synthetic.bodies import BODIES, BOTH
from nurture_jax.synthetic.visit import Settings, Visit, draw_visit, keypoints, pictures

COLUMNS = 6
ROWS = 2  # of infants; two more show masks and time
RENDER_PX = 240
TILE_PX = (140, 190)  # width, height
TINTS = {NEWBORN: (60, 200, 90), REFERENCE: (250, 120, 30)}


def contact_sheet(path: Path, settings: Settings) -> None:
    """Writes a png of the middle frames of the first visits of the first infants.

    Below them are a row again with masks and keypoints (filled: seen, ring: hidden), and its first
    infant from the first to the last frame: of the first row or, where there are both kinds, of the
    second, which shows the infants of the first as the other kind.
    """
    settings = dataclasses.replace(settings, short_sides_px=(RENDER_PX,))
    chosen = [(settings, index) for index in range(COLUMNS * ROWS)]
    if settings.body == BOTH:
        chosen = [(dataclasses.replace(settings, body=body), index)
                  for body in BODIES for index in range(COLUMNS)]
    visits = [_without_noise(draw_visit(made, index, 1)) for made, index in chosen]
    tiles = [_tile(visit, len(visit.scene.times_s) // 2, marked=False) for visit in visits]
    again = visits[COLUMNS:] if settings.body == BOTH else visits[:COLUMNS]
    tiles += [_tile(visit, len(visit.scene.times_s) // 2, marked=True) for visit in again]
    times = np.linspace(0, len(again[0].scene.times_s) - 1, COLUMNS).astype(int)
    tiles += [_tile(again[0], k, marked=False) for k in times]
    rows = [np.concatenate(tiles[i:i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = Image.fromarray(np.concatenate(rows))
    palette = sheet.quantize(256, kmeans=2)  # a third of the size
    sheet.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


def _without_noise(visit: Visit) -> Visit:
    """The visit without its sensor noise, which would be most of the file."""
    return dataclasses.replace(visit, noise=np.zeros_like(visit.noise))


def _tile(visit: Visit, index: int, *, marked: bool) -> np.ndarray:
    """The middle of a frame, [tile height, tile width, 3] uint8.

    Args:
      index: Number of the frame.
      marked: Whether masks and keypoints are drawn on it.
    """
    picture, ids, depth = (np.array(part) for part in next(pictures(visit, [index])))
    if marked:
        for category, tint in TINTS.items():
            inside = ids == category
            picture[inside] = (0.55 * picture[inside] + 0.45 * np.array(tint)).astype(np.uint8)
        for i, (x, y, v) in enumerate(keypoints(visit, index, depth)):
            colour = (255, 255, 255) if i < len(BODY_POINTS) else (255, 255, 0)
            if v:
                cv2.circle(picture, (int(x), int(y)), 4, colour, -1 if v == 2 else 1, cv2.LINE_AA)
    width, height = TILE_PX
    rows = round(visit.width * height / width)
    top = (visit.height - rows) // 2
    return cv2.resize(picture[top:top + rows], TILE_PX, interpolation=cv2.INTER_AREA)
