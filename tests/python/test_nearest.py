import numpy as np
import pytest

import nitrix
from nitrix.semiring import semiring_matmul, semiring_nearest

ALGEBRAS = ["euclidean", "tropical_min_plus"]
DTYPES = [np.float32, np.float64]


def selected(product, k, identity):
    """A stable selection: ties to the smallest column, NaN last, the identity and -1 beyond the columns."""
    order = np.argsort(product, axis=-1, kind="stable")[..., :k]
    values = np.take_along_axis(product, order, -1)
    rest = [(0, 0)] * (product.ndim - 1) + [(0, k - order.shape[-1])]
    return np.pad(values, rest, constant_values=identity), np.pad(order.astype(np.int32), rest, constant_values=-1)


def check(A, B, k, semiring, **options):
    values, indices = semiring_nearest(A, B, k, semiring=semiring, **options)
    product = semiring_matmul(A, B, semiring=semiring)
    expected = selected(product, k, nitrix.semiring.SEMIRINGS[semiring].identity)
    assert indices.dtype == np.int32
    np.testing.assert_array_equal(indices, expected[1])
    bits = f"u{values.dtype.itemsize}"
    np.testing.assert_array_equal(values.view(bits), expected[0].view(bits))


@pytest.mark.parametrize("semiring", ALGEBRAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("m", "d", "n", "k"),
    # around the blocks of 512 rows and of 256 or 512 columns, groups of 64 entries, heaps of every shape
    [(1, 1, 1, 1), (3, 5, 63, 2), (5, 3, 64, 64), (7, 2, 65, 66), (513, 9, 700, 16), (40, 300, 1030, 17),
     (20, 4, 1500, 600), (9, 7, 2000, 2000), (2, 3, 5, 9)],
)  # fmt: skip
def test_is_a_stable_selection_of_the_product(semiring, dtype, m, d, n, k):
    rng = np.random.default_rng(m)
    check(rng.standard_normal((m, d)).astype(dtype), rng.standard_normal((d, n)).astype(dtype), k, semiring)
    # Few different values: ties everywhere.
    check(rng.integers(0, 2, (m, d)).astype(dtype), rng.integers(0, 2, (d, n)).astype(dtype), k, semiring)


@pytest.mark.parametrize("semiring", ALGEBRAS)
@pytest.mark.parametrize("order", [1, -1])
def test_sorted_columns(semiring, order):
    """Every entry is better than those before it, or none is."""
    B = np.arange(1, 3001, dtype=np.float32)[::order][None]
    check(np.zeros((3, 1), np.float32), np.ascontiguousarray(B), 20, semiring)


@pytest.mark.parametrize("semiring", ALGEBRAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_comes_last_and_infinities_are_entries(semiring, dtype):
    rng = np.random.default_rng(3)
    A, B = rng.standard_normal((4, 3)).astype(dtype), rng.standard_normal((3, 900)).astype(dtype)
    B[:, rng.random(900) < 0.5] = np.nan
    B[0, rng.random(900) < 0.3] = np.inf
    A[2, 0] = np.nan
    for k in (1, 30, 500, 899, 1000):
        check(A, B, k, semiring)
    B[:, 5:] = np.nan  # fewer numbers than are asked for
    for k in (3, 8, 700):
        check(A, B, k, semiring)
    B[:, :], B[:, 880] = np.nan, 1  # the only number stands far behind
    check(A, B, 7, semiring)


def test_zeros_of_both_signs_are_equal():
    B = np.array([[0.0, -0.0, 1.0, -0.0, 0.0]])
    values, indices = semiring_nearest(np.array([[-0.0]]), B, 4, semiring="tropical_min_plus")
    assert indices.tolist() == [[0, 1, 3, 4]]
    assert np.signbit(values).tolist() == [[False, True, True, False]]


@pytest.mark.parametrize("semiring", ALGEBRAS)
def test_layouts_and_batches(semiring):
    rng = np.random.default_rng(5)
    A, B = rng.standard_normal((2, 3, 30, 6)).astype(np.float32), rng.standard_normal((3, 70, 6)).astype(np.float32)
    check(A, B.swapaxes(-1, -2), 5, semiring)
    check(A.swapaxes(-1, -2)[..., ::2, :], B[:, :60:2, ::2], 5, semiring)
    check(A[:, :1], B.swapaxes(-1, -2)[::-1], 5, semiring)
    values, indices = np.empty((30, 10), np.float32)[:, ::2], np.empty((5, 30), np.int32).T
    given = semiring_nearest(A[0, 0], B[0].T, 5, semiring=semiring, out=(values, indices))
    assert given[0] is values and given[1] is indices
    again = semiring_nearest(A[0, 0], B[0].T, 5, semiring=semiring)
    np.testing.assert_array_equal(values, again[0])
    np.testing.assert_array_equal(indices, again[1])


@pytest.mark.parametrize("semiring", ALGEBRAS)
def test_threads_and_backends_change_no_bits(semiring):
    rng = np.random.default_rng(6)
    A, B = rng.standard_normal((600, 20)).astype(np.float32), rng.standard_normal((20, 700)).astype(np.float32)
    one = semiring_nearest(A, B, 12, semiring=semiring, threads=1)
    for options in ({"threads": 2}, {"backend": "naive"}, {"mode": "verify"}):
        for got, expected in zip(semiring_nearest(A, B, 12, semiring=semiring, **options), one, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("semiring", ALGEBRAS)
def test_sizes_of_zero(semiring):
    identity = nitrix.semiring.SEMIRINGS[semiring].identity
    values, indices = semiring_nearest(np.ones((3, 2)), np.ones((2, 0)), 4, semiring=semiring)
    assert (indices == -1).all() and (values == identity).all() and values.shape == (3, 4)
    values, indices = semiring_nearest(np.ones((0, 2)), np.ones((2, 5)), 4, semiring=semiring)
    assert values.shape == indices.shape == (0, 4)
    check(np.ones((3, 0)), np.ones((0, 5)), 2, semiring)


def test_memory_is_that_of_blocks():
    A, B = np.zeros((20000, 8), np.float32), np.zeros((8, 20000), np.float32)
    assert nitrix.workspace_size(semiring_nearest, A, B, k=4, threads=1) < 4 << 20


def test_what_is_refused():
    A, B = np.ones((3, 2)), np.ones((2, 5))
    with pytest.raises(ValueError, match=r"'k': is 0, must be at least 1"):
        semiring_nearest(A, B, 0)
    with pytest.raises(TypeError, match=r"negate both operands"):
        semiring_nearest(A, B, 1, semiring="tropical_max_plus")
    with pytest.raises(TypeError, match=r"no costs or distances"):
        semiring_nearest(A, B, 1, semiring="real")
    with pytest.raises(ValueError, match=r"its dimension 'd' must be 2"):
        semiring_nearest(A, B.T, 1)
    values = np.full((3, 2), 7.0)
    with pytest.raises(ValueError, match=r"shape"):
        semiring_nearest(A, B, 4, out=(values, np.zeros((3, 2), np.int32)))
    assert (values == 7).all()
