"""Structures: what they are made from, what they check, masks, padding, self loops."""

import copy
import dataclasses

import numpy as np
import pytest

from nitrix.semiring import EUCLIDEAN, LOG, REAL, TROPICAL_MIN_PLUS, semiring_ell_matmul, semiring_matmul
from nitrix.sparse import (
    ELL,
    ell_add_self_loops,
    ell_from_csr,
    ell_from_dense,
    ell_from_edges,
    ell_from_ragged,
    ell_mask,
    ell_pad,
    ell_to_dense,
    icosphere,
    mesh_k_ring_adjacency,
)


def sparse(shape, seed=0, density=0.3):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < density, rng.standard_normal(shape), 0).astype(np.float32)


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 5, 7), (4, 0), (0, 4)], ids=str)
def test_dense_and_back(shape):
    A = sparse(shape)
    ell = ell_from_dense(A)
    assert ell.shape == shape and ell.k_max == (A != 0).sum(-1).max(initial=0)
    np.testing.assert_array_equal(ell_to_dense(ell), A)
    B = np.random.default_rng(1).standard_normal((*shape[:-2], shape[-1], 3)).astype(np.float32)
    got = semiring_ell_matmul(ell.values, ell.indices, B)
    np.testing.assert_allclose(got, semiring_matmul(A, B), atol=1e-6)


def test_dense_with_another_identity():
    A = np.where(sparse((6, 6)) != 0, sparse((6, 6)), np.inf)
    ell = ell_from_dense(A, identity=np.inf)
    np.testing.assert_array_equal(ell_to_dense(ell), A)
    B = sparse((6, 4), 1)
    np.testing.assert_array_equal(
        semiring_ell_matmul(ell.values, ell.indices, B, semiring=TROPICAL_MIN_PLUS),
        semiring_matmul(A, B, semiring=TROPICAL_MIN_PLUS),
    )


def test_the_largest_of_a_row_are_kept():
    A = np.array([[1.0, -5, 3, 0], [2, 2, 2, 2], [0, 0, 0, -1]])
    ell = ell_from_dense(A, k_max=2)
    np.testing.assert_array_equal(ell.indices, [[1, 2], [0, 1], [3, -1]])
    np.testing.assert_array_equal(ell.values, [[-5, 3], [2, 2], [-1, 0]])
    assert ell_from_dense(A, k_max=6).k_max == 6
    np.testing.assert_array_equal(ell_from_dense(A, threshold=2.5).indices, [[1, 2], [-1, -1], [-1, -1]])
    S = np.triu(np.ones((3, 3)))
    np.testing.assert_array_equal(ell_to_dense(ell_from_dense(S, symmetrize=True)), (S + S.T) / 2)


def test_rows_edges_and_csr_are_the_same_matrix():
    A = sparse((8, 5))
    r, c = np.nonzero(A)
    rows = [(A[i][A[i] != 0], np.flatnonzero(A[i])) for i in range(8)]
    shuffled = np.random.default_rng(2).permutation(len(r))
    made = [
        ell_from_ragged([v for v, _ in rows], [i for _, i in rows], n_cols=5),
        ell_from_csr(A[r, c], c, np.concatenate([[0], np.cumsum((A != 0).sum(1))]), n_cols=5),
        ell_from_edges(r[shuffled], c[shuffled], A[r, c][shuffled], n_rows=8, n_cols=5),
    ]
    for ell in made:
        np.testing.assert_array_equal(ell_to_dense(ell), A)


def test_indices_are_checked_copied_and_cannot_be_written():
    values, at = np.ones((2, 2)), np.array([[0, -7], [2, 1]])
    ell = ELL(values, at, 3)
    at[0, 0] = 99
    np.testing.assert_array_equal(ell.indices, [[0, -1], [2, 1]])
    with pytest.raises(ValueError, match="read-only"):
        ell.indices[0, 0] = 1
    with pytest.raises(ValueError, match=r"WRITEABLE|writeable"):
        ell.indices.flags.writeable = True
    with pytest.raises(ValueError, match=r"ELL: .*element \(1,0\) is 2, must be below 2"):
        ELL(values, ell.indices, 2)
    with pytest.raises(TypeError, match="must be integers"):
        ELL(values, values, 3)
    with pytest.raises(ValueError, match=r"values has shape \(2, 2\) and indices \(2, 3\)"):
        ELL(values, np.zeros((2, 3), int), 3)
    with pytest.raises(TypeError, match="n_cols must be an integer"):
        ELL(values, at, 3.0)


def test_an_ell_made_from_another_shares_its_structure():
    ell = ELL(np.ones((2, 2)), np.array([[0, -7], [2, 1]]), 3)
    other = dataclasses.replace(ell, values=2 * ell.values)
    assert other.indices is ell.indices
    copied = copy.deepcopy(ell)
    np.testing.assert_array_equal(ell_to_dense(copied), ell_to_dense(ell))


def test_masking_takes_one_of_two_keywords():
    ell = ell_from_dense(sparse((4, 6)))
    valid = np.random.default_rng(1).random(ell.values.shape) < 0.5
    B = sparse((6, 3), 1)
    for keywords in ({"semiring": LOG}, {"identity": 0.0}, {"semiring": REAL}, {"identity": np.nan}):
        masked = ell_mask(ell, valid, **keywords)
        assert (masked.indices[~valid] == -1).all()
        got = semiring_ell_matmul(masked.values, masked.indices, B)
        kept = ELL(ell.values, np.where(valid, ell.indices, -1), 6)
        np.testing.assert_array_equal(got, semiring_ell_matmul(kept.values, kept.indices, B))
    assert (ell_mask(ell, valid, semiring="tropical_max_plus").values[~valid] == -np.inf).all()
    for keywords in ({}, {"semiring": REAL, "identity": 0.0}):
        with pytest.raises(ValueError, match="exactly one"):
            ell_mask(ell, valid, **keywords)
    with pytest.raises(ValueError, match="euclidean has no annihilator"):
        ell_mask(ell, valid, semiring=EUCLIDEAN)
    assert ell_mask(ell, valid, identity=0.0).identity == 0


def test_padding_and_self_loops():
    ell = ell_pad(np.ones((2, 1), np.float32), np.array([[1], [0]]), k_max=3, n_cols=2)
    np.testing.assert_array_equal(ell.indices, [[1, -1, -1], [0, -1, -1]])
    np.testing.assert_array_equal(
        ell_pad(ell.values, ell.indices, k_max=4, n_cols=2, pad_index=1).indices[:, 3], [1, 1]
    )
    with pytest.raises(ValueError, match="k_max is 2, must be at least the 3"):
        ell_pad(ell.values, ell.indices, k_max=2, n_cols=2)
    attributes = np.arange(6.0).reshape(2, 3, 1)
    for fill, expected in (("mean", [0, 3]), ("add", [0, 3]), ("zero", [0, 0])):
        looped, more = ell_add_self_loops(ell, attributes, fill=fill)
        np.testing.assert_array_equal(looped.indices[:, 3], [0, 1])
        np.testing.assert_array_equal(looped.values[:, 3], [1, 1])
        np.testing.assert_array_equal(more[:, 3, 0], expected)
    assert ell_add_self_loops(ell)[1] is None
    with pytest.raises(ValueError, match="fill is 'max'"):
        ell_add_self_loops(ell, attributes, fill="max")
    with pytest.raises(ValueError, match="has no column of its number"):
        ell_add_self_loops(ELL(np.ones((3, 1)), np.zeros((3, 1), int), 2))


def test_columns_that_come_twice():
    at = np.array([[1, 1, 0]])
    np.testing.assert_array_equal(ell_to_dense(ELL(np.array([[1.0, 2, 4]]), at, 2)), [[4, 3]])
    np.testing.assert_array_equal(ell_to_dense(ELL(np.array([[1.0, 2, 4]]), at, 2, np.inf)), [[4, 2]])


@pytest.mark.parametrize("level", range(4))
def test_icosphere(level):
    mesh = icosphere(level)
    n = 10 * 4**level + 2
    assert mesh.vertices.shape == (n, 3) and mesh.faces.shape == (20 * 4**level, 3)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 1)
    corners = mesh.vertices[mesh.faces]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert 0.6 * 4.18 < volume < 4.19  # all triangles face outwards
    if level:
        np.testing.assert_array_equal(
            mesh.vertices[: len(icosphere(level - 1).vertices)], icosphere(level - 1).vertices
        )


def test_rings():
    mesh = icosphere(2)
    ring = mesh_k_ring_adjacency(mesh)
    counts = (ring.indices >= 0).sum(1)
    assert (counts == 5).sum() == 12 and (counts == 6).sum() == len(counts) - 12
    adjacency = ell_to_dense(ring)
    np.testing.assert_array_equal(adjacency, adjacency.T)
    two = ell_to_dense(mesh_k_ring_adjacency(mesh, k=2))
    expected = (adjacency + adjacency @ adjacency) > 0
    np.fill_diagonal(expected, False)
    np.testing.assert_array_equal(two > 0, expected)
    mean = mesh_k_ring_adjacency(mesh, binary=False, include_self=True)
    np.testing.assert_allclose(ell_to_dense(mean).sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(mean.indices[:, 0], np.arange(len(counts)))
