"""What the masks and points of a network say together about whether there is a newborn.

Each number is one that a picture of something else does not easily have by chance: points that are
sure, points that lie on the mask, lengths between them as a newborn has them, and all of it the
same from frame to frame. Limits are those of `checks`.
"""
from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from nurture_jax.measures import BODY_POINTS, KEYPOINTS, NEWBORN, REFERENCE, REFERENCE_POINTS

_POINT = KEYPOINTS.index
_SIDES = ("left", "right")
_BODY = slice(0, len(BODY_POINTS))
NEAR = 24  # a point may lie beside the mask by one such part of the picture's side; ours
ALONG = 20  # places on the line between the ends of the reference object
TRUNK = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))
# Lengths of a body between (means of) points, the trunk's first.
SPANS = (
    TRUNK, (("nose",), TRUNK[0]), (("nose",), TRUNK[1]),
    *(((f"left_{joint}",), (f"right_{joint}",)) for joint in ("ear", "shoulder", "hip")),
    *(((f"{side}_{upper}",), (f"{side}_{lower}",)) for side in _SIDES for upper, lower in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))))
# Lengths between (means of) points over that of the trunk as a camera sees them, and what they may
# be. In 3931 annotated frames of rendered newborns of ellipsoids 99.8 % were within 0.43-0.70 (nose
# to shoulders), 0.44-0.78, 0.17-0.57, 0.27-0.50, 0.18-0.42, 0.22-0.66, 0.20-0.66. A newborn of
# another build, or bent limbs seen end on, must pass, too: about half below and above again; ours.
PROPORTIONS = (
    ((("nose",), TRUNK[0]), (0.2, 1.2)),
    ((("left_shoulder",), ("right_shoulder",)), (0.25, 1.3)),
    ((("left_hip",), ("right_hip",)), (0.08, 1.0)),
    *(((((f"{side}_{upper}",), (f"{side}_{lower}",)), allowed))
      for side in _SIDES for upper, lower, allowed in (
          ("shoulder", "elbow", (0.12, 0.9)), ("elbow", "wrist", (0.08, 0.8)),
          ("hip", "knee", (0.1, 1.2)), ("knee", "ankle", (0.1, 1.2)))))


def length(keypoints: np.ndarray, ends: tuple[tuple[str, ...], tuple[str, ...]]) -> np.ndarray:
    """Distance between (means of) points by frame, [t] in clip pixels; `ends` as of SPANS."""
    points = np.asarray(keypoints, np.float64)
    middle = lambda names: points[:, [_POINT(name) for name in names], :2].mean(1)
    return np.linalg.norm(middle(ends[0]) - middle(ends[1]), axis=-1)


def of_points(keypoints: np.ndarray) -> dict[str, np.ndarray]:
    """What the points say, frame by frame.

    Args:
      keypoints: Places x, y in clip pixels and confidence 0-1, [t, 19, 3].

    Returns:
      "confidence" [t], the mean over the points of the body; "proportions" [t], the share of
      PROPORTIONS that are a newborn's; "trunk" [t], its length in clip pixels.
    """
    points = np.asarray(keypoints, np.float64)
    trunk = np.maximum(length(points, TRUNK), 1e-6)
    right = [(low <= (ratio := length(points, ends) / trunk)) & (ratio <= high)
             for ends, (low, high) in PROPORTIONS]
    return {"confidence": points[:, _BODY, 2].clip(0, 1).mean(1),
            "proportions": np.mean(right, 0), "trunk": trunk}


def sureness(keypoints: np.ndarray) -> np.ndarray:
    """Logarithms of how sure the points of the body are in the mean over the frames, [17]."""
    return np.log(np.asarray(keypoints, np.float64)[:, _BODY, 2].clip(1e-3, 1).mean(0))


def build(keypoints: np.ndarray, shares: np.ndarray | None, size: int) -> np.ndarray:
    """Logarithms of SPANS and of the root of the newborn's area over the trunk, [k].

    They are medians over the frames. Without shares there is no area.

    Args:
      keypoints, shares, size: As of `on_mask`.
    """
    lengths = [length(keypoints, ends) for ends in SPANS]
    if shares is not None:
        there = np.asarray(shares).argmax(-1) == NEWBORN
        lengths.append(size * np.sqrt(there.mean((1, 2))))
    logs = np.log(np.stack(lengths, 1) + 1.0)
    return np.median(logs[:, 1:] - logs[:, :1], 0)


def on_mask(keypoints: np.ndarray, shares: np.ndarray, size: int) -> np.ndarray:
    """Share of the points of the body that lie on the newborn, by frame, [t].

    A joint lies inside, an ear at the rim: a point counts where the newborn is within one part of
    NEAR of the picture's side, and within one cell at least.

    Args:
      keypoints: As of `of_points`.
      shares: Shares of nothing, newborn and reference object, [t, h', w', 3].
      size: Side of the frames in clip pixels.
    """
    there = np.asarray(shares).argmax(-1) == NEWBORN
    reach = max(1, there.shape[1] // NEAR)
    wide = np.pad(there, ((0, 0), (reach, reach), (reach, reach)))
    near = sliding_window_view(wide, (2 * reach + 1, 2 * reach + 1), (1, 2)).any((-2, -1))
    cells = (np.asarray(keypoints)[:, _BODY, :2] * near.shape[1] / size).astype(int)
    cells = cells.clip(0, near.shape[1] - 1)
    return near[np.arange(len(near))[:, None], cells[..., 1], cells[..., 0]].mean(1)


def on_reference(keypoints: np.ndarray, shares: np.ndarray, size: int) -> np.ndarray:
    """Share of the line between the ends of the reference object that lies on it, by frame, [t].

    Where none is in view, ends are still found at times: at something long, or at nothing.

    Args:
      keypoints, shares, size: As of `on_mask`.
    """
    there = np.asarray(shares).argmax(-1) == REFERENCE
    ends = np.asarray(keypoints, np.float64)[:, [_POINT(name) for name in REFERENCE_POINTS], :2]
    along = (np.arange(ALONG) + 0.5)[:, None] / ALONG
    points = ends[:, :1] * (1 - along) + ends[:, 1:] * along  # t ALONG 2
    cells = (points * there.shape[1] / size).astype(int).clip(0, there.shape[1] - 1)
    return there[np.arange(len(there))[:, None], cells[..., 1], cells[..., 0]].mean(1)


def change(lengths: np.ndarray) -> float:
    """How much a length differs from frame to frame: the spread of its logarithm.

    Half of what lies between the sixth parts at both ends, which is one standard deviation of a
    normal spread and is not moved by a single bad frame.
    """
    low, high = np.percentile(np.log(np.maximum(lengths, 1e-6)), (100 / 6, 500 / 6))
    return float(high - low) / 2
