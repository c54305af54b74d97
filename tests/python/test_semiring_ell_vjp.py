"""Transposes and gradients of products in ELL form: finite differences, order, threads, structures."""

import numpy as np
import pytest

import nitrix
from nitrix.semiring import (
    SEMIRINGS,
    reference_semiring_ell_rmatvec,
    semiring_ell_matmul,
    semiring_ell_matmul_vjp,
    semiring_ell_rmatvec,
    semiring_matmul,
)
from nitrix.sparse import ELL, ell_to_dense

FLOATS = [s for s in SEMIRINGS if s != "boolean"]
TROPICAL = ("tropical_max_plus", "tropical_min_plus")
algebra = pytest.mark.parametrize("semiring", FLOATS)
dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def random(shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def indices(shape, n, seed=0, padding=0.2):
    rng = np.random.default_rng([seed, *shape])
    return np.where(rng.random(shape) < padding, -1, rng.integers(0, n, shape)).astype(np.int32)


def distinct(m, k, n, seed=0):
    """Indices of which no row has one twice."""
    rng = np.random.default_rng(seed)
    at = np.stack([rng.permutation(n)[:k] for _ in range(m)])
    return np.where(rng.random((m, k)) < 0.2, -1, at).astype(np.int32)


def dense(values, at, n, semiring):
    """What the matrix is, with the annihilator where it has no entry."""
    return ell_to_dense(ELL(values, at, n, SEMIRINGS[semiring].annihilator))


# ---- Transposes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("semiring", ["real", *TROPICAL])
@pytest.mark.parametrize("d", [1, 70])
@dtype
def test_rmatvec(d, dtype, semiring):
    values, at, X = random((40, 6), dtype), distinct(40, 6, 25), random((40, d), dtype, 1)
    expected = semiring_matmul(dense(values, at, 25, semiring).T.copy(), X, semiring=semiring)
    got = semiring_ell_rmatvec(values, at, X, semiring=semiring, n_cols=25)
    np.testing.assert_allclose(got, expected, rtol=0 if semiring in TROPICAL else 30 * np.finfo(dtype).eps, atol=1e-5)
    np.testing.assert_array_equal(reference_semiring_ell_rmatvec(values, at, X, semiring=semiring, n_cols=25), got)


@pytest.mark.parametrize("semiring", SEMIRINGS)
def test_columns_without_entries_give_the_identity(semiring):
    kind = bool if semiring == "boolean" else np.float32
    values, X = np.ones((4, 2), kind), np.ones((4, 66), kind)
    got = semiring_ell_rmatvec(values, np.array([[0, -1], [3, 0], [-1, -1], [3, 3]]), X, semiring=semiring, n_cols=6)
    assert (got[[1, 2, 4, 5]] == SEMIRINGS[semiring].identity).all()
    assert (got[[0, 3]] != SEMIRINGS[semiring].identity).all() or semiring == "euclidean"
    empty = semiring_ell_rmatvec(values[:, :0], np.zeros((4, 0), int), X, semiring=semiring, n_cols=6)
    assert (empty == SEMIRINGS[semiring].identity).all() and empty.shape == (6, 66)


@algebra
def test_transposes_of_batches(semiring):
    values, at, X = random((3, 9, 4)), indices((2, 1, 9, 4), 7), random((9, 20), seed=1)
    got = semiring_ell_rmatvec(values, at, X, semiring=semiring, n_cols=7)
    assert got.shape == (2, 3, 7, 20)
    for b, i in np.ndindex(2, 3):
        one = semiring_ell_rmatvec(values[i], at[b, 0], X, semiring=semiring, n_cols=7)
        np.testing.assert_array_equal(got[b, i], one)


def test_a_transpose_refuses_indices_out_of_range():
    values, at = np.ones((2, 3)), np.array([[0, 1, 2], [3, -1, 7]])
    with pytest.raises(ValueError, match=r"element \(1,2\) is 7, must be below 5"):
        semiring_ell_rmatvec(values, at, np.ones((2, 4)), n_cols=5)
    with pytest.raises(ValueError, match=r"no input says how large the dimension n of Y is: pass out="):
        nitrix._ops.OPS["semiring_ell_rmatvec"].call((values, at, np.ones((2, 4))), (None,), None, None, 0, None, None)


# ---- Structures ------------------------------------------------------------------------------------------------------


def far(n=20_000, k=5, seed=0):
    """A ring whose vertices are numbered at random: an order that suits no cache."""
    number = np.random.default_rng(seed).permutation(n)
    at = np.empty((n, k), np.int32)
    at[number] = number[(np.arange(n)[:, None] + np.arange(k)) % n]
    at[::97, 2] = -1
    return at


@pytest.mark.parametrize("semiring", SEMIRINGS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_structure_does_not_change_the_bits(semiring, threads):
    at = far()
    kind = bool if semiring == "boolean" else np.float32
    values, B = random(at.shape).astype(kind), random((len(at), 70), seed=1).astype(kind)
    if kind is bool:
        values, B = random(at.shape) > 0, random((len(at), 70), seed=1) > 1
    ell = ELL(values, at, len(at))
    assert ell.indices.dtype == np.int32 and not ell.indices.flags.writeable
    options = {"semiring": semiring, "threads": threads}
    expected = semiring_ell_matmul(values, at, B, **options)
    np.testing.assert_array_equal(semiring_ell_matmul(values, ell.indices, B, **options), expected)
    out = np.zeros((70, len(at)), kind).T
    semiring_ell_matmul(np.asfortranarray(values), ell.indices, B, out=out, **options)
    np.testing.assert_array_equal(out, expected)
    back = semiring_ell_rmatvec(values, at, B, n_cols=len(at), **options)
    for _ in range(2):  # the first builds the transpose
        np.testing.assert_array_equal(semiring_ell_rmatvec(values, ell.indices, B, n_cols=len(at), **options), back)
    strided = np.zeros((70, len(at)), kind).T
    semiring_ell_rmatvec(values, ell.indices, B, n_cols=len(at), out=strided, **options)
    np.testing.assert_array_equal(strided, back)
    wider = np.concatenate([B, ~B[:5] if kind is bool else B[:5] + 1])
    np.testing.assert_array_equal(semiring_ell_matmul(values, ell.indices, wider, **options), expected)


@algebra
@pytest.mark.parametrize("d", [3, 4, 6, 10, 16, 32, 64, 128, 129, 300])
def test_the_width_of_rows_does_not_change_the_bits(d, semiring):
    """Some widths have loops of their own; at 128 columns kernels ask memory for later rows."""
    at = far()
    values, B = random(at.shape, np.float32), random((len(at), d), np.float32, 1)
    ell = ELL(values, at, len(at))
    C = semiring_ell_matmul(values, at, B, semiring=semiring, backend="naive")
    np.testing.assert_array_equal(semiring_ell_matmul(values, at, B, semiring=semiring), C)
    np.testing.assert_array_equal(semiring_ell_matmul(values, ell.indices, B, semiring=semiring), C)
    got, expected = (
        semiring_ell_matmul_vjp(values, ix, B, C, B, semiring=semiring, backend=backend)
        for ix, backend in ((ell.indices, None), (at, "naive"))
    )
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_array_equal(g, e)


NAMES = {np.float32: "f32", np.float64: "f64", bool: "u8"}
VARIANTS = {v["id"] for v in nitrix.info()["variants"] if v["runs_here"]}
TARGETS = [t["name"] for t in nitrix.info()["targets"] if t["runs_here"]]


@pytest.mark.parametrize(
    ("semiring", "kind", "variant"),
    [(semiring, kind, variant) for semiring in SEMIRINGS for kind, name in NAMES.items() for target in TARGETS
     if (variant := f"semiring-ell-matmul/{semiring.replace('_', '-')}/{name}/any/{target}") in VARIANTS],
)  # fmt: skip
def test_wide_rows_have_the_bits_of_each_tile(semiring, kind, variant):
    """On every target: rows of several tiles, a whole number of them and not, side by side and apart."""
    at, most = far(2600), 600
    values, B = random(at.shape, kind), random((len(at), most), kind, 1)
    ell = ELL(values, at, len(at))
    options = {"semiring": semiring, "variant": variant}
    columns = [semiring_ell_matmul(values, at, B[:, j : j + 20].copy(), **options) for j in range(0, most, 20)]
    expected = np.concatenate(columns, axis=1)
    for d in (127, 128, 129, 192, 256, 300, 512, 513):
        out = np.zeros((len(at), d + 16), kind)
        np.testing.assert_array_equal(semiring_ell_matmul(values, ell.indices, B[:, :d], **options), expected[:, :d])
        semiring_ell_matmul(values, ell.indices, B[:, 5 : 5 + d].copy(), out=out[:, :d], **options)
        np.testing.assert_array_equal(out[:, :d], expected[:, 5 : 5 + d])
        assert not out[:, d:].any()


def test_a_structure_serves_batches_and_verify():
    at = far()
    values, B = random((2, *at.shape), np.float32), random((3, 1, len(at), 40), np.float32)
    ell = ELL(values, at, len(at))
    expected = semiring_ell_matmul(values, at, B)
    np.testing.assert_array_equal(semiring_ell_matmul(values, ell.indices, B, mode="verify"), expected)
    np.testing.assert_array_equal(semiring_ell_matmul(values, ell.indices, B, backend="naive"), expected)
    X = random((len(at), 7), np.float32)
    np.testing.assert_array_equal(
        semiring_ell_rmatvec(values[0], ell.indices, X, n_cols=len(at), mode="verify"),
        semiring_ell_rmatvec(values[0], at, X, n_cols=len(at), backend="naive"),
    )


def test_too_small_a_matrix_is_still_refused():
    at = far()
    ell = ELL(np.ones(at.shape), at, len(at))
    with pytest.raises(ValueError, match=f"must be below {len(at) - 1}"):
        semiring_ell_matmul(ell.values, ell.indices, np.ones((len(at) - 1, 2)))


def test_part_of_a_structure_is_an_array_like_any_other():
    at = far()
    ell = ELL(np.ones(at.shape), at, len(at))
    B = random((len(at), 3))
    whole = semiring_ell_matmul(ell.values, at, B)
    np.testing.assert_array_equal(semiring_ell_matmul(ell.values[:50], ell.indices[:50], B), whole[:50])
    np.testing.assert_array_equal(
        semiring_ell_matmul(ell.values[:, ::-1], ell.indices[:, ::-1], B),
        semiring_ell_matmul(ell.values, np.ascontiguousarray(at[:, ::-1]), B),
    )


def test_one_row_with_100_000_neighbours_among_short_ones():
    n = 3000
    at = np.full((n, 100_000), -1, np.int32)
    at[:, :3] = (np.arange(n)[:, None] + np.arange(3)) % n
    at[17] = np.arange(100_000) % n
    values, B = np.ones(at.shape, np.float32), random((n, 33), np.float32)
    expected = semiring_ell_matmul(values, at, B)
    ell = ELL(values, at, n)
    np.testing.assert_array_equal(semiring_ell_matmul(ell.values, ell.indices, B), expected)
    back = semiring_ell_rmatvec(ell.values, ell.indices, B, n_cols=n)
    wide = np.zeros((n, 33))
    np.add.at(wide, at[at >= 0], np.repeat(B.astype(np.float64), (at >= 0).sum(1), axis=0))
    np.testing.assert_allclose(back, wide, atol=2e-4)


# ---- Gradients -------------------------------------------------------------------------------------------------------


@algebra
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("v", "b"),
    [((5, 4), (6, 3)), ((30, 7), (20, 40)), ((2, 5, 4), (6, 3)), ((5, 4), (3, 6, 2)), ((2, 1, 5, 4), (3, 6, 17))],
    ids=str,
)
def test_finite_differences(v, b, semiring, seed):
    """The derivative of sum(dC * C) along random directions of values and B, in float64."""
    values, B, u, w = (
        random(v, seed=seed),
        random(b, seed=seed + 10),
        random(v, seed=seed + 20),
        random(b, seed=seed + 30),
    )
    at = indices(v[-2:], b[-2], seed)
    C = semiring_ell_matmul(values, at, B, semiring=semiring)
    dC = random(C.shape, seed=seed + 40)
    dC[~np.isfinite(C)] = 0  # rows without entries
    dvalues, dB = semiring_ell_matmul_vjp(values, at, B, C, dC, semiring=semiring)
    assert dvalues.shape == v and dB.shape == b
    assert (dvalues[np.broadcast_to(at < 0, v)] == 0).all()

    def loss(step):
        product = semiring_ell_matmul(values + step * u, at, B + step * w, semiring=semiring)
        return np.sum(dC * np.where(np.isfinite(product), product, 0))

    h = 1e-4 if semiring not in TROPICAL else 1e-7
    slope = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)
    expected = np.sum(dvalues * u) + np.sum(dB * w)
    assert abs(slope - expected) <= 1e-6 * (1 + abs(expected))


def by_definition(values, at, B, C, dC, semiring):
    """Forming every term."""
    b, c, g = B[np.maximum(at, 0)], C[:, None, :], dC[:, None, :]
    v = values[:, :, None]
    if semiring == "real":
        wv, wb = b, np.broadcast_to(v, b.shape)
    elif semiring in TROPICAL:
        won = (v + b == c) & (at >= 0)[..., None]
        wv = wb = won & (np.cumsum(won, axis=1) == 1)
    elif semiring == "log":
        wv = wb = np.exp(v + b - c)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            wv = np.where(c == 0, 0, (v - b) / c)
        wb = -wv
    live = (at >= 0)[..., None]
    dB = np.zeros_like(B)
    np.add.at(dB, at[at >= 0], (g * wb)[at >= 0])
    return (np.where(live, g * wv, 0)).sum(-1), dB


@algebra
@dtype
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (9, 4, 6, 15), (9, 4, 6, 16), (30, 7, 20, 33), (5, 3, 4, 130)], ids=str
)
def test_sizes(shape, dtype, semiring):
    m, k, n, d = shape
    values, at, B = random((m, k), dtype), indices((m, k), n), random((n, d), dtype, 1)
    at[:, 0] = np.arange(m) % n  # no empty rows
    C = semiring_ell_matmul(values, at, B, semiring=semiring)
    dC = random((m, d), dtype, 2)
    got = semiring_ell_matmul_vjp(values, at, B, C, dC, semiring=semiring)
    wide = (values, at, B, C, dC) if semiring in TROPICAL else (*(x.astype(np.float64) for x in (values,)), at,
                                                               *(x.astype(np.float64) for x in (B, C, dC)))  # fmt: skip
    for gradient, expected in zip(got, by_definition(*wide, semiring), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=2e3 * np.finfo(dtype).eps)


@algebra
def test_gradients_have_one_answer(semiring):
    """Threads, backends, structures and layouts: the same bits."""
    at = far(5000)
    values, B = random(at.shape, np.float32), random((len(at), 70), np.float32, 1)
    C = semiring_ell_matmul(values, at, B, semiring=semiring)
    dC = random(C.shape, np.float32, 2)
    one = semiring_ell_matmul_vjp(values, at, B, C, dC, semiring=semiring, threads=1)
    ell = ELL(values, at, len(at))
    others = [
        semiring_ell_matmul_vjp(values, at, B, C, dC, semiring=semiring, threads=2),
        semiring_ell_matmul_vjp(values, ell.indices, B, C, dC, semiring=semiring),
        semiring_ell_matmul_vjp(values, ell.indices, B, C, dC, semiring=semiring, backend="naive"),
        semiring_ell_matmul_vjp(*map(np.asfortranarray, (values, at.astype(np.int64), B, C, dC)), semiring=semiring),
    ]
    strided = np.zeros(values.shape[::-1], np.float32).T, np.zeros(B.shape[::-1], np.float32).T
    others.append(semiring_ell_matmul_vjp(values, at, B, C, dC, semiring=semiring, out=strided))
    for other in others:
        for x, y in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("semiring", TROPICAL)
def test_the_first_of_equal_entries_wins(semiring):
    values, B = np.zeros((2, 3)), np.zeros((4, 2))
    at = np.array([[-1, 2, 1], [3, 3, 0]])
    C = semiring_ell_matmul(values, at, B, semiring=semiring)
    dvalues, dB = semiring_ell_matmul_vjp(values, at, B, C, np.ones_like(C), semiring=semiring)
    np.testing.assert_array_equal(dvalues, [[0, 2, 0], [2, 0, 0]])
    np.testing.assert_array_equal(dB, [[0, 0], [0, 0], [1, 1], [1, 1]])


@algebra
def test_rows_and_distances_of_nothing_pass_nothing_on(semiring):
    values, B = np.zeros((3, 2)), np.zeros((2, 3))
    at = np.array([[-1, -1], [0, 1], [1, -1]])
    C = semiring_ell_matmul(values, at, B, semiring=semiring)
    dvalues, dB = semiring_ell_matmul_vjp(values, at, B, C, np.ones_like(C), semiring=semiring)
    assert np.isfinite(dvalues).all() and np.isfinite(dB).all() and (dvalues[0] == 0).all()
    if semiring == "euclidean":
        assert (dvalues == 0).all() and (dB == 0).all()


def test_boolean_refuses_a_gradient():
    x = np.ones((2, 2), bool)
    with pytest.raises(TypeError, match="truth values have no gradient"):
        semiring_ell_matmul_vjp(x, np.zeros((2, 2), int), x, x, x, semiring="boolean")


@algebra
def test_memory_never_grows_with_all_three_sizes(semiring):
    m, k, n, d = 4096, 32, 4096, 256
    values, at, B = np.empty((m, k), np.float32), np.zeros((m, k), np.int32), np.empty((n, d), np.float32)
    C = np.empty((m, d), np.float32)
    bytes_ = nitrix.workspace_size(semiring_ell_matmul_vjp, values, at, B, C, C, semiring=semiring)
    assert bytes_ < 3 * C.nbytes < values.nbytes * d / 4
