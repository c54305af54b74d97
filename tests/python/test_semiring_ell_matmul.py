"""Products with matrices in ELL form on raw arrays: padding, bad indices, strides, batches, bits."""

import numpy as np
import pytest

import nitrix
from nitrix.semiring import (
    REAL,
    SEMIRINGS,
    reference_semiring_ell_matmul,
    semiring_ell_matmul,
    semiring_matmul,
)

FLOATS = [s for s in SEMIRINGS if s != "boolean"]
algebra = pytest.mark.parametrize("semiring", FLOATS)
dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def random(shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def indices(shape, n, seed=0, padding=0.2):
    rng = np.random.default_rng([seed, *shape])
    return np.where(rng.random(shape) < padding, -1, rng.integers(0, n, shape)).astype(np.int32)


@algebra
@dtype
@pytest.mark.parametrize("d", [1, 7, 64, 65, 200])
def test_a_full_matrix_gives_the_bits_of_the_dense_product(d, dtype, semiring):
    """The order of the reduction is the same; LOG's dense product takes another way to the same accuracy."""
    A, B = random((9, 300), dtype), random((300, d), dtype, 1)
    dense = semiring_matmul(A, B, semiring=semiring)
    got = semiring_ell_matmul(A, np.broadcast_to(np.arange(300), A.shape), B, semiring=semiring)
    if semiring == "log":
        np.testing.assert_allclose(got, dense, rtol=20 * np.finfo(dtype).eps)
    else:
        np.testing.assert_array_equal(got, dense)


@pytest.mark.parametrize("semiring", SEMIRINGS)
def test_rows_without_entries_give_the_identity(semiring):
    kind = bool if semiring == "boolean" else np.float32
    values, B = np.ones((3, 2), kind), np.ones((4, 70), kind)
    nothing = np.full((3, 2), -1)
    identity = SEMIRINGS[semiring].identity
    assert (semiring_ell_matmul(values, nothing, B, semiring=semiring) == identity).all()
    assert (semiring_ell_matmul(values[:, :0], nothing[:, :0], B, semiring=semiring) == identity).all()
    assert (semiring_ell_matmul(values, nothing, B[:0], semiring=semiring) == identity).all()


@algebra
@pytest.mark.parametrize("wide", [np.int32, np.int64])
def test_nothing_beside_padding_is_read(wide, semiring):
    values, B = random((6, 5), np.float32), random((8, 70), np.float32, 1)
    at = indices((6, 5), 7).astype(wide)
    expected = semiring_ell_matmul(values, at, B, semiring=semiring)
    values[at < 0], B[7] = np.nan, np.inf
    np.testing.assert_array_equal(semiring_ell_matmul(values, at, B, semiring=semiring), expected)
    low = np.where(at < 0, np.iinfo(np.int32).min, at).astype(wide)
    np.testing.assert_array_equal(semiring_ell_matmul(values, low, B, semiring=semiring), expected)


@pytest.mark.parametrize("wide", [np.int32, np.int64])
@pytest.mark.parametrize("layout", ["rows", "columns", "batch"])
@pytest.mark.parametrize("wrong", [8, 2**31 - 1])
def test_an_index_out_of_range_is_refused_before_anything_is_written(wide, layout, wrong):
    values, B = np.ones((2, 6, 5), np.float32), np.ones((8, 3), np.float32)
    at = np.asarray(indices((2, 6, 5), 8), wide, order="F" if layout == "columns" else "C")
    at[1, 3, 4] = wrong
    position = r"\(1,3,4\)"
    if layout == "rows":
        values, at, position = values[1], at[1], r"\(3,4\)"
    out = np.full((*values.shape[:-1], 3), 7, np.float32)
    with pytest.raises(ValueError, match=rf"'indices': element {position} is {wrong}, must be below 8.*'n'"):
        semiring_ell_matmul(values, at, B, out=out)
    assert (out == 7).all()


@pytest.mark.parametrize("wrong", [2**40, 2**32, 2**31, -(2**31) - 1, -(2**32), -(2**63)])
def test_64_bit_indices_that_32_bits_cannot_hold_are_refused(wrong):
    at = np.zeros((3, 4), np.int64)
    at[2, 1] = wrong
    with pytest.raises(ValueError, match=rf"element \(2,1\) is {wrong}, must be below 5.*down to -2147483648"):
        semiring_ell_matmul(np.ones((3, 4)), at, np.ones((5, 2)))


@algebra
@dtype
def test_strides_and_batches(dtype, semiring):
    values, at, B = random((3, 5, 7), dtype), indices((5, 7), 9), random((2, 1, 9, 33), dtype, 1)
    expected = np.stack([
        [semiring_ell_matmul(v, at, b[0], semiring=semiring) for v in values] for b in B
    ])  # fmt: skip
    np.testing.assert_array_equal(semiring_ell_matmul(values, at, B, semiring=semiring), expected)
    odd = np.asfortranarray(values), np.asfortranarray(at.astype(np.int64)), B.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    np.testing.assert_array_equal(semiring_ell_matmul(*odd, semiring=semiring), expected)
    out = np.zeros((2, 3, 33, 5), dtype).swapaxes(-1, -2)
    semiring_ell_matmul(values[..., ::-1], at[:, ::-1], B, semiring=semiring, out=out)
    if semiring.startswith("tropical"):  # the order of k is another
        np.testing.assert_array_equal(out, expected)
    reference = reference_semiring_ell_matmul(values, at, B, semiring=semiring)
    np.testing.assert_allclose(reference, expected, rtol=20 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps)


@algebra
def test_threads_do_not_change_the_bits(semiring):
    values, at, B = random((1000, 7), np.float32), indices((1000, 7), 500), random((500, 100), np.float32, 1)
    one = semiring_ell_matmul(values, at, B, semiring=semiring, threads=1)
    for threads in (2, 3):
        np.testing.assert_array_equal(semiring_ell_matmul(values, at, B, semiring=semiring, threads=threads), one)


def test_duplicate_entries_are_terms_of_their_own():
    at = np.array([[2, 2, 2, -1]])
    B = np.arange(12.0).reshape(4, 3)
    values = np.array([[1.0, 10.0, 100.0, np.nan]])
    np.testing.assert_array_equal(semiring_ell_matmul(values, at, B), 111 * B[2:3])
    np.testing.assert_array_equal(semiring_ell_matmul(values, at, B, semiring="tropical_min_plus"), 1 + B[2:3])


def test_a_row_of_100_000_neighbours():
    """Sums in blocks: the error is that of a few hundred terms, not of all."""
    k = 100_000
    values, B = np.full((1, k), 0.1, np.float32), np.ones((3, 64), np.float32)
    at = np.arange(k)[None] % 3
    got = semiring_ell_matmul(values, at, B)
    assert np.abs(got - k * np.float64(np.float32(0.1))).max() < 0.2
    smallest = semiring_ell_matmul(values, at, B, semiring="tropical_min_plus")
    assert (smallest == np.float32(1.1)).all()


def test_what_does_not_fit_is_named():
    values, at, B = np.ones((3, 4)), np.zeros((3, 4), np.int32), np.ones((5, 2))
    with pytest.raises(TypeError, match=r"indices.*must be int32 or int64"):
        semiring_ell_matmul(values, values, B)
    with pytest.raises(ValueError, match="indices"):
        semiring_ell_matmul(values, at[:, :3], B)
    with pytest.raises(ValueError, match="B has 5 rows, so n_cols"):
        semiring_ell_matmul(values, at, B, n_cols=6)
    with pytest.raises(TypeError, match=r"B is float32 but values is float64"):
        semiring_ell_matmul(values, at, B.astype(np.float32))
    assert semiring_ell_matmul(values, at, B, n_cols=5).shape == (3, 2)


def test_explain_reads_no_indices():
    at = np.full((3, 4), 99)
    answer = nitrix.explain(semiring_ell_matmul, np.ones((3, 4)), at, np.ones((5, 2)), semiring=REAL)
    assert answer["op"] == "semiring_ell_matmul" and answer["scratch_bytes"] == 0
