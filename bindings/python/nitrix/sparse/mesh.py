"""Triangle meshes and the matrices of their neighbourhoods."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nitrix.sparse.structure import ELL, ell_from_edges


@dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices (n, 3) and triangles (f, 3) of their numbers."""

    vertices: Any
    faces: Any


def icosphere(n_iterations: int = 0) -> Mesh:
    """A unit sphere of triangles: an icosahedron, each triangle cut into four ``n_iterations`` times.

    10 * 4**n + 2 vertices: 40,962 after six cuts, 163,842 after seven. The vertices of a coarser sphere come first in a
    finer one. float64 and int32.
    """
    if n_iterations < 0:
        raise ValueError(f"icosphere: n_iterations is {n_iterations}, must not be negative")
    t = (1 + 5**0.5) / 2
    corners = [(-1, t, 0), (1, t, 0), (-1, -t, 0), (1, -t, 0), (0, -1, t), (0, 1, t), (0, -1, -t), (0, 1, -t),
               (t, 0, -1), (t, 0, 1), (-t, 0, -1), (-t, 0, 1)]  # fmt: skip
    triangles = [(0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11), (1, 5, 9), (5, 11, 4), (11, 10, 2),
                 (10, 7, 6), (7, 1, 8), (3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9), (4, 9, 5), (2, 4, 11),
                 (6, 2, 10), (8, 6, 7), (9, 8, 1)]  # fmt: skip
    vertices = np.array(corners, np.float64)
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    faces = np.array(triangles, np.int64)
    for _ in range(n_iterations):
        n = len(vertices)
        edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        keys, of_edge = np.unique(edges[:, 0] * n + edges[:, 1], return_inverse=True)
        middles = vertices[keys // n] + vertices[keys % n]
        vertices = np.concatenate([vertices, middles / np.linalg.norm(middles, axis=1, keepdims=True)])
        (a, b, c), (ab, bc, ca) = faces.T, of_edge.reshape(-1, 3).T + n
        quarters = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
        faces = np.concatenate([np.stack(q, axis=1) for q in quarters])
    return Mesh(vertices, faces.astype(np.int32))


def mesh_k_ring_adjacency(
    mesh: Mesh, *, k: int = 1, binary: bool = True, include_self: bool = False, dtype: Any = np.float32
) -> ELL:
    """Which vertices are at most k edges apart, columns ascending; with ``include_self`` a vertex itself comes first.

    Entries are 1, or with ``binary=False`` one over their number in the row.
    """
    if k < 1:
        raise ValueError(f"mesh_k_ring_adjacency: k is {k}, must be at least 1")
    n = len(mesh.vertices)
    faces = np.asarray(mesh.faces, np.int64)
    pairs = faces[:, [0, 1, 1, 2, 2, 0, 1, 0, 2, 1, 0, 2]].reshape(-1, 2)
    ring = np.unique(pairs[:, 0] * n + pairs[:, 1])
    neighbours = ell_from_edges(ring // n, ring % n, n_rows=n).indices
    reached = ring
    for _ in range(k - 1):
        beyond = neighbours[reached % n]
        steps = (reached // n)[:, None] * n + beyond
        reached = np.union1d(reached, steps[beyond >= 0])
    rows, columns = reached // n, reached % n
    rows, columns = rows[rows != columns], columns[rows != columns]
    if include_self:
        rows, columns = np.concatenate([np.arange(n), rows]), np.concatenate([np.arange(n), columns])
    values = None
    if not binary:
        values = (1 / np.bincount(rows, minlength=n)[rows]).astype(dtype)
    return ell_from_edges(rows, columns, values, n_rows=n, dtype=dtype)
