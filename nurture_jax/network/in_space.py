"""The body in space, out of its keypoints in all frames: a bundle adjustment.

A picture shows lengths foreshortened, and what lies higher than the reference object larger. A
camera that moves over a body tells both: one body in space and one camera a frame are sought whose
points come nearest to those that were found (Triggs et al. 2000, "Bundle adjustment: a modern
synthesis"). Unit of space is the usual reference object, whose ends lie on the cloth, z = 0, at
(0, -1/2, 0) and (0, 1/2, 0); so nothing is left open by scale, turn or place.

    points b t 19 2 -> body b 17 3, cameras b t (turn, place) -> lengths, heights, depths b g

Steps of Levenberg and Marquardt; the cameras are eliminated first (Schur complement), since of them
there are as many as frames. A point counts by how sure it is and how well it fits (Cauchy's
weights). Limbs that move are seen at their mean. All is made of a few sums and products of whole
arrays, with a number of steps that is fixed: an exported file does the same.
"""
from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from deps_jax.common.nn.precision import exact_einsum
from nurture_jax.measures import BODY_POINTS, KEYPOINTS
from nurture_jax.network.geometry import GAIN, SPANS, VECTORS, log_length, peaks

STEPS = 16  # more change nothing that is seen: 40 gave the same lengths
FOCAL = 2.7  # usual, in half sides: 66 degrees along 16 of 16 : 9, of which the middle 9 are shown
_FOCAL_SPREAD = 0.1  # of its logarithm: 58 to 71 degrees
_NOISE = 0.015  # of a point, in half sides: 0.7 of 96 px
_ROBUST = 2.0  # multiples of the noise from which on a point counts less
_HEIGHT, _HEIGHT_SPREAD = 0.12, 0.2  # of a point above the cloth: 4 cm, and 6
_TILT_SPREAD = 0.6  # of a camera from looking straight down, in radians
_FIRST_DAMPING = 0.1
_STRIDE = 0.5  # at most, of every unknown in a step
_NEAREST = 0.3  # of a point before a camera
_FARTHEST = 0.7  # of a length from the usual one, in logarithms: nonsense stays within bounds
_LEAST = 1e-3  # of a point that is nowhere seen, so that it has a place
_UNCLEAR = 0.02  # square of how sure all needed points are at which values count half
_BODY = len(BODY_POINTS)
_NEEDED = np.array([i for i, name in enumerate(KEYPOINTS)
                    if name.split("_")[-1] in ("shoulder", "hip", "start", "end")])
_SHARED = 3 * _BODY + 1  # unknowns of a clip: the body's points, the logarithm of the focal length
# What is known of the unknowns beforehand, one over the square of the spread.
_TILTS = np.array([_TILT_SPREAD**-2] * 3 + [0] * 3, np.float32)
_PRIOR = np.array([0, 0, _HEIGHT_SPREAD**-2] * _BODY + [_FOCAL_SPREAD**-2], np.float32)
_PRIOR_AT = np.array([0, 0, _HEIGHT] * _BODY + [0], np.float32)


def _parts(groups: tuple[tuple[str, ...], ...], points: tuple[str, ...]) -> np.ndarray:
    """Means over points of each group of words in their names, [n, k] float32."""
    chosen = np.array([[any(word in name for word in group) for name in points]
                       for group in groups], np.float32)
    return chosen / chosen.sum(1, keepdims=True)


_GROUPS = (("shoulder",), ("hip",), ("knee",), ("nose", "ear"))
_SPANS = VECTORS[:-1, :_BODY]
_PARTS = _parts(_GROUPS, BODY_POINTS)
_DEPTHS = _parts((*_GROUPS, ("reference",)), KEYPOINTS)
NAMES = (*(f"span_{i}" for i in range(len(SPANS))), *(f"height_{g[0]}" for g in _GROUPS),
         *(f"nearer_{g[0]}" for g in _GROUPS), "wrong")


class Body(NamedTuple):
    """What was found of b clips of t frames.

    Attributes:
      points: Places of BODY_POINTS, [b, 17, 3], in lengths of the usual reference object.
      depths: Mean distance of each of KEYPOINTS along the camera's axis, [b, 19].
      wrong: Root of the mean square of what remains, in units of the noise, [b].
    """

    points: jax.Array
    depths: jax.Array
    wrong: jax.Array


class _State(NamedTuple):
    shared: jax.Array  # b 52: the body's points and the logarithm of the focal length over `focal`
    turns: jax.Array  # b t 3 3, from space to each camera
    tilts: jax.Array  # b t 3, how far they have been turned so far
    places: jax.Array  # b t 3
    damping: jax.Array  # b

    @property
    def body(self) -> jax.Array:
        return self.shared[:, :-1].reshape(-1, _BODY, 3)


class _Problem(NamedTuple):
    seen: jax.Array  # b t 19 2, in half sides from the middle of the picture
    sure: jax.Array  # b t 19, one over the noise
    ends: jax.Array  # b 2 3
    focal: float


def features(heatmaps: jax.Array, reference_cm: jax.Array | None = None,
             focal: float = FOCAL) -> jax.Array:
    """Lengths, heights and depths of the body of each clip, [b, g] of NAMES, about of unit scale.

    Where the trunk or the reference object is seen in no frame they are 0, about the usual value.

    Args:
      heatmaps: Heatmaps of KEYPOINTS, [b, t, h, w, 19]; their middle is that of the camera.
      reference_cm: Length of the reference object, [b]; 0, or None, is the usual one.
      focal: Usual focal length in half sides of the picture.
    """
    b, _, height, width, _ = heatmaps.shape
    middle = np.array([width / 2, height / 2], np.float32)
    seen = (peaks(heatmaps) - middle[None, None, None]) / (max(height, width) / 2)
    told = jnp.zeros(b) if reference_cm is None else reference_cm
    sure = jnp.clip(heatmaps.max((2, 3)), 0, 1)
    body = fit(seen, sure, jnp.exp(log_length(told)[:, 0, 0]), focal)
    lengths = 0.5 * jnp.log(jnp.square(exact_einsum("nk,bkd->bnd", _SPANS, body.points)).sum(-1)
                            + 1e-4)
    heights = exact_einsum("nk,bk->bn", _PARTS, body.points[..., 2]) - _HEIGHT
    depths = jnp.log(exact_einsum("nk,bk->bn", _DEPTHS, body.depths))
    nearer = depths[:, :-1] - depths[:, -1:]
    wrong = jnp.log(body.wrong + 1e-2)[:, None] / GAIN
    found = jnp.concatenate([lengths + 1, 3 * heights, 5 * nearer, wrong], -1)
    clear = jnp.square(sure[:, :, _NEEDED].min(-1)).mean(1, keepdims=True)  # b 1
    return GAIN * jnp.clip(found, -_FARTHEST, _FARTHEST) * clear / (clear + _UNCLEAR)


def fit(seen: jax.Array, sure: jax.Array, reference: jax.Array, focal: float = FOCAL) -> Body:
    """The body and the cameras that explain the points best.

    Args:
      seen: Places of KEYPOINTS, (x right, y down) in half sides of the picture from its middle,
        [b, t, 19, 2].
      sure: How sure they are, 0 to 1, [b, t, 19].
      reference: Length of the reference object over the usual one, [b].
      focal: Usual focal length in half sides of the picture; each clip finds its own near it.
    """
    half = reference[:, None] / 2 * np.array([0, 1, 0], np.float32)[None]
    problem = _Problem(_in_one_order(seen), (sure + _LEAST) / _NOISE,
                       jnp.stack([-half, half], 1), focal)
    step = lambda state, _: (_step(problem, state), None)
    state, _ = lax.scan(step, _start(problem, reference), None, length=STEPS)
    at, _, error = _project(problem, state)
    counted = jnp.square(problem.sure * _NOISE)
    wrong = (counted * jnp.square(error / (problem.sure * _NOISE)[..., None]).sum(-1)).sum((1, 2))
    return Body(state.body, at[..., 2].mean(1), jnp.sqrt(wrong / counted.sum((1, 2))))


def _in_one_order(seen: jax.Array) -> jax.Array:
    """The points with the ends of the reference object in every frame as in the first.

    The ends look alike, so either may be called the start.
    """
    along = seen[:, :, -1] - seen[:, :, -2]
    turned = (along * along[:, :1]).sum(-1)[..., None, None] < 0
    return jnp.concatenate([seen[:, :, :_BODY], jnp.where(
        turned, jnp.stack([seen[:, :, -1], seen[:, :, -2]], 2), seen[:, :, -2:])], 2)


def _start(problem: _Problem, reference: jax.Array) -> _State:
    """Cameras that look straight down, and the body flat at its usual height."""
    seen, b = problem.seen, problem.seen.shape[0]
    along = seen[:, :, -1] - seen[:, :, -2]
    length = jnp.sqrt(jnp.square(along).sum(-1) + 1e-3)  # b t
    x, y = jnp.unstack(along / length[..., None], axis=-1)
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    turns = jnp.stack([jnp.stack(row, -1) for row in (
        [-y, x, zero], [x, y, zero], [zero, zero, -one])], -2)
    middle = (seen[:, :, -1] + seen[:, :, -2]) / 2
    scale = reference[:, None] / length
    places = jnp.concatenate([middle * scale[..., None], problem.focal * scale[..., None]], -1)
    flat = (seen[:, :, :_BODY] - middle[:, :, None]) * scale[..., None, None]
    flat = exact_einsum("btkc,btcd->btkd", flat, turns[:, :, :2, :2])
    weight = jnp.square(problem.sure[:, :, :_BODY] * problem.sure[:, :, -2:].min(-1)[..., None])
    flat = (flat * weight[..., None]).sum(1) / weight.sum(1)[..., None]
    body = jnp.concatenate([flat, jnp.full_like(flat[..., :1], _HEIGHT)], -1).reshape(b, -1)
    return _State(jnp.concatenate([body, jnp.zeros((b, 1))], 1), turns, jnp.zeros_like(places),
                  places, jnp.full_like(reference, _FIRST_DAMPING))


def _project(problem: _Problem, state: _State) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Points before the cameras, and how far they are seen from where they were found.

    Returns:
      x, y, z of each camera, [b, t, 19, 3], where they are seen, [b, t, 19, 2], and the errors of
      that in units of the noise, of the same shape.
    """
    points = jnp.concatenate([state.body, problem.ends], 1)
    at = exact_einsum("btij,bkj->btki", state.turns, points) + state.places[:, :, None]
    at = jnp.concatenate([at[..., :2], jnp.maximum(at[..., 2:], _NEAREST)], -1)
    focal = problem.focal * jnp.exp(state.shared[:, None, None, -1:])
    seen = focal * at[..., :2] / at[..., 2:]
    return at, seen, (problem.seen - seen) * problem.sure[..., None]


def _step(problem: _Problem, state: _State) -> _State:
    """One step of Levenberg and Marquardt, taken where it makes things better."""
    at, seen, error = _project(problem, state)
    weight = 1 / (1 + jnp.square(error).sum(-1, keepdims=True) / _ROBUST**2)  # Cauchy's
    root = jnp.sqrt(weight)
    to_cameras, to_shared = (slope * (root * problem.sure[..., None])[..., None]
                             for slope in _slopes(problem, state, at, seen))
    cameras, shared = _solved(to_cameras, to_shared, error * root, state)
    turned = exact_einsum("btij,btjk->btik", _turn(cameras[..., :3]), state.turns)
    new = _State(state.shared + shared, turned, state.tilts + cameras[..., :3],
                 state.places + cameras[..., 3:], state.damping)

    def cost(state: _State, error: jax.Array) -> jax.Array:
        return ((weight * jnp.square(error)).sum((1, 2, 3))
                + jnp.square(state.tilts / _TILT_SPREAD).sum((1, 2))
                + (_PRIOR[None] * jnp.square(state.shared - _PRIOR_AT[None])).sum(1))

    better = cost(new, _project(problem, new)[2]) < cost(state, error)
    chosen = jax.tree.map(lambda new, old: jnp.where(
        better.reshape(-1, *[1] * (new.ndim - 1)), new, old), new, state)
    return chosen._replace(damping=state.damping * jnp.where(better, 0.3, 5.0))


def _slopes(problem: _Problem, state: _State, at: jax.Array, seen: jax.Array
            ) -> tuple[jax.Array, jax.Array]:
    """Slopes of where the points are seen.

    Returns:
      By turn and place of the camera, [b, t, 19, 2, 6], and by the shared unknowns,
      [b, t, 19, 2, 52].
    """
    (nx, ny), (x, y, z) = (jnp.unstack(value, axis=-1) for value in (
        at[..., :2] / at[..., 2:], at - state.places[:, :, None]))
    zero, one = jnp.zeros_like(x), jnp.ones_like(x)
    gain = (problem.focal * jnp.exp(state.shared[:, -1]))[:, None, None] / at[..., 2]  # b t 19
    to_cameras = jnp.stack([jnp.stack(row, -1) for row in (
        [-nx * y, z + nx * x, -y, one, zero, -nx], [-z - ny * y, ny * x, x, zero, one, -ny])], -2)
    turns = state.turns[:, :, None]
    to_point = turns[..., :2, :] - jnp.stack([nx, ny], -1)[..., None] * turns[..., 2:, :]
    to_point = (to_point * gain[..., None, None])[..., None, :]  # b t 19 2 1 3
    own = np.eye(len(KEYPOINTS), _BODY, dtype=np.float32)[:, None, :, None]
    to_body = (to_point * own[None, None]).reshape(*at.shape[:3], 2, 3 * _BODY)
    return (to_cameras * gain[..., None, None], jnp.concatenate([to_body, seen[..., None]], -1))


def _solved(to_cameras: jax.Array, to_shared: jax.Array, left: jax.Array, state: _State
            ) -> tuple[jax.Array, jax.Array]:
    """The damped step of all cameras, [b, t, 6], and of the shared unknowns, [b, 52].

    Args:
      to_cameras, to_shared, left: Slopes and errors in units of the noise, by how they count.
    """
    b, t = left.shape[:2]
    to_cameras, to_shared, left = (value.reshape(b, t, 2 * len(KEYPOINTS), *value.shape[4:])
                                   for value in (to_cameras, to_shared, left))
    own = exact_einsum("btri,btrj->btij", to_cameras, to_cameras) + np.diag(_TILTS)[None, None]
    wanted = exact_einsum("btri,btr->bti", to_cameras, left)
    wanted = wanted - jnp.concatenate(
        [state.tilts, jnp.zeros_like(state.tilts)], -1) * _TILTS[None, None]
    joint = exact_einsum("btri,btrj->btij", to_cameras, to_shared)  # b t 6 52
    shared = exact_einsum("btri,btrj->bij", to_shared, to_shared) + np.diag(_PRIOR)[None]
    goal = exact_einsum("btri,btr->bi", to_shared, left)
    goal = goal - _PRIOR[None] * (state.shared - _PRIOR_AT[None])
    own, shared = (matrix * (1 + _eye(matrix) * state.damping.reshape(
        -1, *[1] * (matrix.ndim - 1))) for matrix in (own, shared))
    solved = solve(own, jnp.concatenate([joint, wanted[..., None]], -1))  # b t 6 53
    less = exact_einsum("btij,btik->bjk", joint, solved)  # b 52 53
    step = solve(shared - less[..., :-1], goal[..., None] - less[..., -1:])[..., 0]
    cameras = solved[..., -1] - exact_einsum("btij,bj->bti", solved[..., :-1], step)
    return tuple(jnp.clip(value, -_STRIDE, _STRIDE) for value in (cameras, step))


def solve(matrices: jax.Array, right: jax.Array) -> jax.Array:
    """x of A x = B for positive definite A [..., n, n] and B [..., n, m], by elimination.

    Without pivots, which such matrices do not need. Every round eliminates the first unknown, whose
    row then goes to the end and whose column is let go: no place has to be counted, so the program
    is short, also in an exported file.
    """
    joined = jnp.concatenate([matrices, right], -1)
    gone = jnp.zeros_like(joined[..., :1])

    def eliminate(joined: jax.Array, _: None) -> tuple[jax.Array, None]:
        row = joined[..., :1, :] / joined[..., :1, :1]
        rest = joined[..., 1:, :] - joined[..., 1:, :1] * row
        return jnp.concatenate([jnp.concatenate([rest, row], -2)[..., 1:], gone], -1), None

    return lax.scan(eliminate, joined, None, length=matrices.shape[-1])[0][..., :right.shape[-1]]


def _turn(by: jax.Array) -> jax.Array:
    """Rotations [..., 3, 3] about vectors [..., 3], by 2 arctan of half their length (Cayley)."""
    x, y, z = jnp.unstack(by, axis=-1)
    zero = jnp.zeros_like(x)
    cross = jnp.stack([jnp.stack(row, -1) for row in (
        [zero, -z, y], [z, zero, -x], [-y, x, zero])], -2)
    twice = exact_einsum("...ij,...jk->...ik", cross, cross)
    share = 1 / (1 + jnp.square(by).sum(-1) / 4)
    return _eye(cross) + (cross + twice / 2) * share[..., None, None]


def _eye(like: jax.Array) -> np.ndarray:
    """The unit matrix for matrices [..., n, n], with as many axes."""
    return np.eye(like.shape[-1], dtype=np.float32)[(None,) * (like.ndim - 2)]
