"""The middle frame of a recording with what the network saw in it."""
from __future__ import annotations

import cv2
import numpy as np

from nurture_jax.measures import KEYPOINTS, NEWBORN, REFERENCE, REFERENCE_POINTS

COLOURS = {NEWBORN: (255, 160, 40), REFERENCE: (60, 140, 255)}  # RGB
JOINT = (255, 60, 60)
ENDINGS = (".png", ".jpg", ".jpeg")  # of the files that a picture can be written to
SHOWN_PX = 480  # least height of the drawn picture
SHOWN_PEAK = 0.2  # keypoints with a lower peak are not drawn: the head has not found them


def draw(frames: np.ndarray, found: dict[str, np.ndarray]) -> np.ndarray:
    """The middle frame, enlarged, with what the heads saw drawn on it, [h, w, 3] uint8.

    Args:
      frames: The clip, [t, h, w, 3] uint8 RGB.
      found: What `TrainedNurture.observe` says of this one clip.
    """
    middle, scale = len(frames) // 2, -(-SHOWN_PX // frames.shape[1])
    size = (scale * frames.shape[2], scale * frames.shape[1])
    picture = cv2.resize(frames[middle], size, interpolation=cv2.INTER_CUBIC)
    if "shares" in found:
        owner = cv2.resize(found["shares"][middle].astype(np.float32), size).argmax(-1)
        for category, colour in COLOURS.items():
            mask = (owner == category).astype(np.uint8)
            tinted = 0.75 * picture[mask > 0] + 0.25 * np.array(colour)
            picture[mask > 0] = tinted.astype(np.uint8)
            outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            cv2.drawContours(picture, outlines, -1, colour, 2, cv2.LINE_AA)
    if "keypoints" in found:
        for name, (x, y, peak) in zip(KEYPOINTS, found["keypoints"][middle].tolist(), strict=True):
            if peak >= SHOWN_PEAK:
                colour = COLOURS[REFERENCE] if name in REFERENCE_POINTS else JOINT
                cv2.circle(picture, (round(scale * x), round(scale * y)), 5, colour, -1,
                           cv2.LINE_AA)
    return picture


def encoded(picture: np.ndarray, ending: str) -> bytes:
    """The content of a file of a picture, [h, w, 3] uint8 RGB; `ending` is one of ENDINGS."""
    return cv2.imencode(ending, picture[..., ::-1])[1].tobytes()
