"""Matrices whose rows differ in length: sections, their memory, products in the order of the rows."""

import numpy as np
import pytest

from nitrix.semiring import (
    SEMIRINGS,
    semiring_ell_matmul,
    semiring_ell_matmul_vjp,
    semiring_ell_rmatvec,
    semiring_ragged_matmul,
    semiring_ragged_rmatvec,
)
from nitrix.sparse import (
    ell_from_ragged,
    sectioned_ell_from_ragged,
    sectioned_semiring_ell_matmul,
    sectioned_semiring_ell_matmul_vjp,
    sectioned_semiring_ell_rmatvec,
)

FLOATS = [s for s in SEMIRINGS if s != "boolean"]


def skewed(m, n, seed=0, dtype=np.float32, median=12, most=240):
    """Rows with 12 entries in the middle and 240 in the longest; a few with none."""
    rng = np.random.default_rng(seed)
    counts = np.clip(np.round(median * np.exp(0.9 * rng.standard_normal(m))), 0, most).astype(int)
    counts[:: m // 5], counts[m // 2] = 0, most
    columns = [rng.integers(0, n, c) for c in counts]
    values = [rng.standard_normal(c).astype(dtype) if dtype is not bool else rng.random(c) < 0.5 for c in counts]
    return values, columns


@pytest.mark.parametrize("semiring", SEMIRINGS)
@pytest.mark.parametrize("bucket_by", [None, lambda counts: counts // 50, lambda counts: np.zeros_like(counts)])
def test_products(semiring, bucket_by):
    kind = bool if semiring == "boolean" else np.float32
    values, columns = skewed(300, 200, dtype=kind)
    rng = np.random.default_rng(1)
    B = rng.random((200, 70)) < 0.2 if kind is bool else rng.standard_normal((200, 70)).astype(kind)
    X = rng.random((2, 300, 5)) < 0.2 if kind is bool else rng.standard_normal((2, 300, 5)).astype(kind)
    ell = ell_from_ragged(values, columns, n_cols=200)
    sectioned = sectioned_ell_from_ragged(values, columns, n_cols=200, bucket_by=bucket_by)
    expected = semiring_ell_matmul(ell.values, ell.indices, B, semiring=semiring)
    np.testing.assert_array_equal(sectioned_semiring_ell_matmul(sectioned, B, semiring=semiring), expected)
    back = semiring_ell_rmatvec(ell.values, ell.indices, X, semiring=semiring, n_cols=200)
    np.testing.assert_array_equal(sectioned_semiring_ell_rmatvec(sectioned, X, semiring=semiring), back)
    flat, wide = np.concatenate(values), np.concatenate(columns).astype(np.int64)
    counts = sectioned.counts.astype(np.int64)
    np.testing.assert_array_equal(semiring_ragged_matmul(flat, wide, counts, B, semiring=semiring), expected)
    raw = semiring_ragged_rmatvec(flat, wide, counts, X, semiring=semiring, n_cols=200)
    np.testing.assert_array_equal(raw, back)


def test_memory_has_no_cliff():
    """At a median of 12 entries and 240 at most: at most twice the entries, where the plain form takes many times."""
    values, columns = skewed(5000, 3000)
    sectioned = sectioned_ell_from_ragged(values, columns, n_cols=3000)
    entries = sum(map(len, columns))
    counts = np.array([len(c) for c in columns])
    assert np.median(counts) == 12 and counts.max() == 240
    assert sectioned.total_storage <= 2 * entries
    assert 10 * entries < 5000 * 240
    held = sum(ell.values.size for _, ell in sectioned.sections)
    assert held == sectioned.total_storage
    assert sectioned.n_buckets == len(sectioned.sections) <= 9
    assert np.array_equal(np.sort(np.concatenate([rows for rows, _ in sectioned.sections])), np.arange(5000))
    assert sectioned.shape == (5000, 3000) and sectioned.n_rows == 5000


@pytest.mark.parametrize("semiring", FLOATS)
def test_gradients(semiring):
    values, columns = skewed(60, 30, dtype=np.float64)
    rng = np.random.default_rng(3)
    B = rng.standard_normal((30, 9))
    ell = ell_from_ragged(values, columns, n_cols=30)
    sectioned = sectioned_ell_from_ragged(values, columns, n_cols=30)
    C = sectioned_semiring_ell_matmul(sectioned, B, semiring=semiring)
    dC = rng.standard_normal(C.shape)
    dvalues, dB = sectioned_semiring_ell_matmul_vjp(sectioned, B, C, dC, semiring=semiring)
    wanted = semiring_ell_matmul_vjp(ell.values, ell.indices, B, C, dC, semiring=semiring)
    np.testing.assert_array_equal(dvalues, wanted[0][np.asarray(ell.indices) >= 0])
    np.testing.assert_allclose(dB, wanted[1], atol=1e-12)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"row 1 has \(2,\) values and \(1,\) indices"):
        sectioned_ell_from_ragged([[1.0], [1.0, 2.0]], [[0], [1]], n_cols=3)
    with pytest.raises(ValueError, match=r"indices.*element \(1\) is 3, must be below 3"):
        sectioned_ell_from_ragged([[1.0], [1.0]], [[0], [3]], n_cols=3)
    with pytest.raises(ValueError, match=r"bucket_by gave float64 of shape \(1,\)"):
        sectioned_ell_from_ragged([[1.0]], [[0]], n_cols=3, bucket_by=lambda counts: counts / 2)
    values, at, B = np.ones(4), np.zeros(4, np.int32), np.ones((2, 3))
    with pytest.raises(ValueError, match=r"counts.*adds up to 3, must be the number of entries, 4"):
        semiring_ragged_matmul(values, at, np.array([1, 2], np.int32), B)
    with pytest.raises(ValueError, match=r"counts.*element \(1\) is -1"):
        semiring_ragged_matmul(values, at, np.array([4, -1], np.int32), B)
    with pytest.raises(ValueError, match=r"counts.*element \(1\) is 2"):
        semiring_ragged_matmul(values, at, np.array([3, 2], np.int32), B)


def test_counts_of_another_matrix_do_not_take_the_plan():
    sectioned = sectioned_ell_from_ragged([[1.0, 2.0], [3.0], [4.0]], [[0, 1], [1], [0]], n_cols=2)
    B = np.eye(2)
    other = semiring_ragged_matmul(sectioned.values, sectioned.indices, np.array([1, 3], np.int32), B)
    np.testing.assert_array_equal(other, [[1, 0], [4, 5]])


def test_nothing_at_all():
    empty = sectioned_ell_from_ragged([], [], n_cols=4)
    assert empty.total_storage == 0 and empty.n_buckets == 0 and empty.sections == []
    B = np.ones((4, 3), np.float32)
    assert sectioned_semiring_ell_matmul(empty, B).shape == (0, 3)
    rows = sectioned_ell_from_ragged([[], []], [[], []], n_cols=4)
    np.testing.assert_array_equal(sectioned_semiring_ell_matmul(rows, B), np.zeros((2, 3)))
    assert [r.tolist() for r, _ in rows.sections] == [[0, 1]]
