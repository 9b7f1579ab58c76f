"""What rays meet first on a mesh, by Embree, and what its vertices know there."""
from __future__ import annotations

from functools import cache

import numpy as np
from embreex import rtcore, rtcore_scene
from embreex.mesh_construction import TriangleMesh

MARGIN = 0.01  # of the tangents, around the mesh's outline, in which rays are followed


class Mesh:
    """Closed surfaces, as they are seen from one point outside; any thread may send rays.

    Triangles that look away from the point are not met first and left out, which saves half of the
    time that building takes.
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray, eye: np.ndarray) -> None:
        """Args: vertices [v, 3] and eye [3] in cm, triangles [f, 3] counter-clockwise outside."""
        self.vertices, self._eye = np.asarray(vertices, np.float32), np.asarray(eye, np.float32)
        first = self.vertices[triangles[:, 0]]
        toward = (areas(self.vertices, triangles) * (self._eye - first)).sum(1) > 0
        self.triangles = triangles[toward]
        used = np.zeros(len(vertices), bool)
        used[self.triangles] = True
        renamed = (np.cumsum(used) - 1).astype(np.int32)
        self._scene = rtcore_scene.EmbreeScene(_device(), robust=True)
        TriangleMesh(self._scene, self.vertices[used], renamed[self.triangles])

    def first_hits(self, view: np.ndarray, rays: tuple[np.ndarray, ...]
                   ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Which of p rays from the eye meet the mesh, and where.

        Args:
          view: Rows right, up, forward of the camera, [3, 3]; see `render.Frame`.
          rays: Coordinates x, y, z of their unit directions, [p] each.

        Returns:
          Indices of the rays that meet it [n], distances in cm [n], corners of the triangles that
          they meet [n, 3], and the corners' shares in the points [n, 3].
        """
        rays = tuple(np.asarray(ray) for ray in rays)
        sent = self._near(view, rays)
        directions = np.stack([ray[sent] for ray in rays], 1)
        origins = np.tile(self._eye, (len(sent), 1))
        found = self._scene.run(origins, directions, output=True)
        met = found["primID"] >= 0
        u, v = found["u"][met], found["v"][met]
        return (sent[met], found["tfar"][met], self.triangles[found["primID"][met]],
                np.stack([1 - u - v, u, v], 1))

    def _near(self, view: np.ndarray, rays: tuple[np.ndarray, ...]) -> np.ndarray:
        """Indices of the rays within the rectangle around the mesh's picture."""
        along = lambda axis, points: axis[0] * points[0] + axis[1] * points[1] + axis[2] * points[2]
        ours, inside = (self.vertices - self._eye).T, True
        before, ahead = along(view[2], rays), along(view[2], ours)
        for axis in view[:2]:
            theirs, place = along(axis, rays) / before, along(axis, ours) / ahead
            inside &= (theirs > place.min() - MARGIN) & (theirs < place.max() + MARGIN)
        return np.flatnonzero(inside)


def areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Normals of triangles [f, 3], as long as twice their areas, [f, 3]."""
    a, b, c = vertices[triangles.T]
    u, w = b - a, c - a  # np.cross takes twice as long
    return u[:, [1, 2, 0]] * w[:, [2, 0, 1]] - u[:, [2, 0, 1]] * w[:, [1, 2, 0]]


@cache
def _device() -> rtcore.EmbreeDevice:
    """One for the process: each brings threads of its own."""
    return rtcore.EmbreeDevice()
