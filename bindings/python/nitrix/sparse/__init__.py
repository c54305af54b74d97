"""Sparse matrices in ELL form, and the graphs and meshes that they come from.

An :class:`ELL` holds, for each row, the values and columns of at most k entries. :mod:`nitrix.semiring` multiplies with
it over any algebra; the functions here make and change it.
"""

from nitrix.sparse.convolution import semiring_ell_conv, semiring_ell_conv_vjp
from nitrix.sparse.edges import (
    Concatenation,
    Difference,
    Dot,
    EdgeAttribute,
    EdgeMLP,
    edge_mlp_vjp,
    ell_row_softmax,
    ell_row_softmax_vjp,
    semiring_ell_edge_aggregate,
)
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
    "Concatenation",
    "Difference",
    "Dot",
    "EdgeAttribute",
    "EdgeMLP",
    "Mesh",
    "SectionedELL",
    "edge_mlp_vjp",
    "ell_add_self_loops",
    "ell_from_csr",
    "ell_from_dense",
    "ell_from_edges",
    "ell_from_ragged",
    "ell_mask",
    "ell_pad",
    "ell_row_softmax",
    "ell_row_softmax_vjp",
    "ell_to_dense",
    "icosphere",
    "mesh_k_ring_adjacency",
    "sectioned_ell_from_ragged",
    "sectioned_semiring_ell_matmul",
    "sectioned_semiring_ell_matmul_vjp",
    "sectioned_semiring_ell_rmatvec",
    "semiring_ell_conv",
    "semiring_ell_conv_vjp",
    "semiring_ell_edge_aggregate",
]
