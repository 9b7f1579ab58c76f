"""How thick trunk, head and limbs are, across the axes that the keypoints give, and a volume.

Lengths alone do not weigh a body: a length times the square of a thickness does. Each axis is cut
at a few places at right angles, and along a cut the share of newborn is added up from the axis
outwards until it ends. Like `geometry`, all are logarithms relative to the reference object, so
that a linear layer forms products; the logarithm of a sum of volumes, which it cannot form, is
given as well. Static shapes and plain products only; pure and differentiable; our design.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.nn.precision import exact_einsum
from nurture_jax.measures import KEYPOINTS
from nurture_jax.network.geometry import GAIN, log_length, peaks

_SIDES = ("left", "right")
# Ends, and usual length and thickness as those of `Axis`.
_LIMBS = {"upper_arm": ("shoulder", "elbow", -1.3, -1.6),
          "forearm": ("elbow", "wrist", -1.55, -1.95),
          "thigh": ("hip", "knee", -1.1, -1.6), "lower_leg": ("knee", "ankle", -1.2, -1.85)}
SAMPLES = 16  # on each side of an axis; with the reaches below half a cell or less apart
_SMALLEST_CELLS = 0.5  # as in `geometry`: less than half a cell cannot be told from nothing
_FARTHEST = 1.0  # from the usual value, as a logarithm: no part is a third or thrice as thick
_UNSEEN = 0.01  # weight of the usual value beside what was seen; a sure frame has 1


def _mean_of(*names: str) -> np.ndarray:
    """The mean of keypoints, as a combination of all, [19]."""
    return np.mean([np.eye(len(KEYPOINTS))[KEYPOINTS.index(name)] for name in names], 0)


@dataclasses.dataclass(frozen=True)
class Axis:
    """A line through a part of the body, and where it is cut.

    Attributes:
      start, end: Keypoints whose means are its ends.
      cuts: Places of the cuts, 0 at the start and 1 at the end.
      along: Whether instead of a cut twice the way on along the axis is measured, to its outline.
      reach: How far a cut reaches on either side, in lengths of the trunk; more than any part is
        thick, less than what lies beside it is away.
      usual_length, usual_thickness: About what they are, as logarithms relative to the reference
        object: those of a newborn beside a ruler of 30 cm; the length of the head is not used.
    """

    start: tuple[str, ...]
    end: tuple[str, ...]
    cuts: tuple[float, ...]
    along: bool = False
    reach: float = 0.5
    usual_length: float = 0.0
    usual_thickness: float = 0.0


def _both(joint: str) -> tuple[str, ...]:
    return tuple(f"{side}_{joint}" for side in _SIDES)


_TRUNK = Axis(_both("shoulder"), _both("hip"), (0.05, 0.25, 0.45, 0.65, 0.85),
              usual_length=-0.4, usual_thickness=-0.75)
# From between the shoulders to between the ears; past 1 the skull is widest.
_HEAD = Axis(_both("shoulder"), _both("ear"), (0.8, 1.1, 1.4), usual_thickness=-1.05)
_HEAD_ALONG = dataclasses.replace(_HEAD, cuts=(1.1,), along=True, usual_thickness=-0.85)
_LIMB_AXES = tuple(
    Axis((f"{side}_{upper}",), (f"{side}_{lower}",), (0.25, 0.5, 0.75), False, 0.25, *usual)
    for upper, lower, *usual in _LIMBS.values() for side in _SIDES)
AXES = (_TRUNK, _HEAD, _HEAD_ALONG, *_LIMB_AXES)
NAMES = (*(f"trunk_{at:g}" for at in _TRUNK.cuts), *(f"head_{at:g}" for at in _HEAD.cuts),
         "head_along", *(f"{limb}{which}" for limb in _LIMBS for which in ("", "_smaller")),
         "volume")


def _of_cuts(value: Callable[[Axis, float], object]) -> np.ndarray:
    """`value(axis, at)` of every cut, stacked, float32."""
    return np.array([value(axis, at) for axis in AXES for at in axis.cuts], np.float32)


_STARTS, _ENDS = (np.array([_mean_of(*getattr(axis, end)) for axis in AXES], np.float32)
                  for end in ("start", "end"))
_MIDDLES = _of_cuts(lambda axis, at: (1 - at) * _mean_of(*axis.start) + at * _mean_of(*axis.end))
_DIRECTIONS = _of_cuts(lambda axis, _: _mean_of(*axis.end) - _mean_of(*axis.start))
_IS_ALONG = _of_cuts(lambda axis, _: axis.along) > 0
_REACH = _of_cuts(lambda axis, _: axis.reach)
_USUAL = _of_cuts(lambda axis, _: axis.usual_thickness)
# The mean over the cuts of each axis, [c, axes].
_MEANS = _of_cuts(lambda axis, _: [(axis is each) / len(axis.cuts) for each in AXES])
_USUAL_LENGTH = np.array([axis.usual_length for axis in AXES], np.float32)


def thickness(newborn: jax.Array, points: jax.Array) -> jax.Array:
    """Thickness at every cut of AXES in cells, [n, c] float32.

    Args:
      newborn: Share of newborn in every cell, [n, h, w].
      points: Places of KEYPOINTS in cells, (x, y) with 0.5 in the middle of the first, [n, 19, 2].
    """
    # Not by chex, which takes no size that is left open in an exported file.
    assert points.shape == (newborn.shape[0], len(KEYPOINTS), 2), points.shape
    trunk = jnp.sqrt(jnp.square(_vectors(points)[:, 0]).sum(-1) + 1)  # n; one cell is the least
    along = exact_einsum("ck,nkd->ncd", _DIRECTIONS, points)
    along = along / jnp.sqrt(jnp.square(along).sum(-1, keepdims=True) + 1e-3)
    across = jnp.stack([-along[..., 1], along[..., 0]], -1)
    direction = jnp.where(_IS_ALONG[None, :, None], along, across)
    step = _REACH[None] * trunk[:, None] / SAMPLES  # n c
    offsets = np.arange(SAMPLES, dtype=np.float32) + 0.5
    sides = np.stack([np.ones_like(_REACH), np.where(_IS_ALONG, 1, -1)], 1).astype(np.float32)
    offsets = step[..., None, None] * (sides[..., None] * offsets)[None]  # n c 2 s
    middles = exact_einsum("ck,nkd->ncd", _MIDDLES, points)
    places = middles[:, :, None, None] + offsets[..., None] * direction[:, :, None, None]
    shares = sampled(newborn, places.reshape(points.shape[0], -1, 2)).reshape(offsets.shape)
    # What lies beyond a gap is another part: of every sample the least share up to it counts.
    for i in range((SAMPLES - 1).bit_length()):  # of 2, 4, 8, ... samples
        before = [shares[..., :2**i], shares[..., :-2**i]]
        shares = jnp.minimum(shares, jnp.concatenate(before, -1))
    return step * shares.sum((2, 3))


def sampled(maps: jax.Array, places: jax.Array) -> jax.Array:
    """Values of maps [n, h, w] between the middles of cells, bilinear, 0 outside; [n, p].

    Two products, since bilinear interpolation is separable; nothing is gathered. Places, of which
    there are many, lie along the last axis.

    Args:
      places: (x, y) in cells, [n, p, 2].
    """
    x, y = (jnp.maximum(0, 1 - jnp.abs(places[:, None, :, axis] - np.arange(
        0.5, size, dtype=np.float32)[None, :, None])) for axis, size in ((0, maps.shape[2]),
                                                                         (1, maps.shape[1])))
    return (exact_einsum("nhw,nwp->nhp", maps, x) * y).sum(1)


def features(newborn: jax.Array, heatmaps: jax.Array,
             reference_cm: jax.Array | None = None) -> jax.Array:
    """Thickness and volume relative to the reference object, over the frames; [b, g] of NAMES.

    A frame counts by how sure the ends of the axis and of the reference object are in it, the
    square of the lowest peak each. What is seen in no frame is 0, which is about the usual value.

    Args:
      newborn: Probabilities of the newborn, [b, t, h, w].
      heatmaps: Heatmaps of KEYPOINTS, [b, t, h, w, 19].
      reference_cm: Length of the reference object, [b]; 0, or None, is the usual one.
    """
    assert heatmaps.shape == (*newborn.shape, len(KEYPOINTS)), heatmaps.shape
    b, t = newborn.shape[:2]
    points = peaks(heatmaps).reshape(b * t, -1, 2)
    sure = jnp.clip(heatmaps.max((2, 3)), 0, 1).reshape(b * t, -1)
    ruler = _log(jnp.square(points[:, -1] - points[:, -2]).sum(-1))[:, None]
    if reference_cm is not None:  # as long as the usual one would be in its place
        longer = jnp.broadcast_to(log_length(reference_cm), (b, t, 1))
        ruler = ruler - longer.reshape(b * t, 1)
    cuts = _log(jnp.square(thickness(newborn.reshape(b * t, *newborn.shape[2:]), points)))
    lengths = _log(jnp.square(_vectors(points)).sum(-1))
    weights = jnp.square(_surest(sure)) * jnp.square(sure[:, -2:].min(-1))[:, None]  # b*t, axes

    def over_frames(values: jax.Array, usual: np.ndarray, weights: jax.Array) -> jax.Array:
        near = jnp.clip(values - ruler - usual[None], -_FARTHEST, _FARTHEST)
        near, weights = near.reshape(b, t, -1), weights.reshape(b, t, -1)
        return (near * weights).mean(1) / (weights.mean(1) + _UNSEEN)

    of_cuts = np.repeat(np.arange(len(AXES)), [len(axis.cuts) for axis in AXES])
    cuts = over_frames(cuts, _USUAL, weights[:, of_cuts])
    lengths = over_frames(lengths, _USUAL_LENGTH, weights)
    return GAIN * jnp.concatenate([_by_part(cuts), _volume(cuts, lengths)[:, None]], -1)


def _log(squares: jax.Array) -> jax.Array:
    """Logarithms of lengths from their squares, finite where those are 0."""
    return 0.5 * jnp.log(squares + _SMALLEST_CELLS**2)


def _vectors(points: jax.Array) -> jax.Array:
    """From start to end of every axis, [n, axes, 2]."""
    return exact_einsum("ak,nkd->nad", _ENDS - _STARTS, points)


def _surest(sure: jax.Array) -> jax.Array:
    """The least sure of the points of every axis, [n, 19] -> [n, axes]."""
    used = (_STARTS + _ENDS > 0)[None]
    return jnp.where(used, sure[:, None], 1).min(-1)


def _by_part(cuts: jax.Array) -> jax.Array:
    """Values of all cuts, [b, c], as few that say the same, in the order of NAMES.

    Those of trunk and head as they are; of a limb on both sides the mean and the smaller side: one
    that lies against the trunk has no end there.
    """
    at_limbs = cuts.shape[1] - sum(len(axis.cuts) for axis in _LIMB_AXES)
    limbs = cuts[:, at_limbs:].reshape(  # b limb side cut
        cuts.shape[0], len(_LIMBS), len(_SIDES), len(_LIMB_AXES[0].cuts))
    both = jnp.stack([limbs.mean((2, 3)), limbs.min(2).mean(2)], -1)
    return jnp.concatenate([cuts[:, :at_limbs], both.reshape(cuts.shape[0], -1)], 1)


def _volume(cuts: jax.Array, lengths: jax.Array) -> jax.Array:
    """A third of the logarithm of the volume of trunk, head and limbs, less its usual value; [b].

    The head is a ball, anything else a cylinder between two half balls of its thickness.

    Args:
      cuts, lengths: Logarithms less the usual values, [b, c] and [b, axes].
    """
    def volume(cuts: jax.Array, lengths: jax.Array) -> jax.Array:
        thick = exact_einsum("bc,ca->ba", cuts + _USUAL[None], _MEANS)
        thick, lengths = jnp.exp(thick), jnp.exp(lengths + _USUAL_LENGTH[None])
        is_head = np.array([axis in (_HEAD, _HEAD_ALONG) for axis in AXES])[None]
        # pi / 4 of it; the two ways through the head are half a head each.
        parts = thick**2 * (jnp.where(is_head, 0, lengths) + thick * 2 / 3)
        return jnp.log((parts * jnp.where(is_head, 0.5, 1)).sum(-1)) / 3

    usual = volume(jnp.zeros_like(cuts[:1]), jnp.zeros_like(lengths[:1]))
    return volume(cuts, lengths) - usual
