import numpy as np
import pytest

import nitrix
from nitrix.semiring import SEMIRINGS, semiring_closure, semiring_matmul, semiring_power

csgraph = pytest.importorskip("scipy.sparse.csgraph")

FLOATS = [np.float32, np.float64]
TROPICAL = ["tropical_min_plus", "tropical_max_plus"]


def graph(n, share, dtype=np.float64, seed=0):
    """Costs of some edges in small integers, whose sums are exact; +inf without one."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n, n)) < share, rng.integers(1, 50, (n, n)), np.inf).astype(dtype)


def unit(n, semiring, dtype):
    one = 1 if semiring in ("real", "boolean") else 0
    return np.where(np.eye(n, dtype=bool), one, SEMIRINGS[semiring].identity).astype(dtype)


@pytest.mark.parametrize("n", range(12))
@pytest.mark.parametrize(
    ("semiring", "dtype"),
    [("boolean", bool), *((s, d) for s in ("real", "log", *TROPICAL) for d in FLOATS)],
)
def test_power_is_repeated_products(semiring, dtype, n):
    """By the order that docs/exactness.md names: bit for bit."""
    rng = np.random.default_rng(n)
    A = rng.random((2, 9, 9)) < 0.2 if dtype is bool else rng.standard_normal((2, 9, 9)).astype(dtype)
    expected = np.broadcast_to(unit(9, semiring, dtype), A.shape)
    if n:
        expected = A
        for bit in f"{n:b}"[1:]:
            expected = semiring_matmul(expected, expected, semiring=semiring)
            if bit == "1":
                expected = semiring_matmul(expected, A, semiring=semiring)
    for power in (
        semiring_power(A, n, semiring=semiring),
        semiring_power(A, n, semiring=semiring, backend="naive"),
        semiring_power(A, n, semiring=semiring, out=np.empty_like(A).swapaxes(0, 2).copy().swapaxes(0, 2)),
        semiring_power(np.asfortranarray(A), n, semiring=semiring, threads=2),
    ):
        assert power.dtype == A.dtype
        np.testing.assert_array_equal(power, expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 6, 7, 30])
def test_power_beside_numpy(dtype, n):
    A = (np.random.default_rng(1).standard_normal((40, 40)) / 7).astype(dtype)
    expected = np.linalg.matrix_power(A.astype(np.float64), n)
    np.testing.assert_allclose(semiring_power(A, n), expected, rtol=0, atol=50 * np.finfo(dtype).eps * 2 ** (n / 6))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("n", "share"), [(1, 1), (2, 0.9), (5, 0.5), (64, 0.1), (65, 0.05), (150, 0.03), (301, 0.01)])
def test_closure_is_all_pairs_shortest_paths(dtype, n, share):
    A = graph(n, share, dtype, n)
    edges = np.ma.masked_invalid(A)  # a cost of 0 would be no edge to SciPy otherwise
    expected = csgraph.floyd_warshall(csgraph.csgraph_from_masked(edges)) if n > 1 else np.zeros((1, 1))
    np.testing.assert_array_equal(semiring_closure(A), expected)
    np.testing.assert_array_equal(-semiring_closure(-A, semiring="tropical_max_plus"), expected)
    reach = semiring_closure(np.inf > A, semiring="boolean")
    assert reach.dtype == bool
    np.testing.assert_array_equal(reach, expected < np.inf)


def test_closure_of_an_undirected_graph_is_its_components():
    rng = np.random.default_rng(4)
    A = rng.random((200, 200)) < 0.004
    _, label = csgraph.connected_components(A, directed=False)
    np.testing.assert_array_equal(semiring_closure(A | A.T, semiring="boolean"), label[:, None] == label)


def test_costs_below_zero_and_of_zero():
    A = graph(90, 0.05)
    height = np.random.default_rng(5).integers(0, 60, 90)
    lifted = A + height[:, None] - height  # every cycle costs what it did
    np.testing.assert_array_equal(semiring_closure(lifted), semiring_closure(A) + height[:, None] - height)
    ring = np.full((70, 70), np.inf)
    ring[np.arange(70), (np.arange(70) + 1) % 70] = 0
    assert (semiring_closure(ring) == 0).all()


@pytest.mark.parametrize("n", [2, 3, 63, 64, 65, 130])
def test_a_cycle_below_zero_shows_on_the_diagonal(n):
    ring = np.full((n, n), np.inf)
    ring[np.arange(n), (np.arange(n) + 1) % n] = 1
    ring[n - 1, 0] = -n  # the whole ring costs -1
    assert (np.diagonal(semiring_closure(ring)) < 0).any()
    ring[n - 1, 0] = 1 - n
    np.testing.assert_array_equal(np.diagonal(semiring_closure(ring)), 0)


@pytest.mark.parametrize("semiring", [*TROPICAL, "boolean"])
def test_closure_of_batches_layouts_threads_and_backends(semiring):
    sign = -1 if semiring == "tropical_max_plus" else 1
    A = np.stack([sign * graph(150, 0.02, np.float32, seed) for seed in range(3)])
    if semiring == "boolean":
        A = np.isfinite(A)
    expected = np.stack([semiring_closure(a, semiring=semiring) for a in A])
    np.testing.assert_array_equal(semiring_closure(A, semiring=semiring, threads=2), expected)
    np.testing.assert_array_equal(semiring_closure(A, semiring=semiring, backend="naive"), expected)
    np.testing.assert_array_equal(semiring_closure(A, semiring=semiring, mode="verify"), expected)
    out = np.zeros((3, 150, 300), A.dtype)[:, :, ::2]
    semiring_closure(np.asfortranarray(A), semiring=semiring, out=out)
    np.testing.assert_array_equal(out, expected)
    transposed = semiring_closure(A.swapaxes(1, 2), semiring=semiring)
    np.testing.assert_array_equal(transposed, expected.swapaxes(1, 2))  # exact sums


def test_nan_and_bytes_that_are_true():
    A = graph(70, 0.3)
    A[3, 4] = np.nan
    closed = semiring_closure(A)
    assert np.isnan(closed[3]).all() and np.isnan(closed[:, 4]).all()
    truth = np.array([[0, 7], [0, 0]], np.uint8)
    np.testing.assert_array_equal(semiring_closure(truth, semiring="boolean"), [[1, 1], [0, 1]])
    np.testing.assert_array_equal(semiring_power(truth, 1, semiring="boolean"), [[0, 1], [0, 0]])


def test_sizes_of_zero():
    assert semiring_power(np.ones((0, 0)), 5).shape == (0, 0)
    assert semiring_closure(np.ones((3, 0, 0))).shape == (3, 0, 0)
    assert semiring_power(np.ones((0, 4, 4)), 0).shape == (0, 4, 4)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"'n': is -1, must be at least 0"):
        semiring_power(np.eye(2), -1)
    with pytest.raises(TypeError, match=r"does not associate"):
        semiring_power(np.eye(2), 2, semiring="euclidean")
    with pytest.raises(ValueError, match=r"m = 3"):
        semiring_power(np.ones((2, 3)), 2)
    for semiring in ("real", "log"):
        with pytest.raises(TypeError, match=r"need not end"):
            semiring_closure(np.eye(2), semiring=semiring)


def test_memory_is_known():
    A = np.zeros((300, 300), np.float32)
    size = A.nbytes
    assert nitrix.workspace_size(semiring_power, A, n=2, threads=1) < 3 * size
    assert nitrix.workspace_size(semiring_closure, A, threads=1) < 3 * size
