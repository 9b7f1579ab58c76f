"""The tape measure: volumes and girths of meshes."""
from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull


def volume(vertices: np.ndarray, triangles: np.ndarray) -> float:
    """Volume that closed surfaces of triangles [f, 3] enclose, by the divergence theorem."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return float(np.einsum("fk,fk->", a, np.cross(b, c)) / 6)


def girth(vertices: np.ndarray, triangles: np.ndarray, point: np.ndarray, normal: np.ndarray
          ) -> float:
    """Length of a tape drawn tight around these triangles, in the plane through `point`.

    Like a tape it spans hollows: it is the perimeter of the convex hull of the section.

    Args:
      point, normal: Of the plane, [3] each; the normal need not be of unit length.
    """
    normal = np.asarray(normal) / np.linalg.norm(normal)
    above = (vertices - point) @ normal
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    ends = ends[np.diff(above[ends] > 0, axis=1)[:, 0]]
    low, high = above[ends].T
    share = (low / (low - high))[:, None]
    crossing = vertices[ends[:, 0]] * (1 - share) + vertices[ends[:, 1]] * share
    across = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    across /= np.linalg.norm(across)
    plane = np.stack([across, np.cross(normal, across)], 1)
    return float(ConvexHull(crossing @ plane).area)  # in two dimensions the area is a perimeter
