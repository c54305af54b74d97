"""Sparse matrices in ELL form, and the graphs and meshes that they come from.

An :class:`ELL` holds, for each row, the values and columns of at most k entries. :mod:`nitrix.semiring` multiplies with
it over any algebra; the functions here make and change it.
"""

from nitrix.sparse.mesh import Mesh, icosphere, mesh_k_ring_adjacency
from nitrix.sparse.sections import (
    SectionedELL,
    sectioned_ell_from_ragged,
    sectioned_semiring_ell_matmul,
    sectioned_semiring_ell_matmul_vjp,
    sectioned_semiring_ell_rmatvec,
)
from nitrix.sparse.structure import (
    ELL,
    ell_add_self_loops,
    ell_from_csr,
    ell_from_dense,
    ell_from_edges,
    ell_from_ragged,
    ell_mask,
    ell_pad,
    ell_to_dense,
)

__all__ = [
    "ELL",
    "Mesh",
    "SectionedELL",
    "ell_add_self_loops",
    "ell_from_csr",
    "ell_from_dense",
    "ell_from_edges",
    "ell_from_ragged",
    "ell_mask",
    "ell_pad",
    "ell_to_dense",
    "icosphere",
    "mesh_k_ring_adjacency",
    "sectioned_ell_from_ragged",
    "sectioned_semiring_ell_matmul",
    "sectioned_semiring_ell_matmul_vjp",
    "sectioned_semiring_ell_rmatvec",
]
