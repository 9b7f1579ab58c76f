"""Sizes in a picture relative to the reference object, out of what the proxy heads predict.

A camera that is twice as far shows everything half as large, so a length in pixels says nothing
and its ratio to the ruler says nearly all. Features are logarithms of such ratios: a linear layer
then forms products and powers of lengths, as weight is. Pure and differentiable; our design.

Whatever the reference object's length, features are what a ruler of 30 cm in its place would give.
"""
from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.nn.precision import exact_einsum
from nurture_jax.measures import DEFAULT_REFERENCE_CM, KEYPOINTS, NEWBORN, REFERENCE

_POINT = KEYPOINTS.index
_SIDES = ("left", "right")
# Distances between (means of) points; both sides of a limb are kept apart, an infant lies askew.
# Eyes are left out: a cell or less apart.
_TRUNK = tuple(tuple(_POINT(f"{side}_{joint}") for side in _SIDES) for joint in ("shoulder", "hip"))
SPANS = (
    (_TRUNK[0], _TRUNK[1]), ((_POINT("nose"),), _TRUNK[0]), ((_POINT("nose"),), _TRUNK[1]),
    *(((_POINT(f"left_{joint}"),), (_POINT(f"right_{joint}"),))
      for joint in ("ear", "shoulder", "hip")),
    *(((_POINT(f"{side}_{upper}"),), (_POINT(f"{side}_{lower}"),)) for side in _SIDES
      for upper, lower in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"),
                           ("knee", "ankle"), ("shoulder", "hip"))))
RULER = ((_POINT("reference_start"),), (_POINT("reference_end"),))
# [n + 1, 19]: the vector of each span, the ruler last, as a combination of points.
VECTORS = np.array([[(k in end) / len(end) - (k in start) / len(start)
                   for k in range(len(KEYPOINTS))] for start, end in (*SPANS, RULER)], np.float32)
_SHARPNESS = 3  # power of a heatmap: noise between peaks fades, the peak stays wider than a cell
_SMALLEST_CELLS = 0.5  # a length below half a cell cannot be told from none
_LEAST_CLEAR = 0.02  # so that a clip without any reference object has an average, too
GAIN = 4.0  # brings logarithms of ratios, which spread by about a quarter, to unit scale


def peaks(heatmaps: jax.Array) -> jax.Array:
    """Centres of mass of heatmaps, (x, y) in cells; 0.5 is the middle of the first cell.

    [..., h, w, k] -> [..., k, 2]. The mass is the positive part to the third power. A plain softmax
    would either be pulled to the middle by the background or snap to the nearest cell.
    """
    height, width = heatmaps.shape[-3:-1]
    mass = jnp.maximum(heatmaps, 0) ** _SHARPNESS + 1e-6 / (height * width)
    mass = mass / mass.sum((-3, -2), keepdims=True)
    x, y = (jnp.sum(share * jnp.broadcast_to(jnp.arange(size)[:, None] + 0.5, share.shape), -2)
            for share, size in ((mass.sum(-3), width), (mass.sum(-2), height)))
    return jnp.stack([x, y], -1)


def spans(points: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logarithms of lengths in cells, [..., n] of SPANS and [..., 1] of the ruler.

    Args:
      points: Places of KEYPOINTS in cells, [..., 19, 2].
    """
    # Points that are near each other differ by a few cells out of dozens.
    vectors = exact_einsum("nk,...kc->...nc", VECTORS, points)
    lengths = 0.5 * jnp.log(jnp.square(vectors).sum(-1) + _SMALLEST_CELLS**2)
    return lengths[..., :-1], lengths[..., -1:]


def log_length(reference_cm: jax.Array) -> jax.Array:
    """Logarithms of lengths over that of the usual ruler, [b] -> [b, 1, 1]; 0 where 0 is told."""
    told = jnp.where(reference_cm > 0, reference_cm, DEFAULT_REFERENCE_CM)
    return jnp.log(told / DEFAULT_REFERENCE_CM)[:, None, None]


def features(probabilities: jax.Array | None, heatmaps: jax.Array | None,
             reference_cm: jax.Array | None = None) -> jax.Array:
    """Sizes relative to the reference object, and how sure the heads are of it.

    Args:
      probabilities: Probabilities of the segmentation, [b, t, h, w, 3]; None without that head.
      heatmaps: Heatmaps of KEYPOINTS, [b, t, h, w, 19]; None without that head.
      reference_cm: Length of the reference object, [b]; 0, or None, is the usual one.

    Returns:
      Features [b, t, g], about of unit scale; g depends on the heads that are there.
    """
    found, longer = [], 0.0 if reference_cm is None else log_length(reference_cm)
    if probabilities is not None:
        chex.assert_rank(probabilities, 5)
        sides = 0.5 * jnp.log(probabilities.sum((2, 3)) + _SMALLEST_CELLS**2)  # of equal squares
        newborn, reference = sides[..., NEWBORN, None], sides[..., REFERENCE, None]  # b t 1
        # Short rulers are about as wide as long ones: the area grows with the length, its side with
        # the root.
        reference = reference - 0.5 * longer
        # The constants bring usual values near 0: a ruler is long and thin, a tenth of the side.
        found += [newborn - reference - 1.5, reference - jnp.log(probabilities.shape[2] / 10)]
    if heatmaps is not None:
        chex.assert_rank(heatmaps, 5)
        lengths, ruler = spans(peaks(heatmaps))
        ruler = ruler - longer  # now in pixels of 30 cm
        ends = heatmaps[..., -2:].max((2, 3))  # 1 at a sure end
        found += [lengths - ruler + 1, ruler - jnp.log(heatmaps.shape[2] / 3), (ends - 0.5) / 2]
        if probabilities is not None:
            found.append(newborn - ruler)
    return GAIN * jnp.concatenate(found, -1)


def over_frames(sizes: jax.Array, heatmaps: jax.Array | None) -> jax.Array:
    """Means over the frames, [b, t, g] -> [b, g]; a clearer reference object counts more.

    The weight of a frame is the square of the lower of the peaks at both ends; without heatmaps
    [b, t, h, w, 19] all frames count the same.
    """
    if heatmaps is None:
        return sizes.mean(1)
    clear = jnp.clip(heatmaps[..., -2:].max((2, 3)).min(-1), _LEAST_CLEAR, 1) ** 2  # b t
    return (sizes * clear[..., None]).sum(1) / clear.sum(1)[:, None]
