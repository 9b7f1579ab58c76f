"""Points as a keypoint head gives them, of a newborn in the middle and a ruler beside it."""
import numpy as np

from nurture_jax.measures import KEYPOINTS

# x and y over the side of the picture.
PLACES = {
    "nose": (0.50, 0.23), "left_eye": (0.52, 0.21), "right_eye": (0.48, 0.21),
    "left_ear": (0.55, 0.23), "right_ear": (0.45, 0.23), "left_shoulder": (0.58, 0.35),
    "right_shoulder": (0.42, 0.35), "left_elbow": (0.64, 0.42), "right_elbow": (0.36, 0.42),
    "left_wrist": (0.64, 0.49), "right_wrist": (0.36, 0.49), "left_hip": (0.55, 0.58),
    "right_hip": (0.45, 0.58), "left_knee": (0.60, 0.68), "right_knee": (0.40, 0.68),
    "left_ankle": (0.56, 0.77), "right_ankle": (0.44, 0.77), "reference_start": (0.83, 0.26),
    "reference_end": (0.83, 0.74)}


def newborn_points(frames: int, size: int, confidence: float = 1.0, ends: float | None = None
                   ) -> np.ndarray:
    """[t, 19, 3] in clip pixels; `ends` is the confidence of the ruler's, None that of all."""
    points = np.array([(*PLACES[name], confidence) for name in KEYPOINTS])
    points[:, :2] *= size
    if ends is not None:
        points[17:, 2] = ends
    return np.broadcast_to(points, (frames, *points.shape)).copy()
